package ssehub_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

func TestHistory(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 5}})
	before := hub.Position()
	publishNumbers(t, hub, "n", 1, 3)
	third := hub.Position()
	publish(t, hub, "other", "x")
	publishNumbers(t, hub, "n", 4, 8) // 4 to 8 are kept
	foreign, err := ssehub.ParsePosition("abc-1")
	require.NoError(t, err)
	tests := map[string]struct {
		topic string
		after ssehub.Position
		limit int
		want  string
		gap   string // its reason
		end   int    // seq
	}{
		"all":                  {"n", ssehub.Position{}, 0, "4 5 6 7 8", "", 9},
		"all, negative":        {"n", ssehub.Position{}, -1, "4 5 6 7 8", "", 9},
		"newest two":           {"n", ssehub.Position{}, 2, "7 8", "", 9},
		"newest of more":       {"n", ssehub.Position{}, 100, "4 5 6 7 8", "", 9},
		"behind third":         {"n", third, 0, "4 5 6 7 8", "", 9},
		"behind third, two":    {"n", third, 2, "4 5", "", 6},
		"behind what is gone":  {"n", before, 2, "4 5", "window", 6},
		"another epoch":        {"n", foreign, 1, "4", "epoch", 5},
		"behind the newest":    {"n", hub.Position(), 0, "", "", 9},
		"a quiet topic":        {"none", ssehub.Position{}, 0, "", "", 9},
		"a quiet topic, after": {"none", third, 0, "", "", 9},
		"another topic":        {"other", ssehub.Position{}, 1, "x", "", 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			messages, end, err := hub.History(t.Context(), tt.topic, tt.after, tt.limit)
			require.NoError(t, err)
			require.Equal(t, tt.want, strings.Join(texts(messages), " "))
			told := gaps(t, messages)
			if tt.gap != "" {
				require.Len(t, told, 1)
				require.Equal(t, tt.gap, told[0].Reason)
				require.Equal(t, sse.TypeGap, messages[0].Type)
			} else {
				require.Empty(t, told)
			}
			require.EqualValues(t, tt.end, end.Seq)
			require.Equal(t, hub.Position().Epoch, end.Epoch)
			for _, m := range messages {
				if m.Type != sse.TypeGap {
					require.Equal(t, tt.topic, m.Topic)
				}
			}
		})
	}
	require.Zero(t, hub.Stats().Subscribers)
}

func TestHistoryRefuses(t *testing.T) {
	hub := newHub(t, nil)
	_, _, err := hub.History(t.Context(), "a b", ssehub.Position{}, 0)
	require.ErrorIs(t, err, ssehub.ErrInvalidTopic)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = hub.History(ctx, "n", ssehub.Position{}, 0)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, hub.Close())
	_, _, err = hub.History(t.Context(), "n", ssehub.Position{}, 0)
	require.ErrorIs(t, err, ssehub.ErrClosed)
}

// An event above a reader's usual limit, and many pages of events, are all there.
func TestHistoryPages(t *testing.T) {
	hub := newHub(t, &ssehub.Options{MaxEventSize: -1, History: ssehub.Retention{Bytes: -1}})
	publish(t, hub, "n", strings.Repeat("x", 2<<20))
	publishNumbers(t, hub, "n", 1, 5000)
	messages, after, err := hub.History(t.Context(), "n", ssehub.Position{Epoch: hub.Position().Epoch}, 1)
	require.NoError(t, err)
	require.Len(t, messages[0].Data, 2<<20)
	next := 1
	for next <= 5000 {
		messages, after, err = hub.History(t.Context(), "n", after, 700)
		require.NoError(t, err)
		require.NotEmpty(t, messages)
		for _, m := range messages {
			require.Equal(t, strconv.Itoa(next), string(m.Data))
			next++
		}
	}
	require.Equal(t, hub.Position(), after)
}

// Promise 2: a page made from the history at any moment of a storm, and the
// stream that goes on behind it, together have each event once.
func TestHistoryThenStream(t *testing.T) {
	const events = 5_000
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: events, Bytes: -1}})
	var publishers, readers sync.WaitGroup
	publishers.Go(func() {
		for i := 1; i <= events; i++ {
			publish(t, hub, "n", strconv.Itoa(i))
			publish(t, hub, "other", "x")
		}
	})
	for range 20 {
		readers.Go(func() {
			messages, end, err := hub.History(t.Context(), "n", ssehub.Position{}, 0)
			if err != nil {
				t.Error(err)
				return
			}
			sub, err := hub.Resume(t.Context(), end.String(), "n")
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			for len(messages) < events {
				messages = append(messages, <-sub.Events())
			}
			for i, m := range messages {
				if string(m.Data) != strconv.Itoa(i+1) {
					t.Errorf("%q in place of %d", m.Data, i+1)
					return
				}
			}
		})
	}
	publishers.Wait()
	readers.Wait()
}
