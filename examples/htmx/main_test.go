package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/client"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func start(t *testing.T) (*board, string) {
	b := newBoard("")
	server := httptest.NewServer(b.handler())
	t.Cleanup(func() {
		b.hub.Close()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return b, server.URL
}

func add(t *testing.T, url_, text string) {
	t.Helper()
	res, err := http.PostForm(url_+"/add", url.Values{"text": {text}})
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 200, res.StatusCode, "sent back to the page")
}

func render(t *testing.T, url string) (html, after string) {
	t.Helper()
	res, err := http.Get(url + "/")
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(`sse-connect="events\?lastEventID=([^"]+)"`).FindSubmatch(text)
	require.NotNil(t, found, "%s", text)
	return string(text), string(found[1])
}

// What is published while a page is on its way is in its stream, and nothing that is in
// the page.
func TestHandOver(t *testing.T) {
	b, url := start(t)
	for _, text := range []string{"one", "<b>two</b> & more"} {
		add(t, url, text)
	}
	html, after := render(t, url)
	require.Contains(t, html, "<span>one</span>")
	require.Contains(t, html, "<span>&lt;b&gt;two&lt;/b&gt; &amp; more</span>")
	require.Less(t, strings.Index(html, "two&lt;"), strings.Index(html, "<span>one"), "the newest comes first")
	add(t, url, "three")
	sub := client.Subscribe(t.Context(), url+"/events?lastEventID="+after, nil)
	defer func() {
		sub.Close()
		for range sub.Events() { // until it has ended
		}
	}()
	m := <-sub.Events()
	require.Equal(t, "item", m.Type)
	require.Contains(t, string(m.Data), "<span>three</span></li>")
	require.Equal(t, b.hub.Position().String(), m.ID)
	require.Zero(t, sub.Gaps())

	for range shown + 5 {
		add(t, url, "more")
	}
	html, _ = render(t, url)
	require.Equal(t, shown, strings.Count(html, "<li>"))
}

// A script is told that the stream brings it, and nothing of another site is taken.
func TestAdd(t *testing.T) {
	b, url := start(t)
	for name, tt := range map[string]struct {
		text   string
		header http.Header
		status int
	}{
		"htmx":         {"x", http.Header{"Hx-Request": {"true"}}, 204},
		"nothing":      {" ", nil, 400},
		"too much":     {strings.Repeat("x", maxText+1), nil, 400},
		"another site": {"x", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, url+"/add", strings.NewReader("text="+tt.text))
			require.NoError(t, err)
			for k, v := range tt.header {
				req.Header[k] = v
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			res.Body.Close()
			require.Equal(t, tt.status, res.StatusCode)
		})
	}
	require.EqualValues(t, 1, b.hub.Stats().Published)
}

// The program says where it is, and ends when it is told to.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error)
	go func() { ended <- run(ctx, "127.0.0.1:0", "", in) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	html, _ := render(t, regexp.MustCompile(`http://[0-9.:]+`).FindString(line))
	require.Contains(t, html, "integrity=")
	cancel()
	require.NoError(t, <-ended)
	in.Close()
	http.DefaultClient.CloseIdleConnections()
}
