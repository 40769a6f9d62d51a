package ssehub

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Who has news is woken off the publishers' goroutines, in batches, by a waker
// that lives while there is something to wake. Where a connection takes what is
// new at once, the waker writes it itself: that saves waking a goroutine for each
// delivery, which costs a third of it (measured: see CHANGELOG). Nobody waits for
// anybody in that: who has more to write than the socket takes, or anything that is
// not plain news, is left to its own goroutine.

const (
	share = 64 // readers make it worth to have one more goroutine wake them
	grain = 8  // readers go to one goroutine at a time: what the kernel preempts holds up no more
)

// wake leaves the waking of t's readers to the waker. It needs h.mu.
func (h *Hub) wake(t *topic) {
	h.dirty = append(h.dirty, t)
	if !h.waking {
		h.waking = true
		h.tasks.Add(1)
		go h.waker() // a func that is there: a closure would be an allocation for each
	}
}

func (h *Hub) runWaker() {
	defer h.tasks.Done()
	for {
		h.mu.Lock()
		dirty := h.dirty
		if len(dirty) == 0 {
			h.waking = false
			h.mu.Unlock()
			return
		}
		h.dirty, h.spare = h.spare, nil
		h.mu.Unlock()
		readers := h.woken[:0]
		for i, t := range dirty {
			readers = t.takeWaiting(readers)
			dirty[i] = nil
		}
		h.spare = dirty[:0]
		rouse(readers)
		clear(readers)
		if h.woken = readers; cap(readers) > 2*len(readers)+64 {
			h.woken = nil // a crowd that has left
		}
	}
}

// rouse has readers get their news.
func rouse(readers []*reader) {
	workers := min(runtime.GOMAXPROCS(0), len(readers)/share)
	if workers < 2 {
		for _, r := range readers {
			r.rouse()
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				end := int(next.Add(grain))
				if end-grain >= len(readers) {
					return
				}
				for _, r := range readers[end-grain : min(end, len(readers))] {
					r.rouse()
				}
			}
		})
	}
	all.Wait()
}

// rouse has r get its news: now if that needs no waiting, else by its goroutine.
func (r *reader) rouse() {
	if r.conn != nil && r.driving.TryLock() {
		done := r.direct && r.push()
		r.driving.Unlock()
		if done {
			return
		}
	}
	r.wakeUp()
}

// wakeUp wakes r's goroutine.
func (r *reader) wakeUp() {
	if r.conn != nil {
		r.conn.Wake()
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // it knows
	}
}

// push writes what r has news of, without waiting for anything, and reports
// whether r may sleep on. It needs r.driving.
func (r *reader) push() bool {
	if r.rest != nil || r.failed != nil || r.ending.Load() != nil || r.hasMore() || r.life != r.hub.life.Load() {
		return false // rest: another of its topics has news while its goroutine is on its way
	}
	frames, err := r.read() // to join again is for its goroutine, as it asks the application
	if err != nil {
		r.failed = err
		return false
	}
	if frames != nil {
		n, err := r.conn.TryWriteFrames(frames)
		if err != nil {
			r.failed = err
			return false
		}
		if n < len(frames) {
			r.rest, r.restOf = frames[n:], len(frames)
			return false
		}
		r.written(len(frames))
	}
	return !r.hasMore() && r.park()
}

// hasMore reports whether r has something to write that is not in its logs.
func (r *reader) hasMore() bool {
	return r.control != nil || r.ahead != nil || r.recall != nil || r.awaited != nil || r.state != nil
}

// wakeAll has every stream look whether there is an end. Those in process do by
// themselves.
func (h *Hub) wakeAll() {
	h.mu.Lock()
	conns := make([]*reader, 0, len(h.readers))
	for r := range h.readers {
		if r.conn != nil {
			conns = append(conns, r)
		}
	}
	h.mu.Unlock()
	for _, r := range conns {
		r.wakeUp()
	}
}
