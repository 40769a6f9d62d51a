package ssehub

import (
	"context"
	"time"
)

// closesPerSecond is the pace at which Shutdown ends streams, if its context
// leaves the time.
const closesPerSecond = 1000

// cutTime is more than a write under way gets when its stream is closed.
const cutTime = time.Second

// Shutdown ends the hub gracefully: it refuses what is new, lets every reader
// have what was published, and closes the streams spread out over time (1,000
// per second, or faster for ctx), each with its own retry time. It returns nil
// when all is done. When ctx ends first it closes the rest, as Close, and
// returns the error of ctx, within 100 ms unless code of the application holds it
// up, and within a second even then. Call it before http.Server.Shutdown,
// which ends no stream: it waits for those that it still holds, and returns while
// those go on that were taken over.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.refuse(func(readers int) time.Duration {
		spread := time.Duration(readers) * time.Second / closesPerSecond
		if deadline, ok := ctx.Deadline(); ok {
			spread = min(spread, time.Until(deadline)/2)
		}
		return max(0, spread)
	})
	done := h.ended()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		h.cut()
		waitCut(done)
		return ctx.Err()
	}
}

// Close ends the hub now: publishers get ErrClosed, and every stream and
// Subscription ends wherever it is, a write under way within 100 ms. It
// returns when all of them have ended, or after a second, as a connection
// without deadlines, AllowTopic and Trace may hold one. It may be called any
// number of times and never fails; the error is for io.Closer.
func (h *Hub) Close() error {
	h.cut()
	waitCut(h.ended())
	return nil
}

// ended returns a channel that is closed when all tasks have ended.
func (h *Hub) ended() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		h.tasks.Wait()
		close(done)
	}()
	return done
}

// waitCut waits after cut. A writer without deadlines cannot be cut, nor can
// code of the application, which may itself be what waits here.
func waitCut(done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(cutTime):
	}
}

// cut ends all readers wherever they are, without waiting for it. Again it does no
// harm.
func (h *Hub) cut() {
	h.end() // first, so that nobody says last words
	h.refuse(func(int) time.Duration { return 0 })
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.readers {
		if r.conn != nil {
			h.tasks.Go(r.conn.Close) // each may wait for its write
		}
	}
}

// refuse lets nothing new in, and tells the readers to end within the spread
// that it is given for their number.
func (h *Hub) refuse(spread func(readers int) time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return
	}
	h.draining = true
	if h.sweep != nil {
		h.sweep.Stop()
	}
	h.drainOf = len(h.readers)
	h.tasks.Go(func() { h.traceDrain(h.drainOf, h.drainOf) }) // the hook may block
	h.spread = spread(h.drainOf)
	h.endNewsIfDue()
}

// noNews reports whether nothing more comes.
func (h *Hub) noNews() bool {
	return h.news.Err() != nil
}

// isCut reports whether Close has begun.
func (h *Hub) isCut() bool {
	return h.ctx.Err() != nil
}
