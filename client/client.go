package client

import (
	"context"
	"errors"
	"net/http"
	"strconv"
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
	lastID   string
	idle     time.Duration // the limit for a silent connection
	base     time.Duration // of the back-off: the server's retry:, once known
	failures int           // in a row

	mu  sync.Mutex
	err error // why it ended
}

var (
	// errEnded is the server's way to say that there will be no more events.
	errEnded = errors.New("client: status 204")
	// errByClose is the cause of a context that Close has cancelled.
	errByClose = errors.New("client: closed")
)

// Subscribe starts to read the event stream at url and returns at once; it
// connects in the background, and again whenever the connection ends. It ends
// with ctx, by Close, on status 204, which is not an error, and with a
// [*sse.ResponseError] on an answer that will not get better: a type other than
// text/event-stream, or a status below 500 but for 408, 425 and 429. A nil opts
// means the defaults, with which losses show in Gaps alone. The caller must
// receive from Events until it is closed, or call Close or end ctx.
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

// Err returns why the Subscription ended: nil while it runs, after Close and
// after status 204, else what Subscribe says, the error of OnRetry, or the cause
// of the context's end.
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

// Close ends the Subscription; Events is closed soon after. It may be called
// any number of times and from anywhere.
func (s *Subscription) Close() {
	s.stop(errByClose)
}

func (s *Subscription) run(ctx context.Context) {
	defer close(s.events)
	defer s.stop(nil)
	err := s.keepReading(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, errByClose) || errors.Is(err, errEnded) {
		err = nil
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

// keepReading connects again and again and returns what cannot be retried.
func (s *Subscription) keepReading(ctx context.Context) error {
	for {
		lasted, err := s.connect(ctx)
		if ctx.Err() != nil || errors.Is(err, errEnded) || isPermanent(err) {
			return err
		}
		if lasted >= stableAfter {
			s.failures = 0
		}
		s.failures++
		wait := s.wait(err)
		if s.opts.OnRetry != nil {
			if err := s.opts.OnRetry(err, wait); err != nil {
				return err
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (s *Subscription) wait(err error) time.Duration {
	b := s.opts.Backoff
	if s.base > 0 {
		b.Base = s.base
	}
	wait := b.wait(s.failures)
	var res *sse.ResponseError
	if errors.As(err, &res) {
		wait = max(wait, b.clamp(retryAfter(res.Header.Get("Retry-After"))))
	}
	return wait
}

// retryAfter reads both forms of the header; what is neither counts as none.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return time.Until(at)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// permanentError marks a failure that would be the same at the next attempt.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func isPermanent(err error) bool {
	var permanent permanentError
	var res *sse.ResponseError
	switch {
	case errors.As(err, &permanent):
		return true
	case !errors.As(err, &res):
		return false // the network's
	}
	switch res.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	default:
		return res.StatusCode < 500
	}
}
