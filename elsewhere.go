package ssehub

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/ssehub-go/ssehub/sse"
)

// With Limits.AllHubs the hubs of a log tell each other, in it, how many streams each
// client has. What is in the log comes to all in order, so that a hub says what has
// changed, and everything only when it is asked. Nobody knows which hubs there are: one
// that is silent for a while counts for nothing.

const (
	controlStreams = "streams"
	tellPause      = 50 * time.Millisecond // between two words about changes: each is an event
	tellEvery      = 5 * time.Second       // a hub says that it is there
	tellLapse      = 3 * tellEvery         // until it counts for nothing
	tellBytes      = 32 << 10              // of clients in one event, or one client, as engines bound its size
	tellCost       = 50                    // bytes of a client besides its subject, or so
)

// told is what a hub says.
type told struct {
	Hub      string               `json:"hub"`
	Word     uint64               `json:"word"`           // counts what it says, even if nobody gets to hear it
	All      bool                 `json:"all,omitempty"`  // clients that it does not name from here on are gone
	More     bool                 `json:"more,omitempty"` // it has not said everything
	Ask      bool                 `json:"ask,omitempty"`  // the others should say everything
	Subjects map[string]int       `json:"subjects,omitempty"`
	Addrs    map[netip.Prefix]int `json:"addrs,omitempty"`
}

// elsewhere is what a hub knows of the others, and has to tell them. Hub.mu guards it.
type elsewhere struct {
	id      string
	hubs    map[string]*otherHub
	streams map[client]int // of all of them
	changed map[client]struct{}
	all     bool          // everything has changed
	ask     bool          // something was missed
	news    chan struct{} // has one when there is something to tell at once
	word    uint64        // the last; the teller's own
}

type otherHub struct {
	heard   time.Duration
	word    uint64 // the last
	streams map[client]int
	unnamed map[client]int // of these, since it began to say everything
}

func newElsewhere() *elsewhere {
	return &elsewhere{
		id:      uuid.NewString(),
		hubs:    make(map[string]*otherHub),
		streams: make(map[client]int),
		changed: make(map[client]struct{}),
		all:     true,
		ask:     true,
		news:    make(chan struct{}, 1),
	}
}

func (e *elsewhere) tellSoon() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// tellOthers runs until nothing more comes.
func (h *Hub) tellOthers() {
	if h.Ready(h.ctx) != nil {
		return
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for more := true; ; {
		if !more {
			select {
			case <-h.elsewhere.news:
			case <-tick.C:
			case <-h.news.Done():
			}
		}
		if h.noNews() { // its clients are on their way to the others
			_ = h.tell(h.ctx, told{All: true}) // it lapses if they do not hear of it
			return
		}
		t := h.untold()
		more = t.More
		pause := tellPause
		if h.tell(h.news, t) != nil {
			h.tellAgain(t)
			pause = tellEvery
		}
		select {
		case <-time.After(pause):
		case <-h.news.Done():
		}
	}
}

// untold returns what has to be told next.
func (h *Hub) untold() told {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.elsewhere
	for id, other := range e.hubs {
		if h.now()-other.heard > tellLapse {
			e.forget(id)
		}
	}
	t := told{All: e.all, Ask: e.ask, Subjects: make(map[string]int), Addrs: make(map[netip.Prefix]int)}
	if e.all {
		clear(e.changed)
		for c := range h.admitted.clients {
			e.changed[c] = struct{}{}
		}
	}
	e.all, e.ask = false, false
	size := 0
	for c := range e.changed {
		if size > 0 && size+len(c.subject) > tellBytes {
			t.More = true
			break
		}
		size += len(c.subject) + tellCost
		delete(e.changed, c)
		if c.addr.IsValid() {
			t.Addrs[c.addr] = h.admitted.clients[c]
		} else {
			t.Subjects[c.subject] = h.admitted.clients[c]
		}
	}
	return t
}

// tell appends to the log. After an error the others may have heard it or not, or may
// hear it later.
func (h *Hub) tell(ctx context.Context, t told) (err error) {
	defer errorOf("the Broker", &err)
	e := h.elsewhere
	e.word++
	t.Hub, t.Word = e.id, e.word
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellEvery)
	defer cancel()
	_, err = h.appendEvent(ctx, Event{
		Time: time.Now(), Topics: []string{controlTopic}, Message: sse.Message{Type: controlStreams, Data: data}, Ephemeral: true,
	})
	return err
}

// tellAgain has the next word say everything, and ask what t has asked.
func (h *Hub) tellAgain(t told) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.elsewhere.all = true
	h.elsewhere.ask = h.elsewhere.ask || t.Ask
}

// hear takes what another hub says.
func (h *Hub) hear(t told) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.elsewhere
	if e == nil || t.Hub == e.id {
		return
	}
	other := e.hubs[t.Hub]
	if other == nil {
		other = &otherHub{streams: make(map[client]int)}
		e.hubs[t.Hub] = other
	} else if t.Word <= other.word {
		return // it comes late, and other words have taken its place
	}
	if t.All {
		other.unnamed = maps.Clone(other.streams) // they count until all is said
	} else if t.Word != other.word+1 {
		e.ask = true
	}
	other.heard, other.word = h.now(), t.Word
	for subject, n := range t.Subjects {
		e.set(other, client{subject: subject}, n)
	}
	for addr, n := range t.Addrs {
		e.set(other, client{addr: addr}, n)
	}
	if !t.More {
		for c := range other.unnamed {
			e.set(other, c, 0)
		}
		other.unnamed = nil
	}
	if t.Ask {
		e.all = true
		e.tellSoon()
	}
}

// missed is called where a part of the log is lost. It needs h.mu.
func (h *Hub) missed() {
	if h.elsewhere != nil {
		h.elsewhere.all, h.elsewhere.ask = true, true // what was told is lost, too
		h.elsewhere.tellSoon()
	}
}

func (e *elsewhere) set(other *otherHub, c client, n int) {
	more := max(0, n) - other.streams[c]
	add(e.streams, c, more)
	add(other.streams, c, more)
	delete(other.unnamed, c)
}

func (e *elsewhere) forget(id string) {
	if other := e.hubs[id]; other != nil {
		for c, n := range other.streams {
			add(e.streams, c, -n)
		}
		delete(e.hubs, id)
	}
}

func add(counts map[client]int, c client, n int) {
	if counts[c] += n; counts[c] == 0 {
		delete(counts, c)
	}
}
