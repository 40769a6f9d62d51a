package ssehub

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// topic is the log of one topic, or pattern: the frames of its window, encoded
// once, in segments that are contiguous in memory.
//
// Whoever holds Hub.mu is its only writer. Readers take no lock: with a
// thousand of them on a lock, a publisher that needs it too waits until each
// has had its turn (measured: up to 400 ms on two cores). What they see is
// final before an atomic store publishes it: an append stores the entry, its
// segment if that is new, then last; a trim stores dropped, then segments. A
// reader loads segments before dropped, so it may take an event for lost that
// it could still have had, but never misses one without seeing it as lost.
//
// Segments that are dropped are left to the garbage collector. A slow write
// pins the one segment it is about, and nothing behind it.
type topic struct {
	name   string
	line   []byte // "topic: name\n", for readers of several topics
	policy Overflow
	block  *block  // under Block
	latest *latest // under Latest; what leaves the window goes there

	ephemeral atomic.Pointer[topic] // the log of such events, while there are any

	expires  atomic.Bool                // there was an event with a TTL; set before it can be seen
	segments atomic.Pointer[[]*segment] // oldest first; a new slice for every change
	last     atomic.Uint64              // newest event ever, kept or not
	dropped  atomic.Uint64              // newest event that is no longer kept, or 0

	// Guarded by Hub.mu.
	once      once
	index     int // in Hub.all
	events    int // in the window
	bytes     int64
	total     *total // of the hub; kept is a part of it
	copies    bool   // the events count elsewhere
	readers   int
	published uint64        // events, ever
	idle      time.Duration // when it was last of use: a reader left or, unless it is a pattern, an event came

	patterns []*topic // that match, as of matched
	matched  uint64   // version of Hub.patterns

	meter   atomic.Pointer[meter] // what readers count; nil until they do
	armed   atomic.Bool           // readers wait, and the waker was not told yet
	waitMu  sync.Mutex            // guards waiting; never taken under Hub.mu
	pattern bool                  // the frames have their line already; here it takes no room
	waiting []*seat               // readers asleep until there is news
	round   atomic.Uint64         // counts how often the waker took waiting away; written under waitMu
	spare   []*seat               // the waker's: storage for the next waiting
}

func newTopic(name string, policy Overflow, dropped uint64, total *total) *topic {
	t := &topic{name: name, line: []byte("topic: " + name + "\n"), policy: policy, total: total}
	switch policy {
	case Latest:
		t.latest = newLatest(dropped)
	case Block:
		t.block = &block{readers: make(map[*reader]struct{})}
	}
	t.round.Store(1) // no seat's
	t.segments.Store(new([]*segment))
	t.last.Store(dropped)
	t.dropped.Store(dropped)
	return t
}

// append adds an event, with an id unless epoch is empty, and reports whether the
// waker must be told. It needs Hub.mu.
func (t *topic) append(e *appending, line []byte, epoch string, keep Retention) (wake bool) {
	size := len(line) + len(e.frame) + idSize(epoch)
	segments := *t.segments.Load()
	var s *segment
	if n := len(segments); n > 0 {
		s = segments[n-1]
	}
	fresh := s == nil || !s.fits(size)
	if fresh {
		s = newSegment(size, s)
	}
	start := s.used
	frame := append(s.buf[start:start], line...)
	if epoch != "" {
		frame = appendWithID(frame, e.frame, epoch, e.seq)
	} else {
		frame = append(frame, e.frame...)
	}
	s.used += len(frame)
	if e.ttl > 0 {
		t.expires.Store(true)
	}
	var k *key
	if t.latest != nil {
		k = t.latest.note(e.key, e.seq)
	}
	s.add(entry{seq: e.seq, at: e.at, end: uint32(s.used), ttl: e.ttl}, k)
	if fresh {
		t.setSegments(append(slices.Clip(segments), s))
	}
	t.last.Store(e.seq)
	t.events++
	t.bytes += int64(len(frame))
	t.count(1, int64(len(frame)))
	t.trim(e.at, keep)
	return t.armed.Load() && t.armed.CompareAndSwap(true, false)
}

