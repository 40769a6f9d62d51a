package browser

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The table of the prices is right after a short absence, after one that is
// longer than the history, and after a restart of the server: a gap does no harm.
func TestPrices(t *testing.T) {
	s := startExample(t, "prices")
	p := openPage(t, s.addr)
	inStep := func() {
		t.Helper()
		changes := eval[int64](p, `Number(document.querySelector("#count-changes").textContent)`)
		p.wait(`Number(document.querySelector("#count-changes").textContent) > ` + strconv.FormatInt(changes+20, 10))
		require.Equal(t, "true", eval[string](p, `document.querySelector("#check").dataset.ok`))
		require.EqualValues(t, 24, eval[int64](p, `document.querySelectorAll("#rows tr").length`))
	}
	counts := func(tables, gaps string) {
		t.Helper()
		require.Equal(t, tables, p.number("tables"))
		require.Equal(t, gaps, p.number("gaps"))
	}
	aways := 0
	away := func(seconds string) {
		t.Helper()
		p.do(chromedp.Click(`button[data-seconds="` + seconds + `"]`))
		aways++
		p.wait(fmt.Sprintf(`[...document.querySelectorAll("#story li")].filter((li) => li.textContent.startsWith("Back")).length === %d`, aways))
		p.waitState("live")
	}
	p.waitState("live")
	inStep()
	counts("1", "0")
	away("1")
	inStep()
	counts("1", "0")
	away("10")
	inStep()
	counts("2", "1")
	s.kill()
	p.waitState("reconnecting")
	s.start()
	p.waitState("live")
	inStep()
	counts("3", "2")
	p.shoot(os.Getenv("SCREENSHOTS"), "prices")
}
