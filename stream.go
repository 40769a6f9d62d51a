package ssehub

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Serve writes the events of topics, which may be patterns, to conn, which the
// application upgraded itself, until the stream has ended, and returns why:
// [ErrClosed] after Shutdown or Close, [sse.ErrConnectionClosed] when the client has left or did
// not read within the write timeout, [ErrSlowSubscriber], [ErrInvalidTopic], or
// the error of ctx. It goes on behind [sse.Conn.LastEventID] and asks nobody
// for permission. Closing conn stays the caller's duty; the end of ctx, and
// Close, close it at once, while after Shutdown there may be last words.
func (h *Hub) Serve(ctx context.Context, conn *sse.Conn, topics ...string) error {
	names, err := checkTopics(topics)
	if err != nil {
		return err
	}
	if err := h.Ready(ctx); err != nil {
		return err
	}
	r, err := h.join(conn.LastEventID(), names, joining{ctx: ctx, greet: true})
	if err != nil {
		return err
	}
	defer r.leave()
	return h.serve(ctx, conn, r)
}

// serve writes to conn what r reads.
func (h *Hub) serve(ctx context.Context, conn *sse.Conn, r *reader) (err error) {
	if err := r.begin(conn); err != nil {
		return err
	}
	err = errPanicked // unless it gets to the end
	defer func() { r.end(err, nil) }()
	r.traceJoined()
	if !conn.HasDeadlines() {
		h.warned.Do(func() {
			h.opts.Logger.Warn("ssehub: a middleware hides SetWriteDeadline; clients that do not read are not cut")
		})
	}
	if ctx.Done() != nil {
		// A write to a client that does not read must not outlast ctx. What
		// runs after Serve has returned could meet a handler that has, too.
		cut := make(chan struct{})
		stop := context.AfterFunc(ctx, func() { defer close(cut); conn.Close() })
		defer func() {
			if !stop() {
				<-cut
			}
		}()
	}
	err = h.stream(ctx, r)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case h.isCut():
		return ErrClosed
	default:
		return err
	}
}

// errPanicked is for Trace alone.
var errPanicked = errors.New("ssehub: Grant.AllowTopic or the connection panicked")

// stream drains the log into r's connection, then sleeps until there is news.
func (h *Hub) stream(ctx context.Context, r *reader) error {
	heartbeat := time.NewTimer(h.heartbeat())
	defer heartbeat.Stop()
	for ctx.Err() == nil {
		frames, err := r.next()
		if err == ErrClosed {
			return h.farewell(ctx, r, heartbeat)
		}
		if err != nil {
			return err
		}
		if frames != nil {
			if err := r.conn.WriteFrames(frames); err != nil {
				return err
			}
			r.written(len(frames))
			continue
		}
		if !r.park() {
			continue
		}
		heartbeat.Reset(h.heartbeat())
		select {
		case <-r.wake:
		case <-heartbeat.C:
			if err := r.conn.Comment(""); err != nil {
				return err
			}
		case <-h.news.Done(): // there may still be news
		case <-r.conn.Done():
			return sse.ErrConnectionClosed
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// heartbeat is the time between two, or for ever.
func (h *Hub) heartbeat() time.Duration {
	if h.opts.Heartbeat < 0 {
		return math.MaxInt64
	}
	return h.opts.Heartbeat
}

// farewell ends a stream that has got everything, at its own time, with its
// own time to come back, so that the next server does not meet all at once.
func (h *Hub) farewell(ctx context.Context, r *reader, heartbeat *time.Timer) error {
	if d := h.jitteredRetry(); d > 0 {
		if err := r.conn.WriteFrames(retryLine(d)); err != nil {
			return err
		}
	}
	if h.spread <= 0 {
		return ErrClosed
	}
	wait := time.NewTimer(rand.N(h.spread))
	defer wait.Stop()
	for {
		heartbeat.Reset(h.heartbeat())
		select {
		case <-wait.C:
			return ErrClosed
		case <-h.ctx.Done():
			return ErrClosed
		case <-heartbeat.C:
			if err := r.conn.Comment(""); err != nil {
				return err
			}
		case <-r.conn.Done():
			return sse.ErrConnectionClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// jitteredRetry is between once and twice the Retry option.
func (h *Hub) jitteredRetry() time.Duration {
	if h.opts.Retry <= 0 {
		return 0
	}
	return h.opts.Retry + rand.N(h.opts.Retry)
}

// retryLine counts without a blank line, which some readers would take for an
// empty event.
func retryLine(d time.Duration) []byte {
	return append(strconv.AppendInt([]byte("retry: "), d.Milliseconds(), 10), '\n')
}
