package brokertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// Losses is what RunLosses needs.
type Losses struct {
	// Open returns the Broker of a node; all are for one log.
	Open func(t testing.TB) ssehub.Broker
	// Trims are ways, by name, to drop the events of the log before first, or more.
	Trims map[string]func(t testing.TB, first uint64)
	// Ends are ways, by name, to end the log, which then begins anew with another
	// Epoch, empty or with events that it had.
	Ends map[string]func(t testing.TB)
}

// RunLosses has two hubs on one log that loses events, and holds them to what they
// promise of that, to clients at each of the two:
//
//   - what was dropped is told to who comes back from below it, if the hub has not kept
//     it, and to who reads at a hub that had not read it. Who has read it is told
//     nothing;
//   - a log that begins anew is told to who reads, even if nobody publishes, and to who
//     comes back. All go on with the new log.
func RunLosses(t *testing.T, l Losses) {
	test := func(name string, run func(*losses)) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			run(&losses{suite: &suite{T: t, ctx: ctx}, open: l.Open})
		})
	}
	for _, name := range slices.Sorted(maps.Keys(l.Trims)) {
		test(name, func(s *losses) { s.trimmed(l.Trims[name]) })
		test(name+" unread", func(s *losses) { s.overtaken(l.Trims[name]) })
	}
	for _, name := range slices.Sorted(maps.Keys(l.Ends)) {
		test(name, func(s *losses) { s.ended(l.Ends[name]) })
	}
}

// toldWithin is for a gap that is due. Brokers are asked every five seconds by hubs that
// hear nothing, and tried again after five at most.
const toldWithin = 15 * time.Second

type losses struct {
	*suite
	open    func(t testing.TB) ssehub.Broker
	brokers []*cable
	nodes   []node
	n       int // events published
}

// start starts the nodes, each with a client that stays.
func (s *losses) start(keep ssehub.Retention) (readers []*client) {
	for i := range nodeCount {
		s.startNode(keep)
		c := s.connect(i, ssehub.Position{})
		s.equal("verdict", c.verdict.Verdict, sse.VerdictFresh)
		readers = append(readers, c)
	}
	return readers
}

func (s *losses) startNode(keep ssehub.Retention) {
	b := &cable{Broker: s.open(s)}
	s.brokers = append(s.brokers, b)
	s.nodes = append(s.nodes, startNode(s.ctx, s, &ssehub.Options{Broker: b, History: keep}, "t"))
}

