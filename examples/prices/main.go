// Prices is a live table that is always right: what its page misses it is told,
// and then it gets the table anew, as of a position, and what came behind that.
//
//	go run ./examples/prices
//
// Open the page and let it look away for ten seconds: the server keeps five
// seconds of changes.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	pace      = 25 * time.Millisecond // between two changes
	drainTime = 5 * time.Second       // for a graceful end
)

//go:embed index.html style.css app.js icon.svg
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "prices:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	m := newMarket()
	server := &http.Server{Handler: newHandler(m), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%[1]s/\nListen  curl -N http://%[1]s/events\nStop    Ctrl-C\n", listener.Addr())

	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := m.tick(ctx); err != nil && ctx.Err() == nil {
				return errors.Join(err, m.shutdown(server))
			}
		case err := <-served:
			return errors.Join(err, m.hub.Close())
		case <-ctx.Done():
			return m.shutdown(server)
		}
	}
}

// shutdown ends the streams before the server, which ends none.
func (m *market) shutdown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := errors.Join(m.hub.Shutdown(ctx), server.Shutdown(ctx))
	return errors.Join(err, server.Close()) // if ctx was too short for one of them
}

func newHandler(m *market) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", withPolicy(http.FileServerFS(page)))
	mux.Handle("GET /events", m.hub.Handler(topic))
	return mux
}

// withPolicy lets the page load its own files and nothing else.
func withPolicy(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
