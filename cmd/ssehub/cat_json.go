package main

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

// record is a line of --jsonl.
type record struct {
	Kind    string  `json:"kind"` // message, hello, gap, mark, revoked, state or retry
	ID      string  `json:"id,omitempty"`
	Type    string  `json:"type,omitempty"`
	Topic   string  `json:"topic,omitempty"`
	Data    *string `json:"data,omitempty"`    // of a message
	Verdict string  `json:"verdict,omitempty"` // of a hello
	Reason  string  `json:"reason,omitempty"`  // of a gap or a mark
	From    string  `json:"from,omitempty"`    // of a gap
	To      string  `json:"to,omitempty"`
	State   string  `json:"state,omitempty"`
	Error   string  `json:"error,omitempty"` // of a retry
	WaitMs  int64   `json:"waitMs,omitempty"`
}

// jsonPrinter is for programs.
type jsonPrinter struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newJSONPrinter(out io.Writer) *jsonPrinter {
	p := &jsonPrinter{enc: json.NewEncoder(out)}
	p.enc.SetEscapeHTML(false)
	return p
}

func (p *jsonPrinter) event(m sse.Message) error {
	if !isControl(m.Type) {
		data := string(m.Data)
		return p.print(record{Kind: "message", ID: m.ID, Type: typeOf(m), Topic: m.Topic, Data: &data})
	}
	r := record{Kind: strings.TrimPrefix(m.Type, "ssehub."), ID: m.ID}
	var said struct {
		Verdict, Reason, From, To, Topic string
	}
	if json.Unmarshal(m.Data, &said) == nil {
		r.Verdict, r.Reason, r.From, r.To, r.Topic = said.Verdict, said.Reason, said.From, said.To, said.Topic
	}
	return p.print(r)
}

func (p *jsonPrinter) state(s client.State) {
	_ = p.print(record{Kind: "state", State: s.String()}) // the next event tells of an error
}

func (p *jsonPrinter) retry(err error, wait time.Duration) {
	_ = p.print(record{Kind: "retry", Error: err.Error(), WaitMs: wait.Milliseconds()})
}

func (p *jsonPrinter) print(r record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.enc.Encode(r)
}
