package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const smallCorpus = 200 << 10 // a few of the largest events

// TestReadersFindAll lets every reader read every corpus, as a whole and in
// pieces as a connection brings them.
func TestReadersFindAll(t *testing.T) {
	for _, c := range newCorpora(smallCorpus) {
		for _, rd := range readers {
			t.Run(c.name+"/"+rd.name, func(t *testing.T) {
				if err := rd.readAll(c); err != nil {
					t.Error(err)
				}
				got, err := rd.read(iotest.HalfReader(bytes.NewReader(c.stream)))
				if want := rd.wants(c); err != nil || got != want {
					t.Errorf("in pieces: got %+v and %v, want %+v", got, err, want)
				}
			})
		}
	}
}

// TestCorpora compares what each says is in it with a plain count.
func TestCorpora(t *testing.T) {
	for _, c := range newCorpora(smallCorpus) {
		text := string(c.stream)
		fields := map[string]int64{"id: ": c.want.ids, "event: ": c.want.types, "data: ": c.want.data}
		for line := range strings.Lines(text) {
			for prefix := range fields {
				if value, ok := strings.CutPrefix(line, prefix); ok {
					fields[prefix] -= int64(len(value) - 1)
				}
			}
		}
		for prefix, missing := range fields {
			if missing != 0 {
				t.Errorf("%s: the bytes behind %q differ by %d", c.name, prefix, missing)
			}
		}
		if n := strings.Count(text, "\n\n"); n != c.want.events || n < 2 {
			t.Errorf("%s: %d events, said to be %d", c.name, n, c.want.events)
		}
		if len(text) < smallCorpus || !strings.HasSuffix(text, "\n\n") {
			t.Errorf("%s: %d bytes, ending with %q", c.name, len(text), text[len(text)-2:])
		}
	}
}

// TestReadersReturnErrors is also for the goroutines that some of them start:
// those end with the stream.
func TestReadersReturnErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, rd := range readers {
		stream := io.MultiReader(strings.NewReader("id: 1\ndata: x\n\ndata: half"), iotest.ErrReader(broken))
		got, err := rd.read(stream)
		if !errors.Is(err, broken) || got.events < 1 {
			t.Errorf("%s: got %+v and %v", rd.name, got, err)
		}
	}
}

// TestLessIsAnError: nobody may be faster by reading less.
func TestLessIsAnError(t *testing.T) {
	c := newCorpora(smallCorpus)[0]
	for name, less := range map[string]found{
		"nothing":      {},
		"no types":     {events: c.want.events, ids: c.want.ids, data: c.want.data},
		"a byte short": {events: c.want.events, ids: c.want.ids, types: c.want.types, data: c.want.data - 1},
	} {
		rd := reader{read: func(io.Reader) (found, error) { return less, nil }}
		if _, err := rd.measure(c, 0); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
