package ssehub_test

import (
	"encoding"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

var (
	_ encoding.BinaryMarshaler   = ssehub.Event{}
	_ encoding.BinaryAppender    = ssehub.Event{}
	_ encoding.BinaryUnmarshaler = new(ssehub.Event)
)

// The form in which a broker keeps an event is one that others can write.
func TestEventBinary(t *testing.T) {
	at := time.UnixMilli(1795519323001)
	for _, test := range []struct {
		event ssehub.Event
		text  string
	}{
		{ssehub.Event{Topics: []string{"t"}, Time: at}, "topic: t\ntime: 1795519323001\n\n"},
		{ssehub.Event{
			Topics:  []string{"a", "b.c"},
			Time:    at,
			Message: sse.Message{Type: " tick: ", Data: []byte("\n\ntopic: x\n\x00\xff"), Retry: time.Second},
			Key:     " k", IdempotencyKey: "once: 1", Ephemeral: true, TTL: time.Minute,
		}, "topic: a\ntopic: b.c\ntime: 1795519323001\ntype:  tick: \nretry: 1000\nkey:  k\n" +
			"idempotency-key: once: 1\nttl: 60000\nephemeral: true\n\n\n\ntopic: x\n\x00\xff"},
	} {
		b, err := test.event.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, test.text, string(b))
		var got ssehub.Event
		require.NoError(t, got.UnmarshalBinary(b))
		if test.event.Message.Data == nil {
			test.event.Message.Data = []byte{}
		}
		require.Equal(t, test.event, got)
	}
	var got ssehub.Event
	require.NoError(t, got.UnmarshalBinary([]byte("topic: t\nnew: thing\n\nx")))
	require.Equal(t, "x", string(got.Message.Data))
	require.Zero(t, got.Time)
	for _, e := range []ssehub.Event{
		{Topics: []string{"t"}, Key: "a\nb"},
		{Topics: []string{"t"}, Message: sse.Message{Type: "\n"}},
		{Topics: []string{"t\n"}},
		{},
		{Topics: []string{"t", "*"}},
		{Topics: []string{"t"}, TTL: -1},
		{Topics: []string{"t"}, Message: sse.Message{Retry: -time.Second}},
	} {
		_, err := e.MarshalBinary()
		require.ErrorIs(t, err, ssehub.ErrInvalidEvent)
	}
	before := got
	for _, text := range []string{
		"", "\n", "x", "\n\nx", "topic: t", "topic: t\n", "topic:t\n\n", "topic\n\n", "topic: \n\n", "topic: a b\n\n",
		"topic: *\n\n", "topic: t\r\n\r\n", "time: 1\n\n", "topic: t\ntime: x\n\n", "topic: t\nttl: -1\n\n",
		"topic: t\nretry: 9999999999999999\n\n", "topic: t\nretry: -5\n\n", "topic: t\nephemeral: maybe\n\n", "type: \x00\n\n",
	} {
		require.ErrorIs(t, got.UnmarshalBinary([]byte(text)), ssehub.ErrInvalidEvent, "%q", text)
		require.Equal(t, before, got)
	}
}

// Whatever bytes a broker has, reading them ends, and what is read is written
// the same again.
func FuzzEvent(f *testing.F) {
	f.Add([]byte("topic: t\ntime: 1\ntype: x\nkey: k\n\ndata"))
	f.Add([]byte("topic: a\ntopic: b\nttl: 5\nretry: 7\nephemeral: true\nidempotency-key: 1\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e ssehub.Event
		if err := e.UnmarshalBinary(b); err != nil {
			require.ErrorIs(t, err, ssehub.ErrInvalidEvent)
			return
		}
		again, err := e.MarshalBinary()
		require.NoError(t, err)
		var e2 ssehub.Event
		require.NoError(t, e2.UnmarshalBinary(again))
		require.True(t, e.Time.Equal(e2.Time) || e.Time.IsZero())
		e.Time = e2.Time
		require.Equal(t, e, e2)
	})
}
