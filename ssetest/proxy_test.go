package ssetest_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

const patience = 30 * time.Second

// echo answers each line on a connection with the same line, until its end.
func echo(t *testing.T, listener net.Listener) {
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); conns.Wait() })
}

// proxies are in front of an echo, over TCP and in memory.
var proxies = map[string]func(t *testing.T) *ssetest.Proxy{
	"TCP": func(t *testing.T) *ssetest.Proxy {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		echo(t, listener)
		proxy, err := ssetest.NewProxy(listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(proxy.Close)
		return proxy
	},
	"memory": func(t *testing.T) *ssetest.Proxy {
		listener := ssetest.Listen()
		echo(t, listener)
		proxy := ssetest.ServeProxy(ssetest.Listen(), listener.Dial)
		t.Cleanup(proxy.Close)
		return proxy
	},
}

func dial(t *testing.T, proxy *ssetest.Proxy) net.Conn {
	t.Helper()
	conn, err := proxy.Dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience)) // fails in memory if it has ended already
	return conn
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	_, err := io.ReadFull(conn, b)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

// What passes, and how the connection then is, by the Fault that it has from
// the start.
func TestProxyFaults(t *testing.T) {
	for name, newProxy := range proxies {
		for _, test := range []struct {
			name  string
			fault ssetest.Fault
			hears string
			ends  error // of reading on; nil if it can go on
		}{
			{"none", ssetest.Fault{}, "0123456789", nil},
			{"cut", ssetest.Fault{Cut: 4}, "0123", syscall.ECONNRESET},
			{"cut behind all", ssetest.Fault{Cut: 10}, "0123456789", syscall.ECONNRESET},
			{"cut in the distance", ssetest.Fault{Cut: 21}, "0123456789", nil},
			{"end", ssetest.Fault{End: 4}, "0123", io.EOF},
			{"end now", ssetest.Fault{End: ssetest.Now}, "", io.EOF},
			{"slices", ssetest.Fault{Slice: 1}, "0123456789", nil},
			{"slices and cut", ssetest.Fault{Slice: 3, Cut: 7}, "0123456", syscall.ECONNRESET},
			{"the first limit counts", ssetest.Fault{Cut: 9, End: 2, Stall: 5}, "01", io.EOF},
			{"delay", ssetest.Fault{Delay: time.Millisecond, Slice: 4}, "0123456789", nil},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				proxy := newProxy(t)
				proxy.SetFaults(func(int) ssetest.Fault { return test.fault })
				conn := dial(t, proxy)
				go func() { _, _ = io.WriteString(conn, "0123456789") }() // fails if it is cut
				hear(t, conn, test.hears)
				if test.ends == nil {
					go func() { _, _ = io.WriteString(conn, "more") }()
					hear(t, conn, "more")
					return
				}
				_, err := conn.Read(make([]byte, 1))
				if name == "memory" {
					test.ends = io.EOF
				}
				require.ErrorIs(t, err, test.ends)
			})
		}
	}
}

// A server that is down answers nobody, and does not even hear of it.
func TestProxyCutNow(t *testing.T) {
	for name, newProxy := range proxies {
		t.Run(name, func(t *testing.T) {
			proxy := newProxy(t)
			proxy.SetFaults(func(n int) ssetest.Fault { return []ssetest.Fault{{Cut: ssetest.Now}, {}}[n%2] })
			conn, err := proxy.Dial(t.Context(), "", "")
			if err == nil { // else the reset was there first
				_, err = conn.Read(make([]byte, 1))
				conn.Close()
			}
			require.Error(t, err)
			proxy.SetFaults(nil)
			conn = dial(t, proxy)
			say(t, conn, "up again")
			hear(t, conn, "up again")
			require.NoError(t, proxy.Wait(t.Context(), func(s ssetest.ProxyStats) bool { return s.Cut == 1 }))
		})
	}
}

