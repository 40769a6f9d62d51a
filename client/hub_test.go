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
func TestDuplicates(t *testing.T) {
	const (
		resumed = "event: ssehub.hello\ndata: {\"epoch\":\"e\",\"verdict\":\"resumed\"}\n\n"
		ahead   = "event: ssehub.hello\ndata: {\"epoch\":\"e\",\"verdict\":\"ahead\"}\n\n"
		gap     = "event: ssehub.gap\ndata: {\"reason\":\"ahead\"}\n\n"
		events  = "id: e-4\ndata: 4\n\nid: e-5\ndata: 5\n\ndata: no id\n\nid: e-6\ndata: 6\n\nid: e-6\ndata: 6\n\nid: e-7\ndata: 7\n\n"
	)
	all := []string{"4", "5", "no id", "6", "6", "7"}
	for name, tt := range map[string]struct {
		stream string
		want   []string
	}{
		"resumed":           {resumed + events, []string{"no id", "6", "7"}},
		"not the hub's ids": {resumed + strings.ReplaceAll(events, "e-", "order-"), all},
		"no epoch":          {strings.ReplaceAll(resumed, "\"e\"", "\"\"") + events, all},
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

// The state of a topic that has no event yet is one as well, though its number is 0.
func TestStateBeforeFirstEvent(t *testing.T) {
	const hello = "event: ssehub.hello\ndata: {\"epoch\":\"e\",\"verdict\":\"fresh\"}\n\n"
	run(t, nil, steps{stays(hello + "id: e-0\ndata: state\n\nid: e-0\ndata: again\n\nid: e-1\ndata: 1\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, sse.Message{ID: "e-0", Data: []byte("state")}, <-sub.Events())
		require.Equal(t, sse.Message{ID: "e-1", Data: []byte("1")}, <-sub.Events())
	})
}

// A duplicate that was dropped does not move the id back.
func TestDuplicateKeepsID(t *testing.T) {
	const hello = "event: ssehub.hello\ndata: {\"epoch\":\"e\",\"verdict\":\"resumed\"}\n\n"
	opts := &client.Options{Backoff: noJitter, LastEventID: "e-5"}
	run(t, opts, steps{sends(hello + "id: e-4\ndata: 4\n\n"), stays(hello + "id: e-4\ndata: 4\n\ndata: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, sse.Message{ID: "e-5", Data: []byte("x")}, <-sub.Events())
		require.Equal(t, []string{"e-5", "e-5"}, s.ids)
	})
}

// A hub that never saw the client's id, as behind a redirect to another origin,
// calls the stream fresh. To the client it is a loss.
func TestFreshBehindID(t *testing.T) {
	var told []sse.Gap
	opts := &client.Options{Backoff: noJitter, OnGap: func(gap sse.Gap) { told = append(told, gap) }}
	const hello = "id: e-7\nevent: ssehub.hello\ndata: {\"epoch\":\"e\",\"verdict\":\"fresh\"}\n\n"
	run(t, opts, steps{sends(hello + "id: e-8\ndata: 8\n\n"), stays(hello + "data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		<-sub.Events()
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonInvalid, From: "e-8", To: "e-7"}}, told)
	})
}

// What else a hub may send under its own name in time to come is no message.
func TestUnknownControlEvent(t *testing.T) {
	run(t, nil, steps{stays("id: e-1\nevent: ssehub.mark\ndata: {}\n\ndata: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, sse.Message{ID: "e-1", Data: []byte("x")}, <-sub.Events())
	})
}

// The limit for silence follows what is announced, but leaves the time to
// connect in, and is gone where nothing is announced.
func TestLearnedIdle(t *testing.T) {
	hello := func(ms string) string {
		return "event: ssehub.hello\ndata: {\"heartbeatMs\":" + ms + "}\n\n"
	}
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Second) // a long way
		stays(hello("0")+"data: x\n\n")(w, r)
	}
	run(t, nil, steps{sends(hello("1")), slow}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		time.Sleep(time.Hour)
		require.Len(t, s.times, 2, "the second has announced none")
	})
	run(t, nil, steps{sends(hello("1000")), stays("data: of no hub\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		time.Sleep(time.Hour)
		require.Len(t, s.times, 2)
	})
}
