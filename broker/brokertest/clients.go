package brokertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// node is a hub with a server in front of it.
type node struct {
	hub *ssehub.Hub
	url string
}

// startNode returns one that has read its broker's log.
func startNode(ctx context.Context, t testing.TB, opts *ssehub.Options, topics ...string) node {
	t.Helper()
	hub := ssehub.New(opts)
	server := httptest.NewServer(hub.Handler(topics...))
	t.Cleanup(func() {
		hub.Close()
		server.Close()
	})
	if err := hub.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return node{hub, server.URL}
}

// publish publishes text to topic t. Where it is tried again it is the same event.
func (n node) publish(ctx context.Context, text string) (ssehub.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return n.hub.PublishWith(ctx, "t", sse.Message{Data: []byte(text)}, ssehub.PublishOptions{IdempotencyKey: text})
}

// insist publishes text again and again until it is acknowledged.
func (n node) insist(ctx context.Context, text string) (ssehub.Position, error) {
	for {
		pos, err := n.publish(ctx, text)
		if err == nil || ctx.Err() != nil {
			return pos, err
		}
		<-time.After(20 * time.Millisecond)
	}
}

const (
	publishTimeout = 500 * time.Millisecond
	// answerTimeout is how long a hub may take to answer: it waits for its broker, for
	// five seconds.
	answerTimeout = 7 * time.Second
)

// client is a stream over HTTP.
type client struct {
	hello    sse.Message
	verdict  sse.Hello
	messages chan sse.Message // those behind the hello; closed when the stream has ended
	err      error            // why it has, then
	silence  time.Duration    // the longest without a sign of life, then
	cancel   context.CancelFunc
}

// end ends the stream, if it has not ended by itself.
func (c *client) end() {
	c.cancel()
	for range c.messages {
	}
}

// errAway says that a client was told to come back.
var errAway = errors.New("brokertest: sent away")

// dial returns a client that comes with id, and stays until ctx ends, or its stream.
func dial(ctx context.Context, url, id string) (*client, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(answerTimeout, cancel)
	c := &client{messages: make(chan sse.Message), cancel: cancel}
	err := c.begin(ctx, url, id)
	if !late.Stop() {
		err = fmt.Errorf("no answer in %v", answerTimeout)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return c, nil
}

// begin is dial up to the hello, behind which the client reads by itself.
func (c *client) begin(ctx context.Context, url, id string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err
	}
	dec := sse.NewDecoder(res.Body)
	if err = dec.Decode(&c.hello); err == nil {
		err = json.Unmarshal(c.hello.Data, &c.verdict)
	}
	if err != nil {
		res.Body.Close()
		if _, ok := dec.Retry(); ok {
			err = errAway
		}
		return err
	}
	go func() {
		defer c.cancel()
		defer close(c.messages)
		defer res.Body.Close()
		c.err = c.read(ctx, dec)
	}()
	return nil
}

func (c *client) read(ctx context.Context, dec *sse.Decoder) error {
	heard := time.Now()
	hear := func() {
		now := time.Now()
		c.silence = max(c.silence, now.Sub(heard))
		heard = now
	}
	dec.SetCommentFunc(func(string) { hear() })
	for {
		var m sse.Message
		err := dec.Decode(&m)
		hear()
		if err != nil {
			return err
		}
		select {
		case c.messages <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
