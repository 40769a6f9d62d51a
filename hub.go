package ssehub

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by a Hub that was shut down or closed.
var ErrClosed = errors.New("ssehub: hub closed")

// Hub carries messages from publishers to the subscribers of their topics. All
// methods are safe for concurrent use. End it with Shutdown or Close.
type Hub struct {
	opts    Options
	started time.Time
	life    atomic.Uint64 // counts those of the log that have been read to their end; written under mu
	begun   atomic.Uint64 // and those that have begun

	head atomic.Uint64 // every event up to it is in its topic; written under mu

	mu        sync.Mutex    // guards numbering with appending, and what follows
	ready     chan struct{} // closed while the epoch is known, and a Broker's log was read
	orphans   []*topic      // of the life before, with readers that wait for that
	epoch     string
	acked     Position          // the newest that a Broker has taken from this hub
	topics    map[string]*topic // patterns among them
	all       []*topic          // the same, for the sweep to walk in steps
	peak      int               // of them, since the map was made
	patterns  trie
	latest    int    // of them, under Latest
	blocking  int    // and under Block
	allLost   uint64 // up to it lose was called
	forgotten uint64 // no topic that is not in topics ever had an event above it
	lostEnd   lostEnd
	sweep     *time.Timer
	dirty     []*topic // have news and sleeping readers
	spare     []*topic // the waker's: storage for the next dirty
	waking    bool     // the waker runs
	readers   map[*reader]struct{}
	flights   map[*topic]*flight // calls of Snapshots under way
	kept      total              // by all topics
	evicting  bool               // runEvict runs
	evicted   int64              // bytes, by it
	warnedAt  time.Duration      // of that, last
	room      chan struct{}      // closed when there is some again, for who waits
	joined    uint64             // readers ever
	putEvents uint64             // ever
	putBytes  uint64             // of these
	draining  bool
	drainOf   int // readers there were when it began

	waker     func()     // runWaker
	woken     []*reader  // the waker's own
	admitted  admitted   // guarded by mu
	elsewhere *elsewhere // nil without Limits.AllHubs
	pages     pages
	health    health // of the Broker
	refusals  refusals
	meter     *meter         // what readers count: apart, so that they do not slow publishers down
	panicked  atomic.Uint32  // hooks of Trace that have
	warned    sync.Once      // of connections without deadlines
	spread    time.Duration  // set before news ends
	tasks     sync.WaitGroup // streams, subscriptions, the waker, runEvict, the follower, calls of Snapshots

	ctx     context.Context // ends when Close begins
	end     context.CancelFunc
	news    context.Context // of ctx; ends when Shutdown has begun and nothing more comes
	endNews context.CancelFunc
}

// New returns a Hub; nil means the default options. Without a Broker it holds its
// log in this process's memory, and starts no goroutine until it has readers, or
// too much to keep.
func New(opts *Options) *Hub {
	h := &Hub{
		opts:    opts.withDefaults(),
		started: time.Now(),
		ready:   make(chan struct{}),
		topics:  make(map[string]*topic),
		readers: make(map[*reader]struct{}),
		flights: make(map[*topic]*flight),
		admitted: admitted{
			clients: make(map[client]int),
			pending: make(map[*admission]struct{}),
		},
		meter: new(meter),
	}
	h.waker = h.runWaker
	h.ctx, h.end = context.WithCancel(context.Background())
	h.news, h.endNews = context.WithCancel(h.ctx)
	if h.opts.Broker == nil {
		h.begin(newEpoch(), 0)
		close(h.ready)
	} else {
		if h.opts.Limits.AllHubs {
			h.elsewhere = newElsewhere()
			h.tasks.Go(h.tellOthers)
		}
		h.tasks.Go(func() { (&follower{hub: h}).run(h.news) })
	}
	return h
}

// now is the time since the hub started, on the monotonic clock.
func (h *Hub) now() time.Duration {
	return time.Since(h.started)
}

// patternsOf returns the logs of the patterns that match t. It needs h.mu.
func (h *Hub) patternsOf(t *topic) []*topic {
	if t.matched != h.patterns.version {
		t.matched = h.patterns.version
		clear(t.patterns) // some may be forgotten
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
	if policy == Block && h.opts.Broker != nil {
		policy = SkipToOldest // other nodes' publishers wait for nobody here
	}
	var t *topic
	if isPattern(name) {
		if policy == Latest { // the values are in the topics' logs
			policy = SkipToOldest
		}
		t = newTopic(name, policy, h.head.Load(), &h.kept) // all before is in the topics' logs
		t.line, t.pattern, t.copies = nil, true, true      // its frames name their topics
		h.patterns.put(name, t)
	} else {
		t = newTopic(name, policy, h.forgotten, &h.kept)
	}
	if t.latest != nil {
		h.latest++
	}
	if t.block != nil {
		h.blocking++
	}
	t.index = len(h.all)
	t.idle = h.now()
	h.topics[name] = t
	h.all = append(h.all, t)
	h.peak = max(h.peak, len(h.all))
	h.scheduleSweep()
	return t
}

// Position returns the position of the newest event: what to resume from who
// has a state that includes all up to now. Take it before reading the state. It
// is the zero Position until a Broker could be asked, see Ready, and behind what
// that has until all is read.
func (h *Hub) Position() Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position()
}

