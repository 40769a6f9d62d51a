package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// ErrIdle is passed to Options.OnRetry when a connection brought no byte for
// the idle timeout.
var ErrIdle = errors.New("client: connection idle for too long")

// errorBodyTime is for the body of a refusal, which is no stream.
const errorBodyTime = 10 * time.Second

// maxIDLen keeps an id from being refused as too large a header.
const maxIDLen = 4 << 10

// connect makes one connection, delivers what comes, and returns why it ended
// and how long it was open.
func (s *Subscription) connect(ctx context.Context) (lasted time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	req, err := s.request(ctx)
	if err != nil {
		return 0, err
	}
	idle := newIdleReader(s.idle, func() { cancel(ErrIdle) })
	defer idle.stop()
	res, err := s.http.Do(req)
	if err != nil {
		return 0, causeOr(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return 0, errEnded
	}
	errorBody := time.AfterFunc(errorBodyTime, func() { cancel(nil) })
	err = sse.CheckResponse(res)
	errorBody.Stop()
	if err != nil {
		return 0, err
	}
	opened := time.Now()
	idle.stop()
	idle.body = res.Body
	err = s.read(ctx, idle)
	return time.Since(opened), causeOr(ctx, err)
}

// causeOr prefers the reason for which ctx was cancelled to what that led to.
func causeOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (s *Subscription) request(ctx context.Context) (*http.Request, error) {
	req, err := s.newRequest(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-cache")
	switch {
	case s.lastID == "":
	case isHeaderValue(s.lastID):
		req.Header.Set("Last-Event-ID", s.lastID)
	default:
		// The standard allows ids that no header can carry. Failing on it would
		// fail for ever.
		gap := sse.Gap{Reason: sse.ReasonInvalid, From: s.lastID}
		s.lastID = ""
		return req, s.gap(ctx, gap)
	}
	return req, nil
}

func (s *Subscription) newRequest(ctx context.Context) (*http.Request, error) {
	if s.opts.NewRequest != nil {
		req, err := s.opts.NewRequest(ctx)
		if err != nil {
			return nil, fmt.Errorf("client: make request: %w", err)
		}
		if req == nil {
			return nil, permanentError{errors.New("client: NewRequest returned nothing")}
		}
		req = req.WithContext(ctx)
		if req.Header == nil {
			req.Header = make(http.Header)
		}
		return req, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, permanentError{fmt.Errorf("client: %w", err)}
	}
	return req, nil
}

func isHeaderValue(s string) bool {
	if len(s) > maxIDLen {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s[0] != ' ' && s[len(s)-1] != ' '
}

// checkRedirect keeps the id from other origins, as net/http does with
// Authorization and Cookie, then asks the application's own function.
func checkRedirect(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if from := via[0].URL; req.URL.Scheme != from.Scheme || req.URL.Host != from.Host {
			req.Header.Del("Last-Event-ID")
		}
		switch {
		case next != nil:
			return next(req, via)
		case len(via) >= 10:
			return errors.New("client: stopped after 10 redirects")
		default:
			return nil
		}
	}
}

// read delivers the events of one connection. The id to resume from moves only
// when an event has been received by the application.
func (s *Subscription) read(ctx context.Context, body *idleReader) error {
	dec := sse.NewDecoder(body)
	dec.SetMaxEventSize(s.opts.MaxEventSize)
	dec.SetLastEventID(s.lastID)
	defer func() {
		if d, ok := dec.Retry(); ok {
			s.base = max(d, 1) // 0 is a valid request for the shortest wait
		}
	}()
	for {
		var m sse.Message
		err := dec.Decode(&m)
		switch {
		case errors.Is(err, sse.ErrEventTooLarge):
			err = s.gap(ctx, sse.Gap{Reason: sse.ReasonSize, From: s.lastID})
		case err != nil:
			s.lastID = dec.LastEventID() // a block without data may have moved it
		case m.Type == sse.TypeHello:
			err = s.hello(ctx, m, body)
		case m.Type == sse.TypeGap:
			err = s.told(ctx, m)
		default:
			err = s.deliver(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

// deliver hands m to the application.
func (s *Subscription) deliver(ctx context.Context, m sse.Message) error {
	select {
	case s.events <- m:
		s.lastID = m.ID
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliverControl hands a hub's own event to an application that asked for it.
func (s *Subscription) deliverControl(ctx context.Context, m sse.Message) error {
	if s.opts.ControlEvents {
		return s.deliver(ctx, m)
	}
	s.lastID = m.ID
	return nil
}

// hello takes note of the heartbeat, which holds for the next connection too.
func (s *Subscription) hello(ctx context.Context, m sse.Message, body *idleReader) error {
	var hello sse.Hello
	if json.Unmarshal(m.Data, &hello) == nil && hello.HeartbeatMs > 0 && s.opts.IdleTimeout == 0 {
		const day = 24 * 60 * 60 * 1000 // a bound for a number from outside
		s.idle = 3 * time.Duration(min(hello.HeartbeatMs, day)) * time.Millisecond
		body.timeout = s.idle
	}
	return s.deliverControl(ctx, m)
}

// told passes on a gap that the hub tells of.
func (s *Subscription) told(ctx context.Context, m sse.Message) error {
	var gap sse.Gap
	_ = json.Unmarshal(m.Data, &gap) // unreadable or not, it is a loss
	s.count(gap)
	return s.deliverControl(ctx, m)
}

// gap tells of a loss that the client itself has found.
func (s *Subscription) gap(ctx context.Context, gap sse.Gap) error {
	s.count(gap)
	data, err := json.Marshal(gap)
	if err != nil {
		return err
	}
	return s.deliverControl(ctx, sse.Message{Type: sse.TypeGap, ID: s.lastID, Data: data})
}

func (s *Subscription) count(gap sse.Gap) {
	s.gaps.Add(1)
	if s.opts.OnGap != nil {
		s.opts.OnGap(gap)
	}
}

// idleReader reads a body and calls dead when no byte comes for a while. Time
// that the application takes over an event does not count.
type idleReader struct {
	body    io.Reader
	timeout time.Duration // not positive: no limit
	timer   *time.Timer
}

// newIdleReader starts to count at once, so that a server which does not
// answer counts as idle as well.
func newIdleReader(timeout time.Duration, dead func()) *idleReader {
	const never = math.MaxInt64 // until Read sets it
	if timeout > 0 {
		return &idleReader{timeout: timeout, timer: time.AfterFunc(timeout, dead)}
	}
	return &idleReader{timer: time.AfterFunc(never, dead)}
}

func (r *idleReader) stop() {
	r.timer.Stop()
}

func (r *idleReader) Read(p []byte) (int, error) {
	if r.timeout > 0 {
		r.timer.Reset(r.timeout)
		defer r.timer.Stop()
	}
	return r.body.Read(p)
}
