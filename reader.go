package ssehub

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/ssehub-go/ssehub/sse"
)

// ErrSlowSubscriber ends a reader that the history has moved past, under the
// policy Disconnect.
var ErrSlowSubscriber = errors.New("ssehub: subscriber too slow")

// reader is a cursor over the logs of some topics. It holds numbers and no
// pointers into the logs, so that however long it sleeps it keeps nothing in
// memory. One goroutine drives it: a stream's or a Subscription's.
type reader struct {
	hub     *Hub
	seats   []seat
	cursor  uint64        // everything up to it was handed out or told as lost
	control []byte        // what comes before anything else: at first hello and gaps
	views   []view        // what look found; no longer than to the next sleep
	batch   *[]byte       // from batches, for the frames of several topics
	wake    chan struct{} // holds one token
	conn    *sse.Conn     // nil in process; set by start
}

// seat is a reader's place at one topic.
type seat struct {
	topic  *topic
	reader *reader
	told   uint64 // losses up to it were told
	round  uint64 // of the topic when it was put into waiting
	index  int    // in the topic's waiting
}

const maxBatch = 64 << 10

var batches = sync.Pool{New: func() any { b := make([]byte, 0, maxBatch); return &b }}

// seat makes a reader that goes on behind lastEventID, and gets what is
// published from now on. The caller must unseat it.
func (h *Hub) seat(lastEventID string, topics []string, greet bool) (*reader, error) {
	names, err := checkTopics(topics)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return nil, ErrClosed
	}
	r := &reader{hub: h, wake: make(chan struct{}, 1), seats: make([]seat, len(names))}
	now := h.now()
	for i, name := range names {
		t, err := h.topic(name)
		if err != nil {
			return nil, err // cannot be: the names were checked
		}
		r.seats[i] = seat{topic: t, reader: r}
		t.join(now, h.opts.History)
	}
	r.begin(lastEventID, greet && !h.opts.NoHello)
	return r, nil
}

// unseat gives up r's seats. Nobody wakes it any more.
func (h *Hub) unseat(r *reader) {
	r.release()
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for i := range r.seats {
		r.seats[i].topic.leave(&r.seats[i], now)
	}
}

// start makes r one of the hub's tasks, which Shutdown and Close wait for.
func (h *Hub) start(r *reader, conn *sse.Conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return ErrClosed
	}
	r.conn = conn
	h.readers[r] = struct{}{}
	h.tasks.Add(1)
	return nil
}

func (h *Hub) finish(r *reader) {
	h.mu.Lock()
	delete(h.readers, r)
	h.mu.Unlock()
	h.tasks.Done()
}

