package sse_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Faults 17: four times the input takes four times the time, not sixteen.
func TestLinearTime(t *testing.T) {
	readFrom := func(r io.Reader) {
		dec := sse.NewDecoder(r)
		dec.SetMaxEventSize(1 << 30)
		_, _ = decode(dec)
	}
	read := func(text string) { readFrom(strings.NewReader(text)) }
	readBytes := func(text string) { readFrom(iotest.OneByteReader(strings.NewReader(text))) }
	write := func(text string) {
		_, _ = sse.Message{Data: []byte(text)}.AppendText(nil)
	}
	for name, tt := range map[string]struct {
		unit string
		n    int
		f    func(string)
	}{
		"decode many small lines":      {"data: x\n", 50_000, read},
		"decode many lone CRs":         {"data: x\r", 20_000, read},
		"decode blank lines":           {"\r\r\r\n", 20_000, read},
		"decode one line byte by byte": {"data: xx", 2_000, readBytes},
		"decode unknown line by byte":  {"xxxxxxxx", 2_000, readBytes},
		"decode ill-formed UTF-8":      {"\xf0\x9f\x98", 20_000, func(s string) { read("data: " + s + "\n\n") }},
		"decode blanks behind an id":   {"\n", 10_000, func(s string) { read("id: " + strings.Repeat("\xff", len(s)) + "\n" + s) }},
		"encode many LFs":              {"x\n", 20_000, write},
		"encode many lone CRs":         {"x\r", 20_000, write},
		"encode CRs, then a far LF":    {"\r", 20_000, func(s string) { write(s + strings.Repeat("x", len(s)) + "\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			once, fourTimes := strings.Repeat(tt.unit, tt.n), strings.Repeat(tt.unit, 4*tt.n)
			// A busy machine may spoil some medians, but not twenty in a row.
			var ratio float64
			for range 20 {
				ratio = float64(medianTime(tt.f, fourTimes)) / float64(medianTime(tt.f, once))
				if ratio <= 4.5 {
					return
				}
			}
			require.LessOrEqual(t, ratio, 4.5)
		})
	}
}

func medianTime(f func(string), text string) time.Duration {
	times := make([]time.Duration, 5)
	for i := range times {
		start := time.Now()
		f(text)
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[len(times)/2]
}
