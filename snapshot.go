package ssehub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// A topic with a Snapshot has a state, of which its events are the changes. A
// reader that is new, or has lost some of them, gets the state as of a position
// N, and then what came behind N: a loss is then no harm. The reader waits for
// the function as for any news, so that heartbeats go on; any number of readers
// that wait at the same time share one call.

// Snapshot returns the state of a topic as one message, of at most MaxEventSize;
// see Options.SnapshotFor. A change must be in the state before it is published,
// or both must be one step under a lock that the Snapshot takes, too: then it also
// knows the Position of the newest change, and readers get exactly what came behind
// that. With a zero Position, or one of another epoch, the state is as of the
// call, and changes made during it may come once more. Its context ends after 30 s,
// and with the hub. Do not hold that lock in a Publish that waits, under Block.
type Snapshot func(ctx context.Context, topic string) (sse.Message, Position, error)

const (
	// snapshotTimeout is when the context of a Snapshot ends.
	snapshotTimeout = 30 * time.Second
	// maxFlights is how often a Snapshot is called for a reader whose topic drops
	// what came behind it each time.
	maxFlights = 3
)

// flight is a call of a Snapshot. What it brings is set before done is closed.
type flight struct {
	done  chan struct{}
	whole []byte // for readers of this topic alone, who share it
	frame []byte // but for the topics and the id
	upTo  uint64 // the state has all events up to it
	err   error

	waiting []*reader // guarded by Hub.mu
}

// awaited is a snapshot that a reader waits for.
type awaited struct {
	seat   *seat
	flight *flight // nil before the first call and for another one
	calls  int
}

// awaitSnapshots has r wait for the snapshots of those of seats that have one,
// and reports whether there is any.
func (r *reader) awaitSnapshots(seats []*seat) bool {
	for _, s := range seats {
		if s.snapshot != nil {
			r.awaited = append(r.awaited, awaited{seat: s})
		}
	}
	return len(r.awaited) > 0
}

func haveSnapshot(seats []*seat) bool {
	return slices.ContainsFunc(seats, func(s *seat) bool { return s.snapshot != nil })
}

// nextSnapshots returns the snapshots that r waits for once all are there, and
// nil before. Only the last has an id, as a client that is cut among them must
// get them all again; a new reader of several topics gets none, as the mark
// behind the state brings it.
func (r *reader) nextSnapshots() (frames []byte, err error) {
	if !r.landed() {
		return nil, nil
	}
	for i := range r.awaited {
		a := &r.awaited[i]
		f, s := a.flight, a.seat
		if f.err != nil {
			return nil, fmt.Errorf("ssehub: snapshot of %s: %w", s.topic.name, f.err)
		}
		if s.topic.lost() > f.upTo { // what came behind it is gone already
			if a.calls == maxFlights {
				return nil, fmt.Errorf("ssehub: snapshot of %s: slower than its history", s.topic.name)
			}
			a.flight = nil
		}
	}
	if !r.landed() {
		return nil, nil
	}
	id := r.cursor
	if len(r.seats) == 1 {
		id, r.fresh = r.awaited[0].flight.upTo, false // there is nothing else that the id would skip
	}
	for i, a := range r.awaited {
		a.seat.from = a.flight.upTo
		r.covered = max(r.covered, a.flight.upTo)
		a.seat.told = max(a.seat.told, a.flight.upTo)
		if r.named {
			frames = append(frames, a.seat.topic.line...)
		}
		if len(r.seats) == 1 {
			frames = a.flight.whole
			break
		}
		if i == len(r.awaited)-1 && !r.fresh {
			frames = appendWithID(frames, a.flight.frame, r.epoch, id)
		} else {
			frames = append(frames, a.flight.frame...)
		}
	}
	got := r.awaited
	r.awaited, r.cursor = nil, id
	if r.fresh {
		r.beginState(got)
	}
	return frames, nil
}

// landed reports whether all flights have ended. It calls the Snapshots of those
// that have none, and r is woken when they return.
func (r *reader) landed() bool {
	all := true
	for i := range r.awaited {
		a := &r.awaited[i]
		if a.flight == nil {
			a.flight = r.hub.fly(a.seat, r)
			a.calls++
		}
		select {
		case <-a.flight.done:
		default:
			all = false
		}
	}
	return all
}

// fly has r wait for a call of s's Snapshot, which may be under way.
func (h *Hub) fly(s *seat, r *reader) *flight {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := s.topic
	f := h.flights[t]
	if f == nil {
		f = &flight{done: make(chan struct{}), upTo: h.head.Load()}
		h.flights[t] = f
		snapshot, epoch := s.snapshot, h.epoch
		lost := t.lost() // it may be a bound for all topics; what was published before the call is in the state
		h.tasks.Go(func() {
			defer h.land(t, f) // even if the call ends its goroutine
			defer errorOf("the Broker", &f.err)
			f.run(h, snapshot, t.name, Position{Epoch: epoch, Seq: lost})
			if f.err != nil {
				return
			}
			at := Position{Epoch: epoch, Seq: f.upTo}
			verdict, err := h.judge(h.news, at, epoch, h.head.Load())
			if f.err = err; err == nil && verdict != sse.VerdictResumed {
				f.err = fmt.Errorf("no event is at its position %v", at)
			}
		})
	}
	f.waiting = append(f.waiting, r)
	return f
}

// land wakes who waits for f.
func (h *Hub) land(t *topic, f *flight) {
	h.mu.Lock()
	delete(h.flights, t)
	waiting := f.waiting
	f.waiting = nil
	awaited := h.topics[t.name] == t && h.news.Err() == nil // else its readers have gone on, or are ending
	h.mu.Unlock()
	if f.err != nil && awaited {
		h.opts.Logger.Error("ssehub: snapshot failed, its readers are ended", "topic", t.name, "error", f.err)
	}
	close(f.done)
	for _, r := range waiting {
		r.wakeUp()
	}
}

// run calls the application. What has happened up to a position is in the state in
// any case.
func (f *flight) run(h *Hub, snapshot Snapshot, topic string, least Position) {
	ctx, cancel := context.WithTimeout(h.news, snapshotTimeout)
	defer cancel()
	f.err = errors.New("it has ended its goroutine") // unless it returns
	defer errorOf("the Snapshot", &f.err)
	m, at, err := snapshot(ctx, topic)
	if f.err = err; err != nil {
		return
	}
	if size, limit := len(m.Data)+len(m.Type), h.opts.MaxEventSize; limit > 0 && size > limit {
		f.err = fmt.Errorf("%d bytes, MaxEventSize is %d", size, limit)
		return
	}
	if at.Epoch == least.Epoch && !h.isDoubtful(at) {
		f.upTo = max(at.Seq, least.Seq)
	}
	if f.frame, f.err = appendFrame(nil, &m); f.err == nil {
		f.whole = appendWithID(nil, f.frame, least.Epoch, f.upTo)
	}
}
