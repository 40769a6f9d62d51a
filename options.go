package ssehub

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Options configures a Hub. The zero value of each field means its default.
type Options struct {
	// Broker keeps the log outside of this process: over a restart, or for several
	// hubs, each of which then has all events. Publish returns when the Broker has
	// the event, and the hub has it soon after. At its start the hub reads the
	// Broker's log from the beginning; until it has, streams wait or are sent
	// away for a moment. The hub does not close it. The default is this process's
	// memory.
	Broker Broker

	// History is what each topic keeps, for readers that come back and for
	// readers that lag.
	History Retention

	// MaxHistory limits the bytes of the events that all topics and patterns
	// keep together, as Stats.Bytes counts them. Above it the oldest events of
	// the topic with the most lag are dropped first, that is where the slowest
	// reader has most to get; where none lags by more than 64 KiB, of the one
	// that keeps most. That is told as any loss, also under Block, and in the
	// Logger. It happens beside the publishers, who wait for it only when an
	// eighth more is kept. The default is 1 GiB; negative means no limit.
	MaxHistory int64

	// Overflow says what happens to a reader that the history has moved past.
	// The default is SkipToOldest.
	Overflow Overflow

	// OverflowFor says it for each topic or pattern, in place of Overflow. It is
	// asked whenever one is joined, and the answer counts when that comes into
	// being, so it should be quick and always say the same. It must be safe for
	// concurrent use.
	OverflowFor func(topic string) Overflow

	// SnapshotFor says which topics have a state that the application can give as
	// one message, nil for those that have none: a reader that is new, or to whom a
	// gap was told, then gets that and what came behind it. Any number of readers
	// share a call. It is asked at every join, like OverflowFor. An error of the
	// Snapshot ends its readers, who come back. Patterns have no snapshots.
	SnapshotFor func(topic string) Snapshot

	// Heartbeat is how long a stream may be quiet before the hub writes the
	// comment line ":", which keeps proxies from closing it and finds clients
	// that are gone. The default is 15 s; negative means never.
	Heartbeat time.Duration

	// WriteTimeout bounds every write, 64 KiB at most, to a client that does
	// not read: then it is cut. The default is 10 s; negative means no bound,
	// and a client that never reads then holds its goroutine for ever.
	WriteTimeout time.Duration

	// Retry is the reconnection time that Handler tells its clients. The
	// default is 2 s; negative leaves it to them.
	Retry time.Duration

	// MaxAge is how long a stream lasts, a tenth more or less: then its client
	// is told to come back, and goes on where it was, perhaps on another server.
	// So a deployment that ends streams looks like every day. The default is no
	// limit.
	MaxAge time.Duration

	// Limits bounds the number of streams and of new ones. The default is no
	// limits.
	Limits Limits

	// MaxTopics is how many topics one request may name. The default is 64;
	// negative means no limit. A reader of many costs time for each of them
	// whenever it wakes.
	MaxTopics int

	// MaxEventSize limits the bytes of a message's Data, Type and topic that
	// Publish takes. The default is 1 MiB, as for the readers of package client;
	// negative means no limit.
	MaxEventSize int

	// NoHello leaves out the ssehub.hello event at the start of each stream. A
	// client that is cut before its first event then has no id to resume from:
	// it starts afresh, and nobody tells it what it missed.
	NoHello bool

	// NoHijack leaves HTTP/1 connections to their http.Server. Handler takes them
	// over where it can, see [sse.Upgrader], and then returns while the stream goes
	// on: middleware sees the request end, the request's context ends, and only
	// [Hub.Shutdown] waits for the stream, not http.Server.Shutdown. With NoHijack
	// a connection needs five times the memory.
	NoHijack bool

	// Authorize decides about each request to a Handler before anything is
	// sent, on every reconnect as well. Without it only handlers with fixed
	// topics answer. It sees patterns as they were asked for; Grant.AllowTopic
	// sees what they meet. An error refuses the request with status 403; its
	// text goes to the Logger and not to the client. Serve and Subscribe do not
	// ask it. It must be safe for concurrent use.
	Authorize func(r *http.Request, topics []string) (Grant, error)

	// AllowedOrigins are those whose pages may read streams, such as
	// "https://app.example", besides the host's own: they get
	// Access-Control-Allow-Origin, credentials included. "*" allows all others
	// without credentials. Requests from pages of other origins are refused with
	// status 403, as their browser adds its user's cookies (Fetch, section
	// 3.2.7). A middleware in front that has set Access-Control-Allow-Origin for
	// the request has allowed it, too.
	AllowedOrigins []string

	// AllowedHosts are the names that requests may be for, with or without a
	// port; others get status 421. "*" allows all. The default is all as well,
	// but on a connection over the loopback interface only names of it: else a
	// page of a name that was made to resolve there could read the streams. A
	// proxy on the same machine that passes the Host on needs this option.
	AllowedHosts []string

	// Logger gets what an operator should know: refusals and their reason,
	// handlers and middleware that cannot work. The default discards it.
	Logger *slog.Logger

	// Trace is called as things happen in the hub, for metrics and tests. Nil
	// costs nothing.
	Trace *Trace
}

