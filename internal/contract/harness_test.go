package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long the suite waits for anything.
const patience = 30 * time.Second

// harness is the suite's side of the protocol: a service under test, a server of
// streams, and the receiver of reports.
type harness struct {
	t       *testing.T
	service string // its URL
	streams *httptest.Server
	conns   chan *conn
	reports chan report
}

// conn is a connection to the server of streams, as it was asked for.
type conn struct {
	req    *http.Request
	body   string
	w      http.ResponseWriter // nil when the handler has returned
	closed chan struct{}       // by end

	// The test writes, and the handler must not return meanwhile.
	sending sync.Mutex
}

func newHarness(t *testing.T) *harness {
	service := newService()
	server := httptest.NewServer(service)
	h := &harness{t: t, service: server.URL, conns: make(chan *conn, 10), reports: make(chan report, 1000)}
	h.streams = httptest.NewServer(http.HandlerFunc(h.serveStream))
	t.Cleanup(func() {
		service.close()
		server.Close()
		h.streams.CloseClientConnections()
		h.streams.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

func (h *harness) serveStream(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := &conn{req: r, body: string(body), w: w, closed: make(chan struct{})}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_ = http.NewResponseController(w).Flush()
	h.conns <- c
	select {
	case <-c.closed:
	case <-r.Context().Done():
	}
	c.sending.Lock()
	c.w = nil
	c.sending.Unlock()
}

func (c *conn) send(text string) {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.w == nil {
		return
	}
	_, _ = io.WriteString(c.w, text)
	_ = http.NewResponseController(c.w).Flush()
}

func (c *conn) end() { close(c.closed) }

// open has the service open a stream, with params over the usual ones, and
// returns its URL.
func (h *harness) open(params map[string]any) string {
	h.t.Helper()
	next := 1
	callbacks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(h.t, fmt.Sprint("/x/", next), r.URL.Path)
		require.Equal(h.t, http.MethodPost, r.Method)
		next++
		var got report
		require.NoError(h.t, json.NewDecoder(r.Body).Decode(&got))
		h.reports <- got
		w.WriteHeader(http.StatusAccepted)
	}))
	h.t.Cleanup(callbacks.Close)
	all := map[string]any{"streamUrl": h.streams.URL, "callbackUrl": callbacks.URL + "/x", "tag": h.t.Name(), "initialDelayMs": 0}
	for name, value := range params {
		all[name] = value
	}
	code, header, _ := h.do(http.MethodPost, h.service, all)
	require.Equal(h.t, http.StatusCreated, code)
	return h.service + header.Get("Location")
}

// do asks the service.
func (h *harness) do(method, url string, body any) (code int, header http.Header, answer string) {
	h.t.Helper()
	text, ok := body.(string)
	if !ok {
		encoded, err := json.Marshal(body)
		require.NoError(h.t, err)
		text = string(encoded)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, url, bytes.NewReader([]byte(text)))
	require.NoError(h.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	return res.StatusCode, res.Header, string(read)
}

func (h *harness) conn() *conn {
	h.t.Helper()
	return within(h.t, h.conns)
}

// event requires the next report to be this event.
func (h *harness) event(typ, id, data string) {
	h.t.Helper()
	require.Equal(h.t, report{Kind: "event", Event: &event{Type: typ, ID: id, Data: data}}, within(h.t, h.reports))
}

func (h *harness) comment(text string) {
	h.t.Helper()
	require.Equal(h.t, report{Kind: "comment", Comment: &text}, within(h.t, h.reports))
}

func (h *harness) error() {
	h.t.Helper()
	got := within(h.t, h.reports)
	require.Equal(h.t, "error", got.Kind, got)
	require.NotEmpty(h.t, got.Error)
}

func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "waited for "+strconv.Itoa(int(patience.Seconds()))+" s")
		panic("not reached")
	}
}
