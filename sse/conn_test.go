package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// The seed's methods, and what each puts on the wire.
func TestConnWrite(t *testing.T) {
	type person struct {
		Name string
		Age  int
	}
	jan := &person{"Jan", 17}
	const asJSON, asXML = `{"Name":"Jan","Age":17}`, `<person><Name>Jan</Name><Age>17</Age></person>`
	for name, tt := range map[string]struct {
		write func(*sse.Conn) error
		want  string
	}{
		"Write":            {func(c *sse.Conn) error { return c.Write([]byte("a\nb")) }, "data: a\ndata: b\n\n"},
		"Write nil":        {func(c *sse.Conn) error { return c.Write(nil) }, "data: \n\n"},
		"WriteEvent":       {func(c *sse.Conn) error { return c.WriteEvent("t", []byte("a")) }, "event: t\ndata: a\n\n"},
		"WriteEventWithID": {func(c *sse.Conn) error { return c.WriteEventWithID("1", "t", []byte("a")) }, "event: t\ndata: a\nid: 1\n\n"},
		"with ID and nil":  {func(c *sse.Conn) error { return c.WriteEventWithID("1", "", nil) }, "data: \nid: 1\n\n"},
		"WriteString":      {func(c *sse.Conn) error { return c.WriteString("a") }, "data: a\n\n"},
		"WriteStringEvent": {func(c *sse.Conn) error { return c.WriteStringEvent("t", "a") }, "event: t\ndata: a\n\n"},
		"WriteJson":        {func(c *sse.Conn) error { return c.WriteJson(jan) }, "data: " + asJSON + "\n\n"},
		"WriteJsonEvent":   {func(c *sse.Conn) error { return c.WriteJsonEvent("t", jan) }, "event: t\ndata: " + asJSON + "\n\n"},
		"WriteXml":         {func(c *sse.Conn) error { return c.WriteXml(jan) }, "data: " + asXML + "\n\n"},
		"WriteXmlEvent":    {func(c *sse.Conn) error { return c.WriteXmlEvent("t", jan) }, "event: t\ndata: " + asXML + "\n\n"},
		"WriteFrames":      {func(c *sse.Conn) error { return c.WriteFrames([]byte("data: a\n\ndata: b\n\n")) }, "data: a\n\ndata: b\n\n"},
		"WriteFrames nil":  {func(c *sse.Conn) error { return c.WriteFrames(nil) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, rec := record(t)
			require.NoError(t, tt.write(conn))
			require.Equal(t, ":\n"+tt.want, rec.Text(), "nil means flushed")
		})
	}
}

// Faults 12: a write that fails after any number of bytes ends the connection.
// Half a frame is never completed by a later one.
func TestConnPartialWrite(t *testing.T) {
	const frame = "event: t\ndata: hello\nid: 1\n\n"
	for k := range len(frame) {
		conn, rec := record(t)
		rec.FailAfter(k, errGone)
		err := conn.WriteEventWithID("1", "t", []byte("hello"))
		require.ErrorIs(t, err, sse.ErrConnectionClosed)
		require.ErrorIs(t, err, errGone)
		require.False(t, conn.IsOpen())
		<-conn.Done()

		rec.FailAfter(0, nil) // the writer has recovered, the stream has not
		for _, err := range []error{conn.WriteString("next"), conn.Comment(""), conn.WriteFrames([]byte(":\n"))} {
			require.ErrorIs(t, err, sse.ErrConnectionClosed)
		}
		deadline := rec.Deadline()
		conn.Close()
		require.Equal(t, deadline, rec.Deadline(), "the response of a dead client gets no more time")
		require.NoError(t, rec.FlushError())
		require.Equal(t, ":\n"+frame[:k], rec.Text())
		require.Empty(t, rec.Messages())
	}
}

// A writer that panics in mid-event has written who knows what.
func TestConnWriterPanics(t *testing.T) {
	rec := ssetest.NewRecorder()
	w := &panicking{Recorder: rec}
	conn, err := sse.Upgrade(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.NoError(t, err)
	w.now = true
	require.Panics(t, func() { _ = conn.WriteString("one") })
	w.now = false
	require.ErrorIs(t, conn.WriteString("two"), sse.ErrConnectionClosed)
	conn.Close()
	require.Equal(t, ":\n", rec.Text())
}

type panicking struct {
	*ssetest.Recorder
	now bool
}

func (p *panicking) Write(b []byte) (int, error) {
	if p.now {
		panic("x")
	}
	return p.Recorder.Write(b)
}

// A flush that fails is a write that fails.
func TestConnFlushError(t *testing.T) {
	w := &failingFlusher{Recorder: ssetest.NewRecorder()}
	conn, err := sse.Upgrade(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.NoError(t, err)
	defer conn.Close()
	w.err = errGone
	err = conn.WriteString("x")
	require.ErrorIs(t, err, sse.ErrConnectionClosed)
	require.ErrorIs(t, err, errGone)
	require.False(t, conn.IsOpen())
}

type failingFlusher struct {
	*ssetest.Recorder
	err error
}

func (w *failingFlusher) FlushError() error {
	return errors.Join(w.err, w.Recorder.FlushError())
}

// After Close every write says so, and nothing more is written.
func TestConnClosed(t *testing.T) {
	conn, rec := record(t)
	require.True(t, conn.IsOpen())
	conn.Close()
	conn.Close()
	require.False(t, conn.IsOpen())
	<-conn.Done()
	for _, err := range []error{
		conn.Write(nil), conn.WriteString("x"), conn.WriteJson(1), conn.WriteXml(1),
		conn.Send(sse.Message{}), conn.Comment("x"), conn.WriteFrames(nil),
	} {
		require.ErrorIs(t, err, sse.ErrConnectionClosed)
	}
	require.Equal(t, ":\n", rec.Text())
}

// The connection is known to be closed, and Close does not hang, when the
// client has left.
func TestConnClientLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error)
		server := ssetest.NewServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) {
			<-conn.Done()
			err := conn.WriteString("x")
			if conn.IsOpen() {
				err = errors.New("still open")
			}
			conn.Close()
			ended <- err
		}))
		defer server.Close()
		res := open(t, server.Client(), server.URL)
		res.Body.Close()
		start := time.Now()
		require.ErrorIs(t, <-ended, sse.ErrConnectionClosed)
		require.Zero(t, time.Since(start))
	})
}

