package browser

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// programs is where TestMain builds the examples.
var programs string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "examples"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	root := filepath.Join("..", "..")
	for dir, packages := range map[string][]string{
		root: {"./examples/quickstart", "./examples/prices", "./examples/login", "./examples/ticket",
			"./examples/llm", "./examples/chat", "./examples/progress", "./examples/table"},
		filepath.Join(root, "examples", "cluster"): {"."},
	} {
		args := []string{"build", "-o", programs}
		if underRace() {
			args = append(args, "-race") // a race then ends the program with status 66
		}
		build := exec.Command("go", append(args, packages...)...)
		build.Dir = dir
		build.Env = append(os.Environ(), "GOWORK=off")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build of the examples:", err)
			return 1
		}
	}
	status := m.Run()
	endProfiles()
	if err := goleak.Find(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}

// server is a process of an example, one after the other on one address.
type server struct {
	t       *testing.T
	program string
	args    []string
	addr    string
	cmd     *exec.Cmd

	greeting string // the first line that it has printed
}

func startServer(t *testing.T) *server {
	t.Helper()
	return startExample(t, "quickstart")
}

func startExample(t *testing.T, name string, args ...string) *server {
	t.Helper()
	s := &server{t: t, program: filepath.Join(programs, name), args: args, addr: freeAddr(t)}
	s.start()
	t.Cleanup(func() {
		if s.cmd != nil {
			s.stop(stopLimit)
		}
	})
	return s
}

// freeAddr picks a port below those that the system gives to clients: a client
// that tries again and again could get the server's while that is down.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// start returns when the server listens.
func (s *server) start() {
	s.t.Helper()
	require.Nil(s.t, s.cmd, "is running")
	cmd := exec.Command(s.program, append(s.args, "-addr", s.addr)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	s.cmd = cmd
	s.greeting, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(s.t, err)
	require.Contains(s.t, s.greeting, "http://"+s.addr+"/")
}

// kill leaves the server no time for a word.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // says that it was killed
		s.cmd = nil
	}
}

// stopLimit is more than what the quickstart leaves itself for a graceful end.
const stopLimit = 8 * time.Second

// stop asks the server to end, and checks that it does, within limit and well.
func (s *server) stop(limit time.Duration) {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	late := time.AfterFunc(limit, func() { _ = s.cmd.Process.Kill() })
	err := s.cmd.Wait()
	assert.True(s.t, late.Stop(), "not ended within %v", limit)
	assert.NoError(s.t, err)
	s.cmd = nil
}

// post publishes lines from outside of the browser.
func (s *server) post(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		res, err := http.Post("http://"+s.addr+"/publish", "text/plain", strings.NewReader(line))
		require.NoError(s.t, err)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(s.t, err)
		require.Equal(s.t, http.StatusOK, res.StatusCode, "%s", body)
	}
}
