package ssehub_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Subscribers tells of each stream and Subscription who it is and how far it is.
func TestSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{
			Authorize: func(*http.Request, []string) (ssehub.Grant, error) { return ssehub.Grant{Subject: "ann"}, nil },
		})
		defer hub.Close()
		require.Empty(t, slices.Collect(hub.Subscribers()))
		start := hub.Position().String()
		publishNumbers(t, hub, "n", 1, 2)
		rec, end := stream(t, hub.Handler(), "/?topic=n&topic=m.*", start)
		time.Sleep(time.Second)
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		synctest.Wait()
		publishNumbers(t, hub, "n", 3, 5)
		synctest.Wait() // the first is held for us
		time.Sleep(time.Second)

		at := func(seq uint64) ssehub.Position { return ssehub.Position{Epoch: hub.Position().Epoch, Seq: seq} }
		got := slices.SortedFunc(hub.Subscribers(), func(a, b ssehub.SubscriberStats) int { return int(b.Age - a.Age) })
		require.Equal(t, []ssehub.SubscriberStats{
			{Topics: []string{"n", "m.*"}, Conn: hello(t, rec.Messages()).Conn, Subject: "ann", Verdict: sse.VerdictResumed,
				Age: 2 * time.Second, Position: at(5)},
			{Topics: []string{"n"}, Verdict: sse.VerdictFresh, Age: time.Second, Position: at(2), Lag: 3, LagTime: time.Second},
		}, got)
		for s := range hub.Subscribers() { // and may be left
			require.NotEmpty(t, s.Topics)
			break
		}
		end()
		for range 3 {
			<-sub.Events()
		}
		synctest.Wait()
		one := slices.Collect(hub.Subscribers())
		require.Len(t, one, 1)
		require.Zero(t, one[0].Lag)
		require.Equal(t, at(5), one[0].Position)
		sub.Close()
		synctest.Wait()
		require.Empty(t, slices.Collect(hub.Subscribers()))
	})
}

// Each has come once, in more steps than one, and those that leave meanwhile may be
// left out.
func TestSubscribersWhileTheyLeave(t *testing.T) {
	hub := newHub(t, nil)
	subs := make(map[string]*ssehub.Subscription)
	for i := range 1000 {
		topic := fmt.Sprint("t", i)
		sub, err := hub.Subscribe(t.Context(), topic)
		require.NoError(t, err)
		subs[topic] = sub
	}
	seen := make(map[string]bool)
	for s := range hub.Subscribers() {
		require.Len(t, s.Topics, 1)
		require.False(t, seen[s.Topics[0]])
		seen[s.Topics[0]] = true
		if len(seen) == 1 {
			for i := range 500 {
				subs[fmt.Sprint("t", i)].Close()
			}
		}
	}
	for i := range 500 {
		require.True(t, seen[fmt.Sprint("t", 500+i)])
	}
	require.NoError(t, hub.Shutdown(t.Context()))
}

// It may be asked while everything moves.
func TestSubscribersDuringStorm(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 10}})
	ctx, stop := context.WithCancel(t.Context())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for ctx.Err() == nil {
			for s := range hub.Subscribers() {
				if s.Lag > 50 || s.Verdict == "" || len(s.Topics) == 0 {
					t.Errorf("%+v", s)
				}
			}
		}
	}()
	storm(t, hub, "n", 20)
	stop()
	<-asked
}

// A topic counts what was published to it, also when it keeps less, and a pattern
// what it matches.
func TestTopicStatsPublished(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 2}})
	sub, err := hub.Subscribe(t.Context(), "n.*")
	require.NoError(t, err)
	defer sub.Close()
	publishNumbers(t, hub, "n.a", 1, 5)
	_, err = hub.PublishWith(t.Context(), "n.a", sse.Message{}, ssehub.PublishOptions{Ephemeral: true})
	require.NoError(t, err)
	publish(t, hub, "n.b", "x")
	for topic, want := range map[string]uint64{"n.a": 6, "n.b": 1, "n.*": 7} {
		s, ok := hub.TopicStats(topic)
		require.True(t, ok)
		require.Equal(t, want, s.Published, topic)
	}
}
