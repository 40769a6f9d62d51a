package ssehub

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Handler returns an http.Handler that streams topics to whoever asks. What
// the application names here is public, unless Options.Authorize objects. With
// no topics the request names them, as ?topic=a&topic=b, and is refused with
// status 403 unless Options.Authorize is set. A fixed topic that is invalid is
// logged at once, and every request then gets status 500.
//
// A topic may be a pattern, as the package's documentation has them. A stream of
// several topics, or of a pattern, carries a "topic:" field with each event,
// which package client reads into Message.Topic and EventSource does not show.
//
// A client goes on where it was by the Last-Event-ID header or, for a first
// connect, the lastEventID parameter. A browser's EventSource gives up for
// ever on any status but 200, so while the hub shuts down it gets an empty
// stream that tells it to come back, and other clients get status 503.
func (h *Hub) Handler(topics ...string) http.Handler {
	var fixed []string
	var err error
	if len(topics) > 0 {
		if fixed, err = checkTopics(topics); err != nil {
			h.opts.Logger.Error("ssehub: handler with an invalid topic", "topics", topics, "error", err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err != nil {
			http.Error(w, "the handler has an invalid topic; see ErrInvalidTopic", http.StatusInternalServerError)
			return
		}
		h.handle(w, r, fixed)
	})
}

func (h *Hub) handle(w http.ResponseWriter, r *http.Request, topics []string) {
	if !h.checkSite(w, r) || !checkRequest(w, r) {
		return
	}
	if r.Header.Get("Last-Event-ID") == sse.IDRevoked {
		w.WriteHeader(http.StatusNoContent) // an EventSource stops for good
		return
	}
	if topics == nil {
		if topics = h.requestedTopics(w, r); topics == nil {
			return
		}
	}
	a, over, wait := h.admit(r)
	if a == nil {
		h.sendAway(w, r, over, wait)
		return
	}
	defer a.endIfPending()
	grant, ok := h.authorize(w, r, topics)
	if !ok {
		return
	}
	if !a.grant(grant.Subject) {
		h.sendAway(w, r, refusedSubject, h.patience())
		return
	}
	if r.Method == http.MethodHead {
		sse.SetHeader(w.Header())
		return
	}
	h.handleStream(w, r, topics, grant, a)
}

func (h *Hub) handleStream(w http.ResponseWriter, r *http.Request, topics []string, grant Grant, a *admission) {
	if !h.awaitBriefly(r.Context()) {
		h.sendAway(w, r, refusedBroker, h.jitteredRetry())
		return
	}
	// The place in the log comes before the head: a client that has the head and
	// publishes must not miss its own event.
	reader, err := h.join(sse.LastEventID(r), topics, joining{ctx: r.Context(), greet: true, allow: askOnce(grant.AllowTopic), admission: a})
	switch {
	case err == errFull:
		h.sendAway(w, r, refusedTopic, h.patience())
		return
	case err != nil && err != ErrClosed:
		h.sendAway(w, r, refusedBroker, h.jitteredRetry(), "error", err)
		return
	case err != nil:
		h.sendAway(w, r, refusedEnding, h.jitteredRetry())
		return
	}
	began := false
	defer func() {
		if !began {
			reader.leave()
		}
	}()
	up := sse.Upgrader{RetryTime: h.opts.Retry, WriteTimeout: h.opts.WriteTimeout, Hijack: !h.opts.NoHijack}
	conn, err := up.Upgrade(w, r)
	if err != nil {
		h.opts.Logger.Log(r.Context(), upgradeLevel(err), "ssehub: upgrade failed", "error", err)
		return
	}
	var logging context.Context
	if h.opts.Logger.Enabled(r.Context(), slog.LevelDebug) {
		logging = context.WithoutCancel(r.Context())
	}
	if err := reader.begin(conn); err != nil { // ErrClosed
		conn.Close()
		return
	}
	began = true
	s := newHandled(h, reader, topics, grant)
	s.logging = logging
	if conn.Hijacked() {
		go s.runAlone() // and give back what net/http holds for a request
		return
	}
	s.run()
}

// askOnce remembers what allow says of each topic.
func askOnce(allow func(string) bool) func(string) bool {
	if allow == nil {
		return nil
	}
	answers := make(map[string]bool)
	return func(topic string) bool {
		answer, ok := answers[topic]
		if !ok {
			answer = allow(topic)
			answers[topic] = answer
		}
		return answer
	}
}

func upgradeLevel(err error) slog.Level {
	if errors.Is(err, sse.ErrStreamingNotSupported) {
		return slog.LevelError // a middleware must be changed
	}
	return slog.LevelDebug // the client has left
}

// checkRequest answers what is no request for a stream.
func checkRequest(w http.ResponseWriter, r *http.Request) bool {
	const allow = "GET, HEAD, OPTIONS"
	switch {
	case r.Method == http.MethodGet && r.ContentLength != 0:
		http.Error(w, "a request for an event stream has no body", http.StatusBadRequest)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return true
	case r.Method == http.MethodOptions:
		preflight(w.Header())
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", allow)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
	return false
}

// requestedTopics returns what ?topic= asks for, each topic once, or answers
// and returns nil. It repeats nothing of the request in an answer.
func (h *Hub) requestedTopics(w http.ResponseWriter, r *http.Request) []string {
	if h.opts.Authorize == nil {
		h.forbid(w, r, `topics from the request need ssehub's Options.Authorize; fixed ones do not: hub.Handler("news")`,
			"error", "topics from the request", "see", "Options.Authorize")
		return nil
	}
	var asked []string
	limit := h.opts.MaxTopics
	tooMany := limit > 0 && strings.Count(r.URL.RawQuery, "&") > 2*limit+16 // seen before the work of taking it apart
	if !tooMany {
		asked = r.URL.Query()["topic"]
		tooMany = limit > 0 && len(asked) > limit
	}
	if tooMany {
		http.Error(w, "too many topics; see ssehub's Options.MaxTopics", http.StatusBadRequest)
		return nil
	}
	if len(asked) == 0 {
		http.Error(w, "no topic; name one with ?topic=", http.StatusBadRequest)
		return nil
	}
	topics, err := checkTopics(asked)
	if err != nil {
		http.Error(w, "invalid topic; see ErrInvalidTopic", http.StatusBadRequest)
	}
	return topics
}

// authorize asks the application, or answers.
func (h *Hub) authorize(w http.ResponseWriter, r *http.Request, topics []string) (Grant, bool) {
	if h.opts.Authorize == nil {
		return Grant{}, true
	}
	grant, err := h.opts.Authorize(r, slices.Clone(topics)) // what it does to them is its own affair
	if err == nil && !grant.Expires.IsZero() && !grant.Expires.After(time.Now()) {
		err = errors.New("the grant has expired")
	}
	if err != nil {
		h.forbid(w, r, "forbidden", "topics", topics, "subject", grant.Subject, "error", err)
	}
	return grant, err == nil
}
