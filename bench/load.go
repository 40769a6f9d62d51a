package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

const (
	// openWave is how many connections one worker has under way at once. More
	// than the server's accept queue takes would wait for retransmissions.
	openWave = 128
	// stall is how long all of a worker's connections may be silent before it
	// gives up what is missing.
	stall = 10 * time.Second
	// longest bounds one burst, however slow.
	longest = 10 * time.Minute
	// gather is how long to sleep after reads that brought little. Waking for
	// each message costs the generator as much as the server and is taken from
	// the server's share of the machine. A burst looks longer by up to this.
	gather = 10 * time.Millisecond
	// settling is how long to look for what comes behind the last message.
	settling = 100 * time.Millisecond
)

// generator holds the connections of one measurement. Each of its workers
// waits for its share of them with epoll, because a goroutine and net.Conn for
// each would cost this process more than the servers under test.
type generator struct {
	workers []*worker
}

// newGenerator makes a generator for that many connections, each of which
// expects the messages of a burst.
func newGenerator(conns, messages, size int) (*generator, error) {
	g := &generator{}
	n := min(2, runtime.NumCPU(), conns)
	for i := range n {
		w, err := newWorker((conns+i)/n, messages, size)
		if err != nil {
			g.close()
			return nil, err
		}
		g.workers = append(g.workers, w)
	}
	return g, nil
}

func (g *generator) close() {
	for _, w := range g.workers {
		w.close()
	}
}

// open connects everything and returns when the server has told each
// connection that it will get what is published.
func (g *generator) open(ctx context.Context, addr string) error {
	target, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	errs := make([]error, len(g.workers))
	g.each(func(i int, w *worker) { errs[i] = w.open(ctx, target) })
	return errors.Join(errs...)
}

// collect reads until every connection has got everything, or nothing more
// comes, and returns the monotonic time of the last delivery.
func (g *generator) collect(ctx context.Context) (last int64) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	g.each(func(_ int, w *worker) {
		w.until(ctx, gather, func() bool { return w.complete+w.closed == len(w.conns) })
	})
	for _, w := range g.workers {
		last = max(last, w.last)
	}
	return last
}

// settle reads a little longer: a message that comes twice may come last.
func (g *generator) settle(ctx context.Context) {
	end := time.Now().Add(settling)
	g.each(func(_ int, w *worker) {
		w.until(ctx, 0, func() bool { return time.Now().After(end) })
	})
}

func (g *generator) tally() (t tally) {
	for _, w := range g.workers {
		for i := range w.conns {
			t.add(w.conns[i].check.tally())
		}
		t.Closed += int64(w.closed)
	}
	return t
}

// failure returns why the first connection ended, or nil.
func (g *generator) failure() error {
	for _, w := range g.workers {
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// each runs f for all workers at once.
func (g *generator) each(f func(i int, w *worker)) {
	var all sync.WaitGroup
	for i, w := range g.workers {
		all.Go(func() { f(i, w) })
	}
	all.Wait()
}

func (w *worker) open(ctx context.Context, target netip.AddrPort) error {
	for opened := 0; opened < len(w.conns); {
		wave := min(openWave, len(w.conns)-opened)
		for range wave {
			if err := w.connect(opened, target); err != nil {
				return fmt.Errorf("connection %d: %w", opened, err)
			}
			opened++
		}
		w.until(ctx, 0, func() bool { return w.ready == opened || w.closed > 0 })
		if w.ready < opened {
			return fmt.Errorf("%d of %d connections were not answered: %w", opened-w.ready, opened, w.failure(ctx))
		}
	}
	return nil
}

func (w *worker) failure(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case w.err != nil:
		return w.err
	default:
		return errors.New("the server is silent")
	}
}
