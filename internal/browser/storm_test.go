package browser

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/stretchr/testify/require"
)

var storm = flag.Duration("storm", 2*time.Second, "how long TestSharedStorm goes on")

// Tabs that share a connection come, go, freeze and resume, the server restarts and the
// worker ends, in any order, while numbers are published: each tab gets them in order,
// without one missing, from wherever it began.
func TestSharedStorm(t *testing.T) {
	s := startSite(t, ssehub.Options{Broker: new(brokertest.Memory), History: ssehub.Retention{Events: -1, Bytes: -1}})
	tabs := s.openShared(4)
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const listen = "listen({ shared: true, hiddenAfter: -1, lastEventId: %s })"
	for begin := time.Now(); time.Since(begin) < *storm; {
		wait := s.trickle(random.IntN(20))
		p := tabs[random.IntN(len(tabs))]
		switch random.IntN(14) {
		case 0, 1:
			p.requireNumbers()
			p.run("stream.close(); log.length = 0;" + fmt.Sprintf(listen, `""`))
		case 2, 3:
			p.run("stream.close();" + fmt.Sprintf(listen, "stream.lastEventId"))
		case 4, 5:
			p.requireNumbers()
			p.setFrozen(false)
			p.run("location.reload()")
			p.until("window.ready && !window.stream")
			p.run(fmt.Sprintf(listen, `""`))
		case 6, 7:
			p.setFrozen(true)
		case 8, 9:
			p.setFrozen(false)
		case 10, 11:
			p.run("stream.reconnect()")
		case 12:
			wait()
			s.stop()
			s.start()
		case 13:
			p.endWorker()
		}
		wait()
	}
	for _, p := range tabs {
		p.setFrozen(false)
	}
	s.publish(1)
	for _, p := range tabs {
		p.until(fmt.Sprintf("log.includes(%q)", fmt.Sprint(s.published)) + `|| !log.some((line) => line[0] !== "<") && stream.state === "open"`)
	}
	s.waitStreams(1)
	s.publish(1)
	for _, p := range tabs {
		p.until(fmt.Sprintf("log.includes(%q)", fmt.Sprint(s.published)))
		p.requireNumbers()
	}
	t.Logf("%d numbers, %d requests", s.published, s.requests.Load())
}

// requireNumbers requires that each number follows the one before it, and that no gap
// was told.
func (t tab) requireNumbers() {
	t.t.Helper()
	last := 0
	for _, line := range t.log() {
		if strings.HasPrefix(line, "<") {
			require.NotContains(t.t, line, "gap")
			continue
		}
		n, err := strconv.Atoi(line)
		require.NoError(t.t, err)
		require.True(t.t, last == 0 || n == last+1, "%d behind %d", n, last)
		last = n
	}
}
