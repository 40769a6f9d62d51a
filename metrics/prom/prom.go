// Package prom shows a hub to Prometheus.
//
//	prometheus.MustRegister(prom.NewCollector(hub, nil))
//	http.Handle("GET /metrics", promhttp.Handler())
//
// All is read from Hub.Stats at each scrape and nothing in between, so that events and
// writes cost nothing more. docs/metrics.md lists the metrics; dashboard.json is a
// dashboard of them for Grafana, and alerts.yaml has rules for alerts.
//
// The number of series, some 100, does not grow with subscribers or topics: no label has
// a topic, a subject or an address, unless Options.Topics names the topics. (TestSeries)
//
// Several hubs in one process need a label that tells them apart:
//
//	registry := prometheus.WrapRegistererWith(prometheus.Labels{"hub": "orders"}, prometheus.DefaultRegisterer)
//	registry.MustRegister(prom.NewCollector(hub, nil))
package prom

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssehub-go/ssehub"
)

// Options configures a collector.
type Options struct {
	// Topics are the topics and patterns that have series of their own: eight for each.
	// One that is not in memory, as nobody reads it and it keeps nothing, is shown with
	// zeros. At a scrape each costs what Hub.TopicStats does, some 20 ns for each
	// subscriber of the hub, so name the few that matter.
	Topics []string
}

// NewCollector returns what to register once for each hub; nil means the default
// options. A scrape walks all topics and subscribers, see Hub.Stats.
func NewCollector(hub *ssehub.Hub, opts *Options) prometheus.Collector {
	if opts == nil {
		opts = &Options{}
	}
	topics := slices.Clone(opts.Topics)
	for i, name := range topics {
		topics[i] = strings.ToValidUTF8(name, "?") // else it would be no label
	}
	slices.Sort(topics)
	return &collector{hub: hub, topics: slices.Compact(topics)}
}

// source is what is asked of a Hub.
type source interface {
	Stats() ssehub.Stats
	TopicStats(topic string) (ssehub.TopicStats, bool)
}

type collector struct {
	hub    source
	topics []string
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range ofHub {
		descs <- m.desc
	}
	if len(c.topics) > 0 {
		for _, m := range ofTopic {
			descs <- m.desc
		}
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	stats := c.hub.Stats()
	for _, m := range ofHub {
		m.send(metrics, &stats, nil)
	}
	for _, name := range c.topics {
		topic, _ := c.hub.TopicStats(name)
		for _, m := range ofTopic {
			m.send(metrics, &topic, []string{name})
		}
	}
}
