package client

import (
	"context"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Options configures a Subscription. The zero value of each field means its
// default. Functions are called one at a time by the Subscription's own
// goroutine, perhaps before Subscribe has returned, and may call its methods. A
// panic of theirs is not recovered.
type Options struct {
	// HTTPClient does the requests. Its Timeout is not used, as it would end
	// every stream. A redirect to another origin is followed without
	// Last-Event-ID, Authorization and all that NewRequest has set but the
	// content type and a few others that hold no secret, but with the body if it
	// has status 307 or 308; CheckRedirect may add headers again, or object. The
	// default is http.DefaultClient.
	HTTPClient *http.Client

	// NewRequest makes the request of each attempt anew: with a fresh token,
	// or with a method and a body. Accept, Cache-Control and Last-Event-ID are
	// added to what it returns. Its error is retried like a failed connection.
	// It is called again where net/http must send a body again that the request
	// cannot repeat, as for a redirect. The default is a GET of the URL.
	NewRequest func(ctx context.Context) (*http.Request, error)

	// LastEventID is the id of the event to go on behind, from an earlier run.
	LastEventID string

	// Backoff spreads the attempts to reconnect.
	Backoff Backoff

	// IdleTimeout is how long a connection may bring no byte at all, comments
	// included, before it counts as dead; this covers a server that does not
	// answer. The default is three heartbeats once a hub has announced them, but
	// at least 3 s, and no limit before that and elsewhere; negative means no
	// limit. Over HTTP/2, Transport.HTTP2.SendPingTimeout finds a dead connection
	// that several streams share.
	IdleTimeout time.Duration

	// MaxEventSize limits the bytes of one event; a larger one is skipped and
	// told to OnGap. The default is 1 MiB.
	MaxEventSize int

	// OnRetry sees every failure, io.EOF for a stream that the server ended, and
	// how long the client will wait before it tries again; zero means that it
	// will not. An error that OnRetry returns ends the Subscription and becomes
	// its Err, but for ErrRetry, which makes it try again whatever the failure.
	// Errors of net/http hold the URL: put no secret there, or none of this into
	// a log.
	OnRetry func(err error, wait time.Duration) error

	// OnState sees every change of State, and each attempt as StateConnecting.
	OnState func(State)

	// OnComment sees the text of every comment, as sse.Decoder.SetCommentFunc
	// has it. Heartbeats are empty ones.
	OnComment func(text string)

	// OnLastEventID is told the id to go on behind, for LastEventID of a later
	// run, whenever that has changed. The message that brought it has been
	// received then, but perhaps not dealt with: who must not lose it in a crash
	// saves Message.ID once it is done with the message instead.
	OnLastEventID func(id string)

	// Sentinel is the data of the message that ends the Subscription, without an
	// error and without being delivered, such as the "[DONE]" of many language
	// models. Empty means none.
	Sentinel string

	// OnGap is told of every loss, between the events before and behind it.
	// Without it a loss shows in Subscription.Gaps alone, unless ControlEvents
	// is set.
	OnGap func(gap sse.Gap)

	// ControlEvents delivers a hub's own events, of types sse.TypeHello,
	// sse.TypeGap, sse.TypeMark and sse.TypeRevoked, along with the
	// application's, and losses that the client itself has found as sse.TypeGap
	// too.
	ControlEvents bool
}

// Backoff says how long to wait before attempt n in a row to reconnect: a
// random time between Min and Base doubled n-1 times, which Max bounds. A
// connection that lasted for ten seconds starts the row anew. Max also bounds
// what the server asks for, with retry: or Retry-After.
type Backoff struct {
	Base   time.Duration                     // default 1 s; the server's retry: replaces it
	Min    time.Duration                     // default 100 ms; Max if that is less
	Max    time.Duration                     // default 30 s
	Jitter func(time.Duration) time.Duration // nil: full jitter, evenly from 0 to its argument
}
