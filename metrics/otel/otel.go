// Package otel shows a hub to OpenTelemetry. It needs the API alone; the SDK and its
// exporter are the application's.
//
//	meter := provider.Meter("github.com/ssehub-go/ssehub")
//	trace, err := otel.Trace(meter, nil)
//	hub := ssehub.New(&ssehub.Options{Trace: trace})
//	registration, err := otel.Register(hub, meter, nil)
//	defer registration.Unregister()
//
// Register is about all that Hub.Stats has, which is read when the SDK collects. Trace
// is about how long delivery takes: OpenTelemetry has no histograms that are read, so
// each write has to be recorded, which takes some 100 ns. Who does without Trace has the
// other metrics all the same. docs/metrics.md lists them.
//
// No attribute has a topic, a subject or an address, unless Options.Topics names the
// topics. Several hubs in one process need a meter each, such as
//
//	provider.Meter(name, metric.WithInstrumentationAttributes(attribute.String("hub", "orders")))
package otel

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/ssehub-go/ssehub"
)

// Options configures Register.
type Options struct {
	// Topics are the topics and patterns that have figures of their own. One that is not
	// in memory, as nobody reads it and it keeps nothing, is shown with zeros. At each
	// collection each costs what Hub.TopicStats does, some 20 ns for each subscriber of
	// the hub, so name the few that matter.
	Topics []string
}

// Register makes the instruments of a hub; nil means the default options. They are read
// until Unregister, and each collection walks all topics and subscribers, see Hub.Stats.
func Register(hub *ssehub.Hub, meter metric.Meter, opts *Options) (metric.Registration, error) {
	if opts == nil {
		opts = &Options{}
	}
	topics := slices.Clone(opts.Topics)
	for i, name := range topics {
		topics[i] = strings.ToValidUTF8(name, "?") // else an exporter would fail as a whole
	}
	slices.Sort(topics)
	return register(hub, meter, slices.Compact(topics))
}

// source is what is asked of a Hub.
type source interface {
	Stats() ssehub.Stats
	TopicStats(topic string) (ssehub.TopicStats, bool)
}

func register(hub source, meter metric.Meter, topics []string) (metric.Registration, error) {
	ofHub, instruments, err := create(meter, ofHub)
	if err != nil {
		return nil, err
	}
	ofTopic, more, err := create(meter, ofTopic)
	if err != nil {
		return nil, err
	}
	return meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		stats := hub.Stats()
		for _, observe := range ofHub {
			observe(to, &stats)
		}
		for _, name := range topics {
			topic, _ := hub.TopicStats(name)
			for _, observe := range ofTopic {
				observe(to, &topic, attribute.String("ssehub.topic", name))
			}
		}
		return nil
	}, append(instruments, more...)...)
}

// Trace returns a Trace for Options.Trace that records ssehub.delivery.duration at each
// write, and calls the functions of next, the application's own, if that is not nil.
func Trace(meter metric.Meter, next *ssehub.Trace) (*ssehub.Trace, error) {
	var bounds []float64
	for bound := range (ssehub.Histogram{}).Buckets() {
		bounds = append(bounds, bound.Seconds())
	}
	duration, err := meter.Float64Histogram("ssehub.delivery.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from publishing to the end of the write, of the oldest event in each write."),
		metric.WithExplicitBucketBoundaries(bounds[:len(bounds)-1]...)) // the last is infinity
	if err != nil {
		return nil, err
	}
	var trace ssehub.Trace
	if next != nil {
		trace = *next
	}
	written := trace.Written
	trace.Written = func(s ssehub.SubscriberInfo, w ssehub.WriteInfo) {
		if w.Live {
			duration.Record(context.Background(), w.Latency.Seconds())
		}
		if written != nil {
			written(s, w)
		}
	}
	return &trace, nil
}
