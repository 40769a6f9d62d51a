package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server with its log in a file is killed in the middle of publishing, twice: what pub
// sends cat prints, in its order, each once and without a gap. (row 93, row 96)
func TestKillServer(t *testing.T) {
	const each, kills = 200, 2 // messages before and behind each kill
	addr := "127.0.0.1:" + freePort(t)
	args := []string{"--listen", addr, "--broker", "file:" + filepath.Join(t.TempDir(), "events.db"), "--anonymous", ">", "--retry", "200ms", "--publish-token", testToken}
	server, url := serve(t, nil, args...)
	cat := start(t, nil, nil, "cat", url, "--jsonl", "-t", "news", "--until", "end")
	require.Eventually(t, func() bool {
		list := records(t, cat.out.String())
		return len(list) > 0 && list[len(list)-1].Kind == "hello"
	}, patience, 5*time.Millisecond)

	in, lines := io.Pipe()
	defer lines.Close()
	pub := start(t, in, nil, "pub", url, "-t", "news", "--token", testToken, "--lines")
	stop, messages := make(chan struct{}), make(chan int)
	go func() {
		defer lines.Close()
		for n := 0; ; n++ {
			select {
			case <-time.After(time.Millisecond):
				if _, err := fmt.Fprintln(lines, n); err != nil {
					return
				}
			case <-stop:
				messages <- n
				return
			}
		}
	}()
	more := func() {
		want := strings.Count(cat.out.String(), "\n") + each
		require.Eventually(t, func() bool { return strings.Count(cat.out.String(), "\n") > want }, patience, time.Millisecond)
	}
	for range kills {
		more()
		require.NoError(t, server.cmd.Process.Kill())
		server.wait()
		server, _ = serve(t, nil, args...)
	}
	more()
	close(stop)
	published := <-messages
	require.Equal(t, exitOK, pub.wait())
	code, _, errs := command(t, "", "pub", url, "-t", "news", "--token", testToken, "--type", "end", "that is all")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, exitOK, cat.wait())

	n := 0
	for _, r := range records(t, cat.out.String()) {
		require.NotEqual(t, "gap", r.Kind)
		if r.Kind == "message" && r.Type != "end" {
			require.Equal(t, strconv.Itoa(n), *r.Data)
			n++
		}
	}
	require.Equal(t, published, n)
	require.Contains(t, pub.err.String(), "again in", "it has met a kill")
}
