package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// NewRequest is called for each attempt, and its method, body and headers go
// out.
func TestNewRequest(t *testing.T) {
	attempt := 0
	failing := errors.New("no token yet")
	opts := &client.Options{Backoff: noJitter, NewRequest: func(ctx context.Context) (*http.Request, error) {
		if attempt++; attempt == 1 {
			return nil, failing
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ssetest/x", strings.NewReader("question"))
		if err == nil {
			req.Header.Set("Authorization", fmt.Sprint("token ", attempt))
		}
		return req, err
	}}
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sends(fmt.Sprintf("data: %s %s %s %s %s\n\n", r.Method, body, r.Header.Get("Authorization"), r.Header.Get("Accept"), r.Header.Get("Cache-Control")))(w, r)
	}
	run(t, opts, steps{echo}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "POST question token 2 text/event-stream no-cache", string((<-sub.Events()).Data))
		require.Equal(t, "POST question token 3 text/event-stream no-cache", string((<-sub.Events()).Data))
	})
}

// http.Client.Timeout of the client it is given does not end the stream.
func TestClientTimeoutIsNeutralised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: steps{stays("data: x\n\n")}}
		server := ssetest.NewServer(s)
		defer server.Close()
		httpClient := server.Client()
		httpClient.Timeout = time.Second
		sub := client.Subscribe(t.Context(), server.URL, &client.Options{HTTPClient: httpClient})
		<-sub.Events()
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, s.requests.Load())
		require.Equal(t, time.Second, httpClient.Timeout)
		sub.Close()
		_, ok := <-sub.Events()
		require.False(t, ok)
	})
}
