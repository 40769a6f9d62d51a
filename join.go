package ssehub

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/ssehub-go/ssehub/sse"
)

// joining is what kind of reader joins.
type joining struct {
	ctx   context.Context         // while it does
	greet bool                    // with a hello
	plain bool                    // without snapshots
	allow func(topic string) bool // nil: all

	admission *admission // nil if it is no stream of a Handler
}

// errFull refuses a stream because of Limits.PerTopic.
var errFull = errors.New("ssehub: topic has too many readers")

// join makes a reader of topics, which checkTopics has seen, that goes on behind
// lastEventID and gets what is published from now on. The caller must have it
// leave. Between the two it may begin, and then must end: from begin on it is
// one of the tasks that Shutdown and Close wait for.
func (h *Hub) join(lastEventID string, topics []string, as joining) (*reader, error) {
	r := &reader{hub: h, allow: as.allow, plain: as.plain, greet: as.greet, admission: as.admission}
	if err := r.sit(as.ctx, topics); err != nil {
		return nil, err
	}
	r.named = len(topics) > 1 || isPattern(topics[0])
	joined := false
	defer func() {
		if !joined { // an error, or allow has panicked
			r.leave()
		}
	}()
	if err := r.goOn(as.ctx, lastEventID); err != nil {
		return nil, err
	}
	r.describe(topics, lastEventID)
	r.moved()
	joined = true
	return r, nil
}

// sit takes seats at topics, and joins as of the hub's head.
func (r *reader) sit(ctx context.Context, topics []string) error {
	h := r.hub
	policies := make([]Overflow, len(topics))
	snapshots := make([]Snapshot, len(topics))
	for i, name := range topics {
		policies[i] = h.opts.OverflowFor(name)
		if !r.plain && !isPattern(name) {
			snapshots[i] = h.opts.SnapshotFor(name)
		}
	}
	if err := h.lockReady(ctx); err != nil {
		return err
	}
	defer h.mu.Unlock()
	if h.draining {
		return ErrClosed
	}
	if r.admission != nil && r.admission.pending && slices.ContainsFunc(topics, h.isFull) {
		return errFull
	}
	r.standing = standing{
		life: h.life.Load(), epoch: h.epoch, joined: h.head.Load(),
		seats: make([]seat, len(topics)), // new ones: Stats may look at those before
	}
	r.left = false
	now := h.now()
	for i, name := range topics {
		t := h.topic(name, policies[i])
		t.trim(now, h.opts.History) // what is too old is not replayed
		t.readers++
		r.seats[i] = seat{topic: t, reader: r, snapshot: snapshots[i]}
		if t.block != nil {
			t.block.sit(r)
		}
	}
	return nil
}

// joinAgain has r go on in a log that has begun anew, where it is told so.
func (r *reader) joinAgain() (err error) {
	defer errorOf("OverflowFor, SnapshotFor or the Broker", &err)
	topics := make([]string, len(r.seats))
	for i := range r.seats {
		topics[i] = r.seats[i].topic.name
	}
	from := r.position(r.cursor)
	if r.recall != nil {
		from.Seq = r.recall.at
	}
	unread := r.hasMore() // of which from knows nothing
	r.leave()
	if err = r.sit(r.hub.ctx, topics); err != nil {
		return err
	}
	verdict := sse.VerdictEpoch // from is of the life that is over: nobody must be asked
	switch {
	case from.Epoch != r.epoch:
	case unread || r.hub.isDoubtful(from):
		verdict = sse.VerdictAhead
	default:
		verdict = sse.VerdictResumed
	}
	return r.goOnFrom(r.hub.ctx, from.String(), from, verdict)
}

// leave gives up r's seats, if it has not yet. Nobody wakes it any more.
func (r *reader) leave() {
	if r.left {
		return
	}
	r.left = true
	r.got.Store(math.MaxUint64) // it lags no more
	r.release()
	for i := range r.seats {
		r.seats[i].topic.unpark(&r.seats[i])
	}
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	now := r.hub.now()
	for i := range r.seats {
		t := r.seats[i].topic
		t.readers--
		t.idle = now
		if t.block != nil {
			delete(t.block.readers, r)
			t.block.makeRoom()
		}
	}
}

// begin counts r among the subscribers; conn is nil in process.
func (r *reader) begin(conn *sse.Conn) error {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return ErrClosed
	}
	r.conn, r.began = conn, h.now()
	if r.admission != nil {
		r.admission.settle(r)
	}
	h.readers[r] = struct{}{}
	h.joined++
	h.tasks.Add(1)
	return nil
}

// end has r leave, takes it from the subscribers, and calls last, if any. The
// hook that hears of err comes behind that, so that one that blocks holds
// nothing, and is the last thing that Shutdown and Close wait for.
func (r *reader) end(err error, last func(error)) {
	defer r.hub.tasks.Done() // even if the hook ends its goroutine
	r.leave()
	r.hub.mu.Lock()
	delete(r.hub.readers, r)
	draining, left, of := r.hub.draining, len(r.hub.readers), r.hub.drainOf
	r.hub.mu.Unlock()
	if r.admission != nil {
		r.admission.end()
	}
	if last != nil {
		last(err)
	}
	r.traceLeft(err)
	if draining {
		r.hub.traceDrain(left, of)
	}
}
