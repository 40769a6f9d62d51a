package ssehub_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Promise 8, and faults 34: ten thousand clients whose hub is shut down come to the
// next one spread out, be they EventSources or package client, be there time for it
// or not. By default they are 500. The worst second has at most three times the connects of the mean one,
// from the first to the last.
func TestShutdownSpreadsReturn(t *testing.T) {
	clients := max(500, *scale/20)
	for name, read := range map[string]func(ctx context.Context, transport http.RoundTripper, url string){
		"EventSource":    readAsBrowser,
		"package client": readAsClient,
	} {
		for _, within := range []time.Duration{time.Minute, time.Second} {
			t.Run(fmt.Sprintf("%s, %v", name, within), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					at := returns(t, clients, within, read)
					require.Len(t, at, clients, "each comes back once")
					peak, mean := perSecond(at)
					t.Logf("%d clients come back between %v and %v: %d in the worst second, %.0f on average, ratio %.2f",
						clients, at[0].Round(time.Millisecond), at[len(at)-1].Round(time.Millisecond), peak, mean, float64(peak)/mean)
					require.LessOrEqual(t, float64(peak), 3*mean)
				})
			})
		}
	}
}

// returns shuts a hub down, and returns when its clients came to the next one.
func returns(t *testing.T, clients int, within time.Duration, read func(context.Context, http.RoundTripper, string)) (at []time.Duration) {
	var mu sync.Mutex
	var start time.Time
	var server atomic.Pointer[ssetest.Server]
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		if !start.IsZero() {
			at = append(at, time.Since(start))
		}
		mu.Unlock()
		return server.Load().Listener.Dial(ctx, network, addr)
	}}
	quiet := &ssehub.Options{Heartbeat: -1} // a minute of heartbeats to all takes longer than the rest
	old, next := ssehub.New(quiet), ssehub.New(quiet)
	oldServer, nextServer := ssetest.NewServer(old.Handler("n")), ssetest.NewServer(next.Handler("n"))
	server.Store(oldServer)
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range clients {
		reading.Go(func() { read(ctx, transport, oldServer.URL) })
	}
	synctest.Wait()
	require.Equal(t, clients, old.Stats().Subscribers)

	mu.Lock()
	start = time.Now()
	mu.Unlock()
	server.Store(nextServer) // as a proxy does, or a listener that is handed over
	draining, stop := context.WithTimeout(t.Context(), within)
	require.NoError(t, old.Shutdown(draining))
	stop()
	time.Sleep(time.Minute)
	require.Equal(t, clients, next.Stats().Subscribers)

	cancel()
	reading.Wait()
	next.Close()
	oldServer.Close()
	nextServer.Close()
	transport.CloseIdleConnections()
	mu.Lock()
	defer mu.Unlock()
	return at
}

// readAsBrowser is what the HTML standard has an EventSource do.
func readAsBrowser(ctx context.Context, transport http.RoundTripper, url string) {
	retry, lastID := time.Second, ""
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			panic(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Last-Event-ID", lastID)
		if res, err := transport.RoundTrip(req); err == nil {
			dec := sse.NewDecoder(res.Body)
			for m := (sse.Message{}); dec.Decode(&m) == nil; {
			}
			res.Body.Close()
			lastID = dec.LastEventID()
			if d, ok := dec.Retry(); ok {
				retry = d
			}
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
		}
	}
}

func readAsClient(ctx context.Context, transport http.RoundTripper, url string) {
	sub := client.Subscribe(ctx, url, &client.Options{HTTPClient: &http.Client{Transport: transport}})
	for range sub.Events() {
	}
}

// perSecond returns how many of at are in the worst second, and on average.
func perSecond(at []time.Duration) (peak int, mean float64) {
	seconds := map[time.Duration]int{}
	for _, d := range at {
		second := (d - at[0]) / time.Second
		seconds[second]++
		peak = max(peak, seconds[second])
	}
	return peak, float64(len(at)) / max(1, (at[len(at)-1]-at[0]).Seconds())
}
