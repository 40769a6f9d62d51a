package compat

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gorilla/mux"
	"github.com/klauspost/compress/gzhttp"
	echov4 "github.com/labstack/echo/v4"
	echov4middleware "github.com/labstack/echo/v4/middleware"
	"github.com/labstack/echo/v5"
	echomiddleware "github.com/labstack/echo/v5/middleware"
	"github.com/rs/cors"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// patience is for what should be at once, on a machine that may be busy; moment is how
// long to look for what should not be.
const (
	patience = 20 * time.Second
	moment   = 100 * time.Millisecond
)

// timeout is what middleware that ends requests is set to: long enough to be looked at
// before, on a machine that may be busy. A stream that gets all beats outlasts it.
const (
	timeout = time.Second
	beat    = 80 * time.Millisecond
	beats   = 15
)

// server is a row: what serves a hub's handler, and what its streams are like.
type server struct {
	name   string
	module string // whose version is in the table
	wrap   func(http.Handler) http.Handler
	// serve is for what is no http.Handler itself.
	serve func(net.Listener, http.Handler) (stop func())
	over  string         // TLS, HTTP/2, h2c; "" is HTTP/1.1
	opts  ssehub.Options // the hub's
	want  streaming
	note  string
}

// streaming is what a stream is like behind a server.
type streaming struct {
	answer   string // its status, and what it says if that is not 200: the head comes at once
	event    string // arrives at once, with nothing behind it
	beats    string // heartbeats arrive, and how long they do
	resumes  string
	left     string // when the hub notices that the client has left
	takeover string // of the connection
	deadline string // for each write
	gzip     string // if the client asks for it
}

var (
	taken    = streaming{"200", "at once", "yes", "yes", "at once", "yes", "yes", ""}
	streams  = streaming{"200", "at once", "yes", "yes", "at once", "", "yes", ""}
	gzipped  = streaming{"200", "at once", "yes", "yes", "at once", "", "yes", "yes"}
	noHijack = ssehub.Options{NoHijack: true}
)

// refused is the answer through a writer of this type.
func refused(writer string) streaming {
	return streaming{answer: "500: `sse: streaming not supported: " + writer + " has no Flush method and does not Unwrap to a writer that has one`"}
}

