package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
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
	plan   *plan
	epoll  int
	events []unix.EpollEvent
	conns  []conn
	buf    []byte

	times     *times                  // nil if messages carry no times
	firstByte *hdrhistogram.Histogram // from connecting to the first byte, in nanoseconds
	ready     timeline                // connections that were answered
	bytes     timeline                // all that came, heads and framing too

	goal     int   // messages that each connection shall have
	pending  int   // open connections that do not have them
	received int   // messages
	answered int   // connections with a head and, where streams begin so, a hello
	greeted  int   // connections with a hello
	closed   int   // that ended
	err      error // why the first of them did
	last     int64 // when the last delivery was read
}

type conn struct {
	fd        int   // -1 when closed
	connected int64 // when it began to be; 0 behind the first byte
	answered  bool
	response  response
	check     checker
}

func newWorker(p *plan, conns int) (*worker, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	w := &worker{
		plan:      p,
		epoll:     epoll,
		events:    make([]unix.EpollEvent, 256),
		conns:     make([]conn, conns),
		buf:       make([]byte, readSize),
		firstByte: newHistogram(),
	}
	if p.timed {
		w.times = newTimes()
	}
	if p.byPlace {
		w.times.fates = make([]fate, p.messages+1)
	}
	for i := range w.conns {
		c := &w.conns[i]
		c.fd = -1
		c.check = newChecker(p.messages, p.size)
		c.check.times = w.times
		if p.byPlace {
			c.check.goByPlace()
		}
		c.response.frames = frames{check: &c.check}
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

// expect sets the goal.
func (w *worker) expect(messages int) {
	w.goal = messages
	w.pending = 0
	for i := range w.conns {
		if c := &w.conns[i]; c.fd >= 0 && c.check.received < messages {
			w.pending++
		}
	}
}

// connect opens connection i and sends its request. Over loopback both are
// done at once, so only the reading is asynchronous.
func (w *worker) connect(i int, target netip.AddrPort) error {
	c := &w.conns[i]
	c.connected = monotonic()
	fd, err := dial(target, w.plan.request)
	if err != nil {
		return err
	}
	c.fd = fd
	if c.check.received < w.goal {
		w.pending++
	}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
}

// until reads until reached, the end of ctx or a silence as long as the plan's
// stall. After reads that brought little it sleeps for pause.
func (w *worker) until(ctx context.Context, pause time.Duration, reached func() bool) {
	heard := time.Now()
	for !reached() && ctx.Err() == nil {
		reads, size, err := w.poll(50 * time.Millisecond)
		switch {
		case err != nil:
			w.err = err
			return
		case reads == 0 && time.Since(heard) > w.plan.stall:
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
	if n > 0 {
		now := monotonic()
		if w.received > before {
			w.last = now
		}
		w.bytes.add(now, int64(size))
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
	if w.times != nil {
		w.times.now = monotonic()
	}
	received, greeted := c.check.received, c.check.hello
	err := c.response.feed(p)
	w.received += c.check.received - received
	if received < w.goal && c.check.received >= w.goal {
		w.pending--
	}
	if !greeted && c.check.hello {
		w.greeted++
	}
	if !c.answered {
		w.answer(c)
	}
	return err
}

// answer takes note of the first byte and of the whole answer.
func (w *worker) answer(c *conn) {
	now := monotonic()
	if c.connected != 0 {
		record(w.firstByte, now-c.connected)
		c.connected = 0
	}
	if c.response.state != inHead && (c.check.hello || !w.plan.greeted) {
		c.answered = true
		w.answered++
		w.ready.add(now, 1)
	}
}

func (w *worker) drop(c *conn, err error) {
	c.close() // which also takes it out of the epoll set
	w.closed++
	if c.check.received < w.goal {
		w.pending--
	}
	if w.err == nil {
		w.err = err
	}
}
