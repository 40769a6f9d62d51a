package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// mover is a router whose tenants can move to another log.
type mover struct {
	router
	moves sync.Map // of a tenant, its move
}

// move is what a tenant has left, and where in its new log it begins.
type move struct {
	from *ssehub.Hub
	end  ssehub.Position // in the old log, behind all that it has
	to   ssehub.Position
}

// move has a tenant's events and streams go to the log of an index from now on. Nobody
// may be publishing for the tenant meanwhile. Streams come back by themselves.
func (m *mover) move(ctx context.Context, tenant string, to int) error {
	from := m.hub(tenant)
	end, err := from.Publish(ctx, tenant+".moved", sse.Message{})
	if err != nil {
		return err
	}
	// Behind every id that the tenant had there before, and before all that it will have.
	start, err := m.hubs[to].Publish(ctx, tenant+".moved", sse.Message{})
	if err != nil {
		return err
	}
	m.pinned.Store(tenant, to)
	m.moves.Store(tenant, move{from, end, start})
	for topic := range from.Topics() {
		if strings.HasPrefix(topic.Topic, tenant+".") {
			_, e := from.Revoke(ctx, ssehub.Revocation{Topic: topic.Topic, Again: true})
			err = errors.Join(err, e)
		}
	}
	return err
}

func (m *mover) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if v, ok := m.moves.Load(req.PathValue("tenant")); ok {
		if id := v.(move).exchange(req); id != "" {
			req.Header.Set("Last-Event-ID", id)
		}
	}
	m.router.ServeHTTP(w, req)
}

// exchange returns the id that a client goes on with in the new log, or "" for its own,
// which is told as a gap if it is of the old one.
func (v move) exchange(req *http.Request) string {
	last, err := ssehub.ParsePosition(sse.LastEventID(req))
	switch {
	case err != nil:
		return ""
	case last.Epoch == v.to.Epoch && last.Seq < v.to.Seq:
		// From an earlier stay: it would pass for one that misses nothing. This is told as
		// a gap, because it is no position.
		return "moved"
	case v.complete(req, last):
		return v.to.String()
	}
	return ""
}

// complete reports whether the client has all that its topics had in the old log, and
// this process's hub knows that. Of a pattern nobody does.
func (v move) complete(req *http.Request, last ssehub.Position) bool {
	if head := v.from.Position(); last.Epoch != v.end.Epoch || head.Epoch != v.end.Epoch || head.Seq < v.end.Seq {
		return false
	}
	for _, topic := range req.URL.Query()["topic"] {
		if left, _, err := v.from.History(req.Context(), topic, last, 1); err != nil || len(left) > 0 {
			return false
		}
	}
	return true
}
