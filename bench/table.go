package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is written in Markdown, with columns aligned for those who read it as
// it is. All but the first column are numbers.
type table struct {
	head []string
	rows [][]string
}

func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 4)
		}
	}
	t.line(w, widths, t.head)
	for i, width := range widths {
		rule := strings.Repeat("-", width+2)
		if i > 0 {
			rule = rule[1:] + ":"
		}
		fmt.Fprint(w, "|", rule)
	}
	fmt.Fprintln(w, "|")
	for _, row := range t.rows {
		t.line(w, widths, row)
	}
}

func (t *table) line(w io.Writer, widths []int, row []string) {
	for i, cell := range row {
		space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i == 0 {
			fmt.Fprint(w, "| ", cell, space, " ")
		} else {
			fmt.Fprint(w, "| ", space, cell, " ")
		}
	}
	fmt.Fprintln(w, "|")
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
