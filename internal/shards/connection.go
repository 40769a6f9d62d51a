package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ssehub-go/ssehub"
)

// What a connection would have to do with whose topics are in several logs.

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// spreading is how the topics of connections lie in logs.
type spreading struct {
	logs    float64 // that one needs, the mean
	one     float64 // part of them that need no more than one
	idBytes float64 // of their ids, the mean
}

// spread has connections read topics of which each is in the log that places says.
func spread(r *rand.Rand, places []int, topics, connections int) (s spreading) {
	for range connections {
		in := make(map[int]bool)
		read := make(map[int]bool)
		for len(read) < topics {
			topic := r.IntN(len(places))
			read[topic] = true
			in[places[topic]] = true
		}
		s.logs += float64(len(in))
		s.idBytes += float64(len(vectorID(len(in))))
		if len(in) == 1 {
			s.one++
		}
	}
	n := float64(connections)
	return spreading{s.logs / n, s.one / n, s.idBytes / n}
}

// vectorID returns an id of positions in so many logs, after a thousand million events
// in each.
func vectorID(logs int) string {
	positions := make([]string, logs)
	for i := range positions {
		positions[i] = ssehub.Position{Epoch: fmt.Sprintf("epoch%03d", i), Seq: 1_000_000_000}.String()
	}
	return strings.Join(positions, ",")
}

// orderedWaits returns how long events wait, in seconds, if those of several logs are
// merged in the order of their times: until each other log has an event or a mark
// behind it. Events come at random, at a rate in each log; each log shows a mark every
// so many seconds, or none if that is 0. Nothing takes time on its way.
func orderedWaits(r *rand.Rand, rates []float64, mark float64, events int) []float64 {
	sum := 0.0
	for _, rate := range rates {
		sum += rate
	}
	waits := make([]float64, events)
	for e := range waits {
		from, at := 0, r.Float64()*sum
		for from < len(rates)-1 && at >= rates[from] {
			at -= rates[from]
			from++
		}
		for other, rate := range rates {
			if other == from {
				continue
			}
			next := r.ExpFloat64() / rate
			if mark > 0 {
				next = min(next, r.Float64()*mark)
			}
			waits[e] = max(waits[e], next)
		}
	}
	return waits
}

func alike(rate float64, logs int) []float64 { return slices.Repeat([]float64{rate}, logs) }

// quantile returns a value that a part of all does not exceed.
func quantile(values []float64, part float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[int(part*float64(len(values)-1))]
}

func threeDigits(v float64) string {
	digits := 2 - int(math.Floor(math.Log10(v)))
	return fmt.Sprintf("%.*f", max(0, digits), v)
}
