package client

import (
	"context"
	"time"
)

// State is what a Subscription is doing.
type State uint8

// The states of a Subscription, in the order in which they come.
const (
	StateConnecting State = iota // a request is under way
	StateOpen                    // an event stream is being read
	StateWaiting                 // for the time to connect again
	StateClosed                  // it has ended, and Err says why
)

// String returns the state's name, such as "connecting".
func (s State) String() string {
	switch s {
	case StateConnecting:
		return "connecting"
	case StateOpen:
		return "open"
	case StateWaiting:
		return "waiting"
	case StateClosed:
		return "closed"
	default:
		return "unknown"
	}
}

// begin marks the start of an attempt, which again will end.
func (s *Subscription) begin(again context.CancelCauseFunc) {
	s.mu.Lock()
	s.again, s.asked = again, time.Now()
	s.mu.Unlock()
	s.setState(StateConnecting)
}

// answered marks the end of a request, whatever came of it.
func (s *Subscription) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Time{}
}

// end marks the end of everything.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	s.err = err
	if s.later != nil {
		s.later.Stop()
	}
	s.mu.Unlock()
	s.setState(StateClosed)
}

func (s *Subscription) setState(state State) {
	s.mu.Lock()
	s.state = state
	s.mu.Unlock()
	if s.opts.OnState != nil {
		s.opts.OnState(state)
	}
}

// setLastID moves the id to resume from.
func (s *Subscription) setLastID(id string) {
	if id == s.lastID {
		return
	}
	s.mu.Lock()
	s.lastID = id
	s.mu.Unlock()
	if s.opts.OnLastEventID != nil {
		s.opts.OnLastEventID(id)
	}
}
