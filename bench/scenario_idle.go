package main

import (
	"context"
	"fmt"
)

var idleScenario = scenario{
	name:    "idle",
	title:   func(o options) string { return fmt.Sprintf("%d connections, bytes for each", o.idle) },
	measure: measureIdle,
	columns: []column{
		{key: "rss_bytes_per_conn", head: "RSS", format: grouped, main: true},
		{key: "heap_bytes_per_conn", head: "heap in use", format: grouped},
		{key: "stack_bytes_per_conn", head: "stack in use", format: grouped},
	},
	compare: []comparison{
		{label: "idle, RSS bytes/connection", figure: "rss_bytes_per_conn", ours: "ours", other: "bare", less: true},
		{label: "idle, RSS bytes/connection", figure: "rss_bytes_per_conn", ours: "ours", other: bestPeer, less: true},
	},
	plot: func(s scenario, rep *report) (*chart, error) {
		return barChart(s, rep, "rss_bytes_per_conn", "resident bytes per connection", false)
	},
}

// measureIdle measures the memory of connections that only wait.
func measureIdle(ctx context.Context, o options, name string) (*result, error) {
	s, err := startSession(ctx, o,
		task{Server: name, Conns: o.idle, Size: o.size},
		plan{conns: o.idle, messages: 0, size: o.size})
	if err != nil {
		return nil, err
	}
	defer s.close()
	before, err := s.srv.memory()
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	after, err := s.srv.memory()
	if err != nil {
		return nil, err
	}
	r, n := newResult(), float64(o.idle)
	r.Figures["rss_bytes_per_conn"] = float64(after.RSS-before.RSS) / n
	if after.Heap > 0 { // Go
		r.Figures["heap_bytes_per_conn"] = float64(after.Heap-before.Heap) / n
		r.Figures["stack_bytes_per_conn"] = float64(after.Stack-before.Stack) / n
	}
	r.Tally = s.gen.tally()
	return r, s.gen.failure()
}
