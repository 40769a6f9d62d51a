package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	presenceBeat  = 10 * time.Second
	presenceTTL   = 3 * presenceBeat
	presenceGrace = 2 * time.Second // for a page that is loaded again
)

// presence tells who is in which room. Under Latest a room's topic has one value for
// each of its people, and a value that nobody says again is gone after its TTL. So it
// holds for several hubs on a Broker as well, each of which speaks for its own streams,
// and where one of them dies nobody has to find out.
type presence struct {
	hub *ssehub.Hub // set before there are streams

	mu    sync.Mutex
	tabs  map[place]int
	going map[place]*time.Timer
}

type place struct{ room, user string }

// person is the data of the events "here" and "gone".
type person struct {
	User string `json:"user"`
	Ms   int64  `json:"ms,omitempty"` // how long to believe it
}

func newPresence() *presence {
	return &presence{tabs: make(map[place]int), going: make(map[place]*time.Timer)}
}

// trace counts the streams of each user in each room.
func (p *presence) trace() *ssehub.Trace {
	each := func(s ssehub.SubscriberInfo, f func(place)) {
		for _, topic := range s.Topics {
			if room, ok := strings.CutPrefix(topic, peopleIn); ok {
				f(place{room, s.Subject})
			}
		}
	}
	return &ssehub.Trace{
		Joined: func(s ssehub.SubscriberInfo) { each(s, p.join) },
		Left:   func(s ssehub.SubscriberInfo, _ error) { each(s, p.leave) },
	}
}

func (p *presence) join(at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tabs[at]++
	timer := p.going[at]
	if timer != nil {
		timer.Stop()
		delete(p.going, at)
	}
	if p.tabs[at] == 1 && timer == nil {
		p.tell(at, "here", presenceTTL)
	}
}

func (p *presence) leave(at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tabs[at]--; p.tabs[at] == 0 {
		delete(p.tabs, at)
		p.going[at] = time.AfterFunc(presenceGrace, func() { p.gone(at) })
	}
}

func (p *presence) gone(at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.going, at); p.tabs[at] == 0 {
		p.tell(at, "gone", presenceBeat)
	}
}

// tellAll says again who is here.
func (p *presence) tellAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := range p.tabs {
		p.tell(at, "here", presenceTTL)
	}
}

// tell needs p.mu, so that what is said last is what is true. Publish waits for no
// reader; an error is that of a hub that ends.
func (p *presence) tell(at place, what string, ttl time.Duration) {
	data, err := json.Marshal(person{User: at.user, Ms: ttl.Milliseconds()})
	if err == nil {
		_, _ = p.hub.PublishWith(context.Background(), peopleIn+at.room, sse.Message{Type: what, Data: data},
			ssehub.PublishOptions{Key: at.user, TTL: ttl})
	}
}
