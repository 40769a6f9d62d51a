// Llm is a page that asks a language model and shows its answer word by word, over a
// reload, a lost connection and a second tab: the answer is written whether or not
// somebody reads it.
//
//	go run ./examples/llm
//
// The model is an imitation, so that nothing has to be set up. One with an API that
// streams is read as "Streams that are not ours" of the README shows.
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
	pace := flag.Duration("pace", 60*time.Millisecond, "`time` that the model takes for a word")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	if err := run(ctx, *addr, *pace, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "llm:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, pace time.Duration, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	a := newAnswers(imitation(pace))
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%s/\nStop    Ctrl-C\n", listener.Addr())
	select {
	case err := <-served:
		a.stopAll()
		return errors.Join(err, a.hub.Close())
	case <-ctx.Done():
		a.stopAll() // first, so that readers hear how their answers ended
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return errors.Join(a.hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
	}
}

func (a *answers) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", withPolicy(http.FileServerFS(page)))
	mux.Handle("GET /events", a.hub.Handler())
	mux.HandleFunc("POST /ask", a.ask)
	mux.HandleFunc("POST /stop", a.stop)
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
