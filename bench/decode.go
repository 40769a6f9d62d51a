package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"time"
)

// turn is what one reader did with one corpus, again and again for a while.
type turn struct {
	Corpus string `json:"corpus"`
	Reader string `json:"reader"`
	Round  int    `json:"round"`
	rates
}

// rates are figures of one turn, or medians of several.
type rates struct {
	MB     float64 `json:"mb_per_second"` // of the stream, in millions of bytes
	Events float64 `json:"events_per_second"`
	Allocs float64 `json:"allocs_per_event"`
	Bytes  float64 `json:"alloc_bytes_per_event"`
	Cores  float64 `json:"cores"` // CPU time / time; above 1 with goroutines or the collector beside the reader
}

// compareReaders is the whole of -decode.
func compareReaders(ctx context.Context, opts options, commandLine string, stdout, stderr io.Writer) error {
	rep, err := runReaders(ctx, opts, newCorpora(corpusSize), stderr)
	if err != nil {
		return err
	}
	rep.Command = commandLine
	rep.writeTable(stdout)
	return writeJSON(opts.jsonFile, rep)
}

// runReaders measures every reader with every corpus and tells progress of each
// turn.
func runReaders(ctx context.Context, opts options, corpora []*corpus, progress io.Writer) (*decodeReport, error) {
	stop, err := startProfileIn(opts.profileDir, "decode.prof")
	if err != nil {
		return nil, err
	}
	defer stop()
	rep := &decodeReport{origin: newOrigin()}
	for round := 1; round <= opts.rounds; round++ {
		for _, c := range corpora {
			if err := rep.measure(ctx, opts, c, round, progress); err != nil {
				return nil, err
			}
		}
	}
	rep.summarize(corpora)
	return rep, nil
}

// measure adds the turns of all readers with one corpus.
func (r *decodeReport) measure(ctx context.Context, opts options, c *corpus, round int, progress io.Writer) error {
	for _, rd := range readers {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := turn{Corpus: c.name, Reader: rd.name, Round: round}
		var err error
		labels := pprof.Labels("corpus", c.name, "reader", rd.name)
		pprof.Do(ctx, labels, func(context.Context) { t.rates, err = rd.measure(c, opts.turn) })
		if err != nil {
			return fmt.Errorf("%s, %s: %w", rd.name, c.name, err)
		}
		fmt.Fprintf(progress, "round %d/%d, %s, %s: %.0f MB/s\n", round, opts.rounds, c.name, rd.name, t.MB)
		r.Turns = append(r.Turns, t)
	}
	return nil
}

// measure reads the corpus until that long has passed, at least once.
func (rd reader) measure(c *corpus, long time.Duration) (rates, error) {
	runtime.GC() // so that nobody pays for what another left
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	passes, took := 0, time.Duration(0)
	for ; passes == 0 || took < long; took = time.Since(start) {
		if err := rd.readAll(c); err != nil {
			return rates{}, err
		}
		passes++
	}
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	seconds, events := took.Seconds(), float64(passes*c.want.events)
	return rates{
		MB:     float64(passes*len(c.stream)) / 1e6 / seconds,
		Events: events / seconds,
		Allocs: float64(after.Mallocs-before.Mallocs) / events,
		Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / events,
		Cores:  cpu.Seconds() / seconds,
	}, nil
}

// readAll reads the corpus once. It is an error to find anything but all that
// there is.
func (rd reader) readAll(c *corpus) error {
	got, err := rd.read(bytes.NewReader(c.stream))
	if err != nil {
		return err
	}
	if want := rd.wants(c); got != want {
		return fmt.Errorf("found %+v, want %+v", got, want)
	}
	return nil
}

// wants returns what the reader must find in c.
func (rd reader) wants(c *corpus) found {
	if rd.splitOnly {
		return found{events: c.want.events, data: int64(len(c.stream) - c.want.events*len("\n\n"))}
	}
	return c.want
}
