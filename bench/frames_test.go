package main

import (
	"fmt"
	"strings"
	"testing"
)

// wireMessages returns the frames of n messages from the number first on.
func wireMessages(first, n, size int) string {
	var b strings.Builder
	data := newPayload(size)
	for seq := first; seq < first+n; seq++ {
		putSeq(data, seq)
		fmt.Fprintf(&b, "id: abcdefgh-%d\ndata: %s\n\n", seq+1, data)
	}
	return b.String()
}

func TestFrames(t *testing.T) {
	const size = 12
	zero, one := "data: 0000000000xx\n\n", "data: 0000000001xx\n\n"
	tests := map[string]struct {
		wire  string
		want  tally // Expected is 2; Lost follows
		hello bool
	}{
		"nothing":                {wire: ""},
		"two messages":           {wire: wireMessages(0, 2, size), want: tally{Received: 2}},
		"CRLF":                   {wire: strings.ReplaceAll(zero+one, "\n", "\r\n"), want: tally{Received: 2}},
		"no space":               {wire: "data:0000000000xx\n\n", want: tally{Received: 1}},
		"comment, retry, other":  {wire: ":\nretry: 2\nfoo\ndatax: 1\nevents: x\n" + zero, want: tally{Received: 1}},
		"id without data":        {wire: "id: 7\n\n" + zero, want: tally{Received: 1}},
		"cut off":                {wire: "data: 0000000000xx\n"},
		"hello":                  {wire: "event: ssehub.hello\ndata: {}\n\n" + zero, want: tally{Received: 1}, hello: true},
		"hello without data":     {wire: "event: ssehub.hello\n\n" + zero, want: tally{Received: 1}},
		"gap":                    {wire: zero + "id: 5\nevent: ssehub.gap\ndata: {}\n\n" + one, want: tally{Received: 2, Gaps: 1}},
		"type message":           {wire: "event: message\n" + zero, want: tally{Received: 1}},
		"another type":           {wire: "event: tick\n" + zero},
		"twice":                  {wire: zero + zero, want: tally{Received: 1, Duplicated: 1}},
		"the wrong way round":    {wire: one + zero, want: tally{Received: 2, Reordered: 1}},
		"the first is missing":   {wire: one, want: tally{Received: 1}},
		"too long":               {wire: "data: 0000000000xxx\n\n", want: tally{Malformed: 1}},
		"too short for a number": {wire: "data: 0000000\n\n", want: tally{Malformed: 1}},
		"empty":                  {wire: "data\n\n", want: tally{Malformed: 1}},
		"no number":              {wire: "data: xxxxxxxxxxxx\n\n", want: tally{Malformed: 1}},
		"a number too many":      {wire: zero + one + "data: 0000000002xx\n\n", want: tally{Received: 2, Malformed: 1}},
		"data in lines":          {wire: "data: 0000000000\ndata: x\n\n", want: tally{Received: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.want.Expected, test.want.Lost = 2, 2-test.want.Received
			for step := 1; step <= len(test.wire)+1; step++ {
				check := newChecker(2, size)
				f := frames{check: &check}
				feedInSteps(t, f.feed, test.wire, step)
				if got := check.tally(); got != test.want || check.hello != test.hello {
					t.Fatalf("in steps of %d: got %+v, hello %v", step, got, check.hello)
				}
			}
		})
	}
}

func feedInSteps(t *testing.T, feed func([]byte) error, wire string, step int) {
	t.Helper()
	for len(wire) > 0 {
		n := min(step, len(wire))
		// A copy, so that a reader that kept it would see it change.
		piece := []byte(wire[:n])
		if err := feed(piece); err != nil {
			t.Fatalf("in steps of %d: %v", step, err)
		}
		clear(piece)
		wire = wire[n:]
	}
}

func TestFramesRefusesEndlessLine(t *testing.T) {
	check := newChecker(1, 64)
	f := frames{check: &check}
	piece := newPayload(1 << 16)
	for range 2 * maxSize / len(piece) {
		if err := f.feed(piece); err != nil {
			return
		}
	}
	t.Fatal("no error")
}

func TestFramesAllocatesNothing(t *testing.T) {
	const messages = 1000
	wire := []byte(wireMessages(0, messages, 64))
	line := make([]byte, 0, 128)
	allocs := testing.AllocsPerRun(10, func() {
		check := newChecker(messages, 64)
		f := frames{check: &check, line: line}
		for p := wire; len(p) > 0; p = p[min(1000, len(p)):] {
			_ = f.feed(p[:min(1000, len(p))])
		}
	})
	if allocs > 1 { // the checker itself
		t.Errorf("%v allocations for %d messages", allocs, messages)
	}
}

func BenchmarkFrames(b *testing.B) {
	const messages = 1000
	wire := []byte(wireMessages(0, messages, 64))
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		check := newChecker(messages, 64)
		f := frames{check: &check}
		if err := f.feed(wire); err != nil || !check.complete() {
			b.Fatal(err, check.tally())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/messages, "ns/event")
}
