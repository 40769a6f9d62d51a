package main

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// routes returns what is for everybody, and what is for operators if that has an
// address of its own.
func (s *server) routes() (public, ops http.Handler, err error) {
	mux, own := http.NewServeMux(), http.NewServeMux()
	mux.Handle("/events", s.hub.Handler())
	publish, err := s.guardPublish(http.HandlerFunc(s.publish))
	if err != nil {
		return nil, nil, err
	}
	mux.Handle("/publish", publish)
	if s.cmd.OpsListen == "" {
		own = mux
	}
	own.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerText(w, http.StatusOK, "alive") })
	own.HandleFunc("GET /readyz", s.ready)
	own.Handle("GET /metrics", metricsHandler(s.hub, s.cmd.MetricsTopics, s.log))
	return mux, own, nil
}

// ready answers 200 if the server should get clients.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	switch {
	case s.draining.Err() != nil:
		answerText(w, http.StatusServiceUnavailable, "draining")
	case s.hub.Ready(ctx) != nil:
		answerText(w, http.StatusServiceUnavailable, "log not read yet")
	case s.hub.Stats().Broker.Err != nil: // which is in the log, and may name hosts
		answerText(w, http.StatusServiceUnavailable, "broker not readable")
	default:
		answerText(w, http.StatusOK, "ready")
	}
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}

// guardPublish lets pages of this site and of --allowed-origins publish, and none of
// others, as their browsers may add a cookie. '*' is no such origin.
func (s *server) guardPublish(next http.Handler) (http.Handler, error) {
	guard := http.NewCrossOriginProtection()
	origins := slices.DeleteFunc(slices.Clone(s.cmd.Hub.AllowedOrigins), func(o string) bool { return o == "*" })
	for _, origin := range origins {
		if err := guard.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerError(w, &publishError{http.StatusForbidden, "refused to a page of another origin; see --allowed-origins"})
	}))
	guarded := guard.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); slices.Contains(origins, origin) {
			header := w.Header()
			header.Add("Vary", "Origin")
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Allow-Credentials", "true")
			header.Set("Access-Control-Allow-Methods", "POST")
			header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key")
			header.Set("Access-Control-Max-Age", "600")
		}
		switch r.Method {
		case http.MethodPost:
			guarded.ServeHTTP(w, r)
		case http.MethodOptions:
			w.Header().Set("Allow", "POST, OPTIONS")
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", "POST, OPTIONS")
			answerError(w, &publishError{http.StatusMethodNotAllowed, "POST it"})
		}
	}), nil
}
