//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// roundResult is one hub's end.
type roundResult struct {
	Within   time.Duration // what Shutdown's context gave
	Over     time.Duration // by how much Shutdown was late
	Beside   time.Duration // by how much a goroutine was late that waited for the same moment and nothing else
	CPUWait  time.Duration // that its process's threads had for a CPU meanwhile
	Problem  string        // what was left
	Finished bool          // Shutdown returned nil: no client was cut
}

type shutdownResult struct {
	Rounds, Finished, Crashes int
	Over                      []time.Duration // sorted
	Slow                      []roundResult   // those more than allowed late
	Unexcused                 int             // of these, where the process had the CPU
	Violations                []string
}

type shutdownOptions struct {
	rounds, clients, processes int
	allowed                    time.Duration // how late Shutdown may be
}

const mostInEach = 250 // rounds of one process

// runShutdowns has hubs end in processes of their own, some at a time.
func runShutdowns(opts shutdownOptions, out io.Writer) shutdownResult {
	var result shutdownResult
	var mu sync.Mutex
	var all sync.WaitGroup
	left := opts.rounds
	line := time.Now()
	for range opts.processes {
		all.Go(func() {
			for {
				mu.Lock()
				n := min(left, mostInEach, (opts.rounds+opts.processes-1)/opts.processes)
				left -= n
				mu.Unlock()
				if n == 0 {
					return
				}
				err := runRounds(n, opts.clients, func(r roundResult) {
					mu.Lock()
					defer mu.Unlock()
					result.add(r, opts.allowed)
					if time.Since(line) > 5*time.Second {
						line = time.Now()
						fmt.Fprintf(out, "%6d rounds, %v late at most\n", result.Rounds, slices.Max(result.Over))
					}
				})
				if err != nil {
					mu.Lock()
					result.Crashes++
					result.Violations = append(result.Violations, fmt.Sprint("a process crashed: ", err))
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	slices.Sort(result.Over)
	result.print(out, opts.allowed)
	return result
}

// runRounds has one process end n hubs.
func runRounds(n, clients int, each func(roundResult)) error {
	c, err := startChild("shutdowns")
	if err != nil {
		return err
	}
	defer c.kill()
	for range n {
		if err := c.tell("%d", clients); err != nil {
			return err
		}
		var r roundResult
		if err := c.hear(&r); err != nil {
			return err
		}
		each(r)
	}
	return c.end()
}

func (r *shutdownResult) add(round roundResult, allowed time.Duration) {
	r.Rounds++
	r.Over = append(r.Over, round.Over)
	if round.Finished {
		r.Finished++
	}
	if round.Problem != "" {
		r.Violations = append(r.Violations, round.Problem)
	}
	if round.Over <= allowed {
		return
	}
	r.Slow = append(r.Slow, round)
	if round.Over-max(round.Beside, round.CPUWait) > allowed {
		r.Unexcused++
		r.Violations = append(r.Violations, "was too late: "+round.String())
	}
}

func (r roundResult) String() string {
	return fmt.Sprintf("within %v, %v late; an idle goroutine beside it %v; threads waited %v for a CPU",
		r.Within, r.Over.Round(time.Millisecond), r.Beside.Round(time.Millisecond), r.CPUWait.Round(time.Millisecond))
}

func (r *shutdownResult) print(out io.Writer, allowed time.Duration) {
	if len(r.Over) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("rounds", "%d, %d of them ended before their context", r.Rounds, r.Finished)
	row("crashes", "%d", r.Crashes)
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		row(fmt.Sprintf("late, quantile %g", q), "%v", r.Over[int(q*float64(len(r.Over)-1))].Round(10*time.Microsecond))
	}
	row("later than "+allowed.String(), "%d, %d of them not for want of CPU", len(r.Slow), r.Unexcused)
	slices.SortFunc(r.Slow, func(a, b roundResult) int { return int(b.Over - a.Over) })
	for _, slow := range r.Slow[:min(3, len(r.Slow))] {
		row("", "%v", slow)
	}
	row("violations", "%d", len(r.Violations))
	_ = w.Flush()
}
