package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// run measures everything and tells progress of each turn. The servers take
// turns within a round, and each round begins with another.
func run(ctx context.Context, o options, progress io.Writer) (*report, error) {
	stop, err := startProfileIn(o.profileDir, "load.prof")
	if err != nil {
		return nil, err
	}
	defer stop()
	rep := &report{origin: newOrigin(), opts: o, Missing: o.missing}
	for name, why := range o.missing {
		fmt.Fprintf(progress, "%s is left out: %s\n", name, why)
	}
	for _, s := range o.scenarios {
		rounds := o.pairs
		if s.rounds != nil {
			rounds = s.rounds(o)
		}
		chosen := s.chosen(o.servers)
		for round := range rounds {
			for i := range chosen {
				server := s.standIn(chosen[(i+round)%len(chosen)])
				fmt.Fprintf(progress, "%s, round %d/%d, %s: ", s.name, round+1, rounds, server)
				r, err := turnOf(ctx, o, s, server, round+1)
				if err != nil {
					return nil, err
				}
				rep.Results = append(rep.Results, r)
				fmt.Fprintln(progress, r.progress(s))
			}
		}
	}
	rep.summarize()
	return rep, nil
}

// turnOf measures one server. Only the end of ctx is an error: whatever a
// server does wrong belongs into the report.
func turnOf(ctx context.Context, o options, s scenario, server string, round int) (*result, error) {
	began := time.Now()
	r, err := s.measure(ctx, o, server)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if r == nil {
		r = newResult()
	}
	switch {
	case errors.Is(err, errNoReplay):
		r.Skipped = err.Error()
	case err != nil:
		r.Failure = err.Error()
	}
	r.Scenario, r.Server, r.Round, r.Wall = s.name, server, round, time.Since(began)
	return r, nil
}

// progress is what a person wants to know while it runs.
func (r *result) progress(s scenario) string {
	text := fmt.Sprintf("%d lost", r.Tally.Lost)
	if v, ok := r.Figures[s.columns[0].key]; ok {
		text = fmt.Sprintf("%s %s, %s", s.columns[0].format(v), s.columns[0].head, text)
	}
	switch {
	case r.Skipped != "":
		return r.Skipped
	case r.Failure != "":
		text += ", " + r.Failure
	}
	return fmt.Sprintf("%s (%.1f s)", text, r.Wall.Seconds())
}

// startProfileIn profiles this process into a file of dir until the returned
// function is called. It does nothing if there is no dir.
func startProfileIn(dir, file string) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
