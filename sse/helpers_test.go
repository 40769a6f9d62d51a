package sse_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// record returns a Conn whose stream, after its first line, a Recorder takes
// down.
func record(t testing.TB) (*sse.Conn, *ssetest.Recorder) {
	t.Helper()
	rec := ssetest.NewRecorder()
	conn, err := sse.Upgrade(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	require.Equal(t, ":\n", rec.Text())
	return conn, rec
}

// streaming returns a handler that upgrades, calls f and closes.
func streaming(t testing.TB, up sse.Upgrader, f func(*sse.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		defer conn.Close()
		f(conn)
	})
}

// open gets a stream and reads its first line, as a pipe has no buffer and the
// server would wait. The test must close the body.
func open(t testing.TB, client *http.Client, url string) *http.Response {
	t.Helper()
	res, err := client.Get(url)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	_, err = io.ReadFull(res.Body, make([]byte, len(":\n")))
	require.NoError(t, err)
	return res
}

// decode reads r to its end and returns the events and the error, nil for
// io.EOF.
func decode(dec *sse.Decoder) ([]sse.Message, error) {
	var messages []sse.Message
	for {
		var m sse.Message
		switch err := dec.Decode(&m); err {
		case nil:
			messages = append(messages, m)
		case io.EOF:
			return messages, nil
		default:
			return messages, err
		}
	}
}
