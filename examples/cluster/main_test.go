package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/client"
)

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-node") { // started by start
		main()
		return
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).internalLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.init.0.func1"))
}

const patience = time.Minute

// count has n lines published at url and read there, with disturb in the middle of it.
// Each must come once, in order, and no gap.
func count(t *testing.T, url string, n int, disturb func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	sub := client.Subscribe(ctx, url+"/events", &client.Options{
		Backoff: client.Backoff{Base: 100 * time.Millisecond, Max: time.Second},
		OnRetry: func(error, time.Duration) error { return client.ErrRetry },
	})
	defer sub.Close()
	var publishing sync.WaitGroup
	defer publishing.Wait()
	begin := make(chan struct{})
	publishing.Go(func() {
		<-begin
		for i := range n {
			if i == n/3 {
				publishing.Go(disturb)
			}
			if err := post(ctx, url, fmt.Sprint("count ", i)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	started := false
	next := 0
	for m := range sub.Events() {
		if m.Type == "node" && !started {
			started = true
			close(begin)
		}
		if m.Type != "" {
			continue
		}
		require.Equal(t, fmt.Sprint("count ", next), string(m.Data))
		if next++; next == n {
			break
		}
	}
	require.Equal(t, n, next)
	require.Zero(t, sub.Gaps())
}

// post tries until the line is published, as the page does.
func post(ctx context.Context, url, line string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/publish", strings.NewReader(line))
		if err != nil {
			return err
		}
		req.Header.Set("Idempotency-Key", line)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode == 200 {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// lines has each write to it.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// The program as it stands: both nodes are killed, one after the other.
func TestKill(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := make(lines, 1)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", "", out) }()
	var text string
	select {
	case text = <-out:
	case err := <-ended:
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://[0-9.:]+`).FindString(text)
	control := func(path string) {
		res, err := http.Post(url+path, "", nil)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, 200, res.StatusCode)
	}
	up := func() string {
		res, err := http.Get(url + "/nodes")
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(text)
	}
	count(t, url, 300, func() {
		control("/kill/n1")
		require.Eventually(t, func() bool { return up() == "n1 false\nn2 true\n" }, patience, time.Millisecond)
		require.Eventually(t, func() bool { return up() == "n1 true\nn2 true\n" }, patience, 10*time.Millisecond)
		control("/kill/n2")
	})
	http.DefaultClient.CloseIdleConnections()
	cancel()
	require.NoError(t, <-ended)
}

// Two nodes behind a real nginx, with the configuration that is here, are restarted in
// turn, as a deployment does it.
func TestRollingRestart(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	urls, stop, err := startNATS(3)
	require.NoError(t, err)
	defer stop()
	ports, err := freePorts(3)
	require.NoError(t, err)
	addr := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	nodes := &nodes{broker: urls, names: []string{"n1", "n2"}, addrs: map[string]string{"n1": addr(0), "n2": addr(1)}, hosts: "nodes"}
	require.NoError(t, nodes.startAll())
	defer nodes.stop()
	startNginx(t, nginx, strings.NewReplacer("n1:8080", addr(0), "n2:8080", addr(1), "listen 8080", "listen "+addr(2)))

	url := "http://" + addr(2)
	count(t, url, 300, func() {
		for _, name := range nodes.names {
			nodes.mu.Lock()
			p := nodes.running[name]
			nodes.mu.Unlock()
			require.True(t, nodes.signal(name, syscall.SIGTERM))
			<-p.ended
			require.Eventually(t, func() bool {
				nodes.mu.Lock()
				defer nodes.mu.Unlock()
				return nodes.running[name] != nil
			}, patience, 10*time.Millisecond)
		}
	})
	http.DefaultClient.CloseIdleConnections()
}

func startNginx(t *testing.T, program string, replace *strings.Replacer) {
	t.Helper()
	text, err := os.ReadFile("nginx.conf")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // its workers are somebody else
	config := filepath.Join(dir, "nginx.conf")
	around := fmt.Sprintf("daemon off; pid %s/pid; error_log stderr; events {} http { access_log off; %s }", dir, "\n"+replace.Replace(string(text))+"\n")
	require.NoError(t, os.WriteFile(config, []byte(around), 0o600))
	cmd := exec.Command(program, "-p", dir, "-c", config)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}
