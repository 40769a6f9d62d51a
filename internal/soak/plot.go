//go:build linux

package main

import (
	"bytes"
	"fmt"
)

// plotSVG draws heap, goroutines and descriptors over time, one below the other.
func plotSVG(samples []sample) []byte {
	const width, height = 800, 160 // of each
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width+100, 3*(height+50)+20)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="white"/>`)
	for i, chart := range []struct {
		name  string
		value func(sample) float64
	}{
		{"heap, kB", func(s sample) float64 { return float64(s.Heap) / 1024 }},
		{"goroutines", func(s sample) float64 { return float64(s.Goroutines) }},
		{"descriptors", func(s sample) float64 { return float64(s.Descriptors) }},
	} {
		most, end := 1.0, 1.0
		for _, s := range samples {
			most, end = max(most, chart.value(s)), max(end, s.Seconds)
		}
		fmt.Fprintf(&b, `<g transform="translate(80 %d)">`+"\n", 30+i*(height+50))
		fmt.Fprintf(&b, `<text y="-8" font-weight="bold">%s</text>`+"\n", chart.name)
		fmt.Fprintf(&b, `<path d="M0 0V%dH%d" fill="none" stroke="black"/>`+"\n", height, width)
		for part := range 5 {
			at := float64(part) / 4
			y, x := height*(1-at), width*at
			fmt.Fprintf(&b, `<text x="-8" y="%.1f" text-anchor="end">%.0f</text><path d="M0 %.1fH%d" stroke="#ddd"/>`+"\n", y+4, most*at, y, width)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f s</text>`+"\n", x, height+16, end*at)
		}
		fmt.Fprint(&b, `<polyline fill="none" stroke="#06c" points="`)
		for _, s := range samples {
			fmt.Fprintf(&b, "%.1f,%.1f ", s.Seconds/end*width, height*(1-chart.value(s)/most))
		}
		fmt.Fprintln(&b, `"/>`+"\n</g>")
	}
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}
