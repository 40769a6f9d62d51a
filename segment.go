package ssehub

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	minSegment = 512 // a topic with few events stays small
	maxSegment = 64 << 10
	// A frame above it has a segment for itself, so that a frame that does not
	// fit leaves at most a quarter of a segment unused.
	maxShared = maxSegment / 4
	maxFrame  = math.MaxInt32 - maxSegment // entry.end must hold it
)

// segment holds frames that lie behind each other in memory.
type segment struct {
	buf     []byte // its bytes are final up to the end of the last entry
	entries atomic.Pointer[[]entry]
	keys    atomic.Pointer[[]*key] // of the entries, under Latest; else nil
	count   atomic.Int64           // of entries that are final

	// Guarded by Hub.mu.
	used  int // bytes
	first int // entries before it are dropped
}

// entry describes one frame, which starts where the one before it ends.
type entry struct {
	seq uint64
	at  time.Duration // since Hub.started, on the monotonic clock; with a Broker as the publisher's clock has it
	end uint32
	ttl uint32 // milliseconds; 0 for ever. It takes no room that would not be padding
}

func (e *entry) expired(now time.Duration) bool {
	return e.ttl > 0 && now-e.at >= time.Duration(e.ttl)*time.Millisecond
}

// newSegment has room for size bytes and more than the last one had, as a
// topic in use has more to come.
func newSegment(size int, last *segment) *segment {
	room, entries := minSegment, 4
	if last != nil {
		entries = max(entries, int(last.count.Load()))
		if !last.single() {
			room = min(2*len(last.buf), maxSegment)
		}
	}
	if size > maxShared {
		room, entries = size, 1
	}
	s := &segment{buf: make([]byte, max(room, size))}
	s.entries.Store(new(make([]entry, entries)))
	return s
}

// single reports whether s was made for one big frame. What is made behind it
// begins small again, or big and small frames in turn would leave half unused.
func (s *segment) single() bool {
	return s.count.Load() == 1 && s.used > maxShared
}

func (s *segment) fits(size int) bool {
	return len(s.buf)-s.used >= size
}

// add appends an entry, under Latest with its key, else nil. Readers may hold the
// arrays that it outgrows.
func (s *segment) add(e entry, k *key) {
	n := int(s.count.Load())
	roomFor(&s.entries, n)[n] = e
	if k != nil {
		roomFor(&s.keys, n)[n] = k
	}
	s.count.Store(int64(n + 1))
}

// roomFor returns the array, after growing it if need be, for one more than n.
func roomFor[T any](array *atomic.Pointer[[]T], n int) []T {
	if old := array.Load(); old != nil && n < len(*old) {
		return *old
	} else if old == nil {
		array.Store(new(make([]T, max(4, n+1))))
	} else {
		grown := make([]T, n+n/2+1)
		copy(grown, *old)
		array.Store(&grown)
	}
	return *array.Load()
}

// final returns the entries that do not change any more, at least one.
func (s *segment) final() []entry {
	n := s.count.Load() // before entries, which may have grown since
	return (*s.entries.Load())[:n]
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
	topic   *topic // whose they are
	line    []byte // the topic's
	pattern bool   // each frame begins with such a line
	more    bool   // there are further segments
	expires bool   // some of the entries may
	keys    []*key // of the entries, under Latest; else nil
}

// frames returns the bytes of all entries.
func (v *view) frames() []byte {
	return v.buf[v.start:v.entries[len(v.entries)-1].end]
}

// last returns the position of the newest entry.
func (v *view) last() uint64 {
	return v.entries[len(v.entries)-1].seq
}
