package sse_test

import (
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Faults 17: four times the input takes four times the time, not sixteen.
func TestLinearTime(t *testing.T) {
	if raceDetector {
		t.Skip("times are not the code's under the race detector")
	}
	// Garbage is collected when we say so, and with this setting its memory is not
	// given back in between: to get it anew takes the kernel a time of its own.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
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
		"decode many small lines":      {"data: x\n", 100_000, read},
		"decode many lone CRs":         {"data: x\r", 100_000, read},
		"decode blank lines":           {"\r\r\r\n", 100_000, read},
		"decode one line byte by byte": {"data: xx", 10_000, readBytes},
		"decode unknown line by byte":  {"xxxxxxxx", 10_000, readBytes},
		"decode ill-formed UTF-8":      {"\xf0\x9f\x98", 100_000, func(s string) { read("data: " + s + "\n\n") }},
		"decode blanks behind an id":   {"\n", 100_000, func(s string) { read("id: " + strings.Repeat("\xff", len(s)) + "\n" + s) }},
		"encode many LFs":              {"x\n", 100_000, write},
		"encode many lone CRs":         {"x\r", 100_000, write},
		"encode CRs, then a far LF":    {"\r", 100_000, func(s string) { write(s + strings.Repeat("x", len(s)) + "\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			once, fourTimes := strings.Repeat(tt.unit, tt.n), strings.Repeat(tt.unit, 4*tt.n)
			// What else the machine does only adds to a time, so the fastest of
			// some is the truest; and it may spoil some ratios, but not twenty. Caches
			// that others fill count more for the longer input: halfway to sixteen is
			// far enough.
			var ratio float64
			for range 20 {
				quick, slow := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
				for range 7 {
					quick = min(quick, timeOf(tt.f, once))
					slow = min(slow, timeOf(tt.f, fourTimes))
				}
				if ratio = float64(slow) / float64(quick); ratio <= 8 {
					return
				}
			}
			require.LessOrEqual(t, ratio, 8.0)
		})
	}
}

// timeOf leaves out the collection of garbage.
func timeOf(f func(string), text string) time.Duration {
	runtime.GC()
	start := time.Now()
	f(text)
	return time.Since(start)
}
