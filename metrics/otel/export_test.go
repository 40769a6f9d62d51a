package otel

import (
	"go.opentelemetry.io/otel/metric"

	"github.com/ssehub-go/ssehub"
)

// Of registers instruments of given snapshots.
func Of(hub ssehub.Stats, topic ssehub.TopicStats, meter metric.Meter) (metric.Registration, error) {
	return register(given{hub, topic}, meter, []string{topic.Topic})
}

type given struct {
	hub   ssehub.Stats
	topic ssehub.TopicStats
}

func (g given) Stats() ssehub.Stats                         { return g.hub }
func (g given) TopicStats(string) (ssehub.TopicStats, bool) { return g.topic, true }
