package ssehub_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// newHub returns a hub that ends with the test, and has its totals right by then.
func newHub(t testing.TB, opts *ssehub.Options) *ssehub.Hub {
	t.Helper()
	hub := ssehub.New(opts)
	t.Cleanup(func() {
		hub.Close()
		requireTotals(t, hub)
	})
	return hub
}

// requireTotals has Stats know what a walk over all topics finds.
func requireTotals(t testing.TB, hub *ssehub.Hub) {
	t.Helper()
	got := hub.Stats()
	var topics, patterns, events int
	var bytes int64
	for s := range hub.Topics() {
		bytes += s.Bytes
		if s.Pattern {
			patterns++
			continue
		}
		topics++
		events += s.Events
	}
	require.Equal(t, topics, got.Topics)
	require.Equal(t, patterns, got.Patterns)
	require.Equal(t, events, got.Events)
	require.Equal(t, bytes, got.Bytes)
}

// publish publishes text and returns the event's id.
func publish(t testing.TB, hub *ssehub.Hub, topic, text string) string {
	t.Helper()
	pos, err := hub.Publish(t.Context(), topic, sse.Message{Data: []byte(text)})
	require.NoError(t, err)
	return pos.String()
}

// publishNumbers publishes the decimal numbers from first to last.
func publishNumbers(t testing.TB, hub *ssehub.Hub, topic string, first, last int) {
	t.Helper()
	for i := first; i <= last; i++ {
		publish(t, hub, topic, strconv.Itoa(i))
	}
}

// stream connects a handler to a recorder, over the transport whose turn it is,
// until the test ends or the returned function is called, which waits for the
// stream's end.
func stream(t testing.TB, handler http.Handler, target, lastEventID string) (*ssetest.Recorder, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	require.NoError(t, err)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	rec := ssetest.NewRecorder()
	done := make(chan struct{})
	streamed(t)
	go func() {
		defer close(done)
		transports[over].carry(t, handler, rec, req)
	}()
	end := func() { cancel(); <-done }
	t.Cleanup(end)
	return rec, end
}

// texts returns the data of the application's messages.
func texts(messages []sse.Message) []string {
	out := []string{}
	for _, m := range messages {
		if m.Type != sse.TypeHello && m.Type != sse.TypeGap {
			out = append(out, string(m.Data))
		}
	}
	return out
}

// gaps returns what the messages tell of losses.
func gaps(t testing.TB, messages []sse.Message) []sse.Gap {
	t.Helper()
	out := []sse.Gap{}
	for _, m := range messages {
		if m.Type == sse.TypeGap {
			var gap sse.Gap
			require.NoError(t, json.Unmarshal(m.Data, &gap))
			out = append(out, gap)
		}
	}
	return out
}

// hello returns the first message, which must be the hub's hello.
func hello(t testing.TB, messages []sse.Message) sse.Hello {
	t.Helper()
	require.NotEmpty(t, messages)
	require.Equal(t, sse.TypeHello, messages[0].Type)
	var h sse.Hello
	require.NoError(t, json.Unmarshal(messages[0].Data, &h))
	return h
}

// seq returns the number in an id.
func seq(t testing.TB, id string) uint64 {
	t.Helper()
	pos, err := ssehub.ParsePosition(id)
	require.NoError(t, err)
	return pos.Seq
}

// requireEmpty has nothing and nobody left in the hub.
func requireEmpty(t testing.TB, hub *ssehub.Hub) {
	t.Helper()
	s := hub.Stats()
	require.Zero(t, s.Subscribers+s.Topics+s.Patterns+s.Events)
	require.Zero(t, s.Bytes)
}
