package main

import (
	"context"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
)

// crowd are readers in process. Each is a goroutine of the hub that sleeps until
// there is news. What they read is taken by a few goroutines that go round: one
// for each reader would be the application's, and be measured too.
type crowd struct {
	subs   []*ssehub.Subscription
	topics []string // of each
	tally  tally
}

// join adds readers to a topic.
func (c *crowd) join(ctx context.Context, hub *ssehub.Hub, topic string, readers int) error {
	for range readers {
		sub, err := hub.Subscribe(ctx, topic)
		if err != nil {
			return err
		}
		c.subs = append(c.subs, sub)
		c.topics = append(c.topics, topic)
	}
	return nil
}

const (
	takers = 8               // goroutines that take what the crowd has read
	late   = 2 * time.Minute // what is missing then is lost
)

// take waits until everybody has got the message with the number seq.
func (c *crowd) take(seq, size int) {
	timer, cancel := context.WithTimeout(context.Background(), late)
	defer cancel()
	parts := make([]tally, takers)
	var all sync.WaitGroup
	for k := range takers {
		from, to := len(c.subs)*k/takers, len(c.subs)*(k+1)/takers
		all.Go(func() {
			for i := from; i < to; i++ {
				parts[k].add(c.takeOne(i, seq, size, timer.Done()))
			}
		})
	}
	all.Wait()
	for _, part := range parts {
		c.tally.add(part)
	}
}

// takeOne waits for what a reader gets next.
func (c *crowd) takeOne(i, seq, size int, late <-chan struct{}) tally {
	t := tally{Expected: 1}
	select {
	case m, open := <-c.subs[i].Events():
		got, isSeq := parseSeq(m.Data)
		switch {
		case !open:
			t.Lost, t.Closed = 1, 1
		case m.Type == gapType:
			t.Lost, t.Gaps = 1, 1
		case !isSeq || len(m.Data) != size || m.Topic != c.topics[i]:
			t.Lost, t.Malformed = 1, 1
		case got != seq:
			t.Received, t.Reordered = 1, 1
		default:
			t.Received = 1
		}
	case <-late:
		t.Lost = 1
	}
	return t
}

// settle counts what comes behind the end.
func (c *crowd) settle() {
	time.Sleep(settling)
	for _, sub := range c.subs {
		select {
		case <-sub.Events():
			c.tally.Duplicated++
		default:
		}
	}
}

// measureInProcess has a server process measure something without connections.
func measureInProcess[T any](ctx context.Context, o options, command string, readers, messages int) (T, error) {
	var zero T
	c, err := startServer(ctx, task{Server: "ours", Conns: 1, Size: o.size, Profiles: o.profileDir})
	if err != nil {
		return zero, err
	}
	defer c.stop()
	return call[T](c, command, readers, messages, 0)
}
