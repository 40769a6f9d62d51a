// Login is a page behind a cookie: who is signed in reads what is said to them,
// and signing out ends that at once, in every tab.
//
//	go run ./examples/login
//
// Open the page in two tabs, sign in, and sign out in one of them. Any name will do;
// there are no passwords, as they are not what this is about.
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	sessionTime = 8 * time.Hour
	drainTime   = 5 * time.Second
	maxForm     = 4 << 10
)

//go:embed index.html style.css app.js icon.svg
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "login:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, addr string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	app := newApp()
	server := &http.Server{Handler: app.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%s/\nStop    Ctrl-C\n", listener.Addr())
	select {
	case err := <-served:
		return errors.Join(err, app.hub.Close())
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return errors.Join(app.hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
	}
}

// app is who is signed in, and the hub that they read from.
type app struct {
	hub *ssehub.Hub

	mu       sync.Mutex
	sessions map[string]session // by the cookie's value
}

type session struct {
	user string
	end  time.Time
}

func newApp() *app {
	a := &app{sessions: make(map[string]session)}
	a.hub = ssehub.New(&ssehub.Options{
		Authorize: a.authorize,
		Limits:    ssehub.Limits{PerSubject: 20}, // tabs
	})
	return a
}

// authorize lets everybody read what is said to them, and nothing else.
func (a *app) authorize(r *http.Request, topics []string) (ssehub.Grant, error) {
	s, ok := a.session(r)
	if !ok {
		return ssehub.Grant{}, errors.New("not signed in")
	}
	for _, topic := range topics {
		if topic != "to."+s.user {
			return ssehub.Grant{Subject: s.user}, errors.New("somebody else's topic")
		}
	}
	return ssehub.Grant{Subject: s.user, Expires: s.end}, nil
}

func (a *app) session(r *http.Request) (session, bool) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return session{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[cookie.Value]
	return s, ok && time.Now().Before(s.end)
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("GET /events", a.hub.Handler())
	mux.HandleFunc("GET /me", a.me)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("POST /say", a.say)
	return http.NewCrossOriginProtection().Handler(withPolicy(mux))
}

// me tells the page who it is for.
func (a *app) me(w http.ResponseWriter, r *http.Request) {
	s, ok := a.session(r)
	if !ok {
		http.Error(w, "not signed in", http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, s.user)
}

var validName = regexp.MustCompile(`^[a-z0-9]{1,20}$`) // a token of a topic

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	user := r.FormValue("user")
	if !validName.MatchString(user) {
		http.Error(w, "a name is 1 to 20 small letters and digits", http.StatusBadRequest)
		return
	}
	token := rand.Text()
	a.mu.Lock()
	a.sessions[token] = session{user: user, end: time.Now().Add(sessionTime)}
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: "session", Value: token, Path: "/", MaxAge: int(sessionTime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
	_, _ = io.WriteString(w, user)
}

// logout ends all sessions of the user, and then the streams. The other way round one
// could connect between the two.
func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	s, ok := a.session(r)
	if !ok {
		http.Error(w, "not signed in", http.StatusUnauthorized)
		return
	}
	a.mu.Lock()
	for token, other := range a.sessions {
		if other.user == s.user {
			delete(a.sessions, token)
		}
	}
	a.mu.Unlock()
	n, err := a.hub.Revoke(r.Context(), ssehub.Revocation{Subject: s.user})
	if err != nil { // of a Broker, which this hub has none of
		http.Error(w, "not everywhere", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, n, "streams ended")
}

// say publishes to whom it is said.
func (a *app) say(w http.ResponseWriter, r *http.Request) {
	s, ok := a.session(r)
	if !ok {
		http.Error(w, "not signed in", http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	to, text := r.FormValue("to"), r.FormValue("text")
	if !validName.MatchString(to) || text == "" {
		http.Error(w, "say what, and to whom", http.StatusBadRequest)
		return
	}
	if _, err := a.hub.Publish(r.Context(), "to."+to, sse.Message{Data: []byte(s.user + ": " + text)}); err != nil {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	}
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
