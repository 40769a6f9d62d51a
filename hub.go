package ssehub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// ErrClosed is returned by a Hub that was shut down or closed.
var ErrClosed = errors.New("ssehub: hub closed")

// Hub carries messages from publishers to the subscribers of their topics. All
// methods are safe for concurrent use. End it with Shutdown or Close.
type Hub struct {
	opts     Options
	epoch    string
	idPrefix string // "id: epoch-"
	started  time.Time

	head atomic.Uint64 // every event up to it is in its topic; written under mu

	mu        sync.Mutex        // guards numbering with appending, and what follows
	topics    map[string]*topic // patterns among them
	all       []*topic          // the same, for the sweep to walk in steps
	patterns  trie
	latest    int    // of them, under Latest
	forgotten uint64 // no topic that is not in topics ever had an event above it
	sweep     *time.Timer
	dirty     []*topic // have news and sleeping readers
	spare     []*topic // the waker's: storage for the next dirty
	waking    bool     // the waker runs
	readers   map[*reader]struct{}
	draining  bool
	killed    bool

	gaps   atomic.Uint64
	warned sync.Once     // of connections without deadlines
	drain  chan struct{} // closed when Shutdown begins; spread is set before
	spread time.Duration
	kill   chan struct{}  // closed when Close begins
	tasks  sync.WaitGroup // streams, subscriptions and the waker
}

// New returns a Hub; nil means the default options. It holds its log in this
// process's memory. A Hub starts no goroutine until it has readers.
func New(opts *Options) *Hub {
	epoch := newEpoch()
	return &Hub{
		opts:     opts.withDefaults(),
		epoch:    epoch,
		idPrefix: "id: " + epoch + "-",
		started:  time.Now(),
		topics:   make(map[string]*topic),
		readers:  make(map[*reader]struct{}),
		drain:    make(chan struct{}),
		kill:     make(chan struct{}),
	}
}

// scratch holds the buffers in which Publish encodes.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Publish appends m to the log of topic and returns its position, whose text
// is the id of the event. It copies m and never waits for a subscriber. The
// hub sets ID and Topic itself, whatever m holds there, and a message without
// Data is sent with empty data. Errors: [ErrInvalidTopic], [sse.ErrInvalidField]
// (also for a Type that starts with "ssehub."), [sse.ErrEventTooLarge],
// [ErrClosed], that of ctx.
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
	// At most 256 bytes.
	IdempotencyKey string
	// Ephemeral sends the message to those who are there, without an id, and
	// keeps it no longer than that takes: a token of a language model, a sign
	// that somebody types. Who reconnects does not get it, and who is too slow
	// may miss it without being told. It needs no Key and takes no
	// IdempotencyKey.
	Ephemeral bool
}

const maxKeyLen = 256

// PublishWith is Publish with options.
func (h *Hub) PublishWith(ctx context.Context, topic string, m sse.Message, opts PublishOptions) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, err
	}
	if strings.HasPrefix(m.Type, "ssehub.") {
		return Position{}, fmt.Errorf("%w: type %q is reserved", sse.ErrInvalidField, m.Type)
	}
	if limit := h.opts.MaxEventSize; limit > 0 && len(m.Data)+len(m.Type)+len(topic) > limit {
		return Position{}, fmt.Errorf("%w: limit %d bytes", sse.ErrEventTooLarge, limit)
	}
	if n := max(len(opts.Key), len(opts.IdempotencyKey)); n > maxKeyLen {
		return Position{}, fmt.Errorf("%w: key of %d bytes, limit %d", sse.ErrInvalidField, n, maxKeyLen)
	}
	if opts.Ephemeral && opts.IdempotencyKey != "" {
		return Position{}, fmt.Errorf("%w: idempotency key of an ephemeral message", sse.ErrInvalidField)
	}
	m.ID, m.Topic = "", ""
	if m.Data == nil {
		m.Data = []byte{}
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	// Everything but the id is encoded before the lock.
	frame, err := m.AppendText((*buf)[:0])
	if err != nil {
		return Position{}, err
	}
	if len(frame) > maxFrame {
		return Position{}, fmt.Errorf("%w: limit %d bytes", sse.ErrEventTooLarge, maxFrame)
	}
	if cap(frame) <= maxSegment {
		*buf = frame
	}
	for {
		pos, err := h.append(topic, frame, &opts)
		if err != errNoTopic {
			return pos, err
		}
		if err := h.makeTopic(topic); err != nil {
			return Position{}, err
		}
	}
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

var errNoTopic = errors.New("ssehub: no such topic") // for PublishWith alone

// append gives the frame its number and puts it into the log in one step: if
// another topic's next event could be seen before this one, a reader of both
// would resume behind it.
func (h *Hub) append(name string, frame []byte, opts *PublishOptions) (Position, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return Position{}, ErrClosed
	}
	t := h.topics[name]
	if t == nil || t.pattern {
		return Position{}, errNoTopic
	}
	if seq, ok := t.once.seqs[opts.IdempotencyKey]; ok {
		return Position{Epoch: h.epoch, Seq: seq}, nil
	}
	seq, now := h.head.Load()+1, h.now()
	t.idle = now
	if opts.IdempotencyKey != "" {
		t.once.add(opts.IdempotencyKey, seq)
	}
	h.appendTo(t, seq, now, nil, frame, opts.Key, opts.Ephemeral)
	for _, p := range h.patternsOf(t) {
		key := ""
		if p.latest != nil {
			key = name + " " + opts.Key
		}
		h.appendTo(p, seq, now, t.line, frame, key, opts.Ephemeral)
	}
	h.head.Store(seq)
	return Position{Epoch: h.epoch, Seq: seq}, nil
}

