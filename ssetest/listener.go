package ssetest

import (
	"context"
	"net"
	"sync"
)

// Listener accepts connections that are made by its Dial, in memory. Unlike
// those of a network they have no buffer: a write waits for its reader, and
// fails at its deadline.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a Listener, ready for http.Server.Serve.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial makes a connection, as soon as Accept takes it. It has the signature of
// http.Transport.DialContext; the address means nothing. After Close it
// returns an error that wraps [net.ErrClosed].
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: l.Addr(), Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close implements net.Listener. Connections that were made stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr {
	return addr{}
}

type addr struct{}

func (addr) Network() string { return "mem" }
func (addr) String() string  { return "ssetest" }
