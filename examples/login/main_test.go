package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/sse"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// user is somebody with a browser's cookies.
type user struct {
	t    *testing.T
	url  string
	http http.Client
}

func newUser(t *testing.T, server *httptest.Server, name string) *user {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	u := &user{t: t, url: server.URL, http: http.Client{Jar: jar, Transport: transport}}
	require.Equal(t, 200, u.post("/login", url.Values{"user": {name}}))
	return u
}

func (u *user) post(path string, form url.Values) int {
	u.t.Helper()
	res, err := u.http.PostForm(u.url+path, form)
	require.NoError(u.t, err)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// read opens the stream of topic, and returns what reads the next event of it.
func (u *user) read(topic string, header ...string) (int, func() sse.Message) {
	u.t.Helper()
	req, err := http.NewRequestWithContext(u.t.Context(), http.MethodGet, u.url+"/events?topic="+topic, nil)
	require.NoError(u.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := u.http.Do(req)
	require.NoError(u.t, err)
	u.t.Cleanup(func() { res.Body.Close() })
	dec := sse.NewDecoder(res.Body)
	return res.StatusCode, func() (m sse.Message) {
		require.NoError(u.t, dec.Decode(&m))
		return m
	}
}

func TestLogin(t *testing.T) {
	app := newApp()
	server := httptest.NewServer(app.handler())
	defer server.Close()
	defer app.hub.Close()
	alice, bob := newUser(t, server, "alice"), newUser(t, server, "bob")

	status, tab := alice.read("to.alice")
	require.Equal(t, 200, status)
	require.Equal(t, sse.TypeHello, tab().Type)
	_, other := alice.read("to.alice")
	other()
	_, bobs := bob.read("to.bob")
	bobs()
	for _, topic := range []string{"to.bob", "to.*", ">", "to.alice&topic=to.bob"} {
		status, _ := alice.read(topic)
		require.Equal(t, 403, status, topic)
	}

	require.Equal(t, 200, bob.post("/say", url.Values{"to": {"alice"}, "text": {"hi"}}))
	require.Equal(t, "bob: hi", string(tab().Data))
	require.Equal(t, "bob: hi", string(other().Data))

	require.Equal(t, 200, alice.post("/logout", nil))
	require.Equal(t, sse.TypeRevoked, tab().Type)
	require.Equal(t, sse.TypeRevoked, other().Type)
	status, _ = alice.read("to.alice", "Last-Event-ID", sse.IDRevoked) // as her browser does
	require.Equal(t, 204, status)
	status, _ = alice.read("to.alice")
	require.Equal(t, 403, status)
	require.Equal(t, 401, alice.post("/say", url.Values{"to": {"bob"}, "text": {"hi"}}))
	// A stream is counted until its handler has returned, which the last line does not wait for.
	require.Eventually(t, func() bool { return app.hub.Stats().Subscribers == 1 }, 10*time.Second, time.Millisecond, "bob stays")
}

// A page of another site has the user's cookie, and gets nothing with it.
func TestAnotherSite(t *testing.T) {
	app := newApp()
	server := httptest.NewServer(app.handler())
	defer server.Close()
	defer app.hub.Close()
	alice := newUser(t, server, "alice")
	status, _ := alice.read("to.alice", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	require.Equal(t, 403, status)
}
