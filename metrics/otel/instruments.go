package otel

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

type (
	hub   = ssehub.Stats
	topic = ssehub.TopicStats
)

// ofHub leaves out Stats.Gaps, the sum of ssehub.gaps; Stats.Latency, which is recorded
// by Trace; and the counts of BrokerStats.Latency, whose sum over the appended is its mean.
var ofHub = []instrument[hub]{
	single(upDown, "ssehub.subscriber.count", "{subscriber}", "Streams and in-process subscriptions.",
		func(s *hub) int { return s.Subscribers }),
	single(counter, "ssehub.subscriber.joined", "{subscriber}", "Subscribers that have joined.",
		func(s *hub) uint64 { return s.Joined }),
	single(upDown, "ssehub.stream.count", "{stream}", "Streams of handlers, and requests for them that are being decided about.",
		func(s *hub) int { return s.Streams }),
	limit("ssehub.stream.limit", "{stream}", "Limits.Streams. Not there if there is no limit.",
		func(s *hub) int { return s.MaxStreams }),
	each("ssehub.request.refused", "{request}", "Requests for streams that were refused.",
		func(s *hub) map[string]uint64 { return s.Refused }),

	single(counter, "ssehub.published.events", "{event}", "Events published; with a broker all that this hub has read.",
		func(s *hub) uint64 { return s.Published }),
	single(counter, "ssehub.published.io", "By", "Bytes of published events, encoded.",
		func(s *hub) uint64 { return s.PublishedBytes }),
	single(counter, "ssehub.delivered.events", "{event}", "Events written to streams, or received from in-process subscriptions.",
		func(s *hub) uint64 { return s.Delivered }),
	single(counter, "ssehub.delivered.io", "By", "Bytes of delivered events and of the hub's own.",
		func(s *hub) uint64 { return s.DeliveredBytes }),
	seconds(gauge, "ssehub.lag", "How long ago the oldest kept event was published that some subscriber has not got.",
		func(s *hub) time.Duration { return s.LagTime }),
	each("ssehub.gaps", "{gap}", "Gaps told to subscribers, each a loss of one or more events.",
		func(s *hub) map[string]uint64 { return s.GapsByReason }),

	single(upDown, "ssehub.topic.count", "{topic}", "Topics in memory.",
		func(s *hub) int { return s.Topics }),
	single(upDown, "ssehub.pattern.count", "{pattern}", "Patterns in memory.",
		func(s *hub) int { return s.Patterns }),
	single(upDown, "ssehub.history.event.count", "{event}", "Events kept, in all topics.",
		func(s *hub) int { return s.Events }),
	single(upDown, "ssehub.history.usage", "By", "Bytes of kept events, encoded, and once more for each pattern.",
		func(s *hub) int64 { return s.Bytes }),
	limit("ssehub.history.limit", "By", "Options.MaxHistory. Not there if there is no limit.",
		func(s *hub) int64 { return s.MaxBytes }),
	single(counter, "ssehub.history.evicted", "By", "Bytes of events dropped because of Options.MaxHistory.",
		func(s *hub) int64 { return s.Evicted }),

	position,
	single(gauge, "ssehub.draining", "1", "1 when Shutdown or Close has begun, else 0.",
		func(s *hub) int { return bool01(s.Draining) }),

	single(gauge, "ssehub.broker.up", "1", "1 if the broker's log can be read, or there is no broker, else 0.",
		func(s *hub) int { return bool01(s.Broker.Err == nil) }),
	single(counter, "ssehub.broker.failures", "{failure}", "How often reading the broker's log has ended.",
		func(s *hub) uint64 { return s.Broker.Failures }),
	single(gauge, "ssehub.broker.unread", "{event}", "How many numbers this hub's own events are ahead of what it has read.",
		func(s *hub) uint64 { return s.Broker.Unread }),
	single(counter, "ssehub.broker.appended", "{event}", "Events of this hub that the broker has taken.",
		func(s *hub) uint64 { return s.Broker.Appended }),
	single(counter, "ssehub.broker.refused", "{event}", "Events of this hub that the broker has returned an error of.",
		func(s *hub) uint64 { return s.Broker.Refused }),
	seconds(counter, "ssehub.broker.append.time", "Time that the broker took to take all events: over ssehub.broker.appended it is the mean.",
		func(s *hub) time.Duration { return s.Broker.Latency.Sum }),
}

// position has the epoch as an attribute: numbers of two epochs are not comparable.
func position(meter metric.Meter) (metric.Observable, observe[hub], error) {
	made, err := integers(meter, gauge, "ssehub.log.position", "1", "Number of the newest event.")
	return made, func(to metric.Observer, s *hub, _ ...attribute.KeyValue) {
		to.ObserveInt64(made, int64(s.Position.Seq), metric.WithAttributes(attribute.String("ssehub.log.epoch", s.Position.Epoch)))
	}, err
}

// ofTopic leaves out the same as metrics/prom.
var ofTopic = []instrument[topic]{
	single(upDown, "ssehub.topic.subscriber.count", "{subscriber}", "Subscribers of the topic.",
		func(s *topic) int { return s.Subscribers }),
	single(counter, "ssehub.topic.published.events", "{event}", "Events of the topic, ephemeral ones too. Begins anew with a topic that was out of memory.",
		func(s *topic) uint64 { return s.Published }),
	single(upDown, "ssehub.topic.event.count", "{event}", "Events kept of the topic.",
		func(s *topic) int { return s.Events }),
	single(upDown, "ssehub.topic.usage", "By", "Bytes of these, encoded, and of ephemeral ones.",
		func(s *topic) int64 { return s.Bytes }),
	single(gauge, "ssehub.topic.behind", "{event}", "How many of the kept events the slowest subscriber has not got.",
		func(s *topic) int { return s.Lag }),
	seconds(gauge, "ssehub.topic.lag", "How long ago the oldest of these was published.",
		func(s *topic) time.Duration { return s.LagTime }),
	each("ssehub.topic.gaps", "{gap}", "Gaps told of the topic. Begins anew with a topic that was out of memory.",
		func(s *topic) map[string]uint64 {
			return map[string]uint64{
				sse.ReasonWindow:   s.GapsByReason[sse.ReasonWindow],
				sse.ReasonOverflow: s.GapsByReason[sse.ReasonOverflow],
			}
		}),
}
