package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// summary is one line of the summary: ours against another server.
type summary struct {
	Label  string     `json:"label"`
	Ours   string     `json:"ours"`
	Other  string     `json:"other"`
	Values [2]float64 `json:"medians"`
	Ratio  float64    `json:"ratio"`         // median of the rounds' ratios
	Low    float64    `json:"low,omitempty"` // 95% interval, where there is one
	High   float64    `json:"high,omitempty"`
	Lost   int64      `json:"other_lost,omitempty"`
}

func (r *report) summarize() {
	r.Summary = nil
	for _, s := range r.opts.scenarios {
		for _, c := range s.compare {
			line, ok := r.compare(s, c)
			if ok && !slices.Contains(r.Summary, line) { // the best peer may be there by its name
				r.Summary = append(r.Summary, line)
			}
		}
		for _, one := range r.of(s.name, "") {
			if len(one.Pairs) > 0 && servers[one.Server].tested {
				f := one.Figures
				r.Summary = append(r.Summary, summary{
					Label: s.name + ", p99 ms with/without", Ours: one.Server, Other: "itself",
					Values: [2]float64{f["p99_with_ns"], f["p99_without_ns"]},
					Ratio:  f["ratio"], Low: f["ratio_low"], High: f["ratio_high"],
				})
			}
		}
	}
}

// compare divides round by round, as the machine may be faster in one than in
// another, and takes the median.
func (r *report) compare(s scenario, c comparison) (line summary, ok bool) {
	other := c.other
	if other == bestPeer {
		other = r.bestPeerIn(s, c)
	}
	if other == "" {
		return line, false
	}
	base := c.base
	if base == "" {
		base = c.figure
	}
	var mine, theirs, ratios []float64
	for _, a := range r.of(s.name, c.ours) {
		for _, b := range r.of(s.name, other) {
			x, okX := a.Figures[c.figure]
			y, okY := b.Figures[base]
			if a.Round == b.Round && okX && okY && y > 0 {
				mine, theirs, ratios = append(mine, x), append(theirs, y), append(ratios, x/y)
			}
			line.Lost += b.Tally.Lost
		}
	}
	line.Label, line.Ours, line.Other = c.label, c.ours, other
	line.Values, line.Ratio = [2]float64{median(mine), median(theirs)}, median(ratios)
	return line, len(ratios) > 0
}

// bestPeerIn is the best of those that lost nothing; if all did, of all.
func (r *report) bestPeerIn(s scenario, c comparison) (best string) {
	var bestValue float64
	bestClean := false
	for _, name := range r.serversOf(s) {
		results := r.of(s.name, name)
		values := figures(results, c.figure)
		if servers[name].tested || len(values) == 0 {
			continue
		}
		value := median(values)
		clean := !slices.ContainsFunc(results, func(r *result) bool { return !r.clean() })
		better := value > bestValue
		if c.less {
			better = value < bestValue
		}
		if best == "" || clean && !bestClean || clean == bestClean && better {
			best, bestValue, bestClean = name, value, clean
		}
	}
	return best
}

func (r *report) writeSummary(w io.Writer) {
	if len(r.Summary) == 0 {
		return
	}
	fmt.Fprint(w, "\nmedians, and the median of each round's ratio\n\n")
	t := table{head: []string{"figure", "ours", "other", "ratio", "lost by the other"}}
	for _, s := range r.Summary {
		ratio := fmt.Sprintf("%.2f", s.Ratio)
		if s.Ratio >= 100 {
			ratio = grouped(s.Ratio)
		}
		if s.High > 0 {
			ratio += fmt.Sprintf(" (%.2f to %.2f)", s.Low, s.High)
		}
		t.rows = append(t.rows, []string{
			fmt.Sprintf("%s: %s/%s", s.Label, s.Ours, s.Other),
			s.value(0), s.value(1), ratio, grouped(float64(s.Lost)),
		})
	}
	t.write(w)
}

// value writes one median in the unit that the label names.
func (s *summary) value(i int) string {
	v := s.Values[i]
	switch {
	case strings.Contains(s.Label, " ms"):
		return fmt.Sprintf("%.2f", v/1e6)
	case v < 100:
		return fmt.Sprintf("%.2f", v)
	default:
		return grouped(v)
	}
}
