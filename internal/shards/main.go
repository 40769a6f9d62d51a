// Command shards reckons what several logs in place of one give, and what a connection
// over several of them would take: the tables of docs/scale.md.
//
//	go run ./internal/shards
//
// It is a simulation: no hub runs in it. The same seed gives the same tables. router.go
// and move.go are how tenants get to their logs, for programs to copy.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	seed := flag.Uint64("seed", defaultSeed, "of all that is random")
	runs := flag.Int("runs", defaultRuns, "with other tenants each; tables have the median, and the worst where they say so")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	printTables(out, *seed, *runs)
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "shards:", err)
		os.Exit(1)
	}
}

var logCounts = []int{2, 4, 8, 16, 32, 64}

const (
	defaultSeed = 1
	defaultRuns = 11
	tenants     = 10_000
	room        = 1.25 // what a log may have under bounded loads, in means
	largest     = 100  // tenants that are pinned
)

func printTables(out io.Writer, seed uint64, runs int) {
	var all []weights
	for run := range runs {
		all = append(all, newWeights(seed*1_000_000+uint64(run), tenants, logCounts[len(logCounts)-1]+1))
	}
	printLoads(out, all)
	printMoves(out, all, seed)
	printWaits(out, seed)
}

// median returns it and the highest of what f gives for each run.
func median(all []weights, f func(weights) float64) (middle, worst float64) {
	values := make([]float64, len(all))
	for i, w := range all {
		values[i] = f(w)
	}
	return quantile(values, 0.5), quantile(values, 1)
}

func printLoads(out io.Writer, all []weights) {
	skews := []float64{0.8, 1, 1.2}
	fmt.Fprint(out, "| logs |")
	for _, skew := range skews {
		fmt.Fprintf(out, " skew %g: largest tenant alone | hash (worst) | bounded | pinned |", skew)
	}
	fmt.Fprint(out, "\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, n := range logCounts {
		fmt.Fprintf(out, "| %d |", n)
		for _, skew := range skews {
			parts := zipf(tenants, skew)
			hash, worst := median(all, func(w weights) float64 { return fullest(w.byHash(n), parts, n) })
			bounded, _ := median(all, func(w weights) float64 { return fullest(w.bounded(n, parts, room), parts, n) })
			pinned, _ := median(all, func(w weights) float64 { return fullest(w.pinned(n, parts, largest), parts, n) })
			fmt.Fprintf(out, " %.2f | %.2f (%.2f) | %.2f | %.2f |", parts[0]*float64(n), hash, worst, bounded, pinned)
		}
		fmt.Fprintln(out)
	}
}

func printMoves(out io.Writer, all []weights, seed uint64) {
	const topics, connections = 10, 20_000
	parts := zipf(tenants, 1)
	fmt.Fprint(out, "\n| logs | one more moves, by hash | by modulo | bounded: tenants (worst) | events (worst) | pinned anew: events | logs of a connection | all topics in one | bytes of its id | of an id for all logs |\n"+
		"|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, n := range logCounts {
		move := func(place func(w weights, n int) []int) func(w weights) (tenants, events float64) {
			return func(w weights) (float64, float64) { return moved(place(w, n), place(w, n+1), parts) }
		}
		first := func(f func(weights) (float64, float64)) func(weights) float64 {
			return func(w weights) float64 { a, _ := f(w); return 100 * a }
		}
		second := func(f func(weights) (float64, float64)) func(weights) float64 {
			return func(w weights) float64 { _, b := f(w); return 100 * b }
		}
		bounded := move(func(w weights, n int) []int { return w.bounded(n, parts, room) })
		hash, _ := median(all, first(move(weights.byHash)))
		modulo, _ := median(all, first(move(weights.byModulo)))
		boundedTenants, worstTenants := median(all, first(bounded))
		boundedEvents, worstEvents := median(all, second(bounded))
		pinned, _ := median(all, second(move(func(w weights, n int) []int { return w.pinned(n, parts, largest) })))
		s := spread(newRand(seed), all[0].byHash(n), topics, connections)
		fmt.Fprintf(out, "| %d | %.1f %% | %.1f %% | %.1f %% (%.1f) | %.1f %% (%.1f) | %.1f %% | %.1f | %.2f %% | %.0f | %d |\n",
			n, hash, modulo, boundedTenants, worstTenants, boundedEvents, worstEvents, pinned, s.logs, 100*s.one, s.idBytes, len(vectorID(n)))
	}
}

func printWaits(out io.Writer, seed uint64) {
	const events = 100_000
	fmt.Fprint(out, "\n| events/s in each log | logs | no marks: median, 99 % | a mark every 15 s | every 100 ms |\n|---|---:|---:|---:|---:|\n")
	for _, c := range []struct {
		name  string
		rates []float64
	}{
		{"1", alike(1, 2)}, {"1", alike(1, 8)},
		{"100", alike(100, 2)}, {"100", alike(100, 8)},
		{"10,000", alike(10_000, 2)}, {"10,000", alike(10_000, 8)},
		{"10,000; 1", []float64{10_000, 1}},
	} {
		fmt.Fprintf(out, "| %s | %d |", c.name, len(c.rates))
		for _, mark := range []float64{0, 15, 0.1} {
			waits := orderedWaits(newRand(seed), c.rates, mark, events)
			fmt.Fprintf(out, " %s, %s ms |", threeDigits(1000*quantile(waits, 0.5)), threeDigits(1000*quantile(waits, 0.99)))
		}
		fmt.Fprintln(out)
	}
}
