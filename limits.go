package ssehub

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits bounds how many streams there are at once and how fast new ones come. A
// request above a limit is refused and nobody who is there has to leave: an
// EventSource gets an empty stream that tells it when to come back, as it gives up
// on any other status, and who does not accept event streams gets status 503, or
// 429 above PerSubject and PerAddr, with Retry-After. In each field zero means no
// limit. Serve and Subscribe do not count, but for PerTopic.
type Limits struct {
	// Streams is how many there are in all.
	Streams int
	// PerSubject is how many have the same Grant.Subject. Those without one do
	// not count.
	PerSubject int
	// PerAddr is how many have the same client address: in IPv6 the same /64,
	// as that is what one client has.
	PerAddr int
	// AllHubs has PerSubject and PerAddr count the streams of all hubs on the
	// Broker that set it. They tell each other in its log, some 50 ms late, so
	// that for as long there may be more; one that dies counts for 20 s, and where
	// the Broker is down each hub counts alone. A limit should leave room for
	// clients that go from one hub to another.
	AllHubs bool
	// PerTopic is how many readers each topic or pattern has, Subscriptions
	// included, when a stream joins.
	PerTopic int
	// ConnectRate is how many new streams there are in a second, so that a
	// restart is no stampede; a second's may come at once. Who is too many is
	// told a time at which it is not, up to half a minute later.
	ConnectRate float64
	// TrustedProxies are those whose X-Forwarded-For names the client: its
	// address is the last in it, and before the connection's own, that is none
	// of theirs. Where there is any, a Unix socket is one of them too. The
	// field is ignored if it is empty.
	TrustedProxies []netip.Prefix
}

// admission is a request to a Handler, from the first check to the end of its
// stream: what it counts for, and who it is.
type admission struct {
	hub     *Hub
	addr    netip.Prefix // zero if that does not count
	subject string
	counted bool         // subject is
	pending bool         // it is no stream yet that Revoke could find; the stream ends it, once there is one
	revoked []Revocation // meanwhile; guarded by Hub.mu
}

// client is whose streams count together: a subject or an address.
type client struct {
	subject string
	addr    netip.Prefix
}

// admitted is what the admissions of a hub count. Hub.mu guards it.
type admitted struct {
	streams  int
	clients  map[client]int
	pending  map[*admission]struct{}
	full     time.Duration // when the connects that came so far have used up what ConnectRate allows
	promised time.Duration // and those that were sent away, if they come as told
}

// maxPromise is how much later a client is told to come at the latest.
const maxPromise = 30 * time.Second

// admit counts a request against the limits that need no Grant, or returns which
// it is above and when the client should come back. It must end.
func (h *Hub) admit(r *http.Request) (a *admission, over refusal, wait time.Duration) {
	limits := &h.opts.Limits
	a = &admission{hub: h, pending: true}
	if limits.PerAddr > 0 {
		a.addr = network(clientAddr(r, limits.TrustedProxies))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case limits.Streams > 0 && h.admitted.streams >= limits.Streams:
		return nil, refusedStreams, h.patience()
	case a.addr.IsValid() && h.streamsOf(client{addr: a.addr}) >= limits.PerAddr:
		return nil, refusedAddr, h.patience()
	}
	if wait := h.pace(limits.ConnectRate); wait > 0 {
		return nil, refusedRate, wait
	}
	h.admitted.streams++
	if a.addr.IsValid() {
		h.count(client{addr: a.addr}, 1)
	}
	h.admitted.pending[a] = struct{}{}
	return a, "", 0
}

// pace returns 0 if one more may connect now, else when. It needs h.mu.
func (h *Hub) pace(rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	now, each := h.now(), time.Duration(min(float64(time.Second)/rate, float64(time.Hour)))
	burst := max(time.Second, each)
	if full := max(h.admitted.full, now) + each; full <= now+burst {
		h.admitted.full = full
		return 0
	}
	// Who is sent away is given the next second in which there is room, behind
	// those who were sent away before.
	promised := max(h.admitted.promised, h.admitted.full)
	if promised < now+maxPromise {
		promised += each
	}
	h.admitted.promised = promised
	return promised - now
}

// patience is how long one is sent away for who is too many: streams last.
func (h *Hub) patience() time.Duration {
	return 5 * max(h.jitteredRetry(), time.Second)
}

// grant counts who it is, or reports that there are too many of that name.
func (a *admission) grant(subject string) bool {
	h := a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	a.subject = subject
	limit := h.opts.Limits.PerSubject
	if limit <= 0 || subject == "" {
		return true
	}
	if h.streamsOf(client{subject: subject}) >= limit {
		return false
	}
	h.count(client{subject: subject}, 1)
	a.counted = true
	return true
}

// endIfPending ends a request that has not become a stream.
func (a *admission) endIfPending() {
	if a.pending {
		a.end()
	}
}

// end gives back what a counts for.
func (a *admission) end() {
	h := a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.admitted.pending, a)
	h.admitted.streams--
	if a.addr.IsValid() {
		h.count(client{addr: a.addr}, -1)
	}
	if a.counted {
		h.count(client{subject: a.subject}, -1)
	}
}

// streamsOf returns how many streams count for c. It needs h.mu.
func (h *Hub) streamsOf(c client) int {
	n := h.admitted.clients[c]
	if h.elsewhere != nil {
		n += h.elsewhere.streams[c]
	}
	return n
}

// count needs h.mu.
func (h *Hub) count(c client, n int) {
	add(h.admitted.clients, c, n)
	if e := h.elsewhere; e != nil {
		if !e.all { // else all are told of anyway; before the Broker is there nobody takes them from here
			e.changed[c] = struct{}{}
		}
		e.tellSoon()
	}
}

// isFull reports whether a stream that joins t would be one too many. It needs
// Hub.mu.
func (h *Hub) isFull(topic string) bool {
	limit := h.opts.Limits.PerTopic
	t := h.topics[topic]
	return limit > 0 && t != nil && t.readers >= limit
}

// clientAddr returns whose request r is, as far as that can be known.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := parseAddr(r.RemoteAddr)
	if len(trusted) == 0 {
		return addr
	}
	isProxy := func(addr netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && (!addr.IsValid() || isProxy(addr)); i-- {
		hop := parseAddr(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			break // what stands before it is nobody's word
		}
		addr = hop
	}
	return addr
}

// parseAddr reads an address, with or without a port.
func parseAddr(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, _ := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone("")
}

// network is what one client has of addresses, zero of an invalid one.
func network(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}
