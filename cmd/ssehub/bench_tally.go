package main

import (
	"context"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tally counts who has got what.
type tally struct {
	mu        sync.Mutex // guards all; at the rates that are allowed nobody waits long
	begin     time.Time  // of publishing
	rate      float64    // messages in a second
	seen      [][]uint64 // for each reader a bit for each message
	acked     []bool
	count     int // of these
	errors    int
	err       error // the first
	delivered int   // once each
	doubled   int
	changed   time.Time
	micros    *hdrhistogram.Histogram
}

// settlePatience is how long nothing has come when nothing more will.
const settlePatience = 3 * time.Second

func newTally(readers, messages int) *tally {
	t := &tally{seen: make([][]uint64, readers), acked: make([]bool, messages), micros: hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)}
	for i := range t.seen {
		t.seen[i] = make([]uint64, (messages+63)/64)
	}
	return t
}

// start says that the first message is due now.
func (t *tally) start(rate float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin, t.rate, t.changed = time.Now(), rate, time.Now()
}

// due returns when message n is to be published. It needs no lock behind start.
func (t *tally) due(n int) time.Time {
	return t.begin.Add(time.Duration(float64(n) / t.rate * float64(time.Second)))
}

func (t *tally) published(n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed = time.Now()
	if err == nil {
		t.acked[n] = true
		t.count++
		return
	}
	t.errors++
	if t.err == nil {
		t.err = err
	}
}

func (t *tally) got(reader, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begin.IsZero() {
		return // of somebody else in the topic
	}
	t.changed = time.Now()
	word, bit := &t.seen[reader][n/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		t.doubled++
		return
	}
	*word |= bit
	t.delivered++
	_ = t.micros.RecordValue(max(1, time.Since(t.due(n)).Microseconds())) // an error: more than an hour
}

// lost counts what was acknowledged and has not come. It needs t.mu.
func (t *tally) lost() (n int) {
	for _, seen := range t.seen {
		for i, acked := range t.acked {
			if acked && seen[i/64]&(1<<(i%64)) == 0 {
				n++
			}
		}
	}
	return n
}

// settle returns when all is there, or nothing more comes.
func (t *tally) settle(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		t.mu.Lock()
		over := t.delivered >= t.count*len(t.seen) || time.Since(t.changed) > settlePatience
		t.mu.Unlock()
		if over {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (t *tally) latency() *hdrhistogram.Histogram {
	t.mu.Lock()
	defer t.mu.Unlock()
	return hdrhistogram.Import(t.micros.Export())
}
