package ssehub_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Promise 8: Shutdown lets every reader have what was published, gives each
// client its own time to come back, and returns when all are gone.
func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 200
		hub := ssehub.New(nil)
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)

		ends := make([]time.Duration, clients)
		bodies := make([]string, clients)
		var reading sync.WaitGroup
		start := time.Now()
		for i := range clients {
			res, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			reading.Go(func() {
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Errorf("stream %d did not end cleanly: %v", i, err)
				}
				bodies[i], ends[i] = string(body), time.Since(start)
			})
		}
		var inProcess []string
		reading.Go(func() {
			for m := range sub.Events() {
				inProcess = append(inProcess, string(m.Data))
			}
		})
		synctest.Wait() // all have their hello
		publishNumbers(t, hub, "n", 1, 50)
		require.NoError(t, hub.Shutdown(context.Background()))
		require.Zero(t, hub.Stats().Subscribers)
		reading.Wait()

		require.Len(t, inProcess, 50)
		require.ErrorIs(t, sub.Err(), ssehub.ErrClosed)
		lastLine := regexp.MustCompile(`\nretry: (\d+)\n$`)
		retries, times := map[string]bool{}, map[time.Duration]bool{}
		for i, body := range bodies {
			require.Equal(t, 50, strings.Count(body, "\ndata: ")-1)
			match := lastLine.FindStringSubmatch(body)
			require.NotNil(t, match, "%.80q", body)
			ms, err := strconv.Atoi(match[1])
			require.NoError(t, err)
			require.True(t, ms >= 2000 && ms < 4000, "retry %d", ms)
			retries[match[1]], times[ends[i]] = true, true
			require.Less(t, ends[i], (clients+1)*time.Millisecond)
		}
		require.Greater(t, len(retries), clients/2, "each its own retry")
		require.Greater(t, len(times), clients/2, "each its own time")
	})
}

// A stream that waits for its turn to end still has its heartbeat, and knows
// already when to come back.
func TestShutdownKeepsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Heartbeat: 20 * time.Millisecond, NoHello: true, Retry: -1})
		handler := hub.Handler("n")
		var recorders []*ssetest.Recorder
		for range 1000 { // a second to spread them over
			rec, _ := stream(t, handler, "/", "")
			recorders = append(recorders, rec)
		}
		synctest.Wait()
		require.NoError(t, hub.Shutdown(t.Context()))
		most := 0
		for _, rec := range recorders {
			most = max(most, strings.Count(rec.Text(), ":\n"))
		}
		require.InDelta(t, 50, most, 5)
	})
}

// Shutdown ends within its context though clients do not read, and leaves no
// goroutine. Faults 67.
func TestShutdownWithStuckReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{WriteTimeout: time.Hour})
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		for range 10 {
			conn, err := server.Listener.Dial(t.Context(), "", "")
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			require.NoError(t, err)
			_, err = io.ReadFull(conn, make([]byte, 500))
			require.NoError(t, err)
		}
		neverRead, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		publish(t, hub, "n", "1")
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, hub.Shutdown(ctx), context.DeadlineExceeded)
		require.Less(t, time.Since(start), 3*time.Second+100*time.Millisecond)
		_, ok := <-neverRead.Events()
		require.False(t, ok)
		require.ErrorIs(t, neverRead.Err(), ssehub.ErrClosed)
		require.Zero(t, hub.Stats().Subscribers)
	})
}

// Close is now, however far a stream is, and again is harmless.
func TestCloseIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer res.Body.Close()
		require.NoError(t, sse.NewDecoder(res.Body).Decode(new(sse.Message))) // else a write would be under way
		synctest.Wait()
		start := time.Now()
		require.NoError(t, hub.Close())
		require.Zero(t, time.Since(start))
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, hub.Close())
		require.NoError(t, hub.Shutdown(t.Context()))
	})
}

// Close does not wait for code of the application that does not end, nor for
// itself if that code calls it.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub *ssehub.Hub
		hub = ssehub.New(&ssehub.Options{Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
			return ssehub.Grant{AllowTopic: func(string) bool { return hub.Close() == nil }}, nil
		}})
		_, end := stream(t, hub.Handler("*"), "/", "")
		synctest.Wait()
		start := time.Now()
		publish(t, hub, "n", "1")
		synctest.Wait() // now the stream is in Close
		require.NoError(t, hub.Close())
		require.Equal(t, time.Second, time.Since(start))
		end()
		require.NoError(t, hub.Shutdown(t.Context()), "nothing is left")
	})
}

// Faults 66: what comes after the end is refused, in the manner that its
// client comes back from.
func TestAfterShutdown(t *testing.T) {
	hub := ssehub.New(nil)
	require.NoError(t, hub.Shutdown(t.Context()))
	_, err := hub.Publish(t.Context(), "n", sse.Message{})
	require.ErrorIs(t, err, ssehub.ErrClosed)
	_, err = hub.Subscribe(t.Context(), "n")
	require.ErrorIs(t, err, ssehub.ErrClosed)

	server := ssetest.NewServer(hub.Handler("n"))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	res, err := server.Client().Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Regexp(t, `^[2-4]$`, res.Header.Get("Retry-After"))

	req.Header.Set("Accept", "text/event-stream")
	res, err = server.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode, "an EventSource gives up for ever on anything else")
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, `^retry: [23]\d\d\d\n$`, line)
}

var ends = flag.Int("ends", 50, "rounds of TestConcurrentEnd")

// Faults 65, 68: a hundred calls at once, in every mixture, many times over.
func TestConcurrentEnd(t *testing.T) {
	for range *ends {
		hub := ssehub.New(nil)
		server := ssetest.NewServer(hub.Handler("n"))
		calls := []func(){
			func() { _ = hub.Close() },
			func() {
				if err := hub.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			},
			func() {
				if _, err := hub.Publish(context.Background(), "n", sse.Message{}); err != nil && !errors.Is(err, ssehub.ErrClosed) {
					t.Error(err)
				}
			},
			func() {
				sub, err := hub.Subscribe(context.Background(), "n")
				if err != nil {
					return
				}
				for range sub.Events() {
				}
			},
			func() {
				if res, err := server.Client().Get(server.URL); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			},
		}
		weights := make([]int, len(calls)) // some calls may be missing
		for i := range weights {
			weights[i] = rand.IntN(4)
		}
		var all sync.WaitGroup
		for range 100 {
			call := rand.IntN(len(calls))
			if rand.IntN(3) < weights[call] {
				all.Go(calls[call])
			}
		}
		all.Go(calls[rand.IntN(2)]) // or it might go on for ever
		all.Wait()
		server.Close()
		_, err := hub.Publish(t.Context(), "n", sse.Message{})
		require.ErrorIs(t, err, ssehub.ErrClosed)
		require.Zero(t, hub.Stats().Subscribers)
	}
}
