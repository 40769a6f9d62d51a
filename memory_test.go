package ssehub_test

import (
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/stretchr/testify/require"
)

// Clients that come and go, by reset, a third of them before the head of the
// response: nothing of them stays. Faults 47.
func TestConnectionChurn(t *testing.T) {
	const rounds, workers = 3000, 8
	hub := newHub(t, nil)
	server := httptest.NewServer(hub.Handler("a", "b"))
	defer server.Close()
	defer hub.Close()
	stop := make(chan struct{})
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				publish(t, hub, "a", "x")
				runtime.Gosched()
			}
		}
	})
	addr := server.Listener.Addr().String()
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < rounds; i += workers {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if i%3 > 0 {
					_, _ = io.ReadFull(conn, make([]byte, 600))
				}
				_ = conn.(*net.TCPConn).SetLinger(0) // a reset
				conn.Close()
			}
		})
	}
	all.Wait()
	close(stop)
	publisher.Wait()
	require.Eventually(t, func() bool { return hub.Stats().Subscribers == 0 }, 20*time.Second, time.Millisecond)
}

// Memory does not grow with what was published, nor with topics and readers
// that are gone.
func TestMemoryIsBounded(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 100, Age: time.Millisecond}})
	round := func() {
		for i := range 20_000 {
			topic := fmt.Sprint("t", i)
			publish(t, hub, topic, "some text of a usual length, as an event would have")
			if i%10 == 0 {
				sub, err := hub.Subscribe(t.Context(), topic, "quiet")
				require.NoError(t, err)
				sub.Close()
			}
		}
		require.Eventually(t, func() bool { return hub.Stats().Topics == 0 }, 20*time.Second, time.Millisecond)
	}
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	round()
	before := heap()
	for range 4 {
		round()
	}
	require.Less(t, heap()-before, int64(1<<20))
}
