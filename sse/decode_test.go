package sse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// goldenStream is what a stream of testdata/decode holds.
type goldenStream struct {
	Events      []goldenEvent `json:"events"`
	LastEventID string        `json:"lastEventID"` // in force at the end
	RetryMs     *int64        `json:"retryMs"`     // null: not asked for
}

type goldenEvent struct {
	Topic string `json:"topic"`
	ID    string `json:"id"`
	Type  string `json:"type"`
	Data  string `json:"data"`
}

func readStream(t *testing.T, r io.Reader) (got goldenStream) {
	t.Helper()
	dec := sse.NewDecoder(r)
	messages, err := decode(dec)
	require.NoError(t, err)
	for _, m := range messages {
		require.Zero(t, m.Retry)
		got.Events = append(got.Events, goldenEvent{m.Topic, m.ID, m.Type, string(m.Data)})
	}
	got.LastEventID = dec.LastEventID()
	if d, ok := dec.Retry(); ok {
		ms := d.Milliseconds()
		got.RetryMs = &ms
	}
	return got
}

// Faults 13, 14, 15, 20 and 22, and the rest of "Interpreting an event
// stream": each stream of testdata/decode gives its events however it is cut.
func TestDecodeGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/decode/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			stream, err := os.ReadFile(file)
			require.NoError(t, err)
			text, err := os.ReadFile(strings.TrimSuffix(file, ".txt") + ".json")
			require.NoError(t, err)
			var want goldenStream
			require.NoError(t, json.Unmarshal(text, &want))

			require.Equal(t, want, readStream(t, bytes.NewReader(stream)), "whole")
			require.Equal(t, want, readStream(t, iotest.OneByteReader(bytes.NewReader(stream))), "a byte at a time")
			require.Equal(t, want, readStream(t, iotest.DataErrReader(bytes.NewReader(stream))), "end with the last bytes")
			for i := range stream {
				split := io.MultiReader(bytes.NewReader(stream[:i]), bytes.NewReader(stream[i:]))
				require.Equal(t, want, readStream(t, split), "split at %d", i)
			}
		})
	}
}

// Faults 15: an event that was cut anywhere is not delivered and its id is not
// in force, and every event before it is.
func TestDecodeCutAnywhere(t *testing.T) {
	const stream = "id: 7\ndata: a\n\nid: 8\nevent: t\ndata: half\n\n"
	const first = len("id: 7\ndata: a\n\n")
	for i := range len(stream) {
		got := readStream(t, strings.NewReader(stream[:i]))
		if i < first {
			require.Equal(t, goldenStream{}, got, "cut at %d", i)
		} else {
			require.Equal(t, goldenStream{Events: []goldenEvent{{ID: "7", Data: "a"}}, LastEventID: "7"}, got, "cut at %d", i)
		}
	}
}

// Ill-formed UTF-8, by the tables of the Unicode Standard, section 3.9: one
// U+FFFD for each maximal subpart, in every field that is kept.
func TestDecodeUTF8(t *testing.T) {
	const r = "\uFFFD"
	for in, want := range map[string]string{
		"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82A": strings.Repeat(r, 8) + "A", // non-shortest forms
		"\xED\xA0\x80\xED\xBF\xBF\xED\xAFA": strings.Repeat(r, 8) + "A", // surrogates
		"\xF4\x91\x92\x93\xFFA\x80\xBFB":    strings.Repeat(r, 5) + "A" + r + r + "B",
		"\xE1\x80\xE2\xF0\x91\x92\xF1\xBFA": strings.Repeat(r, 4) + "A", // truncated
		"\xC2":                              r,
		"\xE2\x82":                          r,
		"\xF0\x9F\x98":                      r,
		"\xF0\x9F\x98\xF0\x9F\x98\x80":      r + "😀",
		"\xE2\x82\xE2\x82\xAC":              r + "€",
		"\xF5\x80\x80\x80":                  r + r + r + r,
		"\xC1\x80\xC2\x80":                  r + r + "\u0080",
		"\xE0\x9F\xE0\xA0\x80":              r + r + "\u0800",
		"\xF0\x8F\xF0\x90\x80\x80":          r + r + "\U00010000",
		"\xF4\x8F\xBF\xBF\xF4\x90":          "\U0010FFFF" + r + r,
		"\xEF\xBB\xBF\xEF\xBF\xBD":          "\uFEFF\uFFFD",
	} {
		stream := "topic: " + in + "\nid: " + in + "\nevent: " + in + "\ndata: " + in + "\n\n"
		got := readStream(t, strings.NewReader(stream))
		require.Equal(t, []goldenEvent{{want, want, want, want}}, got.Events, "%x", in)
	}
}

