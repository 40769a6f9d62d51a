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
	// openStep is how many it opens before it looks for answers.
	openStep = 16
	// longest bounds one measurement, however slow.
	longest = 10 * time.Minute
	// gather is how long to sleep in a burst after reads that brought little.
	// Waking for each message costs the generator as much as the server and is
	// taken from the server's share of the machine. A burst looks longer by up
	// to this.
	gather = 10 * time.Millisecond
	// settling is how long to look for what comes behind the last message.
	settling = 100 * time.Millisecond
)

// plan is what a generator's connections are to do.
type plan struct {
	conns    int
	messages int // that each is to get, at most
	size     int // of one message's data
	request  string
	greeted  bool          // the server begins each stream with a hello
	atOnce   bool          // connections are all opened before the first is read
	timed    bool          // messages carry the time of their publishing
	byPlace  bool          // and come in the order of the log, whatever their numbers: many publish
	stall    time.Duration // how long all may be silent before what is missing is given up
}

// newRequest asks for an event stream. Without an id it starts now.
func newRequest(path, lastEventID string) string {
	request := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
	if lastEventID != "" {
		request += "Last-Event-ID: " + lastEventID + "\r\n"
	}
	return request + "\r\n"
}

// generator holds the connections of one measurement. Each of its workers
// waits for its share of them with epoll, because a goroutine and net.Conn for
// each would cost this process more than the servers under test.
type generator struct {
	plan    plan
	workers []*worker
}

func newGenerator(p plan) (*generator, error) {
	g := &generator{plan: p}
	n := min(2, runtime.NumCPU(), p.conns)
	for i := range n {
		w, err := newWorker(&g.plan, (p.conns+i)/n)
		if err != nil {
			g.close()
			return nil, err
		}
		g.workers = append(g.workers, w)
	}
	g.expect(p.messages)
	return g, nil
}

func (g *generator) close() {
	for _, w := range g.workers {
		w.close()
	}
}

// expect sets how many messages each connection shall have had when collect
// returns.
func (g *generator) expect(messages int) {
	for _, w := range g.workers {
		w.expect(messages)
	}
}

// open connects everything, to each address in turn, and returns when all is
// answered, with the hello where the server begins its streams so.
func (g *generator) open(ctx context.Context, addrs ...string) error {
	var targets []netip.AddrPort
	for _, addr := range addrs {
		target, err := netip.ParseAddrPort(addr)
		if err != nil {
			return err
		}
		targets = append(targets, target)
	}
	errs := make([]error, len(g.workers))
	start := monotonic()
	g.each(func(i int, w *worker) {
		w.ready.start, w.bytes.start = start, start
		errs[i] = w.open(ctx, targets)
	})
	return errors.Join(errs...)
}

// helloPause is how long a published hello may take before the next one.
const helloPause = 200 * time.Millisecond

// awaitHello publishes hellos until one has reached every connection, so that
// messages will too. Servers without a hello of their own send the head before
// they know the connection.
func (g *generator) awaitHello(ctx context.Context, publish func() error) error {
	for end := time.Now().Add(g.plan.stall); ; {
		if err := publish(); err != nil {
			return err
		}
		pause := time.Now().Add(helloPause)
		g.each(func(_ int, w *worker) {
			w.until(ctx, 0, func() bool {
				return w.greeted == len(w.conns) || w.closed > 0 || time.Now().After(pause)
			})
		})
		greeted := 0
		for _, w := range g.workers {
			greeted += w.greeted
		}
		switch {
		case greeted == g.plan.conns:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case g.failure() != nil:
			return g.failure()
		case time.Now().After(end):
			return fmt.Errorf("%d of %d connections get no messages", g.plan.conns-greeted, g.plan.conns)
		}
	}
}

// collect reads until every connection has got what is expected, or nothing
// more comes, and returns the monotonic time of the last delivery.
func (g *generator) collect(ctx context.Context, pause time.Duration) (last int64) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	g.each(func(_ int, w *worker) {
		w.until(ctx, pause, func() bool { return w.pending == 0 })
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
		if w.times != nil {
			t.Malformed += w.times.bad
		}
	}
	once := make(map[[seqDigits]byte]bool)
	for _, f := range g.fates() {
		t.Reordered += f.elsewhere
		if f.sent != 0 && once[f.number] {
			t.Duplicated++
		}
		once[f.number] = true
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

func (w *worker) open(ctx context.Context, targets []netip.AddrPort) error {
	opened, wave, step := 0, openWave, openStep
	if w.plan.atOnce {
		wave, step = len(w.conns), len(w.conns)
	}
	for opened < len(w.conns) && w.closed == 0 && ctx.Err() == nil {
		for range min(step, len(w.conns)-opened, wave-(opened-w.answered)) {
			if err := w.connect(opened, targets[opened%len(targets)]); err != nil {
				return fmt.Errorf("connection %d: %w", opened, err)
			}
			opened++
		}
		if opened-w.answered < wave {
			if _, _, err := w.poll(0); err != nil {
				return err
			}
			continue
		}
		w.until(ctx, 0, func() bool { return opened-w.answered < wave || w.closed > 0 })
		if opened-w.answered >= wave {
			break
		}
	}
	w.until(ctx, 0, func() bool { return w.answered == opened || w.closed > 0 })
	if w.answered < len(w.conns) {
		return fmt.Errorf("%d of %d connections were not answered: %w", len(w.conns)-w.answered, len(w.conns), w.failure(ctx))
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
