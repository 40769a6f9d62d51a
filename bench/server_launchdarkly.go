package main

import "github.com/launchdarkly/eventsource"

// launchDarklyDefault is the BufferSize of a new Server.
const launchDarklyDefault = 128

// newLaunchDarkly is launchdarkly/eventsource with buffers that hold the whole
// burst: it ends a stream whose buffer is full. Where streams resume it has the
// repository that comes with it.
func newLaunchDarkly(t task) (peer, error) {
	srv := eventsource.NewServer()
	srv.BufferSize = max(launchDarklyDefault, t.Messages+1)
	var repo *eventsource.SliceRepository
	if t.Replay {
		repo = eventsource.NewSliceRepository()
		srv.Register(topic, repo)
	}
	channels := []string{topic}
	var ids peerIDs
	publish := func(typ, data string) string {
		e := launchDarklyEvent{id: ids.next(), typ: typ, data: data}
		if repo != nil {
			repo.Add(topic, e)
		}
		srv.Publish(channels, e)
		return e.id
	}
	return peer{
		handler: srv.Handler(topic),
		end:     srv.Close,
		publish: func(data []byte) error {
			publish("", string(data))
			return nil
		},
		signal: func(typ string) (string, error) { return publish(typ, "{}"), nil },
	}, nil
}

type launchDarklyEvent struct{ id, typ, data string }

func (e launchDarklyEvent) Id() string    { return e.id } //nolint:staticcheck // its interface has this name
func (e launchDarklyEvent) Event() string { return e.typ }
func (e launchDarklyEvent) Data() string  { return e.data }
