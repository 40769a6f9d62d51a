package ssehub

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"sync"
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
// A segment's bytes are never changed once written, so a reader takes a view
// of them under the lock and writes them to its client without it. Dropped
// segments are left to the garbage collector: a slow write pins the one
// segment it is about, and nothing behind it.
type topic struct {
	name  string
	line  []byte // "topic: name\n", for readers of several topics
	index int    // in Hub.all; guarded by Hub.mu

	mu       sync.RWMutex // guards what follows; taken after Hub.mu where both are
	segments []*segment   // oldest first; none is without kept entries
	events   int          // kept
	bytes    int64        // kept
	last     uint64       // newest event ever, kept or not
	dropped  uint64       // newest event that is no longer kept, or 0
	readers  int
	idle     time.Duration // when the last reader left or the last event came

	waiting []*seat // readers asleep until there is news
	round   uint64  // counts how often the waker took waiting away
	dirty   bool    // in Hub.dirty
	spare   []*seat // the waker's: storage for the next waiting
}

type segment struct {
	buf     []byte // never grows beyond its capacity
	entries []entry
	first   int // entries before it are dropped
}

// entry describes one frame, which starts where the one before it ends.
type entry struct {
	seq uint64
	at  time.Duration // since Hub.started: monotonic, whatever the wall clock does
	end uint32
}

func newTopic(name string, dropped uint64) *topic {
	return &topic{name: name, line: []byte("topic: " + name + "\n"), dropped: dropped, last: dropped, round: 1}
}

// append adds the frame "prefix seq LF rest" and reports whether readers wait
// for it.
func (t *topic) append(seq uint64, at time.Duration, prefix string, rest []byte, keep Retention) (wake bool) {
	const maxDigits = 20
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.segmentFor(len(prefix) + maxDigits + 1 + len(rest))
	start := len(s.buf)
	s.buf = append(s.buf, prefix...)
	s.buf = strconv.AppendUint(s.buf, seq, 10)
	s.buf = append(s.buf, '\n')
	s.buf = append(s.buf, rest...)
	s.entries = append(s.entries, entry{seq: seq, at: at, end: uint32(len(s.buf))})
	t.last = seq
	t.idle = at
	t.events++
	t.bytes += int64(len(s.buf) - start)
	t.trim(at, keep)
	if len(t.waiting) == 0 || t.dirty {
		return false
	}
	t.dirty = true
	return true
}

// segmentFor returns the newest segment if it has room for size bytes, else a
// new one, larger than the last, as a topic in use has more to come.
func (t *topic) segmentFor(size int) *segment {
	next := minSegment
	if n := len(t.segments); n > 0 {
		s := t.segments[n-1]
		if cap(s.buf)-len(s.buf) >= size {
			return s
		}
		next = min(2*cap(s.buf), maxSegment)
	}
	s := &segment{buf: make([]byte, 0, max(next, size))}
	t.segments = append(t.segments, s)
	return s
}

// trim drops what is above the retention. It needs t.mu.
func (t *topic) trim(now time.Duration, keep Retention) {
	for t.events > 0 {
		s := t.segments[0]
		old := s.entries[s.first]
		over := t.events > 1 && (keep.Events > 0 && t.events > keep.Events || keep.Bytes > 0 && t.bytes > keep.Bytes)
		if !over && (keep.Age <= 0 || now-old.at < keep.Age) {
			return
		}
		t.events--
		t.bytes -= int64(old.end - s.start(s.first))
		t.dropped = old.seq
		if s.first++; s.first == len(s.entries) {
			t.segments[0] = nil
			t.segments = t.segments[1:]
		}
	}
	t.segments = nil
}

func (s *segment) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return s.entries[i-1].end
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

// after returns the first frames behind cursor, up to and including until, and
// the newest event that is lost to whoever has not seen it.
func (t *topic) after(cursor, until uint64) (v view, dropped uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.last <= cursor || t.events == 0 {
		return view{}, t.dropped
	}
	n := sort.Search(len(t.segments), func(i int) bool {
		return t.segments[i].entries[len(t.segments[i].entries)-1].seq > cursor
	})
	s := t.segments[n]
	i := s.first + sort.Search(len(s.entries)-s.first, func(i int) bool { return s.entries[s.first+i].seq > cursor })
	end := len(s.entries)
	for end > i && s.entries[end-1].seq > until { // at most the few that came since until was read
		end--
	}
	return view{
		buf: s.buf, start: s.start(i), entries: s.entries[i:end],
		line: t.line, more: n+1 < len(t.segments),
	}, t.dropped
}

// park puts a reader to sleep until the next append, unless there is news
// behind its cursor already.
func (t *topic) park(s *seat, cursor uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last > cursor {
		return false
	}
	if s.round != t.round {
		s.round = t.round
		s.index = len(t.waiting)
		t.waiting = append(t.waiting, s)
	}
	return true
}

// join adds a reader, to whom nothing shall be replayed that is too old.
func (t *topic) join(now time.Duration, keep Retention) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trim(now, keep)
	t.readers++
}

// leave removes a reader.
func (t *topic) leave(s *seat, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers--
	t.idle = now
	if s.round == t.round {
		end := len(t.waiting) - 1
		moved := t.waiting[end]
		t.waiting[s.index], moved.index = moved, s.index
		t.waiting[end] = nil
		t.waiting = t.waiting[:end]
	}
}

// wake wakes all that wait. Only the hub's one waker calls it, so that the
// cost of many readers is never the publisher's.
func (t *topic) wake() {
	t.mu.Lock()
	t.dirty = false
	waiting := t.waiting
	t.waiting, t.spare = t.spare, nil
	t.round++
	t.mu.Unlock()
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
