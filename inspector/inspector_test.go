package inspector_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/ssehub-go/ssehub/inspector"
	"github.com/stretchr/testify/require"
)

// Every answer has the policy under which no script but the page's own runs, and no
// text becomes HTML. Fault 88.
func TestPolicy(t *testing.T) {
	s, end := inspect(t, nil, nil)
	defer end()
	for path, contentType := range map[string]string{
		"/inspector/":          "text/html; charset=utf-8",
		"/inspector/app.js":    "text/javascript; charset=utf-8",
		"/inspector/style.css": "text/css; charset=utf-8",
		"/inspector/icon.svg":  "image/svg+xml",
		"/inspector/none":      "text/plain; charset=utf-8",
	} {
		res, err := s.server.Client().Get(s.server.URL + path)
		require.NoError(t, err)
		res.Body.Close()
		policy := res.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'; script-src 'self';", path)
		require.Contains(t, policy, "frame-ancestors 'none'", path)
		require.Contains(t, policy, "require-trusted-types-for 'script'", path)
		require.NotContains(t, policy, "unsafe", path)
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, contentType, res.Header.Get("Content-Type"), path)
	}
}

// What changes something is a POST of the page itself: a page of another site gets
// nothing done with an operator's password, nor has the hub looked at.
func TestOtherSites(t *testing.T) {
	s, end := inspect(t, nil, &inspector.Options{Publish: func(*http.Request, string) bool { return true }})
	defer end()
	message := url.Values{"topic": {"n"}, "data": {"x"}}
	for name, tt := range map[string]struct {
		method, path string
		header       []string
		status       int
	}{
		"publish from another site":  {"POST", "publish", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"publish from a sibling":     {"POST", "publish", []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"publish from an old one":    {"POST", "publish", []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"close from another site":    {"POST", "close", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"publish from the page":      {"POST", "publish", []string{"Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		"publish from a shell":       {"POST", "publish", nil, http.StatusOK},
		"publish by GET":             {"GET", "publish", nil, http.StatusMethodNotAllowed},
		"close by GET":               {"GET", "close", nil, http.StatusMethodNotAllowed},
		"close by PUT":               {"PUT", "close", nil, http.StatusMethodNotAllowed},
		"look by POST":               {"POST", "look", nil, http.StatusMethodNotAllowed},
		"look from another site":     {"GET", "look", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"tail from another site":     {"GET", "tail", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"a link from another site":   {"GET", "", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusOK},
		"what there is not":          {"GET", "go.mod", nil, http.StatusNotFound},
		"the page by POST":           {"POST", "", nil, http.StatusMethodNotAllowed},
		"tail of what is no topic":   {"GET", "tail?topic=a..b", nil, http.StatusBadRequest},
		"close of nobody":            {"POST", "close", nil, http.StatusNotFound},
		"the head of a look is free": {"HEAD", "look", nil, http.StatusOK},
	} {
		before := s.hub.Stats().Published
		body := ""
		if tt.method == "POST" {
			body = message.Encode()
		}
		status, _ := s.do(tt.method, "/inspector/"+tt.path, body, tt.header...)
		require.Equal(t, tt.status, status, name)
		require.Equal(t, tt.status == http.StatusOK && tt.path == "publish", s.hub.Stats().Published > before, name)
	}
}
