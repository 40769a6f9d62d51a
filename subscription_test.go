package ssehub_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

func TestSubscriptionEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hub := newHub(t, nil)
	tests := map[string]struct {
		end  func(sub *ssehub.Subscription)
		want error
	}{
		"Close":   {end: func(sub *ssehub.Subscription) { sub.Close(); sub.Close() }},
		"context": {end: func(*ssehub.Subscription) { cancel() }, want: context.Canceled},
		"hub":     {end: func(*ssehub.Subscription) { hub.Close() }, want: ssehub.ErrClosed},
	}
	for _, name := range []string{"Close", "context", "hub"} {
		tt := tests[name]
		of := t.Context()
		if name == "context" {
			of = ctx
		}
		sub, err := hub.Subscribe(of, "n")
		require.NoError(t, err)
		require.NoError(t, sub.Err())
		publish(t, hub, "n", "nobody takes this")
		tt.end(sub)
		for range sub.Events() {
		}
		require.ErrorIs(t, sub.Err(), tt.want, name)
		if tt.want == nil {
			require.NoError(t, sub.Err())
		}
		require.Zero(t, hub.Stats().Subscribers)
	}
}

// All ends with the error, and closes what is left early.
func TestSubscriptionAll(t *testing.T) {
	hub := newHub(t, nil)
	sub, err := hub.Subscribe(t.Context(), "n")
	require.NoError(t, err)
	publishNumbers(t, hub, "n", 1, 2)
	for n, err := range sse.JSON[int](sub.All()) {
		require.NoError(t, err)
		require.Equal(t, 1, n)
		break
	}
	for range sub.Events() { // one may have been on its way
	}
	require.NoError(t, sub.Err())

	sub, err = hub.Subscribe(t.Context(), "n")
	require.NoError(t, err)
	require.NoError(t, hub.Close())
	for _, err := range sub.All() {
		require.ErrorIs(t, err, ssehub.ErrClosed)
	}
}

func TestSubscribeRefuses(t *testing.T) {
	hub := newHub(t, nil)
	_, err := hub.Subscribe(t.Context())
	require.ErrorIs(t, err, ssehub.ErrInvalidTopic)
	for _, topic := range invalidTopics {
		_, err := hub.Subscribe(t.Context(), "n", topic)
		require.ErrorIs(t, err, ssehub.ErrInvalidTopic)
	}
	require.Zero(t, hub.Stats().Subscribers)
	require.Zero(t, hub.Stats().Topics)
}

// A reader whose loop calls the hub again, from the goroutine that reads.
// Faults 32, 64.
func TestSubscriptionReenters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		publish(t, hub, "n", "0")
		rounds := 0
		for m := range sub.Events() {
			if rounds++; rounds == 100 {
				require.NoError(t, hub.Close())
				continue
			}
			publish(t, hub, "n", string(m.Data)+"x")
			other, err := hub.Resume(t.Context(), m.ID, "n")
			require.NoError(t, err)
			<-other.Events()
			other.Close()
		}
		require.ErrorIs(t, sub.Err(), ssehub.ErrClosed)
	})
}
