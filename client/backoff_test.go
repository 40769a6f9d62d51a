package client_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Waits double from the base to the cap; retry: replaces the base; only a
// connection that lasted starts anew. Faults 23, 34, 37.
func TestBackoff(t *testing.T) {
	refused := status(http.StatusServiceUnavailable)
	run(t, nil, steps{
		refused, refused, refused, refused, refused, refused, refused,
		sends("retry: 2000\n\ndata: short lived\n\n"),
		func(w http.ResponseWriter, r *http.Request) {
			stays("")(w, r.WithContext(timeout(r.Context(), 10*time.Second)))
		},
		refused, refused,
		stays("data: end\n\n"),
	}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		<-sub.Events()
		var waits []int
		for i := 1; i < len(s.times); i++ {
			waits = append(waits, int((s.times[i] - s.times[i-1]).Seconds()))
		}
		require.Equal(t, []int{1, 2, 4, 8, 16, 30, 30 /* then 2 s doubled 7 times */, 30, 10 + 2, 4, 8}, waits)
	})
}

// Absurd requests for a wait neither spin nor stop the client.
func TestRetryIsClamped(t *testing.T) {
	for retry, want := range map[string]time.Duration{
		"0":                    100 * time.Millisecond,
		"1":                    100 * time.Millisecond,
		"250":                  250 * time.Millisecond,
		"9223372036855":        30 * time.Second,
		"10000000000000":       30 * time.Second,
		"18446744073709551616": 30 * time.Second,
		"+5":                   time.Second,
		"-1":                   time.Second,
		"1e3":                  time.Second,
		"":                     time.Second,
	} {
		run(t, nil, steps{sends("retry: " + retry + "\n"), stays("data: x\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
			<-sub.Events()
			require.Equal(t, want, s.times[1], "retry: %s", retry)
		})
	}
}

func TestFullJitter(t *testing.T) {
	run(t, &client.Options{}, steps{sends("")}, func(t *testing.T, sub *client.Subscription, s *script) {
		time.Sleep(time.Hour)
		synctest.Wait()
		waits := map[time.Duration]bool{}
		var sum time.Duration
		for i := 6; i < len(s.times); i++ { // at the cap of 30 s
			wait := s.times[i] - s.times[i-1]
			require.LessOrEqual(t, wait, 30*time.Second)
			require.GreaterOrEqual(t, wait, 100*time.Millisecond)
			waits[wait] = true
			sum += wait
		}
		n := time.Duration(len(s.times) - 6)
		require.Greater(t, len(waits), int(n*9/10), "no two alike")
		require.InDelta(t, 15, (sum / n).Seconds(), 3)
	})
}

// Faults 37: in an outage of three days, and with the most absurd settings, the
// waits neither pass their bounds nor overflow.
func TestLongOutage(t *testing.T) {
	for name, backoff := range map[string]client.Backoff{
		"defaults": {},
		"extremes": {Base: 1, Min: time.Minute, Max: math.MaxInt64, Jitter: func(d time.Duration) time.Duration { return min(d, time.Hour) }},
		"negative": {Base: -1, Min: time.Minute, Max: -1, Jitter: func(time.Duration) time.Duration { return math.MinInt64 }},
		"huge":     {Base: math.MaxInt64, Max: math.MaxInt64, Jitter: func(time.Duration) time.Duration { return time.Hour }},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := 0
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 72*time.Hour)
				defer cancel()
				sub := client.Subscribe(ctx, "http://home/", &client.Options{
					Backoff: backoff,
					HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
						attempts++
						return nil, errors.New("unreachable")
					})},
					OnRetry: func(_ error, wait time.Duration) error {
						assert.Positive(t, wait)
						assert.LessOrEqual(t, wait, time.Hour+time.Minute)
						return nil
					},
				})
				for range sub.Events() {
				}
				require.ErrorIs(t, sub.Err(), context.DeadlineExceeded)
			})
			require.Greater(t, attempts, 70)
			require.Less(t, attempts, 72*60*60)
		})
	}
}

// The hundred thousandth attempt in a row is like the tenth.
func TestManyAttempts(t *testing.T) {
	const attemptsInARow = 100_000
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		attempts, shortest, longest := 0, time.Hour, time.Duration(0)
		sub := client.Subscribe(ctx, "", &client.Options{
			NewRequest: func(context.Context) (*http.Request, error) { return nil, errors.New("no token") },
			OnRetry: func(_ error, wait time.Duration) error {
				shortest, longest = min(shortest, wait), max(longest, wait)
				if attempts++; attempts == attemptsInARow {
					cancel()
				}
				return nil
			},
		})
		for range sub.Events() {
		}
		require.Equal(t, attemptsInARow, attempts)
		require.GreaterOrEqual(t, shortest, 100*time.Millisecond)
		require.LessOrEqual(t, longest, 30*time.Second)
	})
}

// Faults 34: what a server asks for below Min does not put all clients in step,
// but for the first wait.
func TestTinyRetryIsSpread(t *testing.T) {
	run(t, &client.Options{}, steps{sends("retry: 0\n"), status(503)}, func(t *testing.T, sub *client.Subscription, s *script) {
		time.Sleep(time.Minute)
		synctest.Wait()
		sub.Close()
		for range sub.Events() {
		}
		waits := map[time.Duration]int{}
		for i := 2; i < len(s.times); i++ {
			waits[s.times[i]-s.times[i-1]]++
		}
		require.Greater(t, len(waits), 3)
		for wait, n := range waits {
			require.Equal(t, 1, n, "%v", wait)
		}
		require.Less(t, len(s.times), 20)
	})
}
