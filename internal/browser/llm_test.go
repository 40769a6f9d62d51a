package browser

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// An answer survives a lost connection and a reload, and a second tab shows the same.
func TestAnswer(t *testing.T) {
	s := startExample(t, "llm", "-pace", "100ms") // it still writes when the page has come back
	line := startProxy(t, s.addr)
	p := openPageAt(t, line.addr(), "/")
	p.waitStatus("ready")
	p.do(chromedp.SendKeys(chromedp.CSS("#text"), "Why <b>so</b>?\r"))
	p.waitStatus("writing")
	words := func(p *page) int { return eval[int](p, `document.querySelector("#answer").textContent.length`) }
	line.set(hangUp)
	p.waitStatus("reconnecting")
	line.set(forward)
	p.waitStatus("writing")
	p.do(chromedp.Reload())
	p.wait(`document.querySelector("#answer").textContent.length > 100`)
	require.Equal(t, "Why <b>so</b>?", eval[string](p, `document.querySelector("#prompt").textContent`))
	p.shoot(os.Getenv("SCREENSHOTS"), "llm-writing")
	second := p.another(eval[string](p, `location.href`))
	second.wait(`document.querySelector("#answer").textContent.length > 100`)
	p.waitStatus("done")
	second.waitStatus("done")
	require.Equal(t, eval[string](p, `document.querySelector("#answer").textContent`), eval[string](second, `document.querySelector("#answer").textContent`))
	require.Greater(t, words(p), 800)
	p.shoot(os.Getenv("SCREENSHOTS"), "llm-done")

	p.do(chromedp.SendKeys(chromedp.CSS("#text"), "And now?\r"))
	p.waitStatus("writing")
	p.do(chromedp.Click("#stop"))
	p.wait(`document.querySelector("#end").textContent === "Ended early: stopped."`)
	s.kill()
	s.start()
	p.do(chromedp.Reload())
	p.waitStatus("over") // another process does not have it
}