// connect returns a client of a node that is behind after, when that has let it in.
func (s *losses) connect(node int, after ssehub.Position) *client {
	s.Helper()
	for {
		c, err := dial(s.ctx, s.nodes[node].url, after.String())
		if err == nil {
			s.Cleanup(c.end)
			return c
		}
		if !errors.Is(err, errAway) || s.ctx.Err() != nil {
			s.Fatalf("a client of node %d: %v", node, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// next returns what a client gets next.
func (s *losses) next(c *client) sse.Message {
	s.Helper()
	select {
	case m, ok := <-c.messages:
		if !ok {
			s.Fatalf("the stream has ended: %v", c.err)
		}
		return m
	case <-time.After(toldWithin):
		s.Fatal("nothing comes")
		return sse.Message{}
	}
}

// publish publishes n events, at one node after the other. Each must be what readers
// get next.
func (s *losses) publish(readers []*client, n int) (positions []ssehub.Position) {
	s.Helper()
	for range n {
		pos := s.publishOne()
		for _, c := range readers {
			s.equal("what comes next", s.next(c).ID, pos.String())
		}
		positions = append(positions, pos)
	}
	return positions
}

func (s *losses) publishOne() ssehub.Position {
	s.Helper()
	s.n++
	pos, err := s.nodes[s.n%nodeCount].insist(s.ctx, fmt.Sprint(s.Name(), " ", s.n))
	s.must(err)
	return pos
}

// gap returns what m says, if it is a gap.
func (s *losses) gap(m sse.Message) (gap sse.Gap, ok bool) {
	s.Helper()
	if m.Type != sse.TypeGap {
		return gap, false
	}
	s.must(json.Unmarshal(m.Data, &gap))
	return gap, true
}

// join connects the hubs that are cut off again, when they have noticed, as they do when
// there is something to read.
func (s *losses) join() {
	s.Helper()
	for i, b := range s.brokers {
		for b.cut.Load() && s.nodes[i].hub.Stats().Broker.Err == nil {
			s.must(s.ctx.Err())
			<-time.After(time.Millisecond)
		}
		b.cut.Store(false)
	}
}

// account has a client get all of want, each event by itself or in a gap, and returns
// how many are in gaps.
func (s *losses) account(c *client, want []ssehub.Position) (lost int) {
	s.Helper()
	for i := 0; i < len(want); {
		m := s.next(c)
		gap, ok := s.gap(m)
		if !ok {
			s.equal("what comes next", m.ID, want[i].String())
			i++
			continue
		}
		to, err := ssehub.ParsePosition(gap.To)
		s.must(err)
		s.equal("epoch of a gap", to.Epoch, want[i].Epoch)
		for ; i < len(want) && want[i].Seq <= to.Seq; i++ {
			lost++
		}
	}
	return lost
}

// Sentence 7, where every node has read what is dropped, and does not keep it.
func (s *losses) trimmed(trim func(t testing.TB, first uint64)) {
	keep := ssehub.Retention{Events: 5}
	readers := s.start(keep)
	all := s.publish(readers, 30)
	trim(s, all[20].Seq)
	bounds := s.bounds(s.brokers[0])
	if bounds.First < all[20].Seq {
		s.Fatalf("bounds %+v after a trim to %v", bounds, all[20])
	}
	s.startNode(keep) // one that has never had them
	for _, b := range s.brokers[:nodeCount] {
		b.cut.Store(true) // so that these look at what is kept
	}
	next := s.publishOne()
	s.join()
	for _, c := range readers {
		s.equal("what comes next", s.next(c).ID, next.String())
	}
	all = append(all, next)
	for i := range s.nodes {
		c := s.connect(i, all[9])
		s.equal("verdict from below", c.verdict.Verdict, sse.VerdictGap)
		if lost := s.account(c, all[10:]); lost < 10 {
			s.Errorf("%d events told as lost", lost)
		}
		readers = append(readers, c)
		c = s.connect(i, ssehub.Position{Epoch: bounds.Epoch, Seq: bounds.First - 1})
		s.equal("verdict from the edge", c.verdict.Verdict, sse.VerdictResumed)
		for _, pos := range all {
			if pos.Seq >= bounds.First {
				s.equal("what comes next", s.next(c).ID, pos.String())
			}
		}
		readers = append(readers, c)
	}
	s.publish(readers, 4)
}

// Sentence 7, where one of the nodes has not read what is dropped.
func (s *losses) overtaken(trim func(t testing.TB, first uint64)) {
	readers := s.start(ssehub.Retention{})
	before := s.publish(readers, 5)
	s.brokers[1].cut.Store(true)
	behind := s.publish(readers[:1], 10)
	trim(s, behind[6].Seq)
	s.join()
	behind = append(behind, s.publish(readers[:1], 5)...)
	first := s.bounds(s.brokers[0]).First
	late := s.connect(1, before[2])
	for _, lost := range []int{
		s.account(readers[1], behind),
		s.account(late, slices.Concat(before[3:], behind)),
	} {
		if lost < 6 || first <= behind[5].Seq {
			s.Errorf("%d events told as lost, and %d is the first that is kept", lost, first)
		}
	}
	readers = append(readers, late)
	for i := range s.nodes {
		c := s.connect(i, behind[len(behind)-1])
		s.equal("verdict", c.verdict.Verdict, sse.VerdictResumed)
		readers = append(readers, c)
	}
	s.publish(readers, 4)
}

// Sentence 9.
func (s *losses) ended(end func(t testing.TB)) {
	readers := s.start(ssehub.Retention{})
	old := s.publish(readers, 10)
	end(s)
	for i := range s.nodes { // which may not know yet
		readers = append(readers, s.connect(i, old[4]))
	}
	for _, c := range readers {
		s.told(c, old[4].Epoch)
	}
	for i := range s.nodes {
		c := s.connect(i, old[4])
		s.equal("verdict", c.verdict.Verdict, sse.VerdictEpoch)
		s.told(c, "")
		readers = append(readers, c)
	}
	first := s.publishOne()
	for _, c := range readers { // before that comes what the log has kept
		for id := ""; id != first.String(); {
			m := s.next(c)
			pos, err := ssehub.ParsePosition(m.ID)
			s.must(err)
			if m.Type == sse.TypeGap || pos.Epoch != first.Epoch || pos.Epoch == old[4].Epoch {
				s.Fatalf("behind %s comes %s, %s", id, m.ID, m.Data)
			}
			id = m.ID
		}
	}
	behind := s.publish(readers, 4)
	for i := range s.nodes {
		c := s.connect(i, first)
		s.equal("verdict", c.verdict.Verdict, sse.VerdictResumed)
		s.equal("lost", s.account(c, behind), 0)
		readers = append(readers, c)
	}
	s.publish(readers, 4)
}

// told has a client get a gap, perhaps behind events of the epoch that is over.
func (s *losses) told(c *client, epoch string) {
	s.Helper()
	for {
		m := s.next(c)
		if gap, ok := s.gap(m); ok {
			s.equal("reason", gap.Reason, sse.ReasonEpoch)
			return
		}
		pos, err := ssehub.ParsePosition(m.ID)
		s.must(err)
		s.equal("epoch", pos.Epoch, epoch)
	}
}

// cable is what connects a hub to its broker, and can be cut for who reads.
type cable struct {
	ssehub.Broker
	cut atomic.Bool
}

var errCut = errors.New("brokertest: the cable is cut")

func (c *cable) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		for e, err := range c.Broker.Read(ctx, r) {
			if c.cut.Load() {
				yield(ssehub.Event{}, errCut)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (c *cable) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	if c.cut.Load() {
		return ssehub.Bounds{}, errCut
	}
	return c.Broker.Bounds(ctx)
}
