//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

type soakOptions struct {
	long  time.Duration
	rate  int     // connects a second
	slack float64 // bytes a second by which the heap may grow, for runs that are short
}

type soakResult struct {
	Seconds                                       float64
	Connects, Resets, Cuts, Resumed, Events, Gaps int64
	Heap                                          line // the trend of samples behind the warm-up
	Base                                          sample
	End                                           ending
	Violations                                    []string
	Samples                                       []sample
}

const (
	lagging = 8
	sitting = 8
	steady  = 2 // for each ask
)

// runSoak has a server in a process of its own, and puts the churn on it.
func runSoak(opts soakOptions, out io.Writer) (soakResult, error) {
	var result soakResult
	server, err := startChild("churn")
	if err != nil {
		return result, err
	}
	defer server.kill()
	var first report
	if err := server.hear(&first); err != nil {
		return result, err
	}
	result.Base = *first.Base
	c := &clients{addr: first.Addr, parked: make(chan *visitor, 64)}
	fmt.Fprintf(out, "server alone: %d goroutines, %d descriptors, %d kB of heap\n",
		first.Base.Goroutines, first.Base.Descriptors, first.Base.Heap>>10)

	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), opts.long)
	defer cancel()
	var last atomic.Pointer[map[string]int] // nil until publishers have stopped
	staying, leave := context.WithCancel(context.Background())
	defer leave()
	stayed := c.startStaying(staying, &last)
	churn := c.startChurn(ctx, opts.rate)
	if err := result.watch(ctx, server, c, out); err != nil {
		return result, err
	}
	churn.Wait()
	stopped, err := ask(server, "stop")
	if err != nil {
		return result, err
	}
	last.Store(&stopped.Last)
	defer time.AfterFunc(settling, leave).Stop()
	stayed.Wait()
	settle := "settle"
	if opts.long >= time.Minute {
		settle += " patterns"
	}
	settled, err := ask(server, settle)
	if err != nil {
		return result, err
	}
	result.End = *settled.End
	result.Seconds = time.Since(start).Seconds()
	result.Connects, result.Resets, result.Cuts = c.connects.Load(), c.resets.Load(), c.cuts.Load()
	result.Resumed, result.Events, result.Gaps = c.resumed.Load(), c.events.Load(), c.gaps.Load()
	result.Violations = c.violations
	if err := server.end(); err != nil {
		result.Violations = append(result.Violations, fmt.Sprint("server: ", err))
	}
	result.judge(opts.slack)
	result.print(out)
	return result, nil
}

// ask tells the server something and hears what it says.
func ask(server *child, what string) (report, error) {
	var r report
	if err := server.tell("%s", what); err != nil {
		return r, err
	}
	if err := server.hear(&r); err != nil {
		return r, fmt.Errorf("the server has ended: %w", err)
	}
	return r, nil
}

// startChurn starts all clients that leave with ctx.
func (c *clients) startChurn(ctx context.Context, rate int) *sync.WaitGroup {
	all := new(sync.WaitGroup)
	all.Go(func() { c.churn(ctx, rate) })
	for range lagging {
		all.Go(func() { c.lag(ctx) })
	}
	for range sitting {
		all.Go(func() { c.sit(ctx) })
	}
	return all
}

// startStaying starts those that must have the publishers' last numbers before ctx
// ends.
func (c *clients) startStaying(ctx context.Context, last *atomic.Pointer[map[string]int]) *sync.WaitGroup {
	all := new(sync.WaitGroup)
	for _, ask := range asks {
		for range steady {
			all.Go(func() {
				c.stay(ctx, &visitor{newTracker(), ask}, func() map[string]int {
					if m := last.Load(); m != nil {
						return *m
					}
					return nil
				})
			})
		}
	}
	return all
}

// watch takes samples until ctx ends.
func (r *soakResult) watch(ctx context.Context, server *child, c *clients, out io.Writer) error {
	deadline, _ := ctx.Deadline()
	long := time.Until(deadline)
	line := time.Now()
	for range ticks(ctx, max(long/400, 100*time.Millisecond)) {
		answer, err := ask(server, "sample")
		if err != nil {
			return err
		}
		now := *answer.Sample
		now.Connects = c.connects.Load()
		r.Samples = append(r.Samples, now)
		if time.Since(line) >= max(2*time.Second, long/60) {
			line = time.Now()
			fmt.Fprintf(out, "%6.0f s  %8d connects  %9d events  %6d gaps told  %5d kB of heap  %4d goroutines  %4d descriptors\n",
				now.Seconds, now.Connects, c.events.Load(), c.gaps.Load(), now.Heap>>10, now.Goroutines, now.Descriptors)
		}
	}
	return nil
}
