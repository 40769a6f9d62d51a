package main

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	topic   = "board"
	shown   = 20 // items in a page that is rendered
	maxText = 500
)

var templates = template.Must(template.ParseFS(page, "page.html"))

// board is a list of items. It keeps none of them itself: a page that is rendered and a
// stream get them from the same log, so that they cannot differ.
type board struct {
	hub     *ssehub.Hub
	scripts string // folder, or empty
}

type item struct {
	Text string
	At   time.Time
}

func newBoard(scripts string) *board {
	return &board{hub: ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 1000, Age: 24 * time.Hour}}), scripts: scripts}
}

func (b *board) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.render)
	for _, name := range []string{"style.css", "app.js", "icon.svg"} {
		mux.Handle("GET /"+name, http.FileServerFS(page))
	}
	mux.Handle("GET /events", b.hub.Handler(topic))
	mux.HandleFunc("POST /add", b.add)
	if b.scripts != "" {
		mux.Handle("GET /scripts/", http.StripPrefix("/scripts", http.FileServer(http.Dir(b.scripts))))
	}
	return http.NewCrossOriginProtection().Handler(withPolicy(mux))
}

// render makes a page of the newest items, and says from where its stream goes on.
func (b *board) render(w http.ResponseWriter, r *http.Request) {
	items, asOf, err := b.hub.History(r.Context(), topic, ssehub.Position{}, shown)
	if err != nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	data := struct {
		Items []template.HTML // newest first
		After string
		Local bool
	}{After: asOf.String(), Local: b.scripts != ""}
	for _, m := range items {
		data.Items = append([]template.HTML{template.HTML(m.Data)}, data.Items...) // it is a template's: see add
	}
	b.execute(w, "page.html", data)
}

// add publishes an item as HTML, for the pages that are open and those that will be
// rendered alike. The template escapes what it holds.
func (b *board) add(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8*maxText)
	text := strings.TrimSpace(r.FormValue("text"))
	if text == "" || len(text) > maxText {
		http.Error(w, "say something, in at most 500 bytes", http.StatusBadRequest)
		return
	}
	var html bytes.Buffer
	err := templates.ExecuteTemplate(&html, "item", item{Text: text, At: time.Now()})
	if err == nil {
		_, err = b.hub.Publish(r.Context(), topic, sse.Message{Type: "item", Data: html.Bytes()})
	}
	switch {
	case errors.Is(err, ssehub.ErrClosed):
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "not published", http.StatusInternalServerError)
	case r.Header.Get("HX-Request") != "":
		w.WriteHeader(http.StatusNoContent) // the stream brings it
	default:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

func (b *board) execute(w http.ResponseWriter, name string, data any) {
	var html bytes.Buffer
	if err := templates.ExecuteTemplate(&html, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // it has a place in the log
	_, _ = html.WriteTo(w)
}

// withPolicy lets the page load its own files and htmx, and nothing else. htmx would add
// a style of its own, which the page tells it not to.
func withPolicy(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self' https://cdn.jsdelivr.net; style-src 'self'; img-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
