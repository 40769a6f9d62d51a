package ssehub_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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

// dial asks for a stream over a real socket, and returns it behind its head.
func dial(t testing.TB, server *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReaderSize(conn, 512)
	for line := "x"; line != "\r\n"; {
		line, err = r.ReadString('\n')
		require.NoError(t, err)
	}
	return conn, r
}

// next reads an event of the application.
func next(t testing.TB, dec *sse.Decoder) sse.Message {
	t.Helper()
	for {
		var m sse.Message
		require.NoError(t, dec.Decode(&m))
		if m.Type != sse.TypeHello {
			return m
		}
	}
}

// A taken over stream goes on when its handler has returned and its request's
// context has ended, and what the application put there is in the last record.
func TestHijackOutlivesRequest(t *testing.T) {
	type key struct{}
	var log bytes.Buffer
	var logMu sync.Mutex
	hub := newHub(t, &ssehub.Options{
		Logger: slog.New(contextHandler{slog.NewTextHandler(&locked{w: &log, mu: &logMu}, &slog.HandlerOptions{Level: slog.LevelDebug}), key{}}),
		Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
			return ssehub.Grant{Subject: fmt.Sprint(r.Context().Value(key{}))}, nil
		},
	})
	returned := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer close(returned)
		defer cancel()
		hub.Handler("n").ServeHTTP(w, r.WithContext(ctx))
	}))
	states := make(chan http.ConnState, 10)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) { states <- s }
	server.Config.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "ann") }
	server.Start()
	defer server.Close()
	conn, r := dial(t, server)
	<-returned
	for s := range states {
		if s == http.StateHijacked { // the last that it tells
			break
		}
	}
	dec := sse.NewDecoder(r)
	publish(t, hub, "n", "1")
	require.Equal(t, "1", string(next(t, dec).Data))
	conn.Close()
	require.Eventually(t, func() bool {
		logMu.Lock()
		defer logMu.Unlock()
		return strings.Contains(log.String(), "stream ended") && strings.Contains(log.String(), "value=ann")
	}, 10*time.Second, time.Millisecond)
	require.Zero(t, hub.Stats().Subscribers)
}

// contextHandler adds what the context has.
type contextHandler struct {
	slog.Handler
	key any
}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.Any("value", ctx.Value(h.key)))
	return h.Handler.Handle(ctx, r)
}

type locked struct {
	w  io.Writer
	mu *sync.Mutex
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// accessLog is middleware as many write it: it hides the connection. Its twin
// forwards Hijack.
type accessLog struct {
	http.ResponseWriter
	status int
}

type hijackableLog struct{ *accessLog }

func (l *accessLog) WriteHeader(status int) {
	l.status = status
	l.ResponseWriter.WriteHeader(status)
}

func (l *accessLog) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l hijackableLog) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return l.ResponseWriter.(http.Hijacker).Hijack()
}

// An access log that hides the connection keeps the stream in its handler, and
// logs its end. One that forwards Hijack logs at once, without a status, unless
// the hub is told to leave connections alone.
func TestHijackAccessLog(t *testing.T) {
	for name, tt := range map[string]struct {
		forwards, noHijack bool
		atOnce             bool
	}{
		"hides":    {},
		"forwards": {forwards: true, atOnce: true},
		"switch":   {forwards: true, noHijack: true},
	} {
		t.Run(name, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{NoHijack: tt.noHijack})
			logged := make(chan int, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				log := &accessLog{ResponseWriter: w}
				if w = log; tt.forwards {
					w = hijackableLog{log}
				}
				hub.Handler("n").ServeHTTP(w, r)
				logged <- log.status
			}))
			defer server.Close()
			conn, r := dial(t, server)
			if tt.atOnce {
				require.Zero(t, <-logged)
			}
			publish(t, hub, "n", "1")
			for line := ""; line != "data: 1\n"; { // chunks may be around it
				var err error
				line, err = r.ReadString('\n')
				require.NoError(t, err)
			}
			if !tt.atOnce {
				require.Empty(t, logged)
				conn.Close()
				<-logged
			}
		})
	}
}

