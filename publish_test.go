package ssehub_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Faults 11, 55: names that could be taken for something else.
var invalidTopics = []string{
	"a*", "*a", "**", ">.a", "a.>.b", "a>", ">>", "*.", ".>", "../x", "..", ".", "a.", ".a", "a..b", "a\x00b", "a\nb", "a\rb", "a b", "%2e", "a%2eb",
	"<script>", "\"", "'", "`", "\\", "é", "e\u0301", "\u202e", "\u200b", "\ufeff", "\xff", "\x7f", strings.Repeat("t", 257),
}

func TestPublishRefuses(t *testing.T) {
	hub := newHub(t, nil)
	sub, err := hub.Subscribe(t.Context(), "n")
	require.NoError(t, err)
	defer sub.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	for _, topic := range append(invalidTopics, "", "*", "a.*", "*.a", ">", "a.>") {
		_, err := hub.Publish(t.Context(), topic, sse.Message{})
		require.ErrorIs(t, err, ssehub.ErrInvalidTopic, "%q", topic)
	}
	for _, m := range []sse.Message{
		{Type: "a\nevent: admin\ndata: x"},
		{Type: "a\revent: admin"},
		{Type: "a\x00"},
		{Type: sse.TypeGap},
		{Type: sse.TypeHello},
		{Type: "ssehub.anything"},
		{Retry: -1},
		{Retry: time.Microsecond},
	} {
		_, err := hub.Publish(t.Context(), "n", m)
		require.ErrorIs(t, err, sse.ErrInvalidField, "%+v", m)
	}
	_, err = hub.Publish(t.Context(), "n", sse.Message{Data: make([]byte, 1<<20)})
	require.ErrorIs(t, err, sse.ErrEventTooLarge, "with its topic it is above what clients read")
	require.ErrorContains(t, err, "Options.MaxEventSize")
	_, err = hub.Publish(cancelled, "n", sse.Message{})
	require.ErrorIs(t, err, context.Canceled)

	// Faults 98: none of these concerned anybody.
	id := publish(t, hub, "n", "good")
	require.EqualValues(t, 1, seq(t, id))
	require.Equal(t, "good", string((<-sub.Events()).Data))
}

// What is delivered is the message as it was at Publish, under the hub's own
// id and topic. Faults 9, 79, 80.
func TestPublishCopies(t *testing.T) {
	hub := newHub(t, nil)
	start := hub.Position().String()
	data := []byte("one\r\ntwo\rthree\n")
	m := sse.Message{Topic: "elsewhere", ID: start, Type: "tick", Data: data}
	first, err := hub.Publish(t.Context(), "a", m)
	require.NoError(t, err)
	second, err := hub.Publish(t.Context(), "b", m)
	require.NoError(t, err)
	clear(data)
	third, err := hub.Publish(t.Context(), "a", sse.Message{})
	require.NoError(t, err)

	sub, err := hub.Resume(t.Context(), start, "a", "b")
	require.NoError(t, err)
	defer sub.Close()
	text := []byte("one\ntwo\nthree\n")
	require.Equal(t, sse.Message{Topic: "a", ID: first.String(), Type: "tick", Data: text}, <-sub.Events())
	require.Equal(t, sse.Message{Topic: "b", ID: second.String(), Type: "tick", Data: text}, <-sub.Events())
	require.Equal(t, sse.Message{Topic: "a", ID: third.String(), Data: []byte{}}, <-sub.Events())
}

// Without a limit a message may be of any size; the newest is kept whatever the
// window says.
func TestPublishLarge(t *testing.T) {
	hub := newHub(t, &ssehub.Options{MaxEventSize: -1, History: ssehub.Retention{Bytes: 1000}})
	start := hub.Position().String()
	large := strings.Repeat("x", 3<<20)
	publish(t, hub, "n", large)
	for _, topics := range [][]string{{"n"}, {"n", "other"}} {
		sub, err := hub.Resume(t.Context(), start, topics...)
		require.NoError(t, err)
		require.Len(t, (<-sub.Events()).Data, len(large))
		sub.Close()
	}
	publish(t, hub, "n", "small")
	require.Equal(t, 1, hub.Stats().Events)
}

// The windows by number and by size, exactly at their edges.
func TestWindowEdges(t *testing.T) {
	frame := len("id: 12345678-1\ndata: x\n\n")
	for name, keep := range map[string]ssehub.Retention{
		"events": {Events: 3},
		"bytes":  {Bytes: int64(3 * frame)},
		"both":   {Events: 5, Bytes: int64(3 * frame)},
	} {
		hub := newHub(t, &ssehub.Options{History: keep})
		for i := range 9 {
			publish(t, hub, "n", "x")
			require.Equal(t, min(i+1, 3), hub.Stats().Events, name)
			require.EqualValues(t, min(i+1, 3)*frame, hub.Stats().Bytes, name)
		}
	}
}

