package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// Outage is what RunOutage needs.
type Outage struct {
	// Open returns the Broker of a node; all are for one log.
	Open func(t testing.TB) ssehub.Broker
	// Down has the engine end without a word, or stop to answer; Up has it go on with
	// all that it has acknowledged, and in the same epoch.
	Down, Up func(t testing.TB)
	// For is how long it is down; zero means 2.5 s.
	For time.Duration
}

const (
	outageReaders    = 3 // that stay, at each node
	outagePublishers = 4
	outageBefore     = 1100 // events, more than a hub keeps
	outageKept       = 1000
	outageHeartbeat  = 400 * time.Millisecond
	outageSilence    = 6 * outageHeartbeat     // that no reader may see
	outageLate       = 1500 * time.Millisecond // for machines that are busy
)

// RunOutage has two hubs on one log whose engine is away for a while, and holds them
// to what they promise of that:
//
//   - Publish returns an error, soon after its context at the latest;
//   - who reads stays connected, hears heartbeats, is told no gap, and in the end has
//     each event that was acknowledged, once and in order. An event whose Publish has
//     failed may come, but not twice;
//   - a client that comes meanwhile gets a stream if it has no id, or one behind which
//     the hub has everything. Where only the broker can judge it is sent away, and gets
//     no verdict before the engine is back: where the id is above what the hub has
//     read, or of another epoch, or where the hub does not keep any more what follows.
func RunOutage(t *testing.T, o Outage) {
	if o.For == 0 {
		o.For = 2500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), o.For+2*patience)
	defer cancel()
	run := &outage{suite: &suite{T: t, ctx: ctx}, Outage: o, acked: make(map[string]ssehub.Position)}
	for range nodeCount {
		run.nodes = append(run.nodes, startNode(ctx, t, &ssehub.Options{
			Broker: o.Open(t), Heartbeat: outageHeartbeat, History: ssehub.Retention{Events: outageKept},
		}, "t"))
	}
	run.run()
}

type outage struct {
	*suite
	Outage
	nodes   []node
	readers sync.WaitGroup
	down    atomic.Bool // from when Down has returned until Up is called
	up      atomic.Pointer[time.Time]

	mu        sync.Mutex
	acked     map[string]ssehub.Position // by text
	before    int                        // of these
	refused   [outagePublishers]int      // while the engine was down
	slowest   time.Duration              // Publish
	published time.Duration              // again, after Up
	read      time.Duration              // again, by all
	silence   time.Duration
	away      int // how often clients were sent away
}

func (o *outage) run() {
	start := o.nodes[0].hub.Position()
	o.fill()
	for i := range o.nodes {
		for range outageReaders {
			o.follow(i, arrival{who: "stays", verdict: sse.VerdictFresh})
		}
	}
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for p := range outagePublishers {
		publishers.Go(func() { o.publish(p, stop) })
	}
	o.await("events before the outage", func() bool { return len(o.acked) >= outageBefore+20 })

	o.Down(o)
	for i := 0; o.try(0, fmt.Sprint("last words ", i)); i++ { // a signal may take a moment
	}
	o.down.Store(true)
	end := time.After(o.For)
	for i, node := range o.nodes {
		known := node.hub.Position()
		ahead := ssehub.Position{Epoch: known.Epoch, Seq: known.Seq + 1<<20}
		for _, a := range []arrival{
			{"is new", "", sse.VerdictFresh, false},
			{"comes back", known.String(), sse.VerdictResumed, false},
			{"comes late", start.String(), sse.VerdictResumed, true},
			{"is ahead", ahead.String(), sse.VerdictAhead, true},
			{"is of another log", "another1-5", sse.VerdictEpoch, true},
		} {
			o.follow(i, a)
		}
	}
	<-end
	o.down.Store(false)
	now := time.Now()
	o.mu.Lock()
	o.before = len(o.acked)
	if slices.Contains(o.refused[:], 0) {
		o.Errorf("Publish was refused %v times", o.refused)
	}
	o.mu.Unlock()
	o.up.Store(&now)
	o.Up(o)
	o.await("events behind the outage", func() bool { return len(o.acked) >= o.before+20 })
	close(stop)
	publishers.Wait()
	_, err := o.nodes[0].insist(o.ctx, "end")
	o.must(err)
	o.readers.Wait()
	o.Logf("down for %v: Publish was refused %v times, within %v; clients were sent away %d times, and waited for a sign of life for %v at most; after the start of the engine events were published after %v, and read by all after %v; %d were acknowledged",
		o.For, o.refused, o.slowest.Round(time.Millisecond), o.away, o.silence.Round(time.Millisecond),
		o.published.Round(time.Millisecond), o.read.Round(time.Millisecond), len(o.acked))
}

