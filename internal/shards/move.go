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

// move is what a tenant has left, and where in its new log that ends.
type move struct {
	from *ssehub.Hub
	to   ssehub.Position
}

// move has a tenant's events and streams go to the log of an index from now on. Nobody
// may be publishing for the tenant meanwhile. Streams come back by themselves.
func (m *mover) move(ctx context.Context, tenant string, to int) (err error) {
	from := m.hub(tenant)
	m.moves.Store(tenant, move{from, m.hubs[to].Position()})
	m.pinned.Store(tenant, to)
	for topic := range from.Topics() {
		if strings.HasPrefix(topic.Topic, tenant+".") {
			_, e := from.Revoke(ctx, ssehub.Revocation{Topic: topic.Topic, Again: true})
			err = errors.Join(err, e)
		}
	}
	return err
}

func (m *mover) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if v, ok := m.moves.Load(req.PathValue("tenant")); ok && v.(move).complete(req) {
		req.Header.Set("Last-Event-ID", v.(move).to.String())
	}
	m.router.ServeHTTP(w, req)
}

// complete reports whether the client has all that its topics had in the old log. Who
// has not is told a gap, as its id is of another epoch.
func (v move) complete(req *http.Request) bool {
	last, err := ssehub.ParsePosition(sse.LastEventID(req))
	if err != nil || last.Epoch != v.from.Position().Epoch {
		return false
	}
	for _, topic := range req.URL.Query()["topic"] {
		if left, _, err := v.from.History(req.Context(), topic, last, 1); err != nil || len(left) > 0 {
			return false
		}
	}
	return true
}
