package brokertest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// Two hubs: what is published to either comes to readers of both, who may move
// from one to the other.
func (s *suite) hubs() {
	const each = 200
	b := s.New(s)
	hubs := [2]*ssehub.Hub{
		ssehub.New(&ssehub.Options{Broker: b}),
		ssehub.New(&ssehub.Options{Broker: s.Peer(s, b)}),
	}
	for _, hub := range hubs {
		defer hub.Close()
	}
	id := s.start(b).String()
	var publishing sync.WaitGroup
	defer publishing.Wait()
	for i, hub := range hubs {
		publishing.Go(func() {
			for k := range each {
				if _, err := hub.Publish(s.ctx, "t."+strconv.Itoa(i), sse.Message{Data: fmt.Append(nil, i, " ", k)}); err != nil {
					s.Error(err)
				}
			}
		})
	}
	next := [2]int{}
	for at := 0; next != [2]int{each, each}; at = 1 - at {
		sub, err := hubs[at].Resume(s.ctx, id, "t.*")
		s.must(err)
		stay := 1 + rand.IntN(50)
		for m := range sub.Events() {
			if m.Type == sse.TypeGap {
				s.Fatalf("gap %s", m.Data)
			}
			id = m.ID
			var p, k int
			_, err := fmt.Sscan(string(m.Data), &p, &k)
			s.must(err)
			s.equal("event of hub "+strconv.Itoa(p), k, next[p])
			next[p]++
			if stay--; stay == 0 || next == [2]int{each, each} {
				break
			}
		}
		sub.Close()
		for range sub.Events() {
		}
		s.must(s.ctx.Err())
	}
}
