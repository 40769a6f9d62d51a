package ssehub_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Promise 4, and that the head is out before there is any event. Faults 48.
func TestHelloComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Heartbeat: 20 * time.Second})
		defer hub.Close()
		rec, end := stream(t, hub.Handler("n"), "/", "")
		defer end()
		synctest.Wait()
		h := hello(t, rec.Messages())
		require.Regexp(t, `^[0-9a-f-]{36}$`, h.Conn)
		h.Conn = ""
		require.Equal(t, sse.Hello{Epoch: hub.Position().Epoch, Verdict: sse.VerdictFresh, HeartbeatMs: 20_000}, h)
		require.Equal(t, hub.Position().String(), rec.Messages()[0].ID)
		require.True(t, strings.HasPrefix(rec.Text(), "retry: 2000\nevent: ssehub.hello\n"), rec.Text())
	})
}

func TestHelloCanBeSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{NoHello: true, Retry: -1})
		defer hub.Close()
		rec, end := stream(t, hub.Handler("n"), "/", "")
		defer end()
		synctest.Wait()
		require.Equal(t, ":\n", rec.Text())
		id := publish(t, hub, "n", "x")
		synctest.Wait()
		require.Equal(t, ":\ndata: x\nid: "+id+"\n\n", rec.Text())
	})
}

// A heartbeat is the one line ":" and comes only into silence.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{NoHello: true, Retry: -1})
		defer hub.Close()
		rec, end := stream(t, hub.Handler("n"), "/", "")
		defer end()
		time.Sleep(15*time.Second - time.Nanosecond)
		synctest.Wait()
		require.Equal(t, ":\n", rec.Text())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, ":\n:\n", rec.Text())
		time.Sleep(14 * time.Second)
		id := publish(t, hub, "n", "x")
		time.Sleep(15*time.Second - time.Nanosecond)
		synctest.Wait()
		require.Equal(t, ":\n:\ndata: x\nid: "+id+"\n\n", rec.Text())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, ":\n:\ndata: x\nid: "+id+"\n\n:\n", rec.Text())
	})
}

// Without heartbeats there are none, and the hello promises none.
func TestHeartbeatOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Heartbeat: -1, Retry: -1})
		defer hub.Close()
		rec, end := stream(t, hub.Handler("n"), "/", "")
		defer end()
		synctest.Wait()
		start := rec.Text()
		require.NotContains(t, start, "heartbeatMs")
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		require.Equal(t, start, rec.Text())
		id := publish(t, hub, "n", "x")
		synctest.Wait()
		require.Equal(t, start+"data: x\nid: "+id+"\n\n", rec.Text())
	})
}

// Faults 43: http.Server.WriteTimeout does not end a stream.
func TestStreamSurvivesServerWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		server := ssetest.Serve(&http.Server{Handler: hub.Handler("n"), WriteTimeout: time.Second})
		defer server.Close()
		defer hub.Close()
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer res.Body.Close()
		dec := sse.NewDecoder(res.Body)
		var m sse.Message
		require.NoError(t, dec.Decode(&m))
		for range 15 {
			time.Sleep(10 * time.Second)
			id := publish(t, hub, "n", "x")
			require.NoError(t, dec.Decode(&m))
			require.Equal(t, id, m.ID)
		}
	})
}

// Serve takes a Conn on which the application has spoken first.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		defer hub.Close()
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		rec, end := stream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := sse.Upgrade(w, r)
			if err != nil {
				ended <- err
				return
			}
			defer conn.Close()
			_ = conn.WriteString("welcome")
			ended <- hub.Serve(ctx, conn, "n")
			_ = conn.WriteString("goodbye")
		}), "/", "")
		defer end()
		synctest.Wait()
		publish(t, hub, "n", "1")
		synctest.Wait()
		require.Equal(t, []string{"welcome", "1"}, texts(rec.Messages()))
		cancel(errors.New("enough"))
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Zero(t, hub.Stats().Subscribers)
	})
}

