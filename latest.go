package ssehub

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The log of a topic under Latest is compacted: an event that leaves the window
// is dropped if a newer one has its key, and else kept in front of the window. A
// cursor that has fallen off the window, or begins at zero, meets the newest
// event of each key there, and then the window. A new reader leaves out what is
// superseded in the window, too; nothing else in the hub knows about keys.
//
// Compacting copies what it keeps. So that this costs each event a copy or two,
// it waits until there is as much to look at as it kept the last time.

// latest is what a topic under Latest has besides its window.
type latest struct {
	front atomic.Pointer[front]
	begin uint64 // no event of the topic is lost up to it, as far as new readers are concerned

	// Guarded by Hub.mu.
	keys   map[string]*key
	behind []place // what trim takes from the window
}

// key is one key of a topic.
type key struct {
	name   string
	newest atomic.Uint64 // event; stored before that can be seen, under Hub.mu
}

// place is that of an event in memory.
type place struct {
	segment *segment
	index   int
}

// front is what lies before the window. It does not change.
type front struct {
	segments []*segment
	upTo     uint64 // holds the newest event of each key up to it, or lies in the window
	lost     uint64 // newest event that was dropped without a newer one of its key
	ended    uint64 // newest event that was dropped as its TTL had passed: who has an older value must hear of it
	events   int
	bytes    int64
}

func newLatest(lost uint64) *latest {
	l := &latest{keys: make(map[string]*key), begin: lost}
	l.front.Store(&front{lost: lost})
	return l
}

// note returns the key, and that the event is the newest of it.
func (l *latest) note(name string, seq uint64) *key {
	k := l.keys[name]
	if k == nil {
		k = &key{name: strings.Clone(name)}
		l.keys[k.name] = k
	}
	k.newest.Store(seq)
	return k
}

// due reports whether enough is above the retention for a compaction to pay.
func (l *latest) due(t *topic, now time.Duration, keep Retention) bool {
	front := l.front.Load()
	oldest := (*t.segments.Load())[0]
	return keep.Events > 0 && t.events-keep.Events > max(front.events, keep.Events/8) ||
		keep.Bytes > 0 && t.bytes-keep.Bytes > max(front.bytes, keep.Bytes/8) ||
		keep.Age > 0 && now-oldest.final()[oldest.first].at >= keep.Age+keep.Age/4
}

// take adds the entries from i up to end to what leaves the window.
func (l *latest) take(s *segment, i, end int) {
	for ; i < end; i++ {
		l.behind = append(l.behind, place{s, i})
	}
}

// compact makes the front of a topic under Latest anew, from what it was and what
// left the window. It needs Hub.mu.
func (t *topic) compact(now time.Duration, keep Retention, least int) {
	l := t.latest
	old := l.front.Load()
	places := make([]place, 0, len(l.keys))
	var bytes int64
	ended := old.ended
	add := func(s *segment, i int) {
		entries, k := s.final(), (*s.keys.Load())[i]
		switch {
		case k.newest.Load() != entries[i].seq: // a newer one has the key
		case entries[i].expired(now):
			delete(l.keys, k.name)
			ended = max(ended, entries[i].seq)
		default:
			places = append(places, place{s, i})
			bytes += int64(entries[i].end - start(entries, i))
		}
	}
	for _, s := range old.segments {
		for i := range s.final() {
			add(s, i)
		}
	}
	next := &front{lost: old.lost, upTo: old.upTo}
	for _, p := range l.behind {
		add(p.segment, p.index)
		next.upTo = p.segment.final()[p.index].seq
	}
	next.ended = ended
	clear(l.behind)
	l.behind = l.behind[:0]
	for keep.Events > 0 && len(places) > keep.Events || keep.Bytes > 0 && bytes > keep.Bytes && len(places) > least {
		s, i := places[0].segment, places[0].index
		entries := s.final()
		next.lost = entries[i].seq
		bytes -= int64(entries[i].end - start(entries, i))
		delete(l.keys, (*s.keys.Load())[i].name)
		places = places[1:]
	}
	for _, p := range places {
		next.add(p)
	}
	l.front.Store(next)
	t.count(next.events-old.events, next.bytes-old.bytes)
}

// lose has readers told of a loss up to seq, which is behind all that there was.
func (l *latest) lose(seq uint64) {
	f := *l.front.Load()
	f.lost = seq
	l.front.Store(&f)
}

// expired reports whether there is anything in f that need not be.
func (f *front) expired(now time.Duration) bool {
	for _, s := range f.segments {
		if slices.ContainsFunc(s.final(), func(e entry) bool { return e.expired(now) }) {
			return true
		}
	}
	return false
}

// superseded reports whether v's first entry, e, says nothing of its key any more.
func (v *view) superseded(e entry, now time.Duration) bool {
	return v.keys != nil && (v.keys[0].newest.Load() > e.seq || e.expired(now))
}

// hasLost reports whether a value was dropped without a newer one, by the bounds,
// while other topics' were not.
func (l *latest) hasLost(all uint64) bool {
	return l.front.Load().lost > max(l.begin, all)
}

// add copies an event that is newer than all in f.
func (f *front) add(p place) {
	entries := p.segment.final()
	e := entries[p.index]
	frame := p.segment.buf[start(entries, p.index):e.end]
	var s *segment
	if n := len(f.segments); n > 0 {
		s = f.segments[n-1]
	}
	if s == nil || !s.fits(len(frame)) {
		s = newSegment(len(frame), s)
		f.segments = append(f.segments, s)
	}
	s.used += copy(s.buf[s.used:], frame)
	s.add(entry{seq: e.seq, at: e.at, end: uint32(s.used), ttl: e.ttl}, (*p.segment.keys.Load())[p.index])
	f.events++
	f.bytes += int64(len(frame))
}