var servers = []server{
	{name: "net/http, HTTP/1.1", want: taken},
	{name: "net/http, HTTP/1.1, NoHijack", opts: noHijack, want: streams},
	{name: "net/http, HTTP/1.1 over TLS", over: "TLS", want: taken},
	{name: "net/http, HTTP/2", over: "HTTP/2", want: streams},
	{name: "net/http, h2c", over: "h2c", want: streams},
	{name: "chi v5: RequestID, Logger, Recoverer", module: "github.com/go-chi/chi/v5", want: taken, wrap: withChi},
	{name: "chi v5: the same, HTTP/2", module: "github.com/go-chi/chi/v5", over: "HTTP/2", want: streams, wrap: withChi},
	{name: "chi v5: Compress with text/event-stream", module: "github.com/go-chi/chi/v5", want: taken, wrap: middleware.Compress(5, "text/event-stream"), note: leftAlone},
	{name: "chi v5: Compress with text/event-stream, NoHijack", module: "github.com/go-chi/chi/v5", opts: noHijack, want: gzipped, wrap: middleware.Compress(5, "text/event-stream")},
	{name: "chi v5: Timeout", module: "github.com/go-chi/chi/v5", want: taken, wrap: middleware.Timeout(timeout)},
	{name: "chi v5: Timeout, HTTP/2", module: "github.com/go-chi/chi/v5", over: "HTTP/2", want: streaming{"200", "at once", "until the timeout", "yes", "at once", "", "yes", ""}, wrap: middleware.Timeout(timeout), note: timedOut},
	{name: "gin: Logger, Recovery", module: "github.com/gin-gonic/gin", want: taken, wrap: ginWith(gin.LoggerWithWriter(io.Discard), gin.Recovery())},
	{name: "gin-contrib/gzip", module: "github.com/gin-contrib/gzip", want: streaming{"200", "at once", "yes", "yes", "at once", "", "", "yes"}, wrap: ginWith(gingzip.Gzip(gingzip.DefaultCompression)), note: noDeadline},
	{name: "echo v5: RequestLogger, Recover", module: "github.com/labstack/echo/v5", want: taken, wrap: echoWith(echomiddleware.RequestLogger(), echomiddleware.Recover())},
	{name: "echo v5: Gzip", module: "github.com/labstack/echo/v5", want: taken, wrap: echoWith(echomiddleware.Gzip()), note: leftAlone},
	{name: "echo v5: Gzip, NoHijack", module: "github.com/labstack/echo/v5", opts: noHijack, want: gzipped, wrap: echoWith(echomiddleware.Gzip())},
	{name: "echo v5: ContextTimeout", module: "github.com/labstack/echo/v5", want: taken, wrap: echoWith(echomiddleware.ContextTimeout(timeout))},
	{name: "echo v4: Recover", module: "github.com/labstack/echo/v4", want: taken, wrap: echoV4With(echov4middleware.Recover())},
	{name: "echo v4: Timeout", module: "github.com/labstack/echo/v4", want: refused("*http.timeoutWriter"), wrap: echoV4With(echoV4Timeout), note: noFlush},
	{name: "fiber v3: adaptor.HTTPHandler, WithContext", module: "github.com/gofiber/fiber/v3", want: streaming{"200", "at once", "yes", "yes", "at a write", "", "", ""}, serve: serveFiber, note: onFiber},
	{name: "gorilla/mux", module: "github.com/gorilla/mux", want: taken, wrap: func(h http.Handler) http.Handler {
		r := mux.NewRouter()
		r.Handle("/", h).Methods(http.MethodGet)
		return r
	}},
	{name: "rs/cors", module: "github.com/rs/cors", want: taken, wrap: cors.Default().Handler},
	{name: "otelhttp", module: "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", want: taken, wrap: func(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "events") }},
	{name: "klauspost gzhttp", module: "github.com/klauspost/compress", want: taken, wrap: withGzhttp, note: leftAlone},
	{name: "klauspost gzhttp, HTTP/2", module: "github.com/klauspost/compress", over: "HTTP/2", want: gzipped, wrap: withGzhttp},
	{name: "http.TimeoutHandler", want: refused("*http.timeoutWriter"), wrap: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, timeout, "late") }, note: noFlush},
	{name: "your own wrapper of the ResponseWriter, with Unwrap", want: streams, wrap: wrapping(func(b bare) http.ResponseWriter { return unwrapper{b} })},
	{name: "your own wrapper, with Flush alone", want: streaming{"200", "at once", "yes", "yes", "at once", "", "", ""}, wrap: wrapping(func(b bare) http.ResponseWriter { return flusher{b} }), note: noDeadline},
	{name: "your own wrapper, with neither", want: refused("compat.bare"), wrap: wrapping(func(b bare) http.ResponseWriter { return b }), note: noFlush},
}

func withChi(h http.Handler) http.Handler {
	logger := middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0)})
	r := chi.NewRouter()
	r.Use(middleware.RequestID, logger, middleware.Recoverer)
	r.Method(http.MethodGet, "/", h)
	return r
}

func withGzhttp(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) }

func ginWith(m ...gin.HandlerFunc) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Use(m...)
		r.GET("/", gin.WrapH(h))
		return r
	}
}

func echoWith(m ...echo.MiddlewareFunc) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		e := echo.New()
		e.Logger = slog.New(slog.DiscardHandler)
		e.Use(m...)
		e.GET("/", echo.WrapHandler(h))
		return e
	}
}

func echoV4With(m ...echov4.MiddlewareFunc) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		e := echov4.New()
		e.Logger.SetOutput(io.Discard)
		e.Use(m...)
		e.GET("/", echov4.WrapHandler(h))
		return e
	}
}

