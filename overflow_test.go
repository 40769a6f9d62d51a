package ssehub_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// A reader in process that lags behind the window is told exactly what it
// missed and goes on with what is left.
func TestOverflowSkipToOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 5}})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		defer sub.Close()
		publishNumbers(t, hub, "n", 1, 1)
		synctest.Wait() // now the reader holds event 1 for us
		publishNumbers(t, hub, "n", 2, 100)

		require.Equal(t, "1", string((<-sub.Events()).Data))
		gap := <-sub.Events()
		epoch := hub.Position().Epoch
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonOverflow, From: epoch + "-1", To: epoch + "-95", Topic: "n"}}, gaps(t, []sse.Message{gap}))
		require.Equal(t, epoch+"-95", gap.ID)
		for i := 96; i <= 100; i++ {
			require.Equal(t, strconv.Itoa(i), string((<-sub.Events()).Data))
		}
		require.EqualValues(t, 1, hub.Stats().Gaps)
	})
}

// Several topics overflow each for itself: what the others still have is
// delivered, and a reader that is cut anywhere resumes without silent loss.
func TestOverflowOneTopicOfSeveral(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 3}})
	start := hub.Position()
	publishNumbers(t, hub, "quiet", 1, 1) // position 1
	publishNumbers(t, hub, "busy", 2, 9)  // 2 to 9, of which 7 to 9 are kept
	publishNumbers(t, hub, "quiet", 10, 10)

	sub, err := hub.Resume(t.Context(), start.String(), "busy", "quiet")
	require.NoError(t, err)
	defer sub.Close()
	var messages []sse.Message
	for range 6 {
		messages = append(messages, <-sub.Events())
	}
	at := func(seq uint64) string { return ssehub.Position{Epoch: start.Epoch, Seq: seq}.String() }
	require.Equal(t, []sse.Gap{{Reason: sse.ReasonWindow, From: at(0), To: at(6), Topic: "busy"}}, gaps(t, messages))
	require.Equal(t, at(0), messages[0].ID, "event 1 is still to come, so a cut here must bring it")
	require.Equal(t, []string{"1", "7", "8", "9", "10"}, texts(messages))
}

func TestOverflowDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 5}, Overflow: ssehub.Disconnect})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		publishNumbers(t, hub, "n", 1, 1)
		synctest.Wait()
		publishNumbers(t, hub, "n", 2, 100)
		last := <-sub.Events()
		_, ok := <-sub.Events()
		require.False(t, ok)
		require.ErrorIs(t, sub.Err(), ssehub.ErrSlowSubscriber)

		sub, err = hub.Resume(t.Context(), last.ID, "n")
		require.NoError(t, err)
		defer sub.Close()
		require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
		require.Equal(t, "96", string((<-sub.Events()).Data))
	})
}

// The same over HTTP: the stream ends cleanly, and the loss is told to the next
// one.
func TestOverflowDisconnectStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 5}, Overflow: ssehub.Disconnect})
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		defer hub.Close()
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer res.Body.Close()
		synctest.Wait() // the stream waits for us to read
		publishNumbers(t, hub, "n", 1, 100)
		dec := sse.NewDecoder(res.Body)
		var m sse.Message
		require.NoError(t, dec.Decode(&m))
		require.Equal(t, sse.TypeHello, m.Type)
		id := m.ID
		require.Equal(t, io.EOF, dec.Decode(&m))

		rec, end := stream(t, hub.Handler("n"), "/", id)
		defer end()
		synctest.Wait()
		require.Len(t, gaps(t, rec.Messages()), 1)
		require.Equal(t, []string{"96", "97", "98", "99", "100"}, texts(rec.Messages()))
	})
}

// Whoever comes back is given something behind its gap, however fast the log
// moves on meanwhile, under every policy.
func TestOverflowMakesProgress(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 3}, Overflow: ssehub.Disconnect})
	last := hub.Position().String()
	for range 10 {
		publishNumbers(t, hub, "n", 1, 5)
		sub, err := hub.Resume(t.Context(), last, "n")
		require.NoError(t, err)
		publishNumbers(t, hub, "n", 1, 5)
		require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
		m := <-sub.Events()
		require.Equal(t, "3", string(m.Data))
		last = m.ID
		sub.Close()
	}
}

