package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	topic   = "sensors"
	size    = 120                   // rows
	changes = 20                    // at once
	pace    = 10 * time.Millisecond // so 2,000 changes a second
)

// table is what sensors have measured last. The topic is under Latest: of what lies
// before the last events that it keeps, it keeps the newest of each key. A page that is
// slower than the sensors, and one that was away, then gets that, and no row comes more
// often than the page can take it.
type table struct {
	hub      *ssehub.Hub
	values   [size]float64
	readings int
}

// reading is the data of an event "reading".
type reading struct {
	Sensor int     `json:"sensor"`
	Value  float64 `json:"value"` // °C
	Count  int     `json:"count"` // of all sensors, this one included
}

func newTable() *table {
	t := &table{hub: ssehub.New(&ssehub.Options{
		Overflow: ssehub.Latest,
		History:  ssehub.Retention{Events: 200, Age: -1}, // a tenth of a second
	})}
	for i := range t.values {
		t.values[i] = 20 + 5*rand.NormFloat64()
	}
	return t
}

// change has a sensor measure.
func (t *table) change(ctx context.Context) error {
	i := rand.IntN(size)
	t.values[i] += (20-t.values[i])/50 + rand.NormFloat64()/2
	t.readings++
	data, err := json.Marshal(reading{Sensor: i, Value: float64(int(t.values[i]*100)) / 100, Count: t.readings})
	if err != nil {
		return err
	}
	_, err = t.hub.PublishWith(ctx, topic, sse.Message{Type: "reading", Data: data}, ssehub.PublishOptions{Key: fmt.Sprint(i)})
	return err
}