// appendTo appends to one log, and leaves its sleeping readers to the waker. It
// needs h.mu.
func (h *Hub) appendTo(t *topic, seq uint64, now time.Duration, line, frame []byte, key string, ephemeral bool) {
	wake := false
	if ephemeral {
		wake = t.appendEphemeral(seq, now, line, frame)
	} else {
		wake = t.append(seq, now, line, h.idPrefix, frame, key, h.opts.History)
	}
	if wake {
		h.wake(t)
	}
}

// now is the time since the hub started, on the monotonic clock.
func (h *Hub) now() time.Duration {
	return time.Since(h.started)
}

// patternsOf returns the logs of the patterns that match t. It needs h.mu.
func (h *Hub) patternsOf(t *topic) []*topic {
	if t.matched != h.patterns.version {
		t.matched = h.patterns.version
		t.patterns = h.patterns.match(t.name, t.patterns[:0])
	}
	return t.patterns
}

// topic returns the log of a topic with a valid name, or of a pattern, and
// makes it if need be. It needs h.mu.
func (h *Hub) topic(name string, policy Overflow) *topic {
	if t := h.topics[name]; t != nil {
		return t
	}
	name = strings.Clone(name) // it may be a part of a whole request
	var t *topic
	if isPattern(name) {
		t = newTopic(name, policy, h.head.Load()) // all before is in the topics' logs
		t.line, t.pattern = nil, true             // its frames name their topics
		h.patterns.put(name, t)
	} else {
		t = newTopic(name, policy, h.forgotten)
	}
	if t.latest != nil {
		h.latest++
	}
	t.index = len(h.all)
	t.idle = h.now()
	h.topics[name] = t
	h.all = append(h.all, t)
	h.scheduleSweep()
	return t
}

// wake leaves the waking of t's readers to the waker, which lives while there
// is something to wake. It needs h.mu.
func (h *Hub) wake(t *topic) {
	h.dirty = append(h.dirty, t)
	if !h.waking {
		h.waking = true
		h.tasks.Go(h.runWaker)
	}
}

func (h *Hub) runWaker() {
	for {
		h.mu.Lock()
		dirty := h.dirty
		if len(dirty) == 0 {
			h.waking = false
			h.mu.Unlock()
			return
		}
		h.dirty, h.spare = h.spare, nil
		h.mu.Unlock()
		for i, t := range dirty {
			t.wake()
			dirty[i] = nil
		}
		h.spare = dirty[:0]
	}
}

// Position returns the position of the newest event: what to resume from who
// has a state that includes all up to now. Take it before reading the state.
func (h *Hub) Position() Position {
	return Position{Epoch: h.epoch, Seq: h.head.Load()}
}

// Stats is a snapshot of a Hub.
type Stats struct {
	Subscribers int      // streams and in-process subscriptions
	Topics      int      // in memory: with subscribers or history, or not long without
	Patterns    int      // in memory: with subscribers, or not long without
	Position    Position // of the newest event
	Events      int      // kept, in all topics
	Bytes       int64    // of the kept events, encoded, and once more for each pattern
	Gaps        uint64   // told to readers since the hub started
}

// Stats returns a snapshot. It walks all topics, so do not call it for every
// event.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{
		Subscribers: len(h.readers),
		Position:    h.Position(),
		Gaps:        h.gaps.Load(),
	}
	for _, t := range h.all {
		events, bytes := t.kept()
		s.Bytes += bytes
		if t.pattern {
			s.Patterns++
			continue
		}
		s.Topics++
		s.Events += events
	}
	return s
}
