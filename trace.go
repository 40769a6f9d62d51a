package ssehub

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Trace is a set of functions that a Hub calls as things happen, like those of
// net/http/httptrace; any may be nil. They run on the goroutine that the thing
// happens on, under no lock: one that is slow or blocks holds up that one
// publisher or subscriber, heartbeats included, and nobody else, unless
// publishers wait for it under Block. When one panics that goes on, and is logged
// with its stack, once for each function. They must be safe for concurrent use.
//
// They may call the hub. What a subscriber's function waits for must not be the
// subscriber itself: give Shutdown a context that ends. Close ends by itself.
type Trace struct {
	// Published is called on the publisher's goroutine, when subscribers may
	// have got the message already. It is not called for a message that an
	// idempotency key has found to be published before, unless a Broker has.
	Published func(PublishInfo)
	// Joined is called before anything is written to the subscriber.
	Joined func(SubscriberInfo)
	// Left is called last, once for each Joined, when the subscriber counts no
	// more. The error is what Serve or Subscription.Err returns: nil after
	// Subscription.Close, never nil for a stream.
	Left func(SubscriberInfo, error)
	// Gap is called when a gap was written, or received from a Subscription.
	Gap func(SubscriberInfo, sse.Gap)
	// Written is called after each write of events, and when a Subscription
	// comes back for more, as all it had was received. Heartbeats do not count.
	Written func(SubscriberInfo, WriteInfo)
	// Drain is called when Shutdown or Close begins, and when a subscriber has
	// left since: the progress of it.
	Drain func(DrainInfo)
}

// DrainInfo is how far the end of a hub has come.
type DrainInfo struct {
	Subscribers int // that are left
	Of          int // that there were when it began
}

// PublishInfo is what was published.
type PublishInfo struct {
	Topic     string
	Topics    []string // PublishOptions.Topics; not to be changed
	Position  Position
	Bytes     int           // encoded, but for the id
	Ephemeral bool          // it has a Position, but that is nobody's id
	Waited    time.Duration // for subscribers under Block, or for MaxHistory
}

// SubscriberInfo is a stream or a Subscription.
type SubscriberInfo struct {
	Topics   []string // and patterns; not to be changed
	Conn     string   // id of the stream, as in sse.Hello; empty in process
	Subject  string   // of the Grant, if any
	Verdict  string   // one of the sse.Verdict constants
	Position Position // that it came with, or, for verdict fresh, of the newest event; zero for verdict invalid
}

// WriteInfo is one write to a subscriber: up to 64 KiB, or one larger event.
type WriteInfo struct {
	Bytes   int
	Events  int           // without the hub's own, such as hello and gaps
	Live    bool          // at least one was published since the subscriber joined
	Latency time.Duration // from the publishing of the oldest such event to the end of the write
}

// hook is one of Trace's functions, and its bit in Hub.panicked.
type hook uint32

const (
	hookPublished hook = 1 << iota
	hookJoined
	hookLeft
	hookGap
	hookWritten
	hookDrain
)

func (k hook) String() string {
	return map[hook]string{
		hookPublished: "Published",
		hookJoined:    "Joined",
		hookLeft:      "Left",
		hookGap:       "Gap",
		hookWritten:   "Written",
		hookDrain:     "Drain",
	}[k]
}

// recovered is deferred around each call of a hook.
func (h *Hub) recovered(k hook) {
	v := recover()
	if v == nil || h.panicked.Or(uint32(k))&uint32(k) != 0 {
		return
	}
	h.opts.Logger.Error("ssehub: a function of Trace panicked; it is logged once", "function", k.String(),
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}

func publishInfo(topic string, pos Position, bytes int, opts *PublishOptions) PublishInfo {
	return PublishInfo{Topic: topic, Topics: opts.Topics, Position: pos, Bytes: bytes, Ephemeral: opts.Ephemeral}
}

func (h *Hub) tracePublished(info PublishInfo) {
	if h.opts.Trace.Published != nil {
		defer h.recovered(hookPublished)
		h.opts.Trace.Published(info)
	}
}

// describe keeps what the hooks are told of r.
func (r *reader) describe(topics []string, lastEventID string) {
	if r.hub.opts.Trace == nil {
		return
	}
	from := r.origin
	if lastEventID == "" {
		from = r.position(r.joined) // the origin is zero before a state
	}
	r.info = &SubscriberInfo{Topics: slices.Clone(topics), Conn: r.id, Verdict: r.verdict, Position: from}
	if r.admission != nil {
		r.info.Subject = r.admission.subject
	}
}

func (r *reader) traceJoined() {
	if t := r.hub.opts.Trace; t != nil && t.Joined != nil {
		defer r.hub.recovered(hookJoined)
		t.Joined(*r.info)
	}
}

func (h *Hub) traceDrain(left, of int) {
	if t := h.opts.Trace; t != nil && t.Drain != nil {
		defer h.recovered(hookDrain)
		t.Drain(DrainInfo{Subscribers: left, Of: of})
	}
}

func (r *reader) traceLeft(err error) {
	if t := r.hub.opts.Trace; t != nil && t.Left != nil {
		defer r.hub.recovered(hookLeft)
		t.Left(*r.info, err)
	}
}

// traceGaps tells of the gaps that are written by now.
func (r *reader) traceGaps() {
	gaps := r.gaps
	r.gaps = nil
	for _, gap := range gaps {
		r.traceGap(gap)
	}
}

func (r *reader) traceGap(gap sse.Gap) {
	defer r.hub.recovered(hookGap)
	r.hub.opts.Trace.Gap(*r.info, gap)
}

func (r *reader) traceWritten(info WriteInfo) {
	if t := r.hub.opts.Trace; t != nil && t.Written != nil {
		defer r.hub.recovered(hookWritten)
		t.Written(*r.info, info)
	}
}
