package sse_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

var hijack = sse.Upgrader{Hijack: true}

// upgraded serves one request and returns the Conn, which outlives the handler,
// and the client's end, of which nothing was read yet.
func upgraded(t testing.TB, up sse.Upgrader, before func(http.ResponseWriter) http.ResponseWriter, request string) (*sse.Conn, net.Conn) {
	t.Helper()
	conns := make(chan *sse.Conn, 1)
	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before != nil {
			w = before(w)
		}
		conn, err := up.Upgrade(w, r)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			close(conns)
			return
		}
		conns <- conn
		if !conn.Hijacked() {
			defer conn.Close()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	client, err := server.Listener.Dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	go func() { _, _ = io.WriteString(client, request) }() // an error: the test is over
	head := readHead(t, client)
	conn := <-conns
	require.NotNil(t, conn)
	t.Cleanup(conn.Close)
	return conn, &headed{client, head}
}

// headed keeps the head that was read.
type headed struct {
	net.Conn
	head string
}

// readHead also reads the first line.
func readHead(t testing.TB, r io.Reader) string {
	t.Helper()
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b[0]) {
		_, err := r.Read(b)
		require.NoError(t, err)
	}
	if !bytes.Contains(head, []byte("chunked")) {
		readUntil(t, r, ":\n")
		return string(head)
	}
	readUntil(t, r, ":\n\r\n") // in a chunk
	return string(head)
}

// The head of a connection that was taken over is that of net/http, with what
// middleware has set, but for what describes the body.
func TestHijackHead(t *testing.T) {
	for version, answer := range map[string]string{"HTTP/1.1": "HTTP/1.1", "HTTP/1.0": "HTTP/1.0", "HTTP/1.9": "HTTP/1.1"} {
		conn, client := upgraded(t, hijack, func(w http.ResponseWriter) http.ResponseWriter {
			w.Header().Set("Access-Control-Allow-Origin", "https://a.example")
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.Header().Set("X-Broken", "a\r\nInjected: yes")
			w.Header().Set("Content-Length", "7")
			w.Header().Set("Trailer", "X-After")
			return w
		}, "GET / "+version+"\r\nHost: localhost\r\n\r\n")
		require.True(t, conn.Hijacked())
		head := client.(*headed).head
		require.True(t, strings.HasPrefix(head, answer+" 200 OK\r\n"), head)
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), nil)
		require.NoError(t, err)
		require.True(t, res.Close)
		require.EqualValues(t, -1, res.ContentLength)
		_, err = http.ParseTime(res.Header.Get("Date"))
		require.NoError(t, err)
		res.Header.Del("Date")
		require.Contains(t, head, "\r\nConnection: close\r\n")
		res.Header.Del("Connection") // which ReadResponse leaves in of one version and not of the other
		require.Equal(t, http.Header{
			"Content-Type":                {"text/event-stream"},
			"Cache-Control":               {"no-store, no-transform"},
			"X-Accel-Buffering":           {"no"},
			"X-Content-Type-Options":      {"nosniff"},
			"Access-Control-Allow-Origin": {"https://a.example"},
			"Set-Cookie":                  {"a=1", "b=2"},
			"X-Broken":                    {"a  Injected: yes"},
		}, res.Header)
	}
}

// Writers as middleware makes them.
type (
	forwards  struct{ http.ResponseWriter } // chi's: Hijack is the inner one's
	cannot    struct{ http.ResponseWriter } // it has the method and nothing behind it
	transform struct{ http.ResponseWriter } // compresses, and offers Hijack all the same
	panics    struct{ *ssetest.Recorder }   // gin's, behind a test's writer
	unwraps   struct{ unwrapOnly }          // no Hijacker, but Unwrap
	plain     interface {
		http.ResponseWriter
		http.Flusher
	} // neither
	noHijack struct{ plain }
	asserts  struct{ plain } // gin's, inside of middleware that hides the connection
)

func (w asserts) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.plain.(http.Hijacker).Hijack()
}

func (w forwards) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

func (w cannot) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("no") }
func (w cannot) Unwrap() http.ResponseWriter                  { return w.ResponseWriter }
func (w transform) Unwrap() http.ResponseWriter               { return w.ResponseWriter }
func (w panics) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic("not a Hijacker") }

func (w transform) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

// written says, as gin's does, that there is a head already.
type written struct{ forwards }

