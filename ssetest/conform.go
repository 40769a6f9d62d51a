package ssetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Subject makes a server of event streams, which [TestServer] and the [Checks] hold
// against what clients need. Each check has one of its own.
type Subject func() (*Streaming, error)

// Streaming is such a server.
type Streaming struct {
	// Handler answers requests for one stream.
	Handler http.Handler
	// Query is what the request needs in its URL, if anything.
	Query string
	// Publish sends a message to all who read it. Type and Data count.
	Publish func(m sse.Message) error
	// Close ends the streams; http.Server.Shutdown is called behind it. Nil: the
	// server has nothing to call.
	Close func()
	// Heartbeat is how long a quiet stream has nothing to send. Zero: no promise.
	Heartbeat time.Duration
	// Resumes says that a client which comes back with the id of its last event gets
	// what followed.
	Resumes bool
}

// ErrNotOffered is returned by a [Check] of what the server does not promise.
var ErrNotOffered = errors.New("ssetest: not offered")

// Check is one thing that a server of event streams should do.
type Check struct {
	Name string
	Why  string // it matters
	run  func(*checking) error

	writeTimeout time.Duration // of the http.Server
}

// Run holds a server against c. It returns nil, [ErrNotOffered], or what is wrong.
// Each step has a few seconds; all of it ends with ctx.
func (c Check) Run(ctx context.Context, s Subject) (err error) {
	streaming, err := s()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k := &checking{
		Streaming: streaming, ctx: ctx, url: fmt.Sprintf("http://%s/%s", listener.Addr(), streaming.Query),
		server:    &http.Server{Handler: streaming.Handler, ErrorLog: log.New(io.Discard, "", 0), WriteTimeout: c.writeTimeout},
		transport: &http.Transport{DisableCompression: true},
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = k.server.Serve(listener) }() // an error: it is closed
	defer func() {
		cancel()
		k.transport.CloseIdleConnections()
		k.close()
		_ = k.server.Close()
		<-served
	}()
	return c.run(k)
}

// TestServer runs all checks; what is not offered is skipped.
func TestServer(t *testing.T, s Subject) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			switch err := c.Run(t.Context(), s); {
			case errors.Is(err, ErrNotOffered):
				t.Skip("not offered")
			case err != nil:
				t.Errorf("%v\nThis matters because %s.", err, c.Why)
			}
		})
	}
}

const (
	// writeTimeout is that of the http.Server: many have one, and a stream lasts
	// longer.
	writeTimeout = time.Second
	// soon is how long anything may take that should be at once.
	soon = 5 * time.Second
)

// checking is a server under check.
type checking struct {
	*Streaming
	ctx       context.Context
	url       string
	server    *http.Server
	transport *http.Transport
	closed    bool
}

func (k *checking) close() {
	if k.Close != nil && !k.closed {
		k.Close()
	}
	k.closed = true
}

// reading is a client.
type reading struct {
	res  *http.Response
	dec  *sse.Decoder
	stop context.CancelFunc
	noes chan struct{} // has one for each comment
}

// open asks for a stream, and returns when it has the head.
func (k *checking) open(lastEventID string) (*reading, error) {
	ctx, stop := context.WithCancel(k.ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		stop()
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	late := time.AfterFunc(soon, stop)
	res, err := k.transport.RoundTrip(req)
	late.Stop()
	if err != nil {
		stop()
		return nil, fmt.Errorf("no head of the response: %w", err)
	}
	r := &reading{res: res, dec: sse.NewDecoder(res.Body), stop: stop, noes: make(chan struct{}, 100)}
	r.dec.SetCommentFunc(func(string) {
		select {
		case r.noes <- struct{}{}:
		default:
		}
	})
	return r, sse.CheckResponse(res)
}

func (r *reading) close() {
	r.stop()
	_ = r.res.Body.Close()
}

// event returns the next event of any type.
func (r *reading) event() (m sse.Message, err error) {
	late := time.AfterFunc(soon, r.stop)
	defer late.Stop()
	err = r.dec.Decode(&m)
	return m, err
}

// message returns the next event without a type.
func (r *reading) message() (m sse.Message, err error) {
	for err == nil {
		if m, err = r.event(); err == nil && m.Type == "" {
			return m, nil
		}
	}
	return m, err
}

// expect reads messages with these data.
func (r *reading) expect(data ...string) (last sse.Message, err error) {
	for _, want := range data {
		if last, err = r.message(); err != nil {
			return last, fmt.Errorf("no event %.40q: %w", want, err)
		}
		if string(last.Data) != want {
			return last, fmt.Errorf("event %.40q, want %.40q", last.Data, want)
		}
	}
	return last, nil
}

// publish has everybody get texts, who is there.
func (k *checking) publish(texts ...string) error {
	for _, text := range texts {
		if err := k.Publish(sse.Message{Data: []byte(text)}); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}
