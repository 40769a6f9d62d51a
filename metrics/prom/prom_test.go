package prom_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/internal/exposed"
	"github.com/ssehub-go/ssehub/metrics/prom"
	"github.com/ssehub-go/ssehub/sse"
)

// registry checks more than the default one does: what is collected against what is
// described.
func registry(t testing.TB, c prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(c))
	return r
}

// text is what a scrape gets.
func text(t testing.TB, c prometheus.Collector) string {
	families, err := registry(t, c).Gather()
	require.NoError(t, err)
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

func newHub(t testing.TB, opts *ssehub.Options) *ssehub.Hub {
	hub := ssehub.New(opts)
	t.Cleanup(func() { hub.Close() })
	return hub
}

func publish(t testing.TB, hub *ssehub.Hub, topic string) {
	_, err := hub.Publish(t.Context(), topic, sse.Message{Data: []byte("1")})
	require.NoError(t, err)
}

// The names, units and help texts pass the linter of promtool check metrics, which is
// the same code.
func TestLint(t *testing.T) {
	hub := newHub(t, &ssehub.Options{Limits: ssehub.Limits{Streams: 1}})
	c := prom.NewCollector(hub, &prom.Options{Topics: []string{"t"}})
	problems, err := testutil.GatherAndLint(registry(t, c))
	require.NoError(t, err)
	require.Empty(t, problems)
}

// What is not exposed has a reason.
func TestFields(t *testing.T) {
	exposed.Fields(t, map[string]string{
		"Stats.Gaps":         "it is the sum of GapsByReason",
		"TopicStats.Pattern": "it does not change, and the name shows it",
		"TopicStats.Policy":  "it does not change",
		"TopicStats.First":   "ssehub_topic_history_events says how much is kept",
		"TopicStats.Last":    "ssehub_log_position moves the same",
		"TopicStats.Latency": "that would be thirty series for each topic",
	}, func(s ssehub.Stats, topic ssehub.TopicStats) string { return text(t, prom.Of(s, topic)) })
}

// docs/metrics.md lists the metrics as they are.
func TestDocumented(t *testing.T) {
	hub := newHub(t, &ssehub.Options{Limits: ssehub.Limits{Streams: 1}})
	families, err := registry(t, prom.NewCollector(hub, &prom.Options{Topics: []string{"t"}})).Gather()
	require.NoError(t, err)
	var rows []string
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |",
			f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()))
	}
	exposed.Documented(t, "ssehub_", rows)
}

// The values are those of Stats, in seconds and bytes.
func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 2}, Limits: ssehub.Limits{Streams: 9}})
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		synctest.Wait()
		for range 4 {
			publish(t, hub, "t")
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		c := prom.NewCollector(hub, &prom.Options{Topics: []string{"t", "never", "t", "no\xfftopic"}})
		want := `
# HELP ssehub_lag_seconds How long ago the oldest kept event was published that some subscriber has not got.
# TYPE ssehub_lag_seconds gauge
ssehub_lag_seconds 3
# HELP ssehub_streams_limit Limits.Streams. Not there if there is no limit.
# TYPE ssehub_streams_limit gauge
ssehub_streams_limit 9
# HELP ssehub_topic_subscribers Subscribers of the topic.
# TYPE ssehub_topic_subscribers gauge
ssehub_topic_subscribers{topic="never"} 0
ssehub_topic_subscribers{topic="no?topic"} 0
ssehub_topic_subscribers{topic="t"} 1
# HELP ssehub_topic_lag_events How many of the kept events the slowest subscriber has not got.
# TYPE ssehub_topic_lag_events gauge
ssehub_topic_lag_events{topic="never"} 0
ssehub_topic_lag_events{topic="no?topic"} 0
ssehub_topic_lag_events{topic="t"} 2
`
		require.NoError(t, testutil.GatherAndCompare(registry(t, c), strings.NewReader(want),
			"ssehub_lag_seconds", "ssehub_streams_limit", "ssehub_topic_subscribers", "ssehub_topic_lag_events"))
		for range 4 { // the first, a gap, and those behind it
			<-sub.Events()
		}
		synctest.Wait()
		want = `
# HELP ssehub_published_events_total Events published; with a broker all that this hub has read.
# TYPE ssehub_published_events_total counter
ssehub_published_events_total 4
# HELP ssehub_delivered_events_total Events written to streams, or received from in-process subscriptions.
# TYPE ssehub_delivered_events_total counter
ssehub_delivered_events_total 3
# HELP ssehub_gaps_total Gaps told to subscribers, each a loss of one or more events, by reason.
# TYPE ssehub_gaps_total counter
ssehub_gaps_total{reason="ahead"} 0
ssehub_gaps_total{reason="epoch"} 0
ssehub_gaps_total{reason="invalid"} 0
ssehub_gaps_total{reason="overflow"} 1
ssehub_gaps_total{reason="window"} 0
`
		require.NoError(t, testutil.GatherAndCompare(registry(t, c), strings.NewReader(want),
			"ssehub_published_events_total", "ssehub_delivered_events_total", "ssehub_gaps_total"))
	})
}

