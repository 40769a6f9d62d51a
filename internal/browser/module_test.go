package browser

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// The browser's own EventSource and the module read streams alike: those of
// sse/testdata, and some that are made of what is delicate.
func TestModuleReadsAsEventSource(t *testing.T) {
	streams := delicateStreams(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/raw", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		w.Header().Set("Content-Type", "text/event-stream")
		for _, b := range streams[n] {
			_, _ = w.Write([]byte{b})
			if n%2 == 0 {
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	s := startSite(t, ssehub.Options{})
	mux.Handle("/", s.server.Handler)
	p := openTab(t, server.Listener.Addr().String())
	p.until("window.ready")
	p.run(fmt.Sprintf(`window.wrong = []; window.events = 0; (async () => {
		for (let n = 0; n < %d; n++) {
			const url = "/raw?n=" + n, got = [], want = [];
			const body = new Uint8Array(await (await fetch(url)).arrayBuffer());
			const parser = new Parser((e) => got.push([e.type || "message", e.data, e.id]));
			for (const byte of body) parser.push(Uint8Array.of(byte));
			const source = new EventSource(url);
			for (const type of new Set(["message", ...got.map(([type]) => type)])) {
				source.addEventListener(type, (e) => { if ("data" in e) want.push([e.type, e.data, e.lastEventId]); });
			}
			await new Promise((resolve) => source.addEventListener("error", resolve));
			source.close();
			events += got.length;
			if (JSON.stringify(got) !== JSON.stringify(want)) wrong.push(JSON.stringify({ n, got, want }));
		}
		window.done = true;
	})()`, len(streams)))
	p.until("window.done")
	require.Empty(t, eval[[]string](p.page, "wrong"))
	require.Greater(t, eval[int](p.page, "events"), 100)
}

func delicateStreams(t *testing.T) (streams [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../../sse/testdata/decode/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		streams = append(streams, stream)
	}
	random := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"data", "data: a", "id: 1", "id", "event: t", ":", " ", "x", "é", "\n", "\n\n", "\r", "\r\n", "\r\r", "\x00", "\xEF\xBB\xBF", "\xF0\x9F", "\xFF"}
	for range 60 {
		var stream []byte
		for range 2 + random.IntN(14) {
			stream = append(stream, pieces[random.IntN(len(pieces))]...)
		}
		streams = append(streams, append(stream, "\n\ndata: last\n\n"...))
	}
	return streams
}

// Promises 3 and 4: what comes behind a gap waits until the page has its state anew,
// however long and often that fails, and comes then, all of it.
func TestModuleHoldsBehindGap(t *testing.T) {
	s := startSite(t, ssehub.Options{})
	p := s.open()
	p.run(`let tries = 0; listen({
		maxHeld: 50,
		onError: (error) => log.push("<" + error + ">"),
		onGap: (gap) => {
			log.push("<gap " + gap.reason + ">");
			if (++tries === 1) throw "not yet";
			return new Promise((resolve) => { window.release = () => { log.push("<state>"); resolve(); }; });
		},
	})`)
	p.until("log.length === 1")
	s.publish(2)
	p.until("log.length === 3")
	s.stop()
	s.start()
	s.publish(2)
	p.until("window.release")
	s.publish(2)
	require.Equal(t, []string{"<fresh>", "1", "2", "<epoch>", "<gap epoch>", "<not yet>", "<gap epoch>"}, p.log())

	s.publish(100) // more than it holds
	p.until(`stream.state === "paused"`)
	s.waitStreams(0)
	s.publish(10)
	p.run("release()")
	p.until(`stream.state === "open"`)
	s.publish(1)
	p.untilNumbers(1, s.published)
	log := p.log()
	require.Equal(t, []string{"<gap epoch>", "<state>", "3", "4", "5"}, log[6:11])
	require.NotContains(t, log[11:], "<gap window>")
}

// Promise 2, over restarts of a server whose log outlives it.
func TestModuleServerRestarts(t *testing.T) {
	s := startSite(t, ssehub.Options{Broker: new(brokertest.Memory)})
	p := s.open()
	p.run("listen()")
	s.waitStreams(1)
	for range 3 {
		s.trickle(30)()
		s.stop()
		s.start()
		s.trickle(30)()
	}
	p.untilNumbers(1, s.published)
	require.NotContains(t, fmt.Sprint(p.log()), "gap")
}

// A line that is open but dead is noticed by its bytes: heartbeats count, and an
// EventSource does not see them.
func TestModuleSilence(t *testing.T) {
	s := startSite(t, ssehub.Options{})
	line, err := ssetest.NewProxy(s.addr)
	require.NoError(t, err)
	defer line.Close()
	s.server.SetKeepAlivesEnabled(false) // the stream's is the only connection
	p := openTab(t, line.Addr())
	p.until("window.ready")
	p.run("listen()")
	p.until("log.length === 1")
	s.publish(1)
	require.Never(t, func() bool { return s.requests.Load() > 1 }, 3*time.Second, 100*time.Millisecond, "heartbeats are signs of life")
	line.Apply(ssetest.Fault{Stall: ssetest.Now})
	s.publish(3)
	p.untilNumbers(1, 4)
	require.Equal(t, int64(2), s.requests.Load())
	require.Contains(t, eval[[]string](p.page, "states"), "waiting: no byte came for too long")
}

// A hidden page gives its connection up and goes on where it was.
func TestModuleHidden(t *testing.T) {
	s := startSite(t, ssehub.Options{})
	p := s.open()
	p.run("listen({ hiddenAfter: 100 })")
	s.waitStreams(1)
	p.until("log.length === 1")
	s.publish(2)
	p.until("log.length === 3")
	other := p.openAnother(s, chromedp.WithNewWindow(false)) // in front of it
	p.until(`document.visibilityState === "hidden"`)
	p.until(`stream.state === "paused"`)
	s.waitStreams(0)
	s.publish(3)
	other.close()
	p.until(`document.visibilityState === "visible"`)
	p.until("log.length === 7")
	require.Equal(t, []string{"<fresh>", "1", "2", "<resumed>", "3", "4", "5"}, p.log())
}

// Headers are made anew for each attempt, and a refusal is answered once.
func TestModuleAuth(t *testing.T) {
	var valid atomic.Value
	valid.Store("one")
	var asked atomic.Int64
	s := startSite(t, ssehub.Options{Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+valid.Load().(string) {
			return ssehub.Grant{}, http.ErrNoCookie
		}
		return ssehub.Grant{Subject: "alice"}, nil
	}})
	p := s.open()
	p.run(`window.token = "one"; window.next = "two"; listen({
		headers: async () => ({ Authorization: "Bearer " + token }),
		onAuth: async (status) => { log.push("<auth " + status + ">"); token = next; },
	})`)
	s.waitStreams(1)
	s.publish(1)
	p.until(`log.includes("1")`)
	valid.Store("two")
	_, err := s.hub.Revoke(t.Context(), ssehub.Revocation{Subject: "alice", Again: true})
	require.NoError(t, err)
	p.until(`log.includes("<resumed>")`)
	s.publish(1)
	p.until(`log.includes("2")`)
	require.Equal(t, []string{"<fresh>", "1", "<auth 403>", "<resumed>", "2"}, p.log())
	require.Equal(t, int64(3), asked.Load())

	valid.Store("three")
	_, err = s.hub.Revoke(t.Context(), ssehub.Revocation{Subject: "alice", Again: true})
	require.NoError(t, err)
	p.until(`stream.state === "closed"`)
	require.Equal(t, int64(5), asked.Load(), "once more, and no more")
	require.Equal(t, 403, eval[int](p.page, "stream.error.status"))

	p.run(`next = token = "three"; listen()`)
	p.until(`stream.state === "closed"`) // without a header it may not
	p.run(`listen({ headers: { Authorization: "Bearer three" } })`)
	s.waitStreams(1)
	p.run(`stream.addEventListener("ssehub.revoked", (event) => log.push("<" + event.type + ">"))`)
	p.until(`stream.state === "open"`)
	_, err = s.hub.Revoke(t.Context(), ssehub.Revocation{Subject: "alice"})
	require.NoError(t, err)
	p.until(`stream.state === "closed"`)
	require.Equal(t, "<ssehub.revoked>", p.log()[len(p.log())-1])
	require.Equal(t, int64(7), asked.Load())
}

// A page of an origin that is allowed resumes too: Last-Event-ID and Authorization
// are asked for in a preflight.
func TestModuleOfAnotherOrigin(t *testing.T) {
	s := startSite(t, ssehub.Options{AllowedOrigins: []string{"*"}, AllowedHosts: []string{"*"}})
	elsewhere := httptest.NewServer(s.server.Handler)
	defer elsewhere.Close()
	p := openTab(t, elsewhere.Listener.Addr().String())
	p.until("window.ready")
	p.run(fmt.Sprintf(`listen({ headers: { Authorization: "x" } }, "http://%s/events")`, s.addr))
	p.until("log.length === 1")
	s.publish(1)
	p.until("log.length === 2")
	p.until("performance.now() > 2000") // reconnect counts once a second
	p.run("stream.reconnect()")
	p.until(`log.includes("<resumed>")`)
	s.publish(1)
	p.untilNumbers(1, 2)
}

// Events have what EventSource's have, and their topic.
func TestModuleEvents(t *testing.T) {
	s := startSite(t, ssehub.Options{Authorize: func(*http.Request, []string) (ssehub.Grant, error) { return ssehub.Grant{}, nil }})
	s.setGuard(func(w http.ResponseWriter, r *http.Request) bool {
		s.hub.Handler().ServeHTTP(w, r)
		return false
	})
	p := s.open()
	p.run(`listen({ onEvent: undefined }, "/events?topic=a.*&topic=b");
		for (const type of ["message", "tick", "ssehub.hello"]) {
			stream.addEventListener(type, (e) => log.push([e.type, e.data.replace(/^{.*/, "{}"), e.topic, e.lastEventId === stream.lastEventId || "before", e.origin === location.origin].join(" ")));
		}`)
	s.waitStreams(1)
	p.until("log.length === 2")
	_, err := s.hub.Publish(t.Context(), "a.1", sse.Message{Type: "tick", Data: []byte("x")})
	require.NoError(t, err)
	_, err = s.hub.Publish(t.Context(), "b", sse.Message{Data: []byte("y\nz")})
	require.NoError(t, err)
	p.until("log.length === 4")
	require.Equal(t, []string{"ssehub.hello {}  before true", "<fresh>", "tick x a.1 before true", "message y\nz b before true"}, p.log())
	p.run("stream.close()")
	s.waitStreams(0)
}

// The page that docs/browser.md shows works as it stands.
func TestModuleDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/browser.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```html\n(.*?)```").FindSubmatch(doc)
	require.NotNil(t, shown)
	s := startSite(t, ssehub.Options{})
	s.page = string(shown[1]) + `<link rel="icon" href="data:,">`
	p := openTab(t, s.addr)
	p.until(`document.title === "open"`)
	s.waitStreams(1)
	s.publish(2)
	p.until(`list.innerText === "1\n2"`)
	s.stop()
	p.until(`document.title.startsWith("waiting: ")`)
	s.start()
	s.publish(1)
	p.until(`list.innerText === "all of it\n3"`)
}
