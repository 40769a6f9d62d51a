package js_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub/js"
	"github.com/stretchr/testify/require"
)

// What a Stream makes of answers, ids and gaps.
func TestStream(t *testing.T) {
	node(t, "testdata/stream.test.mjs")
}

// What the worker makes of pages that do not answer, or do not read.
func TestWorker(t *testing.T) {
	node(t, "testdata/worker.test.mjs")
}

func TestHandler(t *testing.T) {
	get := func(method, url string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, url, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		js.Handler().ServeHTTP(w, r)
		return w
	}
	text, err := os.ReadFile("ssehub.js")
	require.NoError(t, err)

	w := get("GET", "/ssehub/ssehub.js")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, string(text), w.Body.String(), "the file served is the source")
	require.Equal(t, "text/javascript; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	etag := w.Header().Get("Etag")
	require.Equal(t, `"`+js.Version()+`"`, etag)
	w = get("GET", "/ssehub/ssehub.js", "If-None-Match", etag)
	require.Equal(t, http.StatusNotModified, w.Code)

	w = get("GET", "/ssehub.js", "Accept-Encoding", "br, gzip")
	require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
	require.NotEqual(t, etag, w.Header().Get("Etag"))
	unpacked, err := gzip.NewReader(w.Body)
	require.NoError(t, err)
	plain, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	require.Equal(t, text, plain)

	w = get("GET", "/ssehub.js?v="+js.Version())
	require.Equal(t, "public, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
	w = get("GET", "/ssehub.js?v=another")
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))

	w = get("HEAD", "/ssehub.d.ts")
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	require.Zero(t, w.Body.Len())
	require.Equal(t, http.StatusNotFound, get("GET", "/js.go").Code)
	require.Equal(t, http.StatusNotFound, get("GET", "/").Code)
	require.Equal(t, http.StatusMethodNotAllowed, get("POST", "/ssehub.js").Code)
}

// The module is no larger than the documentation says.
func TestSize(t *testing.T) {
	doc, err := os.ReadFile("../docs/browser.md")
	require.NoError(t, err)
	said := regexp.MustCompile(`at most (\d+) kB, (\d+) kB gzipped`).FindSubmatch(doc)
	require.NotNil(t, said)
	plain, packed := size(t, ""), size(t, "gzip")
	t.Logf("%d bytes, %d gzipped", plain, packed)
	require.LessOrEqual(t, plain, kilobytes(t, said[1]))
	require.LessOrEqual(t, packed, kilobytes(t, said[2]))
}

func size(t *testing.T, encoding string) int {
	t.Helper()
	r := httptest.NewRequest("GET", "/ssehub.js", nil)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	js.Handler().ServeHTTP(w, r)
	return w.Body.Len()
}

func kilobytes(t *testing.T, digits []byte) int {
	t.Helper()
	n, err := strconv.Atoi(string(digits))
	require.NoError(t, err)
	return n * 1000
}

// The scripts of docs/browser.md are modules as they stand.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../docs/browser.md")
	require.NoError(t, err)
	scripts := regexp.MustCompile("(?s)```js\n(.*?)```").FindAllSubmatch(doc, -1)
	require.NotEmpty(t, scripts)
	for _, script := range scripts {
		file := filepath.Join(t.TempDir(), "script.mjs")
		require.NoError(t, os.WriteFile(file, script[1], 0o600))
		runNode(t, []string{"--check", file})
	}
}

// The types name what the module has: its exports, the options that it reads, and the
// members of a Stream.
func TestTypes(t *testing.T) {
	code, err := os.ReadFile("ssehub.js")
	require.NoError(t, err)
	types, err := os.ReadFile("ssehub.d.ts")
	require.NoError(t, err)

	export := regexp.MustCompile(`(?m)^export (?:class|function) (\w+)`)
	require.Equal(t, names(export, code), names(export, types))

	read := names(regexp.MustCompile(`#?options\.(\w+)`), code)
	for _, m := range regexp.MustCompile(`\{ ([^}]*) \} = (?:this\.#)?options;`).FindAllSubmatch(code, -1) {
		for part := range strings.SplitSeq(string(m[1]), ", ") {
			name, _, _ := strings.Cut(part, " ")
			read[name] = true
		}
	}
	require.Equal(t, read, names(regexp.MustCompile(`(?m)^  (\w+)\?[:(]`), between(types, "interface Options {", "\n}")))

	member := regexp.MustCompile(`(?m)^  (?:get |readonly )?(\w+)(?:\(.*\) \{|\(.*\): void;|: )`)
	stream := names(member, between(code, "class Stream ", "\n}"))
	delete(stream, "constructor")
	require.Equal(t, stream, names(member, between(types, "class Stream ", "\n}")))
}

func names(pattern *regexp.Regexp, text []byte) map[string]bool {
	found := map[string]bool{}
	for _, m := range pattern.FindAllSubmatch(text, -1) {
		found[string(m[1])] = true
	}
	return found
}

func between(text []byte, from, to string) []byte {
	_, text, _ = bytes.Cut(text, []byte(from))
	text, _, _ = bytes.Cut(text, []byte(to))
	return text
}