func checkTopics(topics []string) ([]string, error) {
	if len(topics) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrInvalidTopic)
	}
	names := make([]string, 0, len(topics))
	seen := make(map[string]bool, len(topics))
	for _, name := range topics {
		if err := checkTopic(name); err != nil {
			return nil, err
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

// begin sets the cursor, and in control what the reader must be told first. It
// needs Hub.mu, so that no event comes between.
func (r *reader) begin(lastEventID string, greet bool) {
	head := r.hub.head.Load()
	if lastEventID == "" {
		r.cursor = head
		r.hello(greet, sse.VerdictFresh, r.position(head))
		return
	}
	pos, err := ParsePosition(lastEventID)
	verdict := sse.VerdictResumed
	switch {
	case err != nil:
		verdict = sse.VerdictInvalid
	case pos.Epoch != r.hub.epoch:
		verdict = sse.VerdictEpoch
	case pos.Seq > head:
		verdict = sse.VerdictAhead
	default:
		r.cursor = pos.Seq
	}
	_, lost, floor := r.look(head)
	if verdict == sse.VerdictResumed && len(lost) > 0 {
		verdict = sse.VerdictGap
	}
	// The id of the hello is the one the client came with. Had it a new one, a
	// client that is cut before the gap would never be told.
	r.hello(greet, verdict, pos)
	switch verdict {
	case sse.VerdictResumed:
	case sse.VerdictGap:
		r.control = r.appendGaps(r.control, sse.ReasonWindow, lost, floor)
		r.cursor = floor
	default:
		r.beginAnew(verdict, pos, lost, floor)
	}
}

// beginAnew goes on with the oldest event that is kept, because nothing is
// known of what the reader has. One gap stands for all topics.
func (r *reader) beginAnew(reason string, from Position, lost []*seat, floor uint64) {
	var to uint64
	for _, s := range lost {
		to = max(to, s.told)
	}
	gap := sse.Gap{Reason: reason, From: from.String(), To: r.position(to).String()}
	r.control = r.appendGap(r.control, gap, r.position(floor))
	r.cursor = floor
}

// hello puts the first event of a stream into control; id is the place that
// the client may resume from.
func (r *reader) hello(greet bool, verdict string, id Position) {
	if !greet {
		return
	}
	r.control = appendControl(r.control, sse.TypeHello, id, sse.Hello{
		Conn:        newConnID(),
		Resumed:     verdict == sse.VerdictResumed,
		Verdict:     verdict,
		HeartbeatMs: max(0, r.hub.opts.Heartbeat.Milliseconds()),
	})
}

// next returns the frames that come next, whole and in order, in one piece
// for one write; nil if there is no news, and ErrClosed if there will be none.
// They stay valid until the following call of next or release.
func (r *reader) next() ([]byte, error) {
	if frames := r.control; frames != nil {
		r.control = nil
		return frames, nil
	}
	ending := r.hub.isDraining() // read first: then nothing is published behind what look finds
	until := r.hub.head.Load()
	views, lost, floor := r.look(until)
	switch {
	case len(lost) > 0 && r.hub.opts.Overflow == Disconnect:
		return nil, ErrSlowSubscriber
	case len(lost) > 0:
		frames := r.appendGaps(nil, sse.ReasonOverflow, lost, floor)
		r.cursor = floor
		// What is there now comes next, whatever the log drops meanwhile: a
		// reader that is too slow all the time must get more than gaps.
		r.control = r.take(views)
		return frames, nil
	case len(views) > 0:
		return r.take(views), nil
	case ending:
		return nil, ErrClosed
	default:
		r.cursor = max(r.cursor, until)
		return nil, nil
	}
}

// take returns the frames of views, by position, and moves the cursor.
func (r *reader) take(views []view) []byte {
	switch {
	case len(views) == 0:
		return nil
	case len(r.seats) == 1:
		r.cursor = views[0].last()
		return views[0].frames()
	default:
		return r.merge(views)
	}
}

// look collects what every topic has behind the cursor, up to until, and the
// seats that lost something, whose told it moves. floor is the highest
// position up to which no kept event is left to deliver.
func (r *reader) look(until uint64) (views []view, lost []*seat, floor uint64) {
	r.views = r.views[:0]
	if len(r.seats) == 1 {
		// One topic is in order by itself; only between several the order
		// needs a bound below which all of them are complete.
		return r.lookOne(until)
	}
	floor = max(r.cursor, until)
	for i := range r.seats {
		s := &r.seats[i]
		v, dropped := s.topic.after(r.cursor, until)
		if dropped > max(r.cursor, s.told) {
			s.told = dropped
			lost = append(lost, s)
		}
		if len(v.entries) > 0 {
			r.views = append(r.views, v)
			floor = min(floor, v.entries[0].seq-1)
		}
	}
	return r.views, lost, floor
}

func (r *reader) lookOne(until uint64) (views []view, lost []*seat, floor uint64) {
	s := &r.seats[0]
	v, dropped := s.topic.after(r.cursor, math.MaxUint64)
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

// merge returns the frames of several topics by position, each behind the
// line that names its topic.
func (r *reader) merge(views []view) []byte {
	horizon := uint64(math.MaxUint64) // above it a view's topic may have more, in its next segment
	for i := range views {
		if views[i].more {
			horizon = min(horizon, views[i].last())
		}
	}
	if r.batch == nil {
		r.batch = batches.Get().(*[]byte)
	}
	buf := (*r.batch)[:0]
	for len(views) > 0 {
		first := 0
		for i := range views {
			if views[i].entries[0].seq < views[first].entries[0].seq {
				first = i
			}
		}
		v := &views[first]
		e := v.entries[0]
		size := len(v.line) + int(e.end-v.start)
		if e.seq > horizon || len(buf) > 0 && len(buf)+size > maxBatch {
			break
		}
		buf = append(buf, v.line...)
		buf = append(buf, v.buf[v.start:e.end]...)
		r.cursor = e.seq
		v.start, v.entries = e.end, v.entries[1:]
		if len(v.entries) == 0 {
			views[first] = views[len(views)-1]
			views = views[:len(views)-1]
		}
	}
	*r.batch = buf
	return buf
}

// release lets go of the logs' memory, and gives back what next lent, before a
// sleep.
func (r *reader) release() {
	clear(r.views[:cap(r.views)])
	if r.batch != nil {
		if cap(*r.batch) == maxBatch { // else grown for one huge event
			batches.Put(r.batch)
		}
		r.batch = nil
	}
}

// park prepares for a sleep until wake has a token. It reports false if there
// is news already.
func (r *reader) park() bool {
	r.release()
	for i := range r.seats {
		s := &r.seats[i]
		if !s.topic.park(s, r.cursor) {
			return false
		}
	}
	return true
}

func (r *reader) position(seq uint64) Position {
	return Position{Epoch: r.hub.epoch, Seq: seq}
}

// appendGaps tells of a loss in each of the lost topics. Only the last gap has
// an id, as a client that is cut between them must hear of them all again.
func (r *reader) appendGaps(b []byte, reason string, lost []*seat, floor uint64) []byte {
	for i, s := range lost {
		var id Position
		if i == len(lost)-1 {
			id = r.position(floor)
		}
		b = r.appendGap(b, sse.Gap{
			Reason: reason,
			From:   r.position(r.cursor).String(),
			To:     r.position(s.told).String(),
			Topic:  s.topic.name,
		}, id)
	}
	return b
}

func (r *reader) appendGap(b []byte, gap sse.Gap, id Position) []byte {
	r.hub.gaps.Add(1)
	return appendControl(b, sse.TypeGap, id, gap)
}

func appendControl(b []byte, typ string, id Position, value any) []byte {
	data, err := json.Marshal(value)
	if err == nil {
		b, err = sse.Message{Type: typ, ID: id.String(), Data: data}.AppendText(b)
	}
	if err != nil {
		panic(err) // strings and numbers of our own making always encode
	}
	return b
}
