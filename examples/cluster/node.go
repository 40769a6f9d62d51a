package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/nats"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	connectTime = 30 * time.Second // until the servers have agreed on a leader
	drainTime   = 3 * time.Second
	maxLine     = 4 << 10
)

//go:embed index.html style.css app.js icon.svg
var page embed.FS

// runNode is one of the hubs.
func runNode(ctx context.Context, name, addr, broker string, hosts []string, out io.Writer) error {
	events, err := openLog(ctx, broker)
	if err != nil {
		return err
	}
	defer events.Close()
	hub := ssehub.New(&ssehub.Options{
		Broker:       events,
		Retry:        500 * time.Millisecond, // there is another node
		Heartbeat:    5 * time.Second,
		AllowedHosts: hosts,
	})
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, hub.Close())
	}
	server := &http.Server{Handler: newNode(hub, name), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "%s http://%s\n", name, listener.Addr())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			// Who reads at this node learns of it, and nobody else.
			message := sse.Message{Type: "node", Data: []byte(name)}
			_, _ = hub.PublishWith(ctx, "node."+name, message, ssehub.PublishOptions{Ephemeral: true, TTL: 3 * time.Second})
		case err := <-served:
			return errors.Join(err, hub.Close())
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), drainTime)
			defer cancel()
			return errors.Join(hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
		}
	}
}

// openLog waits for servers that have only just begun.
func openLog(ctx context.Context, url string) (*nats.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	for {
		once, cancel := context.WithTimeout(ctx, 2*time.Second) // servers without a leader do not answer
		log, err := nats.Open(once, url, &nats.Options{Stream: "cluster", Replicas: replicas(url)})
		cancel()
		if err == nil || ctx.Err() != nil {
			return log, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func newNode(hub *ssehub.Hub, name string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("GET /events", hub.Handler("chat", "node."+name))
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		line, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLine))
		if err != nil || len(line) == 0 {
			http.Error(w, "the body must be a line", http.StatusBadRequest)
			return
		}
		// With the key, who got no answer may post again, to another node.
		id, err := hub.PublishWith(r.Context(), "chat", sse.Message{Data: line},
			ssehub.PublishOptions{IdempotencyKey: r.Header.Get("Idempotency-Key")})
		if err != nil {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, id)
	})
	return withPolicy(mux)
}

// withPolicy lets the page load its own files and nothing else.
func withPolicy(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
