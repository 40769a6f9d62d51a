package sse_test

import (
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// collect takes down a sequence as lines, with errors in their places.
func collect[T any](values iter.Seq2[T, error], show func(T) string) (lines []string) {
	for value, err := range values {
		if err != nil {
			lines = append(lines, "error: "+err.Error())
			continue
		}
		lines = append(lines, show(value))
	}
	return lines
}

func data(m sse.Message) string { return string(m.Data) }

func TestEvents(t *testing.T) {
	broken := errors.New("broken")
	big := strings.Repeat("x", 1<<20+1)
	for name, tt := range map[string]struct {
		stream io.Reader
		want   []string
	}{
		"empty":          {strings.NewReader(""), nil},
		"half an event":  {strings.NewReader("data: a\n\ndata: b"), []string{"a"}},
		"reader's error": {io.MultiReader(strings.NewReader("data: a\n\ndata: b"), readerFunc(func([]byte) (int, error) { return 0, broken })), []string{"a", "error: broken"}},
		"too large":      {strings.NewReader("data: a\n\ndata: " + big + "\n\ndata: b\n\n"), []string{"a", "error: sse: event too large: limit 1048576 bytes", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, collect(sse.Events(tt.stream), data))
		})
	}
}

// A loop that is left can be taken up behind the event it was left at.
func TestEventsLeft(t *testing.T) {
	dec := sse.NewDecoder(strings.NewReader("data: 1\n\ndata: 2\n\ndata: 3\n\n"))
	for m := range dec.Events() {
		require.Equal(t, "1", data(m))
		break
	}
	require.Equal(t, []string{"2", "3"}, collect(dec.Events(), data))
}

func TestUntil(t *testing.T) {
	const stream = "data: 1\n\ndata: [DONE]\n\ndata: 3\n\n"
	require.Equal(t, []string{"1"}, collect(sse.Until(sse.Events(strings.NewReader(stream)), "[DONE]"), data))
	require.Equal(t, []string{"1", "[DONE]", "3", "error: unexpected EOF"}, collect(sse.Until(sse.Events(strings.NewReader(stream)), "END"), data))
	require.Equal(t, []string{"error: unexpected EOF"}, collect(sse.Until(sse.Events(strings.NewReader("")), "END"), data))
	broken := readerFunc(func([]byte) (int, error) { return 0, errors.New("broken") })
	require.Equal(t, []string{"error: broken"}, collect(sse.Until(sse.Events(broken), "END"), data), "one error is enough")
	for m := range sse.Until(sse.Events(strings.NewReader(stream)), "[DONE]") {
		require.Equal(t, "1", data(m))
		break
	}
}

// Data that does not decode is told in its place and ends nothing.
func TestJSON(t *testing.T) {
	type point struct{ X, Y int }
	const stream = "id: 1\ndata: {\"x\":1,\ndata: \"y\":2}\n\nid: 2\ndata: {\n\nid: 3\ndata: {\"x\":\"a\"}\n\nid: 4\ndata: {\"y\":4}\n\n"
	var points []point
	var errs []string
	for p, err := range sse.JSON[point](sse.Events(strings.NewReader(stream))) {
		points = append(points, p)
		if err != nil {
			errs = append(errs, err.Error())
		}
	}
	require.Equal(t, []point{{1, 2}, {}, {}, {Y: 4}}, points)
	require.Len(t, errs, 2)
	require.Contains(t, errs[0], `sse: data of an event is no sse_test.point, last event id "2"`)
	require.Contains(t, errs[1], `last event id "3"`)

	broken := errors.New("broken")
	values := sse.JSON[int](sse.Events(readerFunc(func([]byte) (int, error) { return 0, broken })))
	for _, err := range values {
		require.ErrorIs(t, err, broken)
	}
}

// Promise 3: a loss that a hub tells of is an error, never a value.
func TestJSONOfHub(t *testing.T) {
	type point struct{ X, Y int }
	const stream = "event: ssehub.hello\ndata: {\"x\":9}\n\n" +
		"event: ssehub.gap\ndata: {\"reason\":\"window\",\"from\":\"e-1\",\"to\":\"e-5\",\"topic\":\"t\"}\n\n" +
		"data: {\"x\":1}\n\n" + "event: ssehub.gap\ndata: {\n\n"
	var got []any
	for p, err := range sse.JSON[point](sse.Events(strings.NewReader(stream))) {
		var gap *sse.GapError
		if errors.As(err, &gap) {
			require.Zero(t, p)
			got = append(got, gap.Gap)
			continue
		}
		require.NoError(t, err)
		got = append(got, p)
	}
	gap := sse.Gap{Reason: "window", From: "e-1", To: "e-5", Topic: "t"}
	require.Equal(t, []any{gap, point{X: 1}, sse.Gap{}}, got)
	require.EqualError(t, &sse.GapError{Gap: gap}, `sse: events of topic "t" are missing behind "e-1", up to "e-5": window`)
}

// The error of another reader's Decoder is the end of this one, whatever it says.
func TestTooLargeFromReader(t *testing.T) {
	calls := 0
	for _, err := range sse.Events(readerFunc(func([]byte) (int, error) { return 0, sse.ErrEventTooLarge })) {
		require.Error(t, err)
		require.NotErrorIs(t, err, sse.ErrEventTooLarge)
		calls++
	}
	require.Equal(t, 1, calls)
}
