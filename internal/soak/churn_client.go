//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// asks are what the clients read.
var asks = []string{
	"topic=p.0",
	"topic=t.*",
	"topic=p.0&topic=p.1",
	"topic=p.*",
	"topic=p.2&topic=t.*&topic=p.1",
	"topic=>",
}

// clients come and go at one server.
type clients struct {
	addr   string
	parked chan *visitor // who will come back

	connects, resets, events, gaps, resumed, cuts atomic.Int64

	mu         sync.Mutex
	violations []string
}

// visitor is one reader, over all its connections.
type visitor struct {
	*tracker
	ask string
}

// violated notes what must not be, the first hundred times.
func (c *clients) violated(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.violations) < 100 {
		c.violations = append(c.violations, fmt.Sprintf(format, args...))
	}
}

// churn makes connections at a rate: each third is reset before the head is there,
// the others are cut anywhere, and most of these clients come back.
func (c *clients) churn(ctx context.Context, rate int) {
	const most = 400 // at the same time
	places := make(chan struct{}, most)
	var all sync.WaitGroup
	defer all.Wait()
	const beat = 20 * time.Millisecond
	due := 0.0
	for range ticks(ctx, beat) {
		for due += float64(rate) * beat.Seconds(); due >= 1; due-- {
			select {
			case places <- struct{}{}:
			default:
				continue // as many as may be are there
			}
			early := 3*c.resets.Load() < c.connects.Add(1)
			if early {
				c.resets.Add(1)
			}
			all.Go(func() {
				defer func() { <-places }()
				if early {
					c.resetEarly()
				} else {
					c.visit(ctx)
				}
			})
		}
	}
}

// resetEarly resets a connection with, or within, its request.
func (c *clients) resetEarly() {
	conn, err := dial(c.addr, path(asks[rand.IntN(len(asks))]), "", rand.IntN(2)*rand.IntN(60))
	if err != nil {
		c.violated("connect: %v", err)
		return
	}
	reset(conn)
}

// visit is one connection of a client, new or come back, that is cut at some
// moment.
func (c *clients) visit(ctx context.Context) {
	var who *visitor
	select {
	case who = <-c.parked:
		c.resumed.Add(1)
	default:
		who = &visitor{newTracker(), asks[rand.IntN(len(asks))]}
	}
	conn, err := dial(c.addr, path(who.ask), who.lastID, 0)
	if err != nil {
		c.violated("connect: %v", err)
		return
	}
	cut := time.AfterFunc(time.Duration(rand.ExpFloat64()*float64(100*time.Millisecond)), func() { reset(conn) })
	defer cut.Stop()
	defer context.AfterFunc(ctx, func() { reset(conn) })()
	c.read(who, conn, conn)
	reset(conn)
	c.cuts.Add(1)
	if rand.IntN(4) > 0 {
		select {
		case c.parked <- who:
		default:
		}
	}
}

// read takes what comes until the connection ends.
func (c *clients) read(who *visitor, conn net.Conn, from io.Reader) {
	res, err := http.ReadResponse(bufio.NewReaderSize(from, 1024), nil)
	if err != nil {
		return // cut before the head
	}
	if res.StatusCode != http.StatusOK {
		c.violated("status %s", res.Status)
		return
	}
	events, gaps := who.events, who.gaps
	dec := sse.NewDecoder(res.Body)
	for m := (sse.Message{}); dec.Decode(&m) == nil; {
		if m.ID == "" {
			m.ID = who.lastID
		}
		if err := who.take(m); err != nil {
			c.violated("%s: %v", who.ask, err)
			break
		}
	}
	c.events.Add(int64(who.events - events))
	c.gaps.Add(int64(who.gaps - gaps))
}

// stay reads all along, and comes back whenever the server ends the stream, until
// it has seen last, once that is known.
func (c *clients) stay(ctx context.Context, who *visitor, last func() map[string]int) {
	for ctx.Err() == nil && !who.has(last()) {
		conn, err := dial(c.addr, path(who.ask), who.lastID, 0)
		if err != nil {
			c.violated("connect: %v", err)
			return
		}
		c.connects.Add(1)
		stop := context.AfterFunc(ctx, func() { reset(conn) })
		c.read(who, conn, &untilSeen{conn, func() bool { return who.has(last()) }})
		stop()
		reset(conn)
	}
	if !who.has(last()) {
		c.violated("%s: ends with %v, and the publishers with %v", who.ask, who.last, last())
	}
}

// has reports whether t has got all that there is. It is for the reader itself.
func (t *tracker) has(last map[string]int) bool {
	if last == nil {
		return false
	}
	for sequence, got := range t.last {
		if got.n < last[sequence] {
			return false
		}
	}
	return true
}

// untilSeen is a connection that ends once its reader has seen enough.
type untilSeen struct {
	net.Conn
	seen func() bool
}

func (u *untilSeen) Read(p []byte) (int, error) {
	for {
		if u.seen() {
			return 0, io.EOF
		}
		_ = u.SetReadDeadline(time.Now().Add(time.Second))
		n, err := u.Conn.Read(p)
		if n > 0 || !isTimeout(err) {
			return n, err
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// lag reads more slowly than is published, and comes back.
func (c *clients) lag(ctx context.Context) {
	who := &visitor{newTracker(), "topic=p.bulk&topic=p.0"}
	for ctx.Err() == nil {
		conn, err := dial(c.addr, path(who.ask), who.lastID, 0)
		if err != nil {
			c.violated("connect: %v", err)
			return
		}
		c.connects.Add(1)
		stop := context.AfterFunc(ctx, func() { reset(conn) })
		c.read(who, conn, &slowly{conn, time.NewTicker(time.Duration(5+rand.IntN(15)) * time.Millisecond)})
		stop()
		reset(conn)
	}
}

// slowly reads 4 KiB at each tick.
type slowly struct {
	net.Conn
	tick *time.Ticker
}

func (s *slowly) Read(p []byte) (int, error) {
	<-s.tick.C
	return s.Conn.Read(p[:min(len(p), 4<<10)])
}

// sit never reads, and leaves after a while, when the server has cut it or soon
// would.
func (c *clients) sit(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := dial(c.addr, path("topic=p.bulk"), "", 0)
		if err != nil {
			c.violated("connect: %v", err)
			return
		}
		c.connects.Add(1)
		select {
		case <-time.After(time.Duration(200+rand.IntN(1000)) * time.Millisecond):
		case <-ctx.Done():
		}
		reset(conn)
	}
}

// path is half of the time that of streams which are taken over.
func path(ask string) string {
	return []string{"/taken?", "/held?"}[rand.IntN(2)] + ask
}

// dial connects, with little room for what comes, and sends a request, or so many
// bytes of it.
func dial(addr, target, lastID string, bytes int) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
		})
	}}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	request := "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n"
	if lastID != "" {
		request += "Last-Event-ID: " + lastID + "\r\n"
	}
	request += "\r\n"
	if bytes > 0 {
		request = request[:min(bytes, len(request))]
	}
	_, _ = io.WriteString(conn, request) // an error shows at the first read
	return conn, nil
}

// reset ends a connection without a word, and leaves no port in wait.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
