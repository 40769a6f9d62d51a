package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Subscription is a reader of one event stream that reconnects by itself. Its
// methods are safe for concurrent use.
type Subscription struct {
	url    string
	opts   Options
	http   http.Client
	stop   context.CancelCauseFunc
	events chan sse.Message
	gaps   atomic.Uint64

	// Used by the run goroutine alone.
	idle     time.Duration // the limit for a silent connection
	base     time.Duration // of the back-off: the server's retry:, once known
	failures int           // in a row
	fresh    bool          // the next attempt must not use the connection of the last
	ownPool  bool          // http has a Transport of its own
	fromHub  bool          // the connection's stream began like a hub's
	epoch    string        // of that hub's ids
	next     uint64        // number that was not delivered yet, to know what comes twice

	mu     sync.Mutex // guards the rest, and is not held while callbacks run
	lastID string     // written by the run goroutine alone
	state  State
	again  context.CancelCauseFunc // ends the attempt and the wait behind it
	asked  time.Time               // when the request under way was begun; zero if none is
	pushed time.Time               // when Reconnect has made an attempt last
	later  *time.Timer             // to do what Reconnect was called for too soon
	err    error                   // why it ended
}

var (
	// errEnded is the server's way to say that there will be no more events.
	errEnded = errors.New("client: ended by the server")
	// errByClose is the cause of a context that Close has cancelled.
	errByClose = errors.New("client: closed")
	// errAgain is the cause of a context that Reconnect has cancelled.
	errAgain = errors.New("client: reconnect")
)

// ErrRevoked ends a Subscription when a hub has withdrawn the permission to read.
var ErrRevoked = errors.New("client: permission revoked")

// Subscribe starts to read the event stream at url and returns at once; it
// connects in the background, and again whenever the connection ends. It ends
// with ctx, by Close, on status 204 and Options.Sentinel, which are no errors,
// with [ErrRevoked] when a hub takes the permission back, and with a
// [*sse.ResponseError] on an answer that will not get better: a type other than
// text/event-stream, or a status below 500 but for 408, 425 and 429.
// A nil opts means the defaults, with which losses show in Gaps alone. The
// caller must receive from Events until it is closed, or call Close or end ctx.
func Subscribe(ctx context.Context, url string, opts *Options) *Subscription {
	s := &Subscription{url: url, events: make(chan sse.Message)}
	if opts != nil {
		s.opts = *opts
	}
	s.http = *http.DefaultClient
	if s.opts.HTTPClient != nil {
		s.http = *s.opts.HTTPClient
	}
	s.http.Timeout = 0
	s.http.CheckRedirect = checkRedirect(s.http.CheckRedirect)
	s.opts.Backoff = s.opts.Backoff.withDefaults()
	s.lastID = s.opts.LastEventID
	s.idle = s.opts.IdleTimeout
	ctx, s.stop = context.WithCancelCause(ctx)
	go s.run(ctx)
	return s
}

// Events returns the channel of the stream's messages, which is closed when
// the Subscription has ended. A hub's own events are not among them unless
// Options.ControlEvents is set.
func (s *Subscription) Events() <-chan sse.Message {
	return s.events
}

// All returns the stream's messages as a sequence for one loop, which ends with
// Err if that is an error. Leaving the loop closes the Subscription.
//
//	for quote, err := range sse.JSON[Quote](sub.All()) {
func (s *Subscription) All() iter.Seq2[sse.Message, error] {
	return func(yield func(sse.Message, error) bool) {
		defer s.Close()
		for m := range s.events {
			if !yield(m, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield(sse.Message{}, err)
		}
	}
}

// Err returns why the Subscription ended: nil while it runs, after Close, after
// status 204 and after the sentinel, else what Subscribe says, the error of
// OnRetry, or the cause of the context's end.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Gaps returns how many losses the Subscription was told of, by the hub or by
// its own limits.
func (s *Subscription) Gaps() uint64 {
	return s.gaps.Load()
}

// LastEventID returns the id that the next connection will go on behind. It is
// right while nobody receives; for an instant it may be behind the message that
// was just received, and an id without an event shows with the next event or the
// end of the connection. Who saves how far it came takes Message.ID.
func (s *Subscription) LastEventID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

// State returns what the Subscription is doing.
func (s *Subscription) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Close ends the Subscription; Events is closed soon after, perhaps behind one
// message more. It may be called any number of times and from anywhere.
func (s *Subscription) Close() {
	s.stop(errByClose)
}
