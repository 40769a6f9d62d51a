package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const topic = "prices"

// market is the state that the page shows: prices in cents, each of which moves
// now and then. What it publishes are changes, so that one which is missing, or
// comes twice, leaves a wrong price for ever; nothing here tries again.
type market struct {
	hub *ssehub.Hub

	mu     sync.Mutex // a change and its event are one step
	prices map[string]int
	asOf   ssehub.Position // of the newest change
}

// change is the event of type "change".
type change struct {
	Symbol string `json:"symbol"`
	By     int    `json:"by"`
	Total  int    `json:"total"` // of all prices behind it, for the page to check itself
}

func newMarket() *market {
	m := &market{prices: make(map[string]int)}
	for _, symbol := range []string{
		"ALDER", "ASPEN", "BEECH", "BIRCH", "CEDAR", "CHERRY", "ELM", "FIR", "GINKGO", "HAZEL", "HOLLY", "LARCH",
		"LIME", "MAPLE", "OAK", "OLIVE", "PEAR", "PINE", "PLUM", "POPLAR", "ROWAN", "SPRUCE", "WILLOW", "YEW",
	} {
		m.prices[symbol] = 5_000 + rand.IntN(10_000)
	}
	m.hub = ssehub.New(&ssehub.Options{
		// Little, so that the page can see a gap without a long wait.
		History: ssehub.Retention{Events: 200},
		SnapshotFor: func(name string) ssehub.Snapshot {
			if name == topic {
				return m.snapshot
			}
			return nil
		},
	})
	return m
}

// snapshot is what a page begins with, and goes on from when it has missed
// something. It says as of which change, so that the page gets exactly what came
// behind that.
func (m *market) snapshot(context.Context, string) (sse.Message, ssehub.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := json.Marshal(m.prices)
	return sse.Message{Type: "prices", Data: data}, m.asOf, err
}

// tick moves a price. The lock makes the change and its event one step, and is
// short, as Publish waits for no reader.
func (m *market) tick(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := change{By: rand.IntN(199) - 99}
	for c.Symbol = range m.prices { // any
		break
	}
	if m.prices[c.Symbol]+c.By < 100 {
		c.By = -c.By
	}
	m.prices[c.Symbol] += c.By
	for _, price := range m.prices {
		c.Total += price
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	pos, err := m.hub.Publish(ctx, topic, sse.Message{Type: "change", Data: data})
	if err == nil {
		m.asOf = pos
	}
	return err
}
