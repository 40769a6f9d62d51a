package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// program is a running quickstart.
type program struct {
	t      *testing.T
	url    string
	client *http.Client
	cancel context.CancelFunc // as Ctrl-C does
	ended  chan error         // what run returned
}

type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func start(t *testing.T) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{}
	p := &program{t: t, client: &http.Client{Transport: transport}, cancel: cancel, ended: make(chan error, 1)}
	out := make(lines, 1)
	go func() { p.ended <- run(ctx, "127.0.0.1:0", out) }()
	select {
	case text := <-out:
		p.url = regexp.MustCompile(`http://[0-9.:]+`).FindString(text)
	case err := <-p.ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if p.ended != nil {
			assert.NoError(t, <-p.ended)
		}
	})
	return p
}

func (p *program) do(method, path, body string, header ...string) (int, http.Header, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	require.NoError(p.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.client.Do(req)
	require.NoError(p.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, res.Header, string(text)
}

// listen opens the stream, reads the hello and returns a function that reads
// the next event.
func (p *program) listen() (next func() (sse.Message, error)) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/events", nil)
	require.NoError(p.t, err)
	res, err := p.client.Do(req)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { res.Body.Close() })
	require.NoError(p.t, sse.CheckResponse(res))
	decoder := sse.NewDecoder(res.Body)
	next = func() (m sse.Message, err error) {
		err = decoder.Decode(&m)
		return m, err
	}
	hello, err := next()
	require.NoError(p.t, err)
	require.Equal(p.t, sse.TypeHello, hello.Type)
	require.Contains(p.t, string(hello.Data), `"verdict":"fresh"`)
	return next
}

// until skips events of other types.
func until(t *testing.T, next func() (sse.Message, error), typ string) sse.Message {
	t.Helper()
	for {
		m, err := next()
		require.NoError(t, err, "before an event of type %q", typ)
		if m.Type == typ || m.Type == "" && typ == "message" {
			return m
		}
	}
}

func TestPostedLineArrives(t *testing.T) {
	p := start(t)
	next := p.listen() // reads the hello

	status, _, id := p.do("POST", "/publish", "hi\nthere")
	require.Equal(t, http.StatusOK, status)
	m := until(t, next, "message")
	assert.Equal(t, "hi\nthere", string(m.Data))
	assert.Equal(t, "chat", m.Topic)
	assert.Equal(t, id, m.ID+"\n")
	_, err := ssehub.ParsePosition(m.ID)
	assert.NoError(t, err)
}

func TestClockTicks(t *testing.T) {
	m := until(t, start(t).listen(), "clock")
	assert.Equal(t, "clock", m.Topic)
	_, err := time.Parse(time.TimeOnly, string(m.Data))
	assert.NoError(t, err)
}

func TestPage(t *testing.T) {
	p := start(t)
	for path, contentType := range map[string]string{
		"/":          "text/html; charset=utf-8",
		"/style.css": "text/css; charset=utf-8",
		"/app.js":    "text/javascript; charset=utf-8",
		"/icon.svg":  "image/svg+xml",
	} {
		status, header, body := p.do("GET", path, "")
		assert.Equal(t, http.StatusOK, status, path)
		assert.Equal(t, contentType, header.Get("Content-Type"), path)
		assert.NotEmpty(t, body, path)
		assert.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';", path)
		assert.NotContains(t, header.Get("Content-Security-Policy"), "unsafe", path)
	}
	for _, path := range []string{"/nothing", "/main.go", "/page/", "/events/"} {
		status, _, _ := p.do("GET", path, "")
		assert.Equal(t, http.StatusNotFound, status, path)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	p := start(t)
	for _, tt := range []struct {
		header, value string
		status        int
	}{
		{"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"Sec-Fetch-Site", "same-site", http.StatusForbidden},
		{"Origin", "http://other.example", http.StatusForbidden},
		{"Origin", "null", http.StatusForbidden},
		{"Sec-Fetch-Site", "same-origin", http.StatusOK},
		{"Origin", p.url, http.StatusOK},
	} {
		status, _, _ := p.do("POST", "/publish", "hi", tt.header, tt.value)
		assert.Equal(t, tt.status, status, "%s: %s", tt.header, tt.value)
	}
}

func TestBodies(t *testing.T) {
	p := start(t)
	next := p.listen()
	for _, tt := range []struct {
		size, status int
	}{
		{0, http.StatusBadRequest},
		{maxLine + 1, http.StatusRequestEntityTooLarge},
		{maxLine, http.StatusOK},
		{1, http.StatusOK},
	} {
		status, _, _ := p.do("POST", "/publish", strings.Repeat("x", tt.size))
		assert.Equal(t, tt.status, status, "%d bytes", tt.size)
	}
	assert.Len(t, until(t, next, "message").Data, maxLine, "what was refused is not published")
	assert.Len(t, until(t, next, "message").Data, 1)

	status, _, _ := p.do("GET", "/publish", "")
	assert.Equal(t, http.StatusNotFound, status)
	status, _, _ = p.do("PUT", "/publish", "hi")
	assert.Equal(t, http.StatusMethodNotAllowed, status)
}

func TestStopDrains(t *testing.T) {
	p := start(t)
	next := p.listen()
	status, _, _ := p.do("POST", "/publish", "the last")
	require.Equal(t, http.StatusOK, status)
	p.cancel()
	err := <-p.ended
	p.ended = nil
	assert.NoError(t, err)
	assert.Equal(t, "the last", string(until(t, next, "message").Data), "what was published is delivered")
	for err = nil; err == nil; {
		_, err = next()
	}
	assert.Equal(t, io.EOF, err, "the stream ends cleanly")
}

func TestPublishAfterClose(t *testing.T) {
	hub := ssehub.New(nil)
	require.NoError(t, hub.Close())
	w := httptest.NewRecorder()
	newHandler(hub).ServeHTTP(w, httptest.NewRequest("POST", "/publish", strings.NewReader("hi")))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
}

func TestPortTaken(t *testing.T) {
	p := start(t)
	var out bytes.Buffer
	err := run(t.Context(), strings.TrimPrefix(p.url, "http://"), &out)
	assert.ErrorContains(t, err, "in use")
	assert.ErrorContains(t, err, "-addr")
	assert.Empty(t, out.String())
}
