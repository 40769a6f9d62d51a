package ssehub_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Stats counts what was published, delivered and lost, of the whole hub.
func TestStatsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{NoHello: true, Retry: -1, History: ssehub.Retention{Events: 2}})
		rec, end := stream(t, hub.Handler("n", "m"), "/", "")
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		synctest.Wait()
		for i := range 4 { // 2 is lost to the Subscription, which holds 1 for us
			publishNumbers(t, hub, "n", i+1, i+1)
			synctest.Wait()
		}
		for range 4 {
			<-sub.Events()
		}
		for _, id := range []string{"none", "another-1", hub.Position().Epoch + "-9", hub.Position().Epoch + "-0"} {
			one, err := hub.Resume(t.Context(), id, "n")
			require.NoError(t, err)
			<-one.Events() // the gap
			<-one.Events()
			one.Close()
		}
		_, err = hub.PublishWith(t.Context(), "m", sse.Message{}, ssehub.PublishOptions{Ephemeral: true})
		require.NoError(t, err)
		synctest.Wait()

		s := hub.Stats()
		require.Equal(t, map[string]uint64{"window": 1, "overflow": 1, "epoch": 1, "invalid": 1, "ahead": 1}, s.GapsByReason)
		require.EqualValues(t, 5, s.Gaps)
		require.Equal(t, 2, s.Subscribers)
		require.EqualValues(t, 6, s.Joined)
		require.EqualValues(t, 5, s.Published)
		require.EqualValues(t, len("data: 1\n\n")*4+len("data: \n\n"), s.PublishedBytes)
		require.EqualValues(t, 5+3, s.Delivered, "the others left before they came for more")
		require.Greater(t, s.DeliveredBytes, uint64(len(rec.Text())))
		require.False(t, s.Draining)
		end()
		sub.Close()
		require.NoError(t, hub.Shutdown(t.Context()))
		require.True(t, hub.Stats().Draining)
		require.Zero(t, hub.Stats().Subscribers)
	})
}

// The latency is that of the oldest event in each write, and events from before
// a subscriber joined have none.
func TestStatsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		defer hub.Close()
		start := hub.Position().String()
		publishNumbers(t, hub, "n", 1, 3)
		time.Sleep(time.Minute)
		sub, err := hub.Resume(t.Context(), start, "n")
		require.NoError(t, err)
		for range 3 {
			<-sub.Events()
		}
		synctest.Wait()
		require.Zero(t, hub.Stats().Latency)

		publishNumbers(t, hub, "n", 4, 4)
		synctest.Wait() // it is held for us
		time.Sleep(time.Second)
		publishNumbers(t, hub, "n", 5, 5)
		time.Sleep(time.Second)
		publishNumbers(t, hub, "n", 6, 6)
		time.Sleep(time.Second)
		for range 3 {
			<-sub.Events()
		}
		synctest.Wait()
		of := hub.Stats().Latency
		require.EqualValues(t, 2, of.Count, "4, then 5 and 6 in one")
		require.Equal(t, 5*time.Second, of.Sum)
		require.Equal(t, (1<<21)*time.Microsecond, of.Quantile(0.5))
		require.Equal(t, (1<<22)*time.Microsecond, of.Quantile(1))
		of2, ok := hub.TopicStats("n")
		require.True(t, ok)
		require.Equal(t, of, of2.Latency)
	})
}

// Several topics: the latency is counted at the topic of the oldest event.
func TestStatsLatencyOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "a", "b", "p.*")
		require.NoError(t, err)
		for _, topic := range []string{"a", "b", "p.x", "b"} {
			publish(t, hub, topic, "x")
			time.Sleep(time.Second)
			<-sub.Events()
			synctest.Wait()
		}
		_, err = hub.PublishWith(t.Context(), "a", sse.Message{}, ssehub.PublishOptions{Ephemeral: true})
		require.NoError(t, err)
		<-sub.Events()
		synctest.Wait()
		for topic, want := range map[string]uint64{"a": 2, "b": 2, "p.*": 1, "p.x": 0} {
			s, ok := hub.TopicStats(topic)
			require.True(t, ok)
			require.Equal(t, want, s.Latency.Count, topic)
		}
	})
}

