//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// warmUp is the part of the samples that the trend leaves out.
const warmUp = 0.2

// judge adds what the samples and the end of the server say.
func (r *soakResult) judge(slack float64) {
	violated := func(format string, args ...any) {
		r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
	}
	var x, y []float64
	for _, s := range r.Samples[int(warmUp*float64(len(r.Samples))):] {
		x, y = append(x, s.Seconds), append(y, float64(s.Heap))
	}
	if len(x) < 5 {
		violated("only %d samples", len(x))
	} else if r.Heap = fit(x, y); r.Heap.Low > slack {
		violated("the heap grows by %.0f bytes a second, %.0f to %.0f", r.Heap.Slope, r.Heap.Low, r.Heap.Up)
	}
	end := r.End
	if end.Sample.Goroutines > r.Base.Goroutines {
		violated("%d goroutines before, %d after\n%s", r.Base.Goroutines, end.Sample.Goroutines, end.Stacks)
	}
	if end.Sample.Descriptors > r.Base.Descriptors {
		violated("%d descriptors before, %d after", r.Base.Descriptors, end.Sample.Descriptors)
	}
	if end.Hub != "" {
		violated("left in the hub: %s", end.Hub)
	}
	if end.Shutdown != "" {
		violated("Shutdown: %s", end.Shutdown)
	}
}

func (r *soakResult) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	most := sample{}
	for _, s := range r.Samples {
		most.Goroutines, most.Descriptors = max(most.Goroutines, s.Goroutines), max(most.Descriptors, s.Descriptors)
	}
	row("time", "%.0f s", r.Seconds)
	row("connects", "%d, %d of them reset before the head, %d cut later, %d came back", r.Connects, r.Resets, r.Cuts, r.Resumed)
	row("events", "%d published, %d delivered, %d checked by the clients", r.End.Published, r.End.Delivered, r.Events)
	row("gaps", "%d checked, told by the hub: %v", r.Gaps, r.End.Gaps)
	row("goroutines", "%d before, %d at most, %d after", r.Base.Goroutines, most.Goroutines, r.End.Sample.Goroutines)
	row("descriptors", "%d before, %d at most, %d after", r.Base.Descriptors, most.Descriptors, r.End.Sample.Descriptors)
	row("heap", "%.0f kB on average, %d kB when all had left", r.Heap.Mean/1024, r.End.Sample.Heap>>10)
	row("its trend", "%+.0f B/s, 95%% between %+.0f and %+.0f, from %d samples over %.0f s", r.Heap.Slope, r.Heap.Low, r.Heap.Up, r.Heap.Points, r.Heap.Duration)
	row("violations", "%d", len(r.Violations))
	_ = w.Flush()
}
