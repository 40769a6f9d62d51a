package ssetest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// What the package's comment shows, with a time that a test could not wait for.
func TestHubInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		defer hub.Close()
		server := ssetest.NewServer(hub.Handler("prices"))
		defer server.Close()
		sub := client.Subscribe(t.Context(), server.URL, &client.Options{HTTPClient: server.Client()})
		time.Sleep(24 * time.Hour)
		_, err := hub.Publish(t.Context(), "prices", sse.Message{Data: []byte("x")})
		require.NoError(t, err)
		m, ok := <-sub.Events()
		require.True(t, ok)
		require.Equal(t, "x", string(m.Data))
		sub.Close()
		for range sub.Events() {
		}
	})
}
