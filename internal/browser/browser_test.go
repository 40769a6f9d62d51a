package browser

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEventsArrive(t *testing.T) {
	s := startServer(t)
	p := openPage(t, s.addr)
	p.waitState("live")
	p.waitCount("hello", 1)

	const hostile = `<img src=x onerror="window.ran = true"><script>window.ran = true</script>`
	p.submit("from the form")
	p.waitText("from the form")
	p.wait(`document.querySelector("#line").value === ""`)
	s.post("from outside", hostile, "two\nlines", "the last")
	p.waitText("the last")
	p.wait(`/^\d\d:\d\d:\d\d$/.test(document.querySelector("#clock").textContent)`)

	assert.Equal(t, []string{"<hello fresh>", "from the form", "from outside", hostile, "two\nlines", "the last"}, p.story())
	assert.False(t, eval[bool](p, `"ran" in window`))
	assert.Zero(t, eval[int](p, `document.querySelectorAll("#log img, #log script").length`))
	assert.Equal(t, "", eval[string](p, `document.querySelector("#post-error").textContent`))
	seen := make(map[string]bool)
	for _, e := range p.entries("message") {
		assert.Regexp(t, `^[0-9a-z]+-[0-9]+$`, e.ID)
		assert.False(t, seen[e.ID], "id %s twice", e.ID)
		seen[e.ID] = true
	}
	assert.Equal(t, "0", p.number("reconnects"))
	assert.Equal(t, "0", p.number("gaps"))
}

func TestListIsBounded(t *testing.T) {
	s := startServer(t)
	p := openPage(t, s.addr)
	p.waitCount("hello", 1)
	for i := range 250 {
		s.post(strconv.Itoa(i))
	}
	p.waitText("249")
	story := p.story()
	assert.Len(t, story, 200)
	assert.Equal(t, "50", story[0])
}

func TestServerKilled(t *testing.T) {
	s := startServer(t)
	p := openPage(t, s.addr)
	p.waitState("live")
	s.post("one", "two", "three")
	p.waitText("three")
	before := p.entries("message")[2].ID

	s.kill()
	p.waitState("reconnecting")
	p.submit("into the void")
	p.wait(`document.querySelector("#post-error").textContent.includes("cannot be reached")`)
	assert.Equal(t, "into the void", eval[string](p, `document.querySelector("#line").value`), "what was not posted is not lost")

	s.start()
	p.waitState("live")
	p.waitCount("gap", 1)
	s.post("four")
	p.waitText("four")
	assert.Equal(t, []string{
		"<hello fresh>", "one", "two", "three", "<lost>", "<hello epoch>", "<gap epoch>", "four",
	}, p.story())
	gap := p.entries("gap")[0]
	assert.Equal(t, "The server was restarted: what it sent before is gone. What follows is complete.", gap.Text)
	assert.Contains(t, gap.Note, "from "+epoch(before), "the old life of the log")
	assert.NotEqual(t, epoch(before), epoch(p.entries("message")[3].ID), "the new life of the log")
	assert.Equal(t, "1", p.number("reconnects"))
	assert.Equal(t, "1", p.number("gaps"))
	assert.Equal(t, "live", p.state())
}

func TestConnectionCut(t *testing.T) {
	s := startServer(t)
	line := startProxy(t, s.addr)
	p := openPage(t, line.addr())
	p.waitState("live")
	s.post("before")
	p.waitText("before")

	for i := range 2 {
		line.set(hangUp)
		p.waitState("reconnecting")
		s.post("missed 1", "missed 2", "missed 3")
		line.set(forward)
		p.waitCount("message", 1+3*(i+1)) // live is said before
	}
	s.post("after")
	p.waitText("after")
	assert.Equal(t, []string{
		"<hello fresh>", "before",
		"<lost>", "<hello resumed>", "missed 1", "missed 2", "missed 3",
		"<lost>", "<hello resumed>", "missed 1", "missed 2", "missed 3",
		"after",
	}, p.story())
	assert.Equal(t, "2", p.number("reconnects"))
	assert.Equal(t, "0", p.number("gaps"))
}

func TestServerStopped(t *testing.T) {
	s := startServer(t)
	p := openPage(t, s.addr)
	p.waitState("live")
	p.waitCount("hello", 1)
	s.post("the last")
	s.stop(stopLimit)
	p.waitState("reconnecting")
	s.start()
	p.waitState("live")
	s.post("the first")
	p.waitText("the first")
	assert.Equal(t, []string{"<hello fresh>", "the last", "<lost>", "<hello epoch>", "<gap epoch>", "the first"}, p.story())
}

// A browser gives up on any answer that is no event stream.
func TestGivenUp(t *testing.T) {
	s := startServer(t)
	line := startProxy(t, s.addr)
	p := openPage(t, line.addr())
	p.waitState("live")
	s.post("before")
	p.waitText("before")

	line.set(refuse)
	p.waitState("closed")
	s.post("missed")
	line.set(forward)
	require.Equal(t, "closed", p.state())
	p.do(chromedp.Click(chromedp.CSS("#reconnect")))
	p.waitState("live")
	s.post("after")
	p.waitText("after")
	assert.Equal(t, []string{"<hello fresh>", "before", "<lost>", "<hello resumed>", "missed", "after"}, p.story())
	assert.True(t, eval[bool](p, `document.querySelector("#trouble").hidden`))
}

// A line that is open but dead gives no error to the browser.
func TestSilence(t *testing.T) {
	s := startServer(t)
	line := startProxy(t, s.addr)
	p := openPage(t, line.addr())
	p.waitState("live")
	p.waitCount("hello", 1)

	line.set(stall)
	p.do(chromedp.Evaluate[chromedp.Void](`{
		const now = performance.now.bind(performance);
		performance.now = () => now() + 40_000;
	}`))
	p.waitState("silent")
	s.post("late")
	line.set(forward)
	p.waitState("live")
	p.waitText("late")
	assert.Equal(t, []string{"<hello fresh>", "late"}, p.story())
}

func epoch(id string) string {
	before, _, _ := strings.Cut(id, "-")
	return before
}
