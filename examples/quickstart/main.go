// Quickstart is a page, a stream and a way to post a line: one hub, two topics.
//
//	go run ./examples/quickstart
//
// Open the page, post something, then stop the program and start it again: the
// page says what it missed.
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

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	maxLine   = 64 << 10        // bytes of one post
	drainTime = 5 * time.Second // for a graceful end
)

//go:embed index.html style.css app.js icon.svg
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	hub := ssehub.New(nil)
	// No WriteTimeout and no ReadTimeout: they are for whole requests, and a
	// stream is one. The hub has its own deadline for each write.
	server := &http.Server{Handler: newHandler(hub), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	welcome(out, listener.Addr())

	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			message := sse.Message{Type: "clock", Data: now.AppendFormat(nil, time.TimeOnly)}
			if _, err := hub.Publish(ctx, "clock", message); err != nil && ctx.Err() == nil {
				return errors.Join(err, shutdown(hub, server))
			}
		case err := <-served:
			return errors.Join(err, hub.Close())
		case <-ctx.Done():
			return shutdown(hub, server)
		}
	}
}

// shutdown ends the streams before the server: http.Server.Shutdown ends none of
// them, it waits for some and forgets the others.
func shutdown(hub *ssehub.Hub, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := errors.Join(hub.Shutdown(ctx), server.Shutdown(ctx))
	return errors.Join(err, server.Close()) // if ctx was too short for one of them
}

func newHandler(hub *ssehub.Hub) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", withPolicy(http.FileServerFS(page)))
	mux.Handle("GET /events", hub.Handler("chat", "clock"))
	mux.Handle("POST /publish", publish(hub))
	// Pages of other sites cannot post in the name of who looks at them.
	return http.NewCrossOriginProtection().Handler(mux)
}

// publish makes the body of a request an event of the topic chat.
func publish(hub *ssehub.Hub) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		line, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLine))
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			http.Error(w, "the line is too long", http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil || len(line) == 0 {
			http.Error(w, "the body must be the line to publish", http.StatusBadRequest)
			return
		}
		id, err := hub.Publish(r.Context(), "chat", sse.Message{Data: line})
		if err != nil { // ErrClosed, or the client has left and reads no answer
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, id)
	}
}

// withPolicy lets the page load its own files and nothing else. What others
// post is shown as text; this is the second lock on the same door.
func withPolicy(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// welcome prints what to open and what to paste.
func welcome(out io.Writer, addr net.Addr) {
	host := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		host = fmt.Sprintf("localhost:%d", tcp.Port)
	}
	fmt.Fprintf(out, `Open    http://%[1]s/
Listen  curl -N http://%[1]s/events
Post    curl -d hi http://%[1]s/publish
Stop    Ctrl-C
`, host)
}
