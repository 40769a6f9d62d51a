package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// readSize is large enough for a batch in one call and small enough for the
// bytes to be in the cache still when they are parsed.
const readSize = 128 << 10

// thinRead is how many bytes a read must bring to be worth its call.
const thinRead = 2 << 10

// worker is one goroutine's share of the connections. Only that goroutine
// uses it.
type worker struct {
	epoll  int
	events []unix.EpollEvent
	conns  []conn
	buf    []byte

	received int   // messages
	ready    int   // connections with a hello
	complete int   // with all messages
	closed   int   // that ended
	err      error // why the first of them did
	last     int64 // when the last delivery was read
}

type conn struct {
	fd       int // -1 when closed
	response response
	check    checker
}

func newWorker(conns, messages, size int) (*worker, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	w := &worker{
		epoll:  epoll,
		events: make([]unix.EpollEvent, 256),
		conns:  make([]conn, conns),
		buf:    make([]byte, readSize),
	}
	for i := range w.conns {
		c := &w.conns[i]
		c.fd = -1
		c.check = newChecker(messages, size)
		c.response.frames = frames{check: &c.check, line: make([]byte, 0, size+frameOverhead)}
	}
	return w, nil
}

func (w *worker) close() {
	for i := range w.conns {
		w.conns[i].close()
	}
	_ = unix.Close(w.epoll)
}

func (c *conn) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // reading is over, so an error changes nothing
		c.fd = -1
	}
}

const request = "GET / HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"

// connect opens connection i and sends its request. Over loopback both are
// done at once, so only the reading is asynchronous.
func (w *worker) connect(i int, target netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.conns[i].fd = fd
	if err := ignoringEINTR(func() error {
		return unix.Connect(fd, &unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()})
	}); err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	if n, err := unix.Write(fd, []byte(request)); err != nil {
		return err
	} else if n < len(request) {
		return io.ErrShortWrite
	}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
}

// until reads until reached, the end of ctx or a stall. After reads that
// brought little it sleeps for pause.
func (w *worker) until(ctx context.Context, pause time.Duration, reached func() bool) {
	heard := time.Now()
	for !reached() && ctx.Err() == nil {
		reads, size, err := w.poll(50 * time.Millisecond)
		switch {
		case err != nil:
			w.err = err
			return
		case reads == 0 && time.Since(heard) > stall:
			return
		case reads > 0:
			heard = time.Now()
			if pause > 0 && size/reads < thinRead {
				time.Sleep(pause)
			}
		}
	}
}

// poll waits for connections with something to read and reads once from each,
// so that all get their turn. It returns how many there were and how many bytes
// they brought.
func (w *worker) poll(wait time.Duration) (reads, size int, err error) {
	n, err := unix.EpollWait(w.epoll, w.events, int(wait.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	before := w.received
	for _, e := range w.events[:n] {
		// Fd is the index; the kernel only gives it back.
		size += w.read(&w.conns[e.Fd])
	}
	if w.received > before {
		w.last = monotonic()
	}
	return n, size, nil
}

// read reads once and returns how many bytes came.
func (w *worker) read(c *conn) (size int) {
	n, err := unix.Read(c.fd, w.buf)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return 0
	case err == nil && n == 0:
		err = io.ErrUnexpectedEOF
	case err == nil:
		err = w.feed(c, w.buf[:n])
	}
	if err != nil {
		w.drop(c, err)
	}
	return max(n, 0)
}

// feed gives c its bytes and counts what they changed.
func (w *worker) feed(c *conn, p []byte) error {
	received, ready, complete := c.check.received, c.check.hello, c.check.complete()
	err := c.response.feed(p)
	w.received += c.check.received - received
	if !ready && c.check.hello {
		w.ready++
	}
	if !complete && c.check.complete() {
		w.complete++
	}
	return err
}

func (w *worker) drop(c *conn, err error) {
	c.close() // which also takes it out of the epoll set
	w.closed++
	if w.err == nil {
		w.err = err
	}
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