// The latency is a histogram of Prometheus with the hub's own buckets.
func TestHistogram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, nil)
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		synctest.Wait()
		for _, wait := range []time.Duration{0, time.Second, time.Hour} {
			publish(t, hub, "t")
			time.Sleep(wait)
			<-sub.Events()
			synctest.Wait()
		}
		families, err := registry(t, prom.NewCollector(hub, nil)).Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() != "ssehub_delivery_latency_seconds" {
				continue
			}
			h := f.GetMetric()[0].GetHistogram()
			require.EqualValues(t, 3, h.GetSampleCount())
			require.InDelta(t, 3601, h.GetSampleSum(), 0.1)
			counts := map[float64]uint64{}
			for _, b := range h.GetBucket() {
				counts[b.GetUpperBound()] = b.GetCumulativeCount()
			}
			require.Len(t, counts, 27)
			require.EqualValues(t, 1, counts[1e-6])
			require.EqualValues(t, 1, counts[0.524288])
			require.EqualValues(t, 2, counts[1.048576])
			require.EqualValues(t, 2, counts[67.108864], "the hour is in the bucket of infinity")
			require.NotContains(t, counts, math.MaxInt64/1e9)
			return
		}
		require.Fail(t, "no histogram")
	})
}

// Fault 91: twenty thousand topics, all with an event and some with a reader, give
// not one series more than none, and those that are chosen eight each.
func TestSeries(t *testing.T) {
	hub := newHub(t, &ssehub.Options{Limits: ssehub.Limits{Streams: 1}})
	plain := prom.NewCollector(hub, nil)
	chosen := prom.NewCollector(hub, &prom.Options{Topics: []string{"t.1", "t.*"}})
	none := testutil.CollectAndCount(plain)
	require.Less(t, none, 100)
	require.Equal(t, none+2*8, testutil.CollectAndCount(chosen))
	for i := range 20_000 {
		topic := "t." + strconv.Itoa(i)
		publish(t, hub, topic)
		if i%1000 == 0 {
			_, err := hub.Subscribe(t.Context(), topic, "*."+strconv.Itoa(i))
			require.NoError(t, err)
		}
	}
	require.Equal(t, 20_000, hub.Stats().Topics)
	require.Equal(t, none, testutil.CollectAndCount(plain))
	require.Equal(t, none+2*8, testutil.CollectAndCount(chosen))
}

// Scrapes at the same time as everything else, and after the hub has ended.
func TestConcurrent(t *testing.T) {
	hub := ssehub.New(nil)
	r := registry(t, prom.NewCollector(hub, &prom.Options{Topics: []string{"t", "*"}}))
	scrape := func() {
		_, err := r.Gather()
		require.NoError(t, err)
	}
	var tasks sync.WaitGroup
	for range 4 {
		tasks.Go(func() {
			for range 100 {
				ctx, end := context.WithCancel(t.Context())
				sub, err := hub.Subscribe(ctx, "t", "*")
				if err == nil {
					publish(t, hub, "t")
					<-sub.Events()
				}
				end()
			}
		})
		tasks.Go(func() {
			for range 50 {
				scrape()
			}
		})
	}
	tasks.Wait()
	hub.Close()
	scrape()
}

// The time that a scrape takes, and in which publishers wait for Hub.Stats.
func BenchmarkScrape(b *testing.B) {
	for _, topics := range []int{1, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			hub := newHub(b, nil)
			for i := range topics {
				publish(b, hub, "t."+strconv.Itoa(i))
			}
			r := registry(b, prom.NewCollector(hub, nil))
			for b.Loop() {
				if _, err := r.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