func TestHistogram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(nil)
		defer hub.Close()
		require.Zero(t, hub.Stats().Latency.Quantile(0.5))
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		waits := []time.Duration{0, time.Microsecond, time.Microsecond + 1, 2 * time.Microsecond, time.Millisecond, time.Hour}
		for _, wait := range waits {
			publish(t, hub, "n", "x")
			time.Sleep(wait)
			<-sub.Events()
			synctest.Wait()
		}
		h := hub.Stats().Latency
		got := make(map[time.Duration]uint64)
		var before time.Duration
		for bound, n := range h.Buckets() {
			require.Greater(t, bound, before)
			before, got[bound] = bound, n
		}
		for bound, want := range map[time.Duration]uint64{
			time.Microsecond:           2,
			2 * time.Microsecond:       4,
			512 * time.Microsecond:     4,
			1024 * time.Microsecond:    5,
			1 << 26 * time.Microsecond: 5,
			math.MaxInt64:              6,
		} {
			require.Equal(t, want, got[bound], bound)
		}
		require.EqualValues(t, len(waits), h.Count)
		require.Equal(t, time.Microsecond, h.Quantile(0))
		require.Equal(t, 2*time.Microsecond, h.Quantile(0.5))
		require.Equal(t, (1<<26)*time.Microsecond, h.Quantile(1), "all that is longer")
	})
}

// TopicStats tells of one topic or pattern what is kept, and how far behind its
// slowest subscriber is.
func TestTopicStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{
			History: ssehub.Retention{Events: 5, Age: time.Hour},
			OverflowFor: func(topic string) ssehub.Overflow {
				if topic == "latest" {
					return ssehub.Latest
				}
				return ssehub.SkipToOldest
			},
		})
		defer hub.Close()
		at := func(seq uint64) ssehub.Position { return ssehub.Position{Epoch: hub.Position().Epoch, Seq: seq} }
		of := func(topic string) ssehub.TopicStats {
			synctest.Wait()
			s, ok := hub.TopicStats(topic)
			require.True(t, ok)
			return s
		}
		_, ok := hub.TopicStats("n.a")
		require.False(t, ok)
		fast, err := hub.Subscribe(t.Context(), "n.a")
		require.NoError(t, err)
		slow, err := hub.Subscribe(t.Context(), "n.*", "quiet")
		require.NoError(t, err)
		none := map[string]uint64{"window": 0, "overflow": 0}
		require.Equal(t, ssehub.TopicStats{Topic: "n.a", Subscribers: 1, GapsByReason: none}, of("n.a"))
		require.Equal(t, ssehub.TopicStats{Topic: "n.*", Pattern: true, Subscribers: 1, GapsByReason: none}, of("n.*"))

		for i := range 3 {
			publish(t, hub, "n.a", strconv.Itoa(i))
			<-fast.Events()
			time.Sleep(time.Second)
		}
		s := of("n.a")
		require.Equal(t, at(1), s.First)
		require.Equal(t, at(3), s.Last)
		require.Equal(t, 3, s.Events)
		require.EqualValues(t, 3*len("id: 00000000-1\ndata: 1\n\n"), s.Bytes)
		require.Zero(t, s.Lag)
		s = of("n.*")
		require.Equal(t, 3, s.Lag, "the first is held for us")
		require.Equal(t, 3*time.Second, s.LagTime)
		require.Equal(t, 3*time.Second, hub.Stats().LagTime)
		require.Zero(t, of("quiet").Lag, "whatever the others' numbers are")

		for range 6 {
			publish(t, hub, "n.a", "x")
			<-fast.Events()
		}
		s = of("n.*")
		require.Equal(t, at(5), s.First)
		require.Equal(t, at(9), s.Last)
		require.Equal(t, 5, s.Lag, "the rest is lost already")
		for range 7 { // one, a gap, five
			<-slow.Events()
		}
		s = of("n.*")
		require.Equal(t, map[string]uint64{"window": 0, "overflow": 1}, s.GapsByReason)
		require.Zero(t, s.Lag)
		require.Zero(t, hub.Stats().LagTime)

		publish(t, hub, "n.a", "x")
		require.Equal(t, 1, of("n.a").Lag)
		fast.Close()
		s = of("n.a")
		require.Zero(t, s.Lag, "nobody is behind")
		require.Zero(t, s.Subscribers)
		slow.Close()
	})
}

