package sse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// The writers that middleware puts around a server's own.
type (
	unwrapOnly struct{ inner http.ResponseWriter } // as http.ResponseController wants it
	hidden     struct{ http.ResponseWriter }       // hides everything
	oldFlusher struct{ http.ResponseWriter }       // an http.Flusher, and no deadlines
	noDeadline struct{ *ssetest.Recorder }         // says that it has none
	badFlusher struct{ *ssetest.Recorder }         // whose client has left
	compressor struct{ unwrapOnly }                // as chi's, which says so in the head at WriteHeader or Write alone
	echoed     struct{ unwrapOnly }                // as echo v4's, which wants an http.Flusher inside
)

var errGone = errors.New("gone")

func (w unwrapOnly) Header() http.Header              { return w.inner.Header() }
func (w unwrapOnly) Write(p []byte) (int, error)      { return w.inner.Write(p) }
func (w unwrapOnly) WriteHeader(status int)           { w.inner.WriteHeader(status) }
func (w unwrapOnly) Unwrap() http.ResponseWriter      { return w.inner }
func (w oldFlusher) Flush()                           { _ = w.ResponseWriter.(*ssetest.Recorder).FlushError() }
func (w noDeadline) SetWriteDeadline(time.Time) error { return http.ErrNotSupported }
func (w echoed) Flush()                               { panic(fmt.Sprintf("%T cannot flush", w.inner)) }
func (w compressor) WriteHeader(status int) {
	w.Header().Set("Content-Encoding", "gzip")
	w.inner.WriteHeader(status)
}
func (w compressor) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.inner.Write(p)
}
func (w badFlusher) FlushError() error { return errGone }

// Faults 44 and 45: whatever can flush can stream, with deadlines or without.
func TestUpgradeThroughWrappers(t *testing.T) {
	for name, wrap := range map[string]func(*ssetest.Recorder) http.ResponseWriter{
		"none":           func(rec *ssetest.Recorder) http.ResponseWriter { return rec },
		"unwrap":         func(rec *ssetest.Recorder) http.ResponseWriter { return unwrapOnly{rec} },
		"unwrap twice":   func(rec *ssetest.Recorder) http.ResponseWriter { return unwrapOnly{unwrapOnly{rec}} },
		"flusher":        func(rec *ssetest.Recorder) http.ResponseWriter { return oldFlusher{rec} },
		"unwrap flusher": func(rec *ssetest.Recorder) http.ResponseWriter { return unwrapOnly{oldFlusher{rec}} },
		"no deadline":    func(rec *ssetest.Recorder) http.ResponseWriter { return noDeadline{rec} },
	} {
		t.Run(name, func(t *testing.T) {
			rec := ssetest.NewRecorder()
			conn, err := sse.Upgrade(wrap(rec), httptest.NewRequest(http.MethodGet, "/", nil))
			require.NoError(t, err)
			require.NoError(t, conn.WriteString("a"))
			require.NoError(t, conn.WriteString("b"))
			conn.Close()
			require.Equal(t, http.StatusOK, rec.Status())
			require.Equal(t, ":\ndata: a\n\ndata: b\n\n", rec.Text())
		})
	}
}

// Faults 44: what cannot flush is a clean 500 that names the culprit, with
// nothing committed before.
func TestUpgradeStreamingNotSupported(t *testing.T) {
	for name, tt := range map[string]struct {
		wrap    func(*ssetest.Recorder) http.ResponseWriter
		culprit string
	}{
		"hidden":       {func(rec *ssetest.Recorder) http.ResponseWriter { return hidden{rec} }, "sse_test.hidden"},
		"unwrap":       {func(rec *ssetest.Recorder) http.ResponseWriter { return unwrapOnly{hidden{rec}} }, "sse_test.hidden"},
		"panicking":    {func(rec *ssetest.Recorder) http.ResponseWriter { return echoed{unwrapOnly{hidden{rec}}} }, "sse_test.hidden"},
		"unwrap to no": {func(*ssetest.Recorder) http.ResponseWriter { return unwrapNil{hidden{httptest.NewRecorder()}} }, "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := ssetest.NewRecorder()
			w := tt.wrap(rec)
			conn, err := sse.Upgrade(w, httptest.NewRequest(http.MethodGet, "/", nil))
			require.Nil(t, conn)
			require.ErrorIs(t, err, sse.ErrStreamingNotSupported)
			require.ErrorContains(t, err, tt.culprit)
			require.NotContains(t, w.Header(), "Cache-Control")
			require.NotContains(t, w.Header(), "Connection")
			require.NotContains(t, w.Header(), "X-Accel-Buffering")
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
			if name != "unwrap to no" {
				require.Equal(t, http.StatusInternalServerError, rec.Status())
				require.NoError(t, rec.FlushError())
				require.Equal(t, err.Error()+"\n", rec.Text())
			}
		})
	}
}

type unwrapNil struct{ hidden }

func (unwrapNil) Unwrap() http.ResponseWriter { return nil }

