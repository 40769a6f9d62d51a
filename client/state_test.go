package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/stretchr/testify/require"
)

// Every change of state is seen, and State agrees with it.
func TestStates(t *testing.T) {
	const (
		connecting = client.StateConnecting
		open       = client.StateOpen
		waiting    = client.StateWaiting
		closed     = client.StateClosed
	)
	tests := map[string]struct {
		steps steps
		want  []client.State
	}{
		"refused, ended, open, closed": {
			steps{status(503), sends("data: 1\n\n"), stays("data: 2\n\n")},
			[]client.State{connecting, waiting, connecting, open, waiting, connecting, open, closed},
		},
		"not found": {steps{status(404)}, []client.State{connecting, closed}},
		"no more":   {steps{sends(""), status(204)}, []client.State{connecting, open, waiting, connecting, closed}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var seen []client.State
			var sub *client.Subscription
			ready := make(chan struct{})
			opts := &client.Options{Backoff: noJitter, OnState: func(state client.State) {
				<-ready
				require.Equal(t, state, sub.State())
				seen = append(seen, state)
			}}
			run(t, opts, tt.steps, func(t *testing.T, s *client.Subscription, _ *script) {
				sub = s
				close(ready)
				for m := range sub.Events() {
					if string(m.Data) == "2" {
						sub.Close()
					}
				}
				require.Equal(t, closed, sub.State())
			})
			require.Equal(t, tt.want, seen)
		})
	}
}

func TestStateNames(t *testing.T) {
	require.Equal(t, "connecting open waiting closed unknown", client.StateConnecting.String()+" "+client.StateOpen.String()+" "+
		client.StateWaiting.String()+" "+client.StateClosed.String()+" "+client.State(9).String())
}

// What the application may decide about a failure: to give up, to go on where
// the client would not, or nothing.
func TestOnRetryDecides(t *testing.T) {
	tests := map[string]struct {
		answer   func(http.ResponseWriter, *http.Request)
		decision error
		wait     time.Duration // as OnRetry is told
		again    bool
	}{
		"permanent, left alone": {status(403), nil, 0, false},
		"permanent, tried":      {status(403), client.ErrRetry, 0, true},
		"passing, left alone":   {status(503), nil, time.Second, true},
		"passing, tried":        {status(503), client.ErrRetry, time.Second, true},
		"passing, given up":     {status(503), http.ErrAbortHandler, time.Second, false},
		"permanent, given up":   {status(403), http.ErrAbortHandler, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opts := &client.Options{Backoff: noJitter, OnRetry: func(err error, wait time.Duration) error {
				require.Equal(t, tt.wait, wait)
				return tt.decision
			}}
			run(t, opts, steps{tt.answer, stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
				_, again := <-sub.Events()
				require.Equal(t, tt.again, again)
				switch {
				case again:
					require.Equal(t, time.Second, s.times[1])
					require.NoError(t, sub.Err())
				case tt.decision != nil:
					require.ErrorIs(t, sub.Err(), tt.decision)
				default:
					require.ErrorContains(t, sub.Err(), "403")
				}
			})
		})
	}
}
