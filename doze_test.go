package ssehub_test

import (
	"bufio"
	"bytes"
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

// meddle is what a test may put in the place of the next write without waiting.
// Whoever sleeps is slow to wake then, so that the waker comes by once more before.
type meddle struct {
	atomic.Pointer[func(s *socket, p []byte) (int, error)]
	slow atomic.Bool
}

// meddled is a socket with such writes.
type meddled struct {
	*socket
	meddle *meddle
}

const slowWake = time.Millisecond

func (m meddled) TryWrite(p []byte) (int, error) {
	if len(p) > 0 {
		if f := m.meddle.Swap(nil); f != nil {
			m.meddle.slow.Store(true)
			return (*f)(m.socket, p)
		}
	}
	return m.socket.TryWrite(p)
}

func (m meddled) SetReadDeadline(t time.Time) error {
	if t.Before(time.Now()) && m.meddle.slow.CompareAndSwap(true, false) {
		time.AfterFunc(slowWake, func() { _ = m.socket.SetReadDeadline(t) }) // an error: it is closed
		return nil
	}
	return m.socket.SetReadDeadline(t)
}

type meddledListener struct {
	net.Listener
	meddle *meddle
}

func (l meddledListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return meddled{newSocket(conn), l.meddle}, nil
}

// dozing serves one stream over a socket in memory, which the waker writes to, and
// returns the client's end, and where to put what becomes of the waker's next
// write. It is for a bubble.
func dozing(t *testing.T, handler http.Handler) (net.Conn, *meddle) {
	t.Helper()
	meddle := new(meddle)
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
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	return conn, meddle
}

// body is a decoder of what comes behind the head.
func body(t *testing.T, conn net.Conn) *sse.Decoder {
	t.Helper()
	r := bufio.NewReader(conn)
	_, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	return sse.NewDecoder(r)
}

// A frame that the waker could write only a part of is finished before anything
// else, also when another of the stream's topics has news before the stream's
// goroutine gets to it. Faults 12.
func TestDozePartialWriteTwoTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Retry: -1})
		conn, meddle := dozing(t, hub.Handler("a", "b"))
		dec := body(t, conn)
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
		conn, meddle := dozing(t, hub.Handler("a"))
		dec := body(t, conn)
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

// A stream that is too slow ends, whatever else there is to write: the waker, which
// finds that out, does not go on behind the loss. Promise 3.
func TestDozeFailureStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 1}, Overflow: ssehub.Disconnect})
		conn, meddle := dozing(t, hub.Handler("b", "a"))
		dec := body(t, conn)
		synctest.Wait()
		late := func(s *socket, p []byte) (int, error) {
			publish(t, hub, "a", "lost") // while the waker is at it
			publish(t, hub, "a", "behind")
			return s.TryWrite(p)
		}
		meddle.Store(&late)
		publish(t, hub, "b", "first")
		synctest.Wait()
		publish(t, hub, "b", "second")
		require.Equal(t, "first", string(next(t, dec).Data))
		require.Equal(t, io.EOF, dec.Decode(new(sse.Message)))
	})
}

// A stream that the waker writes for has its heartbeats when it was quiet for so
// long, and no others.
func TestDozeHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Heartbeat: 10 * time.Second})
		conn, _ := dozing(t, hub.Handler("n"))
		start := time.Now()
		var at []string
		read := make(chan struct{})
		go func() {
			defer close(read)
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				switch line := lines.Text(); {
				case line == ":", line == "data: x":
					at = append(at, fmt.Sprintf("%v %s", time.Since(start), line))
				}
			}
		}()
		time.Sleep(12 * time.Second) // a heartbeat after 10
		publish(t, hub, "n", "x")
		time.Sleep(3 * time.Second)
		publish(t, hub, "n", "x")
		time.Sleep(30*time.Second + time.Millisecond) // at 25, 35, 45
		conn.Close()
		<-read
		require.Equal(t, []string{"10s :", "12s data: x", "15s data: x", "25s :", "35s :", "45s :"}, at)
	})
}

// Promise 5: a client that stops to read while its stream dozes holds up nobody,
// and is cut at the write timeout. What it got is a prefix of the stream.
func TestDozeStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{WriteTimeout: 5 * time.Second, History: ssehub.Retention{Events: -1, Bytes: -1}})
		stuck, _ := dozing(t, hub.Handler("n"))
		quick, _ := dozing(t, hub.Handler("n"))
		synctest.Wait()
		all := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(quick)
			all <- b
		}()
		start := time.Now()
		for i := range 100 {
			publish(t, hub, "n", fmt.Sprint(i, strings.Repeat("x", 2000)))
			synctest.Wait()
		}
		require.Zero(t, time.Since(start))
		require.Equal(t, 2, hub.Stats().Subscribers)
		time.Sleep(5*time.Second - time.Millisecond)
		require.Equal(t, 2, hub.Stats().Subscribers)
		time.Sleep(2 * time.Millisecond)
		require.Equal(t, 1, hub.Stats().Subscribers)
		got, _ := io.ReadAll(stuck)
		require.NoError(t, hub.Shutdown(t.Context()))
		events := func(b []byte) []byte { // behind the head and the hello, which differ
			_, b, _ = bytes.Cut(b, []byte("\r\n\r\n"))
			return b[bytes.Index(b, []byte("\n\n"))+2:]
		}
		require.NotEmpty(t, events(got))
		require.True(t, bytes.HasPrefix(events(<-all), events(got)))
	})
}

