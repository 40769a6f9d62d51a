package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// script answers request number n with its n-th step, and the last again and
// again. The client is held against bytes, not against our own hub.
type script struct {
	steps    []func(w http.ResponseWriter, r *http.Request)
	requests atomic.Int64
	times    []time.Duration // of the requests, since the first
	ids      []string        // their Last-Event-ID; "-" if there was none
	start    time.Time
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	s.steps[min(n, len(s.steps)-1)](w, r)
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

// The id of the last event that the application received goes out with each
// reconnect, ids of half events do not, and an empty id takes it back.
func TestReconnectSendsLastEventID(t *testing.T) {
	run(t, nil, steps{
		sends("data: none\n\n"),
		sends("id: 1\ndata: one\n\nid: 2\ndata: half"),
		sends("data: no id of its own\n\n"),
		sends("id: 5\n\n"),
		sends("id\ndata: reset\n\n"),
		stays("data: last\n\n"),
	}, func(t *testing.T, sub *client.Subscription, s *script) {
		var got []sse.Message
		for range 5 {
			got = append(got, <-sub.Events())
		}
		require.Equal(t, []sse.Message{
			{Data: []byte("none")},
			{ID: "1", Data: []byte("one")},
			{ID: "1", Data: []byte("no id of its own")},
			{Data: []byte("reset")},
			{Data: []byte("last")},
		}, got)
		require.Equal(t, []string{"-", "-", "1", "1", "5", "-"}, s.ids)
	})
}

func TestLastEventIDOption(t *testing.T) {
	run(t, &client.Options{LastEventID: "41"}, steps{stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "41", (<-sub.Events()).ID)
		require.Equal(t, []string{"41"}, s.ids)
	})
}

// Faults 21: an id that no header can carry is given up, and told, and does
// not stop the client for ever.
func TestUnsendableID(t *testing.T) {
	var told []sse.Gap
	opts := &client.Options{Backoff: noJitter, OnGap: func(gap sse.Gap) { told = append(told, gap) }}
	run(t, opts, steps{sends("id: a\x01b\ndata: x\n\n"), stays("data: y\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "a\x01b", (<-sub.Events()).ID)
		require.Equal(t, "y", string((<-sub.Events()).Data))
		require.Equal(t, []string{"-", "-"}, s.ids)
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonInvalid, From: "a\x01b"}}, told)
	})
}

// Waits double from the base to the cap; retry: replaces the base; only a
// connection that lasted starts anew. Faults 23, 34, 37.
func TestBackoff(t *testing.T) {
	refused := status(http.StatusServiceUnavailable)
	run(t, nil, steps{
		refused, refused, refused, refused, refused, refused, refused,
		sends("retry: 2000\n\ndata: short lived\n\n"),
		func(w http.ResponseWriter, r *http.Request) {
			stays("")(w, r.WithContext(timeout(r.Context(), 10*time.Second)))
		},
		refused, refused,
		stays("data: end\n\n"),
	}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		<-sub.Events()
		var waits []int
		for i := 1; i < len(s.times); i++ {
			waits = append(waits, int((s.times[i] - s.times[i-1]).Seconds()))
		}
		require.Equal(t, []int{1, 2, 4, 8, 16, 30, 30 /* then 2 s doubled 7 times */, 30, 10 + 2, 4, 8}, waits)
	})
}

// timeout is a context whose cancel nobody needs in a bubble.
func timeout(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(d, cancel)
	return ctx
}

// Absurd requests for a wait neither spin nor stop the client.
func TestRetryIsClamped(t *testing.T) {
	for retry, want := range map[string]time.Duration{
		"0":                    100 * time.Millisecond,
		"1":                    100 * time.Millisecond,
		"250":                  250 * time.Millisecond,
		"9223372036855":        30 * time.Second,
		"10000000000000":       30 * time.Second,
		"18446744073709551616": 30 * time.Second,
		"+5":                   time.Second,
		"-1":                   time.Second,
		"1e3":                  time.Second,
		"":                     time.Second,
	} {
		run(t, nil, steps{sends("retry: " + retry + "\n"), stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
			<-sub.Events()
			require.Equal(t, want, s.times[1], "retry: %s", retry)
		})
	}
}

