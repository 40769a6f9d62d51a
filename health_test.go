package ssehub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// silent is a Broker that can stop to answer, as an engine whose process is stopped.
type silent struct {
	*brokertest.Memory
	on atomic.Bool
}

func (s *silent) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	if s.on.Load() {
		<-ctx.Done()
	}
	return s.Memory.Bounds(ctx)
}

// Stats tell of a Broker that fails, and of one that is silent, while that lasts.
func TestBrokerStats(t *testing.T) {
	down := errors.New("down")
	for name, tt := range map[string]struct {
		fail, mend func(*silent)
		err        error
	}{
		"down":   {func(s *silent) { s.Fail(down) }, func(s *silent) { s.Fail(nil) }, down},
		"silent": {func(s *silent) { s.on.Store(true) }, func(s *silent) { s.on.Store(false) }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &silent{Memory: new(brokertest.Memory)}
				hub := newHub(t, &ssehub.Options{Broker: b})
				publish(t, hub, "t", "1")
				synctest.Wait()
				require.NoError(t, hub.Stats().Broker.Err)
				tt.fail(b)
				time.Sleep(11 * time.Second)
				require.ErrorIs(t, hub.Stats().Broker.Err, tt.err)
				tt.mend(b)
				time.Sleep(11 * time.Second)
				require.NoError(t, hub.Stats().Broker.Err)
			})
		})
	}
}

// So they do of one that is silent from the start, or when it is asked about a hole.
func TestBrokerStatsSilent(t *testing.T) {
	for name, first := range map[string]uint64{"from the start": 0, "behind a hole": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &silent{Memory: new(brokertest.Memory)}
				b.on.Store(first == 0)
				hub := newHub(t, &ssehub.Options{Broker: b})
				synctest.Wait()
				b.on.Store(true)
				if first > 0 {
					appendTo(t, b.Memory, "1", "2", "3")
					b.Trim(first)
				}
				time.Sleep(11 * time.Second)
				require.ErrorIs(t, hub.Stats().Broker.Err, context.DeadlineExceeded)
				b.on.Store(false)
				time.Sleep(11 * time.Second)
				require.NoError(t, hub.Stats().Broker.Err)
				require.Equal(t, first, hub.Position().Seq)
			})
		})
	}
}

// Stats count what the Broker takes, what it does not, and how long it needs.
func TestBrokerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hookBroker{Memory: new(brokertest.Memory)}
		b.append = func(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
			time.Sleep(time.Second)
			return b.Memory.Append(ctx, e)
		}
		hub := newHub(t, &ssehub.Options{Broker: b})
		synctest.Wait()
		require.Equal(t, ssehub.BrokerStats{}, hub.Stats().Broker)
		publish(t, hub, "t", "1")
		synctest.Wait()
		b.before = func(*ssehub.Event) error { return errors.New("unreadable for now") }
		publish(t, hub, "t", "2")
		b.Fail(errors.New("down"))
		_, err := hub.Publish(t.Context(), "t", sse.Message{})
		require.Error(t, err)
		time.Sleep(time.Minute)
		s := hub.Stats().Broker
		require.EqualValues(t, 2, s.Appended)
		require.EqualValues(t, 1, s.Refused)
		require.EqualValues(t, 1, s.Unread)
		require.Greater(t, s.Failures, uint64(1))
		require.Error(t, s.Err)
		require.EqualValues(t, 2, s.Latency.Count)
		require.Equal(t, 2*time.Second, s.Latency.Sum)
		require.Zero(t, newHub(t, nil).Stats().Broker)
	})
}
