package sse_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// answer serves a hand-written stream.
func answer(stream string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream)
	}
}

// An event as it was, once its Data was read.
type event struct{ uri, typ, id, data string }

func drain(t *testing.T, evCh chan *sse.Event) (events []event) {
	t.Helper()
	for len(evCh) > 0 {
		ev := <-evCh
		data, err := io.ReadAll(ev.Data)
		require.NoError(t, err)
		events = append(events, event{ev.URI, ev.Type, ev.ID, string(data)})
	}
	return events
}

// What the seed got wrong. The events are read when all have come: each must
// have its own Data.
func TestNotify(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for name, tt := range map[string]struct {
		stream string
		want   []event // without the URI
	}{
		"lagging reader": {
			"data: " + long + "0\n\ndata: " + long + "1\n\ndata: " + long + "2\n\n",
			[]event{{data: long + "0"}, {data: long + "1"}, {data: long + "2"}},
		},
		"lines":            {"data: one\ndata: two\n\n", []event{{data: "one\ntwo"}}},
		"spaces":           {"data:   x \n\n", []event{{data: "  x "}}},
		"lone CR":          {"data: a\rdata: b\r\rdata: c\r\r", []event{{data: "a\nb"}, {data: "c"}}},
		"byte order mark":  {"\uFEFFdata: x\n\n", []event{{data: "x"}}},
		"id carried over":  {"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []event{{id: "1", data: "a"}, {id: "1", data: "b"}, {data: "c"}}},
		"no data no event": {"id: 1\n\nevent: t\n\nretry: 5\n\n:\n\n", nil},
		"empty data":       {"data\n\n", []event{{}}},
		"type":             {"event: t\ndata: a\n\ndata: b\n\n", []event{{typ: "t", data: "a"}, {data: "b"}}},
		"unfinished":       {"data: a\n\ndata: half\n", []event{{data: "a"}}},
		"nothing":          {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := ssetest.NewServer(answer(tt.stream))
			defer server.Close()
			evCh := make(chan *sse.Event, 10)
			require.NoError(t, sse.Notify(server.URL, server.Client(), nil, evCh))
			for i := range tt.want {
				tt.want[i].uri = server.URL
			}
			require.Equal(t, tt.want, drain(t, evCh))
			evCh <- nil // it is the caller's channel: still open
		})
	}
}

func TestNotifyNilChan(t *testing.T) {
	require.ErrorIs(t, sse.Notify("http://ssetest", nil, nil, nil), sse.ErrNilChan)
}

// The defaults stand in for nil, and the request asks for a stream.
func TestNotifyDefaults(t *testing.T) {
	var accept string
	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accept = r.Method + " " + r.Header.Get("Accept")
		answer("data: x\n\n")(w, r)
	}))
	defer server.Close()
	client, getReq := sse.DefaultClient, sse.DefaultGetReq
	defer func() { sse.DefaultClient, sse.DefaultGetReq = client, getReq }()
	sse.DefaultClient = server.Client()
	var asked []any
	sse.DefaultGetReq = func(verb, uri string, body io.Reader) (*http.Request, error) {
		asked = []any{verb, uri, body}
		return getReq(verb, uri, body)
	}
	evCh := make(chan *sse.Event, 1)
	require.NoError(t, sse.Notify(server.URL, nil, nil, evCh))
	require.Len(t, drain(t, evCh), 1)
	require.Equal(t, []any{"GET", server.URL, nil}, asked)
	require.Equal(t, "GET text/event-stream", accept)
}

// Faults 24, 25 and 26: what is no event stream is an error that says what it
// was, with a bounded part of its body.
func TestNotifyResponseError(t *testing.T) {
	for _, tt := range []struct {
		status      int
		contentType string
		body        string
		ok          bool
	}{
		{200, "text/event-stream", "", true},
		{200, "text/event-stream;charset=utf-8", "", true},
		{200, "Text/Event-Stream ; charset=\"utf-8\"", "", true},
		{200, "text/event-stream; charset", "", true},
		{200, "text/event-stream; charset=utf-8; charset=utf-8", "", true},
		{200, "text/event-stream;", "", true},
		{200, "text/html", "<p>", false},
		{200, "application/json", "{}", false},
		{200, "text/event-streams", "", false},
		{200, "text/event-stream, text/html", "", false},
		{200, "", "x", false},
		{201, "text/event-stream", "data: x\n\n", false},
		{204, "", "", false},
		{404, "text/plain", "not here", false},
		{500, "text/event-stream", "data: x\n\n", false},
		{503, "text/plain", strings.Repeat("x", 1<<20), false},
	} {
		server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{tt.contentType}
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}))
		evCh := make(chan *sse.Event, 1)
		err := sse.Notify(server.URL, server.Client(), nil, evCh)
		server.Close()
		if tt.ok {
			require.NoError(t, err, tt.contentType)
			continue
		}
		var res *sse.ResponseError
		require.ErrorAs(t, err, &res, "%d %s", tt.status, tt.contentType)
		require.Equal(t, tt.status, res.StatusCode)
		require.Equal(t, "7", res.Header.Get("Retry-After"))
		require.Equal(t, tt.body[:min(len(tt.body), 64<<10)], string(res.Body))
		if tt.status == http.StatusOK {
			require.ErrorContains(t, err, `"`+tt.contentType+`"`)
		} else {
			require.ErrorContains(t, err, http.StatusText(tt.status))
		}
		require.Empty(t, evCh)
	}
}

