package ssehub_test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// A publisher waits until all readers have got what would leave the window, and
// no longer.
func TestBlock(t *testing.T) {
	for name, opts := range map[string]ssehub.Options{
		"by events": {Overflow: ssehub.Block, History: ssehub.Retention{Events: 3}},
		"by bytes":  {Overflow: ssehub.Block, History: ssehub.Retention{Bytes: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := ssehub.New(&opts)
				defer hub.Close()
				publishNumbers(t, hub, "n", 1, 9) // nobody there, nothing to wait for
				sub, err := hub.Subscribe(t.Context(), "n", "other")
				require.NoError(t, err)
				other, err := hub.Subscribe(t.Context(), "*")
				require.NoError(t, err)
				defer other.Close()
				var done int
				go func() {
					publishNumbers(t, hub, "n", 1, 100)
					done = 100
				}()
				synctest.Wait()
				require.Zero(t, done)
				start := hub.Position().Seq
				require.InDelta(t, 9+4+1, start, 4, "the window, and what the readers hold for us")
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = hub.Publish(ctx, "n", sse.Message{})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, start, hub.Position().Seq)
				publish(t, hub, "two.tokens", "that nobody reads")
				go func() {
					for range other.Events() {
					}
				}()
				synctest.Wait()
				require.Zero(t, done, "one still does not read")
				for i := 1; i <= 50; i++ {
					require.Equal(t, strconv.Itoa(i), string((<-sub.Events()).Data))
				}
				sub.Close()
				synctest.Wait()
				require.Equal(t, 100, done, "who leaves is not waited for")
			})
		})
	}
}

// A client that does not read holds a publisher no longer than the write
// timeout, and the end of the hub frees all.
func TestBlockIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Overflow: ssehub.Block, WriteTimeout: 5 * time.Second, History: ssehub.Retention{Events: 10}})
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		defer hub.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		res, err := server.Client().Do(req) // never read
		require.NoError(t, err)
		defer res.Body.Close()
		start := time.Now()
		data := make([]byte, 100<<10)
		for range 100 {
			_, err := hub.Publish(t.Context(), "n", sse.Message{Data: data})
			require.NoError(t, err)
		}
		require.InDelta(t, 5, time.Since(start).Seconds(), 0.1)

		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		ended := make(chan error)
		go func() {
			for {
				if _, err := hub.Publish(t.Context(), "n", sse.Message{}); err != nil {
					ended <- err
					return
				}
			}
		}()
		synctest.Wait()
		hub.Close()
		require.ErrorIs(t, <-ended, ssehub.ErrClosed)
		require.ErrorIs(t, (func() error {
			for range sub.Events() {
			}
			return sub.Err()
		})(), ssehub.ErrClosed)
	})
}

// Nothing is lost under Block, whatever the readers' paces; a small window and
// many publishers neither hang nor skip.
func TestBlockStorm(t *testing.T) {
	const publishers, events = 4, 3000
	hub := newHub(t, &ssehub.Options{Overflow: ssehub.Block, History: ssehub.Retention{Events: 5}})
	var all sync.WaitGroup
	for _, names := range [][]string{{"n"}, {"n", "m"}, {"*"}, {">", "n"}, {"n"}} {
		sub, err := hub.Subscribe(t.Context(), names...)
		require.NoError(t, err)
		all.Go(func() {
			defer sub.Close()
			last := uint64(0)
			for range publishers * events {
				m := <-sub.Events()
				if m.Type == sse.TypeGap || seq(t, m.ID) != last+1 {
					t.Errorf("%v: %s %s behind %d", names, m.Type, m.ID, last)
					return
				}
				last++
			}
		})
	}
	for range 10 {
		all.Go(func() { // readers who come and go
			for range 50 {
				sub, err := hub.Subscribe(t.Context(), "n")
				if err != nil {
					t.Error(err)
					return
				}
				sub.Close()
			}
		})
	}
	for range publishers {
		all.Go(func() { publishNumbers(t, hub, "n", 1, events) })
	}
	all.Wait()
}

// What a subscriber may not see is nothing that a publisher waits for.
func TestBlockDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{
			Overflow: ssehub.Block,
			History:  ssehub.Retention{Events: 1},
			Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
				return ssehub.Grant{AllowTopic: func(string) bool { return false }}, nil
			},
		})
		defer hub.Close()
		stream(t, hub.Handler("*"), "/", "")
		synctest.Wait()
		start := time.Now()
		for i := range 10 {
			publishNumbers(t, hub, "n", i, i)
			synctest.Wait()
		}
		require.Zero(t, time.Since(start))
	})
}
