package ssehub

import (
	"slices"

	"github.com/ssehub-go/ssehub/sse"
)

// A new reader first gets the newest event of each key of its topics under
// Latest, as of the head at which it joins, unless that has expired. These events
// are sent without ids: a client that is cut among them has none, and begins
// anew, while the id of an old one would bring it the other topics' events from
// back then. The mark behind them brings the id from which it can resume.

// beginState prepares for that behind the snapshots of some topics: what came
// since then, or since r has joined, is a part of the state. If there is a state
// it goes on.
func (r *reader) beginState(got []awaited) {
	r.fresh = false
	head := r.hub.head.Load()
	if r.state != nil {
		for _, a := range got {
			i := slices.IndexFunc(r.state.seats, func(s seat) bool { return s.topic == a.seat.topic })
			r.state.seats[i].from, r.state.seats[i].told = a.seat.from, a.seat.from
		}
		r.state.covered = r.covered
		r.stateTo = head
		return
	}
	since := r.cursor
	seats := r.latestSeats()
	for i := range r.seats {
		switch s := &r.seats[i]; {
		case s.snapshot != nil:
			seats = append(seats, seat{topic: s.topic, from: s.from, told: s.from})
		case s.topic.latest == nil:
			seats = append(seats, seat{topic: s.topic, from: since, told: since})
		}
	}
	r.setState(seats, since, head)
}

// lookUpState prepares for that, and reports whether there is any topic under
// Latest.
func (r *reader) lookUpState(head uint64) bool {
	seats := r.latestSeats()
	if len(seats) > 0 {
		r.setState(seats, head, head)
	}
	return len(seats) > 0
}

// setState has r read seats up to a position first. Each seat has its own place to
// begin at, and told at what is no loss of its topic.
func (r *reader) setState(seats []seat, joined, upTo uint64) {
	r.state = &reader{
		standing: standing{seats: seats, joined: joined, covered: r.covered},
		hub:      r.hub, allow: r.allow, bare: true, named: r.named,
	}
	r.stateTo = upTo
}

// latestSeats returns seats at the topics under Latest that r reads, also through
// patterns, but for those that have a snapshot.
func (r *reader) latestSeats() (seats []seat) {
	patterns := false
	for i := range r.seats {
		t := r.seats[i].topic
		if t.pattern {
			patterns = true
			r.seats[i].late = true // for meets
		} else if t.latest != nil && r.seats[i].snapshot == nil {
			seats = append(seats, seat{topic: t, told: t.latest.begin})
		}
	}
	if patterns {
		for _, t := range r.hub.latestTopics() {
			if r.meets(t.name) && (r.allow == nil || r.allow(t.name)) {
				seats = append(seats, seat{topic: t, told: t.latest.begin})
			}
		}
		for i := range r.seats {
			r.seats[i].late = false
		}
	}
	return seats
}

// latestTopics returns the topics under Latest.
func (h *Hub) latestTopics() (topics []*topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.latest == 0 {
		return nil
	}
	for _, t := range h.all { // a million take some milliseconds
		if t.latest != nil { // never a pattern
			topics = append(topics, t)
		}
	}
	return topics
}

// nextState is next as long as there is state.
func (r *reader) nextState() []byte {
	s := r.state
	s.views = s.views[:0]
	views, lost, _ := s.lookAll(s.seats, r.stateTo, nil, 0)
	if len(lost) > 0 { // before or while this reader came to them
		var b []byte
		for _, l := range lost {
			gap := sse.Gap{Reason: sse.ReasonWindow, From: r.position(s.cursor).String(), To: r.position(l.told).String(), Topic: l.topic.name}
			b = r.appendGap(b, l.topic, gap, Position{})
			for i := range r.seats { // another snapshot goes on with the state
				if r.seats[i].topic == l.topic {
					r.fresh = r.awaitSnapshots([]*seat{&r.seats[i]})
				}
			}
		}
		return b
	}
	if len(views) == 0 {
		s.release()
		r.state = nil
		r.cursor = max(r.cursor, r.stateTo)
		return appendControl(nil, sse.TypeMark, r.position(r.stateTo), sse.Mark{Reason: sse.ReasonState})
	}
	frames := s.merge(views)
	r.taken = s.taken
	return frames
}
