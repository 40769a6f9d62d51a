package client

import "time"

// reconnectPace is the least time between two attempts that Reconnect makes.
const reconnectPace = time.Second

// Reconnect ends the connection, or the wait for the next one, and connects
// anew at once, over a new connection of the network: that has changed, or a
// user is tired of waiting. It may be called at any rate. A call within a second
// of the attempt that an earlier one has made, or while a request that young
// waits for its answer, counts when the second is over, unless a stream is open
// by then. The back-off goes on as before.
func (s *Subscription) Reconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == StateClosed || s.later != nil {
		return
	}
	if wait := time.Until(s.mayPush()); wait > 0 {
		s.later = time.AfterFunc(wait, s.reconnectLater)
		return
	}
	s.push()
}

// mayPush returns when Reconnect may act. It needs s.mu.
func (s *Subscription) mayPush() time.Time {
	if s.asked.After(s.pushed) {
		return s.asked.Add(reconnectPace)
	}
	return s.pushed.Add(reconnectPace)
}

// push needs s.mu.
func (s *Subscription) push() {
	s.pushed = time.Now()
	if s.again != nil { // else the first attempt is about to begin
		s.again(errAgain)
	}
}

func (s *Subscription) reconnectLater() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later = nil
	if s.state != StateOpen && s.state != StateClosed {
		s.push()
	}
}
