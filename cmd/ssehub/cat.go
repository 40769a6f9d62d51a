package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

// catCmd reads a stream, any server's.
type catCmd struct {
	Remote remoteFlags `embed:""`

	Since     string `placeholder:"ID" help:"Go on behind this event."`
	Count     int    `short:"n" help:"End after so many events; 0 means never."`
	Until     string `placeholder:"TYPE" help:"End after an event of this type."`
	Once      bool   `help:"End when the stream does, or cannot be had, in place of trying again."`
	FailOnGap bool   `help:"End with exit code 3 when events are missing."`
	MaxEvent  int    `default:"1048576" help:"Bytes of one event; a larger one is skipped, as a gap."`

	JSONL   bool   `name:"jsonl" help:"Print a JSON object a line: events, gaps and states."`
	Verbose bool   `short:"v" help:"Print id, topic and type before the data, as on a terminal."`
	Quiet   bool   `short:"q" help:"Tell only of gaps and errors on standard error, not of connects."`
	Color   string `enum:"auto,always,never" default:"auto" help:"auto: on a terminal, if NO_COLOR is not set."`
}

func (catCmd) Help() string {
	return `Prints the data of each event and a line break; on a terminal and with --verbose
id, topic and type before it. Standard error has what becomes of the connection, and
gaps: events that the server says are lost. It reconnects by itself and goes on behind
the last event that it has printed, with any server that has ids.

--jsonl prints one object a line: {"kind":"message","id","type","topic","data"}, and of
the kinds hello (with "verdict"), gap ("reason", "from", "to", "topic"), mark, revoked,
state ("state": connecting, open, waiting, closed) and retry ("error", "waitMs").

Exit codes:

    0    ended as asked: by -n, --until, --once, or by the server for good
    1    wrong usage, or any other failure
    2    refused: status 401 or 403, or the permission was taken back
    3    events are missing, with --fail-on-gap
    130  interrupted

Examples:

    # what happens in two topics
    ssehub cat http://127.0.0.1:8080 -t news -t 'orders.*'

    # the next event's data, for a script
    ssehub cat -q -n 1 https://example.com/events | jq .price

    # all of it into a file, from where the last run has ended
    ssehub cat --jsonl --since "$(tail -n 1 log | jq -r .id)" -t orders 127.0.0.1:8080 >>log

    # any server of event streams
    ssehub cat -H 'Authorization: Basic YTpi' https://example.com/stream --until done`
}

// errOver ends the Subscription of --once.
var errOver = errors.New("the stream has ended")

// Run prints events until there is a reason to end.
func (c *catCmd) Run(ctx context.Context, std stdio) error {
	url, err := c.Remote.endpoint("/events")
	if err == nil {
		_, err = c.Remote.request(ctx, http.MethodGet, url, nil) // else it would be tried again for ever
	}
	if err != nil {
		return err
	}
	show := c.printer(std)
	sub := client.Subscribe(ctx, url, &client.Options{
		NewRequest: func(ctx context.Context) (*http.Request, error) {
			return c.Remote.request(ctx, http.MethodGet, url, nil)
		},
		LastEventID:   c.Since,
		MaxEventSize:  c.MaxEvent,
		ControlEvents: true, // gaps come in their place among the events
		OnState:       show.state,
		OnRetry: func(err error, wait time.Duration) error {
			switch {
			case c.Once && err == io.EOF:
				return errOver
			case c.Once:
				return err
			case wait > 0:
				show.retry(err, wait)
			}
			return nil
		},
	})
	defer sub.Close()
	seen := 0
	for m := range sub.Events() {
		if err := show.event(m); err != nil {
			return err
		}
		if m.Type == sse.TypeGap && c.FailOnGap {
			return &exitError{exitGap, errors.New("events are missing")}
		}
		if isControl(m.Type) {
			continue
		}
		seen++
		if seen == c.Count || c.Until != "" && typeOf(m) == c.Until {
			return nil
		}
	}
	return c.ended(sub.Err())
}

func (c *catCmd) ended(err error) error {
	var res *sse.ResponseError
	switch {
	case err == errOver:
		return nil
	case errors.Is(err, client.ErrRevoked):
		return &exitError{exitRefused, err}
	case errors.As(err, &res) && isRefusal(res.StatusCode):
		return &exitError{exitRefused, fmt.Errorf("refused: %w", err)}
	}
	return err
}

// typeOf returns the type that a page would see.
func typeOf(m sse.Message) string {
	if m.Type == "" {
		return "message"
	}
	return m.Type
}

// isControl reports whether an event is the hub's or the client's own.
func isControl(typ string) bool {
	switch typ {
	case sse.TypeHello, sse.TypeGap, sse.TypeMark, sse.TypeRevoked:
		return true
	}
	return false
}
