package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

// params are what the suite wants of a stream.
type params struct {
	StreamURL      string            `json:"streamUrl"`
	CallbackURL    string            `json:"callbackUrl"`
	Tag            string            `json:"tag"`
	InitialDelayMS *int              `json:"initialDelayMs"`
	ReadTimeoutMS  *int              `json:"readTimeoutMs"`
	LastEventID    string            `json:"lastEventId"`
	Headers        map[string]string `json:"headers"`
	Method         string            `json:"method"`
	Body           string            `json:"body"`
}

// report is what is told of a stream.
type report struct {
	Kind    string  `json:"kind"`
	Event   *event  `json:"event,omitempty"`
	Comment *string `json:"comment,omitempty"`
	Error   string  `json:"error,omitempty"`
}

type event struct {
	Type string `json:"type"`
	Data string `json:"data"`
	ID   string `json:"id"`
}

// stream is one client, and tells the suite what it sees.
type stream struct {
	sub    *client.Subscription
	params params
	notes  chan report // what is no event; its place among the events is kept
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
}

func open(p params) *stream {
	s := &stream{params: p, notes: make(chan report), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sub = client.Subscribe(s.ctx, p.StreamURL, s.options())
	go s.run()
	return s
}

func (s *stream) close() {
	s.cancel()
	<-s.done
}

func (s *stream) options() *client.Options {
	opts := &client.Options{
		NewRequest:   s.newRequest,
		LastEventID:  s.params.LastEventID,
		MaxEventSize: 1 << 30, // the suite sends events of 13 MiB
		OnComment:    func(text string) { s.notes <- report{Kind: "comment", Comment: &text} },
		OnRetry: func(err error, _ time.Duration) error {
			s.notes <- report{Kind: "error", Error: err.Error()}
			return nil
		},
	}
	if ms := s.params.InitialDelayMS; ms != nil {
		opts.Backoff.Base = max(milliseconds(*ms), time.Millisecond)
		opts.Backoff.Min = time.Millisecond
	}
	if ms := s.params.ReadTimeoutMS; ms != nil {
		opts.IdleTimeout = milliseconds(*ms)
	}
	return opts
}

func milliseconds(n int) time.Duration {
	return time.Duration(n) * time.Millisecond
}

func (s *stream) newRequest(ctx context.Context) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if s.params.Method != "" {
		method = s.params.Method
	}
	if s.params.Body != "" {
		body = strings.NewReader(s.params.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.params.StreamURL, body)
	if err != nil {
		return nil, err
	}
	for name, value := range s.params.Headers {
		req.Header.Set(name, value)
	}
	return req, nil
}

// run reports all in the order in which the client sees it: the client's
// goroutine waits in a callback until what it delivered before is under way.
func (s *stream) run() {
	defer close(s.done)
	n := 0
	for {
		var r report
		select {
		case m, ok := <-s.sub.Events():
			if !ok {
				return
			}
			r = report{Kind: "event", Event: toEvent(m)}
		case r = <-s.notes:
		}
		n++
		if err := s.post(n, r); err != nil && s.ctx.Err() == nil {
			log.Printf("%s: %v", s.params.Tag, err)
		}
	}
}

func toEvent(m sse.Message) *event {
	e := &event{Type: m.Type, Data: string(m.Data), ID: m.ID}
	if e.Type == "" {
		e.Type = "message"
	}
	return e
}

func (s *stream) post(n int, r report) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("%s/%d", strings.TrimSuffix(s.params.CallbackURL, "/"), n)
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil { // so that the connection can be used again
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("callback %d: %s", n, res.Status)
	}
	return nil
}
