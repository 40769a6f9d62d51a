package ssehub_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

func whisper(t testing.TB, hub *ssehub.Hub, topic, text string) {
	t.Helper()
	_, err := hub.PublishWith(t.Context(), topic, sse.Message{Data: []byte(text)}, ssehub.PublishOptions{Ephemeral: true})
	require.NoError(t, err)
}

// Ephemeral messages come in order among the others and without ids, and only to
// who is there; they take nothing of the window.
func TestEphemeralOnTheWire(t *testing.T) {
	for _, topics := range []string{"chat", "chat news", "*", "> chat *"} {
		t.Run(topics, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 2}})
			whisper(t, hub, "chat", "nobody hears it")
			rec, _ := stream(t, hub.Handler(strings.Fields(topics)...), "/", "")
			require.NoError(t, rec.Wait(t.Context(), 1))
			start := publish(t, hub, "chat", "1")
			for i := range 20 {
				whisper(t, hub, "chat", "token "+strconv.Itoa(i))
			}
			last := publish(t, hub, "chat", "2")
			whisper(t, hub, "chat", "end")
			require.NoError(t, rec.Wait(t.Context(), 24))
			var want []string
			for i := range 20 {
				want = append(want, "token "+strconv.Itoa(i))
			}
			want = append(append([]string{"1"}, want...), "2", "end")
			messages := rec.Messages()
			require.Equal(t, want, texts(messages))
			topic := messages[1].Topic
			for i, m := range messages[2:22] {
				require.Equal(t, start, m.ID, "the id in force behind %d", i)
				require.Equal(t, topic, m.Topic)
			}
			require.Equal(t, last, messages[23].ID)
			require.Equal(t, 2, strings.Count(rec.Text(), "\nid: ")-1, "the hello's and two more")

			again, _ := stream(t, hub.Handler(strings.Fields(topics)...), "/", start)
			require.NoError(t, again.Wait(t.Context(), 2))
			require.Equal(t, []string{"2"}, texts(again.Messages()))
			require.True(t, hello(t, again.Messages()).Resumed)
			history, _, err := hub.History(t.Context(), "chat", ssehub.Position{}, 0)
			require.NoError(t, err)
			require.Equal(t, []string{"1", "2"}, texts(history))
		})
	}
}

// Wherever the first ephemeral message of a topic falls among its others, a
// reader that is at work gets all in order.
func TestEphemeralBeginsInStorm(t *testing.T) {
	const rounds, publishers, events = 50, 3, 300
	for round := range rounds {
		hub := newHub(t, nil)
		subs := make([]*ssehub.Subscription, 0, 3)
		for _, names := range [][]string{{"t"}, {"*"}, {"t", "u"}} {
			sub, err := hub.Subscribe(t.Context(), names...)
			require.NoError(t, err)
			subs = append(subs, sub)
		}
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for i := range events {
					opts := ssehub.PublishOptions{Ephemeral: (i+round)%3 == 0}
					_, err := hub.PublishWith(t.Context(), "t", sse.Message{Data: []byte(strconv.Itoa(p) + " " + strconv.Itoa(i))}, opts)
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		for _, sub := range subs {
			all.Go(func() {
				defer sub.Close()
				next := make(map[string]int)
				for range publishers * events {
					m := <-sub.Events()
					p, i, _ := strings.Cut(string(m.Data), " ")
					if i != strconv.Itoa(next[p]) {
						t.Errorf("round %d: %s where %d comes next", round, m.Data, next[p])
						return
					}
					next[p]++
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
	}
}

// They leave memory, and their topic with them.
func TestEphemeralIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Age: time.Minute}})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		whisper(t, hub, "t", "1")
		require.Equal(t, "1", string((<-sub.Events()).Data))
		require.NotZero(t, hub.Stats().Bytes)
		require.Zero(t, hub.Stats().Events)
		time.Sleep(time.Minute)
		require.Zero(t, hub.Stats().Bytes)
		whisper(t, hub, "t", "2")
		require.Equal(t, "2", string((<-sub.Events()).Data))
		sub.Close()
		time.Sleep(3 * time.Minute)
		require.Zero(t, hub.Stats().Topics)
	})
}

// A message that is published again after an error is there once, as long as the
// history has it.
func TestIdempotencyKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 3, Age: time.Minute}})
		defer hub.Close()
		once := func(topic, key, text string) uint64 {
			pos, err := hub.PublishWith(t.Context(), topic, sse.Message{Data: []byte(text)}, ssehub.PublishOptions{IdempotencyKey: key})
			require.NoError(t, err)
			return pos.Seq
		}
		require.EqualValues(t, 1, once("t", "a", "1"))
		require.EqualValues(t, 1, once("t", "a", "again"))
		require.EqualValues(t, 2, once("u", "a", "another topic's"))
		require.EqualValues(t, 3, once("t", "", "none"))
		require.EqualValues(t, 4, once("t", "", "none"))
		require.EqualValues(t, 1, once("t", "a", "again"))
		require.EqualValues(t, 5, once("t", "b", "the first leaves the window"))
		require.EqualValues(t, 6, once("t", "a", "anew"))
		require.EqualValues(t, 5, once("t", "b", "again"))
		messages, _, err := hub.History(t.Context(), "t", ssehub.Position{}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"none", "the first leaves the window", "anew"}, texts(messages))
		time.Sleep(2 * time.Minute)
		require.EqualValues(t, 7, once("t", "b", "its first is too old"))
		_, err = hub.PublishWith(t.Context(), "t", sse.Message{}, ssehub.PublishOptions{IdempotencyKey: strings.Repeat("k", 257)})
		require.ErrorIs(t, err, sse.ErrInvalidField)
		_, err = hub.PublishWith(t.Context(), "t", sse.Message{}, ssehub.PublishOptions{IdempotencyKey: "k", Ephemeral: true})
		require.ErrorIs(t, err, sse.ErrInvalidField)
	})
}
