package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	maxPrompt  = 4 << 10
	maxAnswers = 1000             // at once, those that have ended included
	keepTime   = 10 * time.Minute // an answer, behind its end
)

// answers are those that are being written, and those that were a short time ago. Each
// has a topic of its own.
type answers struct {
	hub   *ssehub.Hub
	model model

	mu      sync.Mutex
	byTopic map[string]*answer
	running sync.WaitGroup
}

// answer is what the page shows: its state. Tokens are changes of it.
type answer struct {
	topic string
	stop  context.CancelCauseFunc

	mu    sync.Mutex // a change and its event are one step
	state state
	asOf  ssehub.Position
}

// state is the data of the events "answer", with which a page begins, and "done".
type state struct {
	Prompt string `json:"prompt"`
	Text   string `json:"text"`
	Done   bool   `json:"done"`
	Error  string `json:"error,omitempty"`
}

// token is the data of an event "token". It is ephemeral: what counts in the end is
// "done", and a page that has missed one sees it by At and begins anew.
type token struct {
	At   int    `json:"at"` // bytes of the answer before it
	Text string `json:"text"`
}

func newAnswers(m model) *answers {
	a := &answers{model: m, byTopic: make(map[string]*answer)}
	a.hub = ssehub.New(&ssehub.Options{
		// The name of a topic cannot be guessed, so who knows it may read. A real
		// application has users, and asks whose answer it is: see examples/login.
		Authorize: func(_ *http.Request, topics []string) (ssehub.Grant, error) {
			for _, topic := range topics {
				if a.find(topic) == nil {
					return ssehub.Grant{}, errors.New("no such answer")
				}
			}
			return ssehub.Grant{}, nil
		},
		SnapshotFor: func(topic string) ssehub.Snapshot {
			if answer := a.find(topic); answer != nil {
				return answer.snapshot
			}
			return nil
		},
	})
	return a
}

func (a *answers) find(topic string) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byTopic[topic]
}

// ask begins an answer and returns its topic. The request ends at once: that the answer
// is written does not hang on who has asked.
func (a *answers) ask(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxPrompt)
	prompt, err := io.ReadAll(r.Body)
	if err != nil || strings.TrimSpace(string(prompt)) == "" {
		http.Error(w, fmt.Sprint("ask something, in at most ", maxPrompt, " bytes"), http.StatusBadRequest)
		return
	}
	ctx, stop := context.WithCancelCause(context.Background())
	answer := &answer{topic: "answer." + rand.Text(), stop: stop, state: state{Prompt: strings.ToValidUTF8(string(prompt), "\uFFFD")}}
	a.mu.Lock()
	busy := len(a.byTopic) >= maxAnswers
	if !busy {
		a.byTopic[answer.topic] = answer
		a.running.Go(func() { a.write(ctx, answer) })
	}
	a.mu.Unlock()
	if busy {
		stop(nil)
		http.Error(w, "too many answers for now", http.StatusTooManyRequests)
		return
	}
	_, _ = io.WriteString(w, answer.topic)
}

// stop ends an answer, for all who read it.
func (a *answers) stop(w http.ResponseWriter, r *http.Request) {
	answer := a.find(r.FormValue("topic"))
	if answer == nil {
		http.Error(w, "no such answer", http.StatusNotFound)
		return
	}
	answer.stop(errors.New("stopped"))
}

// stopAll returns when all answers have ended.
func (a *answers) stopAll() {
	a.mu.Lock()
	for _, answer := range a.byTopic {
		answer.stop(errors.New("the server is shutting down"))
	}
	a.mu.Unlock()
	a.running.Wait()
}

// write has the model write an answer.
func (a *answers) write(ctx context.Context, answer *answer) {
	defer answer.stop(nil)
	err := a.model(ctx, answer.state.Prompt, func(text string) error {
		return answer.change(func(s *state) (sse.Message, ssehub.PublishOptions, error) {
			data, err := json.Marshal(token{At: len(s.Text), Text: text})
			s.Text += text
			return sse.Message{Type: "token", Data: data}, ssehub.PublishOptions{Ephemeral: true}, err
		}, a.hub)
	})
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	err = answer.change(func(s *state) (sse.Message, ssehub.PublishOptions, error) {
		s.Done = true
		if err != nil {
			s.Error = err.Error()
		}
		data, err := json.Marshal(s)
		return sse.Message{Type: "done", Data: data}, ssehub.PublishOptions{}, err
	}, a.hub)
	if err != nil {
		return // the hub has ended, and all readers with it
	}
	time.AfterFunc(keepTime, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.byTopic, answer.topic)
	})
}

// change makes a change of the state and its event one step. The lock is held over
// Publish, which waits for no reader.
func (an *answer) change(make func(*state) (sse.Message, ssehub.PublishOptions, error), hub *ssehub.Hub) error {
	an.mu.Lock()
	defer an.mu.Unlock()
	m, opts, err := make(&an.state)
	if err != nil {
		return err
	}
	pos, err := hub.PublishWith(context.Background(), an.topic, m, opts)
	if err == nil {
		an.asOf = pos
	}
	return err
}

// snapshot is what a page begins with: the answer so far.
func (an *answer) snapshot(context.Context, string) (sse.Message, ssehub.Position, error) {
	an.mu.Lock()
	defer an.mu.Unlock()
	data, err := json.Marshal(an.state)
	return sse.Message{Type: "answer", Data: data}, an.asOf, err
}
