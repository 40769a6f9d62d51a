package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/stretchr/testify/require"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/ssehub-go/ssehub"
	ours "github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

const (
	npm      = "testdata/clients"
	npmLimit = 2 * time.Minute
)

// client is a row: what reads a hub's stream, and how it does.
type client struct {
	name   string
	module string // whose version is in the table
	script string // of testdata/clients: .html for Chromium, .mjs for node
	run    func(ctx context.Context, url string, report func(kind, data string)) error
	format func(n string) sse.Message // what is published, of a number; nil is the number itself
	opts   ssehub.Options
	serve  func(*ssehub.Hub) http.Handler // in place of hub.Handler
	want   reading
	note   string
}

// reading is what a client makes of a stream.
type reading struct {
	events  string // arrive, each once and in order
	resumes string // where it was, after a cut inside of an event, and after the stream's end
	beats   string // what heartbeats look like
	own     string // what the hub's own events look like
	stops   string // when it is told to, by Revoke and status 204
}

const (
	byType      = "by type"
	fromStart   = "from the start"
	notTheEnd   = "after a cut, not after an end"
	asksForEver = "asks for ever"
)

var (
	reads    = reading{"yes", "yes", "unseen", "unseen", "yes"}
	readsAll = reading{"yes", "yes", "unseen", byType, "yes"}
)

var clients = []client{
	{name: "EventSource in Chromium", script: "native.html", want: reads},
	{name: "eventsource (npm)", module: "eventsource", script: "eventsource.mjs", want: reads},
	{name: "eventsource-parser (npm)", module: "eventsource-parser", script: "eventsource-parser.mjs", want: readsAll, note: parserAlone},
	{name: "@microsoft/fetch-event-source", module: "@microsoft/fetch-event-source", script: "fetch-event-source.html", want: reading{"yes", "yes", "unseen", byType, asksForEver}, note: fetchEventSource},
	{name: "htmx 2 with htmx-ext-sse", module: "htmx-ext-sse", script: "htmx2.html", format: item, want: reads, note: htmx2},
	{name: "htmx 4 with hx-sse", module: "htmx.org", script: "htmx4.html", format: item, want: reading{"yes", "yes", "unseen", "unseen", asksForEver}, note: htmx4},
	{name: "Datastar", module: "@starfederation/datastar", script: "datastar.html", format: fragment, want: reading{"yes", notTheEnd, "unseen", "unseen", "yes"}, note: datastar},
	{name: "AI SDK, DefaultChatTransport", module: "ai", script: "ai.mjs", format: chunk, want: reading{events: "none: AI_TypeValidationError"}, note: aiHello},
	{name: "AI SDK, NoHello", module: "ai", script: "ai.mjs", format: chunk, opts: ssehub.Options{NoHello: true}, want: reading{"yes", fromStart, "unseen", "unseen", "yes"}, note: aiNoHello},
	{name: "AI SDK, a handler that ends", module: "ai", script: "ai.mjs", format: chunk, serve: answer, want: reading{"yes", fromStart, "", "unseen", "at the end"}, note: aiAnswer},
	{name: "package client", run: runOurs, want: reads},
	{name: "r3labs/sse", module: "github.com/r3labs/sse/v2", run: runR3labs, want: reading{"yes", "yes", "unseen", byType, asksForEver}, note: onR3labs},
	{name: "tmaxmax/go-sse", module: "github.com/tmaxmax/go-sse", run: runTmaxmax, want: readsAll},
	{name: "launchdarkly/eventsource", module: "github.com/launchdarkly/eventsource", run: runLaunchDarkly, want: reading{"yes", "yes", "unseen", byType, asksForEver}, note: onLaunchDarkly},
}

func item(n string) sse.Message { return sse.Message{Data: []byte("<li>" + n + "</li>")} }

func fragment(n string) sse.Message {
	return sse.Message{Type: "datastar-merge-fragments", Data: []byte("selector #events\nmergeMode append\nfragments <li>" + n + "</li>")}
}

