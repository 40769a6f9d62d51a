package ssehub_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// The main job, end to end, in fake time: a server dies with its hub, another
// takes its place, and the client comes back by itself, is told the truth
// about what it missed, and gets what is new once. Faults 75.
func TestServerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server atomic.Pointer[ssetest.Server]
		start := func() *ssehub.Hub {
			hub := ssehub.New(nil)
			server.Store(ssetest.NewServer(hub.Handler("n")))
			return hub
		}
		transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return server.Load().Listener.Dial(ctx, network, addr)
		}}
		defer transport.CloseIdleConnections()

		hub := start()
		var told []sse.Gap
		sub := client.Subscribe(t.Context(), server.Load().URL, &client.Options{
			HTTPClient: &http.Client{Transport: transport},
			OnGap:      func(gap sse.Gap) { told = append(told, gap) },
		})
		defer sub.Close()
		synctest.Wait()
		publishNumbers(t, hub, "n", 1, 3)
		for _, want := range []string{"1", "2", "3"} {
			require.Equal(t, want, string((<-sub.Events()).Data))
		}
		old := hub.Position()

		server.Load().Close() // cut, as by kill -9
		hub.Close()
		time.Sleep(time.Minute)
		hub = start()
		publishNumbers(t, hub, "n", 4, 5) // before the client is back, with numbers that the old hub used too
		time.Sleep(time.Minute)
		publishNumbers(t, hub, "n", 6, 6)
		for _, want := range []string{"4", "5", "6"} {
			require.Equal(t, want, string((<-sub.Events()).Data))
		}
		require.Equal(t, []sse.Gap{{
			Reason: sse.ReasonEpoch, From: old.String(), To: hub.Position().Epoch + "-0",
		}}, told)

		// The same with a drain: nobody is cut, and the next hub tells it too.
		require.NoError(t, hub.Shutdown(t.Context()))
		server.Load().Close()
		hub = start()
		time.Sleep(time.Minute)
		publishNumbers(t, hub, "n", 7, 7)
		require.Equal(t, "7", string((<-sub.Events()).Data))
		require.Len(t, told, 2)

		server.Load().Close()
		hub.Close()
	})
}
