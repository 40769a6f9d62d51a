package ssetest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Every host leads to the server, and its configuration is used as it is.
func TestServer(t *testing.T) {
	config := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host)
	})}
	server := ssetest.Serve(config)
	defer server.Close()
	require.Same(t, config, server.Config)
	for _, url := range []string{server.URL, "http://example.com:8080"} {
		res, err := server.Client().Get(url)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		require.Equal(t, res.Request.Host, string(body))
	}
}

// A server, its clients and their waits take no time in a bubble, which also
// proves that Close leaves no goroutine: idle connections, an open stream and
// a handler that waits for its client.
func TestServerInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stream" {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				return
			}
			time.Sleep(24 * time.Hour)
		}))
		start := time.Now()
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, 24*time.Hour, time.Since(start))

		stream, err := server.Client().Get(server.URL + "/stream")
		require.NoError(t, err)
		server.Close()
		server.Close()
		_, err = io.ReadAll(stream.Body)
		require.Error(t, err)
		_, err = server.Client().Get(server.URL)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// Close right behind the start does not hang, whoever comes first.
func TestServerCloseAtOnce(t *testing.T) {
	for range 100 {
		ssetest.NewServer(http.NotFoundHandler()).Close()
	}
}

func TestListener(t *testing.T) {
	l := ssetest.Listen()
	require.Equal(t, "mem", l.Addr().Network())
	require.NotEmpty(t, l.Addr().String())

	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := l.Accept()
		accepted <- conn
	}()
	ours, err := l.Dial(t.Context(), "tcp", "anywhere:80")
	require.NoError(t, err)
	theirs := <-accepted
	go func() { _, _ = io.WriteString(ours, "x") }()
	b := make([]byte, 2)
	n, err := theirs.Read(b)
	require.NoError(t, err)
	require.Equal(t, "x", string(b[:n]))

	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = l.Dial(t.Context(), "", "")
	require.ErrorIs(t, err, net.ErrClosed)

	require.NoError(t, theirs.SetReadDeadline(time.Now().Add(-1)), "connections stay open")
	require.NoError(t, ours.Close())
	require.NoError(t, theirs.Close())
}

// A dial that nobody takes ends with its context, or with the Listener.
func TestListenerDialWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ssetest.Listen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := l.Dial(ctx, "", "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))

		errs := make(chan error, 2)
		go func() { _, err := l.Dial(t.Context(), "", ""); errs <- err }()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-errs, net.ErrClosed)

		l = ssetest.Listen()
		go func() { _, err := l.Accept(); errs <- err }()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-errs, net.ErrClosed)
	})
}
