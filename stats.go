package ssehub

import (
	"iter"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// TopicStats is a snapshot of one topic or pattern. What it counts begins anew
// with a topic that was out of memory.
type TopicStats struct {
	Topic       string
	Pattern     bool
	Policy      Overflow
	Subscribers int
	First       Position // of the oldest event that is kept; zero if none is
	Last        Position // of the newest such
	Events      int      // kept
	Bytes       int64    // of these, encoded, and of ephemeral ones
	Published   uint64   // events, ephemeral ones too
	// Lag is how many of the kept events the slowest subscriber has not got, and
	// LagTime how long ago the oldest of these was published.
	Lag     int
	LagTime time.Duration
	// GapsByReason are the gaps told of this topic, with sse.ReasonWindow and
	// sse.ReasonOverflow as keys. The other reasons are of no one topic.
	GapsByReason map[string]uint64
	// Latency is that of Stats, of the writes whose oldest event was of this topic
	// or, for the readers of a pattern, of this pattern.
	Latency Histogram
}

// TopicStats returns a snapshot of a topic or pattern, or false if it is not in
// memory. It looks at all subscribers of the hub, under its lock for some 20 ns
// each.
func (h *Hub) TopicStats(topic string) (TopicStats, bool) {
	h.mu.Lock()
	t := h.topics[topic]
	if t == nil {
		h.mu.Unlock()
		return TopicStats{}, false
	}
	s := h.topicStats(t)
	readers := h.readerList()
	h.mu.Unlock()
	t.measure(&s, slowest(readers)[t], h.now())
	return s, true
}

// Topics returns a snapshot of each topic and pattern in memory, in no order. It
// looks at all subscribers once, as TopicStats, then at the topics, some at a
// time and under no lock between, so that publishers never wait for a million.
// So a topic that comes into being meanwhile, or that takes the place of one
// that is forgotten, may be left out; none comes twice. The Lag of each is that
// of the subscriber that was its slowest as the walk began.
func (h *Hub) Topics() iter.Seq[TopicStats] {
	return func(yield func(TopicStats) bool) {
		h.mu.Lock()
		readers := h.readerList()
		h.mu.Unlock()
		slow := slowest(readers)
		topics := make([]*topic, 0, sweepStep)
		stats := make([]TopicStats, 0, sweepStep)
		for i := 0; ; i += sweepStep {
			topics, stats = topics[:0], stats[:0]
			h.mu.Lock()
			for _, t := range h.all[min(i, len(h.all)):min(i+sweepStep, len(h.all))] {
				topics = append(topics, t)
				stats = append(stats, h.topicStats(t))
			}
			now := h.now()
			h.mu.Unlock()
			if len(topics) == 0 {
				return
			}
			for i, t := range topics {
				if t.measure(&stats[i], slow[t], now); !yield(stats[i]) {
					return
				}
			}
		}
	}
}

// topicStats returns what h.mu guards of a topic.
func (h *Hub) topicStats(t *topic) TopicStats {
	s := TopicStats{Topic: t.name, Pattern: t.pattern, Policy: t.policy, Subscribers: t.readers, Published: t.published}
	s.Events, s.Bytes = t.kept()
	first, last := t.span()
	if s.Events > 0 {
		s.First = Position{Epoch: h.epoch, Seq: first}
		s.Last = Position{Epoch: h.epoch, Seq: last}
	}
	return s
}

// span returns the oldest and the newest event that are kept, if any. It needs
// Hub.mu.
func (t *topic) span() (first, last uint64) {
	var front []*segment
	if t.latest != nil {
		front = t.latest.front.Load().segments
	}
	window := *t.segments.Load()
	if t.events > 0 {
		first = window[0].final()[window[0].first].seq
		entries := window[len(window)-1].final()
		last = entries[len(entries)-1].seq
	}
	if len(front) > 0 {
		first = front[0].final()[0].seq
		entries := front[len(front)-1].final()
		last = max(last, entries[len(entries)-1].seq)
	}
	return first, last
}

// measure adds what no lock guards; slow is the slowest reader, or nil.
func (t *topic) measure(s *TopicStats, slow *reader, now time.Duration) {
	if slow != nil {
		s.Lag, s.LagTime = t.lag(slow.got.Load(), now)
	}
	s.GapsByReason = make(map[string]uint64, 2)
	m := t.meter.Load()
	for i, reason := range gapReasons[:2] {
		s.GapsByReason[reason] = 0
		if m != nil {
			s.GapsByReason[reason] = m.gaps[i].Load()
		}
	}
	if m != nil {
		s.Latency = m.latency.snapshot()
	}
}

// lag returns how many kept events lie behind what a reader has got, and how old
// the oldest of them is. Any goroutine may call it.
func (t *topic) lag(got uint64, now time.Duration) (events int, age time.Duration) {
	segments := *t.segments.Load() // before dropped and front, as in after
	var newest []entry             // too, as what comes later may be dropped later
	if n := len(segments); n > 0 {
		segments, newest = segments[:n-1], segments[n-1].final()
	}
	behind := max(got, t.dropped.Load())
	if t.latest != nil {
		front := t.latest.front.Load()
		events, age = lagIn(front.segments, got, now)
		behind = max(got, front.upTo)
	}
	n, old := lagIn(segments, behind, now)
	last, young := lagOf(newest, behind, now)
	return events + n + last, max(age, old, young)
}

func lagIn(segments []*segment, got uint64, now time.Duration) (events int, age time.Duration) {
	for _, s := range segments {
		n, old := lagOf(s.final(), got, now)
		events, age = events+n, max(age, old)
	}
	return events, age
}

func lagOf(entries []entry, got uint64, now time.Duration) (events int, age time.Duration) {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > got })
	if i == len(entries) {
		return 0, 0
	}
	return len(entries) - i, max(0, now-entries[i].at)
}

