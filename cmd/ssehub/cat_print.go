package main

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

// printer shows what cat gets. Its event may be called beside the other two.
type printer interface {
	event(m sse.Message) error // that of the output
	state(s client.State)
	retry(err error, wait time.Duration)
}

func (c *catCmd) printer(std stdio) printer {
	if c.JSONL {
		return newJSONPrinter(std.out)
	}
	terminal := isTerminal(std.out)
	return &textPrinter{
		out: std.out, err: std.err,
		safe: terminal, head: terminal || c.Verbose, quiet: c.Quiet,
		outColor: c.colored(std.out), errColor: c.colored(std.err),
	}
}

func (c *catCmd) colored(w io.Writer) bool {
	switch c.Color {
	case "always":
		return true
	case "never":
		return false
	}
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// plain returns text that does nothing to a terminal: it may come from anywhere.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
