package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub/sse"
)

func TestBench(t *testing.T) {
	_, url := serve(t, nil, "--publish-token", testToken)
	plot := filepath.Join(t.TempDir(), "out.svg")
	args := []string{"bench", url, "--token", testToken, "-c", "20", "-r", "200", "-d", "500ms", "--plot", plot}
	code, _, errs := command(t, "", append(args, "--json")...)
	require.Equal(t, exitRefused, code, "the publisher's token is none that reads")
	require.Contains(t, errs, "readers are refused")

	_, url = serve(t, nil, "--publish-token", testToken, "--subscribe-token", testToken)
	args[1] = url
	code, out, errs := command(t, "", append(args, "--json")...)
	require.Equal(t, exitOK, code, errs)
	var res benchResult
	require.NoError(t, json.Unmarshal([]byte(out), &res))
	require.Equal(t, 100, res.Published)
	require.Equal(t, 2000, res.Delivered)
	require.Zero(t, res.Lost+res.Doubled+res.Errors)
	require.Positive(t, res.LatencyMs["p50"])
	require.GreaterOrEqual(t, res.LatencyMs["max"], res.LatencyMs["p99.9"])

	text, err := os.ReadFile(plot)
	require.NoError(t, err)
	require.Contains(t, string(text), "lost       0")
	for dec := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err = dec.Token(); err != nil {
			break
		}
	}
	require.Equal(t, io.EOF, err)
}

// What a server loses and sends twice is found.
func TestBenchFindsLoss(t *testing.T) {
	var mu sync.Mutex
	sent := 0
	streams := map[chan string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		number, _, _ := strings.Cut(string(body), " ")
		mu.Lock()
		defer mu.Unlock()
		times := map[string]int{"3": 0, "5": 2}
		n, ok := times[number]
		if !ok {
			n = 1
		}
		for range n {
			sent++
			for stream := range streams {
				stream <- fmt.Sprintf("id: e-%d\ndata: %s\n\n", sent, body)
			}
		}
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		stream := make(chan string, 100)
		mu.Lock()
		streams[stream] = true
		mu.Unlock()
		sse.SetHeader(w.Header())
		fmt.Fprint(w, "id: e-0\nevent: ssehub.hello\ndata: {\"epoch\":\"e\",\"verdict\":\"fresh\"}\n\n")
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case text := <-stream:
				fmt.Fprint(w, text)
			case <-r.Context().Done():
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	code, out, errs := command(t, "", "bench", server.URL, "-c", "4", "-r", "100", "-d", "100ms")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "lost       4\ndoubled    4\n")
	require.Contains(t, errs, "something was lost")
}

func TestBenchIsBounded(t *testing.T) {
	for _, args := range [][]string{{"-c", "2001"}, {"-r", "2001"}, {"-d", "301s"}, {"-r", "0"}, {"-c", "0"}} {
		code, _, _ := command(t, "", append([]string{"bench", "127.0.0.1:1"}, args...)...)
		require.Equal(t, exitFailed, code)
	}
}
