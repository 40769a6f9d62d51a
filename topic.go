package ssehub

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// ErrInvalidTopic is wrapped by the error for a topic that cannot be
// published or subscribed to.
var ErrInvalidTopic = errors.New("ssehub: invalid topic")

const maxTopicLen = 256

// checkTopic accepts dot-separated tokens of printable ASCII without spaces,
// quotes, backslash, percent sign, * < and >. Nothing else, because topics
// meet URLs, logs, metrics and brokers' subjects, and because two topics
// should not look alike.
func checkTopic(name string) error {
	if name == "" || len(name) > maxTopicLen {
		return fmt.Errorf("%w: length %d, want 1 to %d", ErrInvalidTopic, len(name), maxTopicLen)
	}
	token := 0
	for i := range len(name) {
		switch c := name[i]; c {
		case '.':
			if token == 0 {
				return fmt.Errorf("%w: empty token", ErrInvalidTopic)
			}
			token = 0
			continue
		case '*', '<', '>', '%', '"', '\'', '`', '\\':
			return fmt.Errorf("%w: character %q", ErrInvalidTopic, c)
		default:
			if c <= ' ' || c > '~' {
				return fmt.Errorf("%w: byte %#x", ErrInvalidTopic, c)
			}
		}
		token++
	}
	if token == 0 {
		return fmt.Errorf("%w: empty token", ErrInvalidTopic)
	}
	return nil
}

const (
	minSegment = 512 // a topic with few events stays small
	maxSegment = 64 << 10
)

// topic is the log of one topic: the frames of its window, encoded once, in
// segments that are contiguous in memory.
//
// Whoever holds Hub.mu is its only writer. Readers take no lock: with a
// thousand of them on a lock, a publisher that needs it too waits until each
// has had its turn (measured: up to 400 ms on two cores). What they see is
// final before it is published by an atomic store, in this order: an append
// stores the entry, then last; a trim stores dropped, then segments. A reader
// loads in the opposite order, so it may see an event as lost too early, but
// never misses one without seeing it as lost.
//
// Segments that are dropped are left to the garbage collector. A slow write
// pins the one segment it is about, and nothing behind it.
type topic struct {
	name string
	line []byte // "topic: name\n", for readers of several topics

	segments atomic.Pointer[[]*segment] // oldest first; a new slice for every change
	last     atomic.Uint64              // newest event ever, kept or not
	dropped  atomic.Uint64              // newest event that is no longer kept, or 0

	// Guarded by Hub.mu.
	index   int // in Hub.all
	events  int // kept
	bytes   int64
	readers int
	idle    time.Duration // when the last reader left or the last event came

	armed   atomic.Bool // readers wait, and the waker was not told yet
	waitMu  sync.Mutex  // guards waiting and round; the publisher never takes it
	waiting []*seat     // readers asleep until there is news
	round   uint64      // counts how often the waker took waiting away
	spare   []*seat     // the waker's: storage for the next waiting
}

type segment struct {
	buf     []byte // its bytes are final up to the end of the last entry
	entries atomic.Pointer[[]entry]
	count   atomic.Int64 // of entries that are final

	// Guarded by Hub.mu.
	used  int // bytes
	first int // entries before it are dropped
}

// entry describes one frame, which starts where the one before it ends.
type entry struct {
	seq uint64
	at  time.Duration // since Hub.started: monotonic, whatever the wall clock does
	end uint32
}

func newTopic(name string, dropped uint64) *topic {
	t := &topic{name: name, line: []byte("topic: " + name + "\n"), round: 1}
	t.segments.Store(new([]*segment))
	t.last.Store(dropped)
	t.dropped.Store(dropped)
	return t
}

// append adds the frame "prefix seq LF rest" and reports whether the waker must
// be told. It needs Hub.mu.
func (t *topic) append(seq uint64, at time.Duration, prefix string, rest []byte, keep Retention) (wake bool) {
	const maxDigits = 20
	size := len(prefix) + maxDigits + 1 + len(rest)
	segments := *t.segments.Load()
	var s *segment
	fresh := len(segments) == 0 || !segments[len(segments)-1].fits(size)
	if fresh {
		s = newSegment(size, segments)
	} else {
		s = segments[len(segments)-1]
	}
	start := s.used
	frame := append(s.buf[start:start], prefix...)
	frame = strconv.AppendUint(frame, seq, 10)
	frame = append(frame, '\n')
	frame = append(frame, rest...)
	s.used += len(frame)
	s.add(entry{seq: seq, at: at, end: uint32(s.used)})
	if fresh {
		t.setSegments(append(slices.Clip(segments), s))
	}
	t.last.Store(seq)
	t.idle = at
	t.events++
	t.bytes += int64(len(frame))
	t.trim(at, keep)
	return t.armed.Load() && t.armed.CompareAndSwap(true, false)
}

// newSegment has room for size bytes and more than the last one had, as a
// topic in use has more to come.
func newSegment(size int, segments []*segment) *segment {
	next := minSegment
	if n := len(segments); n > 0 {
		next = min(2*len(segments[n-1].buf), maxSegment)
	}
	s := &segment{buf: make([]byte, max(next, size))}
	entries := make([]entry, 4)
	s.entries.Store(&entries)
	return s
}

