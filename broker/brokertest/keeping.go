package brokertest

import (
	"slices"

	"github.com/ssehub-go/ssehub"
)

// Sentences 7, 8: what is dropped is below First, and a Read goes on behind it.
func (s *suite) trim() {
	if s.Harness.Trim == nil {
		s.Skip("the harness has no Trim")
	}
	b := s.New(s)
	start := s.start(b)
	positions := s.appendMany(b, 1000)
	stop, next := make(chan int), make(chan int)
	passed := make(chan ssehub.Position)
	peer := s.Peer(s, b)
	go func() { // reads one event, and the others when some are gone
		defer close(passed)
		for e, err := range peer.Read(s.ctx, ssehub.Range{After: start, Until: positions[999].Seq}) {
			if err != nil {
				s.Error(err)
				return
			}
			if stop != nil {
				close(stop)
				<-next
				stop = nil
			}
			passed <- e.Position
		}
	}()
	select {
	case <-stop:
	case <-passed:
		s.Fatal("nothing to read")
	case <-s.ctx.Done():
		s.Fatal(s.ctx.Err())
	}
	s.Harness.Trim(s, b, positions[600].Seq)
	bounds := s.bounds(b)
	if bounds.First < positions[600].Seq || bounds.First > bounds.Last || bounds.Last != positions[999].Seq {
		s.Fatalf("bounds %+v after a trim to %v", bounds, positions[600])
	}
	first := slices.IndexFunc(positions, func(p ssehub.Position) bool { return p.Seq == bounds.First })
	for _, after := range []ssehub.Position{start, positions[0], positions[first-1]} {
		got := s.read(s.Peer(s, b), ssehub.Range{After: after, Until: bounds.Last}, 0)
		s.equal("what is left behind "+after.String(), positionsOf(got), positions[first:])
	}
	close(next)
	last := start
	for pos := range passed {
		i := slices.Index(positions, pos)
		if i > 0 && last != start && positions[i-1] != last && s.bounds(b).First <= positions[i-1].Seq {
			s.Errorf("%v came behind %v, and First is %d", pos, last, s.bounds(b).First)
		}
		last = pos
	}
	s.equal("last", last, positions[999])
	if pos := s.append(b, "t", "x"); pos.Seq <= bounds.Last {
		s.Errorf("%v is behind %d", pos, bounds.Last)
	}
	// All of it.
	last = s.append(b, "t", "x")
	for range 2 {
		s.Harness.Trim(s, b, last.Seq+1)
		bounds = s.bounds(b)
		s.equal("bounds with nothing", bounds, ssehub.Bounds{Epoch: bounds.Epoch, First: last.Seq + 1, Last: last.Seq})
		s.equal("events of nothing", len(s.read(b, ssehub.Range{After: start, Until: bounds.Last}, 0)), 0)
		if s.Harness.Restart != nil && !s.Forgets {
			b = s.Harness.Restart(s, b)
			s.equal("bounds with nothing after a restart", s.bounds(b), bounds)
		}
		pos := s.append(b, "t", "x")
		if pos.Seq <= last.Seq {
			s.Errorf("%v is used again: %v", last, pos)
		}
		s.equal("the event behind nothing", positionsOf(s.read(b, ssehub.Range{After: start, Until: pos.Seq}, 0)), []ssehub.Position{pos})
		last = pos
	}
}

// Sentences 1, 8, 9: what was acknowledged is there after a restart, or the Epoch
// is another.
func (s *suite) restart() {
	if s.Harness.Restart == nil {
		s.Skip("the harness has no Restart")
	}
	b := s.New(s)
	start := s.start(b)
	var positions []ssehub.Position
	for range 5 {
		positions = append(positions, s.appendMany(b, 50)...)
		before := s.bounds(b)
		b = s.Harness.Restart(s, b)
		after := s.bounds(b)
		if s.Forgets {
			if after.Epoch == before.Epoch {
				s.Fatalf("the epoch %q stands for two logs", after.Epoch)
			}
			start, positions = s.start(b), nil
			continue
		}
		s.equal("bounds", after, before)
		s.equal("events", positionsOf(s.read(b, ssehub.Range{After: start, Until: after.Last}, 0)), positions)
	}
}
