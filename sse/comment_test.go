package sse_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Comments are seen in their place among the events, as they stand.
func TestComments(t *testing.T) {
	const stream = "\uFEFF:first\n: a space is text\r:\rdata: x\n:inside\ndata: y\n\n:\xff\n : no comment\n::\n\n: unfinished"
	for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream))} {
		var seen []string
		dec := sse.NewDecoder(r)
		dec.SetCommentFunc(func(text string) { seen = append(seen, ":"+text) })
		for m, err := range dec.Events() {
			require.NoError(t, err)
			seen = append(seen, string(m.Data))
		}
		require.Equal(t, []string{":first", ": a space is text", ":", ":inside", "x\ny", ":\uFFFD", "::"}, seen)
	}
}

// A comment is told when its line ends: no blank line follows a heartbeat.
func TestCommentDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	comments := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		dec := sse.NewDecoder(r)
		dec.SetCommentFunc(func(text string) { comments <- text })
		_, _ = decode(dec)
	}()
	for _, line := range []string{":\n", ":a\r"} {
		_, err := io.WriteString(w, line)
		require.NoError(t, err)
		require.Equal(t, strings.Trim(line, ":\r\n"), <-comments)
	}
	require.NoError(t, w.Close())
	<-done
}

// Faults 18: a comment without end costs no more than the limit, which cuts it,
// and neither loses the event around it.
func TestCommentLimit(t *testing.T) {
	const size = 64 << 20
	long := io.MultiReader(strings.NewReader("data: x\n:"), io.LimitReader(&repeater{text: "a"}, size), strings.NewReader("\n\n"))
	dec := sse.NewDecoder(long)
	dec.SetMaxEventSize(1000)
	var seen []string
	dec.SetCommentFunc(func(text string) { seen = append(seen, text) })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	messages, err := decode(dec)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Equal(t, []sse.Message{{Data: []byte("x")}}, messages)
	require.Equal(t, []string{strings.Repeat("a", 1000)}, seen)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<10))

	dec = sse.NewDecoder(strings.NewReader(":12345678901\n\n"))
	dec.SetMaxEventSize(10)
	dec.SetCommentFunc(func(text string) { require.Equal(t, "1234567890", text) })
	_, err = decode(dec)
	require.NoError(t, err)
}

// The settings may change at any time, even while a comment is under way.
func TestSettingsChangeWithinComment(t *testing.T) {
	for _, change := range []func(*sse.Decoder){
		func(dec *sse.Decoder) { dec.SetMaxEventSize(1) },
		func(dec *sse.Decoder) { dec.SetCommentFunc(nil) },
	} {
		var dec *sse.Decoder
		pieces := []string{":12345", "678\n", "data: x\n\n"}
		dec = sse.NewDecoder(readerFunc(func(p []byte) (int, error) {
			if len(pieces) == 0 {
				return 0, io.EOF
			}
			n := copy(p, pieces[0])
			if pieces = pieces[1:]; len(pieces) == 1 {
				change(dec)
			}
			return n, nil
		}))
		dec.SetCommentFunc(func(string) {})
		messages, err := decode(dec)
		require.NoError(t, err)
		require.Len(t, messages, 1)
	}
}