// The error says what the server does, if that is plain text: one line, none too long,
// and nothing that a terminal would heed.
func TestResponseErrorSaysWhy(t *testing.T) {
	for _, tt := range []struct{ contentType, body, want string }{
		{"text/plain; charset=utf-8", "no topic; name one with ?topic=\n", `: "no topic; name one with ?topic="`},
		{"Text/Plain", "a\x1b[31m\"b\nc", `: "a\x1b[31m\"b"`},
		{"text/plain", strings.Repeat("é", 300), `: "` + strings.Repeat("é", 200) + `"`},
		{"text/plain", "\nx", ""},
		{"text/plain", "", ""},
		{"text/html", "<p>", ""},
		{"application/json", "{}", ""},
	} {
		err := &sse.ResponseError{StatusCode: 403, Status: "403 Forbidden", Body: []byte(tt.body),
			Header: http.Header{"Content-Type": {tt.contentType}}}
		require.EqualError(t, err, `sse: response status "403 Forbidden"`+tt.want)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Errors are wrapped, so that their causes can be asked for.
func TestNotifyCauses(t *testing.T) {
	evCh := make(chan *sse.Event, 1)
	err := sse.Notify("http://ssetest", nil, func(string, string, io.Reader) (*http.Request, error) { return nil, errGone }, evCh)
	require.ErrorIs(t, err, errGone)

	fails := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errGone })}
	require.ErrorIs(t, sse.Notify("http://ssetest", fails, nil, evCh), errGone)

	for want, body := range map[error]io.ReadCloser{
		io.ErrUnexpectedEOF:  brokenBody{strings.NewReader("data: x\n"), io.ErrUnexpectedEOF},
		errGone:              brokenBody{strings.NewReader(""), errGone},
		sse.ErrEventTooLarge: brokenBody{strings.NewReader("data: " + strings.Repeat("x", 2<<20)), io.EOF},
	} {
		breaks := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			header := http.Header{"Content-Type": {"text/event-stream"}}
			return &http.Response{StatusCode: http.StatusOK, Header: header, Body: body, Request: r}, nil
		})}
		require.ErrorIs(t, sse.Notify("http://ssetest", breaks, nil, evCh), want)
	}
}

type brokenBody struct {
	text *strings.Reader
	err  error
}

func (b brokenBody) Close() error { return nil }

func (b brokenBody) Read(p []byte) (int, error) {
	if n, _ := b.text.Read(p); n > 0 {
		return n, nil
	}
	return 0, b.err
}

// Faults 30: the request's context ends Notify at once, wherever it waits.
func TestNotifyCancel(t *testing.T) {
	wait := func(r *http.Request) { <-r.Context().Done() }
	for name, handler := range map[string]http.HandlerFunc{
		"headers": func(_ http.ResponseWriter, r *http.Request) { wait(r) },
		"body": func(w http.ResponseWriter, r *http.Request) {
			answer(":\n")(w, r)
			_ = http.NewResponseController(w).Flush()
			wait(r)
		},
		"send": answer("data: nobody receives\n\n"),
		"dial": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nobody := ssetest.Listen()
				defer nobody.Close() // the transport goes on with a dial for the next request
				client := &http.Client{Transport: &http.Transport{DialContext: nobody.Dial}}
				if handler != nil {
					server := ssetest.NewServer(handler)
					defer server.Close()
					client = server.Client()
				}
				ctx, cancel := context.WithCancel(t.Context())
				getReq := func(verb, uri string, body io.Reader) (*http.Request, error) {
					return http.NewRequestWithContext(ctx, verb, uri, body)
				}
				ended := make(chan error)
				go func() { ended <- sse.Notify("http://ssetest", client, getReq, make(chan *sse.Event)) }()
				time.Sleep(time.Hour)
				synctest.Wait()
				start := time.Now()
				cancel()
				err := <-ended
				require.ErrorIs(t, err, context.Canceled)
				require.Zero(t, time.Since(start))
			})
		})
	}
}
