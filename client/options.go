package client

import (
	"context"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Options configures a Subscription. The zero value of each field means its
// default. Functions are called one at a time by the Subscription's own
// goroutine, and may call its methods.
type Options struct {
	// HTTPClient does the requests. Its Timeout is not used, as it would end
	// every stream. A redirect to another origin gets no Last-Event-ID; headers
	// of NewRequest other than Authorization and Cookie do follow it, unless its
	// CheckRedirect objects. The default is http.DefaultClient.
	HTTPClient *http.Client

	// NewRequest makes the request of each attempt anew: with a fresh token,
	// or with a method and a body. Accept, Cache-Control and Last-Event-ID are
	// added to what it returns. Its error is retried like a failed connection.
	// The default is a GET of the URL.
	NewRequest func(ctx context.Context) (*http.Request, error)

	// LastEventID is the id of the event to go on behind, from an earlier run.
	LastEventID string

	// Backoff spreads the attempts to reconnect.
	Backoff Backoff

	// IdleTimeout is how long a connection may bring no byte at all, comments
	// included, before it counts as dead; this covers a server that does not
	// answer. The default is three heartbeats once a hub has announced them, and
	// no limit before that and elsewhere; negative means no limit.
	IdleTimeout time.Duration

	// MaxEventSize limits the bytes of one event; a larger one is skipped and
	// told to OnGap. The default is 1 MiB.
	MaxEventSize int

	// OnRetry sees every failure that is going to be retried after wait,
	// io.EOF for a stream that the server ended. An error that it returns ends
	// the Subscription and becomes its Err. Errors of net/http hold the URL: put
	// no secret there, or none of this into a log.
	OnRetry func(err error, wait time.Duration) error

	// OnGap is told of every loss, between the events before and behind it.
	// Without it a loss shows in Subscription.Gaps alone, unless ControlEvents
	// is set.
	OnGap func(gap sse.Gap)

	// ControlEvents delivers a hub's own events, of types sse.TypeHello and
	// sse.TypeGap, along with the application's, and losses that the client
	// itself has found as sse.TypeGap too.
	ControlEvents bool
}

// Backoff says how long to wait before attempt n in a row to reconnect: a
// random time up to Base doubled n-1 times, clamped to Min and Max. A
// connection that lasted for ten seconds starts the row anew. Max also bounds
// what the server asks for, with retry: or Retry-After.
type Backoff struct {
	Base   time.Duration                     // default 1 s; the server's retry: replaces it
	Min    time.Duration                     // default 100 ms, or Max if that is less
	Max    time.Duration                     // default 30 s
	Jitter func(time.Duration) time.Duration // nil: full jitter, evenly from 0 to its argument
}
