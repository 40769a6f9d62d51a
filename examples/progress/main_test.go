package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/ssetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// tab is what a page shows: a job by its id.
type tab struct {
	t    *testing.T
	sub  *client.Subscription
	jobs map[string]job
	got  int
}

func open(t *testing.T, server *ssetest.Server) *tab {
	return &tab{t: t, jobs: make(map[string]job),
		sub: client.Subscribe(t.Context(), server.URL+"/events", &client.Options{HTTPClient: server.Client()})}
}

func (p *tab) close() {
	p.sub.Close()
	for range p.sub.Events() { // until it has ended
	}
}

func (p *tab) look() {
	p.t.Helper()
	for {
		synctest.Wait()
		select {
		case m := <-p.sub.Events():
			var j job
			require.NoError(p.t, json.Unmarshal(m.Data, &j))
			p.jobs[j.ID] = j
			p.got++
		default:
			return
		}
	}
}

func post(t *testing.T, server *ssetest.Server, path string, form url.Values) int {
	res, err := server.Client().PostForm(server.URL+path, form)
	require.NoError(t, err)
	res.Body.Close()
	return res.StatusCode
}

// A page that comes late gets one value for each job, however much there was before,
// and each job ends as it ended, for every page.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := func(n int, err error) work {
			return func(ctx context.Context, tell func(int, int)) error {
				for i := range n + 1 {
					tell(i, n)
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}
				return err
			}
		}
		todo := []work{steps(1000, nil), steps(100, errors.New("no")), steps(100000, nil)}
		j := newJobs(func() work { next := todo[0]; todo = todo[1:]; return next })
		server := ssetest.NewServer(j.handler())
		defer server.Close()
		defer j.hub.Close()
		defer j.stopAll()
		early := open(t, server)
		for _, name := range []string{"a", "<b>", "c"} {
			require.Equal(t, 200, post(t, server, "/start", url.Values{"name": {name}}))
		}
		for range 300 {
			time.Sleep(time.Second)
			early.look()
		}
		require.Greater(t, early.got, 500)
		late := open(t, server)
		late.look()
		require.Equal(t, 3, late.got)
		require.Equal(t, early.jobs, late.jobs)
		require.Equal(t, job{ID: "1", Name: "a", Done: 300, Total: 1000, State: "running"}, late.jobs["1"])
		require.Equal(t, job{ID: "2", Name: "<b>", Done: 100, Total: 100, State: "failed", Error: "no"}, late.jobs["2"])

		require.Equal(t, 200, post(t, server, "/stop", url.Values{"id": {"3"}}))
		require.Equal(t, 404, post(t, server, "/stop", url.Values{"id": {"2"}}))
		require.Equal(t, 400, post(t, server, "/start", nil))
		late.look()
		require.Equal(t, "stopped", late.jobs["3"].Error)
		for range 1001 {
			time.Sleep(time.Second)
			late.look()
		}
		require.Equal(t, "done", late.jobs["1"].State)
		time.Sleep(keepTime)
		nobody := open(t, server)
		nobody.look()
		require.Empty(t, nobody.jobs, "what has ended long ago is of no use")
		for _, p := range []*tab{early, late, nobody} {
			p.close()
		}
	})
}

// The program runs jobs, and says how they end when it is told to end.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error)
	go func() { ended <- run(ctx, "127.0.0.1:0", in) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	url := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	sub := client.Subscribe(t.Context(), url+"/events", nil)
	res, err := http.Post(url+"/start?name=x", "", nil)
	require.NoError(t, err)
	res.Body.Close()
	var last job
	for m := range sub.Events() {
		require.NoError(t, json.Unmarshal(m.Data, &last))
		if last.Done >= 3 { // a slow reader does not get each step
			cancel()
		}
		if last.State != "running" {
			break
		}
	}
	require.Regexp(t, "^(the server is shutting down|row \\d+ cannot be read)$", last.Error)
	cancel()
	sub.Close()
	require.NoError(t, <-ended)
	in.Close()
	http.DefaultClient.CloseIdleConnections()
}