// trim drops what is above the retention. It needs Hub.mu.
func (t *topic) trim(now time.Duration, keep Retention) {
	if t.events == 0 || t.latest != nil && !t.latest.due(t, now, keep) {
		return
	}
	t.shrink(now, keep, keep, 1)
}

// shrink drops what is above the bounds of the window and, under Latest, of the
// front. No bound of size or number drops the newest events, least of them. It
// needs Hub.mu.
func (t *topic) shrink(now time.Duration, keep, front Retention, least int) {
	segments := *t.segments.Load()
	gone, dropped, events, bytes := 0, uint64(0), t.events, t.bytes
loop:
	for t.events > 0 {
		s := segments[gone]
		entries := s.final()
		tooOld := func(i int) bool { return keep.Age > 0 && now-entries[i].at >= keep.Age }
		tooMany := t.events > least && (keep.Events > 0 && t.events > keep.Events || keep.Bytes > 0 && t.bytes > keep.Bytes)
		end := s.first + 1
		switch {
		case tooOld(s.first):
			for end < len(entries) && tooOld(end) { // at once, for the sake of a sweep over many
				end++
			}
		case !tooMany:
			break loop
		}
		if t.latest != nil {
			t.latest.take(s, s.first, end)
		}
		t.events -= end - s.first
		t.bytes -= int64(entries[end-1].end - start(entries, s.first))
		dropped = entries[end-1].seq
		if s.first = end; end == len(entries) {
			gone++
		}
	}
	if dropped == 0 {
		return
	}
	t.count(t.events-events, t.bytes-bytes)
	if t.latest != nil {
		t.compact(now, front, least)
	}
	t.once.forget(dropped)
	t.dropped.Store(dropped)
	if gone > 0 {
		t.setSegments(slices.Clone(segments[gone:])) // a part would keep what is gone
	}
}

// lose drops all, and has every reader told of a loss up to seq. Under Latest
// the values stay that are known. It needs Hub.mu.
func (t *topic) lose(seq uint64, now time.Duration, keep Retention) {
	t.shrink(now, Retention{Bytes: 1}, keep, 0)
	if t.latest != nil {
		t.latest.lose(seq)
	}
	t.dropped.Store(seq)
	t.last.Store(seq)
}

// lost returns the newest event that is lost to who has not seen it. Any goroutine
// may call it.
func (t *topic) lost() uint64 {
	if t.latest != nil {
		return t.latest.front.Load().lost
	}
	return t.dropped.Load()
}

// kept returns the number of events that are kept, and the size of all that is
// in memory. It needs Hub.mu.
func (t *topic) kept() (events int, bytes int64) {
	if t.latest != nil {
		front := t.latest.front.Load()
		events, bytes = front.events, front.bytes
	}
	if log := t.ephemeral.Load(); log != nil {
		bytes += log.bytes
	}
	return events + t.events, bytes + t.bytes
}

// total is what all topics of a hub keep, as the sum of kept: patterns and ephemeral
// events are a part of the bytes alone.
type total struct {
	events int
	bytes  int64
}

// count adds to the total what t keeps more, or less. It needs Hub.mu.
func (t *topic) count(events int, bytes int64) {
	t.total.bytes += bytes
	if !t.copies {
		t.total.events += events
	}
}

func (t *topic) setSegments(segments []*segment) {
	t.segments.Store(&segments)
}

// after returns the first frames behind cursor that are kept, up to and
// including until, and the newest event that is lost to whoever has not seen
// it. Any goroutine may call it.
func (t *topic) after(cursor, until uint64) (v view, dropped uint64) {
	segments := *t.segments.Load() // before dropped, see topic
	dropped = t.dropped.Load()
	if t.latest != nil {
		front := t.latest.front.Load() // behind dropped: it reaches at least up to there
		if cursor < front.upTo {
			if v := t.find(front.segments, cursor, until); v.buf != nil {
				v.more, v.expires = true, t.expires.Load()
				return v, max(front.lost, front.ended)
			}
			cursor = front.upTo
		}
		dropped = max(front.lost, front.ended)
	} else {
		cursor = max(cursor, dropped)
	}
	if t.last.Load() <= cursor {
		return view{}, dropped
	}
	return t.find(segments, cursor, until), dropped
}

