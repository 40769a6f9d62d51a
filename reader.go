package ssehub

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// ErrSlowSubscriber ends a reader that the history has moved past, under the
// policy Disconnect.
var ErrSlowSubscriber = errors.New("ssehub: subscriber too slow")

// reader is a cursor over the logs of some topics. It holds numbers and no
// pointers into the logs, so that however long it sleeps it keeps nothing in
// memory. One goroutine at a time drives it: a stream's or a Subscription's, or the
// waker, while a stream's sleeps.
type reader struct {
	standing
	hub     *Hub
	allow   func(topic string) bool // of the topics that patterns meet; nil: all
	plain   bool                    // gets no snapshots
	greet   bool                    // has a hello to come
	named   bool                    // each event needs its topic's line
	blocks  bool                    // sits at a topic under Block
	bare    bool                    // leave out the ids
	got     atomic.Uint64           // the cursor when all up to it was written, for others
	views   []view                  // what look found; no longer than to the next sleep
	batch   *batch                  // from batches, for the frames of several topics
	wake    chan struct{}           // holds one token; nil for a stream
	conn    *sse.Conn               // nil in process; set by begin
	started bool                    // start was called
	last    func(error)             // called at a stream's end, if not nil
	driving sync.Mutex              // held by who drives a stream: its goroutine, but while it dozes; the waker
	direct  bool                    // it may doze, and the waker may write meanwhile; guarded by driving
	rest    []byte                  // what the connection did not take of the restOf bytes that next returned
	restOf  int
	failed  error                  // of a write by others
	ending  atomic.Pointer[ending] // that somebody else has decided on
	began   time.Duration          // when, for others
	wrote   time.Duration          // when the last write ended
	left    bool                   // leave was called
	id      string                 // of the connection, in the hello; as verdict, final when it begins
	verdict string                 // of the first hello
	info    *SubscriberInfo        // for Trace; nil without

	admission *admission // nil if it is no stream of a Handler
}

// standing is where a reader is in one life of the hub's log.
type standing struct {
	life    uint64 // of the hub
	epoch   string
	seats   []seat    // set under Hub.mu; others may look at their topics
	past    []seat    // topics of late patterns, until the cursor is at pastTo
	pastTo  uint64    // where the late patterns' own logs begin
	joined  uint64    // events up to it were before this reader: ephemeral ones are not for it, others have no latency
	cursor  uint64    // everything up to it was handed out or told as lost
	origin  Position  // the id that was in force before the first event
	control []byte    // what comes before anything else: hello and gaps
	ahead   []byte    // frames taken together with the gap before them
	recall  *recall   // from the broker, before anything else but those
	fresh   bool      // it came without an id, and its state is still to come
	awaited []awaited // snapshots, before anything else but control and ahead
	covered uint64    // no snapshot that it got has an event above it
	state   *reader   // of the newest values, before anything else but those
	stateTo uint64    // as of
	taken   taken     // by take, for written
	gaps    []sse.Gap // to be told to Trace once they are written
}

// seat is a reader's place at one topic.
type seat struct {
	topic    *topic
	reader   *reader
	snapshot Snapshot // nil: none
	from     uint64   // what came up to it is in the snapshot
	told     uint64   // losses up to it were told
	round    uint64   // of the topic when it was put into waiting
	index    int      // in the topic's waiting
	late     bool     // a pattern whose log began behind the cursor: first comes past
}

// next returns the frames that come next, whole and in order, in one piece
// for one write; nil if there is no news, and ErrClosed if there will be none.
// They stay valid until the following call of next or release.
func (r *reader) next() ([]byte, error) {
	if r.life != r.hub.life.Load() {
		if err := r.joinAgain(); err != nil {
			return nil, err
		}
	}
	return r.read()
}

