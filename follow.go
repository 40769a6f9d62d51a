package ssehub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// With a Broker the log is there, and what the hub has in memory is the end of
// it: Publish appends to the broker, and the follower brings every event back,
// whichever hub it came from, into the logs of its topics. Readers notice no
// difference.

const (
	maxFollowWait = 5 * time.Second // before the broker is tried again
	watchPeriod   = 5 * time.Second // between two looks at its bounds while nothing comes
)

// follower is the one goroutine that appends to the logs of a hub with a Broker.
type follower struct {
	hub     *Hub
	busy    atomic.Bool // with an event that it has
	streams bool        // there may be some
	frame   []byte
	tail    tail // of the log
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
		f.hub.health.note(err)
		f.hub.health.failures.Add(1)
		f.hub.opts.Logger.Warn("ssehub: reading the broker's log has ended, trying again", "error", err)
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
func (f *follower) follow(ctx context.Context) (err error) {
	defer errorOf("the Broker or OverflowFor", &err)
	h := f.hub
	had := h.had()
	bounds, err := h.askBounds(ctx)
	if err == nil {
		err = f.compare(ctx, bounds, had)
	}
	if err == nil {
		err = h.settle(bounds, bounds.First)
	}
	if err != nil {
		return err
	}
	select {
	case <-h.isReady():
	default:
		if err := f.readAll(ctx, bounds.Last); err != nil {
			return err
		}
	}
	h.health.note(nil)
	ctx, cancel := context.WithCancelCause(ctx)
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

// readAll takes what is there up to last of a log that is new to the hub.
func (f *follower) readAll(ctx context.Context, last uint64) error {
	h, epoch := f.hub, f.hub.epoch
	if err := f.read(ctx, Range{Until: last}); err != nil {
		return err
	}
	// What has not come by now was a hole, or is dropped since.
	bounds, err := h.askBounds(ctx)
	if err == nil {
		err = h.settle(bounds, min(bounds.First, last+1))
	}
	if err != nil {
		return err
	}
	if h.epoch != epoch {
		return errBegunAnew
	}
	h.skipTo(min(last, bounds.Last)) // which has lost its end, if it is less
	f.streams = true
	h.arrive()
	return nil
}

// watch ends a read in which nothing comes although it should: what was dropped
// at the end of the log shows in its bounds alone, and an engine whose log was
// deleted may say nothing at all.
func (f *follower) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	var panicked error
	defer func() {
		if panicked != nil {
			cancel(panicked)
		}
	}()
	defer errorOf("the Broker", &panicked)
	h := f.hub
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for head := h.head.Load(); ; head = h.head.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if h.head.Load() != head || f.busy.Load() {
			h.health.note(nil)
			continue
		}
		epoch := h.Position().Epoch
		bounds, err := h.askBounds(ctx)
		if ctx.Err() != nil {
			return
		}
		h.health.note(err)
		switch {
		case err != nil || h.head.Load() != head || f.busy.Load(): // a failed engine ends the read by itself
		case bounds.Epoch != epoch:
			cancel(errBegunAnew)
		case bounds.First > head+1:
			cancel(errors.New("ssehub: broker has dropped what comes next"))
		case bounds.Last < head:
			cancel(errors.New("ssehub: broker's log has become shorter"))
		}
	}
}

// read takes what is behind the hub's head.
func (f *follower) read(ctx context.Context, r Range) error {
	h := f.hub
	r.After = Position{Epoch: h.epoch, Seq: h.head.Load()} // nobody else writes them
	defer f.busy.Store(false)
	for e, err := range h.opts.Broker.Read(ctx, r) {
		f.busy.Store(true)
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
		f.tail.add(&e)
		f.busy.Store(false)
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
		bounds, err := h.askBounds(ctx)
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
	if len(e.Topics) > 0 && e.Topics[0] == controlTopic {
		if f.streams { // else it is of the past
			h.control(e)
		}
		h.skipTo(e.Position.Seq)
		return nil
	}
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
	if h.noNews() {
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
