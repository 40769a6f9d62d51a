package client

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Bounds of the heartbeat that a hub may announce: three of the shortest must
// be enough to connect in.
const (
	minHeartbeat = time.Second
	maxHeartbeat = 24 * time.Hour
)

// hello takes note of where a hub's stream goes on, and of its heartbeat, which
// holds for the next connection too. A hub that does not know the id on its way
// to it got lost calls a stream fresh that is none.
func (s *Subscription) hello(ctx context.Context, m sse.Message, idle *idleReader) error {
	var hello sse.Hello
	_ = json.Unmarshal(m.Data, &hello) // a newer hub's may say more, or less
	s.startFrom(hello)
	s.learnIdle(idle, hello.HeartbeatMs)
	if hello.Verdict == sse.VerdictFresh && s.lastID != "" {
		gap := sse.Gap{Reason: sse.ReasonInvalid, From: s.lastID, To: m.ID}
		if err := s.gap(ctx, gap, m.ID); err != nil {
			return err
		}
	}
	return s.deliverControl(ctx, m)
}

// learnIdle sets the limit for silence by a hub's heartbeat, or takes it back.
func (s *Subscription) learnIdle(idle *idleReader, heartbeatMs int64) {
	if s.opts.IdleTimeout != 0 {
		return
	}
	s.idle = 0
	if heartbeatMs > 0 {
		limit := min(heartbeatMs, maxHeartbeat.Milliseconds())
		s.idle = 3 * max(time.Duration(limit)*time.Millisecond, minHeartbeat)
	}
	idle.timeout = s.idle
}

// forgetHub takes back what an earlier connection has learned of a hub, where
// this one is to something else.
func (s *Subscription) forgetHub(idle *idleReader) {
	if !s.fromHub && s.idle != s.opts.IdleTimeout {
		s.learnIdle(idle, 0)
	}
}

// told passes on a gap that the hub tells of.
func (s *Subscription) told(ctx context.Context, m sse.Message) error {
	var gap sse.Gap
	_ = json.Unmarshal(m.Data, &gap) // unreadable or not, it is a loss
	s.next = 0
	s.count(gap)
	return s.deliverControl(ctx, m)
}
