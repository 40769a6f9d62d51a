// Ticket is a page whose API wants a token in a header, which an EventSource cannot
// send. It trades the token for a ticket that is good for one stream and half a
// minute, and puts that into the URL: in logs and histories it is of no use to
// anybody.
//
//	go run ./examples/ticket
package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	ticketTime = 30 * time.Second
	maxTickets = 1000 // that nobody has used yet
	drainTime  = 5 * time.Second
)

//go:embed index.html style.css app.js icon.svg
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ticket:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	app := newApp(rand.Text())
	server := &http.Server{Handler: app.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%s/#%s\nStop    Ctrl-C\n", listener.Addr(), app.token)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			message := sse.Message{Data: now.AppendFormat(nil, time.TimeOnly)}
			if _, err := app.hub.Publish(ctx, "clock", message); err != nil && ctx.Err() == nil {
				return errors.Join(err, app.hub.Close(), server.Close())
			}
		case err := <-served:
			return errors.Join(err, app.hub.Close())
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), drainTime)
			defer cancel()
			return errors.Join(app.hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
		}
	}
}

type app struct {
	hub   *ssehub.Hub
	token string // of the one user that there is

	mu      sync.Mutex
	tickets map[string]time.Time // until when each is good
}

func newApp(token string) *app {
	a := &app{token: token, tickets: make(map[string]time.Time)}
	a.hub = ssehub.New(&ssehub.Options{Authorize: a.redeem})
	return a
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("GET /events", a.hub.Handler("clock"))
	mux.HandleFunc("POST /ticket", a.issue)
	return withPolicy(mux)
}

// issue answers with a ticket whoever has the token.
func (a *app) issue(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(token), []byte(a.token)) == 0 {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for ticket, until := range a.tickets {
		if now.After(until) {
			delete(a.tickets, ticket)
		}
	}
	if len(a.tickets) >= maxTickets {
		http.Error(w, "too many tickets", http.StatusTooManyRequests)
		return
	}
	ticket := rand.Text()
	a.tickets[ticket] = now.Add(ticketTime)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, ticket)
}

// redeem takes a ticket, once.
func (a *app) redeem(r *http.Request, _ []string) (ssehub.Grant, error) {
	ticket := r.URL.Query().Get("ticket")
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.tickets[ticket]
	delete(a.tickets, ticket)
	if !ok || time.Now().After(until) {
		return ssehub.Grant{}, errors.New("no such ticket, or used, or too old")
	}
	return ssehub.Grant{Subject: "the user"}, nil
}

// withPolicy lets the page load its own files and nothing else, and keeps its URL to
// itself.
func withPolicy(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}
