package ssehub

import "github.com/ssehub-go/ssehub/sse"

// A new reader first gets the newest event of each key of its topics under
// Latest, as of the head at which it joins. These events are sent without ids: a
// client that is cut among them has none, and begins anew, while the id of an old
// one would bring it the other topics' events from back then. The mark behind
// them brings the id from which it can resume.

// lookUpState prepares for that, and reports whether there is any such topic.
func (r *reader) lookUpState(head uint64) bool {
	var seats []seat
	patterns := false
	for i := range r.seats {
		t := r.seats[i].topic
		if t.pattern {
			patterns = true
			r.seats[i].late = true // for meets
		} else if t.latest != nil {
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
	if len(seats) > 0 {
		// Its cursor is at zero, and told at what is no loss of a topic.
		r.state = &reader{hub: r.hub, seats: seats, bare: true, named: r.named, joined: head}
		r.stateTo = head
	}
	return len(seats) > 0
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
	if len(lost) > 0 { // by the bounds of keys, before or while this reader came to them
		var b []byte
		for _, seat := range lost {
			gap := sse.Gap{Reason: sse.ReasonWindow, From: r.position(s.cursor).String(), To: r.position(seat.told).String(), Topic: seat.topic.name}
			b = r.appendGap(b, seat.topic, gap, Position{})
		}
		return b
	}
	if len(views) == 0 {
		s.release()
		r.state = nil
		return appendControl(nil, sse.TypeMark, r.position(r.stateTo), sse.Mark{Reason: sse.ReasonState})
	}
	frames := s.merge(views)
	r.taken = s.taken
	return frames
}
