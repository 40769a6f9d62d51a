package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Faults 30, 31, 36: a thousand clients that are closed in whatever they were
// doing leave no goroutine behind, neither theirs nor net/http's nor the
// server's.
func TestThousandClients(t *testing.T) {
	const clients = 1000
	dials := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, tt := range map[string]struct {
		step func(http.ResponseWriter, *http.Request)
		dial func(context.Context, string, string) (net.Conn, error)
		opts client.Options
	}{
		"dial":                   {dial: dials},
		"headers":                {step: hangs},
		"body":                   {step: stays("data: half")},
		"consumer does not read": {step: stays("data: x\n\n")},
		"backoff":                {step: status(503)},
		"refusal": {step: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		"idle": {step: hangs, opts: client.Options{IdleTimeout: time.Second}},
	} {
		for _, end := range []string{"Close", "context"} {
			t.Run(name+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := ssetest.NewServer(http.HandlerFunc(tt.step))
					defer server.Close()
					transport := &http.Transport{DialContext: server.Listener.Dial}
					if tt.dial != nil {
						transport.DialContext = tt.dial
					}
					synctest.Wait()
					before := runtime.NumGoroutine()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var subs []*client.Subscription
					for range clients {
						opts := tt.opts
						opts.HTTPClient = &http.Client{Transport: transport}
						subs = append(subs, client.Subscribe(ctx, server.URL, &opts))
					}
					synctest.Wait()
					time.Sleep(1500 * time.Millisecond) // of idle time, or of back-off
					synctest.Wait()
					open := runtime.NumGoroutine() - before
					require.Greater(t, open, clients*9/10) // before may count some of an earlier test that were ending

					start := time.Now()
					if end == "context" {
						cancel()
					}
					for _, sub := range subs {
						if end == "Close" {
							sub.Close()
						}
						for range sub.Events() {
						}
					}
					transport.CloseIdleConnections()
					synctest.Wait()
					require.LessOrEqual(t, time.Since(start), 10*time.Millisecond)
					t.Logf("%d clients: %d goroutines", clients, open) // of which the bubble lets none stay
				})
			})
		}
	}
}

// A thousand clients that are closed from each of their callbacks.
func TestThousandCallbacks(t *testing.T) {
	const stream = ":\n" + "event: ssehub.gap\ndata: {}\n\n" + "id: 1\ndata: x\n\n"
	for _, name := range []string{"NewRequest", "OnRetry", "OnState", "OnComment", "OnGap", "OnLastEventID"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := ssetest.NewServer(http.HandlerFunc(sends(stream)))
				defer server.Close()
				var all sync.WaitGroup
				for range 1000 {
					all.Go(func() {
						var sub *client.Subscription
						called := false
						ready := make(chan struct{})
						at := func(where string) {
							if where == name {
								called = true
								<-ready
								sub.Close()
								sub.Close()
							}
						}
						transport := &http.Transport{DialContext: server.Listener.Dial}
						sub = client.Subscribe(t.Context(), server.URL, &client.Options{
							HTTPClient: &http.Client{Transport: transport},
							NewRequest: func(ctx context.Context) (*http.Request, error) {
								at("NewRequest")
								return http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
							},
							OnRetry:       func(error, time.Duration) error { at("OnRetry"); return nil },
							OnState:       func(client.State) { at("OnState") },
							OnComment:     func(string) { at("OnComment") },
							OnGap:         func(sse.Gap) { at("OnGap") },
							OnLastEventID: func(string) { at("OnLastEventID") },
						})
						close(ready)
						for range sub.Events() {
						}
						assert.True(t, called)
						assert.NoError(t, sub.Err())
						transport.CloseIdleConnections()
					})
				}
				all.Wait()
				synctest.Wait()
			})
		})
	}
}

// Faults 34: ten thousand clients whose server goes away for a minute come back
// spread out. The worst second has at most three times the attempts of the mean
// one, from when the server is there again until the last client is back.
func TestReconnectStorm(t *testing.T) {
	const outage = time.Minute
	clients := 10_000
	if raceDetector {
		clients = 2000 // whose bookkeeping needs much memory
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var attempts []time.Duration
		var start time.Time
		cut := make(chan struct{}) // all connections at once
		down := false
		world := roundTrip(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if down {
				attempts = append(attempts, time.Since(start))
				return nil, errors.New("connection refused")
			}
			if !start.IsZero() {
				attempts = append(attempts, time.Since(start))
			}
			return respond(req, http.StatusOK, &held{ctx: req.Context(), cut: cut}), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var subs []*client.Subscription
		for range clients {
			subs = append(subs, client.Subscribe(ctx, "http://home/", &client.Options{HTTPClient: &http.Client{Transport: world}}))
		}
		time.Sleep(time.Hour)
		mu.Lock()
		start, down = time.Now(), true
		old := cut
		cut = make(chan struct{})
		mu.Unlock()
		close(old)
		time.Sleep(outage)
		mu.Lock()
		down = false
		mu.Unlock()
		time.Sleep(time.Hour)
		cancel()
		for _, sub := range subs {
			for range sub.Events() {
			}
		}

		mu.Lock()
		defer mu.Unlock()
		back := map[int]int{} // attempts for each second since the server is back
		seconds := 0
		for _, at := range attempts {
			if at >= outage {
				second := int((at - outage) / time.Second)
				back[second]++
				seconds = max(seconds, second+1)
			}
		}
		peak, total := 0, 0
		for _, n := range back {
			peak, total = max(peak, n), total+n
		}
		require.Equal(t, clients, total, "each comes back once")
		mean := float64(total) / float64(seconds)
		t.Logf("%d attempts in the outage, then %d in %d s: at most %d/s, on average %.0f/s, ratio %.2f",
			len(attempts)-total, total, seconds, peak, mean, float64(peak)/mean)
		require.LessOrEqual(t, float64(peak)/mean, 3.0)
	})
}

// held is the body of a stream that says nothing until it is cut.
type held struct {
	ctx context.Context
	cut chan struct{}
}

func (h *held) Read([]byte) (int, error) {
	select {
	case <-h.cut:
		return 0, io.ErrUnexpectedEOF
	case <-h.ctx.Done():
		return 0, h.ctx.Err()
	}
}

func (h *held) Close() error { return nil }
