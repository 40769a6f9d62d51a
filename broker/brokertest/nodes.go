package brokertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// Nodes is what RunNodes needs.
type Nodes struct {
	// Open returns the Broker of a node; all are for one log.
	Open func(t testing.TB) ssehub.Broker
	// Disturb is called when half of the events are published: it restarts the
	// engine, or has a part of it fail. Nil does nothing.
	Disturb func(t testing.TB)
	// Events is how many are published; zero means 2,000. An event counts as
	// published when Publish returns no error, and is tried again until then, with
	// the same IdempotencyKey.
	Events int
	// Timeout is for all of it; zero means two minutes.
	Timeout time.Duration
}

const (
	nodeCount   = 2
	nodeTopics  = 5
	nodeReaders = 20
)

// RunNodes has two hubs on one log, and clients over HTTP that hop from one to the
// other as they like. Each must get the events of its topic once, in order, and no gap
// may be told.
func RunNodes(t *testing.T, n Nodes) {
	if n.Events == 0 {
		n.Events = 2000
	}
	if n.Timeout == 0 {
		n.Timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), n.Timeout)
	defer cancel()
	run := &nodes{T: t, Nodes: n, ctx: ctx, each: n.Events / nodeTopics}
	for range nodeCount {
		run.nodes = append(run.nodes, startNode(ctx, t, &ssehub.Options{
			Broker: n.Open(t), Retry: 50 * time.Millisecond, History: ssehub.Retention{Events: -1, Bytes: -1},
		}, "t.0", "t.1", "t.2", "t.3", "t.4"))
	}
	start := run.nodes[0].hub.Position().String()
	var all sync.WaitGroup
	for i := range nodeReaders {
		all.Go(func() { run.read(i, start) })
	}
	for topic := range nodeTopics {
		all.Go(func() { run.publish(topic) })
	}
	all.Wait()
	t.Logf("%d events to each of %d readers, who hopped %d times; Publish was tried again %d times",
		nodeTopics*run.each, nodeReaders, run.hops.Load(), run.retries.Load())
}

type nodes struct {
	*testing.T
	Nodes
	ctx       context.Context
	nodes     []node
	each      int // events of a topic
	published atomic.Int64
	hops      atomic.Int64
	retries   atomic.Int64
}

// publish publishes the events of a topic, at one node or the other.
func (r *nodes) publish(topic int) {
	for i := range r.each {
		for {
			hub := r.nodes[rand.IntN(nodeCount)].hub
			ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
			_, err := hub.PublishWith(ctx, fmt.Sprint("t.", topic), sse.Message{Data: fmt.Append(nil, topic, " ", i)},
				ssehub.PublishOptions{IdempotencyKey: fmt.Sprint(i)})
			cancel()
			if err == nil {
				break
			}
			r.retries.Add(1)
			select {
			case <-r.ctx.Done():
				r.Errorf("publish: %v", err)
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
		if r.published.Add(1) == int64(r.each*nodeTopics/2) && r.Disturb != nil {
			r.Disturb(r)
		}
	}
}

// read reads all topics until it has everything, with as many connections as it takes.
func (r *nodes) read(reader int, id string) {
	var next [nodeTopics]int
	for done := 0; done < nodeTopics*r.each; {
		if r.ctx.Err() != nil {
			r.Errorf("reader %d has %v of %d each behind %s", reader, next, r.each, id)
			return
		}
		r.hops.Add(1)
		n, err := r.readSome(r.nodes[rand.IntN(nodeCount)].url, &id, &next)
		if done += n; err != nil {
			r.Errorf("reader %d behind %s: %v", reader, id, err)
			return
		}
		if n == 0 {
			<-time.After(20 * time.Millisecond)
		}
	}
}

// readSome reads over one connection, and ends it somewhere.
func (r *nodes) readSome(url string, id *string, next *[nodeTopics]int) (n int, err error) {
	c, err := dial(r.ctx, url, *id)
	if err != nil {
		return 0, nil // perhaps the next one does
	}
	defer c.end()
	for stay := 1 + rand.IntN(max(50, r.each/20)); stay > 0; stay-- {
		m, ok := <-c.messages
		if !ok {
			return n, nil
		}
		if m.Type == sse.TypeGap {
			return n, fmt.Errorf("gap: %s", m.Data)
		}
		var topic, i int
		if _, err := fmt.Sscan(string(m.Data), &topic, &i); err != nil {
			return n, err
		}
		if i != next[topic] {
			return n, fmt.Errorf("event %d of topic %d is %d", next[topic], topic, i)
		}
		next[topic]++
		n++
		*id = m.ID
		if *next == ([nodeTopics]int{r.each, r.each, r.each, r.each, r.each}) {
			return n, nil
		}
	}
	return n, nil
}