//lint:ignore SA1019 whoever has it should know
var echoV4Timeout = echov4middleware.TimeoutWithConfig(echov4middleware.TimeoutConfig{Timeout: timeout})

func serveFiber(l net.Listener, h http.Handler) (stop func()) {
	app := fiber.New()
	app.Get("/", adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.Background()))
	}))
	served := make(chan error, 1)
	go func() { served <- app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}) }()
	return func() {
		_ = app.ShutdownWithTimeout(time.Second)
		<-served
	}
}

// bare is what a middleware writes who wants the status and no more.
type bare struct{ w http.ResponseWriter }

func (b bare) Header() http.Header         { return b.w.Header() }
func (b bare) Write(p []byte) (int, error) { return b.w.Write(p) }
func (b bare) WriteHeader(status int)      { b.w.WriteHeader(status) }

type unwrapper struct{ bare }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }

type flusher struct{ bare }

func (f flusher) Flush() { f.w.(http.Flusher).Flush() }

func wrapping(wrap func(bare) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(wrap(bare{w}), r) })
	}
}

// running is a hub behind a server.
type running struct {
	t        *testing.T
	hub      *ssehub.Hub
	url      string
	client   *http.Client
	returned atomic.Int64 // requests that are over for the server
	log      *logged
}

// logged is a log.
type logged struct {
	mu   sync.Mutex
	text []byte
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text, []byte(text))
}

func (s server) run(t *testing.T, heartbeat time.Duration) *running {
	r := &running{t: t, log: new(logged)}
	opts := s.opts
	opts.Heartbeat, opts.Logger = heartbeat, slog.New(slog.NewTextHandler(r.log, nil))
	r.hub = ssehub.New(&opts)
	events := r.hub.Handler("news")
	handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer r.returned.Add(1)
		events.ServeHTTP(w, req)
	}))
	if s.wrap != nil {
		handler = s.wrap(handler)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(s.over == "" || s.over == "TLS")
	protocols.SetHTTP2(s.over == "HTTP/2")
	protocols.SetUnencryptedHTTP2(s.over == "h2c")
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols, server.EnableHTTP2 = protocols, s.over == "HTTP/2"
	stop := server.Close
	switch {
	case s.serve != nil:
		r.url = "http://" + server.Listener.Addr().String()
		stop = s.serve(server.Listener, handler)
	case s.over == "TLS" || s.over == "HTTP/2":
		server.StartTLS()
		r.url = server.URL
	default:
		server.Start()
		r.url = server.URL
	}
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	r.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		r.hub.Close()
		transport.CloseIdleConnections()
		stop()
	})
	return r
}

func (r *running) publish(text string) {
	r.t.Helper()
	_, err := r.hub.Publish(r.t.Context(), "news", sse.Message{Data: []byte(text)})
	require.NoError(r.t, err)
}

// stream is a client of it.
type stream struct {
	*sse.Decoder
	t     *testing.T
	res   *http.Response
	leave context.CancelFunc
}

// open makes a request, and reads the hello if there is a stream.
func (r *running) open(lastEventID string) *stream {
	r.t.Helper()
	s := r.request(lastEventID)
	if s.Decoder != nil {
		require.Equal(r.t, sse.TypeHello, s.next().Type)
	}
	return s
}

func (r *running) request(lastEventID string) *stream {
	r.t.Helper()
	s := &stream{t: r.t}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/", nil)
	require.NoError(r.t, err)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "gzip")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	late := time.AfterFunc(patience, cancel)
	s.res, err = r.client.Do(req)
	require.NoError(r.t, err, "no head")
	s.leave = func() { cancel(); s.res.Body.Close() }
	r.t.Cleanup(s.leave)
	if s.res.StatusCode != http.StatusOK {
		return s
	}
	body := io.Reader(s.res.Body)
	if s.res.Header.Get("Content-Encoding") == "gzip" {
		body, err = gzip.NewReader(body)
		require.NoError(r.t, err)
	}
	require.True(r.t, late.Stop(), "no head")
	s.Decoder = sse.NewDecoder(body)
	return s
}

