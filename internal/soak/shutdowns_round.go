//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// grace is what Shutdown leaves to writes under way behind its context.
const grace = 50 * time.Millisecond

// endHubs ends a hub for each line that it is told, which is a number of clients:
// the first of a hundred never reads, but for each tenth hub, and a fifth leaves
// while Shutdown is under way.
func endHubs(in *bufio.Scanner, out *json.Encoder) {
	for in.Scan() {
		clients, _ := strconv.Atoi(in.Text())
		_ = out.Encode(endHub(clients))
	}
}

// round is one hub with its server, publishers and clients.
type round struct {
	hub    *ssehub.Hub
	conns  []net.Conn
	stuck  int             // of these, the first ones
	ctx    context.Context // ends before the server does
	within time.Duration
	all    sync.WaitGroup
}

// endHub starts a hub with all that belongs to it, and ends it.
func endHub(clients int) (result roundResult) {
	before := runtime.NumGoroutine()
	r := round{hub: ssehub.New(nil), within: time.Duration(50+rand.IntN(150)) * time.Millisecond}
	if rand.IntN(10) > 0 {
		r.stuck = (clients + 99) / 100
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return roundResult{Problem: err.Error()}
	}
	server := &http.Server{Handler: r.hub.Handler("n")}
	if rand.IntN(2) == 0 {
		server.Handler = hidden(server.Handler)
	}
	r.all.Go(func() { _ = server.Serve(narrow{listener}) })
	ctx, stop := context.WithCancel(context.Background())
	r.ctx = ctx
	if err := r.connect(listener.Addr().String(), clients); err != nil {
		result.Problem = err.Error()
	}
	r.publish()
	r.shutDown(&result)

	stats := r.hub.Stats()
	if own := ownGoroutines(); result.Problem == "" && (stats.Subscribers > 0 || own != "") {
		result.Problem = fmt.Sprintf("behind Shutdown: %d subscribers\n%s", stats.Subscribers, own)
	}
	stop()
	for _, conn := range r.conns {
		reset(conn)
	}
	_ = server.Close()
	r.all.Wait()
	if !until(5*time.Second, func() bool { return runtime.NumGoroutine() <= before }) && result.Problem == "" {
		result.Problem = fmt.Sprintf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), stacks())
	}
	return result
}

// hidden keeps streams in their handlers.
func hidden(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(held{w}, r) })
}

// connect has all clients there, with the head.
func (r *round) connect(addr string, clients int) error {
	for i := range clients {
		conn, err := dial(addr, "/", "", 0)
		if err != nil {
			return err
		}
		r.conns = append(r.conns, conn)
		if i < r.stuck {
			continue
		}
		in := bufio.NewReaderSize(conn, 512)
		if _, err := http.ReadResponse(in, nil); err != nil {
			return err
		}
		r.all.Go(func() { _, _ = io.Copy(io.Discard, in) })
	}
	if !until(5*time.Second, func() bool { return r.hub.Stats().Subscribers == clients }) {
		return errors.New("not all clients have got in")
	}
	return nil
}

// publish starts the publishers, and fills what a client that does not read has
// room for.
func (r *round) publish() {
	large := sse.Message{Data: []byte(strings.Repeat("x", 32<<10))}
	for range 5 {
		_, _ = r.hub.Publish(r.ctx, "n", large)
	}
	for range 2 {
		r.all.Go(func() {
			for range ticks(r.ctx, time.Millisecond) {
				if _, err := r.hub.Publish(r.ctx, "n", sse.Message{Data: []byte("x")}); errors.Is(err, ssehub.ErrClosed) {
					return
				}
			}
		})
	}
}

// shutDown calls Shutdown while some clients leave, and beside it has a goroutine
// wait for the same moment, which shows how late the process itself is.
func (r *round) shutDown(result *roundResult) {
	for _, conn := range r.conns[min(len(r.conns), r.stuck) : len(r.conns)/5] {
		after := time.Duration(rand.Int64N(int64(r.within)))
		r.all.Add(1)
		time.AfterFunc(after, func() { defer r.all.Done(); reset(conn) })
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.within)
	defer cancel()
	waited := cpuWait()
	start := time.Now()
	beside := make(chan time.Duration, 1)
	r.all.Go(func() {
		<-ctx.Done()
		<-time.After(grace)
		beside <- time.Since(start) - r.within - grace
	})
	err := r.hub.Shutdown(ctx)
	took := time.Since(start)
	result.Within, result.Finished = r.within, err == nil
	result.Over = max(0, took-r.within)
	result.CPUWait = cpuWait() - waited
	result.Beside = max(0, <-beside)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		result.Problem = err.Error()
	}
}

// ownGoroutines returns the stacks of those in which the hub's code still runs, if
// they do not end at once.
func ownGoroutines() (own string) {
	until(time.Second, func() bool {
		own = ""
		for _, stack := range strings.Split(stacks(), "\n\n") {
			if strings.Contains(stack, "ssehub-go/ssehub.(*") || strings.Contains(stack, "ssehub-go/ssehub/sse.(*") {
				own += stack + "\n\n"
			}
		}
		return own == ""
	})
	return own
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}
