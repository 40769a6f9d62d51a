package main

import (
	alexandrevicenzi "github.com/alexandrevicenzi/go-sse"
)

// newAlexandreVicenzi is alexandrevicenzi/go-sse without its log. It has no
// buffers to set and no replay.
func newAlexandreVicenzi(t task) (peer, error) {
	if t.Replay {
		return peer{}, errNoReplay
	}
	srv := alexandrevicenzi.NewServer(&alexandrevicenzi.Options{}) // no logger: discarded
	var ids peerIDs
	publish := func(typ, data string) {
		srv.SendMessage("/", alexandrevicenzi.NewMessage(ids.next(), data, typ))
	}
	return peer{
		handler: srv,
		end:     srv.Shutdown,
		publish: func(data []byte) error {
			publish("", string(data))
			return nil
		},
		signal: func(typ string) (string, error) {
			publish(typ, "{}")
			return "", nil
		},
	}, nil
}
