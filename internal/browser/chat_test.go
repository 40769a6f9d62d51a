package browser

import (
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// People see each other come, type, speak and leave, and what was said survives a lost
// connection and a reload.
func TestChat(t *testing.T) {
	s := startExample(t, "chat")
	line := startProxy(t, s.addr)
	ann := openPageAt(t, line.addr(), "/#lobby")
	enter := func(p *page, name string) {
		p.waitStatus("outside")
		p.do(chromedp.SendKeys(chromedp.CSS("#user"), name+"\r"))
		p.waitStatus("here")
	}
	people := func(p *page, names string) {
		p.wait(fmt.Sprintf(`[...document.querySelectorAll("#people li")].map((li) => li.textContent).join() === %q`, names))
	}
	log := func(p *page, texts string) {
		p.wait(fmt.Sprintf(`[...document.querySelectorAll("#log span")].map((li) => li.textContent).join("|") === %q`, texts))
	}
	enter(ann, "ann")
	people(ann, "ann")
	bob := openPageAt(t, s.addr, "/#lobby")
	enter(bob, "bob")
	people(ann, "ann,bob")
	people(bob, "ann,bob")
	ann.do(chromedp.Evaluate[chromedp.Void](`{ // it says so for three seconds
		window.typing = [];
		const line = document.querySelector("#typing");
		new MutationObserver(() => typing.push(line.textContent)).observe(line, { childList: true });
	}`))
	bob.do(chromedp.SendKeys(chromedp.CSS("#say input"), "Hello, <i>ann</i>"))
	ann.wait(`typing.includes("bob is typing …")`)
	bob.do(chromedp.SendKeys(chromedp.CSS("#say input"), "!\r"))
	log(ann, "Hello, <i>ann</i>!")
	ann.do(chromedp.SendKeys(chromedp.CSS("#say input"), "Hi.\r"))
	log(bob, "Hello, <i>ann</i>!|Hi.")
	ann.shoot(os.Getenv("SCREENSHOTS"), "chat")

	line.set(hangUp)
	ann.waitStatus("reconnecting")
	bob.do(chromedp.SendKeys(chromedp.CSS("#say input"), "Still there?\r"))
	ann.do(chromedp.SendKeys(chromedp.CSS("#say input"), "Can you hear me?\r")) // it tries again
	log(bob, "Hello, <i>ann</i>!|Hi.|Still there?")
	line.set(forward)
	ann.waitStatus("here")
	log(ann, "Hello, <i>ann</i>!|Hi.|Still there?|Can you hear me?")
	ann.do(chromedp.Reload())
	ann.waitStatus("here")
	log(ann, "Hello, <i>ann</i>!|Hi.|Still there?|Can you hear me?")
	people(bob, "ann,bob")
	bob.do(chromedp.Click("#leave"))
	people(ann, "ann")
}
