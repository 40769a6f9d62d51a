package ssehub

import (
	"math"
	"sync"
)

const maxBatch = 64 << 10

var batches = sync.Pool{New: func() any { b := make([]byte, 0, maxBatch); return &b }}

// take returns the frames of views, by position, and moves the cursor.
func (r *reader) take(views []view) []byte {
	switch {
	case len(views) == 0:
		return nil
	case len(r.seats) == 1:
		r.cursor = views[0].last()
		return views[0].frames()
	default:
		return r.merge(views)
	}
}

// merge returns the frames of several topics by position, each behind the
// line that names its topic.
func (r *reader) merge(views []view) []byte {
	horizon := uint64(math.MaxUint64) // above it a view's topic may have more, in its next segment
	for i := range views {
		if views[i].more {
			horizon = min(horizon, views[i].last())
		}
	}
	if r.batch == nil {
		r.batch = batches.Get().(*[]byte)
	}
	buf := (*r.batch)[:0]
	for len(views) > 0 {
		first := 0
		for i := range views {
			if views[i].entries[0].seq < views[first].entries[0].seq {
				first = i
			}
		}
		v := &views[first]
		e := v.entries[0]
		size := len(v.line) + int(e.end-v.start)
		if e.seq > horizon || len(buf) > 0 && len(buf)+size > maxBatch {
			break
		}
		buf = append(buf, v.line...)
		buf = append(buf, v.buf[v.start:e.end]...)
		r.cursor = e.seq
		v.start, v.entries = e.end, v.entries[1:]
		if len(v.entries) == 0 {
			views[first] = views[len(views)-1]
			views = views[:len(views)-1]
		}
	}
	*r.batch = buf
	clear(r.views) // a slow write of the copy must not keep the originals
	return buf
}

// release lets go of the logs' memory, and gives back what next lent, before a
// sleep.
func (r *reader) release() {
	clear(r.views[:cap(r.views)])
	if r.batch != nil {
		if cap(*r.batch) == maxBatch { // else grown for one huge event
			batches.Put(r.batch)
		}
		r.batch = nil
	}
}
