package main

import (
	"context"
	"fmt"
	"time"
)

var connectScenario = scenario{
	name: "connect",
	title: func(o options) string {
		return fmt.Sprintf("%d connections, opened as fast as they are answered", o.storm)
	},
	measure: measureConnect,
	columns: append([]column{
		{key: "conns_per_second", head: "connections/s", format: grouped, main: true},
		{key: "first_byte_p50_ns", head: "first byte p50", format: durationText},
		{key: "first_byte_p99_ns", head: "first byte p99", format: durationText, main: true},
		{key: "cpu_us_per_conn", head: "server CPU µs/connection", format: ratioText, main: true},
		{key: "time_ns", head: "time", format: durationText},
	}, coreColumns...),
	compare: []comparison{
		{label: "connect, connections/s", figure: "conns_per_second", ours: "ours", other: "bare"},
		{label: "connect, connections/s", figure: "conns_per_second", ours: "ours", other: bestPeer},
	},
	plot: func(s scenario, rep *report) (*chart, error) {
		return timeChart(s, rep, "connections answered")
	},
}

// measureConnect measures how fast connections are answered, up to the head and
// the hello where streams begin with one.
func measureConnect(ctx context.Context, o options, name string) (*result, error) {
	s, err := startSession(ctx, o,
		task{Server: name, Conns: o.storm, Size: o.size},
		plan{conns: o.storm, messages: 0, size: o.size})
	if err != nil {
		return nil, err
	}
	defer s.close()
	before, err := s.meters()
	if err != nil {
		return nil, err
	}
	start := monotonic()
	failure := s.gen.open(ctx, s.srv.Addr)
	took := time.Duration(monotonic() - start)
	r := newResult()
	used, err := s.cores(before, took, r)
	if err != nil {
		return nil, err
	}
	answered, firstByte := 0, newHistogram()
	lines := make([]*timeline, len(s.gen.workers))
	for i, w := range s.gen.workers {
		answered += w.answered
		firstByte.Merge(w.firstByte)
		lines[i] = &w.ready
	}
	r.Figures["conns_per_second"] = float64(answered) / took.Seconds()
	r.Figures["first_byte_p50_ns"] = float64(firstByte.ValueAtQuantile(50))
	r.Figures["first_byte_p99_ns"] = float64(firstByte.ValueAtQuantile(99))
	r.Figures["cpu_us_per_conn"] = used.Seconds() * 1e6 / float64(max(1, answered))
	r.Figures["time_ns"] = float64(took)
	r.Curve = joinTimelines(lines)
	r.Tally = s.gen.tally()
	return r, failure
}
