package client

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// errorBodyTime is for the body of a refusal, which is no stream.
const errorBodyTime = 10 * time.Second

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
	stop := context.AfterFunc(ctx, func() { res.Body.Close() }) // for a RoundTripper that forgets ctx
	defer stop()
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
	body, err := decompress(idle, res.Header.Get("Content-Encoding"))
	if err != nil {
		return 0, err
	}
	s.answered()
	s.setState(StateOpen)
	err = s.read(ctx, idle, body)
	return time.Since(opened), causeOr(ctx, err)
}

// causeOr prefers the reason for which ctx was cancelled to what that led to.
func causeOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// decompress reads an encoding that NewRequest has asked for by itself: what
// net/http asks for it also decodes.
func decompress(body io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		return &gzipReader{body: body}, nil
	default:
		return nil, permanentError{fmt.Errorf("client: content encoding %q", encoding)}
	}
}

// gzipReader leaves the reading of gzip's head to the first Read, since a
// stream's first bytes may be long in coming.
type gzipReader struct {
	body io.Reader
	gzip *gzip.Reader
}

func (r *gzipReader) Read(p []byte) (int, error) {
	if r.gzip == nil {
		var err error
		if r.gzip, err = gzip.NewReader(r.body); err != nil {
			return 0, err
		}
	}
	return r.gzip.Read(p)
}

// read delivers the events of one connection. The id to resume from moves only
// when an event has been received by the application.
func (s *Subscription) read(ctx context.Context, idle *idleReader, body io.Reader) error {
	dec := sse.NewDecoder(body)
	dec.SetMaxEventSize(s.opts.MaxEventSize)
	dec.SetLastEventID(s.lastID)
	dec.SetCommentFunc(s.opts.OnComment)
	defer func() {
		if d, ok := dec.Retry(); ok {
			s.base = max(d, 1) // 0 is a valid request for the shortest wait
		}
	}()
	s.fromHub = false
	for {
		var m sse.Message
		err := dec.Decode(&m)
		switch {
		case errors.Is(err, sse.ErrEventTooLarge):
			err = s.gap(ctx, sse.Gap{Reason: sse.ReasonSize, From: s.lastID}, s.lastID)
		case err != nil:
			s.setLastID(dec.LastEventID()) // a block without data may have moved it
		case m.Type == sse.TypeHello:
			err = s.hello(ctx, m, idle)
		case m.Type == sse.TypeGap:
			err = s.told(ctx, m)
		case m.Type == sse.TypeRevoked:
			m.ID = s.lastID // who tries again all the same goes on there
			if err = s.deliverControl(ctx, m); err == nil {
				err = permanentError{ErrRevoked}
			}
		case strings.HasPrefix(m.Type, "ssehub."): // of a newer hub
			err = s.deliverControl(ctx, m)
		case dec.HasID() && s.isDuplicate(m.ID):
			dec.SetLastEventID(s.lastID) // it may be an older one
		case s.opts.Sentinel != "" && string(m.Data) == s.opts.Sentinel:
			s.setLastID(m.ID)
			err = errEnded
		default:
			s.forgetHub(idle)
			err = s.deliver(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

// deliver hands m to the application.
func (s *Subscription) deliver(ctx context.Context, m sse.Message) error {
	if ctx.Err() != nil { // not left to select, which may choose
		return ctx.Err()
	}
	select {
	case s.events <- m:
		s.setLastID(m.ID)
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
	s.setLastID(m.ID)
	return nil
}

// gap tells of a loss that the client itself has found; id is the one in force
// behind it.
func (s *Subscription) gap(ctx context.Context, gap sse.Gap, id string) error {
	s.count(gap)
	data, err := json.Marshal(gap)
	if err != nil {
		return err
	}
	return s.deliverControl(ctx, sse.Message{Type: sse.TypeGap, ID: id, Data: data})
}

func (s *Subscription) count(gap sse.Gap) {
	s.gaps.Add(1)
	if s.opts.OnGap != nil {
		s.opts.OnGap(gap)
	}
}
