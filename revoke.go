package ssehub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"
	"unicode/utf8"

	"github.com/ssehub-go/ssehub/sse"
)

// Ends of streams that others have decided on.
var (
	// ErrRevoked ends a stream whose permission was withdrawn, by Revoke or by
	// Grant.Check.
	ErrRevoked = errors.New("ssehub: permission revoked")
	// ErrMaxAge ends a stream after Options.MaxAge.
	ErrMaxAge = errors.New("ssehub: stream too old")
)

// Revocation says which streams Revoke ends: those of which all is true that is
// set. If none of the first three is, it is no stream.
type Revocation struct {
	Subject string // of the Grant
	Conn    string // in sse.Hello and SubscriberInfo
	Topic   string // that they read, by its name or through a pattern, or the pattern itself
	// Again lets clients come back at once, and Authorize decide about them.
	// Otherwise they are told to stay away.
	Again bool
}

// Revoke ends streams, those of Serve included, at once, and returns how many.
// Nothing is written to them any more but an event of type [sse.TypeRevoked]; a
// write that is under way has 150 ms. It reaches requests that Authorize is being
// asked about, too. Browsers come back with the id of that event, get status 204,
// and stop for good; package client ends with its ErrRevoked. A client that means
// ill does not heed that: have Authorize refuse it before you call Revoke. With a
// Broker the streams of other hubs on its log end as well, when these read of it,
// and the error is that of appending there, or sse.ErrInvalidField as they cannot be
// told of a Subject that is not UTF-8.
func (h *Hub) Revoke(ctx context.Context, which Revocation) (int, error) {
	if which.isEmpty() {
		return 0, nil
	}
	n := h.revoke(which, math.MaxInt64)
	if h.opts.Broker == nil {
		return n, nil
	}
	if !utf8.ValidString(which.Subject) { // JSON would have another
		return n, fmt.Errorf("%w: subject %q is not UTF-8", sse.ErrInvalidField, which.Subject)
	}
	data, err := json.Marshal(which)
	if err == nil {
		_, err = h.appendEvent(ctx, Event{
			Time: time.Now(), Topics: []string{controlTopic}, Message: sse.Message{Type: controlRevoke, Data: data}, Ephemeral: true,
		})
	}
	return n, err
}

// What hubs have to tell each other is in their log, in a topic that nobody can read or
// publish to.
const (
	controlTopic  = "ssehub.control"
	controlRevoke = "revoke"
	// controlSkew is how far the clocks of two nodes may differ. What is older counts
	// only for streams that were there.
	controlSkew = time.Minute
)

// control does what another hub, or this one, has asked for.
func (h *Hub) control(e *Event) {
	var which Revocation
	var said told
	switch data := e.Message.Data; e.Message.Type {
	case controlRevoke:
		if json.Unmarshal(data, &which) == nil && !which.isEmpty() {
			h.revokeAsOf(which, e.Time)
		}
	case controlStreams:
		if json.Unmarshal(data, &said) == nil {
			h.hear(said)
		}
	default: // of a newer hub
	}
}

// revokeAsOf is revoke by the clock of whoever asked for it.
func (h *Hub) revokeAsOf(which Revocation, asked time.Time) {
	before := time.Duration(math.MaxInt64)
	if at := h.since(asked); h.now()-at > controlSkew {
		before = at
	}
	h.revoke(which, before)
}

// revoke ends the streams of this hub that began before a time on its clock.
func (h *Hub) revoke(which Revocation, before time.Duration) int {
	h.mu.Lock()
	for a := range h.admitted.pending {
		a.revoked = append(a.revoked, which)
	}
	var readers []*reader
	for r := range h.readers {
		if r.conn != nil && r.began < before && which.meets(r) {
			readers = append(readers, r)
		}
	}
	h.mu.Unlock()
	n := 0
	for _, r := range readers {
		if r.endSoon(which.end(r)) {
			n++
		}
	}
	return n
}

func (which Revocation) isEmpty() bool {
	return which == (Revocation{Again: which.Again})
}

