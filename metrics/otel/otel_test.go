package otel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/internal/exposed"
	"github.com/ssehub-go/ssehub/metrics/otel"
	"github.com/ssehub-go/ssehub/sse"
)

// collector collects what meters have.
type collector struct {
	*sdk.MeterProvider
	reader *sdk.ManualReader
}

func newCollector() collector {
	reader := sdk.NewManualReader()
	return collector{sdk.NewMeterProvider(sdk.WithReader(reader)), reader}
}

// figure is a figure with its attributes, and for a histogram the counts.
type figure struct {
	name, kind, unit, help string
	attrs                  attribute.Set
	value                  float64
	count                  uint64
	bounds                 []float64
	counts                 []uint64
}

func (c collector) collect(t testing.TB) (figures []figure) {
	var all metricdata.ResourceMetrics
	require.NoError(t, c.reader.Collect(context.Background(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			add := func(kind string, attrs attribute.Set, value float64) {
				figures = append(figures, figure{name: m.Name, kind: kind, unit: m.Unit, help: m.Description, attrs: attrs, value: value})
			}
			sum := func(monotonic bool) string {
				if monotonic {
					return "counter"
				}
				return "up-down counter"
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(sum(data.IsMonotonic), p.Attributes, float64(p.Value))
				}
			case metricdata.Sum[float64]:
				for _, p := range data.DataPoints {
					add(sum(data.IsMonotonic), p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add("gauge", p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add("gauge", p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				p := data.DataPoints[0]
				add("histogram", p.Attributes, p.Sum)
				last := &figures[len(figures)-1]
				last.count, last.bounds, last.counts = p.Count, p.Bounds, p.BucketCounts
			default:
				require.Fail(t, "of a kind that nobody made", "%T", data)
			}
		}
	}
	return figures
}

// of returns the figures of a name, by the values of their attributes.
func of(figures []figure, name string) map[string]float64 {
	found := map[string]float64{}
	for _, f := range figures {
		if f.name == name {
			var values []string
			for _, kv := range f.attrs.ToSlice() {
				values = append(values, kv.Value.String())
			}
			found[strings.Join(values, ",")] = f.value
		}
	}
	return found
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

// What is not exposed has a reason.
func TestFields(t *testing.T) {
	exposed.Fields(t, map[string]string{
		"Stats.Gaps":         "it is the sum of GapsByReason",
		"Stats.Latency":      "Trace records it",
		"TopicStats.Pattern": "it does not change, and the name shows it",
		"TopicStats.Policy":  "it does not change",
		"TopicStats.First":   "ssehub.topic.event.count says how much is kept",
		"TopicStats.Last":    "ssehub.log.position moves the same",
		"TopicStats.Latency": "that would be thirty series for each topic",
	}, func(s ssehub.Stats, topic ssehub.TopicStats) string {
		c := newCollector()
		_, err := otel.Of(s, topic, c.Meter("test"))
		require.NoError(t, err)
		var lines []string
		for _, f := range c.collect(t) {
			lines = append(lines, fmt.Sprintf("%+v", f))
		}
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	})
}

// docs/metrics.md lists the metrics as they are.
func TestDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector()
		trace, err := otel.Trace(c.Meter("test"), nil)
		require.NoError(t, err)
		hub := newHub(t, &ssehub.Options{Trace: trace, Limits: ssehub.Limits{Streams: 1}})
		_, err = otel.Register(hub, c.Meter("test"), &otel.Options{Topics: []string{"t"}})
		require.NoError(t, err)
		deliver(t, hub)
		rows := map[string]bool{}
		for _, f := range c.collect(t) {
			var names []string
			for _, kv := range f.attrs.ToSlice() {
				names = append(names, string(kv.Key))
			}
			rows[fmt.Sprintf("| `%s` | %s | %s | %s | %s |", f.name, f.kind, f.unit, strings.Join(names, ", "), f.help)] = true
		}
		var list []string
		for row := range rows {
			list = append(list, row)
		}
		exposed.Documented(t, "ssehub.", list)
	})
}

// deliver has one event delivered after a second. It needs a bubble.
func deliver(t *testing.T, hub *ssehub.Hub) {
	sub, err := hub.Subscribe(t.Context(), "t")
	require.NoError(t, err)
	synctest.Wait()
	publish(t, hub, "t")
	time.Sleep(time.Second)
	<-sub.Events()
	synctest.Wait()
}

// The figures are those of Stats, until the registration ends.
func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector()
		hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 2}})
		registration, err := otel.Register(hub, c.Meter("test"), &otel.Options{Topics: []string{"t", "never", "t", "no\xfftopic"}})
		require.NoError(t, err)
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		synctest.Wait()
		for range 4 {
			publish(t, hub, "t")
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		figures := c.collect(t)
		require.Equal(t, map[string]float64{"": 1}, of(figures, "ssehub.subscriber.count"))
		require.Equal(t, map[string]float64{"": 4}, of(figures, "ssehub.published.events"))
		require.Equal(t, map[string]float64{"": 3}, of(figures, "ssehub.lag"))
		require.Equal(t, map[string]float64{hub.Position().Epoch: 4}, of(figures, "ssehub.log.position"))
		require.Equal(t, map[string]float64{"t": 2, "never": 0, "no?topic": 0}, of(figures, "ssehub.topic.behind"))
		require.Empty(t, of(figures, "ssehub.stream.limit"), "there is none")
		for range 4 { // the first, a gap, and those behind it
			<-sub.Events()
		}
		synctest.Wait()
		require.Equal(t, map[string]float64{"ahead": 0, "epoch": 0, "invalid": 0, "overflow": 1, "window": 0},
			of(c.collect(t), "ssehub.gaps"))
		require.NoError(t, registration.Unregister())
		require.Empty(t, c.collect(t))
	})
}

