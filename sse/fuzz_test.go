package sse_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// The reader of "Interpreting an event stream" written down as naively as
// possible: all of the input at hand, as one string.
type reference struct {
	events      []sse.Message
	hasID       []bool // of each event: an id of its own
	comments    []string
	lastEventID string
	retry       time.Duration
	hasRetry    bool
	longestID   int // of all id fields, in bytes before decoding
}

func interpret(stream []byte) (ref reference) {
	stream = bytes.TrimPrefix(stream, []byte("\uFEFF"))
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(stream))
	lines := strings.Split(text, "\n")
	var data, typ, topic, id string
	var hasID bool
	for _, line := range lines[:len(lines)-1] { // the last has no end
		if line == "" {
			ref.lastEventID = id
			if data != "" {
				data = strings.TrimSuffix(data, "\n")
				ref.events = append(ref.events, sse.Message{Topic: topic, ID: id, Type: typ, Data: []byte(data)})
				ref.hasID = append(ref.hasID, hasID)
			}
			data, typ, topic, hasID = "", "", "", false
			continue
		}
		if comment, ok := strings.CutPrefix(line, ":"); ok {
			ref.comments = append(ref.comments, replaceIllFormed(comment))
			continue
		}
		field, raw, _ := strings.Cut(line, ":")
		raw = strings.TrimPrefix(raw, " ")
		value := replaceIllFormed(raw)
		switch field {
		case "data":
			data += value + "\n"
		case "event":
			typ = value
		case "topic":
			topic = value
		case "id":
			ref.longestID = max(ref.longestID, len(raw))
			if !strings.Contains(value, "\x00") {
				id, hasID = value, true
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				ref.retry, ref.hasRetry = milliseconds(value), true
			}
		}
	}
	return ref
}

func milliseconds(digits string) time.Duration {
	const limit = math.MaxInt64 / int64(time.Millisecond)
	ms, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || ms > limit {
		ms = limit
	}
	return time.Duration(ms) * time.Millisecond
}

// replaceIllFormed puts U+FFFD for each maximal subpart: the longest start of
// what is left that could still become a rune, and at least a byte.
func replaceIllFormed(s string) string {
	var out strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			for n < len(s) && !utf8.FullRuneInString(s[:n+1]) {
				n++
			}
		}
		out.WriteRune(r)
		s = s[n:]
	}
	return out.String()
}

func TestReplaceIllFormed(t *testing.T) {
	require.Equal(t, "a\uFFFD\uFFFDb€\uFFFD", replaceIllFormed("a\xe2\x82\xffb€\xf0\x9f\x98"))
}

// chunks reads r in pieces whose sizes cuts gives, again and again.
type chunks struct {
	r    io.Reader
	cuts []byte
	i    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.cuts) > 0 {
		p = p[:min(len(p), 1+int(c.cuts[c.i%len(c.cuts)]))]
		c.i++
	}
	return c.r.Read(p)
}

// Faults 2, 13, 14, 15, 20 and 23: the Decoder against the standard, with any
// input in any pieces, comments wanted or not.
func FuzzDecoder(f *testing.F) {
	for _, stream := range []string{
		"", "data: x\n\n", "\uFEFFdata: x\r\rdata: y\r\n\r\ndata: z\n\n", "\uFEFF\uFEFFdata: x\n\n", "\xef\xbbdata: x\n\n",
		"id: 1\nevent: t\ntopic: a\ndata: a\ndata: b\n\nid\ndata\n\n", "id: a\x00b\ndata:  x\n\n: c\nzz: d\ndata\n:\n\n",
		"retry: 170\nretry: +1\nretry: 99999999999999999999\nretry: 0", "data: \xe2\x82\xff\xed\xa0\x80\xf0\x9f\x98\ndata: \xf4\x91\n\n",
		"id: 8\ndata: half\n", "\n\r\r\n\n\rdata: x\n\r", "event: a\rid: 9\r\n\rdata: b\n\nDATA: c\n data: d\ndata : e\n\n",
	} {
		f.Add([]byte(stream), []byte{})
		f.Add([]byte(stream), []byte{0})
		f.Add([]byte(stream), []byte{2, 0, 6})
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		want := interpret(stream)
		dec := sse.NewDecoder(&chunks{r: bytes.NewReader(stream), cuts: cuts})
		dec.SetMaxEventSize(len(stream) + 1)
		var comments []string
		if len(cuts)%2 == 1 { // they are not even looked at otherwise
			dec.SetCommentFunc(func(text string) { comments = append(comments, text) })
		} else {
			want.comments = nil
		}
		var got []sse.Message
		var hasID []bool
		for m, err := range dec.Events() {
			require.NoError(t, err)
			got, hasID = append(got, m), append(hasID, dec.HasID())
		}
		require.Equal(t, want.events, got)
		require.Equal(t, want.hasID, hasID)
		require.Equal(t, want.comments, comments)
		require.Equal(t, want.lastEventID, dec.LastEventID())
		retry, ok := dec.Retry()
		require.Equal(t, want.retry, retry)
		require.Equal(t, want.hasRetry, ok)
	})
}