// Faults 23: what a stream may ask for, in milliseconds; anything but ASCII
// digits is ignored. A line counts when it ends; no blank line is needed.
func TestDecodeRetry(t *testing.T) {
	const largest = 9223372036854 * time.Millisecond // of a time.Duration
	tests := []struct {
		stream string
		want   time.Duration
		ok     bool
	}{
		{"", 0, false},
		{"retry: 170\n", 170 * time.Millisecond, true},
		{"retry:170\n", 170 * time.Millisecond, true},
		{"retry: 170\r", 170 * time.Millisecond, true},
		{"retry: 170", 0, false},
		{"retry: 0\n", 0, true},
		{"retry: 007\n", 7 * time.Millisecond, true},
		{"retry: 9223372036854\n", largest, true},
		{"retry: 9223372036855\n", largest, true},
		{"retry: 18446744073709551616\n", largest, true},
		{"retry: " + strings.Repeat("9", 1000) + "\n", largest, true},
		{"retry: 5\nretry: 6\n", 6 * time.Millisecond, true},
		{"retry: 5\nretry: x\n", 5 * time.Millisecond, true},
		{"retry: 5\n\ndata: x\n\nretry\n", 5 * time.Millisecond, true},
		{"retry\n", 0, false},
		{"retry:\n", 0, false},
		{"retry: \n", 0, false},
		{"retry: +170\n", 0, false},
		{"retry: -1\n", 0, false},
		{"retry: 1s\n", 0, false},
		{"retry: 1.5\n", 0, false},
		{"retry: 1e3\n", 0, false},
		{"retry: 0x10\n", 0, false},
		{"retry:  5\n", 0, false},
		{"retry: 5 \n", 0, false},
		{"retry: ٥\n", 0, false},
		{"Retry: 5\n", 0, false},
	}
	for _, tt := range tests {
		dec := sse.NewDecoder(strings.NewReader(tt.stream))
		_, err := decode(dec)
		require.NoError(t, err)
		got, ok := dec.Retry()
		require.Equal(t, tt.want, got, "%.40q", tt.stream)
		require.Equal(t, tt.ok, ok, "%.40q", tt.stream)
	}
}

// An event is there as soon as its last byte is, even where that is a CR which
// an LF may follow.
func TestDecodeDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	dec := sse.NewDecoder(r)
	for _, chunk := range []string{"data: x\n\n", "data: x\r\r", "\ndata: x\r\n\r", "\ndata: x\n\r", "\ndata: x\n\n"} {
		go w.Write([]byte(chunk))
		var m sse.Message
		require.NoError(t, dec.Decode(&m))
		require.Equal(t, sse.Message{Data: []byte("x")}, m, "%q", chunk)
	}
}

// The id that a reader carries over is in force until the stream brings one.
func TestDecodeSetLastEventID(t *testing.T) {
	dec := sse.NewDecoder(strings.NewReader("data: a\n\nid: 8\n"))
	dec.SetLastEventID("7")
	require.Equal(t, "7", dec.LastEventID())
	messages, err := decode(dec)
	require.NoError(t, err)
	require.Equal(t, []sse.Message{{ID: "7", Data: []byte("a")}}, messages)
	require.Equal(t, "7", dec.LastEventID())
}

// Each message is replaced as a whole, and its Data is the caller's.
func TestDecodePrivateData(t *testing.T) {
	dec := sse.NewDecoder(strings.NewReader("event: t\nid: 1\ntopic: a\ndata: 000\n\nid\ndata: 111\n\ndata\n\n"))
	first := sse.Message{Retry: time.Second}
	require.NoError(t, dec.Decode(&first))
	require.Equal(t, sse.Message{Topic: "a", ID: "1", Type: "t", Data: []byte("000")}, first)
	second := first
	require.NoError(t, dec.Decode(&second))
	require.Equal(t, sse.Message{Data: []byte("111")}, second)
	_ = append(first.Data, "xxxxxxxxxxxx"...)
	copy(second.Data, "xxx")
	require.Equal(t, "000", string(first.Data))
	require.NoError(t, dec.Decode(&second))
	require.Equal(t, sse.Message{Data: []byte{}}, second, "empty is not nil: it was an event")
}

// The reader's error comes behind the events before it, and again after that.
func TestDecodeReaderError(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		r    io.Reader
		want error
	}{
		"error":          {io.MultiReader(strings.NewReader("data: x\n\ndata: half\n"), iotest.ErrReader(boom)), boom},
		"end":            {strings.NewReader("data: x\n\ndata: half\n"), io.EOF},
		"unexpected end": {io.MultiReader(strings.NewReader("data: x\n\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		"no progress":    {io.MultiReader(strings.NewReader("data: x\n\n"), readerFunc(func([]byte) (int, error) { return 0, nil })), io.ErrNoProgress},
	} {
		t.Run(name, func(t *testing.T) {
			dec := sse.NewDecoder(tt.r)
			var m sse.Message
			require.NoError(t, dec.Decode(&m))
			require.Equal(t, tt.want, dec.Decode(&m))
			require.Equal(t, tt.want, dec.Decode(&m))
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
