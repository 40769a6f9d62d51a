package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is for what takes a moment, on a machine that may be busy.
const patience = time.Minute

const testToken = "a-token-of-these-tests"

// program is a run of ssehub.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    output
	err    output
	exited chan struct{}
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs ssehub; env are further variables.
func start(t *testing.T, in io.Reader, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(os.Args[0], args...), exited: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), childEnv+"=1", "NO_COLOR=", "GORACE=atexit_sleep_ms=0"), env...) // or each would sleep for a second
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, &p.out, &p.err
	p.cmd.WaitDelay = patience
	require.NoError(t, p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.exited) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("ssehub %s\n%s%s", strings.Join(args, " "), p.out.String(), p.err.String())
		}
	})
	return p
}

// wait returns the exit code.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.Fail(p.t, "does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// command runs ssehub to its end.
func command(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	p := start(t, strings.NewReader(in), nil, args...)
	code = p.wait()
	return code, p.out.String(), p.err.String()
}

// serve starts a server on a free port and returns its URL.
func serve(t *testing.T, env []string, args ...string) (*program, string) {
	t.Helper()
	if !strings.Contains(strings.Join(args, " "), "--listen") {
		args = append([]string{"--listen", "127.0.0.1:0"}, args...)
	}
	p := start(t, nil, env, append([]string{"serve"}, args...)...)
	return p, p.url("events")
}

var listening = regexp.MustCompile(`msg=listening for=(\w+) url=(\S+)`)

// url returns where the server listens for something.
func (p *program) url(what string) (url string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		for _, m := range listening.FindAllStringSubmatch(p.err.String(), -1) {
			if m[1] == what {
				url = m[2]
			}
		}
		select {
		case <-p.exited:
			return true
		default:
			return url != ""
		}
	}, patience, 5*time.Millisecond)
	require.NotEmpty(p.t, url, p.err.String())
	return url
}

// request is one HTTP request of a test.
type request struct {
	method, path, body string
	header             map[string]string
}

// do returns the status and the answer, as far as it comes within a moment: a stream
// does not end.
func do(t *testing.T, base string, r request) (int, http.Header, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, base+r.path, strings.NewReader(r.body))
	require.NoError(t, err)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := httpClient(t).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return res.StatusCode, res.Header, ""
	}
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header, string(body)
}

func httpClient(t *testing.T) *http.Client {
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// publish puts one message into a topic.
func publish(t *testing.T, base, path, body string) string {
	t.Helper()
	status, _, answer := do(t, base, request{http.MethodPost, "/publish?" + path, body, bearer(testToken)})
	require.Equal(t, http.StatusOK, status, answer)
	return answer
}

// freePort is one below those that the system gives to clients, and to servers that ask
// for any, who could get it while nobody listens.
func freePort(t *testing.T) string {
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
