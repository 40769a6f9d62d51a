package ssehub_test

import (
	"context"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cutting is a dialer whose connections break after a random number of bytes,
// in the middle of whatever that is.
type cutting struct {
	random *rand.Rand
	atMost int64         // bytes before a cut
	left   atomic.Int64  // cuts
	made   chan struct{} // gets one for every cut
}

func (c *cutting) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cutting: c, bytes: 1 + c.random.Int64N(c.atMost)}, nil
}

type cutConn struct {
	net.Conn
	cutting *cutting
	bytes   int64 // left
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.bytes == 0 {
		c.bytes = math.MaxInt64
		if c.cutting.left.Add(-1) >= 0 {
			c.Close()
			c.cutting.made <- struct{}{}
		}
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.bytes)])
	c.bytes -= int64(n)
	return n, err
}

// cutRun publishes 100,000 events, 1,000 behind each cut, to a client that is
// cut 100 times, each time at any of
// the first atMost bytes of a connection, and returns what the client saw.
func cutRun(t *testing.T, history ssehub.Retention, atMost int64) (got []int, told []sse.Gap) {
	const events, cuts = 100_000, 100
	hub := ssehub.New(&ssehub.Options{History: history, Retry: time.Millisecond})
	server := httptest.NewServer(hub.Handler("n"))
	defer server.Close()
	defer hub.Close()

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dialer := &cutting{random: rand.New(rand.NewPCG(seed, 0)), atMost: atMost, made: make(chan struct{}, cuts)}
	dialer.left.Store(cuts)
	transport := &http.Transport{DialContext: dialer.dial}
	defer transport.CloseIdleConnections()
	sub := client.Subscribe(t.Context(), server.URL, &client.Options{
		HTTPClient:  &http.Client{Transport: transport},
		LastEventID: hub.Position().String(),
		Backoff:     client.Backoff{Max: time.Millisecond},
		OnGap:       func(gap sse.Gap) { told = append(told, gap) },
	})
	defer sub.Close()

	go func() {
		for i := 1; i <= events; i++ {
			if i%(events/cuts) == 0 {
				<-dialer.made // so that the cuts are spread over all events
			}
			if _, err := hub.Publish(context.Background(), "n", sse.Message{Data: []byte(strconv.Itoa(i))}); err != nil {
				panic(err)
			}
		}
	}()
	for m := range sub.Events() {
		n, err := strconv.Atoi(string(m.Data))
		require.NoError(t, err, "half an event was dispatched: %q", m.Data)
		require.EqualValues(t, n, seq(t, m.ID))
		got = append(got, n)
		if n == events {
			break
		}
	}
	t.Logf("%d events, %d gaps", len(got), len(told))
	return got, told
}

// Promise 2: across any number of cuts at any byte, every event exactly once
// and in order. Faults 15.
func TestClientCutWindowSufficient(t *testing.T) {
	got, told := cutRun(t, ssehub.Retention{Events: 100_000, Bytes: -1}, 20_000)
	require.Empty(t, told)
	require.Len(t, got, 100_000)
	for i, n := range got {
		require.Equal(t, i+1, n)
	}
}

// Promise 3: with a window that is too small, each lost event is told by
// exactly one gap, and gaps and events together account for every number.
func TestClientCutWindowTooSmall(t *testing.T) {
	got, told := cutRun(t, ssehub.Retention{Events: 50}, 1500)
	require.NotEmpty(t, told)
	next := 1
	for _, n := range got {
		for next < n { // a loss may grow while it is being told: then the next gap goes on where this one ends
			require.NotEmpty(t, told, "%d to %d lost in silence", next, n-1)
			require.EqualValues(t, next-1, seq(t, told[0].From))
			next = int(seq(t, told[0].To)) + 1
			told = told[1:]
		}
		require.Equal(t, next, n, "told as lost, but delivered")
		next++
	}
	require.Empty(t, told, "gaps in which nothing was lost")
}

// The client reads the hub over every transport that it will meet, through cuts
// of all connections: everything once, in order. Over HTTP/2 all streams share
// one connection.
func TestClientOverTransports(t *testing.T) {
	const events, subs = 300, 8 // browsers could not have eight over HTTP/1.1
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"TLS":      (*httptest.Server).StartTLS,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			hub := ssehub.New(nil)
			var protos sync.Map
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				protos.Store(r.Proto, true)
				hub.Handler("n").ServeHTTP(w, r)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are cut
			start(server)
			defer server.Close()
			defer hub.Close()

			var readers sync.WaitGroup
			reached := make(chan int, subs*events)
			for range subs {
				sub := client.Subscribe(t.Context(), server.URL, &client.Options{
					HTTPClient:  server.Client(),
					LastEventID: hub.Position().String(),
					Backoff:     client.Backoff{Base: time.Millisecond, Min: time.Millisecond, Max: 5 * time.Millisecond},
				})
				readers.Go(func() {
					want := 1
					for n, err := range sse.JSON[int](sub.All()) {
						if !assert.NoError(t, err) || !assert.Equal(t, want, n) || n == events {
							break
						}
						reached <- n
						want++
					}
					assert.Zero(t, sub.Gaps())
				})
			}
			for n := 1; n <= events; n++ {
				publish(t, hub, "n", strconv.Itoa(n))
				if n%100 == 50 {
					for <-reached < n-10 { // somebody is on the way
					}
					server.CloseClientConnections()
				}
			}
			readers.Wait()
			var seen []any
			protos.Range(func(proto, _ any) bool { seen = append(seen, proto); return true })
			require.Equal(t, []any{map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[name == "HTTP/2"]}, seen)
		})
	}
}