// next returns the next event, which must come though nothing follows it.
func (s *stream) next() (m sse.Message) {
	s.t.Helper()
	late := time.AfterFunc(patience, s.leave)
	defer late.Stop()
	require.NoError(s.t, s.Decode(&m))
	return m
}

// measure finds out what streams are like. What is expected says only how long to wait.
func (s server) measure(t *testing.T) (got streaming) {
	r := s.run(t, -1)
	c := r.open("")
	got.answer = fmt.Sprint(c.res.StatusCode)
	if c.Decoder == nil {
		text, err := io.ReadAll(c.res.Body)
		require.NoError(t, err)
		got.answer += ": `" + strings.TrimSpace(string(text)) + "`"
		return got
	}
	if c.res.Header.Get("Content-Encoding") == "gzip" {
		got.gzip = "yes"
	}
	if !r.log.has("hides SetWriteDeadline") {
		got.deadline = "yes"
	}
	r.publish("1")
	m := c.next()
	require.Equal(t, "1", string(m.Data))
	got.event = "at once"
	if within(func() bool { return r.returned.Load() > 0 }, s.want.takeover != "") {
		got.takeover = "yes"
	}

	c.leave()
	gone := func() bool { return r.hub.Stats().Subscribers == 0 }
	if within(gone, s.want.left == "at once") {
		got.left = "at once"
	} else if within(func() bool { r.publish("anybody there?"); return gone() }, true) {
		got.left = "at a write"
	}
	r.publish("2")
	c = r.open(m.ID)
	for m = c.next(); string(m.Data) == "anybody there?"; m = c.next() {
	}
	require.Equal(t, "2", string(m.Data))
	got.resumes = "yes"

	got.beats = "yes"
	if err := s.run(t, beat).open("").heartbeats(); err != nil {
		require.ErrorIs(t, err, io.EOF)
		got.beats = "until the timeout"
	}
	return got
}

// heartbeats reads some, and leaves.
func (s *stream) heartbeats() (err error) {
	late := time.AfterFunc(patience, s.leave)
	defer late.Stop()
	n := 0
	s.SetCommentFunc(func(string) {
		if n++; n == beats {
			s.leave()
		}
	})
	for err == nil {
		err = s.Decode(new(sse.Message))
	}
	if n >= beats {
		return nil
	}
	return err
}

// within returns whether ok becomes true, soon.
func within(ok func() bool, expected bool) bool {
	limit := moment
	if expected {
		limit = patience
	}
	for end := time.Now().Add(limit); time.Now().Before(end); <-time.After(time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

func TestServers(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, s.want, s.measure(t))
		})
	}
}

// Why rows are as they are, and what to do.
const (
	leftAlone  = "The connection is taken over, past the middleware, so that nothing is compressed. With `Options.NoHijack`, and over HTTP/2, it is."
	timedOut   = "The middleware ends the request's context, and with it the stream; the client comes back and misses nothing. Leave streams out of it. A connection that was taken over is not touched."
	noDeadline = "The writer hides `SetWriteDeadline`, of which the hub warns once in `Options.Logger`: a client that is there but does not read holds its stream as long as it likes. Give your own wrapper an Unwrap method."
	noFlush    = "The answer is held back until the handler returns, which no stream can live with. The hub answers with a 500 that names the writer, and logs it as an error. Leave streams out of the middleware, or give your own an Unwrap method."
	onFiber    = "fasthttp tells a net/http handler neither of clients that leave nor of write deadlines: a client that has left is found by the next event or heartbeat. The context that it gives a request is used again for others while the handler still runs, which is a data race wherever somebody looks at it: call the hub's handler with `r.WithContext(context.Background())`."
)
