package browser

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The bars of jobs are the same on each page, after a reload and a lost connection.
func TestProgress(t *testing.T) {
	s := startExample(t, "progress")
	line := startProxy(t, s.addr)
	p := openPage(t, line.addr())
	p.waitStatus("live")
	for _, name := range []string{"Import <b>customers</b>.csv", "Send 800 letters", "Make a film of a whole year of very many pictures"} {
		p.do(chromedp.SendKeys(chromedp.CSS("#start input"), name+"\r"))
		p.wait(`document.querySelector("#start input").value === ""`)
	}
	three := `document.querySelectorAll("#jobs li").length === 3`
	p.wait(three)
	require.Equal(t, "Import <b>customers</b>.csv", eval[string](p, `document.querySelector("#jobs li:last-child b").textContent`))
	// One that still runs: some fail by themselves.
	p.do(chromedp.Evaluate[chromedp.Void](`
		window.stopped = [...document.querySelectorAll("#jobs li")].find((li) => li.dataset.state === "running");
		stopped.querySelector("button").click();`))
	p.wait(`stopped.querySelector(".how").textContent.startsWith("failed: ")`)
	p.shoot(os.Getenv("SCREENSHOTS"), "progress")
	line.set(hangUp)
	p.waitStatus("reconnecting")
	line.set(forward)
	p.waitStatus("live")
	p.do(chromedp.Reload())
	p.wait(three)
	p.waitLong(`document.querySelectorAll("#jobs li[data-state=running]").length === 0`)
	second := openPageAt(t, s.addr, "/")
	second.wait(three)
	for _, what := range []string{".how", "b"} {
		texts := `[...document.querySelectorAll("#jobs ` + what + `")].map((e) => e.textContent).sort().join()`
		require.Equal(t, eval[string](p, texts), eval[string](second, texts))
	}
	s.kill()
	p.waitStatus("reconnecting")
	s.start()
	p.waitStatus("live")
	p.wait(`document.querySelectorAll("#jobs li").length === 0`) // they are gone with it
}
