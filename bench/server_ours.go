package main

import (
	"context"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	topic = "bench"
	// frameOverhead is more than a frame has besides its data.
	frameOverhead = 64
)

// newOurs is a hub whose history holds all messages of the measurement, so
// that nothing may be missing at the slowest reader. All else is as the hub has
// it by default.
func newOurs(t task) (peer, error) {
	p, _ := newHub(&ssehub.Options{History: wholeHistory(t)})
	return p, nil
}

// newOursOverNetHTTP leaves every connection to net/http.
func newOursOverNetHTTP(t task) (peer, error) {
	p, _ := newHub(&ssehub.Options{History: wholeHistory(t), NoHijack: true})
	return p, nil
}

func wholeHistory(t task) ssehub.Retention {
	if t.Messages == 0 {
		return ssehub.Retention{}
	}
	return ssehub.Retention{
		Events: t.Messages + 1, // and one to resume from
		Bytes:  int64(t.Messages+1) * int64(t.Size+frameOverhead),
	}
}

func newHub(opts *ssehub.Options) (peer, *ssehub.Hub) {
	hub := ssehub.New(opts)
	ctx := context.Background()
	return peer{
		handler: hub.Handler(topic),
		greeted: true,
		publish: func(data []byte) error {
			_, err := hub.Publish(ctx, topic, sse.Message{Data: data})
			return err
		},
		signal: func(typ string) (string, error) {
			at, err := hub.Publish(ctx, topic, sse.Message{Type: typ, Data: []byte("{}")})
			return at.String(), err
		},
	}, hub
}
