package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is for one change on the page. A reconnect takes up to four seconds
// by the server's own words, and the machine may be busy.
const patience = 20 * time.Second

// page is the quickstart's page in a browser of its own.
type page struct {
	t   *testing.T
	ctx context.Context
}

// entry is a line of the page's list.
type entry struct {
	Kind, ID, Verdict, Reason, Text, Note string
}

func openPage(t *testing.T, addr string) *page {
	t.Helper()
	return openPageAt(t, addr, "/")
}

func openPageAt(t *testing.T, addr, path string) *page {
	t.Helper()
	ctx, cancel := startBrowser(t)
	t.Cleanup(cancel)
	return pageIn(t, ctx, "http://"+addr+path)
}

func startBrowser(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), // t.Context ends before cleanups
		chromedp.ExecPath(chromium(t)),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		// Its --user-data-dir is a new one, removed with the context.
	)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	return ctx, func() {
		cancelBrowser()
		cancel()
	}
}

// another opens a page in another tab of the same browser, with its cookies.
func (p *page) another(url string, options ...chromedp.ContextOption) *page {
	p.t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx, options...)
	p.t.Cleanup(cancel)
	return pageIn(p.t, ctx, url)
}

func pageIn(t *testing.T, ctx context.Context, url string) *page {
	t.Helper()
	p := &page{t: t, ctx: ctx}
	p.watchConsole()
	p.do(chromedp.Navigate(url))
	return p
}

// close closes the tab.
func (p *page) close() {
	p.t.Helper()
	assert.NoError(p.t, chromedp.Cancel(p.ctx))
}

func chromium(t *testing.T) string {
	t.Helper()
	return installed(t, "CHROMIUM", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
}

// installed returns the path of a browser: what the environment says, or the first of
// names that is there.
func installed(t *testing.T, variable string, names ...string) string {
	t.Helper()
	if name := os.Getenv(variable); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := "no browser: none of " + strings.Join(names, ", ")
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// watchConsole fails the test for what must never be: an exception in the
// page, or something that its policy had to stop.
func (p *page) watchConsole() {
	messages := chromedp.Console(p.ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || strings.Contains(m.Text, "Content Security Policy") {
				p.t.Errorf("console: %s (%s:%d)", m.Text, m.URL, m.Line)
			}
		}
	})
	p.t.Cleanup(func() {
		assert.NoError(p.t, chromedp.Cancel(p.ctx))
		reader.Wait()
	})
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	// The browser lives as long as the context of the first call.
	require.NoError(p.t, chromedp.Do(p.ctx))
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, steps...))
}

// wait returns when the JavaScript expression is true.
func (p *page) wait(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](condition))
	if err != nil {
		p.t.Fatalf("%s: %v\nstate %s, entries %s", condition, err, p.state(), p.dump())
	}
}

func (p *page) waitState(state string) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.querySelector("#state").dataset.state === %q`, state))
}

// waitText returns when an entry says text.
func (p *page) waitText(text string) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`[...document.querySelectorAll("#log .text")].some(e => e.textContent === %q)`, text))
}

// waitCount returns when there are n entries of a kind.
func (p *page) waitCount(kind string, n int) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.querySelectorAll("#log [data-kind=%s]").length >= %d`, kind, n))
}

func (p *page) state() string {
	p.t.Helper()
	return eval[string](p, `document.querySelector("#state").dataset.state ?? ""`)
}

func (p *page) number(counter string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf(`document.querySelector("#count-%s").textContent`, counter))
}

// entries returns the page's list, only those of the given kinds if there are
// any.
func (p *page) entries(kinds ...string) []entry {
	p.t.Helper()
	all := eval[[]entry](p, `[...document.querySelectorAll("#log li")].map(li => ({
		Kind: li.dataset.kind, ID: li.dataset.id, Verdict: li.dataset.verdict ?? "", Reason: li.dataset.reason ?? "",
		Text: li.querySelector(".text").textContent, Note: li.querySelector(".note")?.textContent ?? "",
	}))`)
	if len(kinds) == 0 {
		return all
	}
	var some []entry
	for _, e := range all {
		for _, kind := range kinds {
			if e.Kind == kind {
				some = append(some, e)
			}
		}
	}
	return some
}

// story is the list in short: messages by their text, the rest by what it is.
func (p *page) story() []string {
	p.t.Helper()
	var s []string
	for _, e := range p.entries() {
		if e.Kind == "message" {
			s = append(s, e.Text)
		} else {
			s = append(s, "<"+strings.TrimSpace(e.Kind+" "+e.Verdict+e.Reason)+">")
		}
	}
	return s
}

func (p *page) dump() string {
	p.t.Helper()
	return strings.Join(p.story(), "\n\t")
}

// submit posts a line as a visitor does.
func (p *page) submit(line string) {
	p.t.Helper()
	p.do(
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#line").value = ""`),
		chromedp.SendKeys(chromedp.CSS("#line"), line+"\r"),
	)
}

func eval[T any](p *page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	require.NoError(p.t, err, expression)
	return v
}
