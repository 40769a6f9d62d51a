//go:build linux

// Command soak keeps a hub under churn for as long as it is told to, or ends hubs
// over and over, and exits with status 1 when anything was lost or is left.
//
//	go run ./internal/soak -for 10m -plot soak.svg
//	go run ./internal/soak -shutdowns 10000
//	go run ./internal/soak -cuts 5000
//
// Servers are child processes, so that what is counted in them is theirs alone.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if playRole() {
		return
	}
	long := flag.Duration("for", time.Minute, "how long to keep up the churn")
	rate := flag.Int("rate", 450, "connects a second")
	plot := flag.String("plot", "", "file for a plot, SVG")
	file := flag.String("json", "", "file for all samples and results")
	shutdowns := flag.Int("shutdowns", 0, "end so many hubs, in place of the churn")
	at := flag.Int("processes", 3, "that end hubs at the same time")
	cuts := flag.Int("cuts", 0, "cut so many connections between a hub and its clients, in place of the churn")
	events := flag.Int("events", 1_000_000, "to each of these clients")
	flag.Parse()

	var result any
	var violations []string
	var err error
	if *shutdowns > 0 {
		r := runShutdowns(shutdownOptions{*shutdowns, 100, *at, 100 * time.Millisecond}, os.Stdout)
		result, violations = r, r.Violations
	} else if *cuts > 0 {
		var r chaosResult
		r, err = runChaos(chaosOptions{events: *events, clients: 50, cuts: *cuts, rate: 20_000}, os.Stdout)
		result, violations = r, r.Violations
	} else {
		var r soakResult
		r, err = runSoak(soakOptions{long: *long, rate: *rate}, os.Stdout)
		result, violations = r, r.Violations
		if err == nil && *plot != "" {
			err = os.WriteFile(*plot, plotSVG(r.Samples), 0o644)
		}
	}
	if err == nil && *file != "" {
		err = writeJSON(*file, result)
	}
	if err != nil {
		violations = append(violations, err.Error())
	}
	for _, v := range violations {
		fmt.Println("VIOLATION:", v)
	}
	if len(violations) > 0 {
		os.Exit(1)
	}
	fmt.Println("no violation")
}

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
