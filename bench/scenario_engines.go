package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// logs are the hubs with a Broker.
var logs = []string{"bolt", "nats", "redis", "redis-always", "postgres"}

var enginesScenario = scenario{
	name: "engines",
	title: func(o options) string {
		return fmt.Sprintf("2 hubs on one log with %d connections each, or one hub with all of them where the log is in its process (ours, bolt); %g messages a second of %d bytes for %v, then %d from %d publishers at once, all at the first hub",
			o.conns, o.rate, o.pacedSize(), o.duration, o.messages, publishers)
	},
	only:    append([]string{"ours"}, logs...),
	measure: measureEngines,
	columns: append([]column{
		{key: "acks_per_second", head: "events/s published", format: grouped, main: true},
		{key: "events_per_second", head: "events/s to the last reader", format: grouped, main: true},
		{key: "p50_ns", head: "paced p50", format: durationText},
		{key: "p99_ns", head: "p99", format: durationText},
		{key: "last_p50_ns", head: "to the last p50", format: durationText, main: true},
		{key: "last_p99_ns", head: "p99", format: durationText, main: true},
		{key: "engine_cores", head: "engine cores", format: ratioText},
		{key: "second_cores", head: "2nd hub cores", format: ratioText},
	}, coreColumns...),
	compare: append(againstOurs("engines, events/s", "events_per_second"), againstOurs("engines, to the last p99 ms", "last_p99_ns")...),
}

func againstOurs(label, figure string) (all []comparison) {
	for _, name := range logs {
		all = append(all, comparison{label: label, figure: figure, ours: name, other: "ours"})
	}
	return all
}

// publishers call Publish at the same time.
const publishers = 64

// measureEngines measures how long an event takes through the log to the readers of
// all hubs, and how many a second it takes. The order of those that are published at
// once is that of their ids, which must be the same at all readers.
func measureEngines(ctx context.Context, o options, name string) (r *result, err error) {
	paced := max(1, int(o.rate*o.duration.Seconds()))
	t := task{Server: name, Conns: 2 * o.conns, Messages: paced + o.messages, Size: o.pacedSize()}
	p := plan{conns: 2 * o.conns, messages: paced + o.messages, size: o.pacedSize(), timed: true, byPlace: true}
	var engine, second *child
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
		if second, err = startServer(ctx, t); err != nil {
			return nil, err
		}
		s.others = append(s.others, second)
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}

	r = newResult()
	if _, _, err := s.publish(ctx, "paced", 0, paced, o.rate, 0); err != nil {
		return r, errors.Join(err, s.finish(ctx, r))
	}
	r.addLatency(s.gen.latency())
	last := s.gen.lastLatency(paced)
	r.Figures["last_p50_ns"] = float64(last.ValueAtQuantile(50))
	r.Figures["last_p99_ns"] = float64(last.ValueAtQuantile(99))

	before, err := s.meters()
	engineBefore, errEngine := cpuTimeWithChildren(engine)
	secondBefore, errSecond := cpuTimeWithChildren(second)
	if err := errors.Join(err, errEngine, errSecond); err != nil {
		return r, err
	}
	sent, end, failure := s.publish(ctx, "many", paced, o.messages, 0, gather)
	took := max(time.Duration(end-sent.Start), 1)
	_, err = s.cores(before, took, r)
	engineUsed, errEngine := cpuTimeWithChildren(engine)
	secondUsed, errSecond := cpuTimeWithChildren(second)
	failure = errors.Join(failure, err, errEngine, errSecond, s.finish(ctx, r))
	r.Figures["engine_cores"] = float64(engineUsed-engineBefore) / float64(took)
	r.Figures["second_cores"] = float64(secondUsed-secondBefore) / float64(took)
	r.Figures["other_cores"] = max(0, r.Figures["other_cores"]-r.Figures["engine_cores"])
	r.Figures["events_per_second"] = float64(o.messages) / took.Seconds()
	r.Figures["acks_per_second"] = float64(o.messages) / max(sent.Took, 1).Seconds()
	return r, failure
}

// fates are what became of the messages at all connections, by place.
func (g *generator) fates() (all []fate) {
	for _, w := range g.workers {
		if w.times == nil {
			continue
		}
		if all == nil {
			all = make([]fate, len(w.times.fates))
		}
		for place, f := range w.times.fates {
			all[place].add(f)
		}
	}
	return all
}

// lastLatency is how long the first messages took to the last connection that has
// them.
func (g *generator) lastLatency(messages int) *hdrhistogram.Histogram {
	h := newHistogram()
	for _, f := range g.fates()[:messages+1] {
		if f.sent != 0 {
			record(h, f.last-f.sent)
		}
	}
	return h
}

// cpuTimeWithChildren is what a server, if there is one, and the processes that it has
// started have used.
func cpuTimeWithChildren(c *child) (time.Duration, error) {
	if c == nil {
		return 0, nil
	}
	var pids []int
	for _, pid := range c.PIDs {
		children, err := childrenOf(pid)
		if err != nil {
			return 0, err
		}
		pids = append(append(pids, pid), children...)
	}
	return cpuTimeOf(pids)
}