// meets reports whether r is one of those. It needs Hub.mu.
func (which Revocation) meets(r *reader) bool {
	if which.Subject != "" && (r.admission == nil || r.admission.subject != which.Subject) {
		return false
	}
	if which.Conn != "" && r.id != which.Conn {
		return false
	}
	for i := range r.seats { // not by value: others write where a seat waits
		if t := r.seats[i].topic; t.name == which.Topic || t.pattern && matches(t.name, which.Topic) {
			return true
		}
	}
	return which.Topic == ""
}

func (which Revocation) end(r *reader) *ending {
	if which.Again {
		return r.hub.endingWithRetry(ErrRevoked)
	}
	return revoking(ErrRevoked)
}

// settle makes the request of r, which begins, one that Revoke finds among the
// readers. It needs Hub.mu.
func (a *admission) settle(r *reader) {
	delete(a.hub.admitted.pending, a)
	a.pending = false
	for _, which := range a.revoked {
		if which.meets(r) {
			r.ending.CompareAndSwap(nil, which.end(r))
		}
	}
	a.revoked = nil
}

// ending is why somebody ends a stream, and the last that is written to it.
type ending struct {
	err   error
	words []byte
}

// revokedFrame has an id that a client comes back with, and which Handler knows.
var revokedFrame = []byte("event: " + sse.TypeRevoked + "\ndata: {}\nid: " + sse.IDRevoked + "\n\n")

func revoking(err error) *ending {
	return &ending{err, revokedFrame}
}

// endingWithRetry is for a client that should come back, at a time of its own.
func (h *Hub) endingWithRetry(err error) *ending {
	e := &ending{err: err}
	if d := h.jitteredRetry(); d > 0 {
		e.words = retryLine(d)
	}
	return e
}

// endSoon has r's stream end with e, unless it has another end already. Any
// goroutine may call it.
func (r *reader) endSoon(e *ending) bool {
	if !r.ending.CompareAndSwap(nil, e) {
		return false
	}
	r.conn.Wake()
	time.AfterFunc(lastWordsTime, r.conn.Close) // leaves 50 ms to a write under way
	return true
}

// lastWordsTime is what a stream has to end with its last words.
const lastWordsTime = 100 * time.Millisecond

// say writes the last words.
func (r *reader) say(e *ending) error {
	if len(e.words) > 0 {
		if err := r.conn.WriteFrames(e.words); err != nil {
			return err
		}
	}
	return e.err
}

// checkEvery is how often Grant.Check is asked.
func (h *Hub) checkEvery() time.Duration {
	if h.opts.Heartbeat < 0 {
		return defaultHeartbeat
	}
	return h.opts.Heartbeat
}

// checker asks Grant.Check about a stream, again and again, on the goroutine of a
// timer: a stream that is busy has no heartbeats, and one that waits has a small
// stack.
type checker struct {
	reader *reader
	check  func(context.Context) error
	ctx    context.Context // ends with the stream
	timer  *time.Timer
}

// startChecks begins somewhere within the first interval, so that not all streams
// are checked at once. stop ends them; what check does with its context is its own
// affair.
func startChecks(r *reader, check func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &checker{reader: r, check: check, ctx: ctx}
	c.timer = time.AfterFunc(math.MaxInt64, c.run)
	c.timer.Reset(rand.N(r.hub.checkEvery())) // when c.timer is set
	return func() { cancel(); c.timer.Stop() }
}

func (c *checker) run() {
	h := c.reader.hub
	ctx, cancel := context.WithTimeout(c.ctx, h.checkEvery())
	defer cancel()
	late := func() {
		if c.ctx.Err() == nil {
			c.reader.endSoon(h.endingWithRetry(ctx.Err()))
		}
	}
	inTime := context.AfterFunc(ctx, late) // also if check does not heed it
	err := c.ask(ctx)
	inTime()
	if ctx.Err() != nil {
		late()
		return
	}
	if err != nil {
		h.opts.Logger.InfoContext(c.ctx, "ssehub: revoked", "subject", c.reader.admission.subject, "error", err)
		c.reader.endSoon(revoking(fmt.Errorf("%w: %w", ErrRevoked, err)))
		return
	}
	c.timer.Reset(h.checkEvery())
}

// ask takes a panic for a no.
func (c *checker) ask(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			err = fmt.Errorf("Grant.Check panicked: %v", v)
			c.reader.hub.opts.Logger.Error("ssehub: Grant.Check panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	return c.check(ctx)
}
