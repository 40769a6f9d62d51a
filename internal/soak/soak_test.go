//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Faults 47, 56: clients and topics come and go for some seconds, which must leave
// nothing. Promises 1 to 3 and 7. The command does it for as long as one likes.
func TestSoak(t *testing.T) {
	var out strings.Builder
	result, err := runSoak(soakOptions{long: 4 * time.Second, rate: 200, slack: 1 << 20}, &out)
	t.Log("\n" + out.String())
	require.NoError(t, err)
	require.Empty(t, result.Violations)
	require.Positive(t, result.Gaps, "slow readers are told")
	require.Positive(t, result.Resumed)
	require.GreaterOrEqual(t, 3*result.Resets, result.Connects*9/10)

	dec := xml.NewDecoder(strings.NewReader(string(plotSVG(result.Samples))))
	for err == nil {
		_, err = dec.Token()
	}
	require.True(t, errors.Is(err, io.EOF), "the plot: %v", err)
}

// The tracker sees what must not be.
func TestTracker(t *testing.T) {
	event := func(id, data string) sse.Message { return sse.Message{ID: id, Data: []byte(data)} }
	gap := func(id, data string) sse.Message { return sse.Message{ID: id, Type: sse.TypeGap, Data: []byte(data)} }
	hello := func(id, verdict string) sse.Message {
		return sse.Message{ID: id, Type: sse.TypeHello, Data: []byte(`{"verdict":"` + verdict + `"}`)}
	}
	for name, test := range map[string]struct {
		messages []sse.Message
		want     string // of the error for the last; none for the others
	}{
		"in order":     {[]sse.Message{hello("e-1", "fresh"), event("e-2", "p.0 1 x"), event("e-4", "p.0 2 x"), hello("e-4", "resumed"), event("e-5", "p.0 3 x")}, ""},
		"told":         {[]sse.Message{event("e-2", "p.0 1 x"), gap("e-5", `{"reason":"overflow","from":"e-2","to":"e-5","topic":"p.0"}`), event("e-6", "p.0 4 x")}, ""},
		"untold":       {[]sse.Message{event("e-2", "p.0 1 x"), event("e-6", "p.0 3 x")}, "missing"},
		"of a pattern": {[]sse.Message{event("e-2", "p.0 1 x"), gap("e-5", `{"reason":"overflow","from":"e-2","to":"e-5","topic":">"}`), event("e-6", "p.0 4 x")}, ""},
		"of another":   {[]sse.Message{event("e-2", "p.0 1 x"), gap("e-5", `{"reason":"overflow","from":"e-2","to":"e-5","topic":"p.1"}`), event("e-6", "p.0 4 x")}, "missing"},
		"before":       {[]sse.Message{event("e-9", "p.0 1 x"), gap("e-9", `{"reason":"overflow","from":"e-2","to":"e-5","topic":"p.0"}`), event("e-10", "p.0 4 x")}, "missing"},
		"only a part":  {[]sse.Message{event("e-9", "t 4 x"), gap("e-12", `{"reason":"window","from":"e-9","to":"e-12","topic":"t.1"}`), event("e-20", "t 12 x")}, "missing"},
		"twice":        {[]sse.Message{event("e-2", "p.0 1 x"), event("e-2", "p.0 1 x")}, "behind"},
		"reordered":    {[]sse.Message{event("e-2", "p.0 2 x"), event("e-3", "p.0 1 x")}, "behind"},
		"broken":       {[]sse.Message{event("e-2", "p.0")}, "broken"},
		"epoch":        {[]sse.Message{gap("e-5", `{"reason":"epoch","from":"d-2","to":"e-5"}`)}, "epoch"},
		"forgotten":    {[]sse.Message{hello("e-1", "fresh"), hello("e-1", "fresh")}, "verdict"},
	} {
		t.Run(name, func(t *testing.T) {
			tracker := newTracker()
			for i, m := range test.messages {
				err := tracker.take(m)
				if i < len(test.messages)-1 || test.want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.want)
				}
			}
		})
	}
}

// The trend of points whose line is known (Anscombe's first quartet: 0.5 ± 0.2667).
func TestFit(t *testing.T) {
	x := []float64{10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5}
	y := []float64{8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68}
	l := fit(x, y)
	require.InDelta(t, 0.5001, l.Slope, 1e-4)
	require.InDelta(t, 0.2333, l.Low, 2e-3)
	require.InDelta(t, 0.7669, l.Up, 2e-3)
}
