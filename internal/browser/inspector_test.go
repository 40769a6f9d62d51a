package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/inspector"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// inspected is a server with a hub, some traffic, and its inspector.
type inspected struct {
	t    *testing.T
	hub  *ssehub.Hub
	addr string
}

func startInspected(t *testing.T, topics int) *inspected {
	t.Helper()
	hub := ssehub.New(&ssehub.Options{
		Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
			return ssehub.Grant{Subject: r.FormValue("as")}, nil
		},
		OverflowFor: func(topic string) ssehub.Overflow {
			if strings.HasPrefix(topic, "prices") {
				return ssehub.Latest
			}
			return ssehub.SkipToOldest
		},
	})
	mux := http.NewServeMux()
	mux.Handle("/events", hub.Handler())
	mux.Handle("/inspector/", inspector.New(hub, &inspector.Options{
		Publish: func(_ *http.Request, topic string) bool { return topic != "billing" },
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: mux}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { hub.Close(); server.Close(); <-ended })
	for i := range topics {
		_, err := hub.Publish(t.Context(), fmt.Sprintf("orders.%04d", i), sse.Message{Data: []byte(`{"state":"new"}`)})
		require.NoError(t, err)
	}
	return &inspected{t, hub, l.Addr().String()}
}

func (s *inspected) publish(topic, typ, data string) {
	s.t.Helper()
	_, err := s.hub.Publish(s.t.Context(), topic, sse.Message{Type: typ, Data: []byte(data)})
	require.NoError(s.t, err)
}

// read has a client read topics until the test ends, and returns it.
func (s *inspected) read(subject, topics string) *client.Subscription {
	s.t.Helper()
	sub := client.Subscribe(context.Background(), "http://"+s.addr+"/events?as="+subject+"&topic="+topics, nil)
	s.t.Cleanup(sub.Close)
	go func() {
		for range sub.Events() {
		}
	}()
	return sub
}

func (p *page) waitRow(text string) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].some((row) => row.textContent.includes(%q))`, text))
}

func (p *page) fill(field, text string) {
	p.t.Helper()
	p.do(
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%q).value = ""`, field)),
		chromedp.SendKeys(chromedp.CSS(field), text),
	)
}

func (p *page) clickRow(text string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
		`[...document.querySelectorAll("#rows tr")].find((row) => row.textContent.includes(%q)).querySelector("button").click()`, text)))
}

// hostile is what an event's data or type, or a subject, may try.
const hostile = `<img src=x onerror="window.ran=1"><script>window.ran=1</script><svg onload="window.ran=1"></svg>`

// What clients have written is text on the operator's page, wherever it shows: no tag
// of it is made, nothing runs. Fault 88.
func TestInspectorShowsHostileText(t *testing.T) {
	s := startInspected(t, 3)
	s.publish("chat", hostile[:33], hostile)
	s.read("%3Cimg%20src=x%20onerror=%22window.ran=1%22%3E", "chat")
	p := openPageAt(t, s.addr, "/inspector/")
	p.waitRow("chat")
	p.clickRow("chat")
	pre := func(n int) string {
		return fmt.Sprintf(`document.querySelectorAll("#events pre")[%d]?.textContent === %q`, n, hostile)
	}
	p.wait(pre(0))
	s.publish("chat", "", hostile)
	p.wait(pre(1))
	require.Equal(t, hostile[:33], eval[string](p, `document.querySelector("#events .type").textContent`))
	p.do(chromedp.Click("#tab-subscribers"))
	p.waitRow("<img src=x")
	require.False(t, eval[bool](p, `"ran" in window`))
	require.Zero(t, eval[int](p, `document.querySelectorAll("main img, main svg, aside img, aside svg, aside script").length`))
	require.True(t, eval[bool](p, `(() => { try { document.body.innerHTML = "<i>"; return false; } catch { return true; } })()`),
		"a page that forgot itself would be stopped by its policy")
}

// An operator finds a topic among many, tails it, publishes to it, and closes a
// connection, which does not come back.
func TestInspectorActs(t *testing.T) {
	s := startInspected(t, 120)
	sub := s.read("ann", "orders.0007")
	p := openPageAt(t, s.addr, "/inspector/")
	p.waitState("live")
	p.waitRow("orders.0007")
	require.Equal(t, 50, eval[int](p, `document.querySelectorAll("#rows tr").length`))
	p.do(chromedp.Click("#next"))
	p.waitRow("orders.0099")
	p.fill("#search", "0007")
	p.wait(`document.querySelectorAll("#rows tr").length === 1`)
	p.clickRow("orders.0007")
	p.wait(`document.querySelectorAll("#events pre").length === 1`)

	p.fill("#publish-topic", "orders.0007")
	p.fill("#publish-data", "from the page")
	p.do(chromedp.Click("#publish-form button"))
	p.wait(`[...document.querySelectorAll("#events pre")].some((e) => e.textContent === "from the page")`)
	p.fill("#publish-topic", "billing")
	p.do(chromedp.Click("#publish-form button"))
	p.wait(`document.querySelector("#publish-note").textContent.includes("may not publish")`)

	p.do(chromedp.Click("#tab-subscribers"))
	p.waitRow("ann")
	p.clickRow("ann")
	p.wait(`document.querySelector("#closing").open && document.querySelector("#closing-subject").textContent === "ann"`)
	p.do(chromedp.Click(`[name="again"][value="false"]`), chromedp.Click("#closing-yes"))
	p.wait(`!document.querySelector("#closing").open && ![...document.querySelectorAll("#rows tr")].some((row) => row.textContent.includes("ann"))`)
	for range sub.Events() {
	}
	require.ErrorIs(t, sub.Err(), client.ErrRevoked)
}

// The page fits all screens, busy and in trouble, and says that it reconnects.
func TestInspectorScreens(t *testing.T) {
	s := startInspected(t, 120)
	for i, name := range []string{"ann", "bob", "carla"} {
		s.read(name, fmt.Sprintf("orders.*&topic=prices.%d", i))
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			s.publish(fmt.Sprintf("orders.%04d", i*i%17), "paid", fmt.Sprintf(`{"order":%d,"total":"%d.50","note":"<b>as text</b>"}`, 4000+i, i%90))
			s.publish(fmt.Sprintf("prices.%d", i%3), "", fmt.Sprint(i))
			select {
			case <-time.After(time.Duration(10+i*7%40) * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	defer func() { stop(); <-ended }()
	line := startProxy(t, s.addr)
	p := openPageAt(t, line.addr(), "/inspector/")
	p.waitState("live")
	p.waitRow("orders.0007")
	p.fill("#tail-topic", "orders.>\r")
	p.wait(`document.querySelectorAll("#events pre").length > 5 && document.querySelector("#published-rate").textContent !== "–"`)
	dir := os.Getenv("SCREENSHOTS")
	if dir != "" {
		p.wait(`document.querySelector("#published-line polyline").points.length > 14`)
	}
	p.do(chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0)`))
	p.shoot(dir, "inspector")
	p.do(chromedp.Click("#tab-subscribers"))
	p.waitRow("carla")
	p.shoot(dir, "inspector-subscribers")
	p.clickRow("carla")
	p.shoot(dir, "inspector-closing")
	p.do(chromedp.Click(".quiet"))
	line.set(hangUp)
	p.waitState("reconnecting")
	p.shoot(dir, "inspector-down")
	line.set(forward)
	p.waitState("live")
}