// A client that has the response's head is subscribed: what is published from
// then on reaches it.
func TestHeadMeansSubscribed(t *testing.T) {
	hub := ssehub.New(nil)
	server := httptest.NewServer(hub.Handler("n"))
	defer server.Close()
	defer hub.Close()
	for range 500 {
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		id := publish(t, hub, "n", "x")
		dec := sse.NewDecoder(res.Body)
		var m sse.Message
		require.NoError(t, dec.Decode(&m))
		require.NotEqual(t, id, m.ID, "the hello comes before the event")
		require.NoError(t, dec.Decode(&m))
		require.Equal(t, id, m.ID)
		res.Body.Close()
	}
}

// Why Serve returned is what its caller can act on.
func TestServeReasons(t *testing.T) {
	serve := func(t *testing.T, hub *ssehub.Hub, topics ...string) (ended <-chan error, end func()) {
		reason := make(chan error, 1)
		begun := make(chan struct{})
		defer func() { <-begun }() // or the request might end before it gets there
		_, end = stream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			conn, err := sse.Upgrader{Hijack: true}.Upgrade(w, r)
			if err == nil {
				defer conn.Close()
				err = hub.Serve(context.Background(), conn, topics...)
			}
			reason <- err
		}), "/", "")
		return reason, end
	}
	hub := newHub(t, nil)
	reason, end := serve(t, hub, "n")
	end()
	require.ErrorIs(t, <-reason, sse.ErrConnectionClosed)
	reason, _ = serve(t, hub, "no spaces")
	require.ErrorIs(t, <-reason, ssehub.ErrInvalidTopic)
	reason, _ = serve(t, hub)
	require.ErrorIs(t, <-reason, ssehub.ErrInvalidTopic)
	reason, _ = serve(t, hub, "n")
	require.NoError(t, hub.Close())
	require.ErrorIs(t, <-reason, ssehub.ErrClosed)
}

// All that is new goes out in one write.
func TestOneWriteForAllThatIsNew(t *testing.T) {
	hub := newHub(t, nil)
	start := hub.Position().String()
	publishNumbers(t, hub, "n", 1, 300)
	for _, topics := range [][]string{{"n"}, {"n", "other"}} {
		counter := &writeCounter{Recorder: ssetest.NewRecorder()}
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		require.NoError(t, err)
		req.Header.Set("Last-Event-ID", start)
		done := make(chan struct{})
		go func() {
			defer close(done)
			hub.Handler(topics...).ServeHTTP(counter, req)
		}()
		require.NoError(t, counter.Wait(t.Context(), 301))
		cancel()
		<-done
		require.LessOrEqual(t, counter.writes, 2+8, "first line, hello, and a few growing segments")
	}
}

type writeCounter struct {
	*ssetest.Recorder
	writes int
}

func (c *writeCounter) Write(p []byte) (int, error) {
	c.writes++
	return c.Recorder.Write(p)
}

// The last reader leaves while the next one joins, over and over: the next one
// is always served. Faults 69.
func TestJoinWhileLastLeaves(t *testing.T) {
	hub := newHub(t, nil)
	for i := range 2000 {
		leaving, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		go leaving.Close()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		id := publish(t, hub, "n", "x")
		m, ok := <-sub.Events()
		require.True(t, ok)
		require.Equal(t, id, m.ID, "round %d", i)
		sub.Close()
	}
}

// The id of a connection is random, and nobody's secret. Faults 92.
func TestConnIDsAreRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, nil)
		seen := map[string]bool{}
		for range 50 {
			rec, end := stream(t, hub.Handler("n"), "/", "")
			synctest.Wait()
			id, err := uuid.Parse(hello(t, rec.Messages()).Conn)
			require.NoError(t, err)
			require.EqualValues(t, 4, id.Version(), "of 122 random bits")
			require.False(t, seen[id.String()])
			seen[id.String()] = true
			end()
		}
	})
}
