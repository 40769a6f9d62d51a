package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The commands of docs/server.md print what it says, but for ids.
func TestServerDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/server.md")
	require.NoError(t, err)
	_, url := serve(t, nil, "--anonymous", "news,news.>", "--publish-token", testToken)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```\n```text\n(.*?)```").FindAllSubmatch(text, -1)
	require.Equal(t, strings.Count(string(text), "```sh\n"), len(blocks), "a command without its output")
	epoch := "" // of the page's ids
	run := func(script string) string {
		cmd := exec.Command("bash", "-c", strings.ReplaceAll(script, docEpoch, epoch))
		cmd.Env = append(os.Environ(), "HUB="+url, "TOKEN="+testToken)
		out, err := cmd.Output()
		if err != nil { // 28: a stream does not end by itself
			require.EqualError(t, err, "exit status 28", script)
		}
		if epoch == "" {
			epoch = regexp.MustCompile(`"id":"(.+)-1"`).FindStringSubmatch(string(out))[1]
		}
		got := strings.ReplaceAll(string(out), epoch, docEpoch)
		return regexp.MustCompile(`"conn":"[^"]+"`).ReplaceAllString(got, `"conn":"_"`)
	}
	for _, m := range blocks {
		script, want := string(m[1]), string(m[2])
		if !strings.Contains(script, "curl -sN") {
			require.Equal(t, want, run(script), script)
			continue
		}
		got := ""
		for seconds := 1; got != want && seconds < 60; seconds *= 4 { // a busy machine needs more of them
			got = run(strings.ReplaceAll(script, "curl -sN", fmt.Sprintf("curl -sN --max-time %d -H 'Accept: text/event-stream'", seconds)))
		}
		require.Equal(t, want, got, script)
	}
}

const docEpoch = "k3v9x2a1"
