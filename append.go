package ssehub

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

const maxDigits = 20 // of a number

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
		size := len(t.line) + len(frame) + idSize(h.epoch)
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
	frame     []byte // but for the topics and the id
	key       string
	ttl       uint32 // milliseconds
	ephemeral bool
}

// appendWithID appends a frame and its id, which is the last line: a client that takes
// it before it has the whole event, and is cut, would never ask for that event again.
func appendWithID(b, frame []byte, epoch string, seq uint64) []byte {
	b = append(b, frame[:len(frame)-1]...) // but for the blank line
	b = append(b, "id: "...)
	b = append(b, epoch...)
	b = append(b, '-')
	b = strconv.AppendUint(b, seq, 10)
	return append(b, "\n\n"...)
}

// idSize is what appendWithID appends for the id, or a few bytes more.
func idSize(epoch string) int {
	return len("id: -\n") + len(epoch) + maxDigits
}

// appendWithoutID appends a frame but for its id, which an ephemeral event has none of.
func appendWithoutID(b, frame []byte) []byte {
	lines := frame[:len(frame)-1]
	last := bytes.LastIndexByte(lines[:len(lines)-1], '\n') + 1
	if bytes.HasPrefix(lines[last:], []byte("id: ")) { // data cannot look like this
		lines = lines[:last]
	}
	return append(append(b, lines...), '\n')
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
	t.published++
	wake := false
	if e.ephemeral {
		wake = t.appendEphemeral(e, lines)
	} else {
		wake = t.append(e, lines, h.epoch, h.opts.History)
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
