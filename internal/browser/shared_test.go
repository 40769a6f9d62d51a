package browser

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// openShared opens n tabs that share a connection, each of them told that it starts
// where the numbers then are.
func (s *site) openShared(n int) []tab {
	s.t.Helper()
	tabs := []tab{s.open()}
	for len(tabs) < n {
		tabs = append(tabs, tabs[0].openAnother(s))
	}
	for _, p := range tabs {
		p.run("listen({ shared: true, hiddenAfter: -1 })")
		p.until("log.length > 0")
	}
	s.waitStreams(1)
	return tabs
}

// Six tabs and more have one connection, through the end of the tab that began it, a
// restart of the server and the freezing of a tab, and each gets every number once.
func TestSharedByTabs(t *testing.T) {
	s := startSite(t, ssehub.Options{Broker: new(brokertest.Memory)})
	tabs := s.openShared(7)
	for _, p := range tabs {
		require.Equal(t, []string{"<fresh>"}, p.log())
	}

	wait := s.trickle(80)
	tabs[0].run("location.href = 'about:blank'")
	tabs = tabs[1:]
	wait()
	s.waitStreams(1)
	wait = s.trickle(80)
	tabs[0].setFrozen(true)
	tabs[1].close()
	tabs = append(tabs[:1], tabs[2:]...)
	wait()
	for _, p := range tabs[1:] {
		p.until(`log.includes("160")`)
	}
	s.waitStreams(1)
	tabs[0].setFrozen(false)
	tabs[0].until(`log.includes("160")`)
	s.waitStreams(1)

	s.stop()
	s.start()
	s.trickle(80)()
	for _, p := range tabs {
		p.untilNumbers(1, 240)
		require.NotContains(t, fmt.Sprint(p.log()), "gap")
	}
	s.waitStreams(1)
	for _, p := range tabs[1:] {
		p.run("stream.close()")
	}
	s.publish(1)
	tabs[0].until(`log.includes("241")`)
	tabs[0].run("stream.close()")
	s.waitStreams(0)
}

// setFrozen freezes the tab as the browser does with hidden ones, or lets it go on. It
// stays hidden either way.
func (t tab) setFrozen(frozen bool) {
	t.t.Helper()
	state := cdpage.SetWebLifecycleStateStateActive
	if frozen {
		state = cdpage.SetWebLifecycleStateStateFrozen
	}
	_, err := chromedp.Call(t.ctx, cdpage.SetWebLifecycleState, cdpage.SetWebLifecycleStateParams{State: state})
	require.NoError(t.t, err)
}

// A tab that comes late starts where the topic then is, and is told so; one that comes
// back goes on where it was; and one that was away for too long is told, alone.
func TestSharedFromDifferentPlaces(t *testing.T) {
	s := startSite(t, ssehub.Options{History: ssehub.Retention{Events: 20}})
	tabs := s.openShared(2)
	first, back := tabs[0], tabs[1]
	s.publish(5)
	back.until(`log.includes("5")`)
	back.run("stream.close()")
	s.publish(5)
	first.until(`log.includes("10")`)

	late := first.openAnother(s)
	late.run("listen({ shared: true })")
	late.until("log.length === 1")
	back.run("listen({ shared: true, lastEventId: stream.lastEventId })")
	back.until(`log.includes("10")`)
	s.waitStreams(1)
	s.publish(5)
	first.untilNumbers(1, 15)
	late.untilNumbers(11, 15)
	back.untilNumbers(1, 15)
	require.Equal(t, []string{"<fresh>", "11"}, late.log()[:2])
	require.Equal(t, "<resumed>", back.log()[6])

	back.run("stream.close()")
	s.trickle(40)()
	first.until(`log.includes("55")`)
	back.run("listen({ shared: true, lastEventId: stream.lastEventId })")
	back.until(`log.includes("55")`)
	s.waitStreams(1)
	s.publish(1)
	first.untilNumbers(1, 56)
	late.untilNumbers(11, 56)
	back.until(`log.includes("56")`)
	log := back.log()[17:]
	require.Equal(t, []string{"<gap>", "<gap window>", "36", "37"}, log[:4])
	require.Len(t, log, 2+21)
	require.NotContains(t, fmt.Sprint(first.log(), late.log()), "gap")
}

