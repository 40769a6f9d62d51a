package main

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// bare is what people write first: keep the ResponseWriters, and for each
// message write to one after the other. It sends the same head and the same
// frames as ssehub and encodes each message once. It has no history, no
// heartbeat and no deadlines, and its slowest reader holds all the others.
type bare struct {
	mu      sync.Mutex // guards conns and changed
	conns   map[*bareConn]struct{}
	changed bool // since the publisher listed them

	seq   uint64 // only the publisher uses the rest
	frame []byte
	list  []*bareConn
}

type bareConn struct {
	mu   sync.Mutex // held while writing, so that no write outlives the handler
	w    http.ResponseWriter
	rc   *http.ResponseController
	gone bool
}

// bareEpoch makes ids as long as those of ssehub.
const bareEpoch = "barebare"

// bareHello tells the load generator that messages will reach it.
const bareHello = "retry: 2000\nid: " + bareEpoch + "-0\nevent: " + helloType + "\ndata: {}\n\n"

// setBareHead sets what ssehub sets.
func setBareHead(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
}

func newBare(task) (peer, error) {
	b := &bare{conns: make(map[*bareConn]struct{})}
	return peer{handler: b, publish: b.publish, greeted: true}, nil
}

func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setBareHead(w.Header())
	c := &bareConn{w: w, rc: http.NewResponseController(w)}
	b.mu.Lock()
	b.conns[c] = struct{}{}
	b.changed = true
	b.mu.Unlock()
	defer b.leave(c)
	if c.write([]byte(bareHello)) != nil {
		return
	}
	<-r.Context().Done()
}

func (b *bare) leave(c *bareConn) {
	b.mu.Lock()
	delete(b.conns, c)
	b.changed = true
	b.mu.Unlock()
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
}

func (b *bare) publish(data []byte) error {
	b.seq++
	b.frame = appendBareFrame(b.frame[:0], b.seq, data)
	for _, c := range b.all() {
		_ = c.write(b.frame) // who has left is counted by the load generator
	}
	return nil
}

func appendBareFrame(frame []byte, seq uint64, data []byte) []byte {
	frame = append(frame, "id: "+bareEpoch+"-"...)
	frame = strconv.AppendUint(frame, seq, 10)
	frame = append(frame, "\ndata: "...)
	frame = append(frame, data...)
	return append(frame, "\n\n"...)
}

// all lists the connections, anew only when there are others.
func (b *bare) all() []*bareConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed {
		b.changed = false
		b.list = slices.AppendSeq(b.list[:0], maps.Keys(b.conns))
	}
	return b.list
}

var errGone = errors.New("the client has left")

func (c *bareConn) write(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return errGone
	}
	if _, err := c.w.Write(frame); err != nil {
		return err
	}
	return c.rc.Flush()
}
