//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// chaosOptions is how much of it.
type chaosOptions struct {
	events, clients, cuts int
	rate                  int // events a second
}

// chaosResult is what came of it.
type chaosResult struct {
	Events, Clients, Cut           int
	Resets, HalfCloses, Stalls     int64
	Delivered                      int64
	Lost, Doubled, Reordered, Gaps int64
	Took                           time.Duration
	Violations                     []string
}

// chaos is a hub behind a proxy that does to its connections what networks do, and
// clients that must get everything once, in order, all the same.
type chaos struct {
	chaosOptions
	proxy *ssetest.Proxy
	chaosResult
	delivered, lost, doubled, reordered, gaps, done atomic.Int64
}

// chaosFrame is about what an event takes on the wire.
const chaosFrame = 36

func runChaos(o chaosOptions, out io.Writer) (chaosResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	hub := ssehub.New(&ssehub.Options{
		History:   ssehub.Retention{Events: -1, Bytes: -1, Age: -1}, // sufficient
		Heartbeat: time.Second,
		Retry:     -1,
	})
	server := httptest.NewServer(hub.Handler("n"))
	defer server.Close()
	defer hub.Close()
	proxy, err := ssetest.NewProxy(server.URL)
	if err != nil {
		return chaosResult{}, err
	}
	defer proxy.Close()
	c := &chaos{chaosOptions: o, proxy: proxy}
	c.Events, c.Clients = o.events, o.clients
	proxy.SetFaults(c.fault)
	start := time.Now()
	first := hub.Position().String()
	var all sync.WaitGroup
	for range o.clients {
		all.Go(func() { c.read(ctx, first) })
	}
	all.Go(func() { c.publish(ctx, hub) })
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			fmt.Fprintf(out, "%4.0f s  %d events published, %d delivered, %d connections, %d of %d clients done\n", time.Since(start).Seconds(),
				hub.Stats().Published, c.delivered.Load(), proxy.Stats().Accepted, c.done.Load(), o.clients)
		case <-ended:
			running = false
		}
	}
	return c.result(time.Since(start), out), nil
}

// fault is for the nth connection: as many as there are to be cut get one.
func (c *chaos) fault(n int) ssetest.Fault {
	if n >= c.cuts+c.clients {
		return ssetest.Fault{}
	}
	// On average all are used up before everybody has everything.
	at := 1 + rand.Int64N(int64(1.4*chaosFrame*float64(c.events)*float64(c.clients)/float64(c.cuts)))
	f := ssetest.Fault{}
	switch n % 10 {
	case 0, 1, 2, 3, 4:
		f.Cut = at
		c.Resets++
	case 5, 6, 7, 8:
		f.End = at
		c.HalfCloses++
	default:
		f.Stall = at
		c.Stalls++
	}
	if n%7 == 0 {
		f.Slice = 1 + rand.IntN(2000)
	}
	return f
}

func (c *chaos) publish(ctx context.Context, hub *ssehub.Hub) {
	start := time.Now()
	for i := range c.events {
		if i%100 == 0 {
			due := start.Add(time.Duration(i) * time.Second / time.Duration(c.rate))
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait)
			}
		}
		if _, err := hub.Publish(ctx, "n", sse.Message{Data: strconv.AppendInt(nil, int64(i), 10)}); err != nil {
			return // ctx has ended, and everybody says so
		}
	}
}

// read is one client, which has everything at the end.
func (c *chaos) read(ctx context.Context, first string) {
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	sub := client.Subscribe(ctx, c.proxy.URL(), &client.Options{
		HTTPClient:  &http.Client{Transport: transport},
		LastEventID: first,
		Backoff:     client.Backoff{Base: 5 * time.Millisecond, Min: time.Millisecond, Max: 50 * time.Millisecond},
	})
	defer sub.Close()
	next := 0
	for m := range sub.Events() {
		i, err := strconv.Atoi(string(m.Data))
		switch {
		case err != nil || i >= c.events:
			c.reordered.Add(1)
		case i == next:
			next++
		case i == next-1:
			c.doubled.Add(1)
		case i < next:
			c.reordered.Add(1)
		default:
			c.lost.Add(int64(i - next))
			next = i + 1
		}
		c.delivered.Add(1)
		if next == c.events {
			break
		}
	}
	c.lost.Add(int64(c.events - next))
	c.gaps.Add(int64(sub.Gaps()))
	c.done.Add(1)
}

func (c *chaos) result(took time.Duration, out io.Writer) chaosResult {
	r := c.chaosResult
	r.Took, r.Delivered = took, c.delivered.Load()
	r.Cut = c.proxy.Stats().Accepted - c.clients // who was not cut has come once
	r.Lost, r.Doubled, r.Reordered, r.Gaps = c.lost.Load(), c.doubled.Load(), c.reordered.Load(), c.gaps.Load()
	fmt.Fprintf(out, "%d events to %d clients in %v; %d connections cut, of resets, half-closes and stalls about %d, %d, %d\n",
		r.Events, r.Clients, took.Round(time.Second), r.Cut, r.Resets, r.HalfCloses, r.Stalls)
	fmt.Fprintf(out, "lost %d, doubled %d, reordered %d, gaps told %d\n", r.Lost, r.Doubled, r.Reordered, r.Gaps)
	for name, n := range map[string]int64{"lost": r.Lost, "doubled": r.Doubled, "reordered": r.Reordered, "gaps": r.Gaps} {
		if n > 0 {
			r.Violations = append(r.Violations, fmt.Sprintf("%d %s", n, name))
		}
	}
	if r.Cut < c.cuts {
		r.Violations = append(r.Violations, fmt.Sprintf("only %d connections were cut, of %d", r.Cut, c.cuts))
	}
	return r
}
