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

// newOurs is a hub whose history holds the whole burst, so that nothing may be
// missing at the slowest reader. All else is as the hub has it by default.
func newOurs(opts options) peer {
	hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{
		Events: opts.messages,
		Bytes:  int64(opts.messages) * int64(opts.size+frameOverhead),
	}})
	ctx := context.Background()
	return peer{
		handler: hub.Handler(topic),
		publish: func(data []byte) error {
			_, err := hub.Publish(ctx, topic, sse.Message{Data: data})
			return err
		},
	}
}
