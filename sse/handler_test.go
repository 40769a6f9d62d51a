package sse_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// exchange sends text over a connection of its own and returns all that comes.
func exchange(server *httptest.Server, text string) ([]byte, error) {
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// readResponse returns the body of the one response in raw; more is an error.
func readResponse(raw []byte) (string, error) {
	r := bufio.NewReader(bytes.NewReader(raw))
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		return "", fmt.Errorf("unsolicited %q", rest)
	}
	return string(body), err
}

// Promise 6, faults 46: a handler that writes and returns, while others go on
// writing, loses nothing and leaves nothing behind: no byte follows the
// response, and nothing touches the writer (the race detector would tell).
func TestWriteThenReturn(t *testing.T) {
	var others sync.WaitGroup
	server := httptest.NewServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) {
		for i := range 3 {
			if err := conn.WriteString(fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		}
		others.Go(func() {
			for conn.Comment("late") == nil {
			}
			conn.Close()
		})
	}))
	defer server.Close()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				raw, err := exchange(server, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
				if err != nil {
					t.Error(err)
					return
				}
				body, err := readResponse(raw)
				body = strings.ReplaceAll(body, ": late\n", "")
				if err != nil || body != ":\ndata: 0\n\ndata: 1\n\ndata: 2\n\n" {
					t.Errorf("%q, %v", body, err)
				}
			}
		})
	}
	clients.Wait()
	others.Wait()
}

// The seed's programs never close: what they wrote arrives all the same.
func TestWriteThenReturnWithoutClose(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := sse.Upgrade(w, r)
		if err == nil {
			err = conn.WriteString("x")
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	for range 100 {
		res, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		require.Equal(t, ":\ndata: x\n\n", string(body))
	}
}

// Faults 50: old and odd clients get one valid stream.
func TestHTTP1Clients(t *testing.T) {
	server := httptest.NewServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) { _ = conn.WriteString("x") }))
	defer server.Close()
	const http11 = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for name, text := range map[string]string{
		"HTTP/1.0":            "GET / HTTP/1.0\r\n\r\n",
		"HTTP/1.0 keep-alive": "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"Connection: close":   "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"pipelined":           http11 + http11 + http11,
	} {
		raw, err := exchange(server, text)
		require.NoError(t, err, name)
		require.Equal(t, strings.HasPrefix(name, "HTTP/1.0"), !bytes.Contains(raw, []byte("chunked")), name)
		body, err := readResponse(raw)
		require.NoError(t, err, name)
		require.Equal(t, ":\ndata: x\n\n", body, name)
	}
}

// Faults 47: connections that are cut at any time leave nothing behind.
func TestChurn(t *testing.T) {
	var streams sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streams.Add(1)
		defer streams.Done()
		conn, err := sse.Upgrade(w, r)
		if err != nil {
			return // it was gone already
		}
		defer conn.Close()
		for conn.WriteString("x") == nil {
		}
		<-conn.Done()
	}))
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for n := range 100 {
				c, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.(*net.TCPConn).SetLinger(0) // leave with a reset
				text := "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
				if n%3 == 0 {
					text = text[:n%len(text)]
				}
				_, _ = io.WriteString(c, text)
				if n%3 == 1 {
					_, _ = io.ReadFull(c, make([]byte, 50*(i+1)))
				}
				c.Close()
			}
		})
	}
	clients.Wait()
	server.Close() // waits for the handlers
	streams.Wait()
}
