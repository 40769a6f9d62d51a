package client

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// ErrRetry is what Options.OnRetry returns to have a failure tried again that
// would end the Subscription.
var ErrRetry = errors.New("client: retry")

func (s *Subscription) run(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			panic(p) // of a callback: to close Events would look like an end without error
		}
		close(s.events)
	}()
	defer s.stop(nil)
	defer s.leave()
	var err error
	for err == nil {
		err = s.attempt(ctx)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, errByClose) || errors.Is(err, errEnded) {
		err = nil
	}
	s.end(err)
}

// attempt makes one connection, reads from it, and waits for the time of the
// next. An error ends the Subscription.
func (s *Subscription) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.begin(cancel)
	lasted, err := s.connect(ctx)
	s.answered()
	if errors.Is(err, errEnded) {
		return err
	}
	if ctx.Err() == nil {
		if err := s.pause(ctx, lasted, err); err != nil {
			return err
		}
	}
	again := errors.Is(context.Cause(ctx), errAgain)
	s.fresh = s.fresh || again || errors.Is(err, ErrIdle)
	if again {
		return nil
	}
	return ctx.Err()
}

// pause decides whether the failure err is tried again, and waits if so.
func (s *Subscription) pause(ctx context.Context, lasted time.Duration, err error) error {
	if lasted >= stableAfter {
		s.failures = 0
	}
	s.failures++
	wait := s.wait(err)
	if err := s.decide(err, wait); err != nil && !errors.Is(err, ErrRetry) {
		return err
	}
	s.setState(StateWaiting)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// decide asks the application about a failure. Where it says nothing the
// failure itself decides.
func (s *Subscription) decide(err error, wait time.Duration) error {
	var end error
	if isPermanent(err) {
		end, wait = err, 0
	}
	if s.opts.OnRetry != nil {
		if other := s.opts.OnRetry(err, wait); other != nil {
			return other
		}
	}
	return end
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
	const most = math.MaxInt64 / uint64(time.Second)
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then it is the largest
		return time.Duration(min(seconds, most)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return time.Until(at)
	}
	return 0
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
