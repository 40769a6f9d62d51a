package sse_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

var golden = []struct {
	file string // in testdata/encode
	m    sse.Message
}{
	{"all", sse.Message{Topic: "orders.eu", ID: "01jf-42", Type: "tick", Data: []byte(`{"n":1}`), Retry: 1500 * time.Millisecond}},
	{"zero", sse.Message{}},
	{"data", sse.Message{Data: []byte("hello")}},
	{"data-empty", sse.Message{Data: []byte{}}},
	{"data-lines", sse.Message{Data: []byte("a\nb\rc\r\nd")}},
	{"data-blank-lines", sse.Message{Data: []byte("a\r\n\r\n\nb")}},
	{"data-ends-in-lf", sse.Message{Data: []byte("a\n")}},
	{"data-ends-in-cr", sse.Message{Data: []byte("a\r")}},
	{"data-ends-in-crlf", sse.Message{Data: []byte("a\r\n")}},
	{"data-only-lf", sse.Message{Data: []byte("\n")}},
	{"data-forged", sse.Message{Data: []byte("hi\r\revent: admin\rdata: p")}}, // faults 3
	{"data-colon", sse.Message{Data: []byte(":x")}},                           // faults 6
	{"data-space", sse.Message{Data: []byte(" x")}},
	{"data-nul", sse.Message{Data: []byte("a\x00b")}},
	{"data-utf8", sse.Message{Data: []byte("\ufeff\u2028€ 😀")}},
	{"type", sse.Message{Type: "tick", Data: []byte("1")}},
	{"type-only", sse.Message{Type: "tick"}},
	{"type-space", sse.Message{Type: " : tick ", Data: []byte("1")}},
	{"topic-only", sse.Message{Topic: "a"}},
	{"id", sse.Message{ID: "42", Data: []byte("x")}},
	{"id-only", sse.Message{ID: "42"}}, // faults 7: no phantom event
	{"id-only-empty-data", sse.Message{ID: "42", Data: []byte{}}},
	{"retry-only", sse.Message{Retry: 2 * time.Second}},
	{"retry-id", sse.Message{ID: "42", Retry: 2 * time.Second}},
	{"retry-5s", sse.Message{Retry: 5 * time.Second, Data: []byte{}}}, // faults 8: integer milliseconds
	{"retry-1.5s", sse.Message{Retry: 1500 * time.Millisecond, Data: []byte{}}},
	{"retry-1ms", sse.Message{Retry: time.Millisecond, Data: []byte{}}},
	{"retry-truncated", sse.Message{Retry: 2*time.Millisecond - 1, Data: []byte{}}},
	{"retry-max", sse.Message{Retry: math.MaxInt64, Data: []byte{}}},
}

// Faults 3, 6, 7 and 8: the bytes of a message, from every function that
// writes one.
func TestEncodeGolden(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.file, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("testdata", "encode", tt.file+".txt"))
			require.NoError(t, err)
			want := string(file)

			appended, err := tt.m.AppendText([]byte("before\n"))
			require.NoError(t, err)
			require.Equal(t, "before\n"+want, string(appended))

			var buf bytes.Buffer
			require.NoError(t, sse.NewEncoder(&buf).Encode(tt.m))
			require.Equal(t, want, buf.String())

			conn, rec := record(t)
			require.NoError(t, conn.Send(tt.m))
			require.Equal(t, ":\n"+want, rec.Text())
		})
	}
}

// Faults 2: a comment cannot forge a field, and ends no event.
func TestEncodeComment(t *testing.T) {
	for text, want := range map[string]string{
		"":                ":\n",
		"x":               ": x\n",
		" x":              ":  x\n",
		"a\nb":            ": a\n: b\n",
		"a\rdata: b\r\nc": ": a\n: data: b\n: c\n",
		"a\n\n":           ": a\n: \n: \n",
	} {
		var buf bytes.Buffer
		require.NoError(t, sse.NewEncoder(&buf).Comment(text))
		require.Equal(t, want, buf.String())

		conn, rec := record(t)
		require.NoError(t, conn.Comment(text))
		require.Equal(t, ":\n"+want, rec.Text())
	}
}

// One Write for each call, so that a frame is never cut by a buffer's edge.
func TestEncoderWritesOnce(t *testing.T) {
	var writes []string
	enc := sse.NewEncoder(writerFunc(func(p []byte) (int, error) {
		writes = append(writes, string(p))
		return len(p), nil
	}))
	require.NoError(t, enc.Encode(sse.Message{ID: "1", Type: "t", Data: []byte("a\nb")}))
	require.NoError(t, enc.Comment("c\nd"))
	require.Equal(t, []string{"event: t\ndata: a\ndata: b\nid: 1\n\n", ": c\n: d\n"}, writes)
}

// Faults 12: nothing follows half a frame, but a refused message harms nothing.
func TestEncoderError(t *testing.T) {
	var buf bytes.Buffer
	boom := errors.New("boom")
	fail := false
	enc := sse.NewEncoder(writerFunc(func(p []byte) (int, error) {
		if fail {
			n, _ := buf.Write(p[:3])
			return n, boom
		}
		return buf.Write(p)
	}))
	require.ErrorIs(t, enc.Encode(sse.Message{Type: "a\nb"}), sse.ErrInvalidField)
	require.NoError(t, enc.Encode(sse.Message{Data: []byte("x")}))
	fail = true
	require.ErrorIs(t, enc.Encode(sse.Message{Data: []byte("y")}), boom)
	fail = false
	require.ErrorIs(t, enc.Encode(sse.Message{Data: []byte("z")}), boom)
	require.ErrorIs(t, enc.Comment(""), boom)
	require.Equal(t, "data: x\n\ndat", buf.String())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// What was written is read back, also behind one another and a byte at a time.
func TestEncodeDecode(t *testing.T) {
	var stream []byte
	var want []string
	for _, tt := range golden {
		var err error
		stream, err = tt.m.AppendText(stream)
		require.NoError(t, err)
		if tt.m.Data != nil || tt.m.Type != "" || tt.m.ID == "" && tt.m.Retry == 0 {
			want = append(want, strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(tt.m.Data)))
		}
	}
	for _, r := range []io.Reader{bytes.NewReader(stream), iotest.OneByteReader(bytes.NewReader(stream))} {
		messages, err := decode(sse.NewDecoder(r))
		require.NoError(t, err)
		var got []string
		for _, m := range messages {
			got = append(got, string(m.Data))
		}
		require.Equal(t, want, got)
	}
}
