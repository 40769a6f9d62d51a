package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// table is what a reader makes of the events.
type table struct {
	t      *testing.T
	prices map[string]int
}

func (tb *table) apply(m sse.Message) {
	switch m.Type {
	case "prices":
		tb.prices = nil
		require.NoError(tb.t, json.Unmarshal(m.Data, &tb.prices))
	case "change":
		var c change
		require.NoError(tb.t, json.Unmarshal(m.Data, &c))
		tb.prices[c.Symbol] += c.By
		sum := 0
		for _, price := range tb.prices {
			sum += price
		}
		require.Equal(tb.t, c.Total, sum)
	}
}

// A reader that comes, looks away for more and for less than the history, and
// comes back, is right at every change.
func TestTableIsRight(t *testing.T) {
	m := newMarket()
	defer m.hub.Close()
	server := httptest.NewServer(newHandler(m))
	defer server.Close()
	tick := func(n int) {
		for range n {
			require.NoError(t, m.tick(t.Context()))
		}
	}
	tick(100)
	tb := &table{t: t}
	id := ""
	gaps := 0
	for _, away := range []int{0, 10, 190, 250, 1000, 1, 201} {
		tick(away)
		sub := client.Subscribe(t.Context(), server.URL+"/events", &client.Options{
			HTTPClient: server.Client(), LastEventID: id,
			OnGap: func(sse.Gap) { gaps++ },
		})
		tick(5)
		for event := range sub.Events() {
			tb.apply(event)
			if id = event.ID; id == m.asOf.String() {
				break
			}
		}
		sub.Close()
		for range sub.Events() { // until it has ended: what it is told later is not ours
		}
		server.Client().CloseIdleConnections()
	}
	require.Equal(t, 3, gaps)
	require.Equal(t, m.prices, tb.prices)
}

// The program says where it is, serves its page, and ends when it is told to.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error)
	go func() { ended <- run(ctx, "127.0.0.1:0", in) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	url := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/style.css": "text/css; charset=utf-8",
		"/icon.svg": "image/svg+xml",
	} {
		res, err := http.Get(url + path)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, contentType, res.Header.Get("Content-Type"))
		require.NotContains(t, res.Header.Get("Content-Security-Policy"), "unsafe")
	}
	res, err := http.Get(url + "/events")
	require.NoError(t, err)
	tb := &table{t: t}
	changes := 0
	for m, err := range sse.Events(res.Body) {
		require.NoError(t, err)
		tb.apply(m)
		if m.Type == "change" {
			if changes++; changes == 5 {
				break
			}
		}
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	require.NoError(t, <-ended)
	in.Close()
}
