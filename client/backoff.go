package client

import (
	"math/rand/v2"
	"time"
)

// stableAfter is how long a connection must have lasted to count as proof that
// the server is well. One that fails sooner is part of the same trouble, even
// if it brought events.
const stableAfter = 10 * time.Second

func (b Backoff) withDefaults() Backoff {
	if b.Base <= 0 {
		b.Base = time.Second
	}
	if b.Max <= 0 {
		b.Max = 30 * time.Second
	}
	if b.Min <= 0 {
		b.Min = 100 * time.Millisecond
	}
	b.Min = min(b.Min, b.Max)
	if b.Jitter == nil {
		b.Jitter = func(d time.Duration) time.Duration { return rand.N(max(d, 1)) }
	}
	return b
}

// wait returns the time before attempt number failures of a row, the first
// being 1.
func (b Backoff) wait(failures int) time.Duration {
	d := min(max(b.Base, b.Min), b.Max)
	for i := 1; i < failures && d < b.Max; i++ {
		if d > b.Max/2 { // doubled it could overflow
			d = b.Max
		} else {
			d *= 2
		}
	}
	// Were the jitter cut off at Min, many clients would wait for exactly that.
	return b.Min + min(max(0, b.Jitter(d-b.Min)), b.Max-b.Min)
}

func (b Backoff) clamp(d time.Duration) time.Duration {
	return min(max(d, b.Min), b.Max)
}
