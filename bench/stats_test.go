package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		assert.Equal(t, test.want, median(test.values), "%v", test.values)
	}
}

func TestMedianInterval(t *testing.T) {
	low, high := medianInterval([]float64{1, 1, 1})
	assert.Equal(t, []float64{1, 1}, []float64{low, high})
	values := []float64{0.9, 0.95, 0.98, 1, 1.01, 1.02, 1.05, 1.1, 1.2, 1.3}
	low, high = medianInterval(values)
	assert.Less(t, low, median(values))
	assert.Greater(t, high, median(values))
	assert.GreaterOrEqual(t, low, 0.9)
	assert.LessOrEqual(t, high, 1.3)
	again, _ := medianInterval(values)
	assert.Equal(t, low, again)
}

func TestGrouped(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} {
		assert.Equal(t, want, grouped(n))
	}
}
