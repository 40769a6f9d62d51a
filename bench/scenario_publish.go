package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

var publishScenario = scenario{
	name: "publish",
	title: func(o options) string {
		return fmt.Sprintf("%d calls of Publish with each number of readers in process, up to %d, all asleep", o.publishes, o.publishReaders)
	},
	measure: measurePublish,
	rounds:  func(o options) int { return min(o.pairs, 3) }, // one takes minutes
	only:    []string{"ours"},
	columns: publishColumns(),
	compare: []comparison{
		{label: "publish, p50 ns, most readers/10", figure: "p50_ns_most", base: "p50_ns_10", ours: "ours", other: "ours", less: true},
		{label: "publish, in a row ns, most readers/10", figure: "row_ns_most", base: "row_ns_10", ours: "ours", other: "ours", less: true},
	},
}

// publishReaders are the numbers of readers.
var publishReaders = []int{0, 10, 1000, 10_000, 100_000}

func publishColumns() (columns []column) {
	for _, kind := range []struct{ key, head string }{{"p50_ns", "p50 ns"}, {"p99_ns", "p99 ns"}, {"row_ns", "in a row ns"}, {"allocs", "allocations"}} {
		for _, n := range publishReaders {
			columns = append(columns, column{
				key:    fmt.Sprintf("%s_%d", kind.key, n),
				head:   fmt.Sprintf("%s, %s readers", kind.head, grouped(float64(n))),
				format: grouped,
			})
		}
	}
	return append(columns, column{key: "ratio", head: "p50, most/10", format: ratioText, main: true})
}

// measurePublish measures what Publish costs its caller, by how many readers
// sleep. Each number of them has a process of its own.
func measurePublish(ctx context.Context, o options, name string) (*result, error) {
	r := newResult()
	for _, n := range publishReaders {
		if n > o.publishReaders {
			break
		}
		cost, err := measureInProcess[publishCost](ctx, o, "publish-cost", n, o.publishes)
		if err != nil {
			return r, fmt.Errorf("%d readers: %w", n, err)
		}
		for key, v := range map[string]float64{"p50_ns": cost.P50, "p99_ns": cost.P99, "row_ns": cost.Row, "allocs": cost.Allocs} {
			r.Figures[fmt.Sprintf("%s_%d", key, n)] = v
		}
		r.Figures["clock_ns"] = cost.Clock
		r.Figures["p50_ns_most"], r.Figures["row_ns_most"] = cost.P50, cost.Row
		r.Tally.add(cost.Tally)
	}
	r.Figures["ratio"] = r.Figures["p50_ns_most"] / r.Figures["p50_ns_10"]
	return r, nil
}

// publishCost answers "publish-cost".
type publishCost struct {
	P50    float64 `json:"p50_ns"`
	P99    float64 `json:"p99_ns"`
	Row    float64 `json:"row_ns"`   // median of calls right behind each other, while readers wake
	Clock  float64 `json:"clock_ns"` // that looking at the clock takes, and is in these
	Allocs float64 `json:"allocs"`
	Tally  tally   `json:"tally"`
}

const (
	napping = 2 * time.Millisecond // for readers to fall asleep again, and at least from one call to the next
	warming = 10                   // calls that do not count
	counted = 5                    // calls whose allocations are counted
	row     = 32                   // calls in a row
)

// measurePublishCost times calls of Publish to one topic whose readers sleep:
// each has got the message before. With nothing to do between them, the cores
// sleep too, and their caches have what readers needed last: this is the call of
// somebody who publishes now and then. What it costs when there is more to do
// than that, calls in a row show.
func measurePublishCost(readers, publishes, size int) (cost publishCost, err error) {
	hub := ssehub.New(nil)
	defer hub.Close()
	p := publisher{hub: hub, data: newPayload(size)}
	if err := p.crowd.join(context.Background(), hub, topic, readers); err != nil {
		return cost, err
	}
	var times []float64
	for range warming + publishes {
		time.Sleep(napping)
		times = append(times, p.timed())
		p.taken()
	}
	times = times[warming:]
	slices.Sort(times)
	cost.P50, cost.P99 = median(times), times[len(times)*99/100]
	var allocated uint64
	for range counted {
		time.Sleep(napping)
		putSeq(p.data, p.sent)
		allocated += allocations(p.publish)
		p.sent++
		p.taken()
	}
	cost.Allocs = float64(allocated) / counted
	times = times[:0]
	for range row {
		times = append(times, p.timed())
	}
	cost.Row = median(times)
	p.taken()
	cost.Clock = clockCost()
	p.crowd.settle()
	cost.Tally = p.crowd.tally
	return cost, p.err
}

// publisher publishes to one topic, whose readers are in crowd.
type publisher struct {
	hub   *ssehub.Hub
	crowd crowd
	data  []byte
	sent  int
	took  int // by the readers
	err   error
}

func (p *publisher) publish() {
	if _, err := p.hub.Publish(context.Background(), topic, sse.Message{Data: p.data}); err != nil {
		p.err = err
	}
}

// timed publishes the next message and returns the nanoseconds that it took.
func (p *publisher) timed() float64 {
	putSeq(p.data, p.sent)
	start := time.Now()
	p.publish()
	took := time.Since(start)
	p.sent++
	return float64(took)
}

// taken waits until the readers have got all that was sent.
func (p *publisher) taken() {
	for ; p.took < p.sent; p.took++ {
		p.crowd.take(p.took, len(p.data))
	}
}

// clockCost is the time of looking at the clock, as it is in what is timed.
func clockCost() float64 {
	const looks = 1000
	var sum time.Duration
	for range looks {
		start := time.Now()
		sum += time.Since(start)
	}
	return float64(sum) / looks
}

// allocations counts those of a call. With one core none of the readers that it
// wakes runs before they are counted.
func allocations(call func()) uint64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}
