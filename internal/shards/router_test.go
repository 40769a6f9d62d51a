package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// newMover returns a router over logs of their own, at an address.
func newMover(t *testing.T, logs int) (*mover, *ssetest.Server) {
	m := &mover{router: router{member: func(_ *http.Request, tenant string) error {
		if tenant == "strangers" || tenant == "*" {
			return errors.New("not a member")
		}
		return nil
	}}}
	for i := range logs {
		hub := ssehub.New(&ssehub.Options{Broker: new(brokertest.Memory), Authorize: m.authorize})
		t.Cleanup(func() { hub.Close() })
		require.NoError(t, hub.Ready(t.Context()))
		m.logs, m.hubs = append(m.logs, fmt.Sprint("log", i)), append(m.hubs, hub)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /events/{tenant}", m)
	server := ssetest.NewServer(mux)
	t.Cleanup(server.Close)
	return m, server
}

// reading is a client of a tenant's orders, and what it was told.
type reading struct {
	*client.Subscription
	gaps []string
}

func read(t *testing.T, server *ssetest.Server, tenant, lastEventID string) *reading {
	r := &reading{}
	r.Subscription = client.Subscribe(t.Context(), fmt.Sprintf("%s/events/%s?topic=%[2]s.orders", server.URL, tenant), &client.Options{
		HTTPClient:  server.Client(),
		LastEventID: lastEventID,
		OnGap:       func(gap sse.Gap) { r.gaps = append(r.gaps, gap.Reason) },
	})
	t.Cleanup(func() { r.Close() })
	return r
}

func publish(t *testing.T, m *mover, tenant, topic, text string) string {
	t.Helper()
	pos, err := m.publish(t.Context(), tenant, topic, sse.Message{Data: []byte(text)})
	require.NoError(t, err)
	return pos.String()
}

// A tenant has its events in one order and may go on anywhere in them, and nobody
// reads those of another.
func TestRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, server := newMover(t, 4)
		used := map[*ssehub.Hub]bool{}
		for i := range 20 {
			tenant := fmt.Sprint("tenant", i)
			used[m.hub(tenant)] = true
			first := publish(t, m, tenant, "orders", "0")
			for k := range 5 {
				publish(t, m, tenant, "orders", fmt.Sprint(k+1))
				publish(t, m, tenant, "invoices", "x")
			}
			r := read(t, server, tenant, first)
			for k := range 5 {
				require.Equal(t, fmt.Sprint(k+1), string((<-r.Events()).Data))
			}
			require.Empty(t, r.gaps)
		}
		require.Len(t, used, 4)
		for _, path := range []string{"tenant1?topic=tenant2.orders", "tenant1?topic=*.orders", "tenant1?topic=>",
			"*?topic=*.orders", "strangers?topic=strangers.orders", "a.b?topic=a.b.orders"} {
			res, err := server.Client().Get(server.URL + "/events/" + path)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusForbidden, res.StatusCode, path)
		}
	})
}

// Whose tenant moves goes on in the new log: without a gap if nothing of the old one is
// missing, and else with one that is told, and then with all that the new log has.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, server := newMover(t, 2)
		old := rendezvous("acme", m.logs)
		publish(t, m, "acme", "orders", "0")
		early := publish(t, m, "acme", "orders", "1")
		last := publish(t, m, "acme", "orders", "2")
		r := read(t, server, "acme", early)
		require.Equal(t, "2", string((<-r.Events()).Data))
		publish(t, m, "acme", "invoices", "of no matter to it, and behind its last id")
		other := read(t, server, "acme", "")
		synctest.Wait()

		require.NoError(t, m.move(t.Context(), "acme", 1-old))
		publish(t, m, "acme", "orders", "3")
		publish(t, m, "acme", "orders", "4")
		for _, r := range []*reading{r, other} {
			require.Equal(t, "3", string((<-r.Events()).Data))
			require.Equal(t, "4", string((<-r.Events()).Data))
			require.Empty(t, r.gaps)
		}
		require.Zero(t, m.hubs[old].Stats().Subscribers)

		late := read(t, server, "acme", early) // which has not got 2
		require.Equal(t, "3", string((<-late.Events()).Data))
		require.Equal(t, []string{sse.ReasonEpoch}, late.gaps)

		// Nor is anybody complete where the old hub has not read its log to the end.
		v, _ := m.moves.Load("acme")
		behind := v.(move)
		behind.end.Seq += 100
		m.moves.Store("acme", behind)
		unsure := read(t, server, "acme", last)
		require.Equal(t, "3", string((<-unsure.Events()).Data))
		require.Equal(t, []string{sse.ReasonEpoch}, unsure.gaps)
	})
}

// A tenant that comes back to a log is not where it was: who has an id of its first stay
// is told a gap, though that is a position of this log.
func TestMoveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, server := newMover(t, 2)
		old := rendezvous("acme", m.logs)
		first := publish(t, m, "acme", "orders", "1")
		require.NoError(t, m.move(t.Context(), "acme", 1-old))
		second := publish(t, m, "acme", "orders", "2")
		r := read(t, server, "acme", second)
		synctest.Wait()
		require.NoError(t, m.move(t.Context(), "acme", old))
		publish(t, m, "acme", "orders", "3")
		require.Equal(t, "3", string((<-r.Events()).Data))
		require.Empty(t, r.gaps)

		late := read(t, server, "acme", first) // which has not got 2
		require.Equal(t, "1", string((<-late.Events()).Data))
		require.Equal(t, "3", string((<-late.Events()).Data))
		require.Equal(t, []string{sse.ReasonInvalid}, late.gaps)
	})
}

// A log that fails holds up its own tenants alone.
func TestLogDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := newMover(t, 2)
		broken := new(brokertest.Memory)
		broken.Fail(errors.New("down"))
		m.hubs[0] = ssehub.New(&ssehub.Options{Broker: broken, Authorize: m.authorize})
		t.Cleanup(func() { m.hubs[0].Close() })
		failed := 0
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			tenant := fmt.Sprint("tenant", i)
			_, err := m.publish(ctx, tenant, "orders", sse.Message{Data: []byte("x")})
			cancel()
			if m.hub(tenant) == m.hubs[0] {
				require.Error(t, err)
				failed++
			} else {
				require.NoError(t, err)
			}
		}
		require.NotZero(t, failed)
		require.Less(t, failed, 20)
	})
}
