//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

func init() { roles["stuck"] = serveStuck }

// memory is what a process has of it.
type memory struct {
	Resident, Most int64 // bytes; now, after memory was given back, and ever
	Streams        int
}

// serveStuck is told how many events of 1 MiB to publish, and says what memory it
// has.
func serveStuck(in *bufio.Scanner, out *json.Encoder) {
	hub := ssehub.New(&ssehub.Options{WriteTimeout: time.Hour})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(narrow{listener}, hub.Handler("n"))) }()
	_ = out.Encode(listener.Addr().String())
	m := sse.Message{Data: []byte(strings.Repeat("x", eventSize))}
	for in.Scan() {
		var n int
		_, _ = fmt.Sscan(in.Text(), &n)
		for range n {
			if _, err := hub.Publish(context.Background(), "n", m); err != nil {
				panic(err)
			}
		}
		debug.FreeOSMemory()
		_ = out.Encode(memory{Resident: status("VmRSS:"), Most: status("VmHWM:"), Streams: hub.Stats().Subscribers})
	}
}

const eventSize = 1<<20 - 100 // as large as may be

// status returns a line of /proc/self/status, in bytes.
func status(field string) (kB int64) {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if after, ok := strings.CutPrefix(line, field); ok {
			_, _ = fmt.Sscan(after, &kB)
		}
	}
	return kB << 10
}

// Promise 7, and faults 61: a thousand clients that do not read, and events of
// 1 MiB, cost a server with GOMEMLIMIT=64MiB what docs/scale.md says: the streams,
// the window, and of events that have left it those in which a client is stuck. It
// counts how little one of ten servers gets along with: what else runs on the
// machine, and the moments at which memory is given back, only ever add to that.
func TestStuckReadersMemory(t *testing.T) {
	if raceDetector {
		t.Skip("sizes mean little")
	}
	for name, test := range map[string]stuckClients{
		"in the same event": {1000, 1000},
		"each in its own":   {20, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 64 << 20
			least := math.Inf(1)
			for range 10 {
				now, formula := test.measure(t)
				require.LessOrEqual(t, float64(now.Most), 1.5*float64(max(formula, limit))) // the collector comes behind some events
				if least = min(least, float64(now.Resident)/float64(formula)); least <= 1.1 {
					return
				}
			}
			require.LessOrEqual(t, least, 1.1)
		})
	}
}

// stuckClients is how many there are, and how many of them connect between two events.
type stuckClients struct{ clients, together int }

// measure returns what a server needs for them, and what it should.
func (test stuckClients) measure(t *testing.T) (now memory, formula int64) {
	server, err := startChild("stuck", "GOMEMLIMIT=64MiB")
	require.NoError(t, err)
	defer server.kill()
	var addr string
	require.NoError(t, server.hear(&addr))
	ask := func(publish int) (m memory) {
		require.NoError(t, server.tell("%d", publish))
		require.NoError(t, server.hear(&m))
		return m
	}
	base := ask(0).Resident
	pinned := 0
	for i := range test.clients {
		conn, err := dial(addr, "/", "", 0)
		require.NoError(t, err)
		defer reset(conn)
		if (i+1)%test.together == 0 {
			require.Eventually(t, func() bool { return ask(0).Streams == i+1 }, 60*time.Second, 10*time.Millisecond)
			ask(1)
			pinned++
		}
	}
	now = ask(100)
	require.Equal(t, test.clients, now.Streams)
	const stream, stuck, window = 5200, 4 << 10, 1<<20 + 128<<10
	formula = base + int64(test.clients)*(stream+stuck) + window + int64(pinned)*(1<<20)
	t.Logf("%d clients in %d events: %d kB of %d by the formula, ratio %.2f; %d kB at most. Before: %d kB",
		test.clients, pinned, now.Resident>>10, formula>>10, float64(now.Resident)/float64(formula), now.Most>>10, base>>10)
	return now, formula
}
