package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub/sse"
)

// script is a server of event streams that answers each request with the next text, and
// ends it. Behind the last its answer is status 204.
func script(t *testing.T, texts ...string) string {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n == len(texts) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		sse.SetHeader(w.Header())
		fmt.Fprint(w, strings.ReplaceAll(texts[n], "LAST", r.Header.Get("Last-Event-ID")))
		n++
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// records parses the output of --jsonl.
func records(t *testing.T, out string) (list []record) {
	t.Helper()
	for text := range strings.Lines(out) {
		if !strings.HasSuffix(text, "\n") {
			break // it is being written
		}
		var r record
		require.NoError(t, json.Unmarshal([]byte(text), &r), text)
		list = append(list, r)
	}
	return list
}

// To a pipe goes the data alone; connects and gaps go to standard error.
func TestCatText(t *testing.T) {
	url := script(t, "retry: 1\n\nid: 1\nevent: paid\ndata: a\ndata: b\n\n",
		"id: 1\nevent: ssehub.gap\ndata: {\"reason\":\"window\",\"from\":\"1\",\"to\":\"7\",\"topic\":\"news\"}\n\nid: 8\ntopic: news\ndata: behind LAST\n\n")
	code, out, errs := command(t, "", "cat", url)
	require.Equal(t, exitOK, code)
	require.Equal(t, "a\nb\nbehind 1\n", out)
	require.Contains(t, errs, "-- open\n")
	require.Contains(t, errs, "-- no connection: EOF; again in ")
	require.Contains(t, errs, "-- gap: events are missing, reason window, topic news, behind 1, up to 7\n")
}

func TestCatVerbose(t *testing.T) {
	url := script(t, "id: 1\nevent: paid\ntopic: shop\ndata: a\n\n")
	code, out, errs := command(t, "", "cat", "-vq", url)
	require.Equal(t, exitOK, code)
	require.Equal(t, "1  shop  paid  a\n", out)
	require.Empty(t, errs)
	url = script(t, "id: 1\ndata: a\n\n")
	_, out, _ = command(t, "", "cat", "-vq", "--color", "always", url)
	require.Equal(t, "\x1b[2m1\x1b[0m  a\n", out)
}

// Who gets no stream is told what the server says of it.
func TestCatRefused(t *testing.T) {
	_, url := serve(t, nil, "--anonymous", "news", "--publish-token", testToken)
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitFailed, `"no topic; name one with ?topic="`},
		{[]string{"-t", "orders"}, exitRefused, `refused: sse: response status "403 Forbidden": "forbidden"`},
	} {
		code, _, errs := command(t, "", append([]string{"cat", url}, tt.args...)...)
		require.Equal(t, tt.code, code)
		require.Contains(t, errs, tt.says)
	}
}

