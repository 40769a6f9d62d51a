package ssehub_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
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