// What a middleware adds to the head when that is written is in it: a stream that is
// compressed says so.
func TestUpgradeCompressor(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if conn, err := sse.Upgrade(compressor{unwrapOnly{w}}, r); err == nil {
			conn.Close()
		}
	}
	server := ssetest.NewServer(http.HandlerFunc(handler))
	defer server.Close()
	res, err := (&http.Client{Transport: &http.Transport{DialContext: server.Listener.Dial, DisableCompression: true}}).Get(server.URL)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
}

// A panic that has another reason than that goes on.
func TestUpgradeFlushPanics(t *testing.T) {
	w := echoed{unwrapOnly{oldFlusher{ssetest.NewRecorder()}}}
	require.PanicsWithValue(t, "sse_test.oldFlusher cannot flush", func() {
		_, _ = sse.Upgrade(w, httptest.NewRequest(http.MethodGet, "/", nil))
	})
}

// Faults 44: the same over a server, behind the middleware that everybody has.
func TestUpgradeTimeoutHandler(t *testing.T) {
	errs := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := sse.Upgrade(w, r)
		errs <- err
	})
	server := ssetest.NewServer(http.TimeoutHandler(handler, time.Minute, ""))
	defer server.Close()
	res, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer res.Body.Close()
	require.ErrorIs(t, <-errs, sse.ErrStreamingNotSupported)
	require.Equal(t, http.StatusInternalServerError, res.StatusCode)
	require.False(t, res.Close, "the connection can be used again")
}

// Faults 44: a writer that is past streaming gives an error, not a panic.
func TestUpgradeTooLate(t *testing.T) {
	_, err := sse.Upgrade(badFlusher{ssetest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/", nil))
	require.ErrorIs(t, err, sse.ErrConnectionClosed)
	require.ErrorIs(t, err, errGone)

	rec := ssetest.NewRecorder()
	rec.FailAfter(1, errGone)
	_, err = sse.Upgrade(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	require.ErrorIs(t, err, sse.ErrConnectionClosed)
	require.ErrorIs(t, err, errGone)
	require.Equal(t, ":", rec.Text())
}

// Faults 48 and 89: on a stream with no event the client has status, headers
// and a first line at once.
func TestUpgradeHeadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) { <-conn.Done() }))
		defer server.Close()
		start := time.Now()
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer res.Body.Close()
		line := make([]byte, 2)
		_, err = io.ReadFull(res.Body, line)
		require.NoError(t, err)
		require.Equal(t, ":\n", string(line))
		require.Zero(t, time.Since(start))

		require.True(t, res.Close, "the client takes Connection: close out of the header")
		res.Header.Del("Date")
		require.Equal(t, http.Header{
			"Content-Type":           {"text/event-stream"},
			"Cache-Control":          {"no-store, no-transform"},
			"X-Accel-Buffering":      {"no"},
			"X-Content-Type-Options": {"nosniff"},
		}, res.Header)
	})
}

// Faults 8: RetryTime is sent in whole milliseconds, or not at all.
func TestUpgradeRetryTime(t *testing.T) {
	for retry, want := range map[time.Duration]string{
		5 * time.Second:         "retry: 5000\n",
		1500 * time.Millisecond: "retry: 1500\n",
		time.Millisecond:        "retry: 1\n",
		time.Microsecond:        ":\n",
		0:                       ":\n",
		-time.Second:            ":\n",
	} {
		rec := ssetest.NewRecorder()
		conn, err := sse.Upgrader{RetryTime: retry}.Upgrade(rec, httptest.NewRequest(http.MethodGet, "/", nil))
		require.NoError(t, err)
		conn.Close()
		require.Equal(t, want, rec.Text(), "%v", retry)
	}
}

// Faults 77: the header counts before the parameter, the first header before
// others; what the client sent is not changed.
func TestUpgradeLastEventID(t *testing.T) {
	for _, tt := range []struct {
		target string
		header []string
		want   string
	}{
		{"/", nil, ""},
		{"/", []string{"5"}, "5"},
		{"/?lastEventID=4", nil, "4"},
		{"/?lastEventID=4", []string{"5"}, "5"},
		{"/?lastEventID=4", []string{""}, "4"},
		{"/?lastEventID=4&lastEventID=3", nil, "4"},
		{"/?lastEventId=4", nil, "4"},
		{"/?lastEventId=4", []string{"5"}, "5"},
		{"/?lastEventID=3&lastEventId=4", nil, "4"},
		{"/?lastEventID=3&lastEventId=", nil, "3"},
		{"/", []string{"5", "6"}, "5"},
		{"/?lastEventID=a%0Ab%00", nil, "a\nb\x00"},
		{"/?lastEventID=%zz", nil, ""},
		{"/?last_event_id=4", nil, ""},
		{"/?lastEventID=" + strings.Repeat("9", 1000), nil, strings.Repeat("9", 1000)},
	} {
		req := httptest.NewRequest(http.MethodGet, tt.target, nil)
		req.Header["Last-Event-Id"] = tt.header
		conn, err := sse.Upgrade(ssetest.NewRecorder(), req)
		require.NoError(t, err)
		conn.Close()
		require.Equal(t, tt.want, conn.LastEventID(), "%s %q", tt.target, tt.header)
		require.Equal(t, tt.want, sse.LastEventID(req))
	}
}
