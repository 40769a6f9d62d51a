package main

import (
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
	for _, m := range blocks {
		script := strings.ReplaceAll(string(m[1]), "curl -sN", "curl -sN --max-time 1 -H 'Accept: text/event-stream'")
		script = strings.ReplaceAll(script, docEpoch, epoch)
		cmd := exec.Command("bash", "-c", script)
		cmd.Env = append(os.Environ(), "HUB="+url, "TOKEN="+testToken)
		out, err := cmd.Output()
		if err != nil { // 28: a stream does not end by itself
			require.EqualError(t, err, "exit status 28", script)
		}
		if epoch == "" {
			epoch = regexp.MustCompile(`"id":"(.+)-1"`).FindStringSubmatch(string(out))[1]
		}
		got := strings.ReplaceAll(string(out), epoch, docEpoch)
		got = regexp.MustCompile(`"conn":"[^"]+"`).ReplaceAllString(got, `"conn":"_"`)
		require.Equal(t, string(m[2]), got, script)
	}
}

const docEpoch = "k3v9x2a1"
