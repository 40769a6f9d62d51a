package ssetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Text is what a client would have: what was flushed.
func TestRecorder(t *testing.T) {
	rec := ssetest.NewRecorder()
	require.Zero(t, rec.Status())
	rec.Header().Set("X", "y")
	rec.WriteHeader(http.StatusTeapot)
	rec.WriteHeader(http.StatusOK)
	require.Equal(t, http.StatusTeapot, rec.Status())
	_, err := io.WriteString(rec, "id: 1\ndata: a\n\ndata: b\n\nid: 2\n")
	require.NoError(t, err)
	require.Empty(t, rec.Text())
	require.Empty(t, rec.Messages())
	require.NoError(t, rec.FlushError())
	require.Equal(t, "id: 1\ndata: a\n\ndata: b\n\nid: 2\n", rec.Text())
	require.Equal(t, []sse.Message{{ID: "1", Data: []byte("a")}, {ID: "1", Data: []byte("b")}}, rec.Messages())
	at := time.Now()
	require.NoError(t, rec.SetWriteDeadline(at))
	require.Equal(t, at, rec.Deadline())
}

func TestRecorderImpliesStatus(t *testing.T) {
	for name, f := range map[string]func(*ssetest.Recorder) error{
		"write": func(rec *ssetest.Recorder) error { _, err := rec.Write(nil); return err },
		"flush": (*ssetest.Recorder).FlushError,
	} {
		rec := ssetest.NewRecorder()
		require.NoError(t, f(rec), name)
		require.Equal(t, http.StatusOK, rec.Status(), name)
	}
}

// FailAfter counts from when it was called, and what was taken before the
// failure has reached the client.
func TestRecorderFailAfter(t *testing.T) {
	gone := errors.New("gone")
	rec := ssetest.NewRecorder()
	_, err := io.WriteString(rec, "before ")
	require.NoError(t, err)
	rec.FailAfter(5, gone)
	for _, step := range []struct {
		n   int
		err error
	}{{3, nil}, {2, gone}, {0, gone}} {
		n, err := io.WriteString(rec, "abc")
		require.Equal(t, step.n, n)
		require.Equal(t, step.err, err)
	}
	require.Equal(t, "before abcab", rec.Text())
	rec.FailAfter(0, nil)
	_, err = io.WriteString(rec, "z")
	require.NoError(t, err)
}

// Wait sees what comes before, during and in the middle of a failure.
func TestRecorderWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := ssetest.NewRecorder()
		require.NoError(t, rec.Wait(t.Context(), 0))
		waited := make(chan error)
		for _, fails := range []bool{false, true} {
			n := len(rec.Messages()) + 1
			go func() { waited <- rec.Wait(t.Context(), n) }()
			synctest.Wait()
			if fails {
				rec.FailAfter(len("data: x\n\n"), io.ErrClosedPipe)
				_, err := io.WriteString(rec, "data: x\n\ndata: y\n\n")
				require.Equal(t, io.ErrClosedPipe, err)
			} else {
				_, err := io.WriteString(rec, "data: x\n\n")
				require.NoError(t, err)
				require.NoError(t, rec.FlushError())
			}
			require.NoError(t, <-waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, rec.Wait(ctx, 3), context.DeadlineExceeded)
	})
}

// A test may look while the handler writes.
func TestRecorderConcurrent(t *testing.T) {
	rec := ssetest.NewRecorder()
	var handler sync.WaitGroup
	handler.Go(func() {
		conn, err := sse.Upgrade(rec, httptest.NewRequest(http.MethodGet, "/", nil))
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for range 100 {
			if err := conn.WriteString("x"); err != nil {
				t.Error(err)
			}
		}
	})
	for n := range 100 {
		require.NoError(t, rec.Wait(t.Context(), n))
		require.GreaterOrEqual(t, len(rec.Messages()), n)
		_, _ = rec.Status(), rec.Deadline()
	}
	handler.Wait()
}
