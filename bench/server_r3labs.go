package main

import (
	"bytes"

	r3labs "github.com/r3labs/sse/v2"
)

// newR3labs is r3labs/sse with a queue for the whole burst and without its log
// of all events, except where streams resume. What it queues for one stream, 64
// events, cannot be set.
func newR3labs(t task) (peer, error) {
	srv := r3labs.New()
	srv.AutoReplay = t.Replay
	srv.BufferSize = max(srv.BufferSize, t.Messages)
	srv.CreateStream(topic)
	ids := peerIDs{plain: t.Replay} // the log numbers them itself, from 0
	publish := func(typ string, data []byte) string {
		id := ids.next()
		// It keeps the slices.
		srv.Publish(topic, &r3labs.Event{ID: []byte(id), Event: []byte(typ), Data: bytes.Clone(data)})
		return id
	}
	return peer{
		handler: srv,
		end:     srv.Close,
		path:    "/?stream=" + topic,
		publish: func(data []byte) error {
			publish("", data)
			return nil
		},
		signal: func(typ string) (string, error) { return publish(typ, []byte("{}")), nil },
	}, nil
}
