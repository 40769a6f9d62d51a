package ssehub

import (
	"iter"
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// buckets are bounded by 1 µs, 2 µs and so on up to 67 s; the last is not.
const buckets = 28

// Histogram counts durations in buckets, each twice as wide as the one before.
type Histogram struct {
	Count  uint64
	Sum    time.Duration
	counts [buckets]uint64
}

// Buckets returns the upper bound of each bucket, 1 µs, 2 µs, 4 µs and so on,
// with the number of durations up to it, as a Prometheus histogram has them.
// The last bound is the largest Duration, and stands for infinity.
func (h Histogram) Buckets() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		sum := uint64(0)
		for i, n := range h.counts {
			sum += n
			if !yield(bound(i), sum) {
				return
			}
		}
	}
}

// Quantile returns a duration that the fraction q, from 0 to 1, does not exceed:
// the bound of a bucket, so up to twice the least such, 67 s for all that is
// longer, and zero if there are none.
func (h Histogram) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.Count)))
	for at, n := range h.Buckets() {
		if n > 0 && n >= rank {
			return min(at, bound(buckets-2))
		}
	}
	return 0
}

func bound(bucket int) time.Duration {
	if bucket == buckets-1 {
		return math.MaxInt64
	}
	return time.Microsecond << bucket
}

// histogram is a Histogram that many goroutines add to.
type histogram struct {
	sum    atomic.Int64
	counts [buckets]atomic.Uint64
}

func (h *histogram) add(d time.Duration) {
	d = max(0, d)
	h.sum.Add(int64(d))
	bucket := bits.Len64(uint64(max(0, d-1) / time.Microsecond))
	h.counts[min(bucket, buckets-1)].Add(1)
}

// snapshot's Count is the sum of the buckets, though others add meanwhile.
func (h *histogram) snapshot() Histogram {
	s := Histogram{Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
		s.Count += s.counts[i]
	}
	return s
}
