package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// router has a hub for each of several logs, and a tenant in one of them.
type router struct {
	logs   []string      // names, which stay
	hubs   []*ssehub.Hub // in the same order; their Options.Authorize is the router's
	pinned sync.Map      // the index of a tenant that the hash does not decide about
	member func(r *http.Request, tenant string) error
}

func (r *router) hub(tenant string) *ssehub.Hub {
	if i, ok := r.pinned.Load(tenant); ok {
		return r.hubs[i.(int)]
	}
	return r.hubs[rendezvous(tenant, r.logs)]
}

// ServeHTTP serves GET /events/{tenant}?topic=TENANT.orders
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.hub(req.PathValue("tenant")).Handler().ServeHTTP(w, req)
}

func (r *router) publish(ctx context.Context, tenant, topic string, m sse.Message) (ssehub.Position, error) {
	return r.hub(tenant).Publish(ctx, tenant+"."+topic, m)
}

func (r *router) authorize(req *http.Request, topics []string) (ssehub.Grant, error) {
	tenant := req.PathValue("tenant")
	for _, topic := range topics {
		if first, _, _ := strings.Cut(topic, "."); first != tenant { // nor has a tenant a dot
			return ssehub.Grant{}, errors.New("topic of another tenant")
		}
	}
	return ssehub.Grant{}, r.member(req, tenant)
}

// rendezvous returns the log whose weight for the tenant is the highest. Who adds a
// log moves only the tenants for which that one's is higher still.
func rendezvous(tenant string, logs []string) (best int) {
	var highest uint64
	for i, log := range logs {
		if w := weight(tenant, log); w > highest {
			best, highest = i, w
		}
	}
	return best
}

func weight(tenant, log string) uint64 {
	sum := sha256.Sum256([]byte(log + "/" + tenant))
	return binary.BigEndian.Uint64(sum[:])
}
