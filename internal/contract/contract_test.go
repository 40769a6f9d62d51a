package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStatus(t *testing.T) {
	h := newHarness(t)
	code, _, answer := h.do(http.MethodGet, h.service, "")
	require.Equal(t, http.StatusOK, code)
	var got struct {
		Name         string
		Capabilities []string
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &got))
	require.Equal(t, capabilities, got.Capabilities)
	require.Equal(t, "ssehub", got.Name)
}

func TestRequest(t *testing.T) {
	h := newHarness(t)
	h.open(nil)
	c := h.conn()
	require.Equal(t, http.MethodGet, c.req.Method)
	require.Equal(t, "text/event-stream", c.req.Header.Get("Accept"))
	require.Equal(t, "no-cache", c.req.Header.Get("Cache-Control"))
	require.NotContains(t, c.req.Header, "Last-Event-Id")
	require.Empty(t, c.body)

	for _, method := range []string{http.MethodPost, "REPORT"} {
		url := h.open(map[string]any{
			"method": method, "body": `{"a":1}`, "lastEventId": "abc",
			"headers": map[string]string{"content-type": "application/json; charset=utf-8", "x-name": "value"},
		})
		for attempt := range 2 { // it is sent again with every attempt
			c = h.conn()
			require.Equal(t, method, c.req.Method)
			require.Equal(t, `{"a":1}`, c.body)
			require.Equal(t, "application/json; charset=utf-8", c.req.Header.Get("Content-Type"))
			require.Equal(t, "value", c.req.Header.Get("X-Name"))
			require.Equal(t, "abc", c.req.Header.Get("Last-Event-ID"))
			if attempt == 0 {
				c.end()
			}
		}
		h.do(http.MethodDelete, url, "")
	}
}

func TestEvents(t *testing.T) {
	h := newHarness(t)
	h.open(nil)
	c := h.conn()
	c.send("\uFEFFdata: a\n\nevent: greeting\nid: 1\ndata: b\ndata: c\n\n:Hello\ndata\n\nid\ndata: €<>\n\n:World\n: x\n")
	h.event("message", "", "a")
	h.event("greeting", "1", "b\nc")
	h.comment("Hello")
	h.event("message", "1", "")
	h.event("message", "", "€<>")
	h.comment("World")
	h.comment(" x")
	for _, piece := range strings.Split("data: €豆腐\n\n", "") {
		c.send(piece)
	}
	h.event("message", "", "€豆腐")
}

// Comments and events keep their order, however many there are.
func TestOrder(t *testing.T) {
	h := newHarness(t)
	h.open(nil)
	h.conn().send(strings.Repeat("data: a\n\n:b\n", 200))
	for range 200 {
		h.event("message", "", "a")
		h.comment("b")
	}
}

func TestHugeEvent(t *testing.T) {
	h := newHarness(t)
	h.open(nil)
	data := strings.Repeat("x", 13<<20)
	h.conn().send("data: " + data + "\n\n")
	got := within(t, h.reports)
	require.Equal(t, "event", got.Kind)
	require.True(t, data == got.Event.Data, "%d bytes", len(got.Event.Data))
}

func TestReconnects(t *testing.T) {
	h := newHarness(t)
	h.open(nil)
	c := h.conn()
	c.send("id: abc\ndata: a\n\nid: def\ndata: half")
	h.event("message", "abc", "a")
	c.end()
	h.error()
	c = h.conn()
	require.Equal(t, "abc", c.req.Header.Get("Last-Event-ID"))
	c.send("data: b\n\nid: \ndata: c\n\n")
	h.event("message", "abc", "b")
	h.event("message", "", "c")
	c.end()
	h.error()
	require.NotContains(t, h.conn().req.Header, "Last-Event-Id")
}

// A restart is no error, and comes at once.
func TestRestart(t *testing.T) {
	h := newHarness(t)
	url := h.open(nil)
	c := h.conn()
	c.send("id: 1\ndata: a\n\n")
	h.event("message", "1", "a")
	code, _, _ := h.do(http.MethodPost, url, map[string]string{"command": "restart"})
	require.Equal(t, http.StatusNoContent, code)
	c = h.conn()
	require.Equal(t, "1", c.req.Header.Get("Last-Event-ID"))
	c.send("data: b\n\n")
	h.event("message", "1", "b")
}

func TestReadTimeout(t *testing.T) {
	h := newHarness(t)
	h.open(map[string]any{"readTimeoutMs": 200})
	got := report{Kind: "error"}
	for got.Kind == "error" { // as it is where the event was sent too late
		h.conn().send("data: a\n\n")
		got = within(t, h.reports)
	}
	require.Equal(t, report{Kind: "event", Event: &event{Type: "message", Data: "a"}}, got)
	h.error()
	h.conn()
}

func TestRedirects(t *testing.T) {
	h := newHarness(t)
	for _, code := range []int{301, 307} {
		for _, location := range []string{"", h.streams.URL} {
			from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(code)
			}))
			defer from.Close()
			h.open(map[string]any{"streamUrl": from.URL})
			if location == "" {
				h.error()
				continue
			}
			h.conn().send("data: a\n\n")
			h.event("message", "", "a")
		}
	}
}

// Status 204 is the server's way to end it.
func TestNoMore(t *testing.T) {
	h := newHarness(t)
	requests := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests <- struct{}{}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	h.open(map[string]any{"streamUrl": server.URL})
	within(t, requests)
	select {
	case <-requests:
		require.Fail(t, "asked again")
	case <-time.After(300 * time.Millisecond):
	}
	require.Empty(t, h.reports)
}

func TestClose(t *testing.T) {
	h := newHarness(t)
	url := h.open(nil)
	c := h.conn()
	code, _, _ := h.do(http.MethodDelete, url, "")
	require.Equal(t, http.StatusNoContent, code)
	within(t, c.req.Context().Done())
	code, _, _ = h.do(http.MethodDelete, url, "")
	require.Equal(t, http.StatusNotFound, code)
	code, _, _ = h.do(http.MethodPost, url, map[string]string{"command": "restart"})
	require.Equal(t, http.StatusNotFound, code)
}

func TestRefuses(t *testing.T) {
	h := newHarness(t)
	url := h.open(nil)
	for _, body := range []any{"", "{", map[string]string{"streamUrl": "http://x"}, map[string]string{"callbackUrl": "http://x"}} {
		code, _, _ := h.do(http.MethodPost, h.service, body)
		require.Equal(t, http.StatusBadRequest, code)
	}
	for _, body := range []any{"", map[string]string{"command": "dance"}} {
		code, _, _ := h.do(http.MethodPost, url, body)
		require.Equal(t, http.StatusBadRequest, code)
	}
}

// The program itself: on the port that PORT says, until it is told to quit.
func TestProcess(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "SSEHUB_CONTRACT_SERVE=1", "PORT="+port)
	child.Stderr = os.Stderr
	require.NoError(t, child.Start())
	url := "http://127.0.0.1:" + port + "/"
	defer http.DefaultClient.CloseIdleConnections()
	require.Eventually(t, func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, patience, 10*time.Millisecond)
	h := &harness{t: t}
	code, _, _ := h.do(http.MethodDelete, url, "")
	require.Equal(t, http.StatusNoContent, code)
	require.NoError(t, child.Wait())
}
