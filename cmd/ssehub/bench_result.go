package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// benchResult is what bench prints.
type benchResult struct {
	Readers    int                `json:"readers"`
	ConnectMs  float64            `json:"connectMs"` // until all were there
	Seconds    float64            `json:"seconds"`
	Published  int                `json:"published"`
	Errors     int                `json:"errors"`
	Error      string             `json:"error,omitempty"` // the first
	Delivered  int                `json:"delivered"`
	Lost       int                `json:"lost"`
	Doubled    int                `json:"doubled"`
	Gaps       int64              `json:"gaps"`
	Reconnects int64              `json:"reconnects"`
	LatencyMs  map[string]float64 `json:"latencyMs"`
}

// percentiles that are told, and drawn.
var percentiles = []float64{50, 90, 99, 99.9, 100}

func (w *benchWork) result(r *benchReaders) *benchResult {
	latency := w.tally.latency()
	t := w.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	res := &benchResult{
		Readers: w.Connections, ConnectMs: r.took.Seconds() * 1000,
		Seconds: max(t.changed.Sub(t.begin), w.Duration).Seconds(), Published: t.count, Errors: t.errors,
		Delivered: t.delivered, Lost: t.lost(), Doubled: t.doubled, Gaps: r.gaps.Load(), Reconnects: r.again.Load(),
		LatencyMs: make(map[string]float64),
	}
	if t.err != nil {
		res.Error = t.err.Error()
	}
	for _, p := range percentiles {
		res.LatencyMs[percentileName(p)] = millis(latency, p)
	}
	return res
}

func millis(latency *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(latency.ValueAtQuantile(percentile)) / 1000
}

func percentileName(p float64) string {
	if p == 100 {
		return "max"
	}
	return fmt.Sprintf("p%v", p)
}

func (r *benchResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "readers    %d, connected in %.0f ms\n", r.Readers, r.ConnectMs)
	fmt.Fprintf(&b, "published  %d in %.1f s, %.0f/s", r.Published, r.Seconds, float64(r.Published)/r.Seconds)
	if r.Errors > 0 {
		fmt.Fprintf(&b, "; %d errors, the first: %s", r.Errors, plain(r.Error))
	}
	fmt.Fprintf(&b, "\ndelivered  %d, %.0f/s\n", r.Delivered, float64(r.Delivered)/r.Seconds)
	fmt.Fprintf(&b, "lost       %d\ndoubled    %d\n", r.Lost, r.Doubled)
	fmt.Fprintf(&b, "gaps       %d, reconnects %d\nlatency   ", r.Gaps, r.Reconnects)
	for _, p := range percentiles {
		name := percentileName(p)
		fmt.Fprintf(&b, " %s %.2f ms", name, r.LatencyMs[name])
	}
	b.WriteString("\n")
	return b.String()
}

// progress keeps a line on a terminal up to date until stop is called.
func (w *benchWork) progress(std stdio) (stop func()) {
	if !isTerminal(std.err) {
		return func() {}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(250 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				latency := w.tally.latency()
				w.tally.mu.Lock()
				fmt.Fprintf(std.err, "\r\x1b[K%4.1f s  published %d of %d  delivered %d  p50 %.2f ms  p99 %.2f ms",
					time.Since(w.tally.begin).Seconds(), w.tally.count, w.messages, w.tally.delivered, millis(latency, 50), millis(latency, 99))
				w.tally.mu.Unlock()
			case <-ended:
				fmt.Fprint(std.err, "\r\x1b[K")
				return
			}
		}
	}()
	return func() { close(ended); <-done }
}
