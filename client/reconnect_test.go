package client_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/stretchr/testify/require"
)

// live counts the connections that are open while h serves them.
func live(n *atomic.Int64, h func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		defer n.Add(-1)
		h(w, r)
	}
}

// press calls Reconnect many times at once.
func press(sub *client.Subscription, times int) {
	var all sync.WaitGroup
	for range times {
		all.Go(sub.Reconnect)
	}
	all.Wait()
}

// Faults 35: however often Reconnect is called while the client waits, it
// connects at once, and once.
func TestReconnectWhileWaiting(t *testing.T) {
	var open atomic.Int64
	opts := &client.Options{Backoff: client.Backoff{Base: time.Hour, Max: time.Hour, Jitter: noJitter.Jitter}}
	run(t, opts, steps{status(503), live(&open, stays("data: x\n\n"))}, func(t *testing.T, sub *client.Subscription, s *script) {
		time.Sleep(time.Minute)
		require.Equal(t, client.StateWaiting, sub.State())
		press(sub, 8)
		<-sub.Events()
		synctest.Wait()
		require.Equal(t, []time.Duration{0, time.Minute}, s.times)
		require.EqualValues(t, 1, open.Load())
	})
}

// An open connection is replaced by one that goes on behind the same id. It is
// no failure: OnRetry does not hear of it, and the back-off does not grow.
func TestReconnectWhileOpen(t *testing.T) {
	var open atomic.Int64
	var waits []time.Duration
	opts := &client.Options{Backoff: noJitter, OnRetry: func(err error, wait time.Duration) error {
		waits = append(waits, wait)
		return nil
	}}
	stream := live(&open, stays("id: 1\ndata: x\n\n"))
	run(t, opts, steps{status(503), stream, stream, status(503), stream}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		sub.Reconnect()
		<-sub.Events()
		press(sub, 8) // which is too soon, and for nothing
		time.Sleep(2 * time.Second)
		press(sub, 8)
		<-sub.Events()
		synctest.Wait()
		require.Equal(t, []string{"-", "-", "1", "1", "1"}, s.ids)
		require.Equal(t, []time.Duration{0, time.Second, time.Second, 3 * time.Second, 4 * time.Second}, s.times)
		require.EqualValues(t, 1, open.Load())
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second}, waits)
	})
}

// A request that nobody answers is given up for a new one, but not at once: to
// press twice must not mean to start twice.
func TestReconnectWhileConnecting(t *testing.T) {
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	run(t, nil, steps{mute, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		press(sub, 8)
		time.Sleep(999 * time.Millisecond)
		press(sub, 8)
		synctest.Wait()
		require.EqualValues(t, 1, s.requests.Load())
		time.Sleep(time.Millisecond)
		press(sub, 8)
		<-sub.Events()
		require.Equal(t, []time.Duration{0, time.Second}, s.times)
	})
}

// Pressed again and again, while events come, it loses none and doubles none,
// and one connection is left.
func TestReconnectLosesNothing(t *testing.T) {
	var open atomic.Int64
	numbers := live(&open, numbered)
	run(t, nil, steps{numbers}, func(t *testing.T, sub *client.Subscription, s *script) {
		for n := range 1000 {
			if n%7 == 0 {
				time.Sleep(time.Second)
				press(sub, 3)
			}
			require.Equal(t, number(n+1), <-sub.Events())
		}
		synctest.Wait()
		require.EqualValues(t, 1, open.Load())
		require.Greater(t, len(s.times), 100)
	})
}

// It may be called where a failure is decided upon, and after the end; and a
// callback that always does it makes no hot loop.
func TestReconnectInCallback(t *testing.T) {
	var sub *client.Subscription
	ready := make(chan struct{})
	opts := &client.Options{Backoff: noJitter, OnRetry: func(error, time.Duration) error {
		<-ready
		sub.Reconnect() // as with a fresh token
		return client.ErrRetry
	}}
	run(t, opts, steps{status(401), status(503), stays("data: x\n\n")}, func(t *testing.T, s *client.Subscription, script *script) {
		sub = s
		close(ready)
		<-sub.Events()
		require.Equal(t, []time.Duration{0, 0, time.Second}, script.times)
		sub.Close()
		sub.Reconnect()
		_, ok := <-sub.Events()
		require.False(t, ok)
		sub.Reconnect()
		require.NoError(t, sub.Err())
	})
}

// Called all the time, it makes an attempt a second beside those of the
// back-off, which goes on growing.
func TestReconnectRate(t *testing.T) {
	for name, step := range map[string]func(http.ResponseWriter, *http.Request){
		"refused": status(503),
		"ends":    sends("retry: 0\n"),
		"open":    stays(""),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, steps{step}, func(t *testing.T, sub *client.Subscription, s *script) {
				for range 60_000 {
					sub.Reconnect()
					time.Sleep(time.Millisecond)
				}
				require.GreaterOrEqual(t, int(s.requests.Load()), 60)
				require.LessOrEqual(t, int(s.requests.Load()), 75)
			})
		})
	}
}

// What it was called for too soon is done when the second is over: the first of
// several notices of a new network may come before it is there.
func TestReconnectLastOfBurst(t *testing.T) {
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	run(t, nil, steps{stays("data: a\n\n"), mute, stays("data: b\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		time.Sleep(time.Minute)
		sub.Reconnect()
		time.Sleep(300 * time.Millisecond)
		sub.Reconnect()
		<-sub.Events()
		require.Equal(t, []time.Duration{0, time.Minute, time.Minute + time.Second}, s.times)
	})
}

// Closed while that is still to come, it leaves nothing.
func TestReconnectLaterThenClose(t *testing.T) {
	run(t, nil, steps{stays("data: a\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		sub.Reconnect() // the request is new
		<-sub.Events()
		sub.Close()
		for range sub.Events() {
		}
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, s.requests.Load())
	})
}