func TestFullJitter(t *testing.T) {
	run(t, &client.Options{}, steps{sends("")}, func(t *testing.T, sub *client.Subscription, s *script) {
		time.Sleep(time.Hour)
		synctest.Wait()
		waits := map[time.Duration]bool{}
		var sum time.Duration
		for i := 6; i < len(s.times); i++ { // at the cap of 30 s
			wait := s.times[i] - s.times[i-1]
			require.LessOrEqual(t, wait, 30*time.Second)
			require.GreaterOrEqual(t, wait, 100*time.Millisecond)
			waits[wait] = true
			sum += wait
		}
		n := time.Duration(len(s.times) - 6)
		require.Greater(t, len(waits), int(n*9/10), "no two alike")
		require.InDelta(t, 15, (sum / n).Seconds(), 3)
	})
}

// Which answers end a Subscription and which are tried again. Faults 24, 25.
func TestStatus(t *testing.T) {
	tests := []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		code   int           // of the ResponseError that ends it; 0: none
		wait   time.Duration // before the next attempt; 0: it has ended
	}{
		{"204", status(204), 0, 0},
		{"400", status(400), 400, 0},
		{"401", status(401), 401, 0},
		{"403", status(403), 403, 0},
		{"404", status(404), 404, 0},
		{"405", status(405), 405, 0},
		{"410", status(410), 410, 0},
		{"200 html", status(200, "Content-Type", "text/html"), 200, 0},
		{"200 json", status(200, "Content-Type", "application/json"), 200, 0},
		{"200 without a type", status(200, "Content-Type", ""), 200, 0},
		{"408", status(408), 0, time.Second},
		{"425", status(425), 0, time.Second},
		{"429", status(429), 0, time.Second},
		{"429 after", status(429, "Retry-After", "7"), 0, 7 * time.Second},
		{"500", status(500), 0, time.Second},
		{"503 after", status(503, "Retry-After", "7"), 0, 7 * time.Second},
		{"503 after an hour", status(503, "Retry-After", "3600"), 0, 30 * time.Second},
		{"503 after nonsense", status(503, "Retry-After", "-7"), 0, time.Second},
		{"clean end", sends(""), 0, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, nil, steps{tt.answer, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
				_, again := <-sub.Events()
				if tt.wait > 0 {
					require.True(t, again)
					require.Equal(t, tt.wait, s.times[1])
					require.NoError(t, sub.Err())
					return
				}
				require.False(t, again)
				require.EqualValues(t, 1, s.requests.Load())
				var res *sse.ResponseError
				if tt.code == 0 {
					require.NoError(t, sub.Err())
					return
				}
				require.ErrorAs(t, sub.Err(), &res)
				require.Equal(t, tt.code, res.StatusCode)
				require.Equal(t, fmt.Sprintf("status %d", tt.code), string(res.Body))
			})
		})
	}
}

// A URL that cannot be asked for is no reason to try for ever.
func TestBadURL(t *testing.T) {
	sub := client.Subscribe(t.Context(), "://", nil)
	_, ok := <-sub.Events()
	require.False(t, ok)
	require.ErrorContains(t, sub.Err(), "missing protocol scheme")
}

// Faults 27: an id is told to the origin that it is from, and to no other.
func TestRedirect(t *testing.T) {
	type request struct{ host, id, authorization string }
	seen := make(chan request, 10)
	var target string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- request{r.Host, r.Header.Get("Last-Event-ID"), r.Header.Get("Authorization")}
		if r.URL.Path == "/" {
			http.Redirect(w, r, target, http.StatusTemporaryRedirect)
			return
		}
		stays("data: x\n\n")(w, r)
	})
	for to, want := range map[string]request{
		"http://ssetest/moved": {"ssetest", "41", "token"},
		"http://evil/moved":    {"evil", "", ""},
	} {
		target = to
		server := ssetest.NewServer(handler)
		sub := client.Subscribe(t.Context(), "", &client.Options{
			HTTPClient:  server.Client(),
			LastEventID: "41",
			NewRequest: func(ctx context.Context) (*http.Request, error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				if err == nil {
					req.Header.Set("Authorization", "token")
				}
				return req, err
			},
		})
		<-sub.Events()
		sub.Close()
		server.Close()
		require.Equal(t, request{"ssetest", "41", "token"}, <-seen)
		require.Equal(t, want, <-seen)
	}
}

// A refusal whose body does not end is a refusal all the same.
func TestRefusalWithoutEnd(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "busy")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	var failed error
	opts := &client.Options{Backoff: noJitter, OnRetry: func(err error, _ time.Duration) error { failed = err; return nil }}
	run(t, opts, steps{endless, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		var res *sse.ResponseError
		require.ErrorAs(t, failed, &res)
		require.Equal(t, "busy", string(res.Body))
		require.Equal(t, 10*time.Second+time.Second, s.times[1])
	})
}

