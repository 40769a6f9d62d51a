package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// script answers request number n with its n-th step, and the last again and
// again. The client is held against bytes, not against our own hub.
type script struct {
	steps    []func(w http.ResponseWriter, r *http.Request)
	requests atomic.Int64
	mu       sync.Mutex      // for a request may come while one given up is served
	times    []time.Duration // of the requests, since the first
	ids      []string        // their Last-Event-ID; "-" if there was none
	start    time.Time
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.note(r)
	s.steps[min(n, len(s.steps)-1)](w, r)
}

func (s *script) note(r *http.Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int(s.requests.Add(1)) - 1
	if n == 0 {
		s.start = time.Now()
	}
	s.times = append(s.times, time.Since(s.start))
	id := "-"
	if values, ok := r.Header["Last-Event-Id"]; ok {
		id = strings.Join(values, ",")
	}
	s.ids = append(s.ids, id)
	return n
}

// sends answers with a stream that ends cleanly.
func sends(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, body)
	}
}

// stays answers with a stream that goes on until the client leaves.
func stays(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		sends(body)(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func status(code int, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, "status %d", code)
	}
}

// noJitter makes waits exact: the whole of what full jitter would choose from.
var noJitter = client.Backoff{Jitter: func(d time.Duration) time.Duration { return d }}

// run plays steps to a client in a bubble of fake time and hands over both.
func run(t *testing.T, opts *client.Options, steps []func(http.ResponseWriter, *http.Request), check func(t *testing.T, sub *client.Subscription, s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: steps}
		server := ssetest.NewServer(s)
		defer server.Close()
		if opts == nil {
			opts = &client.Options{Backoff: noJitter}
		}
		opts.HTTPClient = server.Client()
		sub := client.Subscribe(t.Context(), server.URL, opts)
		defer sub.Close()
		check(t, sub, s)
		sub.Close()
		for range sub.Events() {
		}
	})
}

type steps = []func(http.ResponseWriter, *http.Request)

// timeout is a context whose cancel nobody needs in a bubble.
func timeout(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(d, cancel)
	return ctx
}

// number is event n of numbered.
func number(n int) sse.Message {
	text := strconv.Itoa(n)
	return sse.Message{ID: text, Data: []byte(text)}
}

// numbered sends events 1, 2, 3 and so on, behind the id that the client has.
func numbered(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		n++
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %d\n\n", n, n); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// roundTrip is a server in a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// respond makes an answer of roundTrip.
func respond(req *http.Request, code int, body io.ReadCloser, header ...string) *http.Response {
	res := &http.Response{
		StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body, Request: req, ContentLength: -1,
	}
	for i := 0; i < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

// text is a body.
func text(s string) io.ReadCloser {
	return io.NopCloser(strings.NewReader(s))
}
