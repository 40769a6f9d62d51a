package ssehub

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Handler returns an http.Handler that streams topics to whoever asks. What
// the application names here is public, unless Options.Authorize objects. With
// no topics the request names them, as ?topic=a&topic=b, and is refused with
// status 403 unless Options.Authorize is set.
//
// A client goes on where it was by the Last-Event-ID header or, for a first
// connect, the lastEventID parameter. A browser's EventSource gives up for
// ever on any status but 200, so while the hub shuts down it gets an empty
// stream that tells it to come back, and other clients get status 503.
func (h *Hub) Handler(topics ...string) http.Handler {
	fixed := slices.Clone(topics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.handle(w, r, fixed)
	})
}

func (h *Hub) handle(w http.ResponseWriter, r *http.Request, fixed []string) {
	if !checkRequest(w, r) {
		return
	}
	topics, ok := h.topicsFor(w, r, fixed)
	if !ok {
		return
	}
	ctx, cancel, ok := h.authorize(w, r, topics)
	if !ok {
		return
	}
	defer cancel()
	// The seat comes before the head: a client that has the head and publishes
	// must not miss its own event.
	reader, err := h.seat(sse.LastEventID(r), topics, true)
	if err != nil { // ErrClosed
		h.refuseStream(w, r)
		return
	}
	defer h.unseat(reader)
	up := sse.Upgrader{RetryTime: h.opts.Retry, WriteTimeout: h.opts.WriteTimeout}
	conn, err := up.Upgrade(w, r)
	if err != nil {
		h.opts.Logger.Log(r.Context(), upgradeLevel(err), "ssehub: upgrade failed", "error", err)
		return
	}
	defer conn.Close()
	err = h.serve(ctx, conn, reader)
	h.opts.Logger.Debug("ssehub: stream ended", "topics", topics, "reason", err)
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
	case r.Method == http.MethodGet && r.ContentLength > 0:
		http.Error(w, "a request for an event stream has no body", http.StatusBadRequest)
	case r.Method == http.MethodGet:
		return true
	case r.Method == http.MethodHead:
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store, no-transform")
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", allow)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
	return false
}

// topicsFor returns the handler's own topics or those that ?topic= asks for,
// each once, or answers. It repeats nothing of the request in an answer.
func (h *Hub) topicsFor(w http.ResponseWriter, r *http.Request, fixed []string) (topics []string, ok bool) {
	if len(fixed) > 0 {
		topics, err := checkTopics(fixed)
		if err != nil {
			h.opts.Logger.Error("ssehub: handler has an invalid topic", "error", err)
			http.Error(w, "invalid topic", http.StatusInternalServerError)
		}
		return topics, err == nil
	}
	if h.opts.Authorize == nil {
		http.Error(w, "topics from the request need an authorizer", http.StatusForbidden)
		return nil, false
	}
	// A long query is refused before the work of taking it apart.
	limit := h.opts.MaxTopics
	if limit > 0 && (strings.Count(r.URL.RawQuery, "&") > 2*limit+16 || len(r.URL.Query()["topic"]) > limit) {
		http.Error(w, "too many topics", http.StatusBadRequest)
		return nil, false
	}
	topics, err := checkTopics(r.URL.Query()["topic"])
	if err != nil {
		http.Error(w, "invalid topic", http.StatusBadRequest)
	}
	return topics, err == nil
}

// authorize asks the application, and returns a context that ends with the
// permission.
func (h *Hub) authorize(w http.ResponseWriter, r *http.Request, topics []string) (context.Context, context.CancelFunc, bool) {
	// The client's leaving ends the connection by itself.
	ctx, cancel := context.Background(), func() {}
	if h.opts.Authorize == nil {
		return ctx, cancel, true
	}
	grant, err := h.opts.Authorize(r, topics)
	if err != nil {
		h.opts.Logger.Info("ssehub: refused", "topics", topics, "subject", grant.Subject, "error", err)
		http.Error(w, "forbidden", http.StatusForbidden)
		return nil, nil, false
	}
	if !grant.Expires.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, grant.Expires)
	}
	return ctx, cancel, true
}

// refuseStream sends a client away that may come back.
func (h *Hub) refuseStream(w http.ResponseWriter, r *http.Request) {
	retry := h.jitteredRetry()
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store, no-transform")
		_, _ = w.Write(append(retryLine(max(retry, time.Second)), '\n')) // an error: it is gone anyway
		return
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(1, retry.Seconds())))))
	http.Error(w, "shutting down", http.StatusServiceUnavailable)
}
