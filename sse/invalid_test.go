package sse_test

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Faults 1, 2, 4, 5 and 8: a message that would forge a field, or lose
// something on the way, is refused, and nothing of it is written.
func TestInvalidField(t *testing.T) {
	for name, m := range map[string]sse.Message{
		"LF in type":          {Type: "a\nevent: admin\ndata: x"},
		"CR in type":          {Type: "a\revent: admin"},
		"NUL in type":         {Type: "a\x00b"},
		"type not UTF-8":      {Type: "\xff"},
		"LF in topic":         {Topic: "a\nb"},
		"CR in topic":         {Topic: "a\rb"},
		"NUL in topic":        {Topic: "a\x00b"},
		"topic not UTF-8":     {Topic: "\xff"},
		"LF in id":            {ID: "1\ndata: x"},
		"CR in id":            {ID: "1\rdata: x"},
		"NUL in id":           {ID: "a\x00b"},
		"control in id":       {ID: "a\x01b"},
		"tab in id":           {ID: "a\tb"},
		"DEL in id":           {ID: "\x7f"},
		"space before id":     {ID: " 5"},
		"space behind id":     {ID: "5 "},
		"id of one space":     {ID: " "},
		"id not UTF-8":        {ID: "\xff"},
		"id of 257 bytes":     {ID: strings.Repeat("9", 257)},
		"id of 10 KiB":        {ID: strings.Repeat("9", 10<<10)},
		"retry negative":      {Retry: -1},
		"retry of -1 s":       {Retry: -time.Second},
		"retry of 1 µs":       {Retry: time.Microsecond},
		"retry just too low":  {Retry: time.Millisecond - 1},
		"retry of -MaxInt64":  {Retry: math.MinInt64},
		"valid but the retry": {ID: "1", Type: "t", Data: []byte("x"), Retry: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := m.AppendText([]byte("before"))
			require.ErrorIs(t, err, sse.ErrInvalidField)
			require.Less(t, len(err.Error()), 1500, "a hostile field does not flood a log")
			require.Equal(t, "before", string(b))

			var buf bytes.Buffer
			require.ErrorIs(t, sse.NewEncoder(&buf).Encode(m), sse.ErrInvalidField)
			require.Empty(t, buf.Bytes())

			conn, rec := record(t)
			require.ErrorIs(t, conn.Send(m), sse.ErrInvalidField)
			require.Equal(t, ":\n", rec.Text())
			require.True(t, conn.IsOpen(), "the connection is as it was")
			require.NoError(t, conn.WriteString("next"))
			require.Equal(t, ":\ndata: next\n\n", rec.Text())
		})
	}
}

// Faults 10: no method goes past the checks.
func TestInvalidFieldEveryMethod(t *testing.T) {
	const forged = "a\nevent: admin"
	conn, rec := record(t)
	for name, err := range map[string]error{
		"WriteEvent":            conn.WriteEvent(forged, nil),
		"WriteEventWithID type": conn.WriteEventWithID("", forged, nil),
		"WriteEventWithID id":   conn.WriteEventWithID(forged, "", nil),
		"WriteStringEvent":      conn.WriteStringEvent(forged, ""),
		"WriteJsonEvent":        conn.WriteJsonEvent(forged, 1),
		"WriteXmlEvent":         conn.WriteXmlEvent(forged, 1),
		"Send":                  conn.Send(sse.Message{Topic: forged}),
	} {
		require.ErrorIs(t, err, sse.ErrInvalidField, name)
	}
	var marshal *json.UnsupportedTypeError
	require.ErrorAs(t, conn.WriteJson(make(chan int)), &marshal)
	require.Error(t, conn.WriteXml(make(chan int)))
	require.Equal(t, ":\n", rec.Text())
	require.True(t, conn.IsOpen())
}

// Faults 4 and 5: an id that may be sent comes back unchanged as a header.
func TestValidIDSurvivesAsHeader(t *testing.T) {
	server := ssetest.NewServer(streaming(t, sse.Upgrader{}, func(conn *sse.Conn) {
		_ = conn.WriteString(conn.LastEventID())
	}))
	defer server.Close()
	for _, id := range []string{"1", "a b", "01jf-42", ":", "\"", "é", "\u0085", "\ufeff", "\u202e", "😀", strings.Repeat("9", 256)} {
		_, err := sse.Message{ID: id}.AppendText(nil)
		require.NoError(t, err, "%q", id)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Last-Event-ID", id)
		res, err := server.Client().Do(req)
		require.NoError(t, err)
		var m sse.Message
		require.NoError(t, sse.NewDecoder(res.Body).Decode(&m))
		res.Body.Close()
		require.Equal(t, id, string(m.Data))
	}
}
