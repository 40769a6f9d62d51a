// Package js has ssehub.js, a module for pages that reads a hub's streams: an
// EventSource and what that lacks. docs/browser.md says what it does and how it
// is used.
//
//	http.Handle("GET /ssehub/", js.Handler())
//
//	<script type="module">
//	import { connect } from "/ssehub/ssehub.js";
package js

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed ssehub.js ssehub.d.ts
var files embed.FS

// file is one that Handler serves.
type file struct {
	contentType string
	etag        string // without quotes
	text, gzip  []byte
}

var (
	module = load("ssehub.js", "text/javascript; charset=utf-8")
	served = map[string]*file{
		"ssehub.js":   module,
		"ssehub.d.ts": load("ssehub.d.ts", "text/plain; charset=utf-8"),
	}
)

// Version names the bytes of ssehub.js. A URL that ends in "?v=" and it, such as
// "/ssehub/ssehub.js?v="+js.Version(), is cached by browsers for good.
func Version() string {
	return module.etag
}

// Handler returns an http.Handler that serves ssehub.js, and its types as
// ssehub.d.ts, by the last part of the path; all else gets status 404. Without a
// version browsers ask each time whether the file is the same. It sets no CORS
// field: a page of another origin can have no shared connection from here anyway.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := served[path.Base(r.URL.Path)]
		switch {
		case f == nil:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		default:
			f.serve(w, r)
		}
	})
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	text, etag := f.text, f.etag
	h := w.Header()
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		text, etag = f.gzip, etag+"-gzip"
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Etag", `"`+etag+`"`)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.etag {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// acceptsGzip leaves quality values alone, but for gzip;q=0: then plain is right too.
func acceptsGzip(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.EqualFold(strings.TrimSpace(accepted), "gzip") {
			return true
		}
	}
	return false
}

func load(name, contentType string) *file {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(text)
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // a level that there is
	_, _ = w.Write(text)                                       // into memory
	_ = w.Close()
	return &file{contentType: contentType, etag: hex.EncodeToString(sum[:8]), text: text, gzip: packed.Bytes()}
}