// Two hubs with meters of their own do not mix.
func TestTwoHubs(t *testing.T) {
	c := newCollector()
	for i, name := range []string{"a", "b"} {
		hub := newHub(t, nil)
		for range i + 1 {
			publish(t, hub, "t")
		}
		meter := c.Meter("test", metric.WithInstrumentationAttributes(attribute.String("hub", name)))
		_, err := otel.Register(hub, meter, nil)
		require.NoError(t, err)
	}
	var published []float64
	for _, f := range c.collect(t) {
		if f.name == "ssehub.published.events" {
			published = append(published, f.value)
		}
	}
	slices.Sort(published)
	require.Equal(t, []float64{1, 2}, published)
}

// Trace records each write that is live in the hub's own buckets, and calls the
// application's functions.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector()
		joined, written := 0, 0
		next := &ssehub.Trace{
			Joined:  func(ssehub.SubscriberInfo) { joined++ },
			Written: func(ssehub.SubscriberInfo, ssehub.WriteInfo) { written++ },
		}
		trace, err := otel.Trace(c.Meter("test"), next)
		require.NoError(t, err)
		hub := newHub(t, &ssehub.Options{Trace: trace})
		deliver(t, hub)
		figures := c.collect(t)
		require.Len(t, figures, 1)
		h := figures[0]
		require.Equal(t, "ssehub.delivery.duration", h.name)
		require.EqualValues(t, 1, h.count)
		require.InDelta(t, 1, h.value, 1e-9)
		require.Len(t, h.bounds, 27)
		bucket := slices.Index(h.counts, 1)
		require.InDelta(t, 1.048576, h.bounds[bucket], 1e-9)
		require.Equal(t, 1, joined)
		require.Positive(t, written)
	})
}

// broken makes no instruments.
type broken struct {
	noop.Meter
	err error
}

func (b broken) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return nil, b.err
}

func (b broken) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, b.err
}

// What a meter cannot make is an error.
func TestMeterFails(t *testing.T) {
	meter := broken{err: errors.New("no instruments")}
	_, err := otel.Register(newHub(t, nil), meter, nil)
	require.ErrorIs(t, err, meter.err)
	_, err = otel.Trace(meter, nil)
	require.ErrorIs(t, err, meter.err)
}

// Fault 91: ten thousand topics give not one figure more than none.
func TestSeries(t *testing.T) {
	c := newCollector()
	hub := newHub(t, nil)
	_, err := otel.Register(hub, c.Meter("test"), nil)
	require.NoError(t, err)
	none := len(c.collect(t))
	for i := range 10_000 {
		publish(t, hub, "t."+strconv.Itoa(i))
	}
	require.Len(t, c.collect(t), none)
}

// Collections at the same time as everything else, and after the hub has ended.
func TestConcurrent(t *testing.T) {
	c := newCollector()
	trace, err := otel.Trace(c.Meter("test"), nil)
	require.NoError(t, err)
	hub := ssehub.New(&ssehub.Options{Trace: trace})
	_, err = otel.Register(hub, c.Meter("test"), &otel.Options{Topics: []string{"t"}})
	require.NoError(t, err)
	var tasks sync.WaitGroup
	for range 4 {
		tasks.Go(func() {
			for range 100 {
				sub, err := hub.Subscribe(t.Context(), "t")
				require.NoError(t, err)
				publish(t, hub, "t")
				<-sub.Events()
				sub.Close()
			}
		})
		tasks.Go(func() {
			for range 50 {
				c.collect(t)
			}
		})
	}
	tasks.Wait()
	hub.Close()
	require.NotEmpty(t, c.collect(t))
}

// What Trace costs at each write, with the SDK and without.
func BenchmarkWritten(b *testing.B) {
	for name, provider := range map[string]metric.MeterProvider{"sdk": newCollector(), "noop": noop.NewMeterProvider()} {
		trace, err := otel.Trace(provider.Meter("bench"), nil)
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				trace.Written(ssehub.SubscriberInfo{}, ssehub.WriteInfo{Live: true, Latency: 100 * time.Microsecond})
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					trace.Written(ssehub.SubscriberInfo{}, ssehub.WriteInfo{Live: true, Latency: 100 * time.Microsecond})
				}
			})
		})
	}
}
