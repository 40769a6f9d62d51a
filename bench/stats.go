package main

import (
	"math/rand/v2"
	"slices"
)

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

// medianInterval is the 95% interval of the median, by bootstrap. Its random
// numbers are the same every time, so that a report can be made again.
func medianInterval(values []float64) (low, high float64) {
	if len(values) == 0 {
		return 0, 0
	}
	const resamples = 10_000
	random := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, resamples)
	sample := make([]float64, len(values))
	for i := range medians {
		for j := range sample {
			sample[j] = values[random.IntN(len(values))]
		}
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	return medians[resamples*25/1000], medians[resamples*975/1000-1]
}
