package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// visitor is somebody's page.
type visitor struct {
	t    *testing.T
	url  string
	http *http.Client
	name string
	sub  *client.Subscription
}

func come(t *testing.T, server *ssetest.Server, name string) *visitor {
	v := &visitor{t: t, url: server.URL, http: server.Client(), name: name}
	v.sub = client.Subscribe(t.Context(), server.URL+"/events?topic=room.x&topic=people.x&user="+name,
		&client.Options{HTTPClient: server.Client()})
	return v
}

func (v *visitor) leave() {
	v.sub.Close()
	for range v.sub.Events() { // until it has ended
	}
}

func (v *visitor) post(path, key, text string) int {
	form := url.Values{"room": {"x"}, "user": {v.name}, "text": {text}}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.url+path, strings.NewReader(form.Encode()))
	require.NoError(v.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", key)
	res, err := v.http.Do(req)
	require.NoError(v.t, err)
	res.Body.Close()
	return res.StatusCode
}

// hears returns what comes until nothing more does: each event's type, and who or what
// it is about.
func (v *visitor) hears() (all []string) {
	v.t.Helper()
	for {
		synctest.Wait()
		select {
		case m := <-v.sub.Events():
			var data struct{ User, Text string }
			about := string(m.Data)
			if json.Unmarshal(m.Data, &data) == nil {
				about = strings.TrimSpace(data.User + " " + data.Text)
			}
			if m.Type == "lately" {
				var list []said
				require.NoError(v.t, json.Unmarshal(m.Data, &list))
				about = ""
				for _, s := range list {
					about += s.User + " " + s.Text + ";"
				}
			}
			all = append(all, m.Type+": "+about)
		default:
			return all
		}
	}
}

func TestChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChat()
		server := ssetest.NewServer(c.handler())
		defer server.Close()
		defer c.hub.Close()

		ann := come(t, server, "ann")
		require.ElementsMatch(t, []string{"lately: ", "here: ann"}, ann.hears())
		require.Equal(t, 200, ann.post("/say", "k1", "<b>hello</b>"))
		require.Equal(t, 200, ann.post("/say", "k1", "<b>hello</b>")) // she did not hear that it had come
		require.Equal(t, []string{"said: ann <b>hello</b>"}, ann.hears())

		bob := come(t, server, "bob")
		require.ElementsMatch(t, []string{"lately: ann <b>hello</b>;", "here: ann", "here: bob"}, bob.hears())
		require.Equal(t, []string{"here: bob"}, ann.hears())
		require.Equal(t, 200, bob.post("/typing", "", ""))
		require.Equal(t, []string{"typing: bob"}, ann.hears())

		other := come(t, server, "bob") // a second tab
		other.hears()
		bob.leave()
		time.Sleep(2 * presenceGrace)
		require.Empty(t, ann.hears())
		other.leave()
		bob = come(t, server, "bob") // it was loaded again
		time.Sleep(2 * presenceGrace)
		require.Empty(t, ann.hears())
		bob.leave()
		time.Sleep(2 * presenceGrace)
		require.Equal(t, []string{"gone: bob"}, ann.hears())

		ann.leave()
		time.Sleep(time.Hour)
		bob = come(t, server, "bob")
		require.ElementsMatch(t, []string{"lately: ann <b>hello</b>;", "here: bob"}, bob.hears(), "nobody says that ann is here")
		time.Sleep(presenceBeat)
		c.presence.tellAll()
		require.Equal(t, []string{"here: bob"}, bob.hears())
		bob.leave()
		time.Sleep(2 * presenceGrace)
		synctest.Wait()
		require.Empty(t, c.presence.tabs)
		require.Empty(t, c.presence.going)
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChat()
		server := ssetest.NewServer(c.handler())
		defer server.Close()
		defer c.hub.Close()
		for _, query := range []string{"topic=room.x", "user=ann&topic=%3E", "user=ann&topic=room.*", "user=a.b&topic=room.x", "user=ann&topic=room.x.y"} {
			res, err := server.Client().Get(server.URL + "/events?" + query)
			require.NoError(t, err)
			res.Body.Close()
			require.Equal(t, 403, res.StatusCode, query)
		}
		ann := &visitor{t: t, url: server.URL, http: server.Client(), name: "ann"}
		require.Equal(t, 400, ann.post("/say", "", ""))
		require.Equal(t, 400, ann.post("/say", "", strings.Repeat("x", maxText+1)))
		require.Equal(t, 400, (&visitor{t: t, url: server.URL, http: server.Client(), name: "Ann!"}).post("/say", "", "hi"))
	})
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
	res, err := http.Get(url + "/")
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	require.NotContains(t, res.Header.Get("Content-Security-Policy"), "unsafe")
	res, err = http.Get(url + "/events?topic=room.x&user=ann")
	require.NoError(t, err)
	var m sse.Message
	require.NoError(t, sse.NewDecoder(res.Body).Decode(&m))
	require.Equal(t, sse.TypeHello, m.Type)
	cancel()
	require.NoError(t, <-ended)
	res.Body.Close()
	in.Close()
	http.DefaultClient.CloseIdleConnections()
}
