package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var replayScenario = scenario{
	name: "replay",
	title: func(o options) string {
		return fmt.Sprintf("%d clients come back at once and resume %d events (%d from the peers) of %d bytes",
			o.replayClients, o.replayEvents, o.replayEventsOf("go-sse"), o.size)
	},
	measure: measureReplay,
	columns: append([]column{
		{key: "mb_per_second", head: "MB/s", format: grouped, main: true},
		{key: "events_per_second", head: "events/s", format: grouped},
		{key: "events", head: "events", format: grouped},
		{key: "time_ns", head: "time", format: durationText},
	}, coreColumns...),
	substitutes: map[string]string{"bare": "bare-replay"},
	compare: []comparison{
		{label: "replay, MB/s", figure: "mb_per_second", ours: "ours", other: "bare-replay"},
		{label: "replay, MB/s", figure: "mb_per_second", ours: "ours", other: bestPeer},
	},
	plot: func(s scenario, rep *report) (*chart, error) {
		return timeChart(s, rep, "bytes received")
	},
}

// replayEventsOf is how many each client of a server resumes.
func (o options) replayEventsOf(name string) int {
	if servers[name].fast {
		return o.replayEvents
	}
	return min(o.replayEvents, o.slowMessages)
}

// measureReplay measures clients that all come back at once, as after a restart
// of a proxy, and each want all that they have missed.
func measureReplay(ctx context.Context, o options, name string) (*result, error) {
	events := o.replayEventsOf(name)
	p := plan{conns: o.replayClients, messages: events, size: o.size, atOnce: true}
	s := &session{}
	var err error
	t := task{Server: name, Conns: p.conns, Messages: events, Size: p.size, Replay: true, Profiles: o.profileDir}
	if s.srv, err = startServer(ctx, t); err != nil {
		return nil, err
	}
	defer s.close()
	from, err := call[prepared](s.srv, "prepare", 0, events, 0)
	if err != nil {
		return nil, err
	}
	p.request = newRequest(s.srv.Path, from.ID)
	if err := s.plan(o, p); err != nil {
		return nil, err
	}
	before, err := s.meters()
	if err != nil {
		return nil, err
	}
	start := monotonic()
	failure := s.gen.open(ctx, s.srv.Addr)
	last := s.gen.collect(ctx, 0)
	took := max(time.Duration(last-start), 1)
	r := newResult()
	if _, err := s.cores(before, took, r); err != nil {
		return nil, errors.Join(failure, err)
	}
	failure = errors.Join(failure, s.finish(ctx, r))
	var bytes int64
	lines := make([]*timeline, len(s.gen.workers))
	for i, w := range s.gen.workers {
		lines[i] = &w.bytes
		for _, n := range w.bytes.counts {
			bytes += n
		}
	}
	r.Curve = joinTimelines(lines)
	r.Figures["mb_per_second"] = float64(bytes) / 1e6 / took.Seconds()
	r.Figures["events_per_second"] = float64(r.Tally.Received) / took.Seconds()
	r.Figures["events"] = float64(events)
	r.Figures["time_ns"] = float64(took)
	return r, failure
}
