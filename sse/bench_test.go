package sse_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub/sse"
)

var smallJSON = sse.Message{ID: "0c5bVq2x-123456", Type: "tick", Data: []byte(`{"symbol":"ACME","price":123.45,"volume":6789}`)}

func BenchmarkAppendText(b *testing.B) {
	for name, m := range map[string]sse.Message{
		"small": smallJSON,
		"lines": {ID: "1", Data: []byte(strings.Repeat("a line of text\n", 64))},
		"64KiB": {ID: "1", Data: bytes.Repeat([]byte("x"), 64<<10)},
	} {
		b.Run(name, func(b *testing.B) {
			frame, err := m.AppendText(nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				frame, _ = m.AppendText(frame[:0])
			}
		})
	}
}

func BenchmarkDecoder(b *testing.B) {
	var small []byte
	for i := range 1000 { // ids that differ, as they do
		m := smallJSON
		m.ID = fmt.Sprint("0c5bVq2x-", i)
		small, _ = m.AppendText(small)
	}
	for name, bench := range map[string]struct {
		stream string
		events int
	}{
		"small": {string(small), 1000},
		"64KiB": {"id: 1\ndata: " + strings.Repeat("x", 64<<10) + "\n\n", 1},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.stream) / bench.events))
			b.ReportAllocs()
			dec := sse.NewDecoder(&repeater{text: bench.stream})
			var m sse.Message
			for b.Loop() {
				if err := dec.Decode(&m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncoder(b *testing.B) {
	enc := sse.NewEncoder(io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		if err := enc.Encode(smallJSON); err != nil {
			b.Fatal(err)
		}
	}
}
