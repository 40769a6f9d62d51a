package client_test

import (
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// The id of the last event that the application received goes out with each
// reconnect, ids of half events do not, and an empty id takes it back.
func TestReconnectSendsLastEventID(t *testing.T) {
	run(t, nil, steps{
		sends("data: none\n\n"),
		sends("id: 1\ndata: one\n\nid: 2\ndata: half"),
		sends("data: no id of its own\n\n"),
		sends("id: 5\n\n"),
		sends("id\ndata: reset\n\n"),
		stays("data: last\n\n"),
	}, func(t *testing.T, sub *client.Subscription, s *script) {
		var got []sse.Message
		for range 5 {
			got = append(got, <-sub.Events())
		}
		require.Equal(t, []sse.Message{
			{Data: []byte("none")},
			{ID: "1", Data: []byte("one")},
			{ID: "1", Data: []byte("no id of its own")},
			{Data: []byte("reset")},
			{Data: []byte("last")},
		}, got)
		require.Equal(t, []string{"-", "-", "1", "1", "5", "-"}, s.ids)
	})
}

func TestLastEventIDOption(t *testing.T) {
	run(t, &client.Options{LastEventID: "41"}, steps{stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "41", (<-sub.Events()).ID)
		require.Equal(t, []string{"41"}, s.ids)
	})
}

// Faults 21: an id that no header can carry is given up, and told, and does
// not stop the client for ever.
func TestUnsendableID(t *testing.T) {
	var told []sse.Gap
	opts := &client.Options{Backoff: noJitter, OnGap: func(gap sse.Gap) { told = append(told, gap) }}
	run(t, opts, steps{sends("id: a\x01b\ndata: x\n\n"), stays("data: y\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "a\x01b", (<-sub.Events()).ID)
		require.Equal(t, "y", string((<-sub.Events()).Data))
		require.Equal(t, []string{"-", "-"}, s.ids)
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonInvalid, From: "a\x01b"}}, told)
	})
}

// An id too long for a header is given up like one that no header may hold.
func TestLongID(t *testing.T) {
	id := strings.Repeat("9", 10_000)
	run(t, nil, steps{sends("id: " + id + "\ndata: x\n\n"), stays("data: y\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, id, (<-sub.Events()).ID)
		require.Equal(t, "y", string((<-sub.Events()).Data))
		require.Equal(t, []string{"-", "-"}, s.ids)
		require.EqualValues(t, 1, sub.Gaps())
	})
}

// Faults 28: an event above the limit is skipped and told, once, and neither
// ends the stream nor makes the client come back to it.
func TestOversizeEvent(t *testing.T) {
	var told []sse.Gap
	opts := &client.Options{MaxEventSize: 100, ControlEvents: true, OnGap: func(gap sse.Gap) { told = append(told, gap) }}
	body := "id: 1\ndata: a\n\nid: 2\ndata: " + strings.Repeat("x", 1<<20) + "\n\nid: 3\ndata: c\n\n"
	run(t, opts, steps{stays(body)}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "1", (<-sub.Events()).ID)
		require.Equal(t, sse.Message{Type: sse.TypeGap, ID: "1", Data: []byte(`{"reason":"size","from":"1","to":"","topic":""}`)}, <-sub.Events())
		require.Equal(t, "3", (<-sub.Events()).ID)
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonSize, From: "1"}}, told)
	})
}
