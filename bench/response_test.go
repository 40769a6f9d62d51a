package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	plainHead   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	chunkedHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: Chunked\r\n\r\n"
)

// chunks cuts body into chunks of n bytes, without the last one of size 0.
func chunks(body string, n int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(n, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String()
}

func newResponse(check *checker) response {
	return response{frames: frames{check: check}}
}

func TestResponse(t *testing.T) {
	const messages, size = 5, 20
	body := wireMessages(0, messages, size)
	tests := map[string]string{
		"plain":             plainHead + body,
		"one chunk":         chunkedHead + chunks(body, 1<<20),
		"chunks of 1":       chunkedHead + chunks(body, 1),
		"chunks of 7":       chunkedHead + chunks(body, 7),
		"ended":             chunkedHead + chunks(body, 50) + "0\r\n\r\n",
		"upper case":        chunkedHead + strings.ToUpper(fmt.Sprintf("%x", len(body))) + "\r\n" + body + "\r\n",
		"chunk extension":   chunkedHead + fmt.Sprintf("%x;a=b", len(body)) + "\r\n" + body + "\r\n",
		"zeros in the size": chunkedHead + fmt.Sprintf("000%x", len(body)) + "\r\n" + body + "\r\n",
	}
	for name, wire := range tests {
		t.Run(name, func(t *testing.T) {
			for step := 1; step <= len(wire); step++ {
				check := newChecker(messages, size)
				r := newResponse(&check)
				feedInSteps(t, r.feed, wire, step)
				if got := check.tally(); !got.clean() {
					t.Fatalf("in steps of %d: got %+v", step, got)
				}
			}
		})
	}
}

func TestResponseRefuses(t *testing.T) {
	tests := map[string]struct {
		wire string
		want error
	}{
		"not HTTP":               {"hello\r\n\r\n", errHead},
		"status":                 {"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/event-stream\r\n\r\n", errHead},
		"no event stream":        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", errHead},
		"endless head":           {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", maxHead), errHead},
		"no chunk size":          {chunkedHead + "\r\n", errChunk},
		"size is no number":      {chunkedHead + "xyz\r\n", errChunk},
		"huge chunk":             {chunkedHead + "fffffffff\r\n", errChunk},
		"longer than its size":   {chunkedHead + "1\r\n:x\r\n", errChunk},
		"more behind the end":    {chunkedHead + "0\r\n\r\ndata", errEnded},
		"plain with a long line": {plainHead + strings.Repeat("x", 2*maxSize), errLongLine},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := newChecker(1, 20)
			r := newResponse(&check)
			if err := r.feed([]byte(test.wire)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// FuzzResponse: where the bytes are cut makes no difference.
func FuzzResponse(f *testing.F) {
	body := wireMessages(0, 3, 12)
	for _, wire := range []string{
		plainHead + body,
		chunkedHead + chunks(body, 9) + "0\r\n\r\n",
		chunkedHead + chunks("event: ssehub.hello\ndata: {}\n\n"+body+body, 30),
		chunkedHead + "5\r\nid:\r\n",
	} {
		f.Add([]byte(wire), []byte{1, 5, 0, 60})
	}
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		if len(wire) > maxSize {
			return // a line cut in pieces may not be longer
		}
		whole := newChecker(4, 12)
		r := newResponse(&whole)
		want := r.feed(wire)
		pieces := newChecker(4, 12)
		r = newResponse(&pieces)
		got := feedCut(&r, wire, cuts)
		if got, want := fmt.Sprint(got), fmt.Sprint(want); got != want {
			t.Errorf("in pieces: error %s, want %s", got, want)
		}
		if pieces.tally() != whole.tally() || pieces.hello != whole.hello {
			t.Errorf("in pieces: %+v, want %+v", pieces.tally(), whole.tally())
		}
	})
}

// feedCut feeds wire in pieces as long as cuts says, over and over.
func feedCut(r *response, wire, cuts []byte) error {
	for i := 0; len(wire) > 0; i++ {
		n := len(wire)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		if err := r.feed(wire[:n]); err != nil {
			return err
		}
		wire = wire[n:]
	}
	return nil
}
