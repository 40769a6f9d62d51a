package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// benchCmd measures a server of ssehub.
type benchCmd struct {
	Remote    remoteFlags `embed:""`
	ReadToken string      `env:"SSEHUB_READ_TOKEN" placeholder:"TOKEN" help:"Token of the readers, if --token is not for them."`

	Connections int           `short:"c" default:"100" help:"Readers, each with a connection of its own."`
	Rate        float64       `short:"r" default:"100" help:"Messages published in a second."`
	Duration    time.Duration `short:"d" default:"10s" help:"How long."`
	Size        int           `default:"128" help:"Bytes of a message."`
	NoBounds    bool          `help:"Allow more than 2,000 connections, 2,000 messages a second or 5 minutes."`

	Plot string `placeholder:"FILE.svg" help:"Draw the latencies' percentiles."`
	JSON bool   `name:"json" help:"Print the result as a JSON object."`
}

func (benchCmd) Help() string {
	return `Publishes to one topic of a server of "ssehub serve", reads it on many connections, and
tells how long it took and what was lost or came twice. The latency of a message is from
when it was due to be published to when a reader has it, so that a publisher which is held
up shows. Programs on one machine share it: what is measured is both ends.

Use it against servers of your own. The topic is a new one unless --topic is given.

Exit codes: 0 nothing was lost or came twice; 1 something was, or it could not be measured;
2 refused; 130 interrupted.

Examples:

    ssehub serve --anonymous '>' --publish-token "$TOKEN" &
    ssehub bench http://127.0.0.1:8080 --token "$TOKEN"
    ssehub bench http://127.0.0.1:8080 --token "$TOKEN" -c 1000 -r 50 -d 30s --plot latency.svg`
}

// What is allowed without --no-bounds.
const (
	maxConnections = 2000
	maxRate        = 2000
	maxDuration    = 5 * time.Minute
)

// benchWork is what one bench does.
type benchWork struct {
	*benchCmd
	events, publish string // URLs
	transport       *http.Transport
	messages        int
	tally           *tally
}

// Run measures and reports.
func (c *benchCmd) Run(ctx context.Context, std stdio) error {
	w, err := c.work()
	if err != nil {
		return err
	}
	defer w.transport.CloseIdleConnections()
	readers, err := w.connect(ctx)
	defer readers.close()
	if err != nil {
		return err
	}
	w.tally.start(c.Rate)
	stop := w.progress(std)
	w.publishAll(ctx)
	w.tally.settle(ctx)
	stop()
	readers.close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	res := w.result(readers)
	if c.Plot != "" {
		if err := os.WriteFile(c.Plot, []byte(percentilePlot(w.tally.latency(), res.String())), 0o644); err != nil {
			return err
		}
	}
	if c.JSON {
		err = json.NewEncoder(std.out).Encode(res)
	} else {
		_, err = fmt.Fprint(std.out, res)
	}
	if err == nil && (res.Lost > 0 || res.Doubled > 0 || res.Errors > 0) {
		err = &exitError{exitFailed, errors.New("something was lost, came twice or was not published")}
	}
	return err
}

func (c *benchCmd) work() (*benchWork, error) {
	messages := int(c.Rate * c.Duration.Seconds())
	switch {
	case c.Connections < 1 || messages < 1 || c.Size < 0:
		return nil, errors.New("nothing to do: --connections, --rate and --duration must be above zero")
	case !c.NoBounds && (c.Connections > maxConnections || c.Rate > maxRate || c.Duration > maxDuration):
		return nil, fmt.Errorf("more than %d connections, %d messages a second or %v needs --no-bounds, and a server of your own", maxConnections, maxRate, maxDuration)
	case len(c.Remote.Topic) > 1:
		return nil, errors.New("one --topic is enough")
	case len(c.Remote.Topic) == 0:
		c.Remote.Topic = []string{"bench." + strings.ToLower(rand.Text()[:8])}
	}
	w := &benchWork{benchCmd: c, messages: messages, tally: newTally(c.Connections, messages)}
	var err error
	if w.events, err = c.Remote.endpoint("/events"); err != nil {
		return nil, err
	}
	w.publish, err = c.Remote.endpoint("/publish")
	if err == nil && w.publish == w.events {
		err = errors.New("the URL is one of a server, without a path")
	}
	w.transport = &http.Transport{MaxIdleConnsPerHost: publishers}
	return w, err
}
