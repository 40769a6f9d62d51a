package proxies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// patience is for what should be at once, on a machine that may be busy.
const patience = 20 * time.Second

// kind is a proxy: its configuration, of the two addresses, and its command line.
type kind struct {
	config     string
	args       []string // CONFIG and DIR stand for these
	idle       time.Duration
	passesHost bool
}

var kinds = map[string]kind{
	"nginx": {
		config: `daemon off; worker_processes 1; pid DIR/pid; error_log stderr; events {}
			http { access_log off; server { listen PROXY; location / { proxy_pass http://SERVER; } } }`,
		args: []string{"-p", "DIR", "-c", "CONFIG"},
		idle: 60 * time.Second, // its proxy_read_timeout
	},
	"haproxy": { // it has no timeouts of its own, and wants some: these are Debian's
		config: "defaults\n mode http\n timeout connect 5000\n timeout client 50000\n timeout server 50000\n" +
			"listen in\n bind PROXY\n server s SERVER\n",
		args:       []string{"-db", "-f", "CONFIG"},
		idle:       50 * time.Second,
		passesHost: true,
	},
	"caddy": {
		config:     "{\n admin off\n}\nhttp://:PORT {\n bind 127.0.0.1\n reverse_proxy SERVER\n}\n",
		args:       []string{"run", "--adapter", "caddyfile", "--config", "CONFIG"},
		idle:       60 * time.Second, // it has none: as long as the others'
		passesHost: true,
	},
}

// forEach runs a test behind each proxy. It takes a hub and the address of the proxy.
func forEach(t *testing.T, opts ssehub.Options, test func(t *testing.T, k kind, hub *ssehub.Hub, addr string)) {
	forEachOf(kinds, t, opts, test)
}

func forEachOf(kinds map[string]kind, t *testing.T, opts ssehub.Options, test func(t *testing.T, k kind, hub *ssehub.Hub, addr string)) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := exec.LookPath(name)
			if err != nil && os.Getenv("CI") == "true" {
				t.Fatal(err)
			} else if err != nil {
				t.Skip(err)
			}
			hub := ssehub.New(&opts)
			server := httptest.NewServer(hub.Handler("n"))
			defer server.Close()
			defer hub.Close()
			test(t, k, hub, start(t, program, k, server.Listener.Addr().String()))
		})
	}
}

