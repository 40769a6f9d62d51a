package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// ErrConnectionClosed is returned, sometimes wrapping the cause, by every
// write to a Conn that was closed, whose client has left or whose write failed.
var ErrConnectionClosed = errors.New("sse: connection closed")

const (
	maxWrite   = 64 << 10               // bytes that one deadline is for
	closeGrace = 100 * time.Millisecond // what Close leaves to a write under way
)

// Conn is an event stream to one client, made by Upgrade. All methods are safe
// for concurrent use. The handler that made it must call Close before it
// returns; goroutines of its own may go on and get [ErrConnectionClosed].
type Conn struct {
	request     context.Context // ends when the client leaves or the handler has returned
	ctx         context.Context // of request; ends also when a write fails or Close is called
	cancel      context.CancelFunc
	timeout     time.Duration
	perStream   bool // HTTP/2: a deadline that passes ends the stream even between writes
	lastEventID string

	// writing guards w, buf and closed, and is held while writing: a lock of one
	// slot rather than a Mutex, because a wait for it ends with ctx, and because
	// fake time (testing/synctest) goes on while a goroutine waits for it.
	writing chan struct{}
	w       http.ResponseWriter
	buf     []byte
	closed  bool

	deadlineMu sync.Mutex // guards the rest, and is never held while writing
	rc         *http.ResponseController
	noDeadline bool // the writer does not support deadlines
	closing    bool // the last deadline is set, or left as it is
}

// Send writes one message, as [Message.AppendText] forms it. Nil means that it
// was written and flushed, not that the client has read it. An error that
// wraps [ErrInvalidField] leaves the connection as it was; any other ends it.
func (c *Conn) Send(m Message) error {
	if !c.acquire() {
		return ErrConnectionClosed
	}
	defer c.release()
	frame, err := m.AppendText(c.buf[:0])
	if err != nil {
		return err
	}
	c.keep(frame)
	return c.write(frame)
}

// Comment writes text as comment lines, which clients ignore; an empty text
// writes the single line ":", a heartbeat.
func (c *Conn) Comment(text string) error {
	if !c.acquire() {
		return ErrConnectionClosed
	}
	defer c.release()
	lines := appendComment(c.buf[:0], text)
	c.keep(lines)
	return c.write(lines)
}

// WriteFrames writes bytes that are encoded already, in as few writes as the
// deadline allows. They must be whole lines, and must form whole events where
// other writes may follow.
func (c *Conn) WriteFrames(encoded []byte) error {
	if !c.acquire() {
		return ErrConnectionClosed
	}
	defer c.release()
	return c.write(encoded)
}

// Done returns a channel that is closed when the client has left, a write has
// failed or Close was called.
func (c *Conn) Done() <-chan struct{} {
	return c.ctx.Done()
}

// IsOpen reports whether a write may still succeed.
func (c *Conn) IsOpen() bool {
	return c.ctx.Err() == nil
}

// HasDeadlines reports whether writes have a deadline. They have none behind
// middleware that does not pass SetWriteDeadline on: a client that does not
// read then holds the goroutine that writes to it, and Close, until the network
// gives up.
func (c *Conn) HasDeadlines() bool {
	return !c.noDeadline
}

// LastEventID is [LastEventID] of the request that was upgraded.
func (c *Conn) LastEventID() string {
	return c.lastEventID
}

// Close ends the stream's writing side. Once it has returned nothing touches
// the http.ResponseWriter any more; the response ends when the handler
// returns. A write under way in another goroutine gets 100 ms to finish. It
// may be called any number of times.
func (c *Conn) Close() {
	c.cancel()
	select {
	case c.writing <- struct{}{}:
	default:
		c.hurry()
		c.writing <- struct{}{}
	}
	defer c.release()
	if !c.closed && c.request.Err() == nil {
		c.setDeadline(c.timeout) // for what the server writes after the handler
	}
	c.closed = true
	c.lastDeadline()
}

// lastDeadline keeps a Close that still waits elsewhere from the writer.
func (c *Conn) lastDeadline() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.closing = true
}

// acquire waits for the right to write, unless the connection ends first.
func (c *Conn) acquire() bool {
	select {
	case c.writing <- struct{}{}:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func (c *Conn) release() {
	<-c.writing
}

// hurry cuts the write that is under way, if it is not about to end by itself.
func (c *Conn) hurry() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	if !c.closing && !c.noDeadline {
		c.closing = true
		_ = c.rc.SetWriteDeadline(time.Now().Add(closeGrace))
	}
}

// write needs c.writing. After an error half a frame may be out, so none follows.
func (c *Conn) write(p []byte) error {
	if c.closed || c.ctx.Err() != nil {
		return ErrConnectionClosed
	}
	c.closed = true // until all is written, should the writer panic
	for first := true; first || len(p) > 0; first = false {
		chunk := p[:min(len(p), maxWrite)]
		c.setDeadline(c.timeout)
		if _, err := c.w.Write(chunk); err != nil {
			return c.fail(err)
		}
		p = p[len(chunk):]
	}
	if err := c.rc.Flush(); err != nil {
		return c.fail(err)
	}
	c.closed = false
	if c.perStream {
		c.setDeadline(0)
	}
	return nil
}

func (c *Conn) fail(err error) error {
	c.cancel() // and closed stays set: the deadline that passed ends the response at once
	return fmt.Errorf("%w: %w", ErrConnectionClosed, err)
}

// setDeadline sets the write deadline, or clears it if d is not positive.
func (c *Conn) setDeadline(d time.Duration) {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	if c.closing || c.noDeadline || c.timeout <= 0 {
		return
	}
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	_ = c.rc.SetWriteDeadline(t) // an error is the connection's, and the write will have it too
}

// keep retains b's memory for the next message unless it is unusually large.
func (c *Conn) keep(b []byte) {
	if cap(b) <= 4<<10 {
		c.buf = b[:0]
	}
}
