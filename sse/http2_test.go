package sse_test

import (
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

// inMemoryHTTP2 returns a server that speaks HTTP/2 without TLS, and a client.
func inMemoryHTTP2(handler http.Handler) (*ssetest.Server, *http.Transport) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := ssetest.Serve(&http.Server{Handler: handler, Protocols: protocols})
	return server, &http.Transport{DialContext: server.Listener.Dial, Protocols: protocols}
}

// A deadline that passes would reset the stream, so none is left standing
// between writes: an idle stream outlives the write timeout.
func TestHTTP2IdleStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, transport := inMemoryHTTP2(streaming(t, sse.Upgrader{WriteTimeout: time.Second}, func(conn *sse.Conn) {
			for range 3 {
				time.Sleep(time.Minute)
				if err := conn.WriteString("x"); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Minute)
		}))
		defer server.Close()
		defer transport.CloseIdleConnections()
		res := open(t, &http.Client{Transport: transport}, server.URL)
		defer res.Body.Close()
		require.Equal(t, 2, res.ProtoMajor)
		require.NotContains(t, res.Header, "Connection")
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("data: x\n\n", 3), string(body))
	})
}

// Faults 51: a stream whose reader grants no window is cut at the timeout, and
// the connection goes on with the next.
func TestHTTP2WriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		server, transport := inMemoryHTTP2(streaming(t, sse.Upgrader{WriteTimeout: time.Second}, func(conn *sse.Conn) {
			var err error
			for err == nil {
				err = conn.WriteString(strings.Repeat("x", 1<<20))
			}
			ended <- err
		}))
		defer server.Close()
		defer transport.CloseIdleConnections()
		for range 2 {
			res := open(t, &http.Client{Transport: transport}, server.URL)
			start := time.Now()
			require.ErrorIs(t, <-ended, sse.ErrConnectionClosed)
			require.Equal(t, time.Second, time.Since(start))
			res.Body.Close()
		}
	})
}

// A client that leaves ends its stream alone.
func TestHTTP2ClientLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		server, transport := inMemoryHTTP2(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) {
			<-conn.Done()
			ended <- conn.WriteString("x")
		}))
		defer server.Close()
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		stays := open(t, client, server.URL)
		open(t, client, server.URL).Body.Close()
		require.ErrorIs(t, <-ended, sse.ErrConnectionClosed)
		stays.Body.Close()
		require.ErrorIs(t, <-ended, sse.ErrConnectionClosed)
	})
}

// The same over TLS, as browsers have it.
func TestHTTP2TLS(t *testing.T) {
	server := httptest.NewUnstartedServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) {
		_ = conn.WriteString("x")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	res := open(t, server.Client(), server.URL)
	defer res.Body.Close()
	require.Equal(t, 2, res.ProtoMajor)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "data: x\n\n", string(body))
}
