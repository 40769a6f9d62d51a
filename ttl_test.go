package ssehub_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// A message is delivered until its TTL has passed, and not told as a loss behind
// that, however a reader comes to it.
func TestTTL(t *testing.T) {
	for _, topics := range [][]string{{"t"}, {"t", "u"}, {"*"}, {"t", ">"}} {
		t.Run(fmt.Sprint(topics), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newHub(t, nil)
				start := hub.Position().String()
				send := func(text string, ttl time.Duration) {
					_, err := hub.PublishWith(t.Context(), "t", sse.Message{Data: []byte(text)}, ssehub.PublishOptions{TTL: ttl})
					require.NoError(t, err)
				}
				send("1", 0)
				send("2", time.Second)
				send("3", time.Minute)
				send("4", 0)
				sub, err := hub.Resume(t.Context(), start, topics...)
				require.NoError(t, err)
				late := func() []string {
					rec, end := stream(t, hub.Handler(topics...), "/", start)
					synctest.Wait()
					end()
					require.Empty(t, gaps(t, rec.Messages()))
					return texts(rec.Messages())
				}
				require.Equal(t, []string{"1", "2", "3", "4"}, late())
				time.Sleep(time.Second - time.Millisecond)
				require.Equal(t, []string{"1", "2", "3", "4"}, late())
				time.Sleep(time.Millisecond)
				require.Equal(t, []string{"1", "3", "4"}, late())
				time.Sleep(59 * time.Second)
				require.Equal(t, []string{"1", "4"}, late())
				messages, _, err := hub.History(t.Context(), "t", ssehub.Position{}, 0)
				require.NoError(t, err)
				require.Equal(t, []string{"1", "4"}, texts(messages))
				// The slow one had taken all before they were out of date.
				for _, want := range []string{"1", "2", "3", "4"} {
					require.Equal(t, want, string((<-sub.Events()).Data))
				}
				send("5", time.Second)
				time.Sleep(time.Hour) // also out of the history
				send("6", 0)
				require.Equal(t, "5", string((<-sub.Events()).Data))
				require.Equal(t, "6", string((<-sub.Events()).Data))
			})
		})
	}
}

// Under Latest a TTL ends a key: a message with one takes a row away for those
// who are there, and in time for those who come later, and its memory.
func TestTTLUnderLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: 10}})
		send := func(key, text string, ttl time.Duration) {
			_, err := hub.PublishWith(t.Context(), "t", sse.Message{Data: []byte(text)}, ssehub.PublishOptions{Key: key, TTL: ttl})
			require.NoError(t, err)
		}
		send("gone", "gone", 0)
		send("gone", "removed", time.Second)
		send("back", "back", time.Second)
		send("stays", "stays", 0)
		time.Sleep(time.Second)
		send("back", "back again", 0)
		state := func() []string {
			rec, end := stream(t, hub.Handler("t"), "/", "")
			synctest.Wait()
			end()
			require.Empty(t, gaps(t, rec.Messages()))
			all := texts(rec.Messages())
			return all[:len(all)-1] // behind it is the mark
		}
		require.Equal(t, []string{"stays", "back again"}, state()) // though none of it is compacted yet
		late, end := stream(t, hub.Handler("t"), "/", hub.Position().Epoch+"-0")
		synctest.Wait()
		end() // what takes a row away comes behind the row, for who has that
		require.Equal(t, []string{"gone", "removed", "back", "stays", "back again"}, texts(late.Messages()))
		for i := range 100 {
			send("tick", fmt.Sprint(i), 0)
		}
		rec, end2 := stream(t, hub.Handler("t"), "/", hub.Position().Epoch+"-1")
		synctest.Wait()
		end2()
		require.Len(t, gaps(t, rec.Messages()), 1, "who has the row may keep it for ever")
		require.Contains(t, state(), "stays")
		require.Contains(t, state(), "back again")
		require.NotContains(t, state(), "gone")
		require.NotContains(t, state(), "removed")

		for i := range 5 {
			send(fmt.Sprint("short ", i), "x", time.Minute)
		}
		time.Sleep(time.Second)
		for range 30 {
			send("tick", "x", time.Minute) // these push some of them out of the window in time
		}
		time.Sleep(time.Hour)
		require.Equal(t, []string{"stays", "back again"}, state())
		require.Equal(t, 2, hub.Stats().Events, "they leave memory, though nothing is published")
	})
}

func TestTTLRefused(t *testing.T) {
	hub := newHub(t, nil)
	for _, ttl := range []time.Duration{-1, 1, time.Millisecond - 1, math.MaxInt64, 50 * 24 * time.Hour} {
		_, err := hub.PublishWith(t.Context(), "t", sse.Message{}, ssehub.PublishOptions{TTL: ttl})
		require.ErrorIs(t, err, sse.ErrInvalidField, "%v", ttl)
	}
	_, err := hub.PublishWith(t.Context(), "t", sse.Message{}, ssehub.PublishOptions{TTL: 49 * 24 * time.Hour})
	require.NoError(t, err)
}
