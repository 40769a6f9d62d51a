package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// pubCmd publishes to a server of ssehub.
type pubCmd struct {
	Remote  remoteFlags `embed:""`
	Message []string    `arg:"" optional:"" help:"Messages, each argument one. Without any standard input is one."`

	Lines  bool `xor:"input" help:"Each line of standard input is a message."`
	NDJSON bool `name:"ndjson" xor:"input" help:"Each line of standard input is an object: topic, topics, type, data, key, ttl, ephemeral, idempotencyKey."`

	Type           string        `help:"Type of the messages."`
	Key            string        `help:"What they are the newest value of, in topics that keep the newest."`
	TTL            time.Duration `name:"ttl" help:"For how long they are of use."`
	Ephemeral      bool          `help:"Only for who is there. They are not sent again after an error."`
	IdempotencyKey string        `placeholder:"KEY" help:"Of the message, so that another run of this command does not publish it again."`

	RetryFor time.Duration `default:"1m" help:"How long to try again without any progress; 0 means not at all."`
	Quiet    bool          `short:"q" help:"Do not print the messages' ids."`
}

func (pubCmd) Help() string {
	return `Publishes to a server of "ssehub serve", in order, and prints the id of each message
when it is in the log. Each has an idempotency key of its own, so that one which has to be
sent again is published once. Lines of standard input are sent as they come; those that
wait go together.

Exit codes: 0 all is published; 1 a message is wrong or the server does not answer, and
standard error says which; 2 refused, with status 401 or 403; 130 interrupted.

Examples:

    ssehub pub http://127.0.0.1:8080 -t news --token "$TOKEN" 'hello'

    # standard input as one message, or each line of it
    date | ssehub pub 127.0.0.1:8080 -t news
    tail -f access.log | ssehub pub 127.0.0.1:8080 -t log --lines -q

    # with topics and types of their own
    echo '{"topic":"orders.7","type":"paid","data":{"sum":12}}' | ssehub pub 127.0.0.1:8080 --ndjson`
}

// maxLine is the longest line of standard input.
const maxLine = 16 << 20

// Run publishes all there is.
func (c *pubCmd) Run(ctx context.Context, std stdio) error {
	url, err := c.Remote.endpoint("/publish")
	if err != nil {
		return err
	}
	p := &publisher{remote: &c.Remote, url: url, retryFor: c.RetryFor, std: std, quiet: c.Quiet}
	lines := make(chan line, maxBatchLines)
	failed := make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer close(lines)
		failed <- c.read(std.in, func(l line) error {
			select {
			case lines <- l:
				return nil
			case <-reading.Done():
				return reading.Err()
			}
		})
	}()
	if err := p.publishAll(ctx, lines); err != nil {
		return err
	}
	if err := <-failed; err != nil {
		return err
	}
	return p.result()
}

// read has the messages sent, each with a key.
func (c *pubCmd) read(in io.Reader, send func(line) error) error {
	run, n := rand.Text(), 0
	each := func(l line) error {
		n++
		if l.IdempotencyKey == "" && !l.Ephemeral {
			l.IdempotencyKey = fmt.Sprintf("%s-%d", run, n)
		}
		return send(l)
	}
	if c.Lines || c.NDJSON {
		if len(c.Message) > 0 || c.IdempotencyKey != "" {
			return errors.New("--lines and --ndjson read standard input, and give each message its own key")
		}
		return c.readLines(in, each)
	}
	messages := c.Message
	if len(messages) == 0 {
		data, err := io.ReadAll(io.LimitReader(in, maxLine))
		if err != nil {
			return err
		}
		messages = []string{string(data)}
	}
	if len(messages) > 1 && c.IdempotencyKey != "" {
		return errors.New("--idempotency-key is for one message")
	}
	for _, text := range messages {
		l, err := c.line(text)
		l.IdempotencyKey = c.IdempotencyKey
		if err == nil {
			err = each(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *pubCmd) readLines(in io.Reader, each func(line) error) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	for n := 1; scanner.Scan(); n++ {
		var l line
		var err error
		if c.NDJSON {
			if len(scanner.Bytes()) == 0 {
				continue
			}
			err = json.Unmarshal(scanner.Bytes(), &l)
			l.Type, l.Key = cmp.Or(l.Type, c.Type), cmp.Or(l.Key, c.Key)
			l.Ephemeral = l.Ephemeral || c.Ephemeral
		} else {
			l, err = c.line(scanner.Text())
		}
		if err == nil {
			err = each(l)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return scanner.Err()
}

// line returns a message of the flags; the topics are in the URL.
func (c *pubCmd) line(text string) (line, error) {
	if !utf8.ValidString(text) {
		return line{}, errors.New("an event stream is UTF-8, and this is not")
	}
	data, err := json.Marshal(text)
	l := line{Type: c.Type, Data: data, Key: c.Key, Ephemeral: c.Ephemeral}
	if c.TTL != 0 {
		l.TTL = c.TTL.String()
	}
	return l, err
}
