package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// scenario is one kind of measurement. A new one is a file with a variable like
// burstScenario, and an entry in scenarios.
type scenario struct {
	name  string // in -scenario, and of its files
	title func(o options) string
	// measure is one server's turn. What it cannot measure is an error, and
	// what it measured until then, if anything, is in the result.
	measure func(ctx context.Context, o options, server string) (*result, error)
	// only are the servers that can take part; nil means all.
	only    []string
	columns []column
	// rounds says how often a server is measured; nil means -pairs.
	rounds func(o options) int
	// substitutes are servers that stand in for others.
	substitutes map[string]string
	compare     []comparison
	plot        func(s scenario, rep *report) (*chart, error) // nil: nothing to see
}

// scenarios are all, in their order.
func scenarios() []scenario {
	return []scenario{burstScenario, pacedScenario, idleScenario, connectScenario, replayScenario, slowScenario, publishScenario, topicsScenario,
		enginesScenario}
}

// column is one figure in a scenario's table.
type column struct {
	key    string // in result.Figures and JSON
	head   string
	format func(float64) string
	main   bool // it is in the table of all scenarios
}

// comparison is a line of the summary: ours divided by another server.
type comparison struct {
	label  string
	figure string
	ours   string
	other  string // bestPeer means the best of those that are neither ours nor bare
	base   string // what other's figure is called, if not the same
	less   bool   // is better
}

const bestPeer = "best peer"

// result is one turn of one server.
type result struct {
	Scenario string             `json:"scenario"`
	Server   string             `json:"server"`
	Round    int                `json:"round"`
	Figures  map[string]float64 `json:"figures"`
	Tally    tally              `json:"tally"`
	Latency  *latency           `json:"latency,omitempty"`
	Curve    []reached          `json:"curve,omitempty"`
	Pairs    []slowPair         `json:"pairs,omitempty"`
	Wall     time.Duration      `json:"wall_ns"`           // the whole turn, with its start and its end
	Failure  string             `json:"failure,omitempty"` // why it is not whole
	Skipped  string             `json:"skipped,omitempty"` // why it did not take part
}

func newResult() *result { return &result{Figures: make(map[string]float64)} }

// clean reports whether nothing was wrong.
func (r *result) clean() bool {
	return r.Failure == "" && r.Tally.clean()
}

// chosen are those of names that take part.
func (s *scenario) chosen(names []string) (chosen []string) {
	for _, name := range names {
		if s.only == nil && !servers[name].broker || slices.Contains(s.only, name) {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

// standIn is the server that takes the place of the one chosen.
func (s *scenario) standIn(server string) string {
	if other, ok := s.substitutes[server]; ok {
		return other
	}
	return server
}

// chooseScenarios reads a list of names. Empty means all.
func chooseScenarios(list string) (chosen []scenario, err error) {
	if list == "" {
		return scenarios(), nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(scenarios(), func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario is called %q", name)
		}
		chosen = append(chosen, scenarios()[i])
	}
	return chosen, nil
}

// How figures are written.
func ratioText(v float64) string    { return fmt.Sprintf("%.2f", v) }
func durationText(v float64) string { return roundDuration(time.Duration(v)).String() }

// roundDuration leaves three digits.
func roundDuration(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
