package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

var topicsScenario = scenario{
	name: "topics",
	title: func(o options) string {
		return fmt.Sprintf("%d topics with %d readers each, in process; each topic gets an event", o.topics, o.topicReaders)
	},
	measure: measureTopics,
	rounds:  func(o options) int { return min(o.pairs, 3) },
	only:    []string{"ours"},
	columns: []column{
		{key: "per_second", head: "deliveries/s", format: grouped, main: true},
		{key: "time_ns", head: "time to the last", format: durationText},
		{key: "publish_ns", head: "of that publishing", format: durationText},
		{key: "rss_per_topic", head: "RSS/topic", format: grouped},
		{key: "heap_per_topic", head: "heap/topic", format: grouped},
		{key: "rss_per_reader", head: "RSS/reader", format: grouped, main: true},
		{key: "heap_per_reader", head: "heap/reader", format: grouped},
		{key: "stack_per_reader", head: "stack/reader", format: grouped},
	},
}

func measureTopics(ctx context.Context, o options, name string) (*result, error) {
	cost, err := measureInProcess[topicsCost](ctx, o, "topics", o.topicReaders, o.topics)
	if err != nil {
		return nil, err
	}
	r, topics := newResult(), float64(o.topics)
	readers := topics * float64(o.topicReaders)
	r.Figures["per_second"] = float64(cost.Tally.Received) / cost.Took.Seconds()
	r.Figures["time_ns"] = float64(cost.Took)
	r.Figures["publish_ns"] = float64(cost.Published)
	r.Figures["rss_per_topic"] = float64(cost.Topics.RSS-cost.Before.RSS) / topics
	r.Figures["heap_per_topic"] = float64(cost.Topics.Heap-cost.Before.Heap) / topics
	r.Figures["rss_per_reader"] = float64(cost.Readers.RSS-cost.Topics.RSS) / readers
	r.Figures["heap_per_reader"] = float64(cost.Readers.Heap-cost.Topics.Heap) / readers
	r.Figures["stack_per_reader"] = float64(cost.Readers.Stack-cost.Topics.Stack) / readers
	r.Tally = cost.Tally
	return r, nil
}

// topicsCost answers "topics".
type topicsCost struct {
	Before    memory        `json:"before"`
	Topics    memory        `json:"topics"`    // with an event in each
	Readers   memory        `json:"readers"`   // and readers that have had one more
	Published time.Duration `json:"published"` // the last event, since the first was to be
	Took      time.Duration `json:"took"`      // until the last reader had it
	Tally     tally         `json:"tally"`
}

// measureTopicsCost makes topics by publishing to each, has readers join them, and
// publishes to each again, from one goroutine.
func measureTopicsCost(readers, topics, size int) (cost topicsCost, err error) {
	hub := ssehub.New(nil)
	defer hub.Close()
	ctx := context.Background()
	names := make([]string, topics)
	for i := range names {
		names[i] = "topic." + strconv.Itoa(i)
	}
	c := crowd{
		subs:   make([]*ssehub.Subscription, 0, topics*readers),
		topics: make([]string, 0, topics*readers),
	}
	data := newPayload(size)
	publish := func(seq int) error {
		putSeq(data, seq)
		for _, name := range names {
			if _, err := hub.Publish(ctx, name, sse.Message{Data: data}); err != nil {
				return err
			}
		}
		return nil
	}
	if cost.Before, err = measureMemory(peer{}); err != nil {
		return cost, err
	}
	if err := publish(0); err != nil {
		return cost, err
	}
	if cost.Topics, err = measureMemory(peer{}); err != nil {
		return cost, err
	}
	for _, name := range names {
		if err := c.join(ctx, hub, name, readers); err != nil {
			return cost, err
		}
	}
	taken := make(chan struct{})
	start := time.Now()
	go func() { // ends by itself: it does not wait for ever
		defer close(taken)
		c.take(1, size)
		cost.Took = time.Since(start)
	}()
	err = publish(1)
	cost.Published = time.Since(start)
	<-taken
	if err != nil {
		return cost, err
	}
	c.settle()
	cost.Tally = c.tally
	cost.Readers, err = measureMemory(peer{})
	return cost, err
}
