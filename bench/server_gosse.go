package main

import (
	"context"
	"net/http"

	gosse "github.com/tmaxmax/go-sse"
)

// newGoSSE is tmaxmax/go-sse with its own provider, Joe. Without replay its
// messages carry ids as long as ssehub's.
//
// It sends a stream's head with the first event. As a browser's page waits for
// the head, OnSession sends it, which is where its users would do so.
func newGoSSE(t task) (peer, error) {
	joe := &gosse.Joe{}
	if t.Replay {
		replayer, err := gosse.NewFiniteReplayer(max(2, t.Messages+1), true)
		if err != nil {
			return peer{}, err
		}
		joe.Replayer = replayer
	}
	srv := &gosse.Server{Provider: joe, OnSession: func(w http.ResponseWriter, _ *http.Request) ([]string, bool) {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil, http.NewResponseController(w).Flush() == nil
	}}
	ids := peerIDs{plain: t.Replay}
	publish := func(typ, data string) (string, error) {
		m := &gosse.Message{}
		id := ids.next()
		if !t.Replay { // the replayer gives them, from 0
			m.ID = gosse.ID(id)
		}
		if typ != "" {
			m.Type = gosse.Type(typ)
		}
		m.AppendData(data)
		return id, srv.Publish(m)
	}
	return peer{
		handler: srv,
		end:     func() { _ = srv.Shutdown(context.Background()) },
		publish: func(data []byte) error {
			_, err := publish("", string(data))
			return err
		},
		signal: func(typ string) (string, error) { return publish(typ, "{}") },
	}, nil
}