func chunk(n string) sse.Message {
	if n == "5" {
		return sse.Message{Data: []byte(`{"type":"finish","messageMetadata":"5"}`)}
	}
	return sse.Message{Data: fmt.Appendf(nil, `{"type":"text-delta","id":"1","delta":%q}`, n)}
}

// answer streams an answer, and ends: the AI SDK reads until then, also behind finish.
func answer(hub *ssehub.Hub) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sub, err := hub.Resume(r.Context(), sse.LastEventID(r), "news")
		if err != nil {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		defer sub.Close()
		w.Header().Set("x-vercel-ai-ui-message-stream", "v1")
		conn, err := sse.Upgrade(w, r)
		if err != nil {
			return
		}
		defer conn.Close()
		for m := range sub.Events() {
			if conn.Send(m) != nil || strings.Contains(string(m.Data), `"finish"`) {
				return
			}
		}
	})
}

func runOurs(ctx context.Context, url string, report func(kind, data string)) error {
	sub := ours.Subscribe(ctx, url, nil)
	for m := range sub.Events() {
		report(m.Type, string(m.Data))
	}
	return sub.Err()
}

func runR3labs(ctx context.Context, url string, report func(kind, data string)) error {
	c := r3labs.NewClient(url)
	c.ReconnectStrategy = backoff{ctx}
	for ctx.Err() == nil { // it returns when a stream ends
		_ = c.SubscribeRawWithContext(ctx, func(m *r3labs.Event) { report(string(m.Event), string(m.Data)) })
	}
	return ctx.Err()
}

// backoff is for r3labs/sse, which would not heed the context.
type backoff struct{ ctx context.Context }

func (b backoff) Reset() {}

func (b backoff) NextBackOff() time.Duration {
	if b.ctx.Err() != nil {
		return -1 // no more
	}
	return 20 * time.Millisecond
}

func runTmaxmax(ctx context.Context, url string, report func(kind, data string)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	conn := tmaxmax.NewConnection(req)
	conn.SubscribeToAll(func(e tmaxmax.Event) { report(e.Type, e.Data) })
	return conn.Connect()
}

func runLaunchDarkly(ctx context.Context, url string, report func(kind, data string)) error {
	stream, err := eventsource.SubscribeWithURL(url,
		eventsource.StreamOptionErrorHandler(func(error) (r eventsource.StreamErrorHandlerResult) { return r }))
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		select {
		case e, ok := <-stream.Events:
			if !ok {
				return errors.New("ended")
			}
			report(e.Event(), e.Data())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read is a client that runs, and what it has told.
type read struct {
	t     *testing.T
	told  chan [2]string
	all   [][2]string
	ended chan error
}

func (r *read) report(kind, data string) {
	if kind == "" {
		kind = "message"
	}
	r.told <- [2]string{kind, data}
}

// until waits for a message, or an error.
func (r *read) until(data string) (failed string) {
	r.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-r.told:
			r.all = append(r.all, e)
			if e[0] == "error" {
				return e[1]
			}
			if e[1] == data {
				return ""
			}
		case err := <-r.ended:
			require.FailNow(r.t, "ended", "%v before %q came, behind %q", err, data, r.all)
		case <-late:
			require.FailNow(r.t, "not in time", "%q, behind %q", data, r.all)
		}
	}
}

