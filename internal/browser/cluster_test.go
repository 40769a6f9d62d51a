package browser

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// A page whose node is killed goes on at the other one, and misses nothing.
func TestClusterPage(t *testing.T) {
	s := startExample(t, "cluster")
	p := openPageAt(t, s.addr, "/")
	p.waitState("live")
	p.wait(`document.querySelector("#node").textContent.startsWith("n")`)
	p.wait(`document.querySelectorAll("#nodes li").length === 2`)
	p.do(chromedp.Click("#count"))
	p.wait(`[...document.querySelectorAll("#log li")].some(li => li.textContent === "count 20")`)
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		p.shoot(dir, "cluster")
	}
	for moves := 1; moves <= 2; moves++ {
		node := eval[string](p, `document.querySelector("#node").textContent`)
		p.wait(`[...document.querySelectorAll("#nodes li")].every(li => li.dataset.up === "true")`)
		p.do(chromedp.Click(fmt.Sprintf("#node-%s button", node)))
		p.wait(fmt.Sprintf(`document.querySelector("#node").textContent !== %q`, node))
		require.Equal(t, fmt.Sprint(moves), p.number("moves"))
	}
	p.waitLong(`[...document.querySelectorAll("#log li")].some(li => li.textContent === "count 100")`)
	require.Equal(t, "0", p.number("missing"))
	require.Equal(t, "0", p.number("gaps"))
	lines := eval[[]string](p, `[...document.querySelectorAll("#log li")].map(li => li.textContent)`)
	require.Len(t, lines, 100)
	for i, line := range lines {
		require.Equal(t, fmt.Sprint("count ", i+1), line)
	}
}

// waitLong is wait for what takes its time.
func (p *page) waitLong(condition string) {
	p.t.Helper()
	for deadline := time.Now().Add(5 * patience); time.Now().Before(deadline); {
		if eval[bool](p, condition) {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	p.wait(condition)
}