// What the waker began to write is finished by the stream's own goroutine when
// the client reads on.
func TestDozeFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Retry: -1})
		conn, _ := dozing(t, hub.Handler("n"))
		synctest.Wait()
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i, strings.Repeat("x", 2000)))
			publish(t, hub, "n", want[i])
			synctest.Wait()
		}
		r := bufio.NewReader(conn)
		_, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		dec := sse.NewDecoder(r)
		for _, text := range want {
			require.Equal(t, text, string(next(t, dec).Data))
		}
		publish(t, hub, "n", "and on")
		require.Equal(t, "and on", string(next(t, dec).Data))
	})
}

// A grant ends a dozing stream on time, and a stuck one.
func TestDozeGrantExpires(t *testing.T) {
	for name, stuck := range map[string]bool{"dozing": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newHub(t, &ssehub.Options{WriteTimeout: time.Hour, Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
					return ssehub.Grant{Expires: time.Now().Add(time.Minute)}, nil
				}})
				dozing(t, hub.Handler("n"))
				synctest.Wait()
				if stuck {
					for range 100 {
						publish(t, hub, "n", strings.Repeat("x", 2000))
						synctest.Wait()
					}
				}
				time.Sleep(time.Minute - time.Millisecond)
				require.Equal(t, 1, hub.Stats().Subscribers)
				time.Sleep(200 * time.Millisecond) // a write under way has 50 ms
				require.Zero(t, hub.Stats().Subscribers)
			})
		})
	}
}

// Promise 7: a stream that waits costs little more than the smallest stack, also
// when it had heartbeats and events.
func TestDozeStack(t *testing.T) {
	if raceDetector {
		t.Skip("its stacks are larger")
	}
	const conns = 500
	hub := newHub(t, &ssehub.Options{Heartbeat: 200 * time.Millisecond})
	server := httptest.NewServer(hub.Handler("n"))
	defer server.Close()
	defer hub.Close()
	stack := func() int {
		runtime.GC()
		runtime.GC() // it may shrink them once for each
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.StackInuse)
	}
	before := stack()
	var readers []*bufio.Reader
	for range conns {
		_, r := dial(t, server)
		readers = append(readers, r)
	}
	readBehind := func(line string) {
		for _, r := range readers {
			for got := ""; got != line; {
				var err error
				got, err = r.ReadString('\n')
				require.NoError(t, err)
			}
		}
	}
	readBehind(":\n")
	publish(t, hub, "n", "x")
	readBehind("data: x\n")
	readBehind(":\n")
	require.Eventually(t, func() bool { return (stack()-before)/conns < 3000 }, 10*time.Second, 10*time.Millisecond)
}

// Promises 1 and 2 over real sockets, with a fast publisher, readers of which
// some are slow and some leave, and streams that doze and wake all the time.
func TestDozeStorm(t *testing.T) {
	const conns, events = 100, 2000
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: -1, Bytes: -1}})
	server := httptest.NewServer(hub.Handler("n"))
	defer server.Close()
	defer hub.Close()
	var ready, all sync.WaitGroup
	for i := range conns {
		conn, r := dial(t, server)
		if i%10 == 1 { // the window closes now and then
			_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		ready.Add(1)
		all.Go(func() {
			dec := sse.NewDecoder(r)
			var m sse.Message
			if err := dec.Decode(&m); err != nil {
				t.Error(err)
			}
			ready.Done()
			for want := range events {
				if i%5 == 0 && want == 100*i/5 {
					conn.Close() // in the midst of it
					return
				}
				if err := dec.Decode(&m); err != nil || string(m.Data[:6]) != fmt.Sprintf("%06d", want) {
					t.Errorf("reader %d, event %d: %v %.20s", i, want, err, m.Data)
					return
				}
			}
		})
	}
	ready.Wait()
	for i := range events {
		publish(t, hub, "n", fmt.Sprintf("%06d", i)+strings.Repeat("x", rand.IntN(2000)))
		if i%7 == 0 {
			runtime.Gosched()
		}
	}
	all.Wait()
	require.Eventually(t, func() bool { return hub.Stats().Subscribers == conns-conns/5 }, 20*time.Second, time.Millisecond)
	require.NoError(t, hub.Close())
	require.Zero(t, hub.Stats().Subscribers)
}

// A client that reads a byte now and then is cut as one that does not read. Faults 40.
func TestDozeTrickle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{WriteTimeout: 5 * time.Second})
		conn, _ := dozing(t, hub.Handler("n"))
		synctest.Wait()
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			for buf := make([]byte, 1); ; time.Sleep(time.Second) {
				if _, err := conn.Read(buf); err != nil {
					return
				}
			}
		}()
		defer func() { conn.Close(); <-reading }()
		for range 100 {
			publish(t, hub, "n", strings.Repeat("x", 2000))
		}
		time.Sleep(6 * time.Second)
		require.Zero(t, hub.Stats().Subscribers)
	})
}