// The half that has not ended goes on: what the client says still comes to the
// server, and its end, too.
func TestProxyHalfClosed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	proxy, err := ssetest.NewProxy(listener.Addr().String())
	require.NoError(t, err)
	defer proxy.Close()
	conn := dial(t, proxy)
	server, err := listener.Accept()
	require.NoError(t, err)
	defer server.Close()

	proxy.Apply(ssetest.Fault{End: ssetest.Now})
	_, err = conn.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	say(t, conn, "up")
	hear(t, server, "up")
	say(t, server, strings.Repeat("thrown away", 1<<17))
	require.NoError(t, conn.Close())
	_, err = server.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NoError(t, server.Close())
	require.NoError(t, proxy.Wait(t.Context(), func(s ssetest.ProxyStats) bool { return s.Open == 0 }))
	require.Equal(t, ssetest.ProxyStats{Accepted: 1}, proxy.Stats())
}

// What ends a side ends the other alike: a reset as a reset.
func TestProxyPassesReset(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	proxy, err := ssetest.NewProxy(listener.Addr().String())
	require.NoError(t, err)
	defer proxy.Close()
	for _, clientResets := range []bool{true, false} {
		client := dial(t, proxy)
		server, err := listener.Accept()
		require.NoError(t, err)
		from, to := client, server
		if !clientResets {
			from, to = server, client
		}
		require.NoError(t, from.(*net.TCPConn).SetLinger(0))
		require.NoError(t, from.Close())
		_, err = to.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, to.Close())
	}
	require.Zero(t, proxy.Stats().Cut, "the Proxy did not do it")
}

// Nothing passes a stalled connection, in either direction, not even its end;
// all of it does once it is released.
func TestProxyStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ssetest.Listen()
		proxy := ssetest.ServeProxy(ssetest.Listen(), l.Dial)
		defer proxy.Close()
		proxy.SetFaults(func(int) ssetest.Fault { return ssetest.Fault{Stall: 3} })
		client, err := proxy.Dial(t.Context(), "", "")
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		say(t, server, "abcdef") // accepted, as a piece
		hear(t, client, "abc")
		var up []byte
		go func() { up, _ = io.ReadAll(server) }()
		say(t, client, "x")
		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = client.Read(make([]byte, 1))
		require.Error(t, err, "for an hour")
		require.Empty(t, up)

		proxy.Apply(ssetest.Fault{Stall: 1})
		require.NoError(t, client.SetReadDeadline(time.Time{}))
		hear(t, client, "d")
		require.NoError(t, client.Close())
		synctest.Wait()
		require.Empty(t, up, "the server does not learn of the end")
		require.Equal(t, 1, proxy.Stats().Open)
		proxy.Apply(ssetest.Fault{})
		synctest.Wait()
		require.Zero(t, proxy.Stats().Open)
		require.NoError(t, server.Close())
	})
}

// With Slice and Delay an answer takes its time.
func TestProxyDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		}))
		defer server.Close()
		proxy := ssetest.ServeProxy(ssetest.Listen(), server.Listener.Dial)
		defer proxy.Close()
		var took [2]time.Duration
		proxy.SetFaults(func(n int) ssetest.Fault {
			return ssetest.Fault{Slice: 2 - n%2, Delay: time.Second}
		})
		for i := range took {
			start := time.Now()
			res, err := proxy.Client().Get(proxy.URL())
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Len(t, body, 1000)
			res.Body.Close()
			took[i] = time.Since(start)
		}
		require.Greater(t, took[0], 500*time.Second)
		require.Greater(t, took[1], 1000*time.Second, "one by one")
	})
}

