package browser

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is a line between page and server that a test can break.
type proxy struct {
	listener net.Listener
	target   string
	tasks    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	mode   mode
	conns  map[net.Conn]struct{}
	change chan struct{} // closed when mode changes
}

type mode int

const (
	forward mode = iota
	stall        // connections stay open and nothing goes through
	hangUp       // connections are closed at once
	refuse       // what is asked for is answered with status 502
)

const badGateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", freeAddr(t))
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target, conns: make(map[net.Conn]struct{}), change: make(chan struct{})}
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		p.set(hangUp)
		listener.Close()
		p.tasks.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// set changes the mode. All but forward and stall cut what is open.
func (p *proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.change)
	p.change = make(chan struct{})
	if m == hangUp || m == refuse {
		for conn := range p.conns {
			conn.Close()
		}
	}
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.tasks.Go(func() { p.serve(conn) })
	}
}

func (p *proxy) serve(page net.Conn) {
	defer page.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	switch p.add(page, server) {
	case hangUp:
		return
	case refuse:
		_, _ = page.Read(make([]byte, 4096)) // the request, or the answer is a reset
		_, _ = io.WriteString(page, badGateway)
		return
	}
	defer p.remove(page, server)
	var both sync.WaitGroup
	both.Go(func() { p.pump(server, page) })
	both.Go(func() { p.pump(page, server) })
	both.Wait()
}

// add reports the mode at the moment from which on set knows of conns.
func (p *proxy) add(conns ...net.Conn) mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == forward || p.mode == stall {
		for _, conn := range conns {
			p.conns[conn] = struct{}{}
		}
	}
	return p.mode
}

func (p *proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.conns, conn)
	}
}

// pump copies until one end is closed, then closes the other.
func (p *proxy) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		p.waitStall()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) waitStall() {
	for {
		p.mu.Lock()
		mode, change := p.mode, p.change
		p.mu.Unlock()
		if mode != stall {
			return
		}
		<-change
	}
}
