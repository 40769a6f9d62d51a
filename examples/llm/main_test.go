package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/client"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// start serves a model that writes what it is told to.
func start(t *testing.T, pieces <-chan string) (*answers, *httptest.Server) {
	a := newAnswers(func(ctx context.Context, _ string, write func(string) error) error {
		for {
			select {
			case piece, more := <-pieces:
				if !more {
					return nil
				}
				if err := write(piece); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	server := httptest.NewServer(a.handler())
	t.Cleanup(func() {
		a.stopAll()
		a.hub.Close()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return a, server
}

func ask(t *testing.T, server *httptest.Server, prompt string) (topic string) {
	t.Helper()
	res, err := http.Post(server.URL+"/ask", "text/plain", strings.NewReader(prompt))
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode, "%s", body)
	return string(body)
}

// reader is what a page makes of the events.
type reader struct {
	t    *testing.T
	sub  *client.Subscription
	now  state
	seen int // tokens
}

func read(t *testing.T, server *httptest.Server, topic string) *reader {
	sub := client.Subscribe(t.Context(), server.URL+"/events?topic="+topic, nil)
	t.Cleanup(func() {
		sub.Close()
		for range sub.Events() { // until it has ended
		}
	})
	return &reader{t: t, sub: sub}
}

// until reads until the text ends with suffix.
func (r *reader) until(suffix string) {
	r.t.Helper()
	for m := range r.sub.Events() {
		switch m.Type {
		case "answer", "done":
			require.NoError(r.t, json.Unmarshal(m.Data, &r.now))
		case "token":
			var next token
			require.NoError(r.t, json.Unmarshal(m.Data, &next))
			require.Equal(r.t, len(r.now.Text), next.At)
			r.now.Text += next.Text
			r.seen++
		}
		if r.now.Done || suffix != "" && strings.HasSuffix(r.now.Text, suffix) {
			return
		}
	}
	r.t.Fatal(r.sub.Err())
}

// Who comes in the middle gets the answer so far and then its words, and who comes
// when it is over gets all of it.
func TestAnswer(t *testing.T) {
	pieces := make(chan string)
	_, server := start(t, pieces)
	topic := ask(t, server, "why <b>?")
	first := read(t, server, topic)
	pieces <- "one "
	first.until("one ")
	pieces <- "zwölf "
	first.until("zwölf ")
	second := read(t, server, topic)
	second.until("zwölf ")
	require.Zero(t, second.seen)
	first.sub.Close() // the writer does not care
	pieces <- "three"
	second.until("three")
	require.Equal(t, 1, second.seen)
	close(pieces)
	second.until("")
	late := read(t, server, topic)
	late.until("")
	for _, r := range []*reader{second, late} {
		require.Equal(t, state{Prompt: "why <b>?", Text: "one zwölf three", Done: true}, r.now)
	}
}

// Stop ends an answer for all who read it, and only that.
func TestStop(t *testing.T) {
	pieces := make(chan string)
	_, server := start(t, pieces)
	topic := ask(t, server, "why?")
	reader := read(t, server, topic)
	pieces <- "because "
	reader.until("because ")
	for topic, status := range map[string]int{topic: 200, "answer.other": 404} {
		res, err := http.PostForm(server.URL+"/stop", url.Values{"topic": {topic}})
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, status, res.StatusCode)
	}
	reader.until("")
	require.Equal(t, state{Prompt: "why?", Text: "because ", Done: true, Error: "stopped"}, reader.now)
}

func TestRefused(t *testing.T) {
	a, server := start(t, nil)
	topic := ask(t, server, "why?")
	for _, query := range []string{"topic=answer.x", "topic=>", "topic=answer.*", "topic=" + topic + "&topic=answer.x", ""} {
		res, err := http.Get(server.URL + "/events?" + query)
		require.NoError(t, err)
		res.Body.Close()
		require.Contains(t, []int{400, 403}, res.StatusCode, query)
	}
	for _, prompt := range []string{"", " \n", strings.Repeat("x", maxPrompt+1)} {
		res, err := http.Post(server.URL+"/ask", "text/plain", strings.NewReader(prompt))
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, 400, res.StatusCode)
	}
	require.Len(t, a.byTopic, 1)
}

// The program answers, and says how answers end when it is told to end.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error)
	go func() { ended <- run(ctx, "127.0.0.1:0", time.Hour, in) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	server := &httptest.Server{URL: regexp.MustCompile(`http://[0-9.:]+`).FindString(line)}
	reader := read(t, server, ask(t, server, "why?"))
	m := <-reader.sub.Events()
	for m.Type != "answer" {
		m = <-reader.sub.Events()
	}
	cancel()
	reader.until("")
	require.Equal(t, "the server is shutting down", reader.now.Error)
	reader.sub.Close()
	require.NoError(t, <-ended)
	in.Close()
	http.DefaultClient.CloseIdleConnections()

	var all strings.Builder
	require.NoError(t, imitation(time.Microsecond)(t.Context(), "why?", func(piece string) error {
		all.WriteString(piece)
		return nil
	}))
	require.Equal(t, answerTo("why?"), all.String())
}