func (c client) measure(t *testing.T) (got reading) {
	r := &read{t: t, told: make(chan [2]string, 1000), ended: make(chan error, 1)}
	var joined, stopped atomic.Int64 // streams, and requests that were told to stop
	s := server{opts: c.opts}
	s.opts.Retry = 20 * time.Millisecond
	s.opts.Trace = &ssehub.Trace{Joined: func(ssehub.SubscriberInfo) { joined.Add(1) }}
	s.opts.Authorize = func(*http.Request, []string) (ssehub.Grant, error) {
		return ssehub.Grant{Subject: "reader"}, nil
	}
	var hub *ssehub.Hub
	s.wrap = func(events http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Last-Event-ID") == sse.IDRevoked {
				stopped.Add(1)
			}
			if c.serve != nil {
				c.serve(hub).ServeHTTP(w, req)
				return
			}
			events.ServeHTTP(w, req)
		})
		mux.HandleFunc("POST /report", func(w http.ResponseWriter, req *http.Request) {
			var e [2]string
			if json.NewDecoder(req.Body).Decode(&e) == nil {
				r.report(e[0], e[1])
			}
		})
		mux.Handle("/", http.HandlerFunc(serveFiles))
		return mux
	}
	running := s.run(t, beat)
	hub = running.hub
	proxy, err := ssetest.NewProxy(running.url)
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	publish := func(n string) {
		m := sse.Message{Data: []byte(n)}
		if c.format != nil {
			m = c.format(n)
		}
		_, err := hub.Publish(t.Context(), "news", m)
		require.NoError(t, err)
	}
	readers := func(n int) func() bool { return func() bool { return hub.Stats().Subscribers == n } }

	revoke := func(again bool) {
		require.True(t, within(readers(1), true))
		n, err := hub.Revoke(t.Context(), ssehub.Revocation{Subject: "reader", Again: again})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}

	after := hub.Position().String()
	c.start(t, r, proxy.URL(), running.url+"/report", after)
	require.True(t, within(readers(1), true), "it does not connect")
	publish("1")
	publish("2")
	if failed := r.until("2"); failed != "" {
		got.events = "none: " + failed
		return got
	}
	if c.serve == nil {
		require.NoError(t, running.request(after).heartbeats())
		require.True(t, within(readers(1), true))
	}

	proxy.Apply(ssetest.Fault{Cut: int64(len("data: "))})
	publish("3")
	publish("4")
	r.until("4")
	if c.want.resumes != fromStart { // else the end is that of what it reads
		before := joined.Load()
		revoke(true)
		if !within(func() bool { return joined.Load() > before }, c.want.resumes != notTheEnd) {
			got.judge(t, r.all, "1", "2", "3", "4")
			got.resumes, got.stops = notTheEnd, "yes"
			return got
		}
	}
	publish("5")
	r.until("5")
	if c.serve != nil {
		r.until("end")
		defer func() { got.beats, got.stops = "", "at the end" }() // none were sent
	} else {
		revoke(false)
		told := func(n int64) func() bool {
			return func() bool { return stopped.Load() >= n || n == 1 && len(r.ended) > 0 }
		}
		if within(told(1), c.want.stops != "") {
			got.stops = "yes"
		}
		if within(told(2), c.want.stops == asksForEver) {
			got.stops = asksForEver
		}
	}
	got.judge(t, r.all, "1", "2", "3", "4", "5")
	return got
}

// judge looks at what a client told of what was published.
func (got *reading) judge(t *testing.T, all [][2]string, published ...string) {
	got.resumes, got.beats, got.own = "yes", "unseen", "unseen"
	var numbers []string
	starts, empty := 0, 0
	for _, e := range all {
		switch kind, data := e[0], e[1]; {
		case kind == "restart":
			if starts++; starts > 1 {
				got.resumes, numbers = fromStart, nil
			}
		case kind == "end":
		case strings.HasPrefix(kind, "ssehub."):
			got.own = byType
		case strings.HasPrefix(data, "{"):
			got.own = "as messages"
		case data == "":
			if empty++; empty >= beats { // fewer are what was left where streams ended
				got.beats = "as empty messages"
			}
		default:
			numbers = append(numbers, data)
		}
	}
	require.Equal(t, published, numbers, "of %q", all)
	got.events = "yes"
}

// start runs the client until the test ends.
func (c client) start(t *testing.T, r *read, url, to, after string) {
	t.Helper()
	switch ext := filepath.Ext(c.script); {
	case ext == ".html":
		openPage(t, url+"/"+c.script+"?report="+to)
	case ext == ".mjs":
		var out bytes.Buffer
		cmd := exec.Command("node", c.script, url+"/?lastEventID="+after, to)
		cmd.Dir, cmd.Stdout, cmd.Stderr = npm, &out, &out
		require.NoError(t, cmd.Start())
		waited := make(chan struct{})
		go func() { r.ended <- cmd.Wait(); close(waited) }()
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			<-waited
			if t.Failed() {
				t.Log(out.String())
			}
		})
	default:
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { r.ended <- c.run(ctx, url+"/", r.report) })
		t.Cleanup(func() { cancel(); running.Wait() })
	}
}