// A tab that comes late to a topic with a snapshot gets that, and what came behind it;
// the others do not.
func TestSharedSnapshot(t *testing.T) {
	var s *site
	s = startSite(t, ssehub.Options{SnapshotFor: func(string) ssehub.Snapshot {
		return func(context.Context, string) (sse.Message, ssehub.Position, error) {
			return sse.Message{Data: fmt.Appendf(nil, "<state %d>", s.published)}, s.hub.Position(), nil
		}
	}})
	tabs := s.openShared(1)
	tabs[0].until("log.length === 2")
	s.publish(3)
	tabs[0].until(`log.includes("3")`)
	late := tabs[0].openAnother(s)
	late.run("listen({ shared: true })")
	late.until("log.length === 2")
	s.waitStreams(1)
	s.publish(3)
	late.untilNumbers(4, 6)
	tabs[0].untilNumbers(1, 6)
	require.Equal(t, []string{"<fresh>", "<state 3>", "4", "5", "6"}, late.log())
	require.Equal(t, []string{"<fresh>", "<state 0>", "1", "2", "3", "4", "5", "6"}, tabs[0].log())
}

// A tab that does not read costs the worker a bounded memory, holds nobody up, and gets
// everything when it reads again.
func TestSharedStuckTab(t *testing.T) {
	s := startSite(t, ssehub.Options{History: ssehub.Retention{Events: 100_000, Bytes: 64 << 20}})
	tabs := s.openShared(2)
	stuck, other := tabs[0], tabs[1]
	stuck.run(`setTimeout(() => {
		const request = new XMLHttpRequest();
		request.open("GET", "/hold", false); // waits here
		request.send();
	})`)
	<-s.held
	for range 25 {
		s.publish(1000)
	}
	other.until(`log.includes("25000")`)
	close(s.release)
	stuck.untilNumbers(1, 25000)
	other.untilNumbers(1, 25000)
	require.Contains(t, eval[[]string](stuck.page, "states"), "connecting", "it was dropped and came back")
	s.waitStreams(1)
}

// A worker that ends is noticed, and its tabs go on with another where they were.
func TestSharedWorkerEnds(t *testing.T) {
	s := startSite(t, ssehub.Options{})
	tabs := s.openShared(2)
	s.publish(5)
	tabs[0].until(`log.includes("5")`)
	tabs[1].until(`log.includes("5")`)
	tabs[0].endWorker()
	s.waitStreams(0)
	s.publish(5)
	for _, p := range tabs {
		p.untilNumbers(1, 10)
		require.Contains(t, p.log(), "<resumed>")
	}
	s.waitStreams(1)
}

// endWorker ends the SharedWorker, if there is one, as a system may that needs memory.
func (t tab) endWorker() {
	t.t.Helper()
	targets, err := chromedp.Targets(t.ctx)
	require.NoError(t.t, err)
	for _, info := range targets {
		if info.Type == "shared_worker" {
			ctx, cancel := chromedp.NewContext(t.ctx, chromedp.WithTargetID(info.TargetID), chromedp.WithDetachOnCancel())
			_, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: "self.close()"})
			cancel()
			require.NoError(t.t, err)
		}
	}
}

// The worker asks one tab for headers, and another when that one is frozen.
func TestSharedHeaders(t *testing.T) {
	s := startSite(t, ssehub.Options{Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
		if r.Header.Get("Authorization") == "" {
			return ssehub.Grant{}, http.ErrNoCookie
		}
		return ssehub.Grant{Subject: r.Header.Get("Authorization")}, nil
	}})
	p := s.open()
	other := p.openAnother(s)
	for i, p := range []tab{p, other} {
		p.run(fmt.Sprintf(`window.asked = 0; listen({ shared: "alice", headers: async () => { asked++; return { Authorization: "tab %d" }; } })`, i))
		p.until("log.length === 1")
	}
	s.waitStreams(1)
	require.Equal(t, 2, eval[int](p.page, "asked")+eval[int](other.page, "asked"))
	_, err := s.hub.Revoke(t.Context(), ssehub.Revocation{Subject: "tab 0", Again: true})
	require.NoError(t, err)
	p.until(`log.includes("<resumed>")`)
	s.waitStreams(1)
	require.Equal(t, 3, eval[int](p.page, "asked")+eval[int](other.page, "asked"))
	p.run(`try { listen({ shared: true, headers: {} }); } catch (error) { log.push(error.name); }`)
	require.Contains(t, p.log(), "TypeError")
}

// A page that may have no worker has a connection of its own.
func TestSharedWithoutWorker(t *testing.T) {
	s := startSite(t, ssehub.Options{})
	p := s.open()
	for i, worker := range []string{"/nowhere.txt", "https://elsewhere.invalid/ssehub.js"} {
		p.run(fmt.Sprintf("listen({ shared: true, worker: %q })", worker))
		s.waitStreams(i + 1)
	}
	p.until("log.length === 2")
	s.publish(1)
	p.until("log.length === 4")
}
