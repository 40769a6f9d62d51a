// Chat is rooms in which people talk, and see who is there and who is typing.
//
//	go run ./examples/chat
//
// Open the page in two windows, with two names.
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
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	c := newChat()
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%s/\nStop    Ctrl-C\n", listener.Addr())
	beat := time.NewTicker(presenceBeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			c.presence.tellAll()
		case err := <-served:
			return errors.Join(err, c.hub.Close())
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), drainTime)
			defer cancel()
			return errors.Join(c.hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
		}
	}
}

func (c *chat) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", withPolicy(http.FileServerFS(page)))
	mux.Handle("GET /events", c.hub.Handler())
	mux.HandleFunc("POST /say", c.say)
	mux.HandleFunc("POST /typing", c.typing)
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
