package ssehub

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// corsMaxAge is how long a browser may remember what a preflight said.
const corsMaxAge = "600"

// checkSite answers a request that a page of another site makes with its user's
// cookies, or that came for another name than this server's, unless the options
// allow it. It sets what an allowed page needs to read the answer.
func (h *Hub) checkSite(w http.ResponseWriter, r *http.Request) bool {
	if !h.allowsHost(r) {
		h.refused(r, refusedSite, "host", r.Host, "see", "Options.AllowedHosts")
		http.Error(w, "no such host here; see ssehub's Options.AllowedHosts", http.StatusMisdirectedRequest)
		return false
	}
	origin := r.Header.Get("Origin")
	set := w.Header().Get("Access-Control-Allow-Origin")
	byOthers := origin != "" && (set == "*" || set == origin) // a middleware has decided
	if len(h.opts.AllowedOrigins) > 0 && !byOthers {
		w.Header().Add("Vary", "Origin")
	}
	switch {
	case byOthers:
	case h.allowsOrigin(origin):
		h.setCORS(w.Header(), origin)
	case ofAnotherSite(r, origin):
		h.refused(r, refusedSite, "origin", origin, "see", "Options.AllowedOrigins")
		http.Error(w, "refused to a page of another origin; see ssehub's Options.AllowedOrigins", http.StatusForbidden)
		return false
	}
	return true
}

// allowsOrigin reports whether the options name the origin.
func (h *Hub) allowsOrigin(origin string) bool {
	return origin != "" && (slices.Contains(h.opts.AllowedOrigins, origin) || slices.Contains(h.opts.AllowedOrigins, "*"))
}

// setCORS lets pages of the origin read the answer, with credentials only where
// it is allowed by its name.
func (h *Hub) setCORS(header http.Header, origin string) {
	if !slices.Contains(h.opts.AllowedOrigins, origin) {
		header.Set("Access-Control-Allow-Origin", "*")
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
}

// preflight says what an allowed page may send: what clients of event streams do.
func preflight(header http.Header) {
	if header.Get("Access-Control-Allow-Origin") == "" || header.Get("Access-Control-Allow-Methods") != "" {
		return
	}
	header.Set("Access-Control-Allow-Methods", "GET, HEAD")
	header.Set("Access-Control-Allow-Headers", "Authorization, Cache-Control, Last-Event-ID")
	header.Set("Access-Control-Max-Age", corsMaxAge)
}

// ofAnotherSite reports whether a browser sends r for a page of another origin. What
// is no browser sends neither of the two fields (Fetch Metadata, section 2.1, and
// RFC 6454, section 7).
func ofAnotherSite(r *http.Request, origin string) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		return origin != "" && !sameHost(origin, r.Host)
	default:
		return true
	}
}

// sameHost reports whether an origin is of the host that the request is for. The
// scheme is not looked at, as a proxy may have ended the TLS.
func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// allowsHost reports whether r names a host that is this server. Without
// Options.AllowedHosts all do, but for a connection from this machine to itself:
// there a page whose name was made to resolve to it (DNS rebinding) would be of
// the same origin.
func (h *Hub) allowsHost(r *http.Request) bool {
	name := hostName(r.Host)
	if len(h.opts.AllowedHosts) == 0 {
		return !overLoopback(r) || isLoopback(name)
	}
	return slices.ContainsFunc(h.opts.AllowedHosts, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, r.Host) || strings.EqualFold(allowed, name)
	})
}

// hostName is host without its port and brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func isLoopback(name string) bool {
	name = strings.ToLower(name)
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, section 6.3
		return true // HTTP/1.0 has no name, and browsers do not speak that
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback()
}

func overLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}
