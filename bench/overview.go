package main

import (
	"fmt"
	"io"
)

// writeOverview writes the main figures of all scenarios in one table, if there
// are several. A server that stands in for another is in the other's row.
func (r *report) writeOverview(w io.Writer) {
	t := table{head: []string{"medians"}}
	for _, s := range r.opts.scenarios {
		for _, c := range s.columns {
			if c.main {
				t.head = append(t.head, s.name+", "+c.head)
			}
		}
	}
	if len(r.opts.scenarios) < 2 || len(t.head) < 2 {
		return
	}
	t.head = append(t.head, "lost")
	for _, name := range r.opts.servers {
		t.rows = append(t.rows, r.overviewOf(name))
	}
	fmt.Fprint(w, "\nall scenarios\n\n")
	t.write(w)
}

// overviewOf is a server's row. What is lost by standing still, which is what
// slow is there for, is in that scenario's own table.
func (r *report) overviewOf(name string) (row []string) {
	row = []string{name}
	var lost int64
	for _, s := range r.opts.scenarios {
		results := r.of(s.name, s.standIn(name))
		for _, c := range s.columns {
			if !c.main {
				continue
			}
			cell := "-"
			if values := figures(results, c.key); len(values) > 0 {
				cell = c.format(median(values))
			}
			row = append(row, cell)
		}
		for _, one := range results {
			if s.name != slowScenario.name {
				lost += one.Tally.Lost
			}
		}
	}
	return append(row, grouped(float64(lost)))
}
