package ssehub_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// meddled is a socket whose writes by the waker a test may decide about.
type meddled struct {
	*socket
	meddle *atomic.Pointer[func(s *socket, p []byte) (int, error)] // called once
}

func (m meddled) TryWrite(p []byte) (int, error) {
	if f := m.meddle.Swap(nil); f != nil && len(p) > 0 {
		return (*f)(m.socket, p)
	}
	return m.socket.TryWrite(p)
}

type meddledListener struct {
	net.Listener
	meddle *atomic.Pointer[func(s *socket, p []byte) (int, error)]
}

func (l meddledListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return meddled{newSocket(conn), l.meddle}, nil
}

// dozingMeddled serves one stream and returns a decoder of what its client gets,
// and where to put what becomes of the waker's next write. It is for a bubble.
func dozingMeddled(t *testing.T, handler http.Handler) (*sse.Decoder, *atomic.Pointer[func(s *socket, p []byte) (int, error)]) {
	t.Helper()
	meddle := new(atomic.Pointer[func(s *socket, p []byte) (int, error)])
	pipes := ssetest.Listen()
	server := &http.Server{Handler: handler}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(meddledListener{pipes, meddle}) })
	conn, err := pipes.Dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		server.Close()
		served.Wait()
	})
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	_, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	return sse.NewDecoder(r), meddle
}

// A frame that the waker could write only a part of is finished before anything
// else, also when another of the stream's topics has news before the stream's
// goroutine gets to it. Faults 12.
func TestDozePartialWriteTwoTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Retry: -1})
		dec, meddle := dozingMeddled(t, hub.Handler("a", "b"))
		synctest.Wait()
		for i := range 100 {
			first, second := fmt.Sprint(i, strings.Repeat("a", 100)), fmt.Sprint(i, strings.Repeat("b", 100))
			half := func(s *socket, p []byte) (int, error) {
				publish(t, hub, "b", second)
				return s.TryWrite(p[:len(p)/2])
			}
			meddle.Store(&half)
			publish(t, hub, "a", first)
			for _, want := range []string{first, second} {
				require.Equal(t, want, string(next(t, dec).Data))
			}
			synctest.Wait()
		}
	})
}

// Nor does a heartbeat come into it, should it become due just then.
func TestDozePartialWriteHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const heartbeat = 10 * time.Second
		hub := newHub(t, &ssehub.Options{Heartbeat: heartbeat, Retry: -1})
		dec, meddle := dozingMeddled(t, hub.Handler("a"))
		synctest.Wait()
		for i := range 100 {
			publish(t, hub, "a", "quiet from now on")
			require.Equal(t, "quiet from now on", string(next(t, dec).Data))
			due := time.Now().Add(heartbeat)
			half := func(s *socket, p []byte) (int, error) {
				time.Sleep(time.Until(due))
				for range 1000 {
					runtime.Gosched() // to the stream's goroutine, which wakes at the same time
				}
				return s.TryWrite(p[:len(p)/2])
			}
			meddle.Store(&half)
			time.Sleep(heartbeat - time.Second)
			text := fmt.Sprint(i, strings.Repeat("x", 100))
			publish(t, hub, "a", text)
			require.Equal(t, text, string(next(t, dec).Data))
		}
	})
}

// The same over real sockets, so small that they are full most of the time, with
// several topics, heartbeats at any moment, and readers that come and go: each has
// every event of each topic once, in order. Promises 1 and 2.
func TestDozeStormTopics(t *testing.T) {
	const conns, events = 12, 100
	topics := []string{"a", "b", "c"}
	hub := newHub(t, &ssehub.Options{Heartbeat: 5 * time.Millisecond, History: ssehub.Retention{Events: -1, Bytes: -1}})
	server := httptest.NewUnstartedServer(hub.Handler(append(topics, "d.*")...))
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		_ = conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
		return ctx
	}
	server.Start()
	defer server.Close()
	defer hub.Close()
	var ready, all sync.WaitGroup
	for i := range conns {
		conn, r := dial(t, server)
		_ = conn.(*net.TCPConn).SetReadBuffer(8 << 10)
		ready.Add(1)
		all.Go(func() {
			dec := sse.NewDecoder(r)
			var m sse.Message
			if err := dec.Decode(&m); err != nil {
				t.Error(err)
			}
			ready.Done()
			want := make(map[string]int)
			for n := range events * (len(topics) + 1) {
				if i%4 == 0 && n == 10*i {
					conn.Close() // in the midst of it
					return
				}
				if err := dec.Decode(&m); err != nil {
					t.Errorf("reader %d, event %d: %v", i, n, err)
					return
				}
				if number, x, _ := strings.Cut(string(m.Data), " "); number != fmt.Sprint(want[m.Topic]) || strings.Trim(x, "x") != "" {
					t.Errorf("reader %d, %s event %d: %.20s", i, m.Topic, want[m.Topic], m.Data)
					return
				}
				want[m.Topic]++
			}
		})
	}
	ready.Wait()
	var publishers sync.WaitGroup
	for _, topic := range append(topics, "d.1") {
		publishers.Go(func() {
			for i := range events {
				publish(t, hub, topic, fmt.Sprint(i, " ", strings.Repeat("x", rand.IntN(1000))))
				if i%3 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	publishers.Wait()
	all.Wait()
	require.Eventually(t, func() bool { return hub.Stats().Subscribers == conns-conns/4 }, 20*time.Second, time.Millisecond)
	require.NoError(t, hub.Close())
	require.Zero(t, hub.Stats().Subscribers)
}
