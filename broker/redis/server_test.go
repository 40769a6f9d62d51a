package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// patience is for what takes a moment, on a machine that may be busy.
const patience = 30 * time.Second

// What a server may be told of its files.
var (
	always    = []string{"--save", "", "--appendonly", "yes", "--appendfsync", "always"}
	snapshots = []string{"--save", "3600 1"}
	nothing   = []string{"--save", ""}
)

// engine is a server in a process of its own, one after the other with one folder.
type engine struct {
	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

func startEngine(t testing.TB, args ...string) *engine {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("no redis-server")
	}
	dir, err := os.MkdirTemp("", "redis") // t.TempDir is too long for a socket's name
	require.NoError(t, err)
	e := &engine{t: t, dir: dir, args: args}
	t.Cleanup(func() {
		e.kill()
		require.NoError(t, os.RemoveAll(dir))
	})
	e.start()
	return e
}

func (e *engine) url() string { return "unix://" + filepath.Join(e.dir, "s") }

func (e *engine) start() {
	e.t.Helper()
	args := append([]string{"--port", "0", "--unixsocket", "s", "--dir", e.dir}, e.args...)
	e.cmd = exec.Command("redis-server", args...)
	e.cmd.Dir = e.dir
	var out bytes.Buffer
	e.cmd.Stdout, e.cmd.Stderr = &out, &out
	require.NoError(e.t, e.cmd.Start())
	require.Eventually(e.t, func() bool {
		client, err := e.connect()
		if err != nil {
			return false
		}
		defer client.Close()
		return client.Do(context.Background(), client.B().Ping().Build()).Error() == nil // else it reads its file
	}, patience, 10*time.Millisecond, "%s", &out)
}

// connect is how an operator comes to the server.
func (e *engine) connect() (rueidis.Client, error) {
	opts := rueidis.MustParseURL(e.url())
	opts.DisableCache, opts.DisableRetry, opts.ForceSingleClient = true, true, true
	return rueidis.NewClient(opts)
}

// do runs a command.
func (e *engine) do(words ...string) rueidis.RedisResult {
	e.t.Helper()
	client, err := e.connect()
	require.NoError(e.t, err)
	defer client.Close()
	return client.Do(context.Background(), client.B().Arbitrary(words...).Build())
}

func (e *engine) must(words ...string) {
	e.t.Helper()
	require.NoError(e.t, e.do(words...).Error(), "%v", words)
}

// kill leaves the server no time for a word.
func (e *engine) kill() {
	if e.cmd != nil {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait()
		e.cmd = nil
	}
}

// stop has the server end in order.
func (e *engine) stop() {
	e.t.Helper()
	require.NoError(e.t, e.cmd.Process.Signal(syscall.SIGTERM))
	_ = e.cmd.Wait()
	e.cmd = nil
}

func (e *engine) signal(s syscall.Signal) {
	e.t.Helper()
	require.NoError(e.t, e.cmd.Process.Signal(s))
}

// freePort is one below those that the system gives to clients.
func freePort(t testing.TB) int {
	t.Helper()
	for port := 20000 + os.Getpid()%5000; port < 32000; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			if !used[port] {
				used[port] = true
				return port
			}
		}
	}
	t.Fatal("no free port")
	return 0
}

var used = map[int]bool{}
