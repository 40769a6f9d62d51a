package ssehub

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"
)

// handled is a stream of a Handler that has begun. If it outlives the request it
// keeps nothing of that but, where its end is logged, what the context holds.
type handled struct {
	reader  *reader
	topics  []string
	ctx     context.Context // ends when the grant expires
	stop    func()          // the timers; nil if there is none
	logging context.Context // nil if the end is not logged
}

func newHandled(h *Hub, r *reader, topics []string, grant Grant) *handled {
	s := &handled{reader: r, topics: topics, ctx: context.Background()} // the client's leaving ends the connection by itself
	r.last = s.end
	if !grant.Expires.IsZero() {
		ctx, cancel := context.WithDeadline(s.ctx, grant.Expires)
		undo := closeAtEnd(ctx, r.conn)
		s.ctx = ctx
		s.atEnd(func() { undo(); cancel() })
	}
	if grant.Check != nil {
		s.atEnd(startChecks(r, grant.Check))
	}
	if age := h.opts.MaxAge; age > 0 {
		age += time.Duration((rand.Float64() - 0.5) / 5 * float64(age))
		timer := time.AfterFunc(age, func() { r.endSoon(h.endingWithRetry(ErrMaxAge)) })
		s.atEnd(func() { timer.Stop() })
	}
	if _, err := r.conn.TryWriteFrames(nil); err == nil {
		r.direct = r.allow == nil && h.opts.Trace == nil // else code of the application would run on the waker
	}
	return s
}

// atEnd has f called at the stream's end. Most streams have nothing to stop there.
func (s *handled) atEnd(f func()) {
	first := s.stop
	if first == nil {
		s.stop = f
		return
	}
	s.stop = func() { first(); f() }
}

// run writes until the stream has ended or dozes.
func (s *handled) run() {
	if err := s.reader.hub.serve(s.ctx, s.reader); err == errDozing {
		go s.doze()
	}
}

// end is called before Shutdown takes the stream for ended, as nothing else waits
// for a stream that has outlived its handler.
func (s *handled) end(err error) {
	r := s.reader
	r.conn.Close()
	if s.stop != nil {
		s.stop()
	}
	if s.logging != nil {
		r.hub.opts.Logger.DebugContext(s.logging, "ssehub: stream ended", "topics", s.topics, "subject", s.reader.admission.subject, "reason", err)
	}
}

// runAlone is run where there is no net/http to do what it does for handlers: log a
// panic of the application's code, and go on.
func (s *handled) runAlone() {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			s.report(v, debug.Stack())
		}
	}()
	s.run()
}

// report logs a panic. Where nobody listens it goes to package log, as net/http
// does it.
func (s *handled) report(v any, stack []byte) {
	logger := s.reader.hub.opts.Logger
	if !logger.Enabled(s.ctx, slog.LevelError) {
		log.Printf("ssehub: stream panicked: %v\n%s", v, stack)
		return
	}
	logger.Error("ssehub: stream panicked", "topics", s.topics, "subject", s.reader.admission.subject,
		"panic", fmt.Sprint(v), "stack", string(stack))
}

// doze sleeps, and writes heartbeats, until there is something that the waker does
// not write. It is a goroutine of its own, for the sake of its stack: at this depth
// 2 KiB are enough, as long as it never calls anything deeper, while run takes 4
// or 8, and a stack with somebody asleep on it does not shrink.
func (s *handled) doze() {
	r := s.reader
	for {
		woken, err := r.conn.Wait(r.untilHeartbeat())
		if err != nil {
			r.fail(err)
		}
		if err != nil || woken || !r.tryHeartbeat() {
			break
		}
	}
	go s.runAlone()
}

// untilHeartbeat returns when the next heartbeat is due.
func (r *reader) untilHeartbeat() time.Duration {
	r.driving.Lock()
	defer r.driving.Unlock()
	return r.hub.heartbeat() - (r.hub.now() - r.wrote)
}

// fail ends the stream.
func (r *reader) fail(err error) {
	r.driving.Lock()
	defer r.driving.Unlock()
	r.failed = err
}

var heartbeat = []byte(":\n")

// tryHeartbeat writes a heartbeat if it is due, and reports false if the
// connection does not take it.
func (r *reader) tryHeartbeat() bool {
	r.driving.Lock()
	defer r.driving.Unlock()
	if r.rest != nil || r.failed != nil {
		return false // the waker was here since, and its Wake is still to come
	}
	if now := r.hub.now(); now-r.wrote >= r.hub.heartbeat() {
		r.wrote = now
		n, err := r.conn.TryWriteFrames(heartbeat)
		if r.failed = err; err == nil && n < len(heartbeat) {
			r.rest, r.restOf = heartbeat[n:], 0
		}
	}
	return r.failed == nil && r.rest == nil
}