// read is next in the life of the log that r knows.
func (r *reader) read() ([]byte, error) {
	r.moved()
	if frames := r.control; len(frames) > 0 {
		r.control, r.greet = nil, false
		return frames, nil
	}
	if frames := r.ahead; len(frames) > 0 {
		r.ahead = nil
		return frames, nil
	}
	if r.isOver() {
		if r.hub.noNews() {
			return nil, ErrClosed
		}
		return nil, nil
	}
	if r.recall != nil {
		if r.hub.noNews() { // the next server has it, too
			return nil, ErrClosed
		}
		if frames, err := r.nextRecalled(); frames != nil || err != nil {
			return frames, err
		}
	}
	if r.awaited != nil {
		if r.hub.noNews() { // the next server has it, too
			return nil, ErrClosed
		}
		if frames, err := r.nextSnapshots(); frames != nil || err != nil || r.awaited != nil {
			return frames, err
		}
	}
	for r.state != nil {
		if frames := r.nextState(); len(frames) > 0 {
			return frames, nil
		}
	}
	for {
		ending := r.hub.noNews() // read first: then nothing is published behind what look finds
		until := r.hub.head.Load()
		if r.isOver() { // until is of another life
			return r.read()
		}
		views, lost, floor := r.look(until)
		switch {
		case slices.ContainsFunc(lost, func(s *seat) bool { return s.topic.policy == Disconnect }):
			return nil, ErrSlowSubscriber
		case len(lost) > 0:
			frames := r.appendGaps(nil, sse.ReasonOverflow, lost, floor)
			r.goOnAt(lost, floor, views)
			return frames, nil
		case len(views) > 0:
			if frames := r.take(views); len(frames) > 0 {
				return frames, nil
			}
		case ending:
			return nil, ErrClosed
		default:
			r.cursor = max(r.cursor, until)
			r.moved() // past what is not for it, though nothing is written
			return nil, nil
		}
	}
}

// isOver reports whether the life of the log that r knows is over. Then nothing comes
// until all of the next one is read.
func (r *reader) isOver() bool {
	return r.life != r.hub.begun.Load()
}

// goOnAt has r go on at floor, with views, behind the gaps that it was told of
// lost.
func (r *reader) goOnAt(lost []*seat, floor uint64, views []view) {
	r.cursor = floor
	if !r.awaitSnapshots(lost) {
		r.ahead = r.take(views) // later they may be gone, and a slow reader would get nothing but gaps
	}
}

// look collects what every topic has behind the cursor, up to until, and the
// seats that lost something, whose told it moves. floor is the highest
// position up to which no kept event is left to deliver.
func (r *reader) look(until uint64) (views []view, lost []*seat, floor uint64) {
	r.views = r.views[:0]
	if r.past != nil {
		if views, lost, floor := r.lookBack(); len(views) > 0 || len(lost) > 0 {
			return views, lost, floor
		}
		r.cursor = max(r.cursor, r.pastTo)
		r.past = nil
	}
	if len(r.seats) == 1 {
		// One log is in order by itself; only between several the order
		// needs a bound below which all of them are complete.
		return r.lookOne(until)
	}
	return r.lookAll(r.seats, until, nil, max(r.cursor, until))
}

// lookAll adds to lost and lowers floor by what it finds at the seats.
func (r *reader) lookAll(seats []seat, until uint64, lost []*seat, floor uint64) ([]view, []*seat, uint64) {
	for i := range seats {
		s := &seats[i]
		if s.late && r.past != nil {
			continue
		}
		v, dropped := s.topic.after(max(r.cursor, s.from), until)
		if r.bare {
			dropped = s.topic.lost() // a new reader has no value of a key that has ended
		}
		if dropped > max(r.cursor, s.told) {
			s.told = dropped
			lost = append(lost, s)
		}
		floor = r.addView(v, floor)
		if log := s.topic.ephemeral.Load(); log != nil {
			v, _ := log.after(max(r.cursor, r.joined), until)
			v.topic = s.topic // which has the meter
			floor = r.addView(v, floor)
		}
	}
	return r.views, lost, floor
}

// addView adds what was found in a log, if anything, and lowers floor to it.
func (r *reader) addView(v view, floor uint64) uint64 {
	if len(v.entries) == 0 {
		return floor
	}
	r.views = append(r.views, v)
	return min(floor, v.entries[0].seq-1)
}

func (r *reader) lookOne(until uint64) (views []view, lost []*seat, floor uint64) {
	s := &r.seats[0]
	v, dropped := s.topic.after(r.cursor, math.MaxUint64)
	if s.topic.ephemeral.Load() != nil { // asked behind after: v may hold what came behind an ephemeral event
		return r.lookAll(r.seats, until, nil, max(r.cursor, until))
	}
	if dropped > max(r.cursor, s.told) {
		s.told = dropped
		lost = []*seat{s}
	}
	if len(v.entries) > 0 {
		r.views = append(r.views, v)
		return r.views, lost, v.entries[0].seq - 1
	}
	return nil, lost, max(r.cursor, until, dropped)
}

// park prepares for a sleep until wake has a token. It reports false if there
// is news already.
func (r *reader) park() bool {
	r.release()
	over := r.isOver()             // then none is taken
	if r.awaited != nil && !over { // no other news would be taken
		return !r.landed() && r.life == r.hub.life.Load()
	}
	for i := range r.seats {
		s := &r.seats[i]
		if !s.topic.park(s, r.cursor) && !over {
			return false
		}
	}
	return r.life == r.hub.life.Load() // looked at behind arming, see Hub.arrive
}
