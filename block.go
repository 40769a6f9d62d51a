package ssehub

import (
	"math"
	"sync/atomic"
)

// Under Block a publisher waits until every reader has got what its event would
// push out of the window. Readers say how far they are when they come back for
// more, that is when the last they took is written.

// block is what a topic under Block has besides its window.
type block struct {
	wanted atomic.Bool // a publisher waits, and no reader has heard of it yet

	// Guarded by Hub.mu.
	readers map[*reader]struct{}
	safe    uint64        // all readers have got what is up to it; 0 when one joins
	room    chan struct{} // closed when a reader has moved, for who waits
}

// full is that of t, of further topics, and of the patterns that they meet. It
// needs Hub.mu.
func (h *Hub) full(t *topic, further []string, size int) <-chan struct{} {
	if room := t.full(size, h.opts.History); room != nil {
		return room
	}
	for _, p := range h.patternsOf(t) {
		if room := p.full(size, h.opts.History); room != nil {
			return room
		}
	}
	if len(further) > 0 {
		return h.full(h.topics[further[0]], further[1:], size)
	}
	return nil
}

// full returns a channel to wait on if the readers need the room that size bytes
// more would take. It needs Hub.mu.
func (t *topic) full(size int, keep Retention) <-chan struct{} {
	b := t.block
	if b == nil {
		return nil
	}
	drops := t.drops(size, keep)
	if drops <= b.safe {
		return nil
	}
	b.wanted.Store(true) // before looking: a reader stores its place before it looks here
	b.safe = math.MaxUint64
	for r := range b.readers {
		b.safe = min(b.safe, r.got.Load())
	}
	if drops <= b.safe {
		b.wanted.Store(false)
		return nil
	}
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return b.room
}

// drops returns the newest event that an append of size bytes would push out of
// the window, or 0. It needs Hub.mu.
func (t *topic) drops(size int, keep Retention) (newest uint64) {
	events, bytes := t.events+1, t.bytes+int64(size)
	for _, s := range *t.segments.Load() {
		entries := s.final()
		for i := s.first; i < len(entries); i++ {
			if !(keep.Events > 0 && events > keep.Events || keep.Bytes > 0 && bytes > keep.Bytes) {
				return newest
			}
			newest = entries[i].seq
			events--
			bytes -= int64(entries[i].end - start(entries, i))
		}
	}
	return newest
}

// sit adds r to the readers who are waited for. It needs Hub.mu.
func (b *block) sit(r *reader) {
	r.blocks = true
	b.readers[r] = struct{}{}
	b.safe = 0
}

// moved says how far r is, and lets publishers who wait for it look again.
func (r *reader) moved() {
	r.got.Store(r.cursor)
	if !r.blocks {
		return
	}
	for i := range r.seats {
		if b := r.seats[i].topic.block; b != nil && b.wanted.Load() {
			r.hub.mu.Lock()
			b.makeRoom()
			r.hub.mu.Unlock()
		}
	}
}

// makeRoom wakes the publishers. It needs Hub.mu.
func (b *block) makeRoom() {
	b.wanted.Store(false)
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}