// A client that left is found out by writing, too.
func TestConnWriteUntilClientLeft(t *testing.T) {
	ended := make(chan error)
	server := httptest.NewServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) {
		var err error
		for err == nil {
			err = conn.WriteString("x")
		}
		ended <- err
	}))
	defer server.Close()
	open(t, server.Client(), server.URL).Body.Close()
	require.ErrorIs(t, <-ended, sse.ErrConnectionClosed)
}

// Concurrent senders never mix their frames, and a Close in between is quick
// and stops all of them.
func TestConnConcurrent(t *testing.T) {
	conn, rec := record(t)
	const senders = 8
	var all, started sync.WaitGroup
	started.Add(2 * senders)
	for i := range senders {
		line := strings.Repeat(fmt.Sprint(i), 1000)
		all.Go(func() {
			for n := 0; ; n++ {
				err := conn.Send(sse.Message{ID: fmt.Sprint(n), Type: fmt.Sprint(i), Data: []byte(line + "\n" + line)})
				if err != nil {
					if !errors.Is(err, sse.ErrConnectionClosed) {
						t.Error(err)
					}
					return
				}
				if n == 0 {
					started.Done()
				}
			}
		})
		all.Go(func() {
			for n := 0; conn.Comment(line) == nil; n++ {
				if n == 0 {
					started.Done()
				}
			}
		})
	}
	started.Wait()
	for range 4 {
		all.Go(conn.Close)
	}
	all.Wait()

	text := rec.Text()
	require.True(t, strings.HasSuffix(text, "\n"))
	next := make([]int, senders)
	for _, m := range rec.Messages() {
		var i int
		_, err := fmt.Sscan(m.Type, &i)
		require.NoError(t, err)
		line := strings.Repeat(m.Type, 1000)
		require.Equal(t, line+"\n"+line, string(m.Data))
		require.Equal(t, fmt.Sprint(next[i]), m.ID)
		next[i]++
	}
	require.NotContains(t, next, 0)
}

// Promise 6: once Close has returned nothing touches the writer, not even a
// Close that is still going on elsewhere.
func TestConnCloseIsTheEnd(t *testing.T) {
	for range 2000 {
		w := &guarded{Recorder: ssetest.NewRecorder()}
		conn, err := sse.Upgrade(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.NoError(t, err)
		var others sync.WaitGroup
		for range 2 {
			others.Go(conn.Close)
			others.Go(func() { _ = conn.WriteString("x") })
		}
		conn.Close()
		w.end()
		others.Wait()
		require.False(t, w.touched)
	}
}

// guarded notices what is called after end.
type guarded struct {
	*ssetest.Recorder
	mu             sync.Mutex
	ended, touched bool
}

func (w *guarded) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}

func (w *guarded) touch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched = w.touched || w.ended
}

func (w *guarded) Write(p []byte) (int, error) {
	w.touch()
	return w.Recorder.Write(p)
}

func (w *guarded) FlushError() error {
	w.touch()
	return w.Recorder.FlushError()
}

func (w *guarded) SetWriteDeadline(at time.Time) error {
	w.touch()
	runtime.Gosched() // lets another Close find this one at work
	return w.Recorder.SetWriteDeadline(at)
}

// Done follows the request's context, for handlers with one of their own.
func TestConnRequestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := sse.Upgrade(ssetest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	require.NoError(t, err)
	require.True(t, conn.IsOpen())
	cancel()
	<-conn.Done()
	require.False(t, conn.IsOpen())
	require.ErrorIs(t, conn.WriteString("x"), sse.ErrConnectionClosed)
	conn.Close()
}

// A writer without deadlines is not asked again and again.
func TestConnWithoutDeadlines(t *testing.T) {
	w := &countingDeadline{Recorder: ssetest.NewRecorder()}
	conn, err := sse.Upgrade(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, conn.WriteString("x"))
	}
	conn.Close()
	require.Equal(t, strings.Repeat("data: x\n\n", 10), strings.TrimPrefix(w.Text(), ":\n"))
	require.LessOrEqual(t, w.calls, 2)
}

type countingDeadline struct {
	*ssetest.Recorder
	calls int
}

func (w *countingDeadline) SetWriteDeadline(time.Time) error {
	w.calls++
	return http.ErrNotSupported
}