// serveFiles serves the pages, and the packages, whose imports may have no extension.
func serveFiles(w http.ResponseWriter, r *http.Request) {
	path := filepath.Join(npm, filepath.FromSlash(r.URL.Path))
	if filepath.Ext(path) == "" {
		path += ".js"
	}
	http.ServeFile(w, r, path)
}

// openPage opens a page in a Chromium of its own, as those that are hidden are
// treated otherwise, until the test ends.
func openPage(t *testing.T, url string) context.Context {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	if path == "" {
		path = require1(exec.LookPath("chromium"))(t)
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	require.NoError(t, chromedp.Do(ctx))
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	require.NoError(t, chromedp.Do(limited, chromedp.Navigate(url)))
	return ctx
}

// require1 skips the test for what is missing on this machine, or fails it if CI=true.
func require1[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil && os.Getenv("CI") != "true" {
			t.Skip(err)
		}
		require.NoError(t, err)
		return v
	}
}

// install has npm install the packages of package-lock.json, unless they are there.
var install = sync.OnceValue(func() error {
	lock, err := os.ReadFile(filepath.Join(npm, "package-lock.json"))
	if err != nil {
		return err
	}
	stamp := filepath.Join(npm, "node_modules", ".installed")
	if installed, err := os.ReadFile(stamp); err == nil && bytes.Equal(installed, lock) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), npmLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = npm
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(stamp, lock, 0o600)
})

func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.script != "" {
				require1(0, install())(t)
			}
			require.Equal(t, c.want, c.measure(t))
		})
	}
}

// Why rows are as they are, and what to do.
const (
	parserAlone      = "It is a parser and no more: reconnecting, with the id, is [20 lines](../internal/compat/testdata/clients/eventsource-parser.mjs) of the test's own."
	fetchEventSource = "It takes an id as soon as it has that line, before the event: a hub writes that line last, so that a cut there falls between two bytes or nowhere. From a server that writes it first it loses the event. The test's page throws in `onclose`, or the end of a stream, as at Shutdown and `MaxAge`, would be the last. After 204 it asks again until `onerror` throws."
	htmx2            = "Without a `Type` events are swapped in, as HTML, by `sse-swap=\"message\"`."
	htmx4            = "Events without a `Type` are swapped in, as HTML; others are DOM events. A 204 is an empty answer to it, and it asks again; `hx-sse:close=\"ssehub.revoked\"` is its way to end at an event (not tried)."
	datastar         = "npm has 0.21.4, whose event is `datastar-merge-fragments`; 1.x, with `datastar-patch-elements`, is not there and was not tried. It does not come back when a stream ends in order, as at Shutdown and `MaxAge`, but says so: event `datastar-sse` of the document, of type `finished`. Leave `MaxAge` off."
	aiHello          = "It takes every event for a chunk, whatever its type, and ends at `ssehub.hello`: use `NoHello`, or a handler of your own."
	aiNoHello        = "It keeps no id: with `lastEventID` of a position from before the answer in `prepareReconnectToStreamRequest`, it gets the whole answer each time, which is how it resumes. A gap, or Revoke, is an `AI_TypeValidationError`. It is busy until the stream ends, not until the chunk `finish`, and a hub's stream does not end there."
	aiAnswer         = "Upgrade, Resume, and Send until the chunk `finish`: `answer` in [clients_test.go](../internal/compat/clients_test.go). node 20 takes a cut for an end: an answer without `finish` is not whole."
	onR3labs         = "What it has of an event when a stream ends comes as one, here an empty one, before the whole one comes. `SubscribeRaw` returns when a stream ends, so the test calls it again, and is in time with its context only with a `ReconnectStrategy` that looks at that. After 204 it asks again."
	onLaunchDarkly   = "After 204 it asks again, unless a `StreamOptionErrorHandler` says `CloseNow`."
)