// seated is a reader with the seats that it has at a time.
type seated struct {
	*reader
	seats []seat // which do not change their topics
}

// readerList needs h.mu.
func (h *Hub) readerList() []seated {
	list := make([]seated, 0, len(h.readers))
	for r := range h.readers {
		list = append(list, seated{r, r.seats})
	}
	return list
}

// slowest returns of each topic that is read the reader that is behind the
// others. One that has left has got everything.
func slowest(readers []seated) map[*topic]*reader {
	slow := make(map[*topic]*reader)
	for _, r := range readers {
		for i := range r.seats {
			t := r.seats[i].topic
			if s := slow[t]; s == nil || r.got.Load() < s.got.Load() {
				slow[t] = r.reader
			}
		}
	}
	return slow
}

// gapReasons of a hub; the first two are of one topic.
var gapReasons = [...]string{sse.ReasonWindow, sse.ReasonOverflow, sse.ReasonEpoch, sse.ReasonInvalid, sse.ReasonAhead}

// meter is what readers count, of a topic or of all.
type meter struct {
	gaps    [len(gapReasons)]atomic.Uint64
	latency histogram
	events  atomic.Uint64 // of all alone
	bytes   atomic.Uint64
}

// metered returns t's meter, which it has only once there is something to
// count, as most of a million topics have nobody to read them.
func (t *topic) metered() *meter {
	if m := t.meter.Load(); m != nil {
		return m
	}
	t.meter.CompareAndSwap(nil, new(meter))
	return t.meter.Load()
}

// countGap counts a gap, of one topic or of all.
func (r *reader) countGap(reason string, t *topic) {
	i := slices.Index(gapReasons[:], reason)
	r.hub.meter.gaps[i].Add(1)
	if t != nil {
		t.metered().gaps[i].Add(1)
	}
}

// taken is what a reader has taken of the logs and not written yet.
type taken struct {
	events int
	live   *topic        // of the oldest event that was published since the reader joined, if any
	at     time.Duration // of that event
}

// add notes that an event is taken.
func (t *taken) add(of *topic, e entry, joined uint64) {
	t.events++
	if t.live == nil && e.seq > joined {
		t.live, t.at = of, e.at
	}
}

// takeView notes that the frames of v are taken.
func (r *reader) takeView(v *view) {
	r.taken = taken{events: len(v.entries)}
	if v.last() <= r.joined {
		return
	}
	i := 0
	for v.entries[i].seq <= r.joined { // at most once in a reader's life there is any
		i++
	}
	r.taken.live, r.taken.at = v.topic, v.entries[i].at
}

// written notes that the size bytes of the last next were written, and tells the
// hooks.
func (r *reader) written(size int) {
	r.moved() // before the hooks, which may publish under Block
	w := WriteInfo{Bytes: size}
	m := r.hub.meter
	r.wrote = r.hub.now()
	m.bytes.Add(uint64(size))
	if len(r.ahead) == 0 { // else what is taken comes behind what was written
		w.Events = r.taken.events
		m.events.Add(uint64(w.Events))
		if t := r.taken.live; t != nil {
			w.Live, w.Latency = true, r.wrote-r.taken.at
			m.latency.add(w.Latency)
			t.metered().latency.add(w.Latency)
		}
		r.taken = taken{}
	}
	if r.gaps != nil {
		r.traceGaps()
	}
	r.traceWritten(w)
}
