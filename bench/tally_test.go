package main

import "testing"

func TestChecker(t *testing.T) {
	const n = 100
	upTo := func(n int) (seqs []int) {
		for seq := range n {
			seqs = append(seqs, seq)
		}
		return seqs
	}
	tests := map[string]struct {
		seqs []int
		want tally
	}{
		"all":                {upTo(n), tally{Received: n}},
		"none":               {nil, tally{Lost: n}},
		"the end is missing": {upTo(90), tally{Received: 90, Lost: 10}},
		"one skipped":        {append(upTo(70), 71, 72), tally{Received: 72, Lost: 28}},
		"one late":           {append(upTo(70), 71, 70, 72), tally{Received: 73, Lost: 27, Reordered: 1}},
		"the last twice":     {append(upTo(n), n-1), tally{Received: n, Duplicated: 1}},
		"all twice":          {append(upTo(n), upTo(n)...), tally{Received: n, Duplicated: n}},
		"beyond the end":     {append(upTo(n), n), tally{Received: n, Malformed: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newChecker(n, seqDigits)
			for _, seq := range test.seqs {
				var head [seqDigits]byte
				putSeq(head[:], seq)
				c.message(&head, seqDigits)
			}
			test.want.Expected = n
			if got := c.tally(); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			got := c.tally()
			if want := name == "all"; got.clean() != want {
				t.Errorf("clean: got %v, want %v", got.clean(), want)
			}
		})
	}
}

func TestSeq(t *testing.T) {
	for _, seq := range []int{0, 9, 10, 999_999, maxMessages - 1} {
		data := newPayload(seqDigits + 1)
		putSeq(data, seq)
		if got, ok := parseSeq(data); !ok || got != seq {
			t.Errorf("%d became %q and %d", seq, data, got)
		}
	}
}
