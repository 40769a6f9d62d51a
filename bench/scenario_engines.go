package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var enginesScenario = scenario{
	name: "engines",
	title: func(o options) string {
		return fmt.Sprintf("2 hubs on one log with %d connections each; %g messages a second of %d bytes for %v, then %d from %d publishers at once, all at the first hub; ours is one hub without a Broker, with all connections",
			o.conns, o.rate, o.pacedSize(), o.duration, o.messages, publishers)
	},
	only:    []string{"ours", "nats", "redis", "redis-always", "postgres"},
	measure: measureEngines,
	columns: append([]column{
		{key: "events_per_second", head: "events/s to the last reader", format: grouped, main: true},
		{key: "acks_per_second", head: "events/s published", format: grouped, main: true},
		{key: "p50_ns", head: "p50", format: durationText, main: true},
		{key: "p99_ns", head: "p99", format: durationText, main: true},
		{key: "max_ns", head: "max", format: durationText},
		{key: "engine_cores", head: "engine cores", format: ratioText},
	}, coreColumns...),
	compare: []comparison{
		{label: "engines, events/s", figure: "events_per_second", ours: "nats", other: "ours"},
		{label: "engines, events/s", figure: "events_per_second", ours: "redis", other: "ours"},
		{label: "engines, events/s", figure: "events_per_second", ours: "redis-always", other: "ours"},
		{label: "engines, events/s", figure: "events_per_second", ours: "postgres", other: "ours"},
		{label: "engines, p99", figure: "p99_ns", ours: "nats", other: "ours", less: true},
		{label: "engines, p99", figure: "p99_ns", ours: "redis", other: "ours", less: true},
		{label: "engines, p99", figure: "p99_ns", ours: "redis-always", other: "ours", less: true},
		{label: "engines, p99", figure: "p99_ns", ours: "postgres", other: "ours", less: true},
	},
}

// publishers call Publish at the same time.
const publishers = 64

// measureEngines measures how long an event takes through the log to the readers of
// both hubs, and how many a second it takes. Those that are published at once come in
// any order, so that order is not looked at.
func measureEngines(ctx context.Context, o options, name string) (r *result, err error) {
	paced := max(1, int(o.rate*o.duration.Seconds()))
	t := task{Server: name, Conns: 2 * o.conns, Messages: paced + o.messages, Size: o.pacedSize()}
	p := plan{conns: 2 * o.conns, messages: paced + o.messages, size: o.pacedSize(), timed: true, unordered: true}
	var engine *child
	if keeps := servers[name].engine; keeps != "" {
		if engine, err = startServer(ctx, task{Server: keeps}); err != nil {
			return nil, err
		}
		defer engine.stop()
		t.Engine = engine.Addr
	}
	s, err := startSession(ctx, o, t, p)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if engine != nil {
		other, err := startServer(ctx, t)
		if err != nil {
			return nil, err
		}
		s.others = append(s.others, other)
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}

	r = newResult()
	if _, _, err := s.publish(ctx, "paced", 0, paced, o.rate, 0); err != nil {
		return r, errors.Join(err, s.finish(ctx, r))
	}
	r.addLatency(s.gen.latency())
	s.gen.resetLatency()

	before, err := s.meters()
	if err != nil {
		return r, err
	}
	engineBefore, err := engineTime(engine)
	if err != nil {
		return r, err
	}
	sent, last, failure := s.publish(ctx, "many", paced, o.messages, 0, 0)
	took := max(time.Duration(last-sent.Start), 1)
	_, err = s.cores(before, took, r)
	used, errEngine := engineTime(engine)
	failure = errors.Join(failure, err, errEngine, s.finish(ctx, r))
	r.Figures["engine_cores"] = float64(used-engineBefore) / float64(took)
	r.Figures["other_cores"] = max(0, r.Figures["other_cores"]-r.Figures["engine_cores"])
	r.Figures["events_per_second"] = float64(o.messages) / took.Seconds()
	r.Figures["acks_per_second"] = float64(o.messages) / max(sent.Took, 1).Seconds()
	return r, failure
}

// engineTime is the CPU time that an engine has used, with the processes that it has
// started.
func engineTime(engine *child) (time.Duration, error) {
	if engine == nil {
		return 0, nil
	}
	var pids []int
	for _, pid := range engine.PIDs {
		children, err := childrenOf(pid)
		if err != nil {
			return 0, err
		}
		pids = append(append(pids, pid), children...)
	}
	return cpuTimeOf(pids)
}
