package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page fits all screens, in every state. SCREENSHOTS keeps the pictures.
func TestScreens(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o777))
	}
	s := startServer(t)
	line := startProxy(t, s.addr)
	p := openPage(t, line.addr())
	p.waitState("live")
	s.post("Hello, stream.", "Every line here was published once and written to every listener.",
		"Tags such as <b>this</b> are text.", "A line may have\nmore than one line.", `{"symbol":"ABC","price":12.5}`)
	p.waitText(`{"symbol":"ABC","price":12.5}`)
	p.wait(`document.querySelector("#clock").textContent.includes(":")`)
	p.shoot(dir, "before")

	line.set(hangUp)
	p.waitState("reconnecting")
	s.post("Posted while this page was away.")
	p.submit("Is anybody there?")
	p.wait(`document.querySelector("#post-error").textContent !== ""`)
	p.shoot(dir, "down")

	line.set(forward)
	p.waitState("live")
	s.kill()
	p.waitState("reconnecting")
	s.start()
	p.waitCount("gap", 1)
	p.submit("Good to be back.")
	p.waitText("Good to be back.")
	p.shoot(dir, "after")

	line.set(refuse)
	p.waitState("closed")
	p.shoot(dir, "closed")
}

// shoot looks at the page on a desk and in a hand, by day and by night.
func (p *page) shoot(dir, name string) {
	p.t.Helper()
	for _, size := range []struct {
		name          string
		width, height int64
		options       []chromedp.EmulateViewportOption
	}{
		{"large", 1600, 1000, nil},
		{"desktop", 1280, 800, nil},
		{"tablet", 768, 1024, nil},
		{"phone", 390, 844, []chromedp.EmulateViewportOption{chromedp.EmulateScale(2), chromedp.EmulateMobile}},
		{"small", 320, 568, []chromedp.EmulateViewportOption{chromedp.EmulateScale(2), chromedp.EmulateMobile}},
	} {
		p.do(chromedp.EmulateViewport(size.width, size.height, size.options...))
		p.wait(fmt.Sprintf(`innerHeight === %d`, size.height))
		assert.LessOrEqual(p.t, eval[int64](p, `document.documentElement.scrollWidth`), size.width, "%s: scrolls sideways", size.name)
		if dir == "" {
			continue
		}
		for _, scheme := range []string{"light", "dark"} {
			_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			require.NoError(p.t, err)
			picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
			require.NoError(p.t, err)
			path := filepath.Join(dir, name+"-"+size.name+"-"+scheme+".png")
			require.NoError(p.t, os.WriteFile(path, picture, 0o666))
		}
	}
}
