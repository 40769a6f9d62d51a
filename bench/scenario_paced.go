package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var pacedScenario = scenario{
	name: "paced",
	title: func(o options) string {
		return fmt.Sprintf("%d connections, %g messages a second of %d bytes, for %v", o.conns, o.rate, o.size, o.duration)
	},
	measure: measurePaced,
	columns: append([]column{
		{key: "cpu_us_per_delivery", head: "server CPU µs/delivery", format: ratioText, main: true},
		{key: "p50_ns", head: "p50", format: durationText, main: true},
		{key: "p99_ns", head: "p99", format: durationText, main: true},
		{key: "p99_9_ns", head: "p99.9", format: durationText, main: true},
		{key: "max_ns", head: "max", format: durationText},
	}, coreColumns...),
	compare: []comparison{
		{label: "paced, server CPU µs/delivery", figure: "cpu_us_per_delivery", ours: "ours", other: "bare", less: true},
		{label: "paced, server CPU µs/delivery", figure: "cpu_us_per_delivery", ours: "ours", other: bestPeer, less: true},
		{label: "paced, p99 ms", figure: "p99_ns", ours: "ours", other: "bare", less: true},
		{label: "paced, p99 ms", figure: "p99_ns", ours: "ours", other: bestPeer, less: true},
	},
	plot: percentileChart,
}

// measurePaced measures what one message now and then costs, and how long it
// takes. Everybody is read at once, so the generator too is awake for each.
func measurePaced(ctx context.Context, o options, name string) (*result, error) {
	messages := max(1, int(o.rate*o.duration.Seconds()))
	s, err := openSession(ctx, o,
		task{Server: name, Conns: o.conns, Messages: messages, Size: o.pacedSize()},
		plan{conns: o.conns, messages: messages, size: o.pacedSize(), timed: true})
	if err != nil {
		return nil, err
	}
	defer s.close()
	before, err := s.meters()
	if err != nil {
		return nil, err
	}
	sent, last, failure := s.publish(ctx, "paced", 0, messages, o.rate, 0)
	r := newResult()
	used, err := s.cores(before, max(time.Duration(last-sent.Start), 1), r)
	if err != nil {
		return nil, errors.Join(failure, err)
	}
	failure = errors.Join(failure, s.finish(ctx, r))
	r.Figures["cpu_us_per_delivery"] = used.Seconds() * 1e6 / float64(max(1, r.Tally.Received))
	r.addLatency(s.gen.latency())
	return r, failure
}

// latency is that of all messages read so far.
func (g *generator) latency() *hdrhistogram.Histogram {
	sum := newHistogram()
	for _, w := range g.workers {
		sum.Merge(w.times.latency)
	}
	return sum
}

// resetLatency forgets it.
func (g *generator) resetLatency() {
	for _, w := range g.workers {
		w.times.latency.Reset()
	}
}

func (r *result) addLatency(h *hdrhistogram.Histogram) {
	r.Latency = summarizeLatency(h)
	r.Figures["p50_ns"] = float64(r.Latency.P50)
	r.Figures["p99_ns"] = float64(r.Latency.P99)
	r.Figures["p99_9_ns"] = float64(r.Latency.P999)
	r.Figures["max_ns"] = float64(r.Latency.Max)
}