// find returns the first frames behind cursor, up to and including until, that
// are in one of segments.
func (t *topic) find(segments []*segment, cursor, until uint64) view {
	n := sort.Search(len(segments), func(i int) bool {
		entries := segments[i].final()
		return entries[len(entries)-1].seq > cursor
	})
	if n == len(segments) {
		return view{} // it is in a segment that came later
	}
	entries := segments[n].final()
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > cursor })
	end := len(entries)
	if entries[end-1].seq > until {
		end = i + sort.Search(end-i, func(k int) bool { return entries[i+k].seq > until })
	}
	var keys []*key
	if k := segments[n].keys.Load(); k != nil {
		keys = (*k)[i:end]
	}
	return view{
		keys: keys,
		buf:  segments[n].buf, start: start(entries, i), entries: entries[i:end],
		topic: t, line: t.line, pattern: t.pattern, more: n+1 < len(segments),
		// Behind the entries. Under Latest one that has expired still takes the place
		// of older ones, but not in the front, and not in a new reader's state.
		expires: t.latest == nil && t.expires.Load(),
	}
}

// beforeNewest returns the position behind which the newest n events up to head
// lie that can be delivered, as far as they are kept. Any goroutine may call it.
func (t *topic) beforeNewest(n int, head uint64, now time.Duration) uint64 {
	segments := *t.segments.Load()
	dropped := t.dropped.Load()
	compacted, upTo := 0, uint64(0)
	if t.latest != nil {
		front := t.latest.front.Load()
		segments = slices.Concat(front.segments, segments)
		compacted, upTo, dropped = len(front.segments), front.upTo, front.lost
	}
	for i := len(segments) - 1; i >= 0; i-- {
		entries := segments[i].final()
		for j := len(entries) - 1; j >= 0; j-- {
			if seq := entries[j].seq; seq > head || i >= compacted && seq <= upTo {
				continue // too new, or in the front if it is kept
			}
			if n == 0 {
				return entries[j].seq
			}
			if !entries[j].expired(now) {
				n--
			}
		}
	}
	return dropped
}

// park has a reader woken at the next append, unless there is news behind its
// cursor already. It arms before it looks, and append publishes before it looks
// whether anybody has armed: one of the two sees the other.
func (t *topic) park(s *seat, cursor uint64) bool {
	if s.round != t.round.Load() { // else it waits since an earlier sleep, for other topics' news
		t.waitMu.Lock()
		s.round = t.round.Load()
		s.index = len(t.waiting)
		t.waiting = append(t.waiting, s)
		t.waitMu.Unlock()
		t.armed.Store(true)
	}
	return t.last.Load() <= cursor
}

// unpark takes a reader that leaves off the list.
func (t *topic) unpark(s *seat) {
	t.waitMu.Lock()
	defer t.waitMu.Unlock()
	if s.round == t.round.Load() {
		end := len(t.waiting) - 1
		moved := t.waiting[end]
		t.waiting[s.index], moved.index = moved, s.index
		t.waiting[end] = nil
		t.waiting = t.waiting[:end]
	}
}

// takeWaiting appends all that wait to readers, and has them wait no more. Only
// the waker calls it.
func (t *topic) takeWaiting(readers []*reader) []*reader {
	t.waitMu.Lock()
	waiting := t.waiting
	t.waiting, t.spare = t.spare, nil
	t.round.Add(1)
	t.waitMu.Unlock()
	for _, s := range waiting {
		readers = append(readers, s.reader)
	}
	clear(waiting)
	if cap(waiting) <= 2*len(waiting)+64 { // else a crowd has left
		t.spare = waiting[:0]
	}
	return readers
}
