package client_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Close and the context end the client at once and leave nothing, wherever it
// is. Faults 30, 31, 32, 36.
func TestEndsAnywhere(t *testing.T) {
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, step := range map[string]func(http.ResponseWriter, *http.Request){
		"headers":      mute,
		"body":         stays("data: half"),
		"send":         stays("data: x\n\ndata: nobody receives this\n\n"),
		"wait":         status(503),
		"many retries": sends("retry: 0\n"),
	} {
		for _, byContext := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", byContext), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := ssetest.NewServer(&script{steps: steps{step}})
					defer server.Close()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					sub := client.Subscribe(ctx, server.URL, &client.Options{HTTPClient: server.Client()})
					synctest.Wait()
					start := time.Now()
					if byContext {
						cancel()
					} else {
						sub.Close()
						sub.Close()
					}
					synctest.Wait()
					for range sub.Events() {
					}
					require.Zero(t, time.Since(start))
					if byContext {
						require.ErrorIs(t, sub.Err(), context.Canceled)
					} else {
						require.NoError(t, sub.Err())
					}
				})
			})
		}
	}
}

// Closing from the client's own callbacks is allowed.
func TestCloseInCallback(t *testing.T) {
	var sub *client.Subscription
	opts := &client.Options{OnRetry: func(error, time.Duration) error { sub.Close(); return nil }}
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(&script{steps: steps{status(503)}})
		defer server.Close()
		opts.HTTPClient = server.Client()
		ready := make(chan struct{})
		retry := opts.OnRetry
		opts.OnRetry = func(err error, wait time.Duration) error { <-ready; return retry(err, wait) }
		sub = client.Subscribe(t.Context(), server.URL, opts)
		close(ready)
		_, ok := <-sub.Events()
		require.False(t, ok)
		require.NoError(t, sub.Err())
	})
}
