//go:build unix

package sse

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// newTrier returns nil for what has no such write. Something that wraps a socket
// must have it itself: writing past its methods would be wrong.
func newTrier(conn net.Conn) trier {
	var raw syscall.RawConn
	var err error
	switch conn := conn.(type) {
	case trier:
		return conn
	case *net.TCPConn:
		raw, err = conn.SyscallConn()
	case *net.UnixConn:
		raw, err = conn.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return socket{raw}
}

// socket is the trier of a descriptor.
type socket struct{ syscall.RawConn }

// attempt is a call of TryWrite, as a value that is used again: a closure would be
// an allocation for each delivery.
type attempt struct {
	p   []byte
	n   int
	err error
	run func(fd uintptr) bool
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.run = a.write
	return a
}}

// write never asks to wait for the socket.
func (a *attempt) write(fd uintptr) bool {
	for {
		a.n, a.err = syscall.Write(int(fd), a.p)
		if a.err != syscall.EINTR {
			return true
		}
	}
}

func (s socket) TryWrite(p []byte) (int, error) {
	a := attempts.Get().(*attempt)
	defer func() {
		a.p = nil
		attempts.Put(a)
	}()
	a.p, a.n, a.err = p, 0, nil
	if err := s.Write(a.run); err != nil {
		return 0, err
	}
	switch {
	case a.err == syscall.EAGAIN:
		return 0, nil
	case a.err != nil:
		return 0, a.err
	case a.n == 0 && len(p) > 0:
		return 0, io.ErrUnexpectedEOF
	default:
		return a.n, nil
	}
}