// fill publishes what is too much for a hub to keep, and waits until all have read it.
func (o *outage) fill() {
	const together = 30
	var filling sync.WaitGroup
	for i := range together {
		filling.Go(func() {
			for k := i; k < outageBefore; k += together {
				text := fmt.Sprint("before ", k)
				pos, err := o.nodes[k%nodeCount].insist(o.ctx, text)
				if err != nil {
					o.Error(err)
					return
				}
				o.ack(text, pos)
			}
		})
	}
	filling.Wait()
	o.await("events read", func() bool {
		for _, pos := range o.acked {
			for _, node := range o.nodes {
				if node.hub.Position().Seq < pos.Seq {
					return false
				}
			}
		}
		return true
	})
}

func (o *outage) ack(text string, pos ssehub.Position) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked[text] = pos
	if up := o.up.Load(); up != nil && o.published == 0 {
		o.published = time.Since(*up)
	}
}

// await waits for what is looked at under the lock.
func (o *outage) await(what string, is func() bool) {
	o.Helper()
	for {
		o.mu.Lock()
		ok := is()
		o.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-o.ctx.Done():
			o.Fatalf("no %s", what)
		}
	}
}

// publish publishes one event after the other. What is not acknowledged it gives up, or
// tries again, in turn.
func (o *outage) publish(p int, stop <-chan struct{}) {
	for i := 0; ; i++ {
		for ok := false; !ok; {
			ok = o.try(p, fmt.Sprint(p, " ", i)) || i%2 == 0
			select {
			case <-time.After(50 * time.Millisecond):
			case <-stop:
				return
			case <-o.ctx.Done():
				return
			}
		}
	}
}

func (o *outage) try(p int, text string) (ok bool) {
	down, began := o.down.Load(), time.Now()
	pos, err := o.nodes[p%nodeCount].publish(o.ctx, text)
	took := time.Since(began)
	down = down && o.down.Load()
	if took > publishTimeout+outageLate {
		o.Errorf("Publish took %v, and its context ended after %v", took, publishTimeout)
	}
	if err == nil && down {
		o.Errorf("%q was acknowledged while the engine was down", text)
	}
	if err == nil {
		o.ack(text, pos)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.slowest = max(o.slowest, took)
	if down {
		o.refused[p]++
	}
	return err == nil
}

// arrival is a client that comes, and stays to the end.
type arrival struct {
	who, id string
	verdict string
	asks    bool // nobody but the broker can judge it
}

func (o *outage) follow(node int, a arrival) {
	o.readers.Go(func() {
		c, err := o.come(o.nodes[node].url, a)
		if err == nil {
			err = o.readAll(c, a)
		}
		if err != nil {
			o.Errorf("a client of node %d that %s: %v", node, a.who, err)
		}
	})
}

// come returns the client when it has got a stream.
func (o *outage) come(url string, a arrival) (*client, error) {
	for {
		down := o.down.Load()
		c, err := dial(o.ctx, url, a.id)
		down = down && o.down.Load()
		switch {
		case errors.Is(err, errAway) && a.asks:
			o.mu.Lock()
			o.away++
			o.mu.Unlock()
		case err != nil:
			return nil, err
		case c.verdict.Verdict != a.verdict:
			return nil, fmt.Errorf("the verdict is %s, and should be %s", c.verdict.Verdict, a.verdict)
		case down && a.asks:
			return nil, fmt.Errorf("the verdict is %s, and nobody can know", a.verdict)
		default:
			return c, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-o.ctx.Done():
			return nil, o.ctx.Err()
		}
	}
}

// readAll reads up to the last event, and looks whether all are there.
func (o *outage) readAll(c *client, a arrival) error {
	defer c.end()
	got := make(map[string]ssehub.Position) // by text
	from := c.hello.ID
	told := a.verdict == sse.VerdictFresh || a.verdict == sse.VerdictResumed
	var last ssehub.Position
	var again time.Duration
	for m := range c.messages {
		if m.Type == sse.TypeGap && !told {
			told, from = true, m.ID
			continue
		}
		text := string(m.Data)
		pos, err := ssehub.ParsePosition(m.ID)
		_, twice := got[text]
		if m.Type == sse.TypeGap || !told || err != nil || twice || pos.Seq <= last.Seq {
			return fmt.Errorf("behind %v comes %q with id %s, type %s", last, text, m.ID, m.Type)
		}
		if got[text], last = pos, pos; text == "end" {
			break
		}
		if up := o.up.Load(); up != nil && again == 0 {
			again = time.Since(*up)
		}
	}
	c.end()
	if _, ok := got["end"]; !ok {
		return fmt.Errorf("the stream has ended: %w", c.err)
	}
	if c.silence > outageSilence {
		return fmt.Errorf("silence of %v", c.silence)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silence, o.read = max(o.silence, c.silence), max(o.read, again)
	start, err := ssehub.ParsePosition(from)
	for text, pos := range o.acked {
		if pos.Seq > start.Seq && got[text] != pos {
			err = fmt.Errorf("%q was acknowledged at %v, and came at %q", text, pos, got[text])
		}
	}
	return err
}
