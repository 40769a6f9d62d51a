package ssehub

import "slices"

// A pattern's log begins when the first reader asks for the pattern. A reader
// that comes back from before that is late: what it has missed is in the logs of
// the topics, and it reads those first, up to where the patterns' logs begin.
// There all topics are known, as new ones have only newer events.

// lookUpPast finds the topics that the reader's patterns match, if the cursor is
// behind where a pattern's log begins. It returns the seats of such patterns if a
// topic of theirs may have been forgotten, with events behind the cursor.
func (r *reader) lookUpPast() (late []*seat) {
	for i := range r.seats {
		s := &r.seats[i]
		if begins := s.topic.dropped.Load(); s.topic.pattern && begins > r.cursor {
			s.late = true
			r.pastTo = max(r.pastTo, begins)
			late = append(late, s)
		}
	}
	if len(late) == 0 {
		return nil
	}
	h := r.hub
	h.mu.Lock()
	all := slices.Clone(h.all) // a million pointers take some milliseconds
	floor := h.forgotten
	h.mu.Unlock()
	r.past = []seat{} // not nil, even if it stays empty
	for _, t := range all {
		if !t.pattern && r.meets(t.name) && (r.allow == nil || r.allow(t.name)) {
			r.past = append(r.past, seat{topic: t, reader: r})
		}
	}
	r.trimPast()
	if floor <= r.cursor {
		return nil
	}
	for _, s := range late {
		s.told = min(floor, r.pastTo)
	}
	return late
}

// meets reports whether a late pattern matches a topic that has no seat.
func (r *reader) meets(topic string) bool {
	late := false
	for i := range r.seats {
		s := &r.seats[i]
		if s.topic.name == topic {
			return false
		}
		late = late || s.late && matches(s.topic.name, topic)
	}
	return late
}

// trimPast drops what is too old, in steps like the sweep's.
func (r *reader) trimPast() {
	h := r.hub
	for seats := range slices.Chunk(r.past, sweepStep) {
		h.mu.Lock()
		for i := range seats {
			seats[i].topic.trim(h.now(), h.opts.History)
		}
		h.mu.Unlock()
	}
}

// lookBack is look before the late patterns' own logs. What the topics have
// dropped since is in those, so that only losses up to there count.
func (r *reader) lookBack() (views []view, lost []*seat, floor uint64) {
	_, lost, floor = r.lookAll(r.seats, r.pastTo, nil, max(r.cursor, r.pastTo))
	for i := range r.past {
		s := &r.past[i]
		v, dropped := s.topic.after(r.cursor, r.pastTo)
		if dropped = min(dropped, r.pastTo); dropped > max(r.cursor, s.told) {
			s.told = dropped
			lost = append(lost, s)
		}
		floor = r.addView(v, floor)
	}
	return r.views, lost, floor
}