// On a terminal there are colours, unless NO_COLOR is set, and what comes from the server
// can do nothing to it.
func TestCatTerminal(t *testing.T) {
	program, err := exec.LookPath("script")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for env, want := range map[string]string{
		"NO_COLOR=":  "\x1b[2m1\x1b[0m  \x1b[33mpaid\x1b[0m  a\ufffd[31mred\r\n",
		"NO_COLOR=1": "1  paid  a\ufffd[31mred\r\n",
	} {
		url := script(t, "id: 1\nevent: paid\ndata: a\x1b[31mred\n\n")
		cmd := exec.Command(program, "-qec", os.Args[0]+" cat -q "+url, filepath.Join(t.TempDir(), "typescript"))
		cmd.Env = append(os.Environ(), childEnv+"=1", env, "TERM=xterm", "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, string(out))
	}
}

func TestCatJSONL(t *testing.T) {
	url := script(t, "retry: 1\n\nid: 1\nevent: paid\ntopic: shop\ndata: <a>\ndata: b\n\n",
		"event: ssehub.gap\ndata: {\"reason\":\"epoch\",\"from\":\"1\",\"to\":\"7\"}\n\ndata\n\n")
	code, out, errs := command(t, "", "cat", "--jsonl", url)
	require.Equal(t, exitOK, code)
	require.Empty(t, errs)
	ab, empty := "<a>\nb", ""
	want := []record{
		{Kind: "state", State: "connecting"},
		{Kind: "state", State: "open"},
		{Kind: "message", ID: "1", Type: "paid", Topic: "shop", Data: &ab},
		{Kind: "retry", Error: "EOF"},
		{Kind: "state", State: "waiting"},
		{Kind: "state", State: "connecting"},
		{Kind: "state", State: "open"},
		{Kind: "gap", ID: "1", Reason: "epoch", From: "1", To: "7"},
		{Kind: "message", ID: "1", Type: "message", Data: &empty},
		{Kind: "retry", Error: "EOF"},
		{Kind: "state", State: "waiting"},
		{Kind: "state", State: "connecting"},
		{Kind: "state", State: "closed"},
	}
	got := records(t, out)
	for i := range got {
		got[i].WaitMs = 0
	}
	require.ElementsMatch(t, want, got)
}

// Each way to end has its code.
func TestCatExitCodes(t *testing.T) {
	const events = "id: 1\nevent: a\ndata: 1\n\nid: 2\nevent: b\ndata: 2\n\nevent: ssehub.gap\ndata: {\"reason\":\"window\"}\n\nid: 3\ndata: 3\n\n"
	status := func(code int) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(server.Close)
		return server.URL
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		out  string
	}{
		"-n":                   {[]string{script(t, events), "-n", "1"}, 0, "1\n"},
		"--until":              {[]string{script(t, events), "--until", "b"}, 0, "1\n2\n"},
		"--until message":      {[]string{script(t, events), "--until", "message"}, 0, "1\n2\n3\n"},
		"--once":               {[]string{script(t, events, events), "--once"}, 0, "1\n2\n3\n"},
		"status 204":           {[]string{script(t)}, 0, ""},
		"no URL":               {nil, 1, ""},
		"another scheme":       {[]string{"ftp://127.0.0.1/"}, 1, ""},
		"a header of no value": {[]string{"127.0.0.1", "-H", "x"}, 1, ""},
		"no such flag":         {[]string{"127.0.0.1", "--util", "b"}, 1, ""},
		"status 404":           {[]string{status(404)}, 1, ""},
		"no server":            {[]string{"http://127.0.0.1:1", "--once"}, 1, ""},
		"status 401":           {[]string{status(401)}, 2, ""},
		"status 403":           {[]string{status(403)}, 2, ""},
		"permission taken":     {[]string{script(t, "id: ssehub.revoked\nevent: ssehub.revoked\ndata: {}\n\n")}, 2, ""},
		"--fail-on-gap":        {[]string{script(t, events), "--fail-on-gap"}, 3, "1\n2\n"},
		"a gap":                {[]string{script(t, events), "--once"}, 0, "1\n2\n3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, "", append([]string{"cat"}, tt.args...)...)
			require.Equal(t, tt.code, code, errs)
			require.Equal(t, tt.out, out)
			if code != 0 {
				require.Contains(t, errs, "ssehub: ")
			}
		})
	}
}

func TestCatInterrupted(t *testing.T) {
	_, url := serve(t, nil, "--anonymous", ">")
	p := start(t, nil, nil, "cat", url, "-t", "news")
	require.Eventually(t, func() bool { return strings.Contains(p.err.String(), "fresh") }, patience, 5*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	require.Equal(t, exitInterrupted, p.wait())
}

// What -t, --since, -H and --token put into a request.
func TestCatRequest(t *testing.T) {
	got := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	code, _, errs := command(t, "", "cat", host, "-t", "a,b", "-t", "c.*", "--since", "x-7", "-H", "X-One: 1", "-H", "Host: app.example", "--token", "secret")
	require.Equal(t, exitOK, code, errs)
	r := <-got
	require.Equal(t, "/events", r.URL.Path)
	require.Equal(t, []string{"a,b", "c.*"}, r.URL.Query()["topic"])
	require.Equal(t, "x-7", r.Header.Get("Last-Event-ID"))
	require.Equal(t, "1", r.Header.Get("X-One"))
	require.Equal(t, "app.example", r.Host)
	require.Equal(t, "Bearer secret", r.Header.Get("Authorization"))

	code, _, _ = command(t, "", "cat", server.URL+"/other?x=1%2B")
	require.Equal(t, exitOK, code)
	require.Equal(t, "/other?x=1%2B", (<-got).URL.String(), "a URL with a path is as it is")
}
