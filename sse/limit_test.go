package sse_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Faults 16 and 28: an event above the limit is told of once, decoding goes on
// behind it, and its id is in force then, so that a reader which reconnects
// does not meet it again.
func TestLimit(t *testing.T) {
	big := strings.Repeat("x", 11)
	tests := []struct {
		name, event string // limit 10
		tooLarge    bool
	}{
		{"at the limit", "id: 2\ndata: " + big[:10] + "\n\n", false},
		{"at the limit with the id behind", "data: " + big[:10] + "\nid: 2\n\n", false},
		{"two lines at the limit", "id: 2\ndata: 12345\ndata: 7890\n\n", false},
		{"long id and data", "id: 2\nid: 1234567890\nid: 2\ndata: " + big[:10] + "\n\n", false},
		{"data", "id: 2\ndata: " + big + "\n\n", true},
		{"data with the id behind", "data: " + big + "\nid: 2\n\n", true},
		{"two lines", "id: 2\ndata: 12345\ndata: 78901\n\n", true},
		{"empty lines", "id: 2\n" + strings.Repeat("data\n", 12) + "\n", true},
		{"type", "event: " + big + "\nid: 2\ndata: x\n\n", true},
		{"topic", "topic: " + big + "\nid: 2\ndata: x\n\n", true},
		{"type and data", "event: 123456\ndata: 12345\nid: 2\n\n", true},
		{"again and again", "id: 2\n" + strings.Repeat("data: "+big+"\nevent: "+big+"\n", 5) + "\n", true},
		{"with a blank line only behind CR", "id: 2\rdata: " + big + "\r\r", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream := "id: 1\ndata: before\n\n" + tt.event + "data: behind\n\n"
			for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream))} {
				dec := sse.NewDecoder(r)
				dec.SetMaxEventSize(10)
				messages, err := decode(dec)
				if tt.tooLarge {
					require.ErrorIs(t, err, sse.ErrEventTooLarge)
					require.Len(t, messages, 1)
					require.Equal(t, "1", dec.LastEventID(), "the event has not ended")
					messages, err = decode(dec)
				} else {
					require.Len(t, messages, 3)
				}
				require.NoError(t, err)
				require.Equal(t, sse.Message{ID: "2", Data: []byte("behind")}, messages[len(messages)-1])
			}
		})
	}
}

// An id above the limit is not taken.
func TestLimitID(t *testing.T) {
	dec := sse.NewDecoder(strings.NewReader("id: 1\ndata: a\n\nid: 12345678901\ndata: b\n\ndata: c\n\n"))
	dec.SetMaxEventSize(10)
	messages, err := decode(dec)
	require.ErrorIs(t, err, sse.ErrEventTooLarge)
	require.Len(t, messages, 1)
	messages, err = decode(dec)
	require.NoError(t, err)
	require.Equal(t, []sse.Message{{ID: "1", Data: []byte("c")}}, messages)
}

func TestLimitDefault(t *testing.T) {
	for _, n := range []int{0, -1, 1 << 20} {
		for _, size := range []int{1 << 20, 1<<20 + 1} {
			dec := sse.NewDecoder(strings.NewReader("data: " + strings.Repeat("x", size) + "\n\n"))
			dec.SetMaxEventSize(n)
			_, err := decode(dec)
			require.Equal(t, size > 1<<20, errors.Is(err, sse.ErrEventTooLarge))
		}
	}
}

// Faults 16 and 18: what never becomes an event costs no memory, and what
// becomes too large an event costs no more than the limit, however much of it
// comes.
func TestLimitMemory(t *testing.T) {
	const size = 4 << 20
	const nothing = 128 << 10
	const oneEvent = 8 << 20 // its buffer grows to 1 MiB in steps, all of which count here
	long := strings.Repeat("a", 2<<20)
	for name, tt := range map[string]struct {
		first, rest string
		tooLarge    int
		maxAlloc    uint64
	}{
		"one comment":         {":", "a", 0, nothing},
		"many comments":       {"", ": comment\n", 0, nothing},
		"one unknown field":   {"zz:", "a", 0, nothing},
		"one unknown name":    {"", "a", 0, nothing},
		"many unknown fields": {"", "zz: a\n", 0, nothing},
		"many types":          {"", "event: a\n", 0, nothing},
		"many ids":            {"", "id: 1\n", 0, nothing},
		"blank lines":         {"", "\r\n", 0, nothing},
		"one line of data":    {"data:", "a", 1, oneEvent},
		"one id":              {"id:", "a", 1, oneEvent},
		"one retry":           {"retry:", "1", 1, oneEvent},
		"many lines of data":  {"", "data:x\n", 1, oneEvent},
		"many long types":     {"", "event: " + long + "\n", 1, oneEvent},
		"many large events":   {"", "data: " + long + "\n\n", 2, 2 * oneEvent},
	} {
		t.Run(name, func(t *testing.T) {
			dec := sse.NewDecoder(io.MultiReader(strings.NewReader(tt.first), io.LimitReader(&repeater{text: tt.rest}, size)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			tooLarge := 0
			for {
				_, err := decode(dec)
				if err == nil {
					break
				}
				require.ErrorIs(t, err, sse.ErrEventTooLarge)
				tooLarge++
			}
			runtime.ReadMemStats(&after)
			require.Equal(t, tt.tooLarge, tooLarge)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, tt.maxAlloc)
		})
	}
}

// repeater is an endless text.
type repeater struct {
	text string
	at   int
}

func (r *repeater) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.text)
	}
	return n, nil
}
