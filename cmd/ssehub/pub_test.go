package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is published is what cat prints, from arguments and each kind of input.
func TestPub(t *testing.T) {
	_, url := serve(t, nil, "--anonymous", ">", "--publish-token", testToken)
	next := stream(t, url+"/events?topic=news&topic=other")
	for _, tt := range []struct {
		in   string
		args []string
		want []string // topic, type and data
	}{
		{"", []string{"-t", "news", "a", "b\nc"}, []string{"news  a", "news  b\nc"}},
		{"all of\nit", []string{"-t", "news", "--type", "paid"}, []string{"news paid all of\nit"}},
		{"one\ntwo\n\nlast", []string{"-t", "news", "--lines"}, []string{"news  one", "news  two", "news  ", "news  last"}},
		{`{"topic":"other","data":{"a":1}}` + "\n\n" + `{"type":"x","data":"y"}`, []string{"-t", "news", "--ndjson"}, []string{`other  {"a":1}`, "news x y"}},
		{"", []string{"-t", "news", "--ephemeral", "now"}, []string{"news  now"}},
	} {
		code, out, errs := command(t, tt.in, append([]string{"pub", url, "--token", testToken}, tt.args...)...)
		require.Equal(t, exitOK, code, errs)
		require.Empty(t, errs)
		ids := strings.Fields(out)
		for i, want := range tt.want {
			m := next()
			require.Equal(t, want, m.Topic+" "+m.Type+" "+string(m.Data))
			if tt.args[2] != "--ephemeral" {
				require.Equal(t, m.ID, ids[i])
			}
		}
	}
}

// Each way to fail has its code, and says which message it is about.
func TestPubExitCodes(t *testing.T) {
	_, url := serve(t, nil, "--publish-token", testToken, "--max-event", "1000")
	for name, tt := range map[string]struct {
		in   string
		args []string
		code int
		errs string
	}{
		"a wrong message among others": {"{\"data\":1}\n{\"topic\":\"a b\"}\n{\"data\":3}", []string{url, "-t", "news", "--ndjson", "--token", testToken}, 1, "message 2: "},
		"one that is too large":        {strings.Repeat("x", 5000) + "\na", []string{url, "-t", "news", "--lines", "--token", testToken}, 1, "message 1: larger"},
		"no JSON":                      {"{}\nx", []string{url, "-t", "news", "--ndjson", "--token", testToken}, 1, "line 2: "},
		"no UTF-8":                     {"\xff", []string{url, "-t", "news", "--token", testToken}, 1, "UTF-8"},
		"no topic":                     {"", []string{url, "x", "--token", testToken}, 1, "no topic"},
		"no token":                     {"", []string{url, "-t", "news", "x"}, 2, "401"},
		"no server":                    {"", []string{"127.0.0.1:1", "-t", "news", "x", "--retry-for", "0"}, 1, "refused"},
		"another path":                 {"", []string{url + "/other", "-t", "news", "x", "--token", testToken}, 1, "404"},
		"lines and arguments":          {"", []string{url, "-t", "news", "--lines", "x"}, 1, "--lines"},
		"one key for two":              {"", []string{url, "-t", "news", "x", "y", "--idempotency-key", "k"}, 1, "one message"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := command(t, tt.in, append([]string{"pub"}, tt.args...)...)
			require.Equal(t, tt.code, code, errs)
			require.Contains(t, errs, tt.errs)
		})
	}
}

// The same key given to two runs publishes once.
func TestPubIdempotencyKey(t *testing.T) {
	_, url := serve(t, nil, "--publish-token", testToken)
	args := []string{"pub", url, "-t", "news", "--token", testToken, "--idempotency-key", "order-7", "shipped"}
	_, first, _ := command(t, "", args...)
	_, second, _ := command(t, "", args...)
	require.NotEmpty(t, first)
	require.Equal(t, first, second)
}

// A message whose answer was lost is sent again with its key and no other is, and an
// ephemeral one is not.
func TestPubRetries(t *testing.T) {
	var requests [][]line
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var lines []line
		for dec := json.NewDecoder(r.Body); dec.More(); {
			var l line
			_ = dec.Decode(&l)
			lines = append(lines, l)
		}
		requests = append(requests, lines)
		switch len(requests) {
		case 1: // one is answered, then the connection is cut
			_, _ = w.Write([]byte(`{"id":"e-1"}` + "\n"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		default:
			for range lines {
				_, _ = w.Write([]byte(`{"id":"e-2"}` + "\n"))
			}
		}
	}))
	defer server.Close()
	code, out, errs := command(t, `{"data":1}
{"data":2}
{"data":3,"ephemeral":true}
{"data":4}`, "pub", server.URL, "-t", "news", "--ndjson")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "e-1\ne-2\ne-2\n", out)
	require.Contains(t, errs, "ephemeral, and not sent again")
	sent := map[string][]string{} // keys of each message
	for _, lines := range requests {
		for _, l := range lines {
			sent[string(l.Data)] = append(sent[string(l.Data)], l.IdempotencyKey)
		}
	}
	require.Len(t, sent["1"], 1)
	require.GreaterOrEqual(t, len(sent["2"]), 2)
	for _, key := range sent["2"] {
		require.NotEmpty(t, key)
		require.Equal(t, sent["2"][0], key)
	}
	require.NotEqual(t, sent["2"][0], sent["4"][0])
}
