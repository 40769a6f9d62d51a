package ssehub

import (
	"bytes"
	"math"
	"sync"
)

const (
	maxBatch = 64 << 10
	maxHeads = 1024
)

// batch is what merging borrows.
type batch struct {
	buf   []byte
	heads []head // a heap: a view is of use in it as long as it has entries
}

// head is the next event of a view.
type head struct {
	seq  uint64
	view int
}

var batches = sync.Pool{New: func() any { return &batch{buf: make([]byte, 0, maxBatch)} }}

// take returns the frames of views, by position, and moves the cursor.
func (r *reader) take(views []view) []byte {
	switch {
	case len(views) == 0:
		return nil
	case len(views) == 1 && len(r.seats) == 1 && r.past == nil && !views[0].expires && (r.allow == nil || !r.seats[0].topic.pattern):
		r.takeView(&views[0])
		r.cursor = views[0].last()
		return views[0].frames()
	default:
		return r.merge(views)
	}
}

// merge returns the frames of several logs by position, each behind the line
// that names its topic, and each once, in however many of the logs it is. It may
// return nothing.
func (r *reader) merge(views []view) []byte {
	horizon := uint64(math.MaxUint64) // above it a view's topic may have more, in its next segment
	now := r.hub.now()
	for i := range views {
		if views[i].more {
			horizon = min(horizon, views[i].last())
		}
	}
	if r.batch == nil {
		r.batch = batches.Get().(*batch)
	}
	buf, heads := r.batch.buf[:0], r.batch.heads[:0]
	for i := range views {
		heads = append(heads, head{views[i].entries[0].seq, i})
	}
	for i := len(heads) / 2; i >= 0; i-- {
		sink(heads, i)
	}
	written, done := r.cursor, r.cursor
	r.taken = taken{}
	for len(heads) > 0 {
		v := &views[heads[0].view]
		e := v.entries[0]
		if e.seq > horizon {
			break
		}
		if e.seq > written && !(v.expires && e.expired(now)) && !(r.bare && v.superseded(e, now)) {
			if frame := r.allowed(v, e.seq, v.buf[v.start:e.end]); frame != nil {
				line := v.line
				if !r.named {
					line = nil
				}
				if len(buf) > 0 && len(buf)+len(line)+len(frame) > maxBatch {
					done = min(done, e.seq-1) // another log's copy of it may have been passed over
					break
				}
				buf = append(buf, line...)
				if r.bare {
					buf = appendWithoutID(buf, frame)
				} else {
					buf = append(buf, frame...)
				}
				written = e.seq
				r.taken.add(v.topic, e, r.joined)
			}
		}
		done = e.seq
		v.start, v.entries = e.end, v.entries[1:]
		if v.keys != nil {
			v.keys = v.keys[1:]
		}
		if len(v.entries) > 0 {
			heads[0].seq = v.entries[0].seq
		} else {
			end := len(heads) - 1
			heads[0], heads = heads[end], heads[:end]
		}
		sink(heads, 0)
	}
	r.cursor = done
	r.batch.buf, r.batch.heads = buf, heads
	clear(r.views) // a slow write of the copy must not keep the originals
	return buf
}

// sink moves the head at i down to its place.
func sink(heads []head, i int) {
	for {
		least := 2*i + 1
		if least >= len(heads) {
			return
		}
		if least+1 < len(heads) && heads[least+1].before(heads[least]) {
			least++
		}
		if !heads[least].before(heads[i]) {
			return
		}
		heads[i], heads[least] = heads[least], heads[i]
		i = least
	}
}

// before takes an event that is in several logs from the first of them.
func (h head) before(other head) bool {
	return h.seq < other.seq || h.seq == other.seq && h.view < other.view
}

// allowed returns the frame as this reader may see it: nil, or without the lines
// of topics that it may not see, or has the event of in a snapshot. What a pattern
// has met is asked about; the rest was before the reader joined.
func (r *reader) allowed(v *view, seq uint64, frame []byte) []byte {
	if !v.pattern || r.allow == nil && seq > r.covered {
		return frame
	}
	var lines []byte // of the allowed topics
	denied := false
	rest := frame
	for {
		line, after, _ := bytes.Cut(rest, []byte{'\n'})
		name, ok := bytes.CutPrefix(line, []byte("topic: "))
		if !ok {
			break
		}
		if (r.allow == nil || r.allow(string(name))) && !r.has(string(name), seq) {
			lines = rest[:len(line)+1]
		} else {
			denied = true
		}
		rest = after
	}
	switch {
	case lines == nil:
		return nil
	case denied:
		return append(bytes.Clone(lines), rest...)
	default:
		return frame
	}
}

// has reports whether a snapshot that the reader got has the event.
func (r *reader) has(topic string, seq uint64) bool {
	for i := range r.seats { // not by value: others write where a seat waits
		if s := &r.seats[i]; seq <= s.from && s.topic.name == topic {
			return true
		}
	}
	return false
}

// release lets go of the logs' memory, and gives back what next lent, before a
// sleep.
func (r *reader) release() {
	if r.state != nil {
		r.state.release()
	}
	clear(r.views[:cap(r.views)])
	if r.batch != nil {
		if cap(r.batch.buf) == maxBatch && cap(r.batch.heads) <= maxHeads { // else grown for one huge event, or many topics
			batches.Put(r.batch)
		}
		r.batch = nil
	}
}
