package ssehub_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// The same stream over every version of HTTP, over TLS, and through a writer
// that only unwraps. Faults 44, 50.
func TestTransports(t *testing.T) {
	type opener func(t *testing.T, handler http.Handler, lastEventID string) io.Reader
	over := func(configure func(*httptest.Server)) opener {
		return func(t *testing.T, handler http.Handler, lastEventID string) io.Reader {
			server := httptest.NewUnstartedServer(handler)
			configure(server)
			t.Cleanup(server.Close)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			req.Header.Set("Last-Event-ID", lastEventID)
			res, err := server.Client().Do(req)
			require.NoError(t, err)
			t.Cleanup(func() { res.Body.Close() })
			require.Equal(t, http.StatusOK, res.StatusCode)
			return res.Body
		}
	}
	raw := func(request string) opener {
		return func(t *testing.T, handler http.Handler, lastEventID string) io.Reader {
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			_, err = fmt.Fprintf(conn, request, lastEventID)
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.True(t, res.Close, "the stream ends with its connection")
			return res.Body
		}
	}
	for name, open := range map[string]opener{
		"HTTP/1.1": over((*httptest.Server).Start),
		"TLS":      over((*httptest.Server).StartTLS),
		"HTTP/2":   over(func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }),
		"wrapped": func(t *testing.T, handler http.Handler, lastEventID string) io.Reader {
			return over((*httptest.Server).Start)(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handler.ServeHTTP(unwrapper{w}, r)
			}), lastEventID)
		},
		"HTTP/1.0":          raw("GET / HTTP/1.0\r\nLast-Event-ID: %s\r\n\r\n"),
		"Connection: close": raw("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nLast-Event-ID: %s\r\n\r\n"),
		"pipelined":         raw("GET / HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %s\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			hub := ssehub.New(nil)
			first := publish(t, hub, "n", "1")
			publish(t, hub, "n", "2")
			dec := sse.NewDecoder(open(t, hub.Handler("n"), first))
			t.Cleanup(func() { hub.Close() }) // before the server's, which would wait for the stream
			publish(t, hub, "n", "3")

			var m sse.Message
			require.NoError(t, dec.Decode(&m))
			require.Equal(t, sse.TypeHello, m.Type)
			for _, want := range []string{"2", "3", "4"} {
				if want == "4" {
					publish(t, hub, "n", "4")
				}
				require.NoError(t, dec.Decode(&m))
				require.Equal(t, want, string(m.Data))
			}
			require.NoError(t, hub.Shutdown(t.Context()))
			require.Equal(t, io.EOF, dec.Decode(&m), "a clean end")
			retry, ok := dec.Retry()
			require.True(t, ok)
			require.NotZero(t, retry)
		})
	}
}

type unwrapper struct{ w http.ResponseWriter }

func (u unwrapper) Header() http.Header         { return u.w.Header() }
func (u unwrapper) Write(p []byte) (int, error) { return u.w.Write(p) }
func (u unwrapper) WriteHeader(status int)      { u.w.WriteHeader(status) }
func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }

// Faults 45: behind a writer without deadlines the stream works, and the log
// tells, once, what is lost.
func TestNoDeadlines(t *testing.T) {
	var log bytes.Buffer
	hub := newHub(t, &ssehub.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hub.Handler("n").ServeHTTP(flusher{w}, r)
	})
	for range 2 {
		rec, end := stream(t, handler, "/", "")
		require.NoError(t, rec.Wait(t.Context(), 1))
		publish(t, hub, "n", "x")
		require.NoError(t, rec.Wait(t.Context(), 2))
		end()
	}
	require.Equal(t, 1, strings.Count(log.String(), "SetWriteDeadline"), log.String())
}

type flusher struct{ w http.ResponseWriter }

func (f flusher) Header() http.Header         { return f.w.Header() }
func (f flusher) Write(p []byte) (int, error) { return f.w.Write(p) }
func (f flusher) WriteHeader(status int)      { f.w.WriteHeader(status) }
func (f flusher) Flush()                      { _ = http.NewResponseController(f.w).Flush() }

// A writer that cannot stream gets a plain error that names it, with nothing
// sent before.
func TestNoStreaming(t *testing.T) {
	hub := newHub(t, nil)
	rec := httptest.NewRecorder()
	hub.Handler("n").ServeHTTP(struct{ http.ResponseWriter }{rec}, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusInternalServerError, rec.Code)
	require.Contains(t, rec.Body.String(), "struct { http.ResponseWriter } has no Flush method")
	require.Zero(t, hub.Stats().Subscribers)
}
