package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

type (
	hub   = ssehub.Stats
	topic = ssehub.TopicStats
)

// ofHub leaves out Stats.Gaps, the sum of ssehub_gaps_total.
var ofHub = []metric[hub]{
	single(describe("subscribers", "Streams and in-process subscriptions."),
		gauge, func(s *hub) int { return s.Subscribers }),
	single(describe("joined_subscribers_total", "Subscribers that have joined."),
		counter, func(s *hub) uint64 { return s.Joined }),
	single(describe("streams", "Streams of handlers, and requests for them that are being decided about."),
		gauge, func(s *hub) int { return s.Streams }),
	limit(describe("streams_limit", "Limits.Streams. Not there if there is no limit."),
		func(s *hub) int { return s.MaxStreams }),
	each(describe("refused_requests_total", "Requests for streams that were refused, by reason.", "reason"),
		func(s *hub) map[string]uint64 { return s.Refused }),

	single(describe("published_events_total", "Events published; with a broker all that this hub has read."),
		counter, func(s *hub) uint64 { return s.Published }),
	single(describe("published_bytes_total", "Bytes of published events, encoded."),
		counter, func(s *hub) uint64 { return s.PublishedBytes }),
	single(describe("delivered_events_total", "Events written to streams, or received from in-process subscriptions."),
		counter, func(s *hub) uint64 { return s.Delivered }),
	single(describe("delivered_bytes_total", "Bytes of delivered events and of the hub's own."),
		counter, func(s *hub) uint64 { return s.DeliveredBytes }),
	histogram(describe("delivery_latency_seconds", "Time from publishing to the end of the write, of the oldest event in each write."),
		func(s *hub) ssehub.Histogram { return s.Latency }),
	single(describe("lag_seconds", "How long ago the oldest kept event was published that some subscriber has not got."),
		gauge, func(s *hub) float64 { return s.LagTime.Seconds() }),
	each(describe("gaps_total", "Gaps told to subscribers, each a loss of one or more events, by reason.", "reason"),
		func(s *hub) map[string]uint64 { return s.GapsByReason }),

	single(describe("topics", "Topics in memory."),
		gauge, func(s *hub) int { return s.Topics }),
	single(describe("patterns", "Patterns in memory."),
		gauge, func(s *hub) int { return s.Patterns }),
	single(describe("history_events", "Events kept, in all topics."),
		gauge, func(s *hub) int { return s.Events }),
	single(describe("history_bytes", "Bytes of kept events, encoded, and once more for each pattern."),
		gauge, func(s *hub) int64 { return s.Bytes }),
	limit(describe("history_limit_bytes", "Options.MaxHistory. Not there if there is no limit."),
		func(s *hub) int64 { return s.MaxBytes }),
	single(describe("history_evicted_bytes_total", "Bytes of events dropped because of Options.MaxHistory."),
		counter, func(s *hub) int64 { return s.Evicted }),

	single(describe("log_position", "Number of the newest event."),
		gauge, func(s *hub) uint64 { return s.Position.Seq }),
	info(describe("log_info", "Always 1. The epoch of the log: hubs of one broker have the same.", "epoch"),
		func(s *hub) string { return s.Position.Epoch }),
	single(describe("draining", "1 when Shutdown or Close has begun, else 0."),
		gauge, func(s *hub) int { return bool01(s.Draining) }),

	single(describe("broker_up", "1 if the broker's log can be read, or there is no broker, else 0."),
		gauge, func(s *hub) int { return bool01(s.Broker.Err == nil) }),
	single(describe("broker_failures_total", "How often reading the broker's log has ended."),
		counter, func(s *hub) uint64 { return s.Broker.Failures }),
	single(describe("broker_unread_events", "How many numbers this hub's own events are ahead of what it has read."),
		gauge, func(s *hub) uint64 { return s.Broker.Unread }),
	single(describe("broker_appended_events_total", "Events of this hub that the broker has taken."),
		counter, func(s *hub) uint64 { return s.Broker.Appended }),
	single(describe("broker_refused_events_total", "Events of this hub that the broker has returned an error of."),
		counter, func(s *hub) uint64 { return s.Broker.Refused }),
	histogram(describe("broker_append_latency_seconds", "Time that the broker took to take an event."),
		func(s *hub) ssehub.Histogram { return s.Broker.Latency }),
}

// ofTopic leaves out Topic, which is the label; Pattern and Policy, which do not change;
// First and Last, as ssehub_log_position moves the same; and Latency, as that is thirty
// series for each topic.
var ofTopic = []metric[topic]{
	single(describe("topic_subscribers", "Subscribers of the topic.", "topic"),
		gauge, func(s *topic) int { return s.Subscribers }),
	single(describe("topic_published_events_total", "Events of the topic, ephemeral ones too. Begins anew with a topic that was out of memory.", "topic"),
		counter, func(s *topic) uint64 { return s.Published }),
	single(describe("topic_history_events", "Events kept of the topic.", "topic"),
		gauge, func(s *topic) int { return s.Events }),
	single(describe("topic_history_bytes", "Bytes of these, encoded, and of ephemeral ones.", "topic"),
		gauge, func(s *topic) int64 { return s.Bytes }),
	single(describe("topic_lag_events", "How many of the kept events the slowest subscriber has not got.", "topic"),
		gauge, func(s *topic) int { return s.Lag }),
	single(describe("topic_lag_seconds", "How long ago the oldest of these was published.", "topic"),
		gauge, func(s *topic) float64 { return s.LagTime.Seconds() }),
	each(describe("topic_gaps_total", "Gaps told of the topic, by reason. Begins anew with a topic that was out of memory.", "topic", "reason"),
		func(s *topic) map[string]uint64 {
			return map[string]uint64{
				sse.ReasonWindow:   s.GapsByReason[sse.ReasonWindow],
				sse.ReasonOverflow: s.GapsByReason[sse.ReasonOverflow],
			}
		}),
}
