package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrConnectionClosed is returned, sometimes wrapping the cause, by every
// write to a Conn that was closed, whose client has left or whose write failed.
var ErrConnectionClosed = errors.New("sse: connection closed")

const (
	maxWrite   = 64 << 10              // bytes that one deadline is for
	closeGrace = 50 * time.Millisecond // what Close leaves to a write under way
)

// Conn is an event stream to one client, made by Upgrade. All methods are safe
// for concurrent use. The handler that made it must call Close before it
// returns, unless it is Hijacked; goroutines of its own may go on and get
// [ErrConnectionClosed].
type Conn struct {
	request     context.Context // ends when the client leaves or the handler has returned; nil if it was hijacked
	ctx         context.Context // of request; ends also when a write fails or Close is called
	cancel      context.CancelFunc
	timeout     time.Duration
	between     bool // a deadline that passes between writes does harm
	lastEventID string

	out transport

	writing turn // guards the following, and is held while writing
	buf     []byte
	closed  bool

	deadlineMu sync.Mutex // guards the rest, and is never held while writing
	noDeadline bool       // the writer does not support deadlines
	closing    bool       // the last deadline is set, or left as it is
}

// Send writes one message, as [Message.AppendText] forms it. Nil means that it
// was written and flushed, not that the client has read it. An error that
// wraps [ErrInvalidField] leaves the connection as it was; any other ends it.
func (c *Conn) Send(m Message) error {
	if !c.writing.take(c.ctx) {
		return ErrConnectionClosed
	}
	defer c.writing.give()
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
	if !c.writing.take(c.ctx) {
		return ErrConnectionClosed
	}
	defer c.writing.give()
	lines := appendComment(c.buf[:0], text)
	c.keep(lines)
	return c.write(lines)
}

// WriteFrames writes bytes that are encoded already, in as few writes as the
// deadline allows. They must be whole lines, and must form whole events where
// other writes may follow.
func (c *Conn) WriteFrames(encoded []byte) error {
	if !c.writing.take(c.ctx) {
		return ErrConnectionClosed
	}
	defer c.writing.give()
	return c.write(encoded)
}

// TryWriteFrames is WriteFrames without waiting: it writes as much as the socket
// takes at once, and returns how much that is. The caller must have the rest
// written before anything else. It may be nothing, as while another write is
// under way. It returns [errors.ErrUnsupported] unless the Conn is Hijacked and
// its connection is a plain TCP or Unix socket, on a Unix system, or has a method
// TryWrite(p []byte) (n int, err error) that does this, and neither blocks nor
// panics.
func (c *Conn) TryWriteFrames(encoded []byte) (n int, err error) {
	if !c.writing.try() {
		return 0, nil
	}
	defer c.writing.give()
	if c.closed { // whether ctx has ended, the socket knows
		return 0, ErrConnectionClosed
	}
	n, err = c.out.tryWrite(encoded)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		c.closed = true
		err = c.fail(err)
	}
	return n, err
}

// Wait sleeps until Wake was called or, woken being false, d has passed. It
// returns an error that wraps [ErrConnectionClosed] when the client has left, a
// write has failed or Close was called. Only one goroutine at a time may be in
// it. A goroutine that writes what there is, waits, and is woken when there is
// more needs no channel of its own, and none to watch the client.
func (c *Conn) Wait(d time.Duration) (woken bool, err error) {
	woken, err = c.out.wait(c.ctx, d)
	switch {
	case c.ctx.Err() != nil || err == io.EOF:
		err = ErrConnectionClosed
	case err == nil:
		return woken, nil
	default:
		err = fmt.Errorf("%w: %w", ErrConnectionClosed, err)
	}
	c.cancel()
	return false, err
}

// Wake ends a Wait: the one under way or else the next. It does not block.
func (c *Conn) Wake() {
	c.out.wake()
}

// Hijacked reports whether the connection was taken over from its http.Server, see
// [Upgrader].
func (c *Conn) Hijacked() bool {
	return c.request == nil
}

// Done returns a channel that is closed when the client has left, a write has
// failed or Close was called. If the Conn is Hijacked, it takes a goroutine in
// Wait to notice that the client leaves.
func (c *Conn) Done() <-chan struct{} {
	return c.ctx.Done()
}

// IsOpen reports whether Done is still open, so that a write may succeed.
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
// returns, or at once if the Conn is Hijacked. A write under way in another
// goroutine gets 50 ms to finish. It may be called any number of times.
func (c *Conn) Close() {
	c.cancel()
	if !c.writing.try() {
		c.hurry()
		c.writing.take(context.Background())
	}
	defer c.writing.give()
	if t, ok := c.out.(*taken); ok {
		t.close(c.closed) // a second time it does nothing
	} else if !c.closed && c.request.Err() == nil {
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

// hurry cuts the write that is under way, if it is not about to end by itself.
func (c *Conn) hurry() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	if !c.closing && !c.noDeadline {
		c.closing = true
		_ = c.out.SetWriteDeadline(time.Now().Add(closeGrace))
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
		if _, err := c.out.Write(chunk); err != nil {
			return c.fail(err)
		}
		p = p[len(chunk):]
	}
	if err := c.out.Flush(); err != nil {
		return c.fail(err)
	}
	c.closed = false
	if c.between {
		c.setDeadline(0)
	}
	return nil
}

func (c *Conn) fail(err error) error {
	c.cancel() // and closed stays set: the deadline that passed ends the response at once
	c.Wake()
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
	_ = c.out.SetWriteDeadline(t) // an error is the connection's, and the write will have it too
}

// keep retains b's memory for the next message unless it is unusually large.
func (c *Conn) keep(b []byte) {
	if cap(b) <= 4<<10 {
		c.buf = b[:0]
	}
}
