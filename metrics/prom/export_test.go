package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssehub-go/ssehub"
)

// Of returns a collector of given snapshots.
func Of(hub ssehub.Stats, topic ssehub.TopicStats) prometheus.Collector {
	return &collector{hub: given{hub, topic}, topics: []string{topic.Topic}}
}

type given struct {
	hub   ssehub.Stats
	topic ssehub.TopicStats
}

func (g given) Stats() ssehub.Stats                         { return g.hub }
func (g given) TopicStats(string) (ssehub.TopicStats, bool) { return g.topic, true }
