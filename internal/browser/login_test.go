package browser

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// signIn does it as a visitor does.
func (p *page) signIn(user string) {
	p.t.Helper()
	p.wait(`!document.querySelector("#login").hidden`)
	p.do(chromedp.SendKeys(chromedp.CSS("#user"), user+"\r"))
	p.waitStatus(user + ", connected")
}

func (p *page) waitStatus(text string) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.querySelector("#state").textContent === %q`, text))
}

// Signing out in one tab ends the streams of all, and each browser stops to ask: also
// where a page does not know the event that says why.
func TestSignOut(t *testing.T) {
	s := startExample(t, "login")
	p := openPageAt(t, s.addr, "/")
	p.signIn("alice")
	other := p.another("http://" + s.addr + "/")
	other.waitStatus("alice, connected")
	p.do(chromedp.Evaluate[chromedp.Void](`window.bare = new EventSource("events?topic=to.alice")`))
	p.wait(`bare.readyState === EventSource.OPEN`)
	p.do(chromedp.Evaluate[chromedp.Void](
		`fetch("say", { method: "POST", body: new URLSearchParams({ to: "alice", text: "<b>hi</b>" }) })`))
	for _, tab := range []*page{p, other} {
		tab.wait(`document.querySelector("#log li")?.textContent === "alice: <b>hi</b>"`)
	}

	other.do(chromedp.Click("#logout"))
	p.waitStatus("signed out")
	other.waitStatus("signed out")
	p.wait(`bare.readyState === EventSource.CLOSED`) // after it has come back once
	p.signIn("alice")
}

// A page of another origin gets nothing of a stream, with the user's cookies or
// without, and does not ask again. Faults 86.
func TestAnotherOrigin(t *testing.T) {
	s := startExample(t, "login")
	p := openPageAt(t, s.addr, "/")
	p.signIn("alice")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<link rel="icon" href="data:,"><title>evil</title>`)
	}))
	defer evil.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(evil.URL, "http://"))
	require.NoError(t, err)
	for name, origin := range map[string]string{
		"same site": "http://127.0.0.1:" + port, // the port is no part of it: the cookie is sent
		"cross":     "http://localhost:" + port,
	} {
		t.Run(name, func(t *testing.T) {
			tab := p.another(origin)
			for _, credentials := range []string{"true", "false"} {
				tab.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
					`window.heard = 0; window.es = new EventSource("http://%s/events?topic=to.alice", { withCredentials: %s });
					es.addEventListener("ssehub.hello", () => heard++)`, s.addr, credentials)))
				tab.wait(`es.readyState === EventSource.CLOSED`)
				require.Zero(t, eval[int](tab, `heard`))
			}
		})
	}
}

// The page with tickets goes on by itself over a cut and a restart, with a new ticket
// each time.
func TestTickets(t *testing.T) {
	s := startExample(t, "ticket")
	line := startProxy(t, s.addr)
	_, token, _ := strings.Cut(strings.TrimSpace(s.greeting), "#")
	p := openPageAt(t, line.addr(), "/#"+token)
	p.waitStatus("live")
	line.set(hangUp)
	p.waitStatus("reconnecting")
	line.set(forward)
	p.waitStatus("live")
	require.GreaterOrEqual(t, eval[int](p, `Number(document.querySelector("#tickets").textContent)`), 2)

	wrong := openPageAt(t, s.addr, "/#guess")
	wrong.wait(`document.querySelector("#state").textContent.startsWith("wrong token")`)
}
