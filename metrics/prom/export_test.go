package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssehub-go/ssehub"
)

// Of returns a collector of given snapshots.
func Of(hub ssehub.Stats, topics ...ssehub.TopicStats) prometheus.Collector {
	c := &collector{hub: given{hub, topics}}
	for _, t := range topics {
		c.topics = append(c.topics, t.Topic)
	}
	return c
}

type given struct {
	hub    ssehub.Stats
	topics []ssehub.TopicStats
}

func (g given) Stats() ssehub.Stats { return g.hub }

func (g given) TopicStats(name string) (ssehub.TopicStats, bool) {
	for _, t := range g.topics {
		if t.Topic == name {
			return t, true
		}
	}
	return ssehub.TopicStats{}, false
}
