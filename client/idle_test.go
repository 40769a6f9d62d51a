package client_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/stretchr/testify/require"
)

// The idle timeout counts from any byte, and not while the application is busy
// with an event. It also covers a server that does not answer.
func TestIdleTimeout(t *testing.T) {
	beats := func(w http.ResponseWriter, r *http.Request) {
		sends("data: 1\n\ndata: 2\n\n")(w, r)
		for range 10 {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(900 * time.Millisecond)
			_, _ = io.WriteString(w, ":\n")
		}
		_, _ = io.WriteString(w, "data: 3\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	mute := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	opts := &client.Options{Backoff: noJitter, IdleTimeout: time.Second}
	run(t, opts, steps{mute, beats}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		require.Equal(t, []time.Duration{0, 2 * time.Second}, s.times)
		time.Sleep(time.Minute) // the application's own business
		<-sub.Events()
		require.Equal(t, "3", string((<-sub.Events()).Data))
		require.Len(t, s.times, 2)
	})
}
