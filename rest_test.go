package ssehub_test

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// scripted is a taken over connection whose TryWrite does as the test says, and
// whose sleeper is slow to wake.
type scripted struct {
	net.Conn // to read from, which waits
	slow     time.Duration

	mu  sync.Mutex
	try func(p []byte) int // nil: takes all
	out bytes.Buffer
}

func (c *scripted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *scripted) TryWrite(p []byte) (int, error) {
	c.mu.Lock()
	try := c.try
	c.mu.Unlock()
	n := len(p)
	if try != nil && n > 0 {
		n = try(p)
	}
	return c.Write(p[:n])
}

func (c *scripted) SetReadDeadline(t time.Time) error {
	if t.Before(time.Now()) {
		time.AfterFunc(c.slow, func() { _ = c.Conn.SetReadDeadline(t) })
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *scripted) script(try func(p []byte) int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.try = try
}

func (c *scripted) written() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

// hijacking hands conn over.
type hijacking struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (w hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.conn, nil, nil }

// streamTo has a stream of topics doze on a scripted connection.
func streamTo(t *testing.T, hub *ssehub.Hub, slow time.Duration, topics ...string) *scripted {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { client.Close() })
	conn := &scripted{Conn: server, slow: slow}
	req := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.ServerContextKey, new(http.Server)), "GET", "/", nil)
	hub.Handler(topics...).ServeHTTP(hijacking{httptest.NewRecorder(), conn}, req)
	require.Eventually(t, func() bool { return strings.Contains(conn.written(), sse.TypeHello) }, 10*time.Second, time.Millisecond)
	return conn
}

// events decodes all that was written behind the head.
func (c *scripted) events(t *testing.T) []sse.Message {
	t.Helper()
	_, body, _ := strings.Cut(c.written(), "\r\n\r\n")
	dec := sse.NewDecoder(strings.NewReader(body))
	var events []sse.Message
	for {
		var m sse.Message
		if dec.Decode(&m) != nil {
			return events
		}
		if m.Type != sse.TypeHello {
			events = append(events, m)
		}
	}
}

// What the waker could not write comes before anything else that it finds, as
// another topic's news while the stream's goroutine has yet to wake.
func TestDozeRestComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, nil)
		conn := streamTo(t, hub, 50*time.Millisecond, "a", "b")
		synctest.Wait() // it dozes
		var tries int
		conn.script(func(p []byte) int {
			if tries++; tries == 1 {
				return 10
			}
			return len(p)
		})
		_, err := hub.PublishWith(t.Context(), "a", sse.Message{Data: []byte("first")}, ssehub.PublishOptions{Topics: []string{"b"}})
		require.NoError(t, err)
		synctest.Wait()
		publish(t, hub, "a", "second")
		publish(t, hub, "b", "third")
		require.Eventually(t, func() bool { return strings.Contains(conn.written(), "third") }, 10*time.Second, time.Millisecond)
		time.Sleep(time.Second)
		require.Equal(t, []string{"first", "second", "third"}, texts(conn.events(t)), conn.written())
	})
}

// A heartbeat that is due at the moment does not get into the middle of a frame.
func TestDozeHeartbeatBehindRest(t *testing.T) {
	hub := newHub(t, &ssehub.Options{Heartbeat: 50 * time.Millisecond})
	conn := streamTo(t, hub, time.Millisecond, "a")
	var tries int
	conn.script(func(p []byte) int {
		if len(p) > 2 && tries == 0 {
			tries++
			<-time.After(100 * time.Millisecond) // past the time of the next heartbeat; no fake time, as a Mutex is waited for
			return 10
		}
		return len(p)
	})
	publish(t, hub, "a", "first")
	require.Eventually(t, func() bool { return strings.Contains(conn.written(), "first\n\n") }, 10*time.Second, time.Millisecond)
	events := conn.events(t)
	require.Equal(t, []string{"first"}, texts(events), conn.written())
	require.Equal(t, hub.Position().String(), events[0].ID, conn.written())
}

// A stream that is too slow ends, whatever else there is to write.
func TestDozeFailureStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{
			History:     ssehub.Retention{Events: 1},
			OverflowFor: func(string) ssehub.Overflow { return ssehub.Disconnect },
		})
		conn := streamTo(t, hub, 50*time.Millisecond, "b", "a")
		synctest.Wait() // it dozes
		conn.script(func(p []byte) int {
			publish(t, hub, "a", "lost") // while the waker is at it
			publish(t, hub, "a", "behind")
			conn.script(nil)
			return len(p)
		})
		publish(t, hub, "b", "first")
		synctest.Wait()
		publish(t, hub, "b", "second")
		require.Eventually(t, func() bool { return hub.Stats().Subscribers == 0 }, 10*time.Second, time.Millisecond)
		require.Equal(t, []string{"first"}, texts(conn.events(t)), conn.written())
	})
}

// Close waits for the last record of a stream, as nobody else can.
func TestHijackLogsBeforeEnd(t *testing.T) {
	var log slowLog
	hub := newHub(t, &ssehub.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	streamTo(t, hub, 0, "a")
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
