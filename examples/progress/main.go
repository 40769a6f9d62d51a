// Progress is jobs that run on the server, and bars that show how far they are, on every
// page that is open and after every reload.
//
//	go run ./examples/progress
//
// Start some jobs, reload, and open the page a second time.
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

const drainTime = 5 * time.Second // for a graceful end

//go:embed index.html style.css app.js icon.svg
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "progress:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	j := newJobs(newWork)
	server := &http.Server{Handler: j.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%s/\nStop    Ctrl-C\n", listener.Addr())
	select {
	case err := <-served:
		j.stopAll()
		return errors.Join(err, j.hub.Close())
	case <-ctx.Done():
		j.stopAll() // first, so that pages see how their jobs ended
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return errors.Join(j.hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
	}
}

func (j *jobs) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", withPolicy(http.FileServerFS(page)))
	mux.Handle("GET /events", j.hub.Handler(topic))
	mux.HandleFunc("POST /start", j.start)
	mux.HandleFunc("POST /stop", j.stop)
	return http.NewCrossOriginProtection().Handler(mux)
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