// Promise 5, in fake time: a client that never reads is cut exactly when its
// write deadline passes, and its goroutine ends. Faults 39.
func TestStuckReaderIsCutAtDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{WriteTimeout: 7 * time.Second})
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		defer hub.Close()
		conn, err := server.Listener.Dial(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 500)) // head and hello, then nothing more
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 1, hub.Stats().Subscribers)

		publish(t, hub, "n", "1")
		time.Sleep(7*time.Second - time.Nanosecond)
		synctest.Wait()
		require.Equal(t, 1, hub.Stats().Subscribers)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Zero(t, hub.Stats().Subscribers)
	})
}

// Promise 5, over real sockets: eight clients that never read, with small
// buffers, beside a healthy one that gets 16 kB every 2 ms. The healthy one
// gets all of it and the stuck ones are cut; what Publish took is logged, and
// judged when SSEHUB_STUCK says how long to go on, for a machine that is quiet.
func TestStuckReadersHurtNobody(t *testing.T) {
	lasting, measured := time.Second, false
	if s := os.Getenv("SSEHUB_STUCK"); s != "" {
		var err error
		lasting, err = time.ParseDuration(s)
		require.NoError(t, err)
		measured = true
	}
	const stuck = 8
	writeTimeout := lasting / 2
	hub := newHub(t, &ssehub.Options{
		WriteTimeout: writeTimeout,
		History:      ssehub.Retention{Events: 1000, Bytes: 64 << 20},
	})
	url, stop := smallBufferServer(t, hub.Handler("n"))
	defer stop()
	defer hub.Close()
	for range stuck {
		conn := dialStuck(t, url)
		defer conn.Close()
	}
	sub := client.Subscribe(t.Context(), "http://"+url, nil)
	defer sub.Close()
	require.Eventually(t, func() bool { return hub.Stats().Subscribers == stuck+1 }, 10*time.Second, time.Millisecond)

	const period = 2 * time.Millisecond
	events := int(lasting / period)
	var healthy sync.WaitGroup
	healthy.Go(func() {
		for i := range events {
			m := <-sub.Events()
			if number, _, _ := strings.Cut(string(m.Data), " "); number != strconv.Itoa(i) {
				t.Errorf("healthy reader got %.20q, want %d", m.Data, i)
				return
			}
		}
	})
	took := make([]time.Duration, events)
	cutAfter := time.Duration(0)
	tick := time.NewTicker(period)
	defer tick.Stop()
	started := time.Now()
	for i := range events {
		data := fmt.Appendf(nil, "%d %016000d", i, i)
		before := time.Now()
		_, err := hub.Publish(context.Background(), "n", sse.Message{Data: data})
		took[i] = time.Since(before)
		require.NoError(t, err)
		if cutAfter == 0 && hub.Stats().Subscribers == 1 {
			cutAfter = time.Since(started)
		}
		<-tick.C
	}
	healthy.Wait()
	require.Eventually(t, func() bool { return hub.Stats().Subscribers == 1 }, 5*time.Second, time.Millisecond, "the stuck ones are gone")
	require.Zero(t, sub.Gaps())
	slices.Sort(took)
	p := func(q float64) time.Duration { return took[min(int(q*float64(events)), events-1)] }
	t.Logf("Publish: p50 %v, p99 %v, p99.9 %v, max %v; stuck readers gone after %v of a write timeout of %v",
		p(.5), p(.99), p(.999), took[events-1], cutAfter.Round(time.Millisecond), writeTimeout)
	if measured {
		require.Less(t, p(.999), time.Millisecond)
	}
}

// smallBufferServer serves on loopback with sockets that take little from a
// writer.
func smallBufferServer(t *testing.T, handler http.Handler) (addr string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: handler, ConnState: func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	return listener.Addr().String(), func() { server.Close(); <-done }
}

// dialStuck asks for a stream and never reads it.
func dialStuck(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4<<10))
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	return conn
}