// An id too long for a header is given up like one that no header may hold.
func TestLongID(t *testing.T) {
	id := strings.Repeat("9", 10_000)
	run(t, nil, steps{sends("id: " + id + "\ndata: x\n\n"), stays("data: y\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, id, (<-sub.Events()).ID)
		require.Equal(t, "y", string((<-sub.Events()).Data))
		require.Equal(t, []string{"-", "-"}, s.ids)
		require.EqualValues(t, 1, sub.Gaps())
	})
}

func TestOnRetryEnds(t *testing.T) {
	enough := errors.New("enough")
	var seen []error
	opts := &client.Options{Backoff: noJitter, OnRetry: func(err error, wait time.Duration) error {
		seen = append(seen, err)
		if len(seen) == 3 {
			return enough
		}
		return nil
	}}
	run(t, opts, steps{sends("data: x\n\n"), status(500)}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		_, ok := <-sub.Events()
		require.False(t, ok)
		require.ErrorIs(t, sub.Err(), enough)
		require.ErrorIs(t, seen[0], io.EOF)
		var res *sse.ResponseError
		require.ErrorAs(t, seen[1], &res)
	})
}

// NewRequest is called for each attempt, and its method, body and headers go
// out.
func TestNewRequest(t *testing.T) {
	attempt := 0
	failing := errors.New("no token yet")
	opts := &client.Options{Backoff: noJitter, NewRequest: func(ctx context.Context) (*http.Request, error) {
		if attempt++; attempt == 1 {
			return nil, failing
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ssetest/x", strings.NewReader("question"))
		if err == nil {
			req.Header.Set("Authorization", fmt.Sprint("token ", attempt))
		}
		return req, err
	}}
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sends(fmt.Sprintf("data: %s %s %s %s %s\n\n", r.Method, body, r.Header.Get("Authorization"), r.Header.Get("Accept"), r.Header.Get("Cache-Control")))(w, r)
	}
	run(t, opts, steps{echo}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "POST question token 2 text/event-stream no-cache", string((<-sub.Events()).Data))
		require.Equal(t, "POST question token 3 text/event-stream no-cache", string((<-sub.Events()).Data))
	})
}

// A hub's own events are for the client: a gap is told between the events it
// lies between, and the heartbeat sets the idle timeout. Faults 36.
func TestHubEvents(t *testing.T) {
	const stream = "id: e-1\nevent: ssehub.hello\ndata: {\"verdict\":\"gap\",\"heartbeatMs\":1000}\n\n" +
		"id: e-5\nevent: ssehub.gap\ndata: {\"reason\":\"window\",\"from\":\"e-1\",\"to\":\"e-5\",\"topic\":\"t\"}\n\n" +
		"id: e-6\ndata: six\n\n"
	gap := sse.Gap{Reason: "window", From: "e-1", To: "e-5", Topic: "t"}
	told := make(chan sse.Gap, 10)
	failed := make(chan error, 10)
	opts := &client.Options{
		Backoff: noJitter,
		OnGap:   func(gap sse.Gap) { told <- gap },
		OnRetry: func(err error, _ time.Duration) error { failed <- err; return nil },
	}
	run(t, opts, steps{stays(stream)}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "six", string((<-sub.Events()).Data))
		require.Len(t, told, 1)
		require.Equal(t, gap, <-told)
		require.EqualValues(t, 1, sub.Gaps())
		require.Equal(t, "six", string((<-sub.Events()).Data))
		require.ErrorIs(t, <-failed, client.ErrIdle)
		require.Equal(t, 3*time.Second+time.Second, s.times[1], "three heartbeats, and the back-off")
		require.Equal(t, []string{"-", "e-6"}, s.ids)
	})
	opts = &client.Options{ControlEvents: true}
	run(t, opts, steps{stays(stream)}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, sse.TypeHello, (<-sub.Events()).Type)
		require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
		require.Equal(t, "six", string((<-sub.Events()).Data))
	})
}

// What a hub said of its heartbeat holds for the next connection as well: a
// server that takes it and then is silent does not hold the client for ever.
func TestSilentServerAfterRestart(t *testing.T) {
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hub := "id: e-1\nevent: ssehub.hello\ndata: {\"heartbeatMs\":1000}\n\n"
	run(t, nil, steps{sends(hub), mute, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		require.Equal(t, []time.Duration{0, time.Second, time.Second + 3*time.Second + 2*time.Second}, s.times)
	})
}

