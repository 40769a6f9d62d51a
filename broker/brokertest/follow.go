package brokertest

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
)

// BenchmarkFollow measures what bounds one log: how many events a second the engine
// takes from 64 publishers at once (append/s) and gives back to one Read (read/s), and
// how many a hub takes that is up, and behind by all of them (follow/s, and the time
// of an operation). Each is for data of 64 bytes and of 1 kB, in one topic and in
// 10,000, without readers and with 100, whose streams cost nothing but the hub's part.
// open returns a Broker with a log of its own that keeps b.N and 10,000 events.
func BenchmarkFollow(b *testing.B, open func(testing.TB) ssehub.Broker) {
	for _, size := range []int{64, 1 << 10} {
		for _, topics := range []int{1, 10_000} {
			for _, readers := range []int{0, 100} {
				b.Run(fmt.Sprintf("size=%d/topics=%d/readers=%d", size, topics, readers), func(b *testing.B) {
					benchmarkFollow(b, open(b), size, topics, readers)
				})
			}
		}
	}
}

func benchmarkFollow(b *testing.B, log ssehub.Broker, size, topics, readers int) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	data := strings.Repeat("x", size)
	appendN := func(n int) {
		b.Helper()
		must(appendAll(ctx, log, n, 64, func(i int) ssehub.Event { return event(fmt.Sprint("t", i%topics), data) }))
	}
	appendN(topics) // so that the hub knows them

	gate := &gate{Broker: log, open: make(chan struct{}), done: make(chan struct{})}
	hub := ssehub.New(&ssehub.Options{Broker: gate})
	defer hub.Close()
	must(hub.Ready(ctx))
	for i := range readers {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		must(err)
		go hub.Handler(fmt.Sprint("t", i%topics)).ServeHTTP(discard{}, req)
	}
	for hub.Stats().Subscribers < readers {
		time.Sleep(time.Millisecond)
	}
	before := hub.Position()

	start := time.Now()
	appendN(b.N)
	appended := time.Since(start)
	bounds, err := log.Bounds(ctx)
	must(err)
	start = time.Now()
	n := 0
	for _, err := range log.Read(ctx, ssehub.Range{After: before, Until: bounds.Last}) {
		must(err)
		n++
	}
	read := time.Since(start)
	if n != b.N {
		b.Fatalf("read %d events of %d", n, b.N)
	}

	gate.last = bounds.Last
	b.ResetTimer()
	close(gate.open)
	select {
	case <-gate.done:
	case <-time.After(patience):
		b.Fatalf("the hub is at %v, and not at %d", hub.Position(), bounds.Last)
	}
	b.StopTimer()
	for what, took := range map[string]time.Duration{"append/s": appended, "read/s": read, "follow/s": b.Elapsed()} {
		b.ReportMetric(float64(b.N)/took.Seconds(), what)
	}
}

// gate is a Broker whose Read with Follow begins when it is opened, and says when it
// has yielded the event last.
type gate struct {
	ssehub.Broker
	open, done chan struct{}
	last       uint64 // written before open is closed
}

func (g *gate) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	if !r.Follow {
		return g.Broker.Read(ctx, r)
	}
	return func(yield func(ssehub.Event, error) bool) {
		select {
		case <-g.open:
		case <-ctx.Done():
			yield(ssehub.Event{}, ctx.Err())
			return
		}
		for e, err := range g.Broker.Read(ctx, r) {
			if !yield(e, err) {
				return
			}
			if e.Position.Seq == g.last {
				close(g.done)
			}
		}
	}
}

// discard is a client that takes everything at once.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) WriteHeader(int)             {}
func (discard) FlushError() error           { return nil }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
