package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/js"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// site is a hub behind a server in this process, with a page that has ssehub.js. A
// test may end it and start another on the same address.
type site struct {
	t       *testing.T
	addr    string
	options ssehub.Options
	page    string
	hub     *ssehub.Hub
	server  *http.Server
	served  chan error

	published int // numbers, by number
	requests  atomic.Int64
	guard     atomic.Value // func(http.ResponseWriter, *http.Request) bool

	held    chan struct{} // has one when a page waits for an answer
	release chan struct{} // which it gets when this is closed
}

// sitePage has listen, which connects as tests mostly do and writes what comes into
// log: events by their data, all else by name and what it is about.
const sitePage = `<!DOCTYPE html><link rel="icon" href="data:,"><title>page</title><script type="module">
import { connect, Parser } from "/ssehub/ssehub.js";
Object.assign(window, { connect, Parser, log: [], states: [] });
window.listen = (options = {}, url = "/events") => window.stream = connect(url, {
	onHello: (hello) => { log.push("<" + hello.verdict + ">"); },
	onGap: (gap) => { log.push("<gap " + gap.reason + ">"); },
	onEvent: (event) => { log.push(event.data); },
	onState: (state, error) => { states.push(state + (error ? ": " + error.message : "")); },
	...options,
});
window.ready = true;
</script>`

func startSite(t *testing.T, options ssehub.Options) *site {
	t.Helper()
	if options.Heartbeat == 0 {
		options.Heartbeat = time.Second
	}
	if options.Retry == 0 {
		options.Retry = 100 * time.Millisecond
	}
	s := &site{t: t, addr: freeAddr(t), options: options, page: sitePage, held: make(chan struct{}, 1), release: make(chan struct{})}
	s.setGuard(func(http.ResponseWriter, *http.Request) bool { return true })
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	s.t.Helper()
	s.hub = ssehub.New(&s.options)
	require.NoError(s.t, s.hub.Ready(s.t.Context()))
	listener, err := net.Listen("tcp", s.addr)
	require.NoError(s.t, err)
	events := s.hub.Handler("numbers")
	mux := http.NewServeMux()
	mux.Handle("/ssehub/", js.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.page) })
	mux.HandleFunc("/state", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "all of it") })
	mux.HandleFunc("/hold", func(_ http.ResponseWriter, r *http.Request) {
		s.held <- struct{}{}
		select {
		case <-s.release:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			s.requests.Add(1)
		}
		if s.guard.Load().(func(http.ResponseWriter, *http.Request) bool)(w, r) {
			events.ServeHTTP(w, r)
		}
	})
	server, served := &http.Server{Handler: mux}, make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s.server, s.served = server, served
}

// stop ends everything at once, as a crash does.
func (s *site) stop() {
	if s.hub == nil {
		return
	}
	_ = s.server.Close()
	_ = s.hub.Close()
	<-s.served
	s.hub = nil
}

// setGuard sets what may answer a request for the stream in the hub's place.
func (s *site) setGuard(guard func(http.ResponseWriter, *http.Request) bool) {
	s.guard.Store(guard)
}

// publish publishes the next n numbers.
func (s *site) publish(n int) {
	s.t.Helper()
	for range n {
		s.published++
		s.say(fmt.Sprint(s.published))
	}
}

func (s *site) say(text string) {
	s.t.Helper()
	_, err := s.hub.Publish(context.Background(), "numbers", sse.Message{Data: []byte(text)})
	require.NoError(s.t, err)
}

// waitStreams returns when the hub has n streams.
func (s *site) waitStreams(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.hub.Stats().Subscribers == n }, patience, 10*time.Millisecond,
		"%d streams, have %d", n, s.hub.Stats().Subscribers)
}

// tab is a page of a site.
type tab struct{ *page }

// profiles is one browser for all pages of sites: to start one takes longer than most
// tests. TestMain ends it.
var profiles struct {
	ctx context.Context
	end context.CancelFunc
}

func endProfiles() {
	if profiles.end != nil {
		profiles.end()
	}
}

func (s *site) open() tab {
	s.t.Helper()
	p := openTab(s.t, s.addr)
	p.until("window.ready")
	return p
}

// openTab opens the page of a site, at whatever address, in a profile of its own.
func openTab(t *testing.T, addr string) tab {
	t.Helper()
	if profiles.end == nil {
		profiles.ctx, profiles.end = startBrowser(t)
		require.NoError(t, chromedp.Do(profiles.ctx))
	}
	ctx, cancel := chromedp.NewContext(profiles.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	return tab{pageIn(t, ctx, "http://"+addr+"/")}
}

// openAnother opens a tab in a window of its own, so that all are visible, unless the
// options say otherwise.
func (t tab) openAnother(s *site, options ...chromedp.ContextOption) tab {
	t.t.Helper()
	other := tab{t.another("http://"+s.addr+"/", options...)}
	other.until("window.ready")
	return other
}

func (t tab) run(script string) {
	t.t.Helper()
	t.do(chromedp.Evaluate[chromedp.Void]("{" + script + "}"))
}

// until waits for a JavaScript condition. It polls, as frames are not drawn in a page
// that is hidden.
func (t tab) until(condition string) {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		if ok {
			return
		}
		if ctx.Err() != nil {
			require.FailNow(t.t, "not in time", "%s: %v\nlog %v\nstates %v", condition, err, t.log(), eval[[]string](t.page, "states"))
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (t tab) log() []string {
	t.t.Helper()
	return eval[[]string](t.page, "log")
}

// untilNumbers waits for the number n, and requires that all before it came, each
// once and in order, from first on.
func (t tab) untilNumbers(first, n int) {
	t.t.Helper()
	t.until(fmt.Sprintf("log.includes(%q)", fmt.Sprint(n)))
	requireNumbers(t.t, t.log(), first, n)
}

func requireNumbers(t *testing.T, log []string, first, n int) {
	t.Helper()
	var want, got []string
	for i := first; i <= n; i++ {
		want = append(want, fmt.Sprint(i))
	}
	for _, line := range log {
		if !strings.HasPrefix(line, "<") {
			got = append(got, line)
		}
	}
	require.Equal(t, want, got)
}

// trickle publishes n numbers, some milliseconds apart, until the function that it
// returns has been called, which waits for the last one.
func (s *site) trickle(n int) (wait func()) {
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for range n {
			s.publish(1)
			<-time.After(5 * time.Millisecond)
		}
	})
	return publisher.Wait
}
