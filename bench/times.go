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
	fates   []fate                  // by place, if messages have them
}

// fate is what became of the message at one place of the log, on several connections.
type fate struct {
	number     [seqDigits]byte // the message's own
	elsewhere  int64           // how many have another one at this place
	sent, last int64           // when it was published, or 0 if none has it, and when the last had it
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
	record(t.latency, t.now-at)
}

// placed takes a message that has just been read, at its place. Only the first of them
// is looked at closely, as in checker.message.
func (t *times) placed(place int, number *[seqDigits]byte, stamp *[stampDigits]byte) {
	f := &t.fates[place]
	if f.sent == 0 {
		at, ok := parseDigits(stamp[:])
		if !ok {
			t.bad++
			return
		}
		f.number, f.sent = *number, at
	} else if *number != f.number {
		f.elsewhere++
	}
	f.last = t.now
	record(t.latency, t.now-f.sent)
}

// add joins what other connections have.
func (f *fate) add(o fate) {
	switch {
	case o.sent == 0:
		return
	case f.sent == 0:
		*f = o
		return
	case o.number != f.number:
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
