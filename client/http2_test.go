package client_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/stretchr/testify/require"
)

// tunnel passes connections on to a server until it is told to swallow all that
// the connections of then carry, as a network does that has gone away.
type tunnel struct {
	net.Listener
	target string
	mu     sync.Mutex
	dead   chan struct{} // closed for the connections of then
	all    []net.Conn
	copies sync.WaitGroup
}

func newTunnel(t *testing.T, target string) *tunnel {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	tun := &tunnel{Listener: listener, target: target, dead: make(chan struct{})}
	tun.copies.Go(tun.accept)
	t.Cleanup(func() {
		tun.Close()
		tun.swallow()
		tun.mu.Lock()
		for _, conn := range tun.all {
			conn.Close()
		}
		tun.mu.Unlock()
		tun.copies.Wait()
	})
	return tun
}

func (tun *tunnel) swallow() {
	tun.mu.Lock()
	defer tun.mu.Unlock()
	close(tun.dead)
	tun.dead = make(chan struct{})
}

func (tun *tunnel) accept() {
	for {
		in, err := tun.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", tun.target)
		if err != nil {
			in.Close()
			return
		}
		tun.mu.Lock()
		dead := tun.dead
		tun.all = append(tun.all, in, out)
		tun.mu.Unlock()
		tun.copies.Go(func() { pass(in, out, dead) })
		tun.copies.Go(func() { pass(out, in, dead) })
	}
}

func pass(from, to net.Conn, dead chan struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			to.Close()
			return
		}
		select {
		case <-dead: // nobody is told
		default:
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// Over HTTP/2 a connection that is dead takes every further request, until it is
// left. The idle timeout and Reconnect leave it. Faults 36, 41.
func TestHTTP2DeadConnection(t *testing.T) {
	beats := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if _, err := io.WriteString(w, "data: "+r.Proto+" "+r.RemoteAddr+"\n\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	}
	for name, tt := range map[string]struct {
		idle   time.Duration
		shared bool // by another stream
	}{
		"idle":         {idle: time.Second},
		"idle, shared": {idle: time.Second, shared: true},
		"Reconnect":    {},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(beats))
			server.EnableHTTP2 = true
			server.StartTLS()
			defer func() {
				server.CloseClientConnections() // among them one that never ends by itself
				server.Close()
			}()
			tun := newTunnel(t, server.Listener.Addr().String())
			httpClient := server.Client()
			transport := httpClient.Transport.(*http.Transport)
			defer transport.CloseIdleConnections()
			subscribe := func(idle time.Duration) *client.Subscription {
				return client.Subscribe(t.Context(), "https://"+tun.Addr().String(), &client.Options{
					HTTPClient: httpClient, IdleTimeout: idle, Backoff: client.Backoff{Max: 10 * time.Millisecond},
				})
			}
			sub := subscribe(tt.idle)
			defer sub.Close()
			dead := string((<-sub.Events()).Data)
			require.Contains(t, dead, "HTTP/2.0 ")
			if tt.shared {
				other := subscribe(0)
				defer other.Close()
				require.Equal(t, dead, string((<-other.Events()).Data))
			}
			tun.swallow()
			if tt.idle == 0 {
				sub.Reconnect()
			}
			late := time.After(20 * time.Second)
			for now := dead; now == dead; { // there are some on their way
				select {
				case m := <-sub.Events():
					now = string(m.Data)
					require.Contains(t, now, "HTTP/2.0 ")
				case <-late:
					require.FailNow(t, "still on the dead connection")
				}
			}
		})
	}
}
