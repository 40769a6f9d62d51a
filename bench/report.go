package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is the result of a run.
type report struct {
	origin
	Bursts  []burst   `json:"bursts,omitempty"`
	Idles   []idle    `json:"idle,omitempty"`
	Summary []summary `json:"summary,omitempty"`
}

// summary compares the medians of the two servers in one figure.
type summary struct {
	Figure string  `json:"figure"`
	Ours   float64 `json:"ours"`
	Bare   float64 `json:"bare"`
	Ratio  float64 `json:"ratio"` // ours/bare
}

// clean reports whether every burst was.
func (r *report) clean() bool {
	return !slices.ContainsFunc(r.Bursts, func(b burst) bool { return !b.Tally.clean() })
}

// summarize compares the medians over all pairs.
func (r *report) summarize() {
	r.Summary = nil
	if len(r.Bursts) > 0 {
		r.compare("burst, deliveries/s", func(server string) []float64 {
			return pick(r.Bursts, func(b burst) (string, float64) { return b.Server, b.Rate }, server)
		})
	}
	if len(r.Idles) > 0 {
		r.compare("idle, RSS bytes/connection", func(server string) []float64 {
			return pick(r.Idles, func(i idle) (string, float64) { return i.Server, i.RSS }, server)
		})
	}
}

func (r *report) compare(figure string, of func(server string) []float64) {
	s := summary{Figure: figure, Ours: median(of("ours")), Bare: median(of("bare"))}
	s.Ratio = s.Ours / s.Bare
	r.Summary = append(r.Summary, s)
}

func pick[T any](all []T, figure func(T) (string, float64), server string) (values []float64) {
	for _, one := range all {
		if name, value := figure(one); name == server {
			values = append(values, value)
		}
	}
	return values
}

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

// writeTable writes what a person reads.
func (r *report) writeTable(w io.Writer) {
	r.writeOrigin(w)
	if len(r.Bursts) > 0 {
		r.writeBursts(w)
	}
	if len(r.Idles) > 0 {
		r.writeIdles(w)
	}
	t := newTable(w, "\nmedian of all pairs\tours\tbare\tours/bare\t")
	for _, s := range r.Summary {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t\n", s.Figure, grouped(s.Ours), grouped(s.Bare), s.Ratio)
	}
	t.Flush()
}

func (r *report) writeBursts(w io.Writer) {
	fmt.Fprintf(w, "\nburst: %d connections, %d bytes of data\n", r.Bursts[0].Conns, r.Bursts[0].Size)
	t := newTable(w, "pair\tserver\tmessages\tpublishing\ttime\tdeliveries/s\tlost\tduplicated\treordered\tmalformed\tgaps\tclosed\tserver cores\tload cores\tother cores\t")
	for _, b := range r.Bursts {
		y := b.Tally
		fmt.Fprintf(t, "%d\t%s\t%d\t%v\t%v\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\t\n",
			b.Pair, b.Server, b.Messages, b.Publish.Round(time.Millisecond), b.Time.Round(time.Millisecond), grouped(b.Rate),
			y.Lost, y.Duplicated, y.Reordered, y.Malformed, y.Gaps, y.Closed, b.ServerCores, b.LoadCores, b.OtherCores)
	}
	t.Flush()
	for _, b := range r.Bursts {
		if b.Failure != "" {
			fmt.Fprintf(w, "pair %d, %s: %s\n", b.Pair, b.Server, b.Failure)
		}
	}
}

func (r *report) writeIdles(w io.Writer) {
	fmt.Fprintf(w, "\nidle: %d connections, bytes for each\n", r.Idles[0].Conns)
	t := newTable(w, "pair\tserver\tRSS\theap in use\tstack in use\t")
	for _, i := range r.Idles {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t\n", i.Pair, i.Server, grouped(i.RSS), grouped(i.Heap), grouped(i.Stack))
	}
	t.Flush()
}

func newTable(w io.Writer, head string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	// A cell ends with its tab: what follows the last one is not aligned.
	fmt.Fprintln(t, head)
	return t
}

// grouped is n without a fraction, with commas between groups of digits.
func grouped(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
