package ssetest

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// proxied is a connection through a Proxy, which is two: what ends one side
// ends the other in the same way.
type proxied struct {
	proxy *Proxy
	n     int
	done  chan struct{} // closed by reset

	mu      sync.Mutex
	client  net.Conn
	server  net.Conn // nil until there is one
	fault   Fault
	passed  int64         // bytes of the answer since fault was set, one piece of which may be on its way
	changed chan struct{} // closed and replaced when fault is set
	ended   bool          // the client's side was, by fault.End
	rand    *rand.Rand
}

func newProxied(p *Proxy, n int, client net.Conn, f Fault) *proxied {
	return &proxied{
		proxy:   p,
		n:       n,
		rand:    rand.New(rand.NewPCG(uint64(n), 0)),
		done:    make(chan struct{}),
		client:  client,
		fault:   f,
		changed: make(chan struct{}),
	}
}

func (c *proxied) run() {
	defer c.leave()
	defer c.reset() // of what is closed already, nothing
	if _, _, ok := c.room(0); !ok {
		return // cut before the server heard of it
	}
	server, err := c.proxy.toServer(c.proxy.ctx, "tcp", "")
	if err != nil || !c.join(server) {
		return
	}
	var up sync.WaitGroup
	up.Go(func() { c.copy(server, c.client, c.forwardUp) })
	c.copy(c.client, server, c.forward)
	up.Wait()
	closeBoth(c.client, server)
}

func closeBoth(client, server net.Conn) {
	_, _ = client.Close(), server.Close() // they may be closed already
}

// join adds the server's side, unless the connection is cut.
func (c *proxied) join(server net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		resetConn(server)
		return false
	default:
		c.server = server
		return true
	}
}

func (c *proxied) leave() {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	delete(c.proxy.live, c.n)
	c.proxy.count(0, -1, 0)
}

func (c *proxied) set(f Fault) {
	c.mu.Lock()
	c.fault, c.passed = f, 0
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	_, _, _ = c.room(0) // what is to happen now, though nothing comes
}

// copy forwards what comes from src, and then its end.
func (c *proxied) copy(dst, src net.Conn, forward func([]byte) bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if !forward(buf[:n]) {
			return
		}
		switch {
		case err == io.EOF:
			if c.awaitRelease() {
				endConn(dst)
			}
			return
		case err != nil:
			if c.awaitRelease() {
				c.reset()
			}
			return
		}
	}
}

func (c *proxied) forwardUp(p []byte) bool {
	if !c.awaitRelease() {
		return false
	}
	_, err := c.server.Write(p)
	return c.written(err)
}

// forward writes a part of the answer as the Fault has it.
func (c *proxied) forward(p []byte) bool {
	for {
		n, delay, ok := c.room(len(p))
		if !ok || len(p) == 0 {
			return ok
		}
		if n == 0 {
			if !c.awaitRelease() {
				return false
			}
			continue
		}
		if delay > 0 && !c.sleep(delay) {
			return false
		}
		if !c.hasEnded() {
			if _, err := c.client.Write(p[:n]); !c.written(err) {
				return false
			}
		}
		p = p[n:]
	}
}

// room does what is due, and says how many of n bytes are to be forwarded, after
// a delay; none are while the connection is stalled. They count as passed, so
// that a Fault which is set meanwhile counts from behind them. It is false of a
// connection that is cut.
func (c *proxied) room(n int) (int, time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.fault
	switch {
	case reached(f.Cut, c.passed):
		if c.resetLocked() {
			c.proxy.countCut()
		}
		return 0, 0, false
	case reached(f.End, c.passed):
		if !c.ended {
			c.ended = true
			endConn(c.client)
		}
	case reached(f.Stall, c.passed):
		return 0, 0, true
	}
	n = f.left(n, c.passed)
	if f.Slice > 0 && n > 0 {
		n = min(n, 1+c.rand.IntN(f.Slice))
	}
	c.passed += int64(n)
	return n, f.Delay, true
}

// awaitRelease waits as long as the connection is stalled. It is false of one
// that is cut.
func (c *proxied) awaitRelease() bool {
	for {
		c.mu.Lock()
		stalled, changed := reached(c.fault.Stall, c.passed), c.changed
		c.mu.Unlock()
		if !stalled {
			return true
		}
		select {
		case <-changed:
		case <-c.done:
			return false
		}
	}
}

func (c *proxied) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

func (c *proxied) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// written resets the connection if a write has failed.
func (c *proxied) written(err error) bool {
	if err != nil {
		c.reset()
	}
	return err == nil
}

// reset ends both sides at once.
func (c *proxied) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetLocked()
}

// resetLocked is true of the first call. It needs c.mu.
func (c *proxied) resetLocked() bool {
	select {
	case <-c.done:
		return false
	default:
	}
	close(c.done)
	resetConn(c.client)
	if c.server != nil {
		resetConn(c.server)
	}
	return true
}

// resetConn closes a connection so that its other side gets a reset.
func resetConn(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // fails on what is closed
	}
	_ = conn.Close()
}

// endConn tells the other side of a connection that nothing more will come.
func endConn(conn net.Conn) {
	if tcp, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite() // fails on what is closed
		return
	}
	_ = conn.Close()
}
