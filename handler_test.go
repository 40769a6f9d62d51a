package ssehub_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

func allowAll(*http.Request, []string) (ssehub.Grant, error) {
	return ssehub.Grant{}, nil
}

// Faults 42, 49, 54, 55, 87: what is no proper request for a stream gets a
// plain answer that repeats nothing of it.
func TestHandlerRefuses(t *testing.T) {
	open := newHub(t, nil)
	asking := newHub(t, &ssehub.Options{Authorize: allowAll, MaxTopics: 3})
	denying := newHub(t, &ssehub.Options{Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
		return ssehub.Grant{}, errors.New("secret reason")
	}})
	expired := newHub(t, &ssehub.Options{Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
		return ssehub.Grant{Expires: time.Now()}, nil
	}})
	careless := newHub(t, &ssehub.Options{Authorize: func(_ *http.Request, topics []string) (ssehub.Grant, error) {
		clear(topics)
		return ssehub.Grant{}, errors.New("no")
	}})
	type test struct {
		name    string
		handler http.Handler
		method  string
		target  string
		body    string
		status  int
		says    string
	}
	tests := []test{
		{name: "POST", handler: open.Handler("n"), method: "POST", status: 405},
		{name: "PUT", handler: open.Handler("n"), method: "PUT", status: 405},
		{name: "OPTIONS", handler: open.Handler("n"), method: "OPTIONS", status: 204},
		{name: "HEAD", handler: open.Handler("n"), method: "HEAD", status: 200},
		{name: "GET with a body", handler: open.Handler("n"), body: "x", status: 400},
		{name: "topics without an authorizer", handler: open.Handler(), target: "/?topic=n", status: 403, says: `Options.Authorize; fixed ones do not: hub.Handler("news")`},
		{name: "no topic", handler: asking.Handler(), target: "/?stream=n", status: 400, says: "no topic; name one with ?topic="},
		{name: "too many topics", handler: asking.Handler(), target: "/?topic=a&topic=b&topic=c&topic=d", status: 400, says: "Options.MaxTopics"},
		{name: "ten thousand topics", handler: asking.Handler(), target: "/?" + strings.Repeat("topic=a&", 10_000), status: 400},
		{name: "denied", handler: denying.Handler("n"), status: 403},
		{name: "denied by request", handler: denying.Handler(), target: "/?topic=n", status: 403},
		{name: "expired", handler: expired.Handler("n"), status: 403},
		{name: "expired HEAD", handler: expired.Handler("n"), method: "HEAD", status: 403},
		{name: "an authorizer that changes its argument", handler: careless.Handler("n"), status: 403},
		{name: "and again", handler: careless.Handler("n"), status: 403},
		{name: "handler with a bad topic", handler: open.Handler("a b"), status: 500, says: "the handler has an invalid topic"},
	}
	for _, topic := range invalidTopics {
		tests = append(tests, test{
			name: "topic " + topic, handler: asking.Handler(), target: "/?topic=" + url.QueryEscape(topic), status: 400, says: "ErrInvalidTopic",
		})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			if tt.target == "" {
				tt.target = "/"
			}
			rec := httptest.NewRecorder()
			tt.handler.ServeHTTP(rec, httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))
			require.Equal(t, tt.status, rec.Code)
			require.NotContains(t, rec.Body.String(), "secret")
			require.Contains(t, rec.Body.String(), tt.says)
			if tt.status == 405 || tt.status == 204 {
				require.Equal(t, "GET, HEAD, OPTIONS", rec.Header().Get("Allow"))
			}
			if tt.status >= 400 {
				require.Equal(t, "text/plain; charset=utf-8", rec.Header().Get("Content-Type"))
				require.Equal(t, "nosniff", rec.Header().Get("X-Content-Type-Options"))
				if topic, ok := strings.CutPrefix(tt.name, "topic "); ok {
					require.NotContains(t, rec.Body.String(), topic)
				}
			} else {
				require.Empty(t, rec.Body.String())
			}
		})
	}
	require.Zero(t, asking.Stats().Topics, "nothing of this reached the log")
}

// Faults 42: a body of unknown length is a body.
func TestHandlerRefusesChunkedBody(t *testing.T) {
	hub := newHub(t, nil)
	req := httptest.NewRequest(http.MethodGet, "/", io.MultiReader(strings.NewReader("x")))
	require.EqualValues(t, -1, req.ContentLength)
	rec := httptest.NewRecorder()
	hub.Handler("n").ServeHTTP(rec, req)
	require.Equal(t, http.StatusBadRequest, rec.Code)
}

// Faults 89: the head tells caches and proxies to keep out.
func TestHandlerHead(t *testing.T) {
	hub := newHub(t, nil)
	rec, _ := stream(t, hub.Handler("n"), "/", "")
	require.NoError(t, rec.Wait(t.Context(), 1))
	if over != "recorder" {
		rec.Header().Set("Connection", "close") // clients do not show it
	}
	require.Equal(t, http.Header{
		"Content-Type":           {"text/event-stream"},
		"Cache-Control":          {"no-store, no-transform"},
		"X-Accel-Buffering":      {"no"},
		"X-Content-Type-Options": {"nosniff"},
		"Connection":             {"close"},
	}, rec.Header())
	require.Equal(t, http.StatusOK, rec.Status())
}

// Authorize runs on every connect, before anything is replayed, and sees the
// topics as asked. Faults 81.
func TestAuthorizeEachConnect(t *testing.T) {
	allowed := true
	var asked [][]string
	hub := newHub(t, &ssehub.Options{Authorize: func(r *http.Request, topics []string) (ssehub.Grant, error) {
		asked = append(asked, topics)
		if !allowed {
			return ssehub.Grant{}, errors.New("revoked")
		}
		return ssehub.Grant{Subject: "ann"}, nil
	}})
	id := publish(t, hub, "a", "1")
	publish(t, hub, "b", "2")
	rec, end := stream(t, hub.Handler(), "/?topic=a&topic=b&topic=a", id)
	require.NoError(t, rec.Wait(t.Context(), 2))
	require.Equal(t, []string{"2"}, texts(rec.Messages()))
	require.Equal(t, "b", rec.Messages()[1].Topic)
	end()

	allowed = false
	rec, _ = stream(t, hub.Handler(), "/?topic=a&topic=b", id)
	require.Eventually(t, func() bool { return rec.Status() == http.StatusForbidden }, 20*time.Second, time.Millisecond)
	require.Empty(t, rec.Messages())
	require.Equal(t, [][]string{{"a", "b"}, {"a", "b"}}, asked)
}

// Faults 82: a grant that expires ends the stream at that time.
func TestGrantExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
			return ssehub.Grant{Expires: time.Now().Add(2 * time.Second)}, nil
		}})
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		defer hub.Close()
		start := time.Now()
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

// Faults 62: a panic of the application's function is that request's alone.
func TestAuthorizePanics(t *testing.T) {
	hub := newHub(t, &ssehub.Options{Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
		panic("x")
	}})
	require.Panics(t, func() {
		hub.Handler("n").ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	})
	publish(t, hub, "n", "1")
	require.Zero(t, hub.Stats().Subscribers)
}
