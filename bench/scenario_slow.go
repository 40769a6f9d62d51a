package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

var slowScenario = scenario{
	name: "slow",
	title: func(o options) string {
		return fmt.Sprintf("%d connections, %g messages a second of %d bytes, for %v without and with one more client that never reads; %d pairs (%d for all but ours)",
			o.slowConns, o.slowRate, o.slowSize, o.slowDuration, o.slowPairsOf("ours"), o.slowPairsOf("bare"))
	},
	measure: measureSlow,
	rounds:  func(options) int { return 1 }, // the pairs are inside of it
	columns: []column{
		{key: "p99_without_ns", head: "p99 without", format: durationText},
		{key: "p99_with_ns", head: "p99 with", format: durationText},
		{key: "ratio", head: "with/without", format: ratioText},
		{key: "ratio_low", head: "95% from", format: ratioText},
		{key: "ratio_high", head: "to", format: ratioText},
		{key: "held_bytes", head: "bytes held back", format: grouped},
	},
}

// slowPair is one turn without the client that never reads and one with it.
type slowPair struct {
	Without time.Duration `json:"p99_without_ns"`
	With    time.Duration `json:"p99_with_ns"`
	// Held is what was published to the one that never reads and is not in the
	// kernel's buffers: the server itself is stuck with it.
	Held int64 `json:"held_bytes"`
}

func (o options) slowPairsOf(name string) int {
	if strings.HasPrefix(name, "ours") {
		return o.slowPairs
	}
	return max(1, o.slowPairs/5)
}

func measureSlow(ctx context.Context, o options, name string) (*result, error) {
	pairs := o.slowPairsOf(name)
	paced := max(1, int(o.slowRate*o.slowDuration.Seconds()))
	all := pairs * 2 * (o.slowFill + paced)
	s, err := openSession(ctx, o,
		task{Server: name, Conns: o.slowConns + 1, Messages: all, Size: o.slowSize},
		plan{conns: o.slowConns, messages: all, size: o.slowSize, timed: true})
	if err != nil {
		return nil, err
	}
	defer s.close()
	turns := &slowTurns{session: s, rate: o.slowRate, size: o.slowSize, fill: o.slowFill, paced: paced}
	r := newResult()
	var failure error
	for n := range pairs {
		p, err := turns.pair(ctx, n%2 == 1)
		if err != nil {
			failure = err
			if p.Without > 0 {
				r.Figures["p99_without_ns"] = float64(p.Without)
			}
			break
		}
		r.Pairs = append(r.Pairs, p)
	}
	if failure == nil {
		failure = s.finish(ctx, r)
	} else {
		r.Tally = s.gen.tally()
		r.Tally.Expected = int64(s.gen.plan.conns) * int64(turns.published)
		r.Tally.Lost = r.Tally.Expected - r.Tally.Received
	}
	r.summarizePairs()
	return r, failure
}

func (r *result) summarizePairs() {
	if len(r.Pairs) == 0 {
		return
	}
	var without, with, ratios, held []float64
	for _, p := range r.Pairs {
		without = append(without, float64(p.Without))
		with = append(with, float64(p.With))
		ratios = append(ratios, float64(p.With)/float64(p.Without))
		held = append(held, float64(p.Held))
	}
	low, high := medianInterval(ratios)
	r.Figures["p99_without_ns"] = median(without)
	r.Figures["p99_with_ns"] = median(with)
	r.Figures["ratio"] = median(ratios)
	r.Figures["ratio_low"], r.Figures["ratio_high"] = low, high
	r.Figures["held_bytes"] = median(held)
}

// slowTurns are the turns of one server.
type slowTurns struct {
	*session
	rate      float64
	size      int
	fill      int // messages that the others get too, in both turns
	paced     int
	published int
}

// pair measures one pair, in either order.
func (s *slowTurns) pair(ctx context.Context, stuckFirst bool) (p slowPair, err error) {
	for _, stuck := range []bool{stuckFirst, !stuckFirst} {
		if !stuck {
			p.Without, err = s.turn(ctx)
			if err != nil {
				return p, fmt.Errorf("without a stuck client: %w", err)
			}
			continue
		}
		if err := s.stuckTurn(ctx, &p); err != nil {
			return p, fmt.Errorf("with a stuck client: %w", err)
		}
	}
	return p, nil
}

func (s *slowTurns) stuckTurn(ctx context.Context, p *slowPair) (err error) {
	c, err := openStuck(s.srv.Addr, s.gen.plan.request)
	if err != nil {
		return err
	}
	defer c.close()
	before := s.published
	if p.With, err = s.turn(ctx); err != nil {
		return err
	}
	inKernel, err := c.queued()
	p.Held = max(0, int64((s.published-before)*s.size)-inKernel)
	return err
}

// turn returns the p99 of the paced messages.
func (s *slowTurns) turn(ctx context.Context) (p99 time.Duration, err error) {
	// What fills the buffers is paced too, but as fast as a burst, as all
	// messages must carry times.
	if err := s.send(ctx, s.fill, 1e6); err != nil {
		return 0, err
	}
	s.gen.resetLatency()
	if err := s.send(ctx, s.paced, s.rate); err != nil {
		return 0, err
	}
	return time.Duration(s.gen.latency().ValueAtQuantile(99)), nil
}

var errSlowLoss = errors.New("messages do not come any more")

func (s *slowTurns) send(ctx context.Context, messages int, rate float64) error {
	first := s.published
	s.published += messages
	_, _, err := s.publish(ctx, "paced", first, messages, rate, 0)
	if err == nil && s.gen.pending() > 0 {
		err = errSlowLoss
	}
	return err
}

// pending is how many connections miss something.
func (g *generator) pending() (n int) {
	for _, w := range g.workers {
		n += w.pending + w.closed
	}
	return n
}
