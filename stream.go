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
	if err := r.begin(conn); err != nil {
		r.leave()
		return err
	}
	if ctx.Done() != nil {
		defer closeAtEnd(ctx, conn)()
	}
	return h.serve(ctx, r)
}

// closeAtEnd closes conn when ctx ends: a write to a client that does not read must
// not outlast it. What runs after Serve has returned could meet a handler that
// has, too, so undo waits for it.
func closeAtEnd(ctx context.Context, conn *sse.Conn) (undo func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); conn.Close() })
	return func() {
		if !stop() {
			<-closed
		}
	}
}

// serve writes to its connection what r reads, which has begun, until r ends, or
// returns errDozing.
func (h *Hub) serve(ctx context.Context, r *reader) (err error) {
	err = errPanicked // unless it gets to the end
	defer func() {
		if err != errDozing {
			r.end(err, r.last)
		}
	}()
	r.start()
	err = h.stream(ctx, r)
	switch {
	case err == errDozing:
	case ctx.Err() != nil:
		err = ctx.Err()
	case h.isCut():
		err = ErrClosed
	}
	return err
}

// Told to nobody, but for errPanicked to Trace and the log.
var (
	errPanicked = errors.New("ssehub: Grant.AllowTopic or the connection panicked")
	errDozing   = errors.New("ssehub: nothing to write")
)

// start is what comes before the first write of r.
func (r *reader) start() {
	if r.started {
		return
	}
	r.started = true
	r.wrote = r.hub.now()
	r.traceJoined()
	if !r.conn.HasDeadlines() {
		r.hub.warned.Do(func() {
			r.hub.opts.Logger.Warn("ssehub: a middleware hides SetWriteDeadline; clients that do not read are not cut")
		})
	}
}

// stream drains the log into r's connection, again and again, and sleeps between,
// unless r may doze.
func (h *Hub) stream(ctx context.Context, r *reader) (err error) {
	r.driving.Lock()
	defer func() {
		r.direct = r.direct && err == errDozing
		r.driving.Unlock()
	}()
	for ctx.Err() == nil {
		if err := r.finish(); err == ErrClosed {
			return h.farewell(ctx, r)
		} else if err != nil {
			return err
		}
		if e := r.ending.Load(); e != nil {
			return r.say(e)
		}
		frames, err := r.next()
		if err == ErrClosed {
			return h.farewell(ctx, r)
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
		if r.direct {
			return errDozing
		}
		if err := r.sleep(h.heartbeat()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// finish ends what the waker has begun.
func (r *reader) finish() error {
	if r.failed != nil {
		return r.failed
	}
	if r.rest == nil {
		return nil
	}
	if err := r.conn.WriteFrames(r.rest); err != nil {
		return err
	}
	r.rest = nil
	r.written(r.restOf)
	return nil
}

// sleep waits until r is woken, at most d, and writes the heartbeat when it is due.
func (r *reader) sleep(d time.Duration) error {
	heartbeat := r.hub.heartbeat()
	if _, err := r.conn.Wait(min(d, heartbeat-(r.hub.now()-r.wrote))); err != nil {
		return err
	}
	if r.hub.now()-r.wrote < heartbeat {
		return nil
	}
	if err := r.conn.Comment(""); err != nil {
		return err
	}
	r.wrote = r.hub.now()
	return nil
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
func (h *Hub) farewell(ctx context.Context, r *reader) error {
	r.direct = false
	if h.isCut() {
		return ErrClosed
	}
	if d := h.jitteredRetry(); d > 0 {
		if err := r.conn.WriteFrames(retryLine(d)); err != nil {
			return err
		}
	}
	if h.spread <= 0 {
		return ErrClosed
	}
	end := h.now() + rand.N(h.spread)
	for h.now() < end && ctx.Err() == nil {
		if e := r.ending.Load(); e != nil {
			return r.say(e)
		}
		if err := r.sleep(end - h.now()); err != nil {
			return err
		}
	}
	return ErrClosed
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
