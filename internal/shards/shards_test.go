package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestZipf(t *testing.T) {
	for _, skew := range []float64{0, 0.8, 1, 1.2} {
		parts := zipf(1000, skew)
		sum := 0.0
		for _, p := range parts {
			sum += p
		}
		require.InDelta(t, 1, sum, 1e-9)
		require.InDelta(t, math.Pow(10, skew), parts[0]/parts[9], 1e-9)
	}
}

// The simulation places tenants as the router does, evenly, and one more log takes its
// share from the others, and nothing else moves.
func TestRendezvous(t *testing.T) {
	const n, many = 8, 4000
	w := newWeights(1, many, n+1)
	var logs []string
	for i := range n + 1 {
		logs = append(logs, fmt.Sprint("log", i))
	}
	before, after := w.byHash(n), w.byHash(n+1)
	counts := make([]int, n)
	for tenant := range many {
		name := fmt.Sprintf("tenant1.%d", tenant)
		require.Equal(t, rendezvous(name, logs[:n]), before[tenant])
		require.Equal(t, rendezvous(name, logs), after[tenant])
		if after[tenant] != before[tenant] {
			require.Equal(t, n, after[tenant])
		}
		counts[before[tenant]]++
	}
	for _, c := range counts { // five standard deviations
		require.InDelta(t, many/n, c, 5*math.Sqrt(many/n))
	}
	tenants, _ := moved(before, after, zipf(many, 0))
	require.InDelta(t, 1.0/(n+1), tenants, 0.025)
	tenants, _ = moved(w.byModulo(n), w.byModulo(n+1), zipf(many, 0))
	require.InDelta(t, float64(n)/(n+1), tenants, 0.025)
}

// No log is below the largest tenant, and with bounds none is above room, unless a
// tenant is by itself.
func TestLoads(t *testing.T) {
	w := newWeights(1, 2000, 16)
	for _, skew := range []float64{0, 0.8, 1.2} {
		parts := zipf(2000, skew)
		for _, n := range []int{1, 2, 16} {
			alone := parts[0] * float64(n)
			hash := fullest(w.byHash(n), parts, n)
			bounded := fullest(w.bounded(n, parts, room), parts, n)
			pinned := fullest(w.pinned(n, parts, 100), parts, n)
			require.GreaterOrEqual(t, min(hash, bounded, pinned)+1e-9, max(1, alone))
			require.LessOrEqual(t, bounded, max(room, alone)+1e-9)
			require.LessOrEqual(t, pinned, hash+1e-9)
		}
	}
	require.InDelta(t, 1, fullest(w.byHash(1), zipf(2000, 1), 1), 1e-9)
}

func TestSpread(t *testing.T) {
	for _, n := range []int{1, 4, 64} {
		places := newWeights(1, 2000, n).byHash(n)
		s := spread(newRand(1), places, 10, 5000)
		want := float64(n) * (1 - math.Pow(1-1/float64(n), 10))
		require.InEpsilon(t, want, s.logs, 0.02)
		require.InEpsilon(t, 20*want-1, s.idBytes, 0.02) // 19 bytes and a comma
	}
	require.Equal(t, "epoch000-1000000000,epoch001-1000000000", vectorID(2))
}

// Waits for one other log are exponential; those for several are the longest of them.
// A mark bounds them.
func TestOrderedWaits(t *testing.T) {
	const n = 200_000
	two := orderedWaits(newRand(1), alike(10, 2), 0, n)
	require.InEpsilon(t, math.Ln2/10, quantile(two, 0.5), 0.02)
	require.InEpsilon(t, math.Log(100)/10, quantile(two, 0.99), 0.05)
	five := orderedWaits(newRand(1), alike(10, 5), 0, n)
	require.InEpsilon(t, -math.Log(1-math.Pow(0.5, 0.25))/10, quantile(five, 0.5), 0.02)
	require.LessOrEqual(t, slices.Max(orderedWaits(newRand(1), alike(1, 5), 0.1, n)), 0.1)
	uneven := orderedWaits(newRand(1), []float64{1000, 1}, 0, n) // the busy one waits
	require.InEpsilon(t, math.Ln2, quantile(uneven, 0.5), 0.02)
	require.Equal(t, []float64{0, 0}, orderedWaits(newRand(1), alike(1, 1), 0, 2))
}

// The same seed gives the same tables, and another one others.
func TestSeed(t *testing.T) {
	if raceDetector {
		t.Skip("slow")
	}
	print := func(seed uint64) string {
		var out strings.Builder
		printTables(&out, seed, 1)
		return out.String()
	}
	one := print(1)
	require.Equal(t, one, print(1))
	require.NotEqual(t, one, print(2))
}

// docs/scale.md has the tables that the command prints.
func TestDocs(t *testing.T) {
	if raceDetector || runtime.GOARCH != "amd64" {
		t.Skip("slow, or the last digit may differ")
	}
	text, err := os.ReadFile("../../docs/scale.md")
	require.NoError(t, err)
	var tables strings.Builder
	printTables(&tables, defaultSeed, defaultRuns)
	for table := range strings.SplitSeq(tables.String(), "\n\n") {
		require.Contains(t, string(text), table)
	}
}

// BenchmarkVectorID is what it takes to write an event of 64 bytes to a connection of
// several topics: copied as it is, with the id of one log, or with one of several that
// is the connection's own.
func BenchmarkVectorID(b *testing.B) {
	rest := "\ndata: " + strings.Repeat("x", 64) + "\n\n"
	b.Run("copied", func(b *testing.B) {
		frame := "id: " + vectorID(1) + rest
		span := make([]byte, 0, 64<<10)
		b.SetBytes(int64(len(frame)))
		for b.Loop() {
			if len(span)+len(frame) > cap(span) {
				span = span[:0]
			}
			span = append(span, frame...)
		}
	})
	for _, logs := range []int{2, 4, 8, 16} {
		b.Run(fmt.Sprint(logs), func(b *testing.B) {
			var ids [][]byte
			for i := range logs {
				ids = append(ids, fmt.Appendf(nil, "epoch%03d-1000000000", i))
			}
			span := make([]byte, 0, 64<<10)
			size := len("id: ") + len(vectorID(logs)) + len(rest)
			b.SetBytes(int64(size))
			seq := uint64(1_000_000_000)
			for b.Loop() {
				if len(span)+size > cap(span) {
					span = span[:0]
				}
				seq++
				at := seq % uint64(logs)
				ids[at] = strconv.AppendUint(ids[at][:len("epoch000-")], seq, 10)
				span = append(span, "id: "...)
				for i, id := range ids {
					if i > 0 {
						span = append(span, ',')
					}
					span = append(span, id...)
				}
				span = append(span, rest...)
			}
		})
	}
}