func (s *segment) fits(size int) bool {
	return len(s.buf)-s.used >= size
}

func (s *segment) add(e entry) {
	n := int(s.count.Load())
	entries := *s.entries.Load()
	if n == len(entries) {
		grown := make([]entry, 2*n)
		copy(grown, entries)
		entries = grown
		s.entries.Store(&grown)
	}
	entries[n] = e
	s.count.Store(int64(n + 1))
}

// final returns the entries that do not change any more, at least one.
func (s *segment) final() []entry {
	n := s.count.Load() // before entries, which may have grown since
	return (*s.entries.Load())[:n]
}

// trim drops what is above the retention. It needs Hub.mu.
func (t *topic) trim(now time.Duration, keep Retention) {
	segments := *t.segments.Load()
	gone := 0
	for t.events > 0 {
		s := segments[gone]
		entries := s.final()
		old := entries[s.first]
		over := t.events > 1 && (keep.Events > 0 && t.events > keep.Events || keep.Bytes > 0 && t.bytes > keep.Bytes)
		if !over && (keep.Age <= 0 || now-old.at < keep.Age) {
			break
		}
		t.events--
		t.bytes -= int64(old.end - start(entries, s.first))
		t.dropped.Store(old.seq)
		if s.first++; s.first == len(entries) {
			gone++
		}
	}
	if gone > 0 {
		t.setSegments(slices.Clone(segments[gone:])) // a part would keep what is gone
	}
}

func (t *topic) setSegments(segments []*segment) {
	t.segments.Store(&segments)
}

// start returns where the frame of entry i begins.
func start(entries []entry, i int) uint32 {
	if i == 0 {
		return 0
	}
	return entries[i-1].end
}

// view is what a topic has for a reader: the frames behind its cursor that
// are in one segment.
type view struct {
	buf     []byte
	start   uint32
	entries []entry
	line    []byte // the topic's
	more    bool   // there are further segments
}

// frames returns the bytes of all entries.
func (v *view) frames() []byte {
	return v.buf[v.start:v.entries[len(v.entries)-1].end]
}

// last returns the position of the newest entry.
func (v *view) last() uint64 {
	return v.entries[len(v.entries)-1].seq
}

// after returns the first frames behind cursor that are kept, up to and
// including until, and the newest event that is lost to whoever has not seen
// it. Any goroutine may call it.
func (t *topic) after(cursor, until uint64) (v view, dropped uint64) {
	segments := *t.segments.Load() // before dropped, see topic
	dropped = t.dropped.Load()
	cursor = max(cursor, dropped)
	if t.last.Load() <= cursor {
		return view{}, dropped
	}
	n := sort.Search(len(segments), func(i int) bool {
		entries := segments[i].final()
		return entries[len(entries)-1].seq > cursor
	})
	if n == len(segments) {
		return view{}, dropped // it is in a segment that came later
	}
	entries := segments[n].final()
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > cursor })
	end := len(entries)
	for end > i && entries[end-1].seq > until { // at most the few that came since until was read
		end--
	}
	return view{
		buf: segments[n].buf, start: start(entries, i), entries: entries[i:end],
		line: t.line, more: n+1 < len(segments),
	}, dropped
}

// join adds a reader, to whom nothing shall be replayed that is too old. It
// needs Hub.mu.
func (t *topic) join(now time.Duration, keep Retention) {
	t.trim(now, keep)
	t.readers++
}

// leave removes a reader. It needs Hub.mu.
func (t *topic) leave(s *seat, now time.Duration) {
	t.readers--
	t.idle = now
	t.waitMu.Lock()
	defer t.waitMu.Unlock()
	if s.round == t.round {
		end := len(t.waiting) - 1
		moved := t.waiting[end]
		t.waiting[s.index], moved.index = moved, s.index
		t.waiting[end] = nil
		t.waiting = t.waiting[:end]
	}
}

// park has a reader woken at the next append, unless there is news behind its
// cursor already. It arms before it looks, and append publishes before it looks
// whether anybody has armed: one of the two sees the other.
func (t *topic) park(s *seat, cursor uint64) bool {
	t.waitMu.Lock()
	if s.round != t.round {
		s.round = t.round
		s.index = len(t.waiting)
		t.waiting = append(t.waiting, s)
	}
	t.waitMu.Unlock()
	t.armed.Store(true)
	return t.last.Load() <= cursor
}

// wake wakes all that wait. Only the hub's one waker calls it, so that the
// cost of many readers is never the publisher's.
func (t *topic) wake() {
	t.waitMu.Lock()
	waiting := t.waiting
	t.waiting, t.spare = t.spare, nil
	t.round++
	t.waitMu.Unlock()
	for _, s := range waiting {
		select {
		case s.reader.wake <- struct{}{}:
		default: // it knows
		}
	}
	clear(waiting)
	if cap(waiting) > 2*len(waiting)+64 {
		return // a crowd that has left
	}
	t.spare = waiting[:0]
}
