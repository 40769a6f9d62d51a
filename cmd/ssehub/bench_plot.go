package main

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Of the drawing, in pixels.
const (
	plotWidth, plotHeight = 720, 460
	plotLeft, plotTop     = 70, 20
	plotRight, plotBottom = 680, 300
)

// percentilePlot draws latency over percentile as SVG, both on scales of powers of ten:
// as much room for the slowest tenth as for the slowest thousandth. Below it is caption.
func percentilePlot(latency *hdrhistogram.Histogram, caption string) string {
	nines := max(1, min(6, math.Ceil(math.Log10(float64(latency.TotalCount()+1)))))
	low := math.Floor(math.Log10(max(millis(latency, 0), 0.001)))
	high := max(math.Ceil(math.Log10(max(millis(latency, 100), 0.001))), low+1)
	x := func(n float64) float64 { return plotLeft + n/nines*(plotRight-plotLeft) } // n nines of a percentile
	y := func(ms float64) float64 {
		return plotBottom - (math.Log10(max(ms, 0.001))-low)/(high-low)*(plotBottom-plotTop)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`, plotWidth, plotHeight)
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
	}
	line := func(x1, y1, x2, y2 float64) {
		fmt.Fprintf(&b, `<path d="M%.1f %.1fL%.1f %.1f" stroke="#ccc"/>`, x1, y1, x2, y2)
	}
	for n := 0.0; n <= nines; n++ {
		line(x(n), plotTop, x(n), plotBottom)
		text(x(n), plotBottom+18, "middle", fmt.Sprintf("%.6g %%", 100-100*math.Pow(10, -n)))
	}
	for e := low; e <= high; e++ {
		line(plotLeft, y(math.Pow(10, e)), plotRight, y(math.Pow(10, e)))
		text(plotLeft-6, y(math.Pow(10, e))+4, "end", fmt.Sprintf("%g ms", math.Pow(10, e)))
	}
	var path strings.Builder
	for n := 0.0; n <= nines; n += nines / 200 {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(1, path.Len())], x(n), y(millis(latency, 100-100*math.Pow(10, -n))))
	}
	fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#1565c0" stroke-width="2"/>`, path.String())
	for i, row := range strings.Split(strings.TrimSpace(caption), "\n") {
		text(plotLeft, plotBottom+50+float64(i)*16, "start", row)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
