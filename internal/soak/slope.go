//go:build linux

package main

import "math"

// line is a straight line through points, by least squares.
type line struct {
	Slope    float64
	Low, Up  float64 // of the slope, at 95 % confidence
	Mean     float64 // of the values
	Points   int
	Duration float64
}

// fit needs three points or more. The interval takes the points for independent
// of each other.
func fit(x, y []float64) line {
	n := float64(len(x))
	var mx, my, sxx, sxy, rest float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	l := line{Slope: sxy / sxx, Mean: my, Points: len(x), Duration: x[len(x)-1] - x[0]}
	for i := range x {
		d := y[i] - my - l.Slope*(x[i]-mx)
		rest += d * d
	}
	wide := quantile(n-2) * math.Sqrt(rest/(n-2)/sxx)
	l.Low, l.Up = l.Slope-wide, l.Slope+wide
	return l
}

// quantile is that of Student's t distribution at 97.5 %, within 1 % from four
// degrees of freedom on.
func quantile(df float64) float64 {
	return 1.96 + 2.372/df + 2.82/(df*df) + 2.56/(df*df*df)
}
