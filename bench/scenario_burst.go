package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var burstScenario = scenario{
	name: "burst",
	title: func(o options) string {
		return fmt.Sprintf("%d connections, %d messages (%d for all but ours) of %d bytes", o.conns, o.messages, o.slowMessages, o.size)
	},
	measure: measureBurst,
	columns: append([]column{
		{key: "deliveries_per_second", head: "deliveries/s", format: grouped, main: true},
		{key: "messages", head: "messages", format: grouped},
		{key: "publish_ns", head: "publishing", format: durationText},
		{key: "time_ns", head: "time", format: durationText},
	}, coreColumns...),
	compare: []comparison{
		{label: "burst, deliveries/s", figure: "deliveries_per_second", ours: "ours", other: "bare"},
		{label: "burst, deliveries/s", figure: "deliveries_per_second", ours: "ours-nethttp", other: "bare"},
		{label: "burst, deliveries/s", figure: "deliveries_per_second", ours: "ours", other: "go-sse"},
		{label: "burst, deliveries/s", figure: "deliveries_per_second", ours: "ours", other: "r3labs"},
		{label: "burst, deliveries/s", figure: "deliveries_per_second", ours: "ours", other: bestPeer},
	},
	plot: func(s scenario, rep *report) (*chart, error) {
		return barChart(s, rep, "deliveries_per_second", "deliveries per second", true)
	},
}

// measureBurst measures how fast messages, published at once, reach many
// connections.
func measureBurst(ctx context.Context, o options, name string) (*result, error) {
	messages := o.slowMessages
	if servers[name].fast {
		messages = o.messages
	}
	s, err := openSession(ctx, o,
		task{Server: name, Conns: o.conns, Messages: messages, Size: o.size},
		plan{conns: o.conns, messages: messages, size: o.size})
	if err != nil {
		return nil, err
	}
	defer s.close()
	before, err := s.meters()
	if err != nil {
		return nil, err
	}
	sent, last, failure := s.publish(ctx, "burst", 0, messages, 0, gather)
	r := newResult()
	took := max(time.Duration(last-sent.Start), 1)
	if _, err := s.cores(before, took, r); err != nil {
		return nil, errors.Join(failure, err)
	}
	failure = errors.Join(failure, s.finish(ctx, r))
	r.Figures["deliveries_per_second"] = float64(r.Tally.Received) / took.Seconds()
	r.Figures["messages"] = float64(messages)
	r.Figures["publish_ns"] = float64(sent.Took)
	r.Figures["time_ns"] = float64(took)
	return r, failure
}
