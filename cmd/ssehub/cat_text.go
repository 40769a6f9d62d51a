package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

// textPrinter is for people, and for pipes that want the data alone.
type textPrinter struct {
	mu                 sync.Mutex // one line at a time
	out, err           io.Writer
	safe               bool // the output is a terminal
	head               bool // id, topic and type before the data
	quiet              bool
	outColor, errColor bool
}

// Colours, as SGR parameters.
const (
	dim    = "2"
	red    = "31"
	cyan   = "36"
	yellow = "33"
)

func (p *textPrinter) event(m sse.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Type {
	case sse.TypeHello:
		var hello sse.Hello
		if json.Unmarshal(m.Data, &hello) == nil {
			p.tell(dim, "stream: "+hello.Verdict+", at "+m.ID)
		}
		return nil
	case sse.TypeGap:
		p.gap(m)
		return nil
	case sse.TypeMark, sse.TypeRevoked:
		return nil
	}
	var b strings.Builder
	if p.head {
		for _, part := range []struct{ text, color string }{{m.ID, dim}, {m.Topic, cyan}, {m.Type, yellow}} {
			if part.text != "" {
				b.WriteString(paint(p.outColor, part.color, plain(part.text)) + "  ")
			}
		}
	}
	data := string(m.Data)
	if p.safe {
		data = plain(data)
	}
	b.WriteString(data + "\n")
	_, err := io.WriteString(p.out, b.String())
	return err
}

func (p *textPrinter) gap(m sse.Message) {
	var gap sse.Gap
	_ = json.Unmarshal(m.Data, &gap) // what it does not have is empty
	text := "gap: events are missing, reason " + gap.Reason
	if gap.Topic != "" {
		text += ", topic " + gap.Topic
	}
	if gap.From != "" {
		text += ", behind " + gap.From
	}
	if gap.To != "" {
		text += ", up to " + gap.To
	}
	_, _ = fmt.Fprintln(p.err, paint(p.errColor, red, "-- "+plain(text)))
}

func (p *textPrinter) state(s client.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == client.StateOpen || s == client.StateConnecting {
		p.tell(dim, s.String())
	}
}

func (p *textPrinter) retry(err error, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(dim, fmt.Sprintf("no connection: %v; again in %v", err, wait.Round(time.Millisecond)))
}

// tell needs p.mu.
func (p *textPrinter) tell(color, text string) {
	if !p.quiet {
		_, _ = fmt.Fprintln(p.err, paint(p.errColor, color, "-- "+plain(text)))
	}
}

func paint(on bool, color, text string) string {
	if !on {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
