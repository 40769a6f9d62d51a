package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Which answers end a Subscription and which are tried again. Faults 24, 25.
func TestStatus(t *testing.T) {
	tests := []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		code   int           // of the ResponseError that ends it; 0: none
		wait   time.Duration // before the next attempt; 0: it has ended
	}{
		{"204", status(204), 0, 0},
		{"400", status(400), 400, 0},
		{"401", status(401), 401, 0},
		{"403", status(403), 403, 0},
		{"404", status(404), 404, 0},
		{"405", status(405), 405, 0},
		{"410", status(410), 410, 0},
		{"200 html", status(200, "Content-Type", "text/html"), 200, 0},
		{"200 json", status(200, "Content-Type", "application/json"), 200, 0},
		{"200 without a type", status(200, "Content-Type", ""), 200, 0},
		{"408", status(408), 0, time.Second},
		{"425", status(425), 0, time.Second},
		{"429", status(429), 0, time.Second},
		{"429 after", status(429, "Retry-After", "7"), 0, 7 * time.Second},
		{"500", status(500), 0, time.Second},
		{"503 after", status(503, "Retry-After", "7"), 0, 7 * time.Second},
		{"503 after an hour", status(503, "Retry-After", "3600"), 0, 30 * time.Second},
		{"503 after ages", status(503, "Retry-After", "99999999999999999999"), 0, 30 * time.Second},
		{"503 after many seconds", status(503, "Retry-After", "2147483648"), 0, 30 * time.Second},
		{"503 after nonsense", status(503, "Retry-After", "-7"), 0, time.Second},
		{"clean end", sends(""), 0, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, nil, steps{tt.answer, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
				_, again := <-sub.Events()
				if tt.wait > 0 {
					require.True(t, again)
					require.Equal(t, tt.wait, s.times[1])
					require.NoError(t, sub.Err())
					return
				}
				require.False(t, again)
				require.EqualValues(t, 1, s.requests.Load())
				var res *sse.ResponseError
				if tt.code == 0 {
					require.NoError(t, sub.Err())
					return
				}
				require.ErrorAs(t, sub.Err(), &res)
				require.Equal(t, tt.code, res.StatusCode)
				require.Equal(t, fmt.Sprintf("status %d", tt.code), string(res.Body))
			})
		})
	}
}

// A URL that cannot be asked for is no reason to try for ever.
func TestBadURL(t *testing.T) {
	sub := client.Subscribe(t.Context(), "://", nil)
	_, ok := <-sub.Events()
	require.False(t, ok)
	require.ErrorContains(t, sub.Err(), "missing protocol scheme")
}

// A refusal whose body does not end is a refusal all the same.
func TestRefusalWithoutEnd(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "busy")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	var failed error
	opts := &client.Options{Backoff: noJitter, OnRetry: func(err error, _ time.Duration) error { failed = err; return nil }}
	run(t, opts, steps{endless, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		var res *sse.ResponseError
		require.ErrorAs(t, failed, &res)
		require.Equal(t, "busy", string(res.Body))
		require.Equal(t, 10*time.Second+time.Second, s.times[1])
	})
}

func TestOnRetryEnds(t *testing.T) {
	enough := errors.New("enough")
	var seen []error
	opts := &client.Options{Backoff: noJitter, OnRetry: func(err error, wait time.Duration) error {
		seen = append(seen, err)
		if len(seen) == 3 {
			return enough
		}
		return nil
	}}
	run(t, opts, steps{sends("data: x\n\n"), status(500)}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		_, ok := <-sub.Events()
		require.False(t, ok)
		require.ErrorIs(t, sub.Err(), enough)
		require.ErrorIs(t, seen[0], io.EOF)
		var res *sse.ResponseError
		require.ErrorAs(t, seen[1], &res)
	})
}

// A hub that withdraws the permission ends the Subscription, unless the application
// tries again; then it goes on where it was.
func TestRevoked(t *testing.T) {
	const first = "id: e-5\ndata: x\n\nevent: ssehub.revoked\nid: ssehub.revoked\ndata: {}\n\n"
	t.Run("ends", func(t *testing.T) {
		run(t, &client.Options{ControlEvents: true}, steps{stays(first)}, func(t *testing.T, sub *client.Subscription, _ *script) {
			var types []string
			for m := range sub.Events() {
				types = append(types, m.Type)
			}
			require.Equal(t, []string{"", sse.TypeRevoked}, types)
			require.ErrorIs(t, sub.Err(), client.ErrRevoked)
			require.Equal(t, "e-5", sub.LastEventID())
		})
	})
	t.Run("tries again", func(t *testing.T) {
		opts := &client.Options{OnRetry: func(err error, _ time.Duration) error {
			require.ErrorIs(t, err, client.ErrRevoked)
			return client.ErrRetry
		}}
		run(t, opts, steps{stays(first), stays("data: y\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
			require.Equal(t, "x", string((<-sub.Events()).Data))
			require.Equal(t, "y", string((<-sub.Events()).Data))
			require.Equal(t, "e-5", sub.LastEventID())
		})
	})
}
