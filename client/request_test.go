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

// What the application returns stays its own: it may use one header, and one
// request, again and again, also for several Subscriptions.
func TestSharedRequest(t *testing.T) {
	shared, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://ssetest/", nil)
	require.NoError(t, err)
	shared.Header.Set("Authorization", "token")
	opts := &client.Options{Backoff: noJitter, NewRequest: func(context.Context) (*http.Request, error) { return shared, nil }}
	run(t, opts, steps{sends("id: a\ndata: a\n\n"), sends("id\ndata: b\n\n"), stays("data: c\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		for range 3 {
			<-sub.Events()
		}
		require.Equal(t, []string{"-", "a", "-"}, s.ids)
		require.Equal(t, http.Header{"Authorization": {"token"}}, shared.Header)
	})
}

// Values of the request's own context reach the transport, whose attempt ends
// with the Subscription all the same.
func TestRequestContext(t *testing.T) {
	type key struct{}
	seen := make(chan any, 1)
	sub := client.Subscribe(t.Context(), "", &client.Options{
		HTTPClient: &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			seen <- req.Context().Value(key{})
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		})},
		NewRequest: func(context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(context.WithValue(context.Background(), key{}, "value"), http.MethodGet, "http://home/", nil)
		},
	})
	require.Equal(t, "value", <-seen)
	sub.Close()
	for range sub.Events() {
	}
	require.NoError(t, sub.Err())
}

// A body that does not heed its context ends with the Subscription, and with
// the idle timeout.
func TestBodyIgnoresContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := make(chan error, 10)
		sub := client.Subscribe(t.Context(), "http://home/", &client.Options{
			IdleTimeout: time.Second,
			OnRetry:     func(err error, _ time.Duration) error { idle <- err; return nil },
			HTTPClient: &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				r, _ := io.Pipe()
				return respond(req, http.StatusOK, r), nil
			})},
		})
		require.ErrorIs(t, <-idle, client.ErrIdle)
		synctest.Wait()
		sub.Close()
		for range sub.Events() {
		}
		require.NoError(t, sub.Err())
	})
}
