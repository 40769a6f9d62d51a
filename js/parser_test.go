package js_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// golden is what a reader makes of a stream.
type golden struct {
	Events      []goldenEvent `json:"events"`
	LastEventID string        `json:"lastEventID"`
	RetryMs     int64         `json:"retryMs"` // -1: not said
}

type goldenEvent struct {
	Topic string `json:"topic"`
	ID    string `json:"id"`
	Type  string `json:"type"`
	Data  string `json:"data"`
	HasID bool   `json:"hasId"`
}

// parserCase is a stream, and what sse.Decoder makes of it, as JavaScript's
// JSON.stringify writes it.
type parserCase struct {
	Name   string `json:"name"`
	Stream []byte `json:"stream"`
	Want   string `json:"want"`
}

// Package sse and the module read every stream alike, however it is cut: those of
// sse/testdata, and thousands that are made of what is delicate. That sse reads
// them by the standard is held by its own tests.
func TestParserReadsAsDecoder(t *testing.T) {
	text, err := json.Marshal(parserCases(t))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cases.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	node(t, "testdata/parser.test.mjs", "CASES="+file)
}

func parserCases(t *testing.T) (cases []parserCase) {
	t.Helper()
	files, err := filepath.Glob("../sse/testdata/decode/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		cases = append(cases, parserCase{filepath.Base(file), stream, decode(t, stream)})
	}
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{
		"data", "id", "event", "retry", "topic", "data: a", "id: 1", "event: t", "retry: 5", ":", ": ", " ", "  ", "x", "é", "😀", "0", "7",
		"\n", "\n", "\n\n", "\r", "\r\n", "\r\r", "\x00", "\uFEFF", "\xEF\xBB", "\xE2\x82", "\xF0\x9F", "\xFF", "\xED\xA0\x80", "datax: y", "DATA: y",
	}
	for range 3000 {
		var stream []byte
		for range 1 + random.IntN(14) {
			stream = append(stream, pieces[random.IntN(len(pieces))]...)
		}
		cases = append(cases, parserCase{"made", stream, decode(t, stream)})
	}
	return cases
}

func decode(t *testing.T, stream []byte) string {
	t.Helper()
	dec := sse.NewDecoder(bytes.NewReader(stream))
	got := golden{Events: []goldenEvent{}, RetryMs: -1}
	for {
		var m sse.Message
		err := dec.Decode(&m)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		got.Events = append(got.Events, goldenEvent{m.Topic, m.ID, m.Type, string(m.Data), dec.HasID()})
	}
	got.LastEventID = dec.LastEventID()
	if d, ok := dec.Retry(); ok {
		got.RetryMs = d.Milliseconds()
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(got))
	// JSON.stringify has no escapes for these two.
	return strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(strings.TrimSuffix(text.String(), "\n"))
}
