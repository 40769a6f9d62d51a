package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// report is the result of a run.
type report struct {
	origin
	opts    options
	Missing map[string]string `json:"missing,omitempty"` // servers that are not there, and why
	Results []*result         `json:"results"`
	Summary []summary         `json:"summary"`
}

// excused are servers that cannot but fail in a scenario, which it is there to
// show.
var excused = map[string]string{"slow": "bare"}

// clean reports whether every turn of the tested servers was.
func (r *report) clean() bool {
	return !slices.ContainsFunc(r.Results, func(r *result) bool {
		return servers[r.Server].tested && excused[r.Scenario] != r.Server && !r.clean()
	})
}

// of are the turns of one server, or of all if it is empty.
func (r *report) of(scenario, server string) (found []*result) {
	for _, one := range r.Results {
		if one.Scenario == scenario && (server == "" || one.Server == server) {
			found = append(found, one)
		}
	}
	return found
}

// serversOf are those that took part, in the order of tables.
func (r *report) serversOf(s scenario) (names []string) {
	for _, name := range serverNames {
		if name = s.standIn(name); len(r.of(s.name, name)) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// figures are a server's in the order of the rounds. What was not measured is
// left out.
func figures(results []*result, key string) (values []float64) {
	for _, r := range results {
		if v, ok := r.Figures[key]; ok {
			values = append(values, v)
		}
	}
	return values
}

// writeTable writes what a person reads, in Markdown.
func (r *report) writeTable(w io.Writer) {
	r.writeOrigin(w)
	for _, name := range slices.Sorted(maps.Keys(r.Missing)) {
		fmt.Fprintf(w, "%s is left out: %s\n", name, r.Missing[name])
	}
	for _, s := range r.opts.scenarios {
		r.writeScenario(w, s)
	}
	r.writeOverview(w)
	r.writeSummary(w)
}

// writeScenario writes the medians of each server.
func (r *report) writeScenario(w io.Writer, s scenario) {
	rounds := 0
	for _, one := range r.of(s.name, "") {
		rounds = max(rounds, one.Round)
	}
	fmt.Fprintf(w, "\n%s: %s; median of %d\n\n", s.name, s.title(r.opts), rounds)
	t := table{head: []string{"server"}}
	for _, c := range s.columns {
		t.head = append(t.head, c.head)
	}
	t.head = append(t.head, "lost", "other faults")
	var remarks []string
	for _, name := range r.serversOf(s) {
		results := r.of(s.name, name)
		row := []string{name}
		for _, c := range s.columns {
			cell := "-"
			if values := figures(results, c.key); len(values) > 0 {
				cell = c.format(median(values))
			}
			row = append(row, cell)
		}
		var sum tally
		for _, one := range results {
			sum.add(one.Tally)
		}
		t.rows = append(t.rows, append(row, grouped(float64(sum.Lost)), sum.others()))
		remarks = append(remarks, remarksOn(name, results)...)
	}
	t.write(w)
	if len(remarks) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(remarks, "\n"))
	}
}

// remarksOn says each thing once that went wrong.
func remarksOn(name string, results []*result) (remarks []string) {
	times := make(map[string]int)
	for _, one := range results {
		if why := one.Failure + one.Skipped; why != "" {
			times[why]++
		}
	}
	for _, why := range slices.Sorted(maps.Keys(times)) {
		remarks = append(remarks, fmt.Sprintf("%s, %d of %d: %s", name, times[why], len(results), why))
	}
	return remarks
}