func (w written) Written() bool               { return true }
func (w written) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A connection is taken over where the writer offers it, and only then.
func TestHijackWhere(t *testing.T) {
	for name, tt := range map[string]struct {
		up   sse.Upgrader
		wrap func(http.ResponseWriter) http.ResponseWriter
		want bool
	}{
		"yes":            {hijack, nil, true},
		"forwarded":      {hijack, func(w http.ResponseWriter) http.ResponseWriter { return forwards{w} }, true},
		"not asked for":  {sse.Upgrader{}, nil, false},
		"no hijacker":    {hijack, func(w http.ResponseWriter) http.ResponseWriter { return noHijack{w.(plain)} }, false},
		"only behind it": {hijack, func(w http.ResponseWriter) http.ResponseWriter { return unwraps{unwrapOnly{w}} }, false},
		"refused":        {hijack, func(w http.ResponseWriter) http.ResponseWriter { return cannot{w} }, false},
		"panics":         {hijack, func(w http.ResponseWriter) http.ResponseWriter { return asserts{noHijack{w.(plain)}} }, false},
		"written":        {hijack, func(w http.ResponseWriter) http.ResponseWriter { return written{forwards{w}} }, false},
		"encoded": {hijack, func(w http.ResponseWriter) http.ResponseWriter {
			w.Header().Set("Content-Encoding", "test")
			return transform{w}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan bool, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.wrap != nil {
					w = tt.wrap(w)
				}
				conn, err := tt.up.Upgrade(w, r)
				require.NoError(t, err)
				defer conn.Close()
				require.NoError(t, conn.WriteString("x"))
				conns <- conn.Hijacked()
			}))
			defer server.Close()
			res, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, ":\ndata: x\n\n", string(body))
			require.Equal(t, tt.want, <-conns)
		})
	}
	// Behind what is not net/http's server nobody is asked.
	conn, err := hijack.Upgrade(panics{ssetest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/", nil))
	require.NoError(t, err)
	require.False(t, conn.Hijacked())
	conn.Close()
}

// Wait and Wake are the same whoever holds the connection.
func TestWait(t *testing.T) {
	for name, up := range map[string]sse.Upgrader{"hijacked": hijack, "response": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, client := upgraded(t, up, nil, request)
				require.Equal(t, up.Hijack, conn.Hijacked())
				start := time.Now()

				woken, err := conn.Wait(3 * time.Second)
				require.NoError(t, err)
				require.False(t, woken)
				require.Equal(t, 3*time.Second, time.Since(start))

				conn.Wake() // before
				conn.Wake() // which counts once
				woken, err = conn.Wait(time.Second)
				require.NoError(t, err)
				require.True(t, woken)
				woken, err = conn.Wait(time.Second)
				require.NoError(t, err)
				require.False(t, woken)
				require.Equal(t, 4*time.Second, time.Since(start))

				time.AfterFunc(time.Second, conn.Wake) // meanwhile
				woken, err = conn.Wait(time.Hour)
				require.NoError(t, err)
				require.True(t, woken)
				require.Equal(t, 5*time.Second, time.Since(start))

				time.AfterFunc(time.Second, func() { client.Close() })
				_, err = conn.Wait(time.Hour)
				require.ErrorIs(t, err, sse.ErrConnectionClosed)
				require.Equal(t, 6*time.Second, time.Since(start))
				require.False(t, conn.IsOpen())
				<-conn.Done()
				require.ErrorIs(t, conn.WriteString("x"), sse.ErrConnectionClosed)
			})
		})
	}
}

// Whatever ends the Conn ends a Wait.
func TestWaitEnds(t *testing.T) {
	for _, up := range []sse.Upgrader{{Hijack: true, WriteTimeout: time.Second}, {WriteTimeout: time.Second}} {
		for name, end := range map[string]func(*sse.Conn){
			"close":  (*sse.Conn).Close,
			"failed": func(conn *sse.Conn) { _ = conn.WriteString("nobody reads this") },
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn, _ := upgraded(t, up, nil, request)
					time.AfterFunc(time.Second, func() { end(conn) })
					_, err := conn.Wait(time.Hour)
					require.ErrorIs(t, err, sse.ErrConnectionClosed)
					_, err = conn.Wait(time.Hour)
					require.ErrorIs(t, err, sse.ErrConnectionClosed)
				})
			})
		}
	}
}

// No Wake is lost between the look at what there is and the sleep: each of many
// pieces of news is seen before the next is made.
func TestWakeIsNeverLost(t *testing.T) {
	server, client := tcpPair(t)
	defer client.Close()
	defer server.Close()
	const rounds = 20_000
	news, seen := make(chan int, 1), make(chan int)
	go func() {
		for i := range rounds {
			news <- i
			server.Wake()
			<-seen
		}
	}()
	for got := 0; got < rounds; {
		select {
		case <-news:
			got++
			seen <- got
		default:
			woken, err := server.Wait(10 * time.Second)
			require.NoError(t, err)
			require.True(t, woken, "round %d", got)
		}
	}
}

