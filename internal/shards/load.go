package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// zipf returns each tenant's part of all events, the largest first: the k-th has
// 1/k^skew of what the first has. With no skew all have the same.
func zipf(tenants int, skew float64) []float64 {
	parts := make([]float64, tenants)
	sum := 0.0
	for i := range parts {
		parts[i] = math.Pow(float64(i+1), -skew)
		sum += parts[i]
	}
	for i := range parts {
		parts[i] /= sum
	}
	return parts
}

// weights has the weight of each tenant, by its place in zipf, for each log.
type weights [][]uint64

func newWeights(seed uint64, tenants, logs int) weights {
	w := make(weights, tenants)
	for t := range w {
		w[t] = make([]uint64, logs)
		for i := range w[t] {
			w[t][i] = weight(fmt.Sprintf("tenant%d.%d", seed, t), fmt.Sprint("log", i))
		}
	}
	return w
}

// byHash is rendezvous.
func (w weights) byHash(n int) []int {
	places := make([]int, len(w))
	for t, of := range w {
		places[t] = indexOfMax(of[:n])
	}
	return places
}

// byModulo is what rendezvous is compared with.
func (w weights) byModulo(n int) []int {
	places := make([]int, len(w))
	for t, of := range w {
		places[t] = int(of[0] % uint64(n))
	}
	return places
}

// bounded gives a tenant, the largest first, the log of the highest weight that then
// has no more than room times the mean, or if there is none the emptiest.
func (w weights) bounded(n int, parts []float64, room float64) []int {
	places := make([]int, len(w))
	load := make([]float64, n)
	for t, of := range w {
		best := -1
		for i, l := range load {
			if l+parts[t] <= room/float64(n) && (best < 0 || of[i] > of[best]) {
				best = i
			}
		}
		if best < 0 {
			best = indexOfMin(load)
		}
		places[t] = best
		load[best] += parts[t]
	}
	return places
}

// pinned leaves to the hash all but the largest tenants, and gives these, the largest
// first, the log that has the least by then.
func (w weights) pinned(n int, parts []float64, largest int) []int {
	places := w.byHash(n)
	load := make([]float64, n)
	for t := largest; t < len(w); t++ {
		load[places[t]] += parts[t]
	}
	for t := range min(largest, len(w)) {
		places[t] = indexOfMin(load)
		load[places[t]] += parts[t]
	}
	return places
}

// fullest returns the load of the fullest log, in means.
func fullest(places []int, parts []float64, n int) float64 {
	load := make([]float64, n)
	for t, i := range places {
		load[i] += parts[t]
	}
	return slices.Max(load) * float64(n)
}

// moved returns which part of the tenants is elsewhere, and with which part of all
// events.
func moved(before, after []int, parts []float64) (tenants, events float64) {
	for t := range before {
		if before[t] != after[t] {
			tenants++
			events += parts[t]
		}
	}
	return tenants / float64(len(before)), events
}

func indexOfMax[T cmp.Ordered](s []T) (best int) {
	for i := range s {
		if s[i] > s[best] {
			best = i
		}
	}
	return best
}

func indexOfMin[T cmp.Ordered](s []T) (best int) {
	for i := range s {
		if s[i] < s[best] {
			best = i
		}
	}
	return best
}
