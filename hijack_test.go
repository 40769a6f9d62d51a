package ssehub_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// dial asks for a stream over a real socket, and returns it behind its head.
func dial(t testing.TB, server *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
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

// Close waits for the last record of a stream that has outlived its handler, as
// nobody else can.
func TestHijackLogsBeforeEnd(t *testing.T) {
	var log slowLog
	hub := newHub(t, &ssehub.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	server := httptest.NewServer(hub.Handler("n"))
	defer server.Close()
	_, r := dial(t, server)
	require.NoError(t, sse.NewDecoder(r).Decode(new(sse.Message)))
	require.NoError(t, hub.Close())
	require.True(t, log.ended.Load())
}

// slowLog takes its time for the end of a stream.
type slowLog struct{ ended atomic.Bool }

func (l *slowLog) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("stream ended")) {
		<-time.After(50 * time.Millisecond)
		l.ended.Store(true)
	}
	return len(p), nil
}

// Without a Logger a panic is printed, as net/http prints that of a handler.
func TestHijackPanicWithoutLogger(t *testing.T) {
	var log bytes.Buffer
	var logMu sync.Mutex
	stdlog.SetOutput(&locked{w: &log, mu: &logMu})
	defer stdlog.SetOutput(os.Stderr)
	hub := newHub(t, &ssehub.Options{Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
		return ssehub.Grant{AllowTopic: func(string) bool { panic("no such tenant") }}, nil
	}})
	server := httptest.NewServer(hub.Handler("*"))
	defer server.Close()
	_, r := dial(t, server)
	dec := sse.NewDecoder(r)
	require.NoError(t, dec.Decode(new(sse.Message))) // hello
	publish(t, hub, "a", "1")
	require.Equal(t, io.EOF, dec.Decode(new(sse.Message)))
	require.Eventually(t, func() bool {
		logMu.Lock()
		defer logMu.Unlock()
		return strings.Contains(log.String(), "no such tenant") && strings.Contains(log.String(), "hijack_test.go")
	}, 10*time.Second, time.Millisecond)
}