// tcpPair is a Conn on a socket, and its client, which has read the head.
func tcpPair(t testing.TB) (*sse.Conn, *net.TCPConn) {
	t.Helper()
	conns := make(chan *sse.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := hijack.Upgrade(w, r)
		if err != nil {
			t.Errorf("upgrade: %v", err)
		}
		conns <- conn
	}))
	t.Cleanup(server.Close)
	client, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(client, request)
	require.NoError(t, err)
	readHead(t, client)
	return <-conns, client.(*net.TCPConn)
}

// A client may send what it likes, as it has nothing to say: a little is nothing,
// much is an attack.
func TestHijackTalk(t *testing.T) {
	conn, client := tcpPair(t)
	defer client.Close()
	defer conn.Close()
	_, err := client.Write(make([]byte, 64<<10))
	require.NoError(t, err)
	_, err = conn.Wait(100 * time.Millisecond)
	require.NoError(t, err)
	_, err = client.Write(make([]byte, 1))
	require.NoError(t, err)
	_, err = conn.Wait(10 * time.Second)
	require.ErrorIs(t, err, sse.ErrConnectionClosed)
	require.ErrorContains(t, err, "more than a request")
}

// Faults 47: a reset is noticed at once.
func TestHijackReset(t *testing.T) {
	conn, client := tcpPair(t)
	defer conn.Close()
	require.NoError(t, client.SetLinger(0))
	client.Close()
	_, err := conn.Wait(10 * time.Second)
	require.ErrorIs(t, err, sse.ErrConnectionClosed)
}

// TryWriteFrames takes what fits, and what it took with what WriteFrames writes
// behind it is the stream.
func TestTryWriteFrames(t *testing.T) {
	conn, client := tcpPair(t)
	defer client.Close()
	defer conn.Close()
	frame := []byte("data: " + strings.Repeat("x", 1000) + "\n\n")
	var sent bytes.Buffer
	var rest []byte
	for rest == nil {
		n, err := conn.TryWriteFrames(frame)
		require.NoError(t, err)
		if sent.Write(frame[:n]); n < len(frame) {
			rest = frame[n:]
		}
		require.Less(t, sent.Len(), 64<<20, "no socket takes this")
	}
	n, err := conn.TryWriteFrames(rest)
	require.NoError(t, err)
	rest = rest[n:]
	sent.Write(rest)
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(client) // a wrong end shows in the bytes
		got <- all
	}()
	require.NoError(t, conn.WriteFrames(rest))
	conn.Close()
	require.Equal(t, sent.Bytes(), <-got)
	_, err = conn.TryWriteFrames(frame)
	require.ErrorIs(t, err, sse.ErrConnectionClosed)
}

func TestTryWriteFramesAllocates(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	conn, client := tcpPair(t)
	defer client.Close()
	defer conn.Close()
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(io.Discard, client) }()
	defer func() { conn.Close(); <-read }()
	frame := []byte("data: x\n\n")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = conn.TryWriteFrames(frame) }))
}

// Where there is no such write, it says so, and nothing was written.
func TestTryWriteFramesUnsupported(t *testing.T) {
	rec := ssetest.NewRecorder()
	conn, err := sse.Upgrade(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	require.NoError(t, err)
	defer conn.Close()
	n, err := conn.TryWriteFrames([]byte(":\n"))
	require.Zero(t, n)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.True(t, conn.IsOpen())
	require.Equal(t, ":\n", rec.Text())
}

// While another write is under way nothing is written, and nobody waits.
func TestTryWriteFramesBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, client := upgraded(t, hijack, nil, request)
		go func() { _ = conn.WriteString("a") }() // until somebody reads
		synctest.Wait()
		n, err := conn.TryWriteFrames([]byte(":\n"))
		require.NoError(t, err)
		require.Zero(t, n)
		readUntil(t, client, "data: a\n\n")
	})
}

// Writers take turns in the order in which they came, and one that gives up
// leaves the turn to the others.
func TestWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, client := upgraded(t, hijack, nil, request)
		for _, text := range []string{"1", "2", "3"} {
			go func() { _ = conn.WriteString(text) }()
			synctest.Wait()
		}
		readUntil(t, client, "data: 1\n\n")
		readUntil(t, client, "data: 2\n\n")
		readUntil(t, client, "data: 3\n\n")

		ended := make(chan error, 3)
		for range 3 {
			go func() { ended <- conn.WriteString("nobody reads this") }()
		}
		synctest.Wait()
		start := time.Now()
		conn.Close()
		require.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
		for range 3 {
			require.ErrorIs(t, <-ended, sse.ErrConnectionClosed)
		}
	})
}