// start runs the proxy until the test ends, and returns its address.
func start(t *testing.T, program string, k kind, server string) string {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // nginx's workers are somebody else
	port := freePort(t)
	addr := "127.0.0.1:" + port
	config := filepath.Join(dir, "config")
	text := strings.NewReplacer("PROXY", addr, "SERVER", server, "DIR", dir, "PORT", port).Replace(k.config)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	var args []string
	for _, arg := range k.args {
		args = append(args, strings.NewReplacer("CONFIG", config, "DIR", dir).Replace(arg))
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return addr
}

// freePort is one below those that the system gives to who asks for any, such as the
// tests beside this one, before the proxy has it.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// stream is a client behind a proxy.
type stream struct {
	t    *testing.T
	res  *http.Response
	dec  *sse.Decoder
	stop context.CancelFunc
	beat chan struct{} // has one for each heartbeat
}

func open(t *testing.T, addr, host, lastEventID string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	require.NoError(t, err)
	req.Host = host
	req.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	transport := &http.Transport{}
	late := time.AfterFunc(patience, cancel)
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	require.True(t, late.Stop(), "no head in time")
	t.Cleanup(func() {
		cancel()
		res.Body.Close()
		transport.CloseIdleConnections()
	})
	s := &stream{t: t, res: res, dec: sse.NewDecoder(res.Body), stop: cancel, beat: make(chan struct{}, 1000)}
	s.dec.SetCommentFunc(func(string) { s.beat <- struct{}{} })
	return s
}

// next returns the next event, which must come soon.
func (s *stream) next() (m sse.Message) {
	s.t.Helper()
	late := time.AfterFunc(patience, s.stop)
	require.NoError(s.t, s.dec.Decode(&m))
	late.Stop()
	return m
}

func publish(t *testing.T, hub *ssehub.Hub, text string) {
	t.Helper()
	_, err := hub.Publish(t.Context(), "n", sse.Message{Data: []byte(text)})
	require.NoError(t, err)
}

// The head and each event come at once, though nothing follows them; and a client that
// was cut goes on where it was.
func TestAtOnce(t *testing.T) {
	forEach(t, ssehub.Options{}, func(t *testing.T, _ kind, hub *ssehub.Hub, addr string) {
		s := open(t, addr, "", "")
		require.Equal(t, 200, s.res.StatusCode)
		require.Equal(t, "text/event-stream", s.res.Header.Get("Content-Type"))
		require.Equal(t, sse.TypeHello, s.next().Type)
		var m sse.Message
		for i := range 10 {
			publish(t, hub, fmt.Sprint(i))
			m = s.next()
			require.Equal(t, fmt.Sprint(i), string(m.Data))
		}
		big := strings.Repeat("x", 300_000)
		publish(t, hub, big)
		require.Equal(t, big, string(s.next().Data))
		s.stop()
		s = open(t, addr, "", m.ID)
		require.Equal(t, sse.TypeHello, s.next().Type)
		require.Equal(t, big, string(s.next().Data))
	})
}

// A client that leaves is gone behind the proxy too, at the next heartbeats (HAProxy
// finds it out when it has something to write), and a hub that ends is told to the
// client.
func TestCut(t *testing.T) {
	forEach(t, ssehub.Options{Heartbeat: time.Second}, func(t *testing.T, _ kind, hub *ssehub.Hub, addr string) {
		s := open(t, addr, "", "")
		s.next()
		require.Equal(t, 1, hub.Stats().Subscribers)
		s.stop()
		s.res.Body.Close()
		require.Eventually(t, func() bool { return hub.Stats().Subscribers == 0 }, patience, time.Millisecond)

		s = open(t, addr, "", "")
		s.next()
		ended := make(chan error, 1)
		go func() { ended <- s.dec.Decode(new(sse.Message)) }()
		require.NoError(t, hub.Close())
		select {
		case err := <-ended:
			require.Error(t, err)
		case <-time.After(patience):
			t.Fatal("the client was not told")
		}
	})
}

// A stream with nothing to say outlives the proxy's idle time by its heartbeats.
func TestQuiet(t *testing.T) {
	if os.Getenv("CI") != "true" {
		t.Skip("takes more than a minute: CI=true")
	}
	forEach(t, ssehub.Options{}, func(t *testing.T, k kind, hub *ssehub.Hub, addr string) {
		s := open(t, addr, "", "")
		s.next()
		publishing := time.AfterFunc(k.idle+5*time.Second, func() { publish(t, hub, "still here") })
		defer publishing.Stop()
		var m sse.Message
		require.NoError(t, s.dec.Decode(&m))
		require.Equal(t, "still here", string(m.Data))
		require.GreaterOrEqual(t, len(s.beat), 3) // one for every 15 s
	})
}

// A proxy on this machine that passes on the name which it was asked for needs
// Options.AllowedHosts, and the answer without says so.
func TestHost(t *testing.T) {
	for name, allowed := range map[string][]string{"allowed": {"app.example"}, "not allowed": nil} {
		t.Run(name, func(t *testing.T) {
			forEach(t, ssehub.Options{AllowedHosts: allowed}, func(t *testing.T, k kind, _ *ssehub.Hub, addr string) {
				if !k.passesHost {
					t.Skip("it gives the server's own name unless told otherwise")
				}
				_, port, _ := net.SplitHostPort(addr)
				s := open(t, addr, "app.example:"+port, "")
				if allowed == nil {
					require.Equal(t, http.StatusMisdirectedRequest, s.res.StatusCode)
					return
				}
				require.Equal(t, 200, s.res.StatusCode)
				require.Equal(t, sse.TypeHello, s.next().Type)
			})
		})
	}
}

// An id as long as that of a connection over many logs would be comes through; docs/scale.md
// has how many that are.
func TestLongLastEventID(t *testing.T) {
	forEach(t, ssehub.Options{}, func(t *testing.T, _ kind, _ *ssehub.Hub, addr string) {
		taken := 0
		for size := 1 << 10; size <= 64<<10; size += 1 << 10 {
			s := open(t, addr, "", strings.Repeat("x", size))
			if s.res.StatusCode != 200 {
				break
			}
			require.Equal(t, sse.TypeHello, s.next().Type)
			s.stop()
			taken = size
		}
		t.Logf("%d bytes", taken)
		require.GreaterOrEqual(t, taken, 4<<10)
	})
}
