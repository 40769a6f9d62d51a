package inspector

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	tailEvery = 200 * time.Millisecond // between two writes of a tail
	tailHold  = 100                    // events that it shows of those that come meanwhile
	tailFirst = 20                     // kept events that it begins with
	tailData  = 4 << 10                // bytes of an event that it shows
	heartbeat = 15 * time.Second
)

// item is an event, as text.
type item struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Topic string `json:"topic"`
	Data  string `json:"data"`
	Cut   int    `json:"cut"` // bytes that are not shown
	Old   bool   `json:"old"` // it was there before
}

// batch is what one event of a tail's stream says.
type batch struct {
	Items   []item `json:"items"`
	Skipped int    `json:"skipped"` // events before them that are not shown
}

// tail has what comes between two writes. Who fills it never waits for a socket: a
// tail that did would hold up publishers under ssehub.Block.
type tail struct {
	mu    sync.Mutex
	next  batch
	ended bool
}

func (t *tail) add(m sse.Message, old bool) {
	shown := min(len(m.Data), tailData)
	it := item{ID: m.ID, Type: clip(m.Type), Topic: m.Topic, Data: string(m.Data[:shown]), Cut: len(m.Data) - shown, Old: old}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.next.Items) == tailHold {
		t.next.Items = t.next.Items[1:]
		t.next.Skipped++
	}
	t.next.Items = append(t.next.Items, it)
}

// take returns what came since the last.
func (t *tail) take() (b batch, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, t.next = t.next, batch{}
	return b, t.ended
}

// serveTail streams what comes to a topic or pattern.
func (i *inspector) serveTail(w http.ResponseWriter, r *http.Request) {
	var t tail
	sub, err := i.tail(r, &t)
	if err != nil {
		answerError(w, err)
		return
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer sub.Close()
	reading.Go(func() {
		for m := range sub.Events() {
			t.add(m, false)
		}
		t.mu.Lock()
		t.ended = true
		t.mu.Unlock()
	})
	conn, err := sse.Upgrade(w, r)
	if err != nil {
		return
	}
	defer conn.Close()
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	wrote := time.Now()
	for {
		b, ended := t.take()
		switch {
		case len(b.Items) > 0:
			err, wrote = send(conn, b), time.Now()
		case time.Since(wrote) >= heartbeat:
			err, wrote = conn.Comment(""), time.Now()
		}
		if err != nil || ended {
			return
		}
		select {
		case <-tick.C:
		case <-conn.Done():
			return
		}
	}
}

// send has the last event's id as its own, so that a browser that comes back goes on
// behind it.
func send(conn *sse.Conn, b batch) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return conn.Send(sse.Message{Type: "tail", ID: b.Items[len(b.Items)-1].ID, Data: data})
}

// tail begins with the newest events that are kept of a topic, or goes on where the
// browser was.
func (i *inspector) tail(r *http.Request, t *tail) (*ssehub.Subscription, error) {
	topic, from := r.FormValue("topic"), sse.LastEventID(r)
	if from == "" {
		from = i.hub.Position().String()
		old, end, err := i.hub.History(r.Context(), topic, ssehub.Position{}, tailFirst)
		if err == nil { // else it is a pattern, or Resume says what is wrong
			from = end.String()
		}
		for _, m := range old {
			t.add(m, true)
		}
	}
	return i.hub.Resume(r.Context(), from, topic)
}
