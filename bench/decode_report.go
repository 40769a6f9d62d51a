package main

import (
	"fmt"
	"io"
)

// decodeReport is the result of a comparison of readers.
type decodeReport struct {
	origin
	Turns   []turn    `json:"turns"`
	Medians []medians `json:"medians"`
	Ratios  []ratio   `json:"ratios"`
}

// medians are one reader's figures with one corpus over all rounds.
type medians struct {
	Corpus string `json:"corpus"`
	Reader string `json:"reader"`
	rates
}

// ratio compares ours with the fastest other that reads fields.
type ratio struct {
	Corpus string  `json:"corpus"`
	Peer   string  `json:"peer"`
	Ratio  float64 `json:"ratio"` // ours/peer in MB/s, median of each round's
}

func (r *decodeReport) summarize(corpora []*corpus) {
	for _, c := range corpora {
		best := medians{}
		for _, rd := range readers {
			m := medians{Corpus: c.name, Reader: rd.name, rates: r.medianRates(c.name, rd.name)}
			r.Medians = append(r.Medians, m)
			if rd.name != ours && !rd.splitOnly && m.MB > best.MB {
				best = m
			}
		}
		r.Ratios = append(r.Ratios, ratio{c.name, best.Reader, r.medianRatio(c.name, best.Reader)})
	}
}

// medianRatio compares round by round, as the machine may be faster in one than
// in another.
func (r *decodeReport) medianRatio(corpus, peer string) float64 {
	ratios := r.pick(corpus, ours, megabytes)
	for i, mb := range r.pick(corpus, peer, megabytes) {
		ratios[i] /= mb
	}
	return median(ratios)
}

func (r *decodeReport) medianRates(corpus, reader string) rates {
	of := func(figure func(turn) float64) float64 { return median(r.pick(corpus, reader, figure)) }
	return rates{
		MB:     of(megabytes),
		Events: of(func(t turn) float64 { return t.Events }),
		Allocs: of(func(t turn) float64 { return t.Allocs }),
		Bytes:  of(func(t turn) float64 { return t.Bytes }),
		Cores:  of(func(t turn) float64 { return t.Cores }),
	}
}

func megabytes(t turn) float64 { return t.MB }

// pick returns a figure of one reader with one corpus for each round.
func (r *decodeReport) pick(corpus, reader string, figure func(turn) float64) (values []float64) {
	for _, t := range r.Turns {
		if t.Corpus == corpus && t.Reader == reader {
			values = append(values, figure(t))
		}
	}
	return values
}

// writeTable writes what a person reads, in Markdown.
func (r *decodeReport) writeTable(w io.Writer) {
	r.writeOrigin(w)
	fmt.Fprint(w, "\n| corpus | reader | MB/s | events/s | allocations/event | bytes/event | cores |\n|---|---|---:|---:|---:|---:|---:|\n")
	for _, m := range r.Medians {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %.1f | %s | %.2f |\n",
			m.Corpus, m.Reader, grouped(m.MB), grouped(m.Events), m.Allocs, grouped(m.Bytes), m.Cores)
	}
	fmt.Fprint(w, "\n| corpus | best peer | ours/best peer, MB/s |\n|---|---|---:|\n")
	for _, s := range r.Ratios {
		fmt.Fprintf(w, "| %s | %s | %.2f |\n", s.Corpus, s.Peer, s.Ratio)
	}
}