// The idle timeout counts from any byte, and not while the application is busy
// with an event. It also covers a server that does not answer.
func TestIdleTimeout(t *testing.T) {
	beats := func(w http.ResponseWriter, r *http.Request) {
		sends("data: 1\n\ndata: 2\n\n")(w, r)
		for range 10 {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(900 * time.Millisecond)
			_, _ = io.WriteString(w, ":\n")
		}
		_, _ = io.WriteString(w, "data: 3\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	opts := &client.Options{Backoff: noJitter, IdleTimeout: time.Second}
	run(t, opts, steps{mute, beats}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		require.Equal(t, []time.Duration{0, 2 * time.Second}, s.times)
		time.Sleep(time.Minute) // the application's own business
		<-sub.Events()
		require.Equal(t, "3", string((<-sub.Events()).Data))
		require.Len(t, s.times, 2)
	})
}

// Faults 28: an event above the limit is skipped and told, once, and neither
// ends the stream nor makes the client come back to it.
func TestOversizeEvent(t *testing.T) {
	var told []sse.Gap
	opts := &client.Options{MaxEventSize: 100, ControlEvents: true, OnGap: func(gap sse.Gap) { told = append(told, gap) }}
	body := "id: 1\ndata: a\n\nid: 2\ndata: " + strings.Repeat("x", 1<<20) + "\n\nid: 3\ndata: c\n\n"
	run(t, opts, steps{stays(body)}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "1", (<-sub.Events()).ID)
		require.Equal(t, sse.Message{Type: sse.TypeGap, ID: "1", Data: []byte(`{"reason":"size","from":"1","to":"","topic":""}`)}, <-sub.Events())
		require.Equal(t, "3", (<-sub.Events()).ID)
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonSize, From: "1"}}, told)
	})
}

// http.Client.Timeout of the client it is given does not end the stream.
func TestClientTimeoutIsNeutralised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: steps{stays("data: x\n\n")}}
		server := ssetest.NewServer(s)
		defer server.Close()
		httpClient := server.Client()
		httpClient.Timeout = time.Second
		sub := client.Subscribe(t.Context(), server.URL, &client.Options{HTTPClient: httpClient})
		<-sub.Events()
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, s.requests.Load())
		require.Equal(t, time.Second, httpClient.Timeout)
		sub.Close()
		_, ok := <-sub.Events()
		require.False(t, ok)
	})
}

// Close and the context end the client at once and leave nothing, wherever it
// is. Faults 30, 31, 32, 36.
func TestEndsAnywhere(t *testing.T) {
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, step := range map[string]func(http.ResponseWriter, *http.Request){
		"headers":      mute,
		"body":         stays("data: half"),
		"send":         stays("data: x\n\ndata: nobody receives this\n\n"),
		"wait":         status(503),
		"many retries": sends("retry: 0\n"),
	} {
		for _, byContext := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", byContext), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := ssetest.NewServer(&script{steps: steps{step}})
					defer server.Close()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					sub := client.Subscribe(ctx, server.URL, &client.Options{HTTPClient: server.Client()})
					synctest.Wait()
					start := time.Now()
					if byContext {
						cancel()
					} else {
						sub.Close()
						sub.Close()
					}
					synctest.Wait()
					for range sub.Events() {
					}
					require.Zero(t, time.Since(start))
					if byContext {
						require.ErrorIs(t, sub.Err(), context.Canceled)
					} else {
						require.NoError(t, sub.Err())
					}
				})
			})
		}
	}
}

// Closing from the client's own callbacks is allowed.
func TestCloseInCallback(t *testing.T) {
	var sub *client.Subscription
	opts := &client.Options{OnRetry: func(error, time.Duration) error { sub.Close(); return nil }}
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(&script{steps: steps{status(503)}})
		defer server.Close()
		opts.HTTPClient = server.Client()
		ready := make(chan struct{})
		retry := opts.OnRetry
		opts.OnRetry = func(err error, wait time.Duration) error { <-ready; return retry(err, wait) }
		sub = client.Subscribe(t.Context(), server.URL, opts)
		close(ready)
		_, ok := <-sub.Events()
		require.False(t, ok)
		require.NoError(t, sub.Err())
	})
}
