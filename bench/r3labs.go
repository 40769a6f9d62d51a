package main

import (
	"io"
	"net/http"
	"time"

	r3labs "github.com/r3labs/sse/v2"
)

// readR3labs reads with the Client, as nothing else in that library reads
// fields. It is given the answer to its request without a connection.
func readR3labs(r io.Reader) (f found, err error) {
	c := r3labs.NewClient("http://memory/", r3labs.ClientMaxBufferSize(maxEvent))
	c.Connection.Transport = answers{r}
	c.ReconnectStrategy = never{}
	err = c.SubscribeRaw(func(e *r3labs.Event) { f.add(len(e.ID), len(e.Event), len(e.Data)) })
	return f, err
}

// splitR3labs reads with what the Client is built on.
func splitR3labs(r io.Reader) (f found, err error) {
	events := r3labs.NewEventStreamReader(r, maxEvent)
	for {
		text, err := events.ReadEvent()
		if err != nil {
			return f, unlessEOF(err)
		}
		f.add(0, 0, len(text))
	}
}

// answers answers every request with a stream.
type answers struct{ stream io.Reader }

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"text/event-stream"}},
		Body:       io.NopCloser(a.stream),
		Request:    req,
	}, nil
}

// never is the back-off that gives up. Without it an error would be retried
// for 15 minutes, with a stream that is used up.
type never struct{}

func (never) NextBackOff() time.Duration { return -1 }
func (never) Reset()                     {}
