package ssehub

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Broker is a log that outlives a Hub, or that several share: Options.Broker.
// Package brokertest holds an implementation against this contract.
//
//  1. Append adds an event at the end of the log. It returns the event's
//     position when the event is as safe as the broker's documentation says, and
//     every Bounds and Read that begins then finds it. After an error the event
//     may be in the log or not. Append ends soon after its context.
//  2. Seq begins at 1 or above, rises with every event, and stays below 2^53.
//     Holes are allowed, and each costs the hub a look at Bounds.
//  3. There is one order. Every Read, on every node, yields by Seq. What a Read
//     has passed is settled: no event appears there later.
//  4. An event is yielded as it was appended, but for its Position: any topics,
//     any bytes, all fields, the Time to the millisecond. Append keeps nothing of
//     the memory that it is given. An entry that cannot be read as an event is
//     yielded with its Position and an error that wraps ErrInvalidEvent, and the
//     Read goes on.
//  5. A Read ends with an error soon after its context has ended, and when the
//     engine fails. Without Follow it ends without one when it has yielded every
//     event behind After, up to and including Until, which is no more than a Last
//     that Bounds has returned. It ends also if there is none.
//  6. A Read with Follow goes on with events as they come, and ends only with an
//     error. It does not try again by itself for longer than a moment.
//  7. A broker may drop events from the beginning of its log. A Read that meets
//     such a place goes on behind it. Bounds is honest about it: when a Read has
//     passed over an event, First is above that event.
//  8. Bounds returns the Epoch and which events are kept: First to Last; First is
//     Last+1 if there is none. Within an Epoch neither falls. Last is no less
//     than the position of any Append that has returned, or of any event that a
//     Read has yielded. Bounds ends soon after its context.
//  9. The Epoch changes whenever a Seq could be used again: the log was deleted,
//     flushed, restored from an old copy, or has lost its end. Events carry it.
//     A Read from a position of another Epoch ends with an error, as does one
//     under way when the Epoch changes. A lost end that a broker cannot know of it
//     documents: only hubs that have read it notice, and only when a Read has ended.
//  10. An event with an IdempotencyKey is not appended if one with the same key
//     and the same first topic is kept: Append returns that one's position. A
//     broker that remembers keys for another time documents that.
//  11. All methods are safe for concurrent use. A Read holds no lock while it
//     yields, leaves nothing running when it has ended, and a slow one hinders
//     neither Append nor other Reads.
type Broker interface {
	Append(ctx context.Context, e Event) (Position, error)
	Read(ctx context.Context, r Range) iter.Seq2[Event, error]
	Bounds(ctx context.Context) (Bounds, error)
}

// Range is what a Broker's Read yields.
type Range struct {
	After  Position // exclusive; its Epoch is the log's
	Until  uint64   // inclusive
	Follow bool     // Until does not count, and the Read goes on for ever
	Topics []string // if any: a hint that no others are needed; they may come all the same
}

// Bounds is what a Broker's log keeps.
type Bounds struct {
	Epoch       string
	First, Last uint64 // First is Last+1 if nothing is kept
}

// readyTimeout is how long a request for a stream waits for the first reading
// of the broker's log. Proxies wait longer, but answer with a status that makes a
// browser give up.
const readyTimeout = 5 * time.Second

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
	return h.appendEvent(ctx, Event{
		Time:           time.Now(),
		Topics:         topics,
		Message:        m,
		Key:            opts.Key,
		IdempotencyKey: opts.IdempotencyKey,
		TTL:            opts.TTL,
		Ephemeral:      opts.Ephemeral,
	})
}

// appendEvent appends to the broker's log, and notes how far that is.
func (h *Hub) appendEvent(ctx context.Context, e Event) (Position, error) {
	ctx, cancel := h.within(ctx)
	defer cancel()
	began := h.now()
	pos, err := h.opts.Broker.Append(ctx, e)
	if err != nil {
		h.health.refused.Add(1)
	} else {
		h.health.appended.Add(1)
		h.health.latency.add(h.now() - began)
	}
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

// Ready waits until there is a log to read: at once without a Broker, else until
// its log was read for the first time, or since it has begun anew, which Subscribe,
// Resume, Serve and History wait for, too. Errors: [ErrClosed], that of ctx.
func (h *Hub) Ready(ctx context.Context) error {
	ready := h.isReady()
	select {
	case <-ready:
		return nil
	default:
	}
	select {
	case <-ready:
		return nil
	case <-h.news.Done():
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isReady returns a channel that is closed when there is a log to read.
func (h *Hub) isReady() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready
}

// lockReady is h.mu.Lock where there is a log to read.
func (h *Hub) lockReady(ctx context.Context) error {
	for {
		h.mu.Lock()
		select {
		case <-h.ready:
			return nil
		default:
			h.mu.Unlock()
		}
		if err := h.Ready(ctx); err != nil {
			return err
		}
	}
}

// awaitBriefly is Ready as long as a client waits for an answer.
func (h *Hub) awaitBriefly(ctx context.Context) bool {
	select {
	case <-h.isReady(): // without a timer per stream
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return h.Ready(ctx) == nil
}

// errBehind refuses a reader who is of a life of the broker's log that this hub has
// not read yet.
var errBehind = errors.New("ssehub: hub is behind its broker")

// judge returns the verdict of a client's position, where the log as this hub knows it
// has epoch and goes up to head: its node may be behind another one, which the client
// comes from. An error says that nobody knows for now; to tell a gap may be wrong.
func (h *Hub) judge(ctx context.Context, pos Position, epoch string, head uint64) (string, error) {
	if pos.Epoch == epoch && (pos.Seq <= head || h.hasAcked(pos)) {
		return sse.VerdictResumed, nil
	}
	var bounds Bounds
	if h.opts.Broker != nil {
		var err error
		if bounds, err = h.askBounds(ctx); err != nil {
			return "", fmt.Errorf("ssehub: bounds of broker: %w", err)
		}
	}
	switch {
	case pos.Epoch == epoch && bounds.Epoch == epoch && bounds.Last >= pos.Seq:
		return sse.VerdictResumed, nil
	case pos.Epoch == epoch:
		return sse.VerdictAhead, nil
	case pos.Epoch == bounds.Epoch:
		return "", errBehind
	default:
		return sse.VerdictEpoch, nil
	}
}

// hasAcked reports whether the broker has taken an event at pos, or above it, from
// this hub.
func (h *Hub) hasAcked(pos Position) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return pos.Epoch == h.acked.Epoch && pos.Seq <= h.acked.Seq
}

// askBounds waits for the broker no longer than a client does, and than it may take to
// find out that it is silent.
func (h *Hub) askBounds(ctx context.Context) (Bounds, error) {
	ctx, cancel := h.within(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	bounds, err := h.opts.Broker.Bounds(ctx)
	if err == nil && (!validEpoch(bounds.Epoch) || bounds.First > bounds.Last+1 || bounds.Last > maxSeq) {
		err = fmt.Errorf("ssehub: broker has invalid bounds %+v", bounds)
	}
	return bounds, err
}
