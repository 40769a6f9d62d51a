package browser

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// A page that was away for ten seconds gets a small part of what was published, and goes
// on.
func TestTable(t *testing.T) {
	s := startExample(t, "table")
	p := openPage(t, s.addr)
	p.waitStatus("live")
	p.wait(`document.querySelectorAll("#cells span").length === 120`)
	p.do(chromedp.Click("#away"))
	p.waitStatus("away")
	p.wait(`document.querySelector("#back").textContent !== "–"`)
	got := eval[[]int](p, `document.querySelector("#back").textContent.replaceAll(",", "").split(" of ").map(Number)`)
	require.Greater(t, got[1], 5000)
	require.Less(t, got[0], got[1]/5)
	p.shoot(os.Getenv("SCREENSHOTS"), "table")
	s.kill()
	p.waitStatus("reconnecting")
	s.start()
	p.waitStatus("live")
}
