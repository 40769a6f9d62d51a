package ssehub

import (
	"context"
	"errors"
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
// is the id of the event. It copies m, waits for subscribers only under
// Block, and for room a moment as Options.MaxHistory says. The hub sets ID and Topic itself, whatever m holds there, and a message
// without Data is sent with empty data. Errors: [ErrInvalidTopic],
// [sse.ErrInvalidField] (also for a Type that starts with "ssehub."),
// [sse.ErrEventTooLarge], [ErrClosed], that of ctx.
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
	// may miss it without being told. It needs no Key and takes no
	// IdempotencyKey.
	Ephemeral bool
	// TTL is how long the message is of use: who comes to it later does not get
	// it, and has lost nothing. Under Latest it ends its key, once all of that has
	// left the window. It counts in milliseconds, at most 49 days; zero means for
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
	if err := h.check(topic, m, &opts); err != nil {
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
			case <-h.drain:
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
func (h *Hub) check(topic string, m sse.Message, opts *PublishOptions) error {
	size := len(m.Data) + len(m.Type) + len(topic)
	for _, name := range opts.Topics {
		size += len(name)
	}
	if limit := h.opts.MaxEventSize; limit > 0 && size > limit {
		return fmt.Errorf("%w: limit %d bytes", sse.ErrEventTooLarge, limit)
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

// appendFrame appends m as all of its topics' logs have it behind the id.
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

// Told to nobody.
var (
	errNoTopic   = errors.New("ssehub: no such topic")
	errPublished = errors.New("ssehub: published before")
)

// append gives the frame its number and puts it into the log in one step: if
// another topic's next event could be seen before this one, a reader of both
// would resume behind it. It does nothing if it returns a channel to wait on.
func (h *Hub) append(name string, frame []byte, opts *PublishOptions) (Position, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return Position{}, nil, ErrClosed
	}
	t := h.published(name, opts.Topics)
	if t == nil {
		return Position{}, nil, errNoTopic
	}
	if seq, ok := t.once.seqs[opts.IdempotencyKey]; ok {
		return Position{Epoch: h.epoch, Seq: seq}, nil, errPublished
	}
	if room := h.budgetRoom(); room != nil {
		return Position{}, room, nil
	}
	if !opts.Ephemeral && h.blocking > 0 {
		// Rather too much than too little: the id, and in patterns' logs the topics.
		size := len(h.idPrefix) + maxDigits + 1 + len(frame) + len(t.line)
		for _, name := range opts.Topics {
			size += len("topic: ") + len(name) + 1
		}
		if room := h.full(t, opts.Topics, size); room != nil {
			return Position{}, room, nil
		}
	}
	e := appending{seq: h.head.Load() + 1, at: h.now(), frame: frame, key: opts.Key, ttl: milliseconds(opts.TTL), ephemeral: opts.Ephemeral}
	if opts.IdempotencyKey != "" {
		t.once.add(opts.IdempotencyKey, e.seq)
	}
	h.put(&e, t, opts.Topics)
	return Position{Epoch: h.epoch, Seq: e.seq}, nil, nil
}

// published returns the log of a topic, or nil if it or one of the others has no
// log or is a pattern. It needs h.mu.
func (h *Hub) published(name string, others []string) *topic {
	for _, other := range others {
		if h.published(other, nil) == nil {
			return nil
		}
	}
	if t := h.topics[name]; t != nil && !t.pattern {
		return t
	}
	return nil
}

// appending is an event on its way into the logs.
type appending struct {
	seq       uint64
	at        time.Duration
	frame     []byte // but for what comes before the id
	key       string
	ttl       uint32 // milliseconds
	ephemeral bool
}

func milliseconds(ttl time.Duration) uint32 {
	return uint32(max(0, min(ttl, maxTTL)) / time.Millisecond)
}

// put puts e into all logs that it belongs to. It needs h.mu.
func (h *Hub) put(e *appending, t *topic, others []string) {
	if len(others) > 0 {
		h.appendToSeveral(e, t, others)
	} else {
		t.idle = e.at
		h.appendTo(t, e, nil)
		if t.latest != nil {
			e.ttl = 0 // it takes the place of older ones in the patterns' logs, too
		}
		for _, p := range h.patternsOf(t) {
			h.appendTo(p, e, t.line)
		}
	}
	h.head.Store(e.seq)
	h.putEvents++
	h.putBytes += uint64(len(e.frame))
	h.checkBudget()
}

// appendTo appends to one log, behind the lines that name the topics, and leaves
// its sleeping readers to the waker. It needs h.mu.
func (h *Hub) appendTo(t *topic, e *appending, lines []byte) {
	wake := false
	if e.ephemeral {
		wake = t.appendEphemeral(e, lines)
	} else {
		wake = t.append(e, lines, h.idPrefix, h.opts.History)
	}
	if wake {
		h.wake(t)
	}
}

// appendToSeveral appends to each topic's log, and once to that of each pattern,
// where all topics that it matches are named. It needs h.mu.
func (h *Hub) appendToSeveral(e *appending, first *topic, others []string) {
	seen := make(map[*topic]bool)
	lines := make(map[*topic][]byte) // of patterns
	for _, name := range append([]string{first.name}, others...) {
		t := h.topics[name]
		if seen[t] {
			continue
		}
		seen[t] = true
		t.idle = e.at
		h.appendTo(t, e, nil)
		for _, p := range h.patternsOf(t) {
			lines[p] = append(lines[p], t.line...)
		}
	}
	for t := range seen {
		if t.latest != nil {
			e.ttl = 0 // as in put
		}
	}
	for p, lines := range lines {
		h.appendTo(p, e, lines)
	}
}
