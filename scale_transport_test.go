package ssehub_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/stretchr/testify/require"
)

// ways are how streams reach a server.
var ways = []struct {
	name    string
	start   func(*httptest.Server)
	options ssehub.Options
	streams int // on each connection; 0 means 1
}{
	{name: "HTTP/1.1", start: (*httptest.Server).Start},
	{name: "HTTP/1.1, NoHijack", start: (*httptest.Server).Start, options: ssehub.Options{NoHijack: true}},
	{name: "TLS, HTTP/1.1", start: (*httptest.Server).StartTLS},
	{name: "TLS, HTTP/1.1, NoHijack", start: (*httptest.Server).StartTLS, options: ssehub.Options{NoHijack: true}},
	{name: "TLS, HTTP/2", start: startHTTP2},
	{name: "TLS, HTTP/2, 100 streams each", start: startHTTP2, streams: 100},
}

func startHTTP2(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }

// What a stream costs that waits, by its transport: resident bytes of a server in
// a process of its own, with a hundredth of -scale streams.
func TestScaleTransports(t *testing.T) {
	if way := os.Getenv("SSEHUB_WAY"); way != "" {
		serveWay(t, way)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	streams := max(100, *scale/100)
	for i, way := range ways {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestScaleTransports$", "-test.short")
		cmd.Env = append(os.Environ(), "SSEHUB_WAY="+strconv.Itoa(i))
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		ask := func() (answer string) {
			_, err := io.WriteString(in, "\n")
			require.NoError(t, err)
			require.True(t, lines.Scan(), "%s: the server is gone", way.name)
			return lines.Text()
		}
		require.True(t, lines.Scan())
		open := &opened{url: lines.Text(), each: max(1, way.streams), http2: strings.Contains(way.name, "HTTP/2")}
		open.add(t, 100) // what the first ones cost is the server's
		var before, after, stack, stackAfter int64
		_, err = fmt.Sscan(ask(), &before, &stack)
		require.NoError(t, err)
		open.add(t, streams)
		_, err = fmt.Sscan(ask(), &after, &stackAfter)
		require.NoError(t, err)
		t.Logf("%s: %d bytes for each of %d streams, of which stack %d", way.name,
			(after-before)/int64(streams), streams, (stackAfter-stack)/int64(streams))
		open.close()
		in.Close()
		require.NoError(t, cmd.Wait())
	}
}

// serveWay is the server's process. It tells its address, and for each line that
// comes its memory.
func serveWay(t *testing.T, index string) {
	i, err := strconv.Atoi(index)
	require.NoError(t, err)
	hub := ssehub.New(&ways[i].options)
	server := httptest.NewUnstartedServer(hub.Handler("t"))
	ways[i].start(server)
	defer server.Close()
	defer hub.Close()
	fmt.Println(server.URL)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		_, stack := memory()
		debug.FreeOSMemory()
		fmt.Println(resident(t), stack)
	}
}

// resident returns the bytes that this process has in memory.
func resident(t *testing.T) (kB int64) {
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if after, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, err = fmt.Sscan(after, &kB)
			require.NoError(t, err)
		}
	}
	return kB << 10
}

// opened are streams to a server, so many on each connection.
type opened struct {
	url    string
	each   int
	http2  bool
	bodies []io.Closer
	client *http.Client
	used   int // of client
	ends   []func()
}

func (o *opened) add(t *testing.T, streams int) {
	for range streams {
		if o.client == nil || o.used == o.each {
			transport := &http.Transport{
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
				ForceAttemptHTTP2: o.http2,
			}
			o.client, o.used = &http.Client{Transport: transport}, 0
			o.ends = append(o.ends, transport.CloseIdleConnections)
		}
		o.used++
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, o.url, nil)
		require.NoError(t, err)
		res, err := o.client.Do(req)
		require.NoError(t, err)
		require.Equal(t, o.http2, res.ProtoMajor == 2)
		_, err = io.ReadFull(res.Body, make([]byte, 20)) // of the hello
		require.NoError(t, err)
		o.bodies = append(o.bodies, res.Body)
	}
}

func (o *opened) close() {
	var all sync.WaitGroup
	for _, body := range o.bodies {
		all.Go(func() { body.Close() })
	}
	all.Wait()
	for _, end := range o.ends {
		end()
	}
}
