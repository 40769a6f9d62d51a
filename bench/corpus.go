package main

import (
	"fmt"
	"strings"
)

// corpusSize is about what each corpus has in bytes: so many events that making
// a reader does not count, and no more than the CPU's caches hold.
const corpusSize = 4 << 20

// corpus is an event stream in memory.
type corpus struct {
	name   string
	stream []byte
	want   found // what there is to find in it
}

// newCorpora makes the streams to read, each of at least size bytes.
func newCorpora(size int) []*corpus {
	return []*corpus{
		newCorpus("small JSON", size, smallEvent),
		newCorpus("LLM tokens", size, tokenEvent),
		newCorpus("64 KiB", size, largeEvent),
	}
}

// event is one event as its fields. An empty id or typ has no line.
type event struct {
	id, typ, data string
}

func newCorpus(name string, size int, nth func(n int) event) *corpus {
	c := &corpus{name: name}
	for n := 0; len(c.stream) < size; n++ {
		e := nth(n)
		c.stream = e.appendTo(c.stream)
		c.want.add(len(e.id), len(e.typ), len(e.data))
	}
	return c
}

func (e event) appendTo(b []byte) []byte {
	if e.id != "" {
		b = fmt.Appendf(b, "id: %s\n", e.id)
	}
	if e.typ != "" {
		b = fmt.Appendf(b, "event: %s\n", e.typ)
	}
	return fmt.Appendf(b, "data: %s\n\n", e.data)
}

func smallEvent(n int) event {
	return event{
		id:   eventID(n),
		typ:  "tick",
		data: fmt.Sprintf(`{"symbol":"ACME","price":%d.%02d,"volume":%d}`, 100+n%50, n%100, 1000+n%9000),
	}
}

func eventID(n int) string {
	return fmt.Sprintf("0c5bVq2x-%d", n)
}

var words = strings.Split(" the| quick| brown| fox| jumps| over|,| lazy| dogs|.\\n| and| so| on| un|believ|ably", "|")

// tokenEvent is a piece of an answer as services with OpenAI's interface send
// it. They send neither ids nor types.
func tokenEvent(n int) event {
	return event{data: fmt.Sprintf(`{"id":"chatcmpl-9xQm3vT7LkZr2uWbYc8HdNfG","object":"chat.completion.chunk",`+
		`"created":1760000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":"%s"},`+
		`"finish_reason":null}]}`, words[n%len(words)])}
}

func largeEvent(n int) event {
	const size = 64 << 10
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"row":%d,"name":"item %d","price":%d.%02d,"tags":["a","b"]},`, n, i, i%500, i%100)
	}
	return event{id: eventID(n), data: b.String()[:size]}
}
