package client_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// A hub's own events are for the client: a gap is told between the events it
// lies between, and the heartbeat sets the idle timeout. Faults 36.
func TestHubEvents(t *testing.T) {
	const stream = "id: e-1\nevent: ssehub.hello\ndata: {\"verdict\":\"gap\",\"heartbeatMs\":1000}\n\n" +
		"id: e-5\nevent: ssehub.gap\ndata: {\"reason\":\"window\",\"from\":\"e-1\",\"to\":\"e-5\",\"topic\":\"t\"}\n\n" +
		"id: e-6\ndata: six\n\n"
	gap := sse.Gap{Reason: "window", From: "e-1", To: "e-5", Topic: "t"}
	told := make(chan sse.Gap, 10)
	failed := make(chan error, 10)
	opts := &client.Options{
		Backoff: noJitter,
		OnGap:   func(gap sse.Gap) { told <- gap },
		OnRetry: func(err error, _ time.Duration) error { failed <- err; return nil },
	}
	run(t, opts, steps{stays(stream)}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "six", string((<-sub.Events()).Data))
		require.Len(t, told, 1)
		require.Equal(t, gap, <-told)
		require.EqualValues(t, 1, sub.Gaps())
		require.Equal(t, "six", string((<-sub.Events()).Data))
		require.ErrorIs(t, <-failed, client.ErrIdle)
		require.Equal(t, 3*time.Second+time.Second, s.times[1], "three heartbeats, and the back-off")
		require.Equal(t, []string{"-", "e-6"}, s.ids)
	})
	opts = &client.Options{ControlEvents: true}
	run(t, opts, steps{stays(stream)}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, sse.TypeHello, (<-sub.Events()).Type)
		require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
		require.Equal(t, "six", string((<-sub.Events()).Data))
	})
}

// What a hub said of its heartbeat holds for the next connection as well: a
// server that takes it and then is silent does not hold the client for ever.
func TestSilentServerAfterRestart(t *testing.T) {
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hub := "id: e-1\nevent: ssehub.hello\ndata: {\"heartbeatMs\":1000}\n\n"
	run(t, nil, steps{sends(hub), mute, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		require.Equal(t, []time.Duration{0, time.Second, time.Second + 3*time.Second + 2*time.Second}, s.times)
	})
}

// Events of a hub that come twice are delivered once: known by their positions,
// where the stream goes on behind the client's own. Others' ids are not judged.
func TestTwice(t *testing.T) {
	const (
		resumed = "event: ssehub.hello\ndata: {\"verdict\":\"resumed\"}\n\n"
		ahead   = "event: ssehub.hello\ndata: {\"verdict\":\"ahead\"}\n\n"
		gap     = "event: ssehub.gap\ndata: {\"reason\":\"ahead\"}\n\n"
		events  = "id: e-4\ndata: 4\n\nid: e-5\ndata: 5\n\ndata: no id\n\nid: e-6\ndata: 6\n\nid: e-6\ndata: 6\n\nid: e-7\ndata: 7\n\n"
	)
	all := []string{"4", "5", "no id", "6", "6", "7"}
	for name, tt := range map[string]struct {
		stream string
		want   []string
	}{
		"resumed":           {resumed + events, []string{"no id", "6", "7"}},
		"another epoch":     {strings.ReplaceAll(resumed+events, "e-", "f-"), []string{"4", "5", "no id", "6", "7"}},
		"ahead":             {ahead + gap + events, []string{"4", "5", "no id", "6", "7"}},
		"a gap in between":  {resumed + events + gap + "id: e-2\ndata: 2\n\n", []string{"no id", "6", "7", "2"}},
		"a hub without ids": {resumed + strings.ReplaceAll(events, "e-", "e"), all},
		"no hub":            {events, all},
	} {
		t.Run(name, func(t *testing.T) {
			opts := &client.Options{Backoff: noJitter, LastEventID: "e-5"}
			run(t, opts, steps{stays(tt.stream)}, func(t *testing.T, sub *client.Subscription, s *script) {
				for _, want := range tt.want {
					require.Equal(t, want, string((<-sub.Events()).Data))
				}
				synctest.Wait()
				select {
				case m := <-sub.Events():
					require.Fail(t, "more", "%s", m.Data)
				default:
				}
			})
		})
	}
}
