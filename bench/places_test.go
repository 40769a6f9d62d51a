package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPlaces: where many publish, the order is that of the ids, and all connections
// have the same.
func TestPlaces(t *testing.T) {
	tests := map[string]struct {
		a, b string // number@place of each event at two connections
		want tally
	}{
		"by number":      {"0@1 1@2 2@3", "0@1 1@2 2@3", tally{Received: 6}},
		"by place":       {"2@1 0@2 1@3", "2@1 0@2 1@3", tally{Received: 6}},
		"one goes back":  {"0@1 1@3 2@2", "0@1 2@2 1@3", tally{Received: 6, Reordered: 1}},
		"place twice":    {"0@1 0@1 1@2 2@3", "0@1 1@2 2@3", tally{Received: 6, Duplicated: 1}},
		"number twice":   {"0@1 1@2 0@3", "0@1 1@2 0@3", tally{Received: 6, Duplicated: 1}},
		"no place":       {"0@1 1@2 2@0", "0@1 1@2 2@3", tally{Received: 5, Malformed: 1}},
		"not the log's":  {"0@1 1@2 2@4", "0@1 1@2 2@3", tally{Received: 5, Malformed: 1}},
		"not the same":   {"0@1 1@2 2@3", "1@1 0@2 2@3", tally{Received: 6, Reordered: 2}},
		"another's loss": {"0@1 2@3", "0@1 1@2 2@3", tally{Received: 5}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := testPlan(2, 3, timedSize)
			p.timed, p.byPlace = true, true
			g, err := newGenerator(p)
			require.NoError(t, err)
			defer g.close()
			wires := []string{test.a, test.b}
			for _, w := range g.workers {
				for i := range w.conns {
					require.NoError(t, w.conns[i].response.frames.feed([]byte(wireOf(t, wires[0]))))
					wires = wires[1:]
				}
			}
			test.want.Expected, test.want.Lost = 6, 6-test.want.Received
			assert.Equal(t, test.want, g.tally())
		})
	}
}

func wireOf(t *testing.T, events string) string {
	var b strings.Builder
	for one := range strings.FieldsSeq(events) {
		var seq, place int
		_, err := fmt.Sscanf(one, "%d@%d", &seq, &place)
		require.NoError(t, err)
		data := newPayload(timedSize)
		putSeq(data, seq)
		putStamp(data, 1)
		fmt.Fprintf(&b, "id: with-dash-%d\ndata: %s\n\n", place, data)
	}
	return b.String()
}

// TestLastLatency is that of the last of all connections.
func TestLastLatency(t *testing.T) {
	p := testPlan(2, 2, timedSize)
	p.timed, p.byPlace = true, true
	g, err := newGenerator(p)
	require.NoError(t, err)
	defer g.close()
	now := int64(1_000_001)
	for _, w := range g.workers {
		for i := range w.conns {
			w.times.now = now
			now += 5_000_000
			require.NoError(t, w.conns[i].response.frames.feed([]byte(wireOf(t, "0@1 1@2"))))
		}
	}
	h := g.lastLatency(1)
	assert.EqualValues(t, 1, h.TotalCount())
	assert.InEpsilon(t, 6_000_000, h.Max(), 0.01)
}
