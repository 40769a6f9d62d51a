// Htmx is a page that is rendered on the server, with the newest items in it, and goes on
// from just there: what is new comes as HTML, which htmx puts in place. Without scripts
// it is a page with a form.
//
//	go run ./examples/htmx
//
// htmx and its extension for event streams come from a CDN, as their manuals have it, or
// from the folder of -scripts.
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

//go:embed page.html style.css app.js icon.svg
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	scripts := flag.String("scripts", "", "`folder` with htmx.min.js and sse.min.js, in place of the CDN")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	if err := run(ctx, *addr, *scripts, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "htmx:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, scripts string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	b := newBoard(scripts)
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%s/\nStop    Ctrl-C\n", listener.Addr())
	select {
	case err := <-served:
		return errors.Join(err, b.hub.Close())
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return errors.Join(b.hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
	}
}
