package ssehub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// With a Broker the log is there, and what the hub has in memory is the end of
// it: Publish appends to the broker, and the follower brings every event back,
// whichever hub it came from, into the logs of its topics. Readers notice no
// difference.

// readyTimeout is how long a request for a stream waits for the first reading
// of the broker's log. Proxies wait longer, but answer with a status that makes a
// browser give up.
const readyTimeout = 5 * time.Second

const (
	maxFollowWait = 5 * time.Second // before the broker is tried again
	watchPeriod   = 5 * time.Second // between two looks at its bounds while nothing comes
)

// appendToBroker is append there. An event that it has may not be in this hub's
// logs yet.
func (h *Hub) appendToBroker(ctx context.Context, topic string, m sse.Message, opts *PublishOptions) (Position, error) {
	topics := append([]string{topic}, opts.Topics...)
	for _, name := range topics {
		if err := checkTopic(name); err != nil {
			return Position{}, err
		}
	}
	h.mu.Lock()
	draining := h.draining
	h.mu.Unlock()
	if draining {
		return Position{}, ErrClosed
	}
	ctx, cancel := h.within(ctx)
	defer cancel()
	pos, err := h.opts.Broker.Append(ctx, Event{
		Time:           time.Now(),
		Topics:         topics,
		Message:        m,
		Key:            opts.Key,
		IdempotencyKey: opts.IdempotencyKey,
		TTL:            opts.TTL,
		Ephemeral:      opts.Ephemeral,
	})
	if err != nil && h.ctx.Err() != nil {
		return Position{}, ErrClosed
	}
	if err != nil {
		return Position{}, fmt.Errorf("ssehub: append to broker: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case pos.Epoch == h.acked.Epoch:
		h.acked.Seq = max(h.acked.Seq, pos.Seq)
	case pos.Epoch == h.epoch || h.acked.Epoch != h.epoch: // else it comes late
		h.acked = pos
	}
	return pos, nil
}

// within returns a context that also ends with the hub.
func (h *Hub) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// await waits until there is a log to read.
func (h *Hub) await(ctx context.Context) error {
	select {
	case <-h.ready:
		return nil
	default:
	}
	select {
	case <-h.ready:
		return nil
	case <-h.drain:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitBriefly is await as long as a client waits for an answer.
func (h *Hub) awaitBriefly(ctx context.Context) bool {
	select {
	case <-h.ready: // without a timer per stream
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return h.await(ctx) == nil
}

// reaches reports whether the broker's log has an event at pos, which is ahead of
// the hub's head: a client may have it from another node.
func (h *Hub) reaches(ctx context.Context, pos Position) bool {
	if h.opts.Broker == nil {
		return false
	}
	h.mu.Lock()
	acked := pos.Epoch == h.acked.Epoch && pos.Seq <= h.acked.Seq
	h.mu.Unlock()
	if acked {
		return true
	}
	ctx, cancel := h.within(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	bounds, err := h.opts.Broker.Bounds(ctx)
	return err == nil && bounds.Epoch == pos.Epoch && bounds.Last >= pos.Seq
}

// follower is the one goroutine that appends to the logs of a hub with a Broker.
type follower struct {
	hub   *Hub
	ready bool
	frame []byte
}

// run follows the broker's log until ctx ends.
func (f *follower) run(ctx context.Context) {
	for failures := 0; ; failures++ {
		head := f.hub.head.Load()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.hub.head.Load() != head {
			failures = 0
		}
		f.hub.opts.Logger.Warn("ssehub: broker cannot be read, trying again", "error", err)
		wait := min(maxFollowWait, 50*time.Millisecond<<min(failures, 10))
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// follow goes on from the hub's head and returns why it cannot any more.
func (f *follower) follow(ctx context.Context) error {
	h := f.hub
	bounds, err := h.opts.Broker.Bounds(ctx)
	if err == nil {
		err = h.settle(bounds, bounds.First)
	}
	if err != nil {
		return err
	}
	if !f.ready {
		if err := f.read(ctx, Range{Until: bounds.Last}); err != nil {
			return err
		}
		// What has not come by now was a hole, or is dropped since.
		last := bounds.Last
		if bounds, err = h.opts.Broker.Bounds(ctx); err == nil {
			err = h.settle(bounds, min(bounds.First, last+1))
		}
		if err != nil {
			return err
		}
		h.skipTo(last)
		f.ready = true
		close(h.ready)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		f.watch(ctx, cancel)
	}()
	defer func() { <-watching }()
	defer cancel(nil) // first
	if err := f.read(ctx, Range{Follow: true}); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return errors.New("ssehub: broker has ended a read with Follow")
}

// watch ends a read in which nothing comes although it should: what was dropped
// at the end of the log shows in its bounds alone, and an engine whose log was
// deleted may say nothing at all.
func (f *follower) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	h := f.hub
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for head := h.head.Load(); ; head = h.head.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if h.head.Load() != head {
			continue
		}
		epoch := h.Position().Epoch
		bounds, err := h.opts.Broker.Bounds(ctx)
		switch {
		case err != nil || h.head.Load() != head: // a failed engine ends the read by itself
		case bounds.Epoch != epoch:
			cancel(errBegunAnew)
		case bounds.First > head+1:
			cancel(errors.New("ssehub: broker has dropped what comes next"))
		}
	}
}

// read takes what is behind the hub's head.
func (f *follower) read(ctx context.Context, r Range) error {
	h := f.hub
	r.After = Position{Epoch: h.epoch, Seq: h.head.Load()} // nobody else writes them
	for e, err := range h.opts.Broker.Read(ctx, r) {
		if err == nil || errors.Is(err, ErrInvalidEvent) && e.Position != (Position{}) {
			if err := f.check(ctx, e.Position); err != nil {
				return err
			}
		}
		if err == nil {
			err = f.take(ctx, &e)
		}
		if errors.Is(err, ErrInvalidEvent) && e.Position != (Position{}) {
			h.opts.Logger.Error("ssehub: broker has an event that cannot be read", "position", e.Position, "error", err)
			h.skipTo(e.Position.Seq)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errBegunAnew = errors.New("ssehub: broker's log has begun anew")

// check sees whether pos is next. If it is not, what is missing was a hole, or is
// lost.
func (f *follower) check(ctx context.Context, pos Position) error {
	h := f.hub
	switch head := h.head.Load(); {
	case pos.Epoch != h.epoch:
		return errBegunAnew
	case pos.Seq <= head:
		return fmt.Errorf("ssehub: broker breaks the order: %v behind %d", pos, head)
	case pos.Seq > head+1:
		bounds, err := h.opts.Broker.Bounds(ctx)
		if err == nil {
			err = h.settle(bounds, min(bounds.First, pos.Seq))
		}
		if err == nil && pos.Epoch != h.epoch {
			err = errBegunAnew
		}
		return err
	}
	return nil
}

// take puts an event into the logs.
func (f *follower) take(ctx context.Context, e *Event) (err error) {
	h := f.hub
	if f.frame, err = appendFrame(f.frame[:0], &e.Message); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidEvent, err)
	}
	if err := e.check(); err != nil {
		return err
	}
	a := &appending{
		seq: e.Position.Seq, at: h.since(e.Time), frame: f.frame,
		key: e.Key, ttl: milliseconds(e.TTL), ephemeral: e.Ephemeral,
	}
	for {
		room, err := h.putFollowed(a, e.Topics)
		if err == errNoTopic {
			if err := h.makeTopics(e.Topics[0], e.Topics[1:]); err != nil {
				return fmt.Errorf("%w: %w", ErrInvalidEvent, err)
			}
			continue
		}
		if room == nil {
			break
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if cap(f.frame) > maxSegment {
		f.frame = nil
	}
	return nil
}

// since returns when an event was published, on the hub's clock: now if its own
// time is not known, or to come.
func (h *Hub) since(published time.Time) time.Duration {
	now := h.now()
	if age := time.Since(published); age > 0 && !published.IsZero() {
		now -= min(age, 1<<61) // a century away from an overflow
	}
	return now
}

// putFollowed is put. Like append it does nothing if it returns a channel to wait
// on or errNoTopic. Nothing is put behind the end of all news.
func (h *Hub) putFollowed(e *appending, topics []string) (room <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isDraining() {
		return nil, nil
	}
	t := h.published(topics[0], topics[1:])
	if t == nil {
		return nil, errNoTopic
	}
	if room := h.budgetRoom(); room != nil {
		return room, nil
	}
	h.put(e, t, topics[1:])
	h.endNewsIfDue()
	return nil, nil
}

// skipTo moves the head over numbers that have no events for readers.
func (h *Hub) skipTo(seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isDraining() {
		h.head.Store(max(h.head.Load(), seq))
		h.endNewsIfDue()
	}
}

// endNewsIfDue lets readers end, after Shutdown has begun, when all is there that
// this hub has published. It needs h.mu.
func (h *Hub) endNewsIfDue() {
	if h.draining && (h.acked.Epoch != h.epoch || h.head.Load() >= h.acked.Seq) {
		h.endNews()
	}
}

// settle compares what the broker keeps with what the hub has. What is not kept
// before first is lost, if the hub does not have it.
func (h *Hub) settle(bounds Bounds, first uint64) error {
	if !validEpoch(bounds.Epoch) || bounds.First > bounds.Last+1 || bounds.Last > maxSeq {
		return fmt.Errorf("ssehub: broker has invalid bounds %+v", bounds)
	}
	var lost uint64
	defer func() { // behind the lock
		if lost > 0 {
			h.opts.Logger.Warn("ssehub: broker has dropped events before this hub had them", "up to", lost)
		}
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	head := h.head.Load()
	switch before := max(1, first) - 1; {
	case h.isDraining():
	case h.epoch == "":
		h.begin(bounds.Epoch, before)
	case bounds.Epoch != h.epoch:
		h.beginAnew(bounds.Epoch, before)
	case bounds.Last < head:
		return fmt.Errorf("ssehub: broker's log ends at %d, and had %d", bounds.Last, head)
	case before > head:
		h.lose(before)
		lost = before
	}
	h.endNewsIfDue()
	return nil
}

// begin sets the epoch. It needs h.mu.
func (h *Hub) begin(epoch string, before uint64) {
	h.epoch, h.idPrefix = epoch, "id: "+epoch+"-"
	h.forgotten = before
	h.head.Store(before)
}

// beginAnew leaves all logs to the readers that have them, who find out and join
// again. It needs h.mu.
func (h *Hub) beginAnew(epoch string, before uint64) {
	orphans := h.all
	var nowhere int64 // counts what they have from now on
	h.bytes = 0
	h.topics, h.all, h.peak = make(map[string]*topic), nil, 0
	h.patterns = trie{version: h.patterns.version + 1}
	h.latest, h.blocking = 0, 0
	h.begin(epoch, before)
	h.life.Add(1) // before waking, see reader.park
	for _, t := range orphans {
		t.total = &nowhere
		if log := t.ephemeral.Load(); log != nil {
			log.total = &nowhere
		}
		if t.armed.Swap(false) {
			h.wake(t)
		}
	}
}

// lose gives up all that is in memory, so that every reader is told that
// what came up to seq may be lost. It needs h.mu.
func (h *Hub) lose(seq uint64) {
	for _, t := range h.all {
		t.lose(seq, h.now(), h.opts.History)
		if t.armed.Swap(false) {
			h.wake(t)
		}
	}
	h.forgotten = seq
	h.head.Store(seq)
}
