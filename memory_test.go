package ssehub_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
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
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
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

// A write that is stuck keeps the one segment that it is about in memory, or a
// copy of no more, and not all of what its topics have dropped meanwhile.
func TestStuckWritePinsLittle(t *testing.T) {
	const topics, readers = 32, 20
	hub := newHub(t, &ssehub.Options{MaxTopics: topics, History: ssehub.Retention{Bytes: 64 << 10}})
	var names []string
	for i := range topics {
		names = append(names, fmt.Sprint("t", i))
	}
	fill := func() {
		for i := range 3 * topics {
			publish(t, hub, names[i%topics], strings.Repeat("x", 15<<10))
			publish(t, hub, names[i%topics], strings.Repeat("x", 15<<10))
			publish(t, hub, names[i%topics], strings.Repeat("x", 15<<10))
			publish(t, hub, names[i%topics], strings.Repeat("x", 15<<10))
		}
	}
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	fill()
	before := heap()
	start := hub.Position().Epoch + "-1"
	release := make(chan struct{})
	var stuck sync.WaitGroup
	var entered sync.WaitGroup
	for range readers {
		entered.Add(1)
		stuck.Go(func() {
			w := &stuckWriter{header: http.Header{}, entered: entered.Done, release: release}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			req.Header.Set("Last-Event-ID", start)
			hub.Handler(names...).ServeHTTP(w, req)
		})
	}
	entered.Wait()
	fill()
	pinned := heap() - before
	close(release)
	stuck.Wait()
	require.Less(t, pinned, int64(readers*(maxBatch+64<<10)))
}

const maxBatch = 64 << 10

// stuckWriter takes the hello and hangs in the first write of events.
type stuckWriter struct {
	header  http.Header
	entered func()
	release chan struct{}
}

func (w *stuckWriter) Header() http.Header              { return w.header }
func (w *stuckWriter) WriteHeader(int)                  {}
func (w *stuckWriter) FlushError() error                { return nil }
func (w *stuckWriter) SetWriteDeadline(time.Time) error { return nil }
func (w *stuckWriter) Write(p []byte) (int, error) {
	if len(p) < 10<<10 {
		return len(p), nil
	}
	w.entered()
	<-w.release
	return 0, io.ErrClosedPipe
}
