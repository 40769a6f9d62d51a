package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// times are when things reached the connections of one worker. now is set
// with every read, so that a message costs no clock call of its own.
type times struct {
	now     int64
	latency *hdrhistogram.Histogram // nanoseconds
	bad     int64                   // messages without a time
	sent    int64                   // the time in the last message
	fates   []fate                  // by their numbers, if they have places
}

// fate is what became of a message on several connections.
type fate struct {
	place      int64 // in the log, the same for all; 0 if none has had it
	elsewhere  int64 // how many have it at another place
	sent, last int64 // when it was published, and when the last had it
}

func newTimes() *times {
	return &times{latency: newHistogram()}
}

// longestLatency is where a histogram ends; what is longer counts as that.
const longestLatency = 10 * time.Minute

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(longestLatency), 3)
}

// message takes the time in a message that has just been read.
func (t *times) message(stamp *[stampDigits]byte) {
	at, ok := parseDigits(stamp[:])
	if !ok {
		t.bad++
		return
	}
	t.sent = at
	record(t.latency, t.now-at)
}

// placed takes the place in the log of the message that message has just taken.
func (t *times) placed(seq int, place int64) {
	t.fates[seq].add(fate{place: place, sent: t.sent, last: t.now})
}

func (f *fate) add(o fate) {
	switch {
	case f.place == 0:
		f.place, f.sent = o.place, o.sent
	case o.place != 0 && o.place != f.place:
		f.elsewhere++
	}
	f.elsewhere += o.elsewhere
	f.last = max(f.last, o.last)
}

func record(h *hdrhistogram.Histogram, d int64) {
	// It cannot fail with a value inside of its bounds.
	_ = h.RecordValue(min(max(d, 0), int64(longestLatency)))
}

// latency is what a histogram says, in JSON.
type latency struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p99_9_ns"`
	Max   time.Duration `json:"max_ns"`
	Curve []quantile    `json:"curve,omitempty"`
}

// quantile is a point of the curve: that part of the values is not above it.
type quantile struct {
	Part  float64       `json:"part"`
	Value time.Duration `json:"value_ns"`
}

// curveSteps is how many points a curve has for each half of what is left.
const curveSteps = 2

func summarizeLatency(h *hdrhistogram.Histogram) *latency {
	at := func(percentile float64) time.Duration { return time.Duration(h.ValueAtQuantile(percentile)) }
	l := &latency{Count: h.TotalCount(), P50: at(50), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max())}
	for _, bar := range h.CumulativeDistributionWithTicks(curveSteps) {
		l.Curve = append(l.Curve, quantile{Part: bar.Quantile / 100, Value: time.Duration(bar.ValueAt)})
	}
	return l
}

// timeline counts what came in slices of time, and grows as it goes on.
type timeline struct {
	start  int64
	counts []int64
}

// slice is the finest that a timeline tells.
const slice = 10 * time.Millisecond

func (t *timeline) add(now, n int64) {
	i := int(max(now-t.start, 0) / int64(slice))
	for len(t.counts) <= i {
		t.counts = append(t.counts, 0)
	}
	t.counts[i] += n
}

// reached is one point of a curve over time: how much there is so far.
type reached struct {
	At    time.Duration `json:"at_ns"`
	Count int64         `json:"count"`
}

// maxPoints is how many a curve over time has at most.
const maxPoints = 200

// joinTimelines adds them up to one curve.
func joinTimelines(all []*timeline) (curve []reached) {
	n := 0
	for _, t := range all {
		n = max(n, len(t.counts))
	}
	step := max(1, (n+maxPoints-1)/maxPoints)
	curve = []reached{{}}
	var sum int64
	for i := range n {
		for _, t := range all {
			if i < len(t.counts) {
				sum += t.counts[i]
			}
		}
		if (i+1)%step == 0 || i == n-1 {
			curve = append(curve, reached{At: time.Duration(i+1) * slice, Count: sum})
		}
	}
	return curve
}
