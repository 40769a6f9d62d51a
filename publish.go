package ssehub

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// scratch holds the buffers in which Publish encodes.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Publish appends m to the log of topic and returns its position, whose text
// is the id of the event. It copies m, waits for subscribers only under Block, and
// for room a moment as Options.MaxHistory says. ID and Topic of m count for
// nothing, and without Data it is sent with empty data. Errors:
// [ErrInvalidTopic], [sse.ErrInvalidField] (also for a Type that starts with
// "ssehub."), [sse.ErrEventTooLarge], [ErrClosed], that of ctx, a Broker's; with a
// Broker the event may then be in the log all the same.
func (h *Hub) Publish(ctx context.Context, topic string, m sse.Message) (Position, error) {
	return h.PublishWith(ctx, topic, m, PublishOptions{})
}

// PublishOptions says more of a message that is published.
type PublishOptions struct {
	// Key names what the message is the newest value of, such as a row of a
	// table. It counts in topics under Latest, and is not sent. The empty key is
	// a key like any other. At most 256 bytes.
	Key string
	// IdempotencyKey makes it safe to publish again after an error: as long as
	// the topic's history has an event that was published with the same one,
	// nothing is published, and the position is that event's. Empty means none.
	// At most 256 bytes. A Broker may forget it earlier, which it documents.
	IdempotencyKey string
	// Ephemeral sends the message to those who are there, without an id, and
	// keeps it no longer than that takes: a token of a language model, a sign
	// that somebody types. Who reconnects does not get it, and who is too slow
	// may miss it without being told. Its Position is nobody's id; in process its
	// ID is that of the event before. It needs no Key and takes no IdempotencyKey.
	Ephemeral bool
	// TTL is how long the message is of use: who comes to it later does not get
	// it, and has lost nothing. Under Latest it ends its key: a new reader gets
	// nothing of that, and one that has older values of it gets this one, or is told
	// a gap when that has left the window. What a reader has taken, up to 64 KiB or what a Subscription
	// holds, it still delivers. It counts in milliseconds, at most 49 days; zero means for
	// as long as it is kept.
	TTL time.Duration
	// Topics are further topics of the message. It has one position in all of
	// them, and a subscriber of several gets it once. Of these only the first,
	// Publish's own, knows the IdempotencyKey.
	Topics []string
}

const (
	maxKeyLen = 256
	maxTTL    = math.MaxUint32 * time.Millisecond // entry.ttl must hold it
)

// PublishWith is Publish with options.
func (h *Hub) PublishWith(ctx context.Context, topic string, m sse.Message, opts PublishOptions) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, err
	}
	if err := h.check(topic, &m, &opts); err != nil {
		return Position{}, err
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	// Everything but the id is encoded before the lock.
	frame, err := appendFrame((*buf)[:0], &m)
	if err != nil {
		return Position{}, err
	}
	if cap(frame) <= maxSegment {
		*buf = frame
	}
	if h.opts.Broker != nil {
		pos, err := h.appendToBroker(ctx, topic, m, &opts)
		if err == nil && h.opts.Trace != nil {
			h.tracePublished(publishInfo(topic, pos, len(frame), &opts))
		}
		return pos, err
	}
	var blocked time.Time // since when
	for {
		pos, room, err := h.append(topic, frame, &opts)
		if room != nil {
			if blocked.IsZero() {
				blocked = time.Now()
			}
			select {
			case <-room:
				continue
			case <-h.news.Done():
				return Position{}, ErrClosed
			case <-ctx.Done():
				return Position{}, ctx.Err()
			}
		}
		switch {
		case err == errPublished:
			return pos, nil
		case err == nil && h.opts.Trace != nil:
			info := publishInfo(topic, pos, len(frame), &opts)
			if !blocked.IsZero() {
				info.Waited = time.Since(blocked)
			}
			h.tracePublished(info)
		}
		if err != errNoTopic {
			return pos, err
		}
		if err := h.makeTopics(topic, opts.Topics); err != nil {
			return Position{}, err
		}
	}
}

// check refuses what cannot be published, but for what encoding finds.
func (h *Hub) check(topic string, m *sse.Message, opts *PublishOptions) error {
	size := len(m.Data) + len(m.Type) + len(topic)
	for _, name := range opts.Topics {
		size += len(name)
	}
	if limit := h.opts.MaxEventSize; limit > 0 && size > limit {
		return fmt.Errorf("%w: limit %d bytes, see Options.MaxEventSize", sse.ErrEventTooLarge, limit)
	}
	if err := checkKey(opts.Key); err != nil {
		return err
	}
	if err := checkKey(opts.IdempotencyKey); err != nil {
		return err
	}
	if opts.Ephemeral && opts.IdempotencyKey != "" {
		return fmt.Errorf("%w: idempotency key of an ephemeral message", sse.ErrInvalidField)
	}
	if ttl := opts.TTL; ttl != 0 && (ttl < time.Millisecond || ttl > maxTTL) {
		return fmt.Errorf("%w: TTL %v, want between 1 ms and %v", sse.ErrInvalidField, ttl, maxTTL)
	}
	return nil
}

func checkKey(key string) error {
	if len(key) > maxKeyLen {
		return fmt.Errorf("%w: key of %d bytes, limit %d", sse.ErrInvalidField, len(key), maxKeyLen)
	}
	if key != "" && strings.ContainsAny(key, "\r\n\x00") { // a broker may keep it as a line
		return fmt.Errorf("%w: key %q", sse.ErrInvalidField, key)
	}
	return nil
}

// appendFrame appends m as all of its topics' logs have it, but for the topics and the id.
func appendFrame(b []byte, m *sse.Message) ([]byte, error) {
	if strings.HasPrefix(m.Type, "ssehub.") {
		return nil, fmt.Errorf("%w: type %q is reserved", sse.ErrInvalidField, m.Type)
	}
	m.ID, m.Topic = "", ""
	if m.Data == nil {
		m.Data = []byte{}
	}
	frame, err := m.AppendText(b)
	if err == nil && len(frame) > maxFrame {
		err = fmt.Errorf("%w: limit %d bytes", sse.ErrEventTooLarge, maxFrame)
	}
	return frame, err
}

// makeTopics makes the logs of topics that have none.
func (h *Hub) makeTopics(first string, others []string) error {
	if err := h.makeTopic(first); err != nil {
		return err
	}
	for _, name := range others {
		if err := h.makeTopic(name); err != nil {
			return err
		}
	}
	return nil
}

// makeTopic makes the log of a topic, if its name is valid.
func (h *Hub) makeTopic(name string) error {
	if err := checkTopic(name); err != nil {
		return err
	}
	policy := h.opts.OverflowFor(name) // under no lock, as it is the application's
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topic(name, policy)
	return nil
}