// Promise 8: http.Server.Shutdown does not wait for streams that were taken over,
// and Hub.Shutdown ends them as any other.
func TestHijackShutdown(t *testing.T) {
	hub := newHub(t, nil)
	server := httptest.NewServer(hub.Handler("n"))
	defer server.Close()
	_, r := dial(t, server)
	dec := sse.NewDecoder(r)
	require.Eventually(t, func() bool { return hub.Stats().Subscribers == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, server.Config.Shutdown(t.Context()))
	publish(t, hub, "n", "1")
	require.Equal(t, "1", string(next(t, dec).Data))
	require.NoError(t, hub.Shutdown(t.Context()))
	require.Equal(t, io.EOF, dec.Decode(new(sse.Message)))
	retry, ok := dec.Retry()
	require.True(t, ok)
	require.Positive(t, retry)
}

// The application's panic in a stream that net/http knows no more of is logged,
// and ends that stream alone.
func TestHijackPanic(t *testing.T) {
	var log bytes.Buffer
	var logMu sync.Mutex
	bad := new(atomic.Bool)
	hub := newHub(t, &ssehub.Options{
		Logger: slog.New(slog.NewTextHandler(&locked{w: &log, mu: &logMu}, nil)),
		Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
			return ssehub.Grant{AllowTopic: func(string) bool {
				if bad.Load() {
					panic("no such tenant")
				}
				return true
			}}, nil
		},
	})
	server := httptest.NewServer(hub.Handler("*"))
	defer server.Close()
	_, first := dial(t, server)
	publish(t, hub, "a", "1")
	good := sse.NewDecoder(first)
	require.Equal(t, "1", string(next(t, good).Data))
	bad.Store(true)
	_, second := dial(t, server)
	publish(t, hub, "a", "2") // which the first has asked about
	require.Equal(t, "2", string(next(t, good).Data))
	dec := sse.NewDecoder(second)
	require.NoError(t, dec.Decode(new(sse.Message))) // hello
	require.Equal(t, io.EOF, dec.Decode(new(sse.Message)))
	require.Eventually(t, func() bool {
		logMu.Lock()
		defer logMu.Unlock()
		return strings.Contains(log.String(), "no such tenant") && strings.Contains(log.String(), "hijack_test.go")
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, 1, hub.Stats().Subscribers)
}

// So does one of the Logger's own, also if it panics whatever it gets, and one that
// ends its goroutine. Faults 62.
func TestHijackLoggerPanics(t *testing.T) {
	stdlog.SetOutput(io.Discard) // where it is told
	defer stdlog.SetOutput(os.Stderr)
	for name, end := range map[string]func(){
		"panic":  func() { panic("no disk") },
		"abort":  func() { panic(http.ErrAbortHandler) },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{Logger: slog.New(endingHandler{slog.DiscardHandler, end})})
			server := httptest.NewServer(hub.Handler("n"))
			defer server.Close()
			_, r := dial(t, server)
			good := sse.NewDecoder(r)
			for i := range 10 {
				conn, r := dial(t, server)
				text := fmt.Sprint(i)
				publish(t, hub, "n", text)
				require.Equal(t, text, string(next(t, sse.NewDecoder(r)).Data))
				require.Equal(t, text, string(next(t, good).Data))
				conn.Close()
			}
			require.Eventually(t, func() bool { return hub.Stats().Subscribers == 1 }, 10*time.Second, time.Millisecond)
			require.NoError(t, hub.Shutdown(t.Context()))
		})
	}
}

// endingHandler is enabled at every level, and does not return.
type endingHandler struct {
	slog.Handler
	end func()
}

func (h endingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h endingHandler) Handle(context.Context, slog.Record) error {
	h.end()
	return nil
}

// dozing serves one stream over a socket in memory, which the waker writes to,
// and returns the client's end.
func dozing(t *testing.T, hub *ssehub.Hub) net.Conn {
	t.Helper()
	var open sync.WaitGroup
	pipes := ssetest.Listen()
	server := &http.Server{Handler: hub.Handler("n")}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(&trackingListener{Listener: pipes, open: &open, buffered: true})
	}()
	conn, err := pipes.Dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		server.Close()
		<-served
		open.Wait()
	})
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	return conn
}

// A stream that the waker writes for has its heartbeats when it was quiet for so
// long, and no others.
func TestDozeHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Heartbeat: 10 * time.Second})
		conn := dozing(t, hub)
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
		stuck, quick := dozing(t, hub), dozing(t, hub)
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
		conn := dozing(t, hub)
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
				dozing(t, hub)
				synctest.Wait()
				if stuck {
					for range 100 {
						publish(t, hub, "n", strings.Repeat("x", 2000))
						synctest.Wait()
					}
				}
				time.Sleep(time.Minute - time.Millisecond)
				require.Equal(t, 1, hub.Stats().Subscribers)
				time.Sleep(200 * time.Millisecond) // a write under way has 100 ms
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
