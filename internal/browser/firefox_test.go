package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/stretchr/testify/require"
)

// What the other tests try in Chromium holds in Firefox too: promises 1 to 4.
func TestFirefox(t *testing.T) {
	f := startFirefox(t)
	t.Run("tabs share a connection", func(t *testing.T) {
		s := startSite(t, ssehub.Options{Broker: new(brokertest.Memory)})
		var windows []window
		for range 4 {
			w := f.open(t, s.addr)
			w.until("window.ready")
			w.run("listen({ shared: true, hiddenAfter: -1 })")
			w.until("log.length === 1")
			windows = append(windows, w)
		}
		s.waitStreams(1)
		wait := s.trickle(80)
		windows[0].close() // it began the connection
		windows = windows[1:]
		wait()
		s.waitStreams(1)
		s.stop()
		s.start()
		s.trickle(80)()
		for _, w := range windows {
			w.until(`log.includes("160")`)
			log := value[[]string](w, "log")
			requireNumbers(t, log, 1, 160)
			require.NotContains(t, fmt.Sprint(log), "gap")
			w.close()
		}
		s.waitStreams(0)
	})
	t.Run("the server is killed", func(t *testing.T) {
		s := startServer(t)
		w := f.open(t, s.addr)
		state := func(name string) {
			t.Helper()
			w.until(fmt.Sprintf(`document.querySelector("#state")?.dataset.state === %q`, name))
		}
		texts := `[...document.querySelectorAll("#log .text")].map((e) => e.textContent)`
		state("live")
		s.post("one", "<b>two</b>")
		w.until(texts + `.includes("<b>two</b>")`)
		s.kill()
		state("reconnecting")
		s.start()
		state("live")
		s.post("three")
		w.until(texts + `.includes("three")`)
		require.Equal(t, []string{"message", "message", "lost", "hello", "gap", "message"},
			value[[]string](w, `[...document.querySelectorAll("#log li")].map((li) => li.dataset.kind).slice(1)`))
	})
}

// firefox is one that runs, and the line on which it is told what to do: Marionette, which
// is JSON, each message behind its length and a colon.
type firefox struct {
	conn  net.Conn
	in    *bufio.Reader
	sent  int
	first string // window, which stays
}

func startFirefox(t *testing.T) *firefox {
	t.Helper()
	program := installed(t, "FIREFOX", "firefox-esr", "firefox")
	profile, err := os.MkdirTemp("", "firefox")
	require.NoError(t, err)
	prefs := `user_pref("marionette.port", 0); user_pref("app.update.disabledForTesting", true);`
	require.NoError(t, os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o666))
	cmd := exec.Command(program, "--headless", "--no-remote", "--marionette", "--profile", profile)
	cmd.Env = append(os.Environ(), "HOME="+profile)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()        // says that it was killed
		os.RemoveAll(profile) // as far as its own processes have ended
	})
	var port []byte
	for deadline := time.Now().Add(3 * patience); len(port) == 0; <-time.After(50 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "does not listen")
		port, _ = os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+string(port))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	f := &firefox{conn: conn, in: bufio.NewReader(conn)}
	f.receive(t, &struct{}{}) // who it is
	f.call(t, "WebDriver:NewSession", nil, nil)
	var first struct{ Value string }
	f.call(t, "WebDriver:GetWindowHandle", nil, &first)
	f.first = first.Value
	return f
}

// call returns the result of a command.
func (f *firefox) call(t *testing.T, command string, params map[string]any, result any) {
	t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	f.sent++
	message, err := json.Marshal([]any{0, f.sent, command, params})
	require.NoError(t, err)
	_, err = fmt.Fprintf(f.conn, "%d:%s", len(message), message)
	require.NoError(t, err)
	var answer []json.RawMessage // 1, the number of the command, an error or null, the result
	f.receive(t, &answer)
	require.Len(t, answer, 4)
	require.Equal(t, "null", string(answer[2]), "%s %v", command, params)
	if result != nil {
		require.NoError(t, json.Unmarshal(answer[3], result), "%s", answer[3])
	}
}

func (f *firefox) receive(t *testing.T, message any) {
	t.Helper()
	require.NoError(t, f.conn.SetReadDeadline(time.Now().Add(3*patience)))
	var size int
	_, err := fmt.Fscanf(f.in, "%d:", &size)
	require.NoError(t, err)
	text := make([]byte, size)
	_, err = io.ReadFull(f.in, text)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, message), "%s", text)
}

// window is a page in a window of its own.
type window struct {
	t      *testing.T
	f      *firefox
	handle string
}

func (f *firefox) open(t *testing.T, addr string) window {
	t.Helper()
	var opened struct{ Handle string }
	window{t, f, f.first}.call("WebDriver:NewWindow", map[string]any{"type": "window"}, &opened)
	w := window{t, f, opened.Handle}
	w.call("WebDriver:Navigate", map[string]any{"url": "http://" + addr + "/"}, nil)
	return w
}

func (w window) call(command string, params map[string]any, result any) {
	w.t.Helper()
	w.f.call(w.t, "WebDriver:SwitchToWindow", map[string]any{"handle": w.handle, "focus": false}, nil)
	w.f.call(w.t, command, params, result)
}

func (w window) close() {
	w.t.Helper()
	w.call("WebDriver:CloseWindow", nil, nil)
}

func (w window) run(script string) {
	w.t.Helper()
	w.call("WebDriver:ExecuteScript", map[string]any{"script": script, "args": []any{}, "sandbox": nil}, nil)
}

func value[T any](w window, expression string) T {
	w.t.Helper()
	var result struct{ Value T }
	w.call("WebDriver:ExecuteScript", map[string]any{"script": "return " + expression, "args": []any{}, "sandbox": nil}, &result)
	return result.Value
}

func (w window) until(condition string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !value[bool](w, "!!("+condition+")"); <-time.After(20 * time.Millisecond) {
		require.True(w.t, time.Now().Before(deadline), "not in time: %s", condition)
	}
}