// Faults 16 and 28: a size limit takes events away and tells of it, but it
// changes none, and no id that fits is lost.
func FuzzDecoderLimit(f *testing.F) {
	f.Add([]byte("id: 1\ndata: 123456789\n\ndata: a\nid: 2\n\ndata: b\n\n"), []byte{3}, uint8(5))
	f.Add([]byte("data: 12345\nid: 1\n\nid: 123456\nevent: x\ndata: a\n\n"), []byte{}, uint8(5))
	f.Add([]byte("event: 1234567\nretry: 1234567\n\ntopic: abcdef\rdata: x\r\r"), []byte{0}, uint8(6))
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit uint8) {
		want := interpret(stream)
		readAll := func(r io.Reader) (messages []sse.Message, tooLarge int, lastEventID string) {
			dec := sse.NewDecoder(r)
			dec.SetMaxEventSize(int(limit) + 1)
			dec.SetCommentFunc(func(text string) { // U+FFFD may be longer than what it stands for
				require.LessOrEqual(t, len([]rune(text)), int(limit)+1)
			})
			for {
				some, err := decode(dec)
				messages = append(messages, some...)
				if err == nil {
					return messages, tooLarge, dec.LastEventID()
				}
				require.ErrorIs(t, err, sse.ErrEventTooLarge)
				tooLarge++
			}
		}
		whole, tooLarge, lastEventID := readAll(bytes.NewReader(stream))
		pieces, tooLargeInPieces, lastEventIDInPieces := readAll(&chunks{r: bytes.NewReader(stream), cuts: cuts})
		require.Equal(t, whole, pieces)
		require.Equal(t, tooLarge, tooLargeInPieces)
		require.Equal(t, lastEventID, lastEventIDInPieces)

		require.LessOrEqual(t, len(want.events), len(whole)+tooLarge)
		if want.longestID > int(limit)+1 {
			return // one that was lost is in all events behind it
		}
		require.Equal(t, want.lastEventID, lastEventID)
		rest := want.events
		for _, m := range whole {
			for len(rest) > 0 && !sameMessage(rest[0], m) {
				rest = rest[1:]
			}
			require.NotEmpty(t, rest, "%v is none of the stream's events, or not in their order", m)
			rest = rest[1:]
		}
	})
}

func sameMessage(a, b sse.Message) bool {
	return a.Topic == b.Topic && a.ID == b.ID && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
}

// Faults 1-8: a message is refused, or it comes back as it was but for line
// ends, ill-formed text and fractions of a millisecond.
func FuzzEncodeDecode(f *testing.F) {
	f.Add("", "", "", []byte(nil), false, int64(0))
	f.Add("a.b", "01jf-1", "tick", []byte("{}"), true, int64(1500*time.Millisecond))
	f.Add("", "", "a\nevent: admin", []byte("x"), true, int64(0))
	f.Add("", " 5", "", []byte("hi\r\revent: admin\rdata: p"), true, int64(0))
	f.Add("", "a\x01b", "", []byte(":x"), true, int64(-1))
	f.Add("", "7", "", []byte(nil), false, int64(time.Microsecond))
	f.Add(" ", "é", " : ", []byte(" \n\r\n\r\xff"), true, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, topic, id, typ string, data []byte, hasData bool, retry int64) {
		if !hasData {
			data = nil
		} else if data == nil {
			data = []byte{}
		}
		m := sse.Message{Topic: topic, ID: id, Type: typ, Data: data, Retry: time.Duration(retry)}
		frame, err := m.AppendText([]byte("before"))
		if !isValid(m) {
			require.ErrorIs(t, err, sse.ErrInvalidField)
			require.Equal(t, "before", string(frame))
			return
		}
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(frame, []byte("before")))
		stream := append(frame[len("before"):], "data: next\n\n"...)

		dec := sse.NewDecoder(bytes.NewReader(stream))
		var got sse.Message
		require.NoError(t, dec.Decode(&got))
		if data != nil || typ != "" || id == "" && retry == 0 {
			text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
			want := sse.Message{Topic: topic, ID: id, Type: typ, Data: []byte(replaceIllFormed(text))}
			require.Equal(t, want, got)
			require.NoError(t, dec.Decode(&got))
		}
		require.Equal(t, sse.Message{ID: id, Data: []byte("next")}, got)
		require.True(t, errors.Is(dec.Decode(&got), io.EOF))
		gotRetry, ok := dec.Retry()
		require.Equal(t, m.Retry.Truncate(time.Millisecond), gotRetry)
		require.Equal(t, retry != 0, ok)
	})
}

// isValid is the rule book of Message.
func isValid(m sse.Message) bool {
	for _, s := range []string{m.Topic, m.Type} {
		if strings.ContainsAny(s, "\r\n\x00") || !utf8.ValidString(s) {
			return false
		}
	}
	for _, r := range m.ID {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(m.ID) && len(m.ID) <= 256 && strings.Trim(m.ID, " ") == m.ID &&
		(m.Retry == 0 || m.Retry >= time.Millisecond)
}