// Over TLS all is the same, but for TryWriteFrames.
func TestHijackTLS(t *testing.T) {
	conns := make(chan *sse.Conn, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := hijack.Upgrade(w, r)
		if err != nil {
			t.Errorf("upgrade: %v", err)
		}
		conns <- conn
	}))
	server.StartTLS()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	res, err := server.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	conn := <-conns
	defer conn.Close()
	require.True(t, conn.Hijacked())
	_, err = conn.TryWriteFrames(nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	dec := sse.NewDecoder(res.Body)
	for _, text := range []string{"1", "2"} { // a Wait that has passed leaves the stream as it was
		woken, err := conn.Wait(time.Millisecond)
		require.NoError(t, err)
		require.False(t, woken)
		require.NoError(t, conn.WriteString(text))
		var m sse.Message
		require.NoError(t, dec.Decode(&m))
		require.Equal(t, text, string(m.Data))
	}
	cancel()
	_, err = conn.Wait(10 * time.Second)
	require.ErrorIs(t, err, sse.ErrConnectionClosed)
}

// Close is quick over TLS too, where a client that does not read holds up the
// goodbye, and does not wait for it again once a write was cut.
func TestHijackTLSClose(t *testing.T) {
	for name, before := range map[string]func(*sse.Conn){
		"nothing": func(*sse.Conn) {},
		"writing": func(conn *sse.Conn) { go func() { _ = conn.WriteString("x") }(); synctest.Wait() },
		"cut":     func(conn *sse.Conn) { _ = conn.WriteString("x") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := tlsConn(t, sse.Upgrader{Hijack: true, WriteTimeout: time.Second})
				before(conn)
				start := time.Now()
				conn.Close()
				require.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
				conn.Close()
				require.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
			})
		})
	}
}

// tlsConn is a Conn over TLS in memory, whose client reads no more than the head.
func tlsConn(t *testing.T, up sse.Upgrader) *sse.Conn {
	t.Helper()
	conns := make(chan *sse.Conn, 1)
	pipes := ssetest.Listen()
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	config := server.TLS.Clone()
	server.Close()
	config.NextProtos = nil
	served := make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r)
		if err != nil {
			t.Errorf("upgrade: %v", err)
		}
		conns <- conn
	})}
	go func() { defer close(served); _ = s.Serve(tls.NewListener(pipes, config)) }()
	pipe, err := pipes.Dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { pipe.Close(); s.Close(); <-served })
	client := tls.Client(pipe, &tls.Config{InsecureSkipVerify: true})
	_, err = io.WriteString(client, request)
	require.NoError(t, err)
	readHead(t, client)
	conn := <-conns
	require.True(t, conn.Hijacked())
	return conn
}

// Neither HEAD nor HTTP/2 has a connection to take over.
func TestHijackNot(t *testing.T) {
	for name, tt := range map[string]struct {
		method string
		http2  bool
	}{
		"HEAD":   {http.MethodHead, false},
		"HTTP/2": {http.MethodGet, true},
	} {
		t.Run(name, func(t *testing.T) {
			hijacked := make(chan bool, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := hijack.Upgrade(w, r)
				if err != nil {
					hijacked <- false // HEAD has no body to write to
					return
				}
				defer conn.Close()
				hijacked <- conn.Hijacked()
			}))
			server.EnableHTTP2 = tt.http2
			server.StartTLS()
			defer server.Close()
			req, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, nil)
			require.NoError(t, err)
			res, err := server.Client().Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.False(t, <-hijacked)
		})
	}
}

// Promise 5: a client that never reads is cut at the write timeout.
func TestHijackWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, client := upgraded(t, sse.Upgrader{Hijack: true, WriteTimeout: 3 * time.Second}, nil, request)
		start := time.Now()
		require.ErrorIs(t, conn.WriteString("x"), os.ErrDeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))
		conn.Close()
		conn.Close()
		require.Equal(t, 3*time.Second, time.Since(start))
		_, err := client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err) // closed, though the pipe had no more to give
	})
}

// Nor is a Wake lost where several goroutines call it at once.
func TestWakeFromMany(t *testing.T) {
	server, client := tcpPair(t)
	defer client.Close()
	defer server.Close()
	const wakers, rounds = 8, 2000
	var news atomic.Int64
	seen := make(chan struct{}, wakers) // one for each piece of news
	for range wakers {
		go func() {
			for range rounds {
				news.Add(1)
				server.Wake()
				<-seen
			}
		}()
	}
	for got := int64(0); got < wakers*rounds; {
		if n := news.Swap(0); n > 0 {
			for got += n; n > 0; n-- {
				seen <- struct{}{}
			}
			continue
		}
		woken, err := server.Wait(10 * time.Second)
		require.NoError(t, err)
		require.True(t, woken, "news %d", got)
	}
}
