package sse_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

const request = "GET / HTTP/1.1\r\nHost: ssetest\r\n\r\n"

// Promise 5, faults 39: a reader that never reads is cut exactly at the write
// timeout, before and after it got the head.
func TestWriteTimeout(t *testing.T) {
	for name, tt := range map[string]struct {
		up   sse.Upgrader
		want time.Duration
	}{
		"default": {sse.Upgrader{}, sse.DefaultWriteTimeout},
		"3 s":     {sse.Upgrader{WriteTimeout: 3 * time.Second}, 3 * time.Second},
	} {
		for _, readsHead := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ended := make(chan error, 1)
					server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						conn, err := tt.up.Upgrade(w, r)
						if err == nil {
							defer conn.Close()
							err = conn.WriteString("x")
						}
						ended <- err
					}))
					defer server.Close()
					c, err := server.Listener.Dial(t.Context(), "", "")
					require.NoError(t, err)
					defer c.Close()
					_, err = io.WriteString(c, request)
					require.NoError(t, err)
					if readsHead {
						readUntil(t, c, ":\n")
					}
					start := time.Now()
					err = <-ended
					require.Equal(t, tt.want, time.Since(start))
					require.ErrorIs(t, err, sse.ErrConnectionClosed)
					require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				})
			})
		}
	}
}

func readUntil(t testing.TB, r io.Reader, end string) {
	t.Helper()
	var got []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(got), end); got = append(got, b[0]) {
		_, err := r.Read(b)
		require.NoError(t, err)
	}
}

// Each 64 KiB have the timeout to themselves: a slow reader of a large event
// is not a dead one.
func TestWriteTimeoutSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		ended := make(chan error, 1)
		server := ssetest.NewServer(streaming(t, sse.Upgrader{WriteTimeout: time.Second}, func(conn *sse.Conn) {
			ended <- conn.WriteString(strings.Repeat("x", size))
		}))
		defer server.Close()
		res := open(t, server.Client(), server.URL)
		defer res.Body.Close()
		start := time.Now()
		for read, buf := 0, make([]byte, 32<<10); read < size; time.Sleep(100 * time.Millisecond) {
			n, err := res.Body.Read(buf)
			require.NoError(t, err)
			read += n
		}
		require.Greater(t, time.Since(start), 3*time.Second)
		_, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, <-ended)
	})
}

// Close cuts a write that a client keeps blocked, within 50 ms, and stops
// those that wait behind it.
func TestCloseCutsBlockedWrite(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"timeout": 0, "no timeout": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const writers = 3
				ended := make(chan error, writers)
				took := make(chan time.Duration, 1)
				server := ssetest.NewServer(streaming(t, sse.Upgrader{WriteTimeout: timeout}, func(conn *sse.Conn) {
					for range writers {
						go func() { ended <- conn.WriteString(strings.Repeat("x", 1<<20)) }()
					}
					time.Sleep(time.Second)
					start := time.Now()
					conn.Close()
					took <- time.Since(start)
				}))
				defer server.Close()
				res := open(t, server.Client(), server.URL)
				defer res.Body.Close()
				require.LessOrEqual(t, <-took, 50*time.Millisecond)
				for range writers {
					require.ErrorIs(t, <-ended, sse.ErrConnectionClosed)
				}
			})
		})
	}
}

// A write that ends within the grace is not cut: the client gets all of it and
// a proper end.
func TestCloseLeavesGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		server := ssetest.NewServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) {
			go func() { ended <- conn.WriteString(strings.Repeat("x", 1<<20)) }()
			time.Sleep(time.Second)
			conn.Close()
		}))
		defer server.Close()
		res := open(t, server.Client(), server.URL)
		defer res.Body.Close()
		time.Sleep(time.Second + 49*time.Millisecond)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, <-ended)
		require.Len(t, body, len("data: \n\n")+1<<20)
	})
}

// Faults 43: a stream lives under any http.Server.WriteTimeout.
func TestServerWriteTimeout(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"default": 0, "1 s": time.Second, "none": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler := streaming(t, sse.Upgrader{WriteTimeout: timeout}, func(conn *sse.Conn) {
					for range 15 {
						time.Sleep(time.Second)
						if err := conn.WriteString("x"); err != nil {
							t.Error(err)
							return
						}
					}
				})
				server := ssetest.Serve(&http.Server{Handler: handler, WriteTimeout: time.Second})
				defer server.Close()
				res := open(t, server.Client(), server.URL)
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Equal(t, strings.Repeat("data: x\n\n", 15), string(body))
			})
		})
	}
}

// A recorder shows the deadline of each write.
func TestWriteTimeoutSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, timeout := range []time.Duration{time.Second, -1} {
			rec := ssetest.NewRecorder()
			conn, err := sse.Upgrader{WriteTimeout: timeout}.Upgrade(rec, httptest.NewRequest(http.MethodGet, "/", nil))
			require.NoError(t, err)
			time.Sleep(time.Hour)
			require.NoError(t, conn.WriteString("x"))
			want := time.Now().Add(timeout)
			if timeout < 0 {
				want = time.Time{}
			}
			require.Equal(t, want, rec.Deadline())
			conn.Close()
			require.Equal(t, want, rec.Deadline())
		}
	})
}
