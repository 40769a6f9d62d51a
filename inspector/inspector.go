// Package inspector is a page for the operators of a hub: its figures, its topics and
// subscribers, what a topic carries, and a way to close a connection.
//
//	http.Handle("/inspector/", onlyOperators(inspector.New(hub, nil)))
//
// The page asks nobody who is there. Whoever reaches it reads what all topics carry
// and who reads them, and can end any stream: wrap the Handler with your own
// authorisation, and never mount it without.
//
// It costs the hub nothing while nobody looks. A look walks all topics or all
// subscribers, at most once a second for each page that is open, and all pages
// together take at most a tenth of one processor: where a look takes longer, they
// come less often. Publishers wait as for Hub.Stats, some 40 ns for each topic.
package inspector

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub"
)

// Options is what a page may do besides; nil and zero mean nothing.
type Options struct {
	// Publish says whether the operator who sends r may publish a test message to
	// topic. If it is nil nobody can. It must be safe for concurrent use.
	Publish func(r *http.Request, topic string) bool
}

// New returns an http.Handler that serves the page at any path that ends in a slash,
// and what belongs to it below. The caller must wrap it with authorisation: it has
// none. Requests of other sites' pages for anything but the page are refused. A
// tail counts among the hub's subscribers, in process; it never holds up a publisher.
// The page's streams end with the hub, so shut that down before the http.Server.
func New(hub *ssehub.Hub, opts *Options) http.Handler {
	i := &inspector{hub: hub, turn: make(chan struct{}, 1)}
	if opts != nil {
		i.opts = *opts
	}
	post := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeader(w.Header())
		if strings.HasSuffix(r.URL.Path, "/") || r.URL.Path == "" {
			only(http.MethodGet, serveFile("index.html"))(w, r)
			return
		}
		switch name := path.Base(r.URL.Path); name {
		case "style.css", "app.js", "icon.svg":
			only(http.MethodGet, serveFile(name))(w, r)
		case "look":
			only(http.MethodGet, ofThisSite(i.serveLooks))(w, r)
		case "tail":
			only(http.MethodGet, ofThisSite(i.serveTail))(w, r)
		case "close":
			post.Handler(only(http.MethodPost, i.close)).ServeHTTP(w, r)
		case "publish":
			post.Handler(only(http.MethodPost, i.publish)).ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

type inspector struct {
	hub  *ssehub.Hub
	opts Options
	turn chan struct{} // holds one token while somebody looks, and for a rest behind that
}

// policy lets the page load its own files and streams, and nothing else; with trusted
// types a browser refuses it to make HTML from a text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func setHeader(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

//go:embed page
var files embed.FS

func serveFile(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := files.ReadFile("page/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
	}
}

func only(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			next(w, r)
			return
		}
		w.Header().Set("Allow", method)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// ofThisSite refuses streams to pages of other sites, which could not read them, but
// have the hub looked at.
func ofThisSite(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "same-origin", "none":
		default:
			http.Error(w, "refused to a page of another origin", http.StatusForbidden)
			return
		}
		if r.Method == http.MethodHead {
			return
		}
		next(w, r)
	}
}