// Retention bounds the history of a topic by number, size and age together:
// what is above any of the three is dropped, oldest first. In each field zero
// means the default and negative no limit. The newest event is kept whatever
// its size, until it is too old or MaxHistory needs it.
type Retention struct {
	Events int           // default 10,000
	Bytes  int64         // encoded; default 1 MiB
	Age    time.Duration // default 10 min; also how long a topic without readers and events is remembered
}

// Grant is the answer of Options.Authorize to a request it allows.
type Grant struct {
	// Subject names who was allowed, or refused: for the Logger, Limits, Revoke and
	// Subscribers. Other hubs know it if it is UTF-8.
	Subject string
	// Expires is when the stream ends; the client then reconnects and Authorize
	// is asked again. If it refuses then, with 403, the client does not come
	// back. Zero means never; a time that has passed refuses the request.
	Expires time.Time
	// AllowTopic decides about each topic that a pattern of the request meets:
	// once for each stream and topic, before the first event of it. The stream
	// waits for the answer, and remembers it as long as it lasts. The request's
	// context may have ended by then. Nil allows all that the patterns match.
	AllowTopic func(topic string) bool
	// Check is asked whether the stream may go on: every Options.Heartbeat, or 15 s
	// without, as long as it lasts. An error ends it as [Hub.Revoke] does, and so
	// does a panic. If there is no answer when the next is due, the client has to
	// come back. Check must heed its context, which ends then, and with the
	// stream, and be safe for concurrent use, with other streams' too.
	Check func(ctx context.Context) error
}

// Overflow says what happens to a reader that is slower than its topics for so
// long that events it has not got leave the history. It learns of that loss
// under every policy.
type Overflow int

const (
	// SkipToOldest goes on with the oldest event that is left, behind a
	// ssehub.gap that tells what is missing.
	SkipToOldest Overflow = iota
	// Disconnect ends the stream, or the Subscription with ErrSlowSubscriber.
	// A client that comes back is told the gap then.
	Disconnect
	// Latest keeps the newest message of each key, PublishOptions.Key, also
	// when it has left the window: a reader that lags goes on with these, in
	// their order, and then has the whole window. What it does not get is
	// superseded, and so no loss. A new reader gets them all first, also through
	// a pattern; of the pattern itself Latest means SkipToOldest. History
	// bounds what is kept before the window once more, by Events and Bytes: what
	// is above that is lost, and told. Age does not count there, and a key takes
	// its name and some 100 bytes besides.
	Latest
	// Block makes Publish wait, until its context ends, as long as a reader
	// has not got what the message would push out of the History by Events or
	// Bytes. A stream that is stuck holds it up to the write timeout, a
	// Subscription whose Events nobody receives for ever, one that waits for a
	// Snapshot as long as that takes. Readers of a pattern
	// are waited for if OverflowFor says Block of the pattern. With a Broker it
	// means SkipToOldest.
	Block
)

const (
	defaultAge       = 10 * time.Minute
	defaultHeartbeat = 15 * time.Second
	noMaxHistory     = math.MaxInt64 / 2 // with an eighth more it is still a number
)

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if overflow := opts.Overflow; opts.OverflowFor == nil {
		opts.OverflowFor = func(string) Overflow { return overflow }
	}
	if opts.SnapshotFor == nil {
		opts.SnapshotFor = func(string) Snapshot { return nil }
	}
	setDefault(&opts.History.Events, 10_000)
	setDefault(&opts.History.Bytes, 1<<20)
	setDefault(&opts.History.Age, defaultAge)
	setDefault(&opts.MaxHistory, 1<<30)
	if opts.MaxHistory < 0 {
		opts.MaxHistory = noMaxHistory
	}
	setDefault(&opts.Heartbeat, defaultHeartbeat)
	setDefault(&opts.WriteTimeout, sse.DefaultWriteTimeout)
	setDefault(&opts.Retry, 2*time.Second)
	setDefault(&opts.MaxTopics, 64)
	setDefault(&opts.MaxEventSize, 1<<20)
	if opts.Trace != nil {
		trace := *opts.Trace
		opts.Trace = &trace
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	} else {
		opts.Logger = slog.New(guarded{opts.Logger.Handler()})
	}
	return opts
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