// Under Latest the values that are kept in front of the window count.
func TestTopicStatsLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: 4}})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		synctest.Wait()
		put := func(key string) {
			_, err := hub.PublishWith(t.Context(), "n", sse.Message{}, ssehub.PublishOptions{Key: key})
			require.NoError(t, err)
		}
		put("old")
		for range 50 {
			put("new")
		}
		s, ok := hub.TopicStats("n")
		require.True(t, ok)
		require.Equal(t, ssehub.Latest, s.Policy)
		require.EqualValues(t, 1, s.First.Seq)
		require.EqualValues(t, 51, s.Last.Seq)
		require.Equal(t, s.Events, s.Lag)
		sub.Close()
	})
}

// Topics has each topic once, in steps between which the caller may use the hub.
func TestTopics(t *testing.T) {
	hub := newHub(t, nil)
	want := make(map[string]int)
	for i := range 1000 {
		topic := fmt.Sprint("t", i)
		publish(t, hub, topic, "x")
		want[topic] = 1
	}
	sub, err := hub.Subscribe(t.Context(), "t1.>")
	require.NoError(t, err)
	defer sub.Close()
	want["t1.>"] = 1
	got := make(map[string]int)
	for s := range hub.Topics() {
		if _, ok := want[s.Topic]; ok { // else it came into being meanwhile
			got[s.Topic]++
		}
		of, ok := hub.TopicStats(s.Topic)
		require.True(t, ok)
		require.Equal(t, of, s)
		if !s.Pattern && !strings.HasPrefix(s.Topic, "new.") {
			publish(t, hub, "new."+s.Topic, "x")
		}
	}
	require.Equal(t, want, got)
}

// All the questions at once, while everything moves.
func TestStatsDuringStorm(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 10, Age: 10 * time.Millisecond}})
	ctx, stop := context.WithCancel(t.Context())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for i := 0; ctx.Err() == nil; i++ {
			publish(t, hub, fmt.Sprint("t", i), "x") // soon forgotten
			hub.Stats()
			hub.TopicStats("n")
			for s := range hub.Topics() {
				if s.Lag > 50 { // a little more than the history, as it is counted while that moves
					t.Errorf("%+v", s)
				}
			}
		}
	}()
	storm(t, hub, "n", 20)
	stop()
	<-asked
}

// Stats tell what the limits are, zero where there is none, and of each reason to
// refuse, also before the first refusal.
func TestStatsLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		opts    *ssehub.Options
		streams int
		bytes   int64
	}{
		"defaults": {nil, 0, 1 << 30},
		"limits":   {&ssehub.Options{MaxHistory: 5, Limits: ssehub.Limits{Streams: 3}}, 3, 5},
		"none":     {&ssehub.Options{MaxHistory: -1}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHub(t, tt.opts).Stats()
			require.Equal(t, tt.streams, s.MaxStreams)
			require.Equal(t, tt.bytes, s.MaxBytes)
			require.Equal(t, map[string]uint64{"site": 0, "denied": 0, "streams": 0, "subject": 0, "addr": 0, "topic": 0,
				"rate": 0, "broker": 0, "shutdown": 0}, s.Refused)
		})
	}
}
