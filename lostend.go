package ssehub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"
)

// An engine that has not written its newest events to the disk may come back without
// them, and use their numbers again. Its Broker is to tell that by another epoch, but
// some cannot know. A hub that has read those events can: the log ends before them, or
// has others in their places. It then takes the log for a new one, of the same name.

const (
	tailEvents = 4096             // are remembered
	shortFor   = 30 * time.Second // a log that ends too early for so long is not just behind
)

// tail is what a hub remembers of the events that it has read last.
type tail struct {
	seed  maphash.Seed
	marks []mark // a ring, of which that of the n-th event is at n%tailEvents
	n     int
	short time.Time // since when the log ends before the hub's head; zero if it does not
}

// mark is what tells an event from another one of its number.
type mark struct {
	seq, sum uint64
}

func (t *tail) add(e *Event) {
	if t.n == 0 {
		t.seed = maphash.MakeSeed()
	}
	m := t.mark(e)
	if t.n < tailEvents {
		t.marks = append(t.marks, m)
	} else {
		t.marks[t.n%tailEvents] = m
	}
	t.n++
}

func (t *tail) mark(e *Event) mark {
	sum := maphash.Bytes(t.seed, e.Message.Data) + uint64(e.Time.UnixMilli())
	for _, topic := range e.Topics {
		sum = sum*31 + maphash.String(t.seed, topic)
	}
	return mark{e.Position.Seq, sum}
}

// between returns the marks of events from first to last, oldest first.
func (t *tail) between(first, last uint64) (marks []mark) {
	for i := range t.marks {
		if m := t.marks[(t.n+i)%len(t.marks)]; first <= m.seq && m.seq <= last {
			marks = append(marks, m)
		}
	}
	return marks
}

// had returns the newest event that this hub has read, or been told to be in the log.
func (h *Hub) had() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.acked.Epoch != h.epoch {
		return h.head.Load()
	}
	return max(h.head.Load(), h.acked.Seq)
}

// compare has the hub begin anew if the log has lost the end that the hub had before it
// asked for bounds. An error says that it may have.
func (f *follower) compare(ctx context.Context, bounds Bounds, had uint64) error {
	h := f.hub
	if bounds.Epoch != h.epoch { // that is told anyway
		f.tail = tail{}
		return nil
	}
	head := h.head.Load()
	last := min(head, bounds.Last)
	same, err := f.same(ctx, bounds, last)
	switch {
	case err != nil:
		return err
	case same == head && had <= bounds.Last:
		f.tail.short = time.Time{}
		return nil
	case f.tail.short.IsZero():
		f.tail.short = time.Now()
	}
	if same == last && time.Since(f.tail.short) < shortFor {
		return fmt.Errorf("ssehub: broker's log ends at %d, and had %d", bounds.Last, had)
	}
	if len(f.tail.between(bounds.First, same)) == 0 {
		same = 0 // of all that is there nothing is known
	}
	f.tail = tail{}
	h.rewind(bounds.First, same, had)
	h.opts.Logger.Error("ssehub: broker's log has lost its end, and uses numbers again; who may have had it is told a gap",
		"after", same, "up to", had)
	return nil
}

// same returns up to which event, and at most up to last, the log is what the hub has
// read: zero if it is nowhere, as far as can be said.
func (f *follower) same(ctx context.Context, bounds Bounds, last uint64) (uint64, error) {
	marks := f.tail.between(bounds.First, last)
	if len(marks) == 0 {
		return last, nil // nothing says otherwise
	}
	kept, other, err := f.look(ctx, marks[len(marks)-1:])
	if err == nil && kept == 0 { // mostly that one is all
		_, other, err = f.look(ctx, marks)
	}
	switch {
	case err != nil:
		return 0, err
	case other == 0:
		return last, nil
	case other == marks[0].seq:
		return 0, nil
	default:
		return other - 1, nil
	}
}

// look returns how many of the events of marks the log still has up to the first that it
// has another one in place of, and the number of that, or zero. Those that are just
// missing say nothing: logs may have holes.
func (f *follower) look(ctx context.Context, marks []mark) (kept int, other uint64, err error) {
	sums := make(map[uint64]uint64, len(marks))
	for _, m := range marks {
		sums[m.seq] = m.sum
	}
	r := Range{After: Position{Epoch: f.hub.epoch, Seq: marks[0].seq - 1}, Until: marks[len(marks)-1].seq}
	for e, err := range f.hub.opts.Broker.Read(ctx, r) {
		if err != nil && !errors.Is(err, ErrInvalidEvent) {
			return 0, 0, err
		}
		switch sum, known := sums[e.Position.Seq]; {
		case !known:
		case sum != f.tail.mark(&e).sum:
			return kept, e.Position.Seq, nil
		case err == nil: // else it may be another one all the same
			kept++
		}
	}
	return kept, 0, nil
}

// lostEnd is what the log of this epoch had behind after, up to upTo, and has lost: ids
// from there are those of lost events, or of others.
type lostEnd struct {
	after, upTo uint64
}

// rewind takes the log, which is kept from first on and has lost what was behind same, up
// to had, for one that begins anew.
func (h *Hub) rewind(first, same, had uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.noNews() {
		return
	}
	lost := lostEnd{after: same, upTo: max(had, h.lostEnd.upTo)}
	if h.lostEnd.upTo > 0 {
		lost.after = min(same, h.lostEnd.after)
	}
	h.beginAnew(h.epoch, max(1, first)-1)
	h.lostEnd = lost
	h.acked = Position{}
	h.endNewsIfDue()
}

// isDoubtful reports whether a position of the log's epoch may be that of a lost event.
func (h *Hub) isDoubtful(pos Position) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return pos.Epoch == h.epoch && pos.Seq > h.lostEnd.after && pos.Seq <= h.lostEnd.upTo
}