// position needs h.mu.
func (h *Hub) position() Position {
	return Position{Epoch: h.epoch, Seq: h.head.Load()}
}

// Stats is a snapshot of a Hub. "Ever" is since it was made.
type Stats struct {
	Subscribers int      // streams and in-process subscriptions
	Topics      int      // in memory: with subscribers or history, or not long without
	Patterns    int      // in memory: with subscribers, or not long without
	Position    Position // of the newest event
	Events      int      // kept, in all topics
	Bytes       int64    // of the kept events, encoded, and once more for each pattern
	Gaps        uint64   // told to readers, ever
	Evicted     int64    // bytes dropped because of Options.MaxHistory, ever
	Draining    bool     // Shutdown or Close has begun
	Streams     int      // of Handlers, and requests for them: what Limits.Streams is about
	MaxStreams  int      // Limits.Streams; zero means no limit
	MaxBytes    int64    // Options.MaxHistory, what Bytes may be; zero means no limit

	// GapsByReason has a number for each of sse.ReasonWindow, ReasonOverflow,
	// ReasonEpoch, ReasonInvalid and ReasonAhead; Gaps is their sum.
	GapsByReason map[string]uint64
	Joined       uint64 // subscribers, ever
	// Refused counts the requests to Handlers that got no stream, ever, by each
	// reason: "site", "denied", "streams", "subject", "addr", "topic", "rate",
	// "broker" and "shutdown", see Options.AllowedOrigins, Authorize and Limits.
	Refused        map[string]uint64
	Published      uint64 // events ever, ephemeral ones too; with a Broker all that this hub has read
	PublishedBytes uint64 // of these, encoded, but for their ids
	Delivered      uint64 // events written to streams, or received from Subscriptions, ever
	DeliveredBytes uint64 // of these and of the hub's own events
	// Latency is the time from Publish to the end of the write, of the oldest
	// event in each write. Events from before a subscriber joined do not count. In
	// process the write ends when the application has received all of it.
	Latency Histogram
	// LagTime is how long ago the oldest kept event was published that some
	// subscriber has not got.
	LagTime time.Duration
	Broker  BrokerStats
}

// Stats returns a snapshot. It looks at all subscribers, as TopicStats, so do not
// call it for every event.
func (h *Hub) Stats() Stats {
	s, readers := h.countAll()
	now := h.now()
	for t, r := range slowest(readers) {
		_, age := t.lag(r.got.Load(), now)
		s.LagTime = max(s.LagTime, age)
	}
	s.Refused = h.refusals.snapshot()
	s.GapsByReason = make(map[string]uint64, len(gapReasons))
	for i, reason := range gapReasons {
		n := h.meter.gaps[i].Load()
		s.GapsByReason[reason] = n
		s.Gaps += n
	}
	s.Delivered, s.DeliveredBytes = h.meter.events.Load(), h.meter.bytes.Load()
	s.Latency = h.meter.latency.snapshot()
	return s
}

// countAll returns the part of Stats that h.mu guards, and all readers.
func (h *Hub) countAll() (Stats, []seated) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{
		Subscribers:    len(h.readers),
		Topics:         len(h.all) - h.patterns.size,
		Patterns:       h.patterns.size,
		Position:       h.position(),
		Events:         h.kept.events,
		Bytes:          h.kept.bytes,
		Evicted:        h.evicted,
		Draining:       h.draining,
		Streams:        h.admitted.streams,
		MaxStreams:     h.opts.Limits.Streams,
		Joined:         h.joined,
		Published:      h.putEvents,
		PublishedBytes: h.putBytes,
		Broker:         h.health.snapshot(),
	}
	if h.opts.MaxHistory != noMaxHistory {
		s.MaxBytes = h.opts.MaxHistory
	}
	if head := h.head.Load(); h.acked.Epoch == h.epoch && h.acked.Seq > head {
		s.Broker.Unread = h.acked.Seq - head
	}
	return s, h.readerList()
}