// Some are chosen by their number; Apply counts anew.
func TestProxyApply(t *testing.T) {
	for name, newProxy := range proxies {
		t.Run(name, func(t *testing.T) {
			proxy := newProxy(t)
			var conns []net.Conn
			for range 3 {
				conn := dial(t, proxy)
				conns = append(conns, conn)
				say(t, conn, "hi")
				hear(t, conn, "hi")
			}
			proxy.Apply(ssetest.Fault{Cut: 3}, 1, 2, 17)
			for _, conn := range conns {
				say(t, conn, "abc")
				hear(t, conn, "abc")
			}
			for _, conn := range conns[1:] {
				_, err := conn.Read(make([]byte, 1))
				require.Error(t, err)
			}
			require.NoError(t, proxy.Wait(t.Context(), func(s ssetest.ProxyStats) bool { return s.Open == 1 }))
			require.Equal(t, ssetest.ProxyStats{Accepted: 3, Open: 1, Cut: 2}, proxy.Stats())
			proxy.CutAll()
			_, err := conns[0].Read(make([]byte, 1))
			require.Error(t, err)
			require.NoError(t, proxy.Wait(t.Context(), func(s ssetest.ProxyStats) bool { return s.Open == 0 }))
		})
	}
}

func TestProxyWaitEnds(t *testing.T) {
	proxy := ssetest.ServeProxy(ssetest.Listen(), nil)
	defer proxy.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, proxy.Wait(ctx, func(ssetest.ProxyStats) bool { return false }), context.Canceled)
}

// A server that is not there is a reset, and Close ends whatever goes on.
func TestProxyClose(t *testing.T) {
	proxy := ssetest.ServeProxy(ssetest.Listen(), func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nobody is there")
	})
	_, err := proxy.Client().Get(proxy.URL())
	require.Error(t, err)
	proxy.Close()
	proxy.Close()
	_, err = proxy.Client().Get(proxy.URL())
	require.ErrorIs(t, err, net.ErrClosed)

	for _, fault := range []ssetest.Fault{{}, {Stall: ssetest.Now}, {Stall: 1}, {End: 1}, {Delay: time.Hour}} {
		proxy := proxies["TCP"](t)
		proxy.SetFaults(func(int) ssetest.Fault { return fault })
		conn := dial(t, proxy)
		say(t, conn, "abc")
		require.NoError(t, proxy.Wait(t.Context(), func(s ssetest.ProxyStats) bool { return s.Open == 1 }))
		proxy.Close()
		if _, err := io.Copy(io.Discard, conn); fault.End == 0 {
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
		require.Zero(t, proxy.Stats().Open)
	}
}

func TestProxyTargets(t *testing.T) {
	for _, bad := range []string{"", "nowhere", "http://[::1", "ftp://"} {
		_, err := ssetest.NewProxy(bad)
		require.Error(t, err, bad)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host)
	}))
	defer server.Close()
	proxy, err := ssetest.NewProxy(server.URL)
	require.NoError(t, err)
	defer proxy.Close()
	require.Equal(t, "https://"+proxy.Addr(), proxy.URL())
	res, err := server.Client().Get(proxy.URL())
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, proxy.Addr(), string(body))
}

// Clients that are cut at random get all, each once and in order. Fault 15.
func TestProxyChaos(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, cuts, events = 10, 500, 1000
		hub := ssehub.New(nil)
		defer hub.Close()
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		proxy := ssetest.ServeProxy(ssetest.Listen(), server.Listener.Dial)
		defer proxy.Close()
		rng := rand.New(rand.NewPCG(1, 2))
		proxy.SetFaults(func(n int) ssetest.Fault {
			if n >= cuts {
				return ssetest.Fault{}
			}
			return ssetest.Fault{Cut: 1 + rng.Int64N(3000), Slice: 1 + rng.IntN(500)}
		})
		start := hub.Position().String()
		var readers sync.WaitGroup
		for range clients {
			readers.Go(func() {
				sub := client.Subscribe(t.Context(), proxy.URL(), &client.Options{HTTPClient: proxy.Client(), LastEventID: start})
				defer sub.Close()
				want := 0
				for m := range sub.Events() {
					if len(m.Data) != want {
						t.Errorf("event %d in place of %d", len(m.Data), want)
						return
					}
					if want++; want == events {
						return
					}
				}
				t.Error(sub.Err())
			})
		}
		data := make([]byte, events)
		for n := range events {
			_, err := hub.Publish(t.Context(), "n", sse.Message{Data: data[:n]})
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		readers.Wait()
		require.NotZero(t, proxy.Stats().Cut)
	})
}