// Topics that nobody reads and that keep nothing are gone from memory;
// those with readers stay.
func TestTopicsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Age: time.Minute}})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "read")
		require.NoError(t, err)
		defer sub.Close()
		for i := range 2000 {
			publish(t, hub, "t"+strings.Repeat("x", i%200)+string(rune('a'+i%26)), "x")
		}
		require.Greater(t, hub.Stats().Topics, 1000)
		time.Sleep(3 * time.Minute)
		require.Equal(t, 1, hub.Stats().Topics)
		require.Zero(t, hub.Stats().Events)
		id := publish(t, hub, "read", "x")
		require.Equal(t, id, (<-sub.Events()).ID)
	})
}

// Without a limit by age, topics that keep nothing are forgotten all the same.
func TestTopicsAreForgottenWithoutAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Age: -1}})
		defer hub.Close()
		publish(t, hub, "kept", "x")
		for i := range 100 {
			sub, err := hub.Subscribe(t.Context(), "t"+strconv.Itoa(i))
			require.NoError(t, err)
			sub.Close()
		}
		time.Sleep(24 * time.Hour)
		require.Equal(t, 1, hub.Stats().Topics)
		require.Equal(t, 1, hub.Stats().Events)
	})
}

// A message of several topics has one position, and comes once to a subscriber
// of several, live, replayed and by patterns.
func TestPublishToSeveral(t *testing.T) {
	hub := newHub(t, &ssehub.Options{OverflowFor: latestOf("latest"), Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
		return ssehub.Grant{AllowTopic: func(topic string) bool { return topic != "a.secret" }}, nil
	}})
	start := hub.Position().String()
	live := make(map[string]*ssehub.Subscription)
	names := []string{"a.1", "a.secret", "a.1 a.secret latest.k b", "a.*", ">", "*.1 a.* b", "latest.*"}
	for _, name := range names {
		sub, err := hub.Subscribe(t.Context(), strings.Fields(name)...)
		require.NoError(t, err)
		live[name] = sub
	}
	several := ssehub.PublishOptions{Key: "k", Topics: []string{"a.1", "a.secret", "latest.k", "a.1"}}
	pos, err := hub.PublishWith(t.Context(), "a.1", sse.Message{Data: []byte("several")}, several)
	require.NoError(t, err)
	require.EqualValues(t, 1, pos.Seq)
	for _, name := range []string{"a.1", "a.secret", "b", "latest.k"} {
		publish(t, hub, name, "last")
	}
	for _, name := range names {
		replayed, err := hub.Resume(t.Context(), start, strings.Fields(name)...)
		require.NoError(t, err)
		for _, sub := range []*ssehub.Subscription{live[name], replayed} {
			if m := <-sub.Events(); strings.HasPrefix(name, "latest") && sub == live[name] {
				require.Equal(t, "several", string(m.Data))
			} else {
				require.Equal(t, pos.String(), m.ID, name)
			}
			require.Equal(t, "last", string((<-sub.Events()).Data), name)
			sub.Close()
		}
	}
	for _, query := range []string{"/?topic=a.*", "/?topic=*.secret&topic=a.1", "/?topic=a.*&topic=b"} {
		for range 2 { // replayed from the topics' logs, then, as it is there now, the pattern's
			rec, _ := stream(t, hub.Handler(), query, start)
			require.NoError(t, rec.Wait(t.Context(), 3))
			require.Equal(t, []string{"several", "last"}, texts(rec.Messages()[:3]), query)
			require.NotContains(t, rec.Text(), "secret")
		}
		rec, end := stream(t, hub.Handler(), query, "")
		require.NoError(t, rec.Wait(t.Context(), 1))
		_, err = hub.PublishWith(t.Context(), "a.secret", sse.Message{Data: []byte("live")}, several)
		require.NoError(t, err)
		require.NoError(t, rec.Wait(t.Context(), 2))
		require.Contains(t, rec.Text(), "topic: a.1\ndata: live\n")
		require.NotContains(t, rec.Text(), "secret")
		end()
	}
	_, err = hub.PublishWith(t.Context(), "a.1", sse.Message{}, ssehub.PublishOptions{Topics: []string{"a.*"}})
	require.ErrorIs(t, err, ssehub.ErrInvalidTopic)
	require.Len(t, strings.Split(pos.String(), "-"), 2)
}
