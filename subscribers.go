package ssehub

import (
	"iter"
	"math"
	"time"
)

// SubscriberStats is a snapshot of a stream or a Subscription. It has no address of
// the client: the hub keeps none.
type SubscriberStats struct {
	Topics   []string      // and patterns; the caller may keep it
	Conn     string        // id of the stream, as in sse.Hello; empty in process
	Subject  string        // of the Grant, if any
	Verdict  string        // that it began with, one of the sse.Verdict constants
	Age      time.Duration // since it began
	Position Position      // up to which it has got everything; zero while it joins a log that begins anew
	// Lag is how many of the kept events of its topics it has not got, and LagTime
	// how long ago the oldest of these was published.
	Lag     int
	LagTime time.Duration
}

// Subscribers returns a snapshot of each subscriber, in no order. It holds the hub's
// lock for some 20 ns for each at first, then for some at a time, and looks at their
// topics under no lock. Who joins meanwhile is left out; who leaves may be.
func (h *Hub) Subscribers() iter.Seq[SubscriberStats] {
	return func(yield func(SubscriberStats) bool) {
		h.mu.Lock()
		readers := h.readerList()
		h.mu.Unlock()
		some := make([]seated, 0, sweepStep)
		stats := make([]SubscriberStats, 0, sweepStep)
		for len(readers) > 0 {
			n := min(sweepStep, len(readers))
			some, stats = some[:0], stats[:0]
			h.mu.Lock()
			now := h.now()
			for _, r := range readers[:n] {
				if _, ok := h.readers[r.reader]; ok {
					some = append(some, r)
					stats = append(stats, r.stats(now))
				}
			}
			h.mu.Unlock()
			for i, r := range some {
				if r.measure(&stats[i], now); !yield(stats[i]) {
					return
				}
			}
			readers = readers[n:]
		}
	}
}

// stats returns what Hub.mu guards of a reader that has begun.
func (r *reader) stats(now time.Duration) SubscriberStats {
	s := SubscriberStats{Conn: r.id, Verdict: r.verdict, Age: now - r.began}
	if r.admission != nil {
		s.Subject = r.admission.subject
	}
	if got := r.got.Load(); got != math.MaxUint64 {
		s.Position = r.position(got)
	}
	return s
}

// measure adds what no lock guards.
func (r seated) measure(s *SubscriberStats, now time.Duration) {
	got := r.got.Load()
	s.Topics = make([]string, len(r.seats))
	for i := range r.seats {
		t := r.seats[i].topic
		s.Topics[i] = t.name
		events, age := t.lag(got, now)
		s.Lag += events
		s.LagTime = max(s.LagTime, age)
	}
}
