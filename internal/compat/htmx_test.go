package compat

import (
	"bufio"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The page of examples/htmx goes on with htmx from where it was rendered, and after a
// restart of the server; the scripts that it names are those that npm has.
func TestHtmxExample(t *testing.T) {
	require1(0, install())(t)
	scripts := t.TempDir()
	shown, err := os.ReadFile(filepath.Join("..", "..", "examples", "htmx", "page.html"))
	require.NoError(t, err)
	for name, file := range map[string]string{
		"htmx.min.js": filepath.Join(npm, "node_modules", "htmx2", "dist", "htmx.min.js"),
		"sse.min.js":  filepath.Join(npm, "node_modules", "htmx-ext-sse", "dist", "sse.min.js"),
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		sum := sha512.Sum384(text)
		require.Contains(t, string(shown), "sha384-"+base64.StdEncoding.EncodeToString(sum[:]), "%s", name)
		require.NoError(t, os.WriteFile(filepath.Join(scripts, name), text, 0o600))
	}
	program := filepath.Join(t.TempDir(), "htmx")
	build := exec.Command("go", "build", "-o", program, "./examples/htmx")
	build.Dir = filepath.Join("..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	addr := "127.0.0.1:0"
	run := func() (stop func()) {
		cmd := exec.Command(program, "-scripts", scripts, "-addr", addr)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		addr = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
		return func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	add := func(text string) {
		res, err := http.PostForm("http://"+addr+"/add", url.Values{"text": {text}})
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		require.Equal(t, 200, res.StatusCode)
	}
	defer http.DefaultClient.CloseIdleConnections()
	stop := run()
	defer func() { stop() }()
	add("one")
	ctx := openPage(t, "http://"+addr+"/")
	shows := func(texts ...string) {
		t.Helper()
		require.Eventually(t, func() bool { // an error is that of a page that is just loaded again
			shown, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#state").textContent + ": " +
				[...document.querySelectorAll("#items span")].map((e) => e.textContent).join()`))
			return err == nil && shown == "live: "+strings.Join(texts, ",")
		}, patience, 20*time.Millisecond, "%v", texts)
	}
	trouble := func(begin string) {
		t.Helper()
		require.Eventually(t, func() bool {
			shown, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#trouble").textContent`))
			return err == nil && strings.HasPrefix(shown, begin)
		}, patience, 20*time.Millisecond, "%s", begin)
	}
	shows("one")
	add("<i>two</i>")
	shows("<i>two</i>", "one")
	require.NoError(t, chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("input"), "three\r")))
	shows("three", "<i>two</i>", "one")
	stop()
	require.NoError(t, chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("input"), "four\r")))
	trouble("That was not added.")
	stop = run()
	add("after")
	shows("after") // the log was the process's memory: the page is rendered anew

	require.NoError(t, os.Remove(filepath.Join(scripts, "sse.min.js"))) // as if the CDN were away
	ctx = openPage(t, "http://"+addr+"/")                               // which has it in no cache
	trouble("htmx could not be loaded")
}
