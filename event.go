package ssehub

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Event is a message in the log of a Broker, with what Publish was told of it.
type Event struct {
	Position       Position // from Append
	Time           time.Time
	Topics         []string    // at least one; the first is Publish's own
	Message        sse.Message // without ID and Topic
	Key            string      // see PublishOptions, as for the following
	IdempotencyKey string
	TTL            time.Duration
	Ephemeral      bool // a broker may drop it at once when those have it that follow
}

// ErrInvalidEvent is wrapped by the errors of Event's methods.
var ErrInvalidEvent = errors.New("ssehub: invalid event")

// AppendBinary appends e without its Position as MarshalBinary does.
func (e Event) AppendBinary(b []byte) ([]byte, error) {
	err := e.check()
	line := func(name, value string) {
		if strings.Contains(value, "\n") {
			err = fmt.Errorf("%w: line break in its %s", ErrInvalidEvent, name)
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, '\n')
	}
	for _, topic := range e.Topics {
		line("topic", topic)
	}
	line("time", strconv.FormatInt(e.Time.UnixMilli(), 10))
	if e.Message.Type != "" {
		line("type", e.Message.Type)
	}
	if e.Message.Retry != 0 {
		line("retry", strconv.FormatInt(e.Message.Retry.Milliseconds(), 10))
	}
	if e.Key != "" {
		line("key", e.Key)
	}
	if e.IdempotencyKey != "" {
		line("idempotency-key", e.IdempotencyKey)
	}
	if e.TTL != 0 {
		line("ttl", strconv.FormatInt(e.TTL.Milliseconds(), 10))
	}
	if e.Ephemeral {
		line("ephemeral", "true")
	}
	b = append(b, '\n')
	return append(b, e.Message.Data...), err
}

// MarshalBinary returns e without its Position in the form in which brokers that
// carry bytes keep it, and which programs in other languages can write: lines of
// "name: value", of which only a topic must be there, an empty line, and the data
// as it is.
//
//	topic: prices.eur
//	time: 1795519323000
//	type: tick
//	key: EUR
//
//	{"bid":1.17}
//
// The other names are retry and ttl (milliseconds), idempotency-key, ephemeral
// (true), and topic again for further ones. Errors: [ErrInvalidEvent], for what
// UnmarshalBinary could not read.
func (e Event) MarshalBinary() ([]byte, error) {
	return e.AppendBinary(nil)
}

// UnmarshalBinary reads what MarshalBinary returned; it leaves the Position. Data
// is part of b. Names that it does not know mean nothing. Errors:
// [ErrInvalidEvent].
func (e *Event) UnmarshalBinary(b []byte) error {
	read := Event{Position: e.Position}
	for {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		if !ok {
			return fmt.Errorf("%w: no empty line", ErrInvalidEvent)
		}
		if b = rest; len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			return fmt.Errorf("%w: line %.80q", ErrInvalidEvent, line)
		}
		if err := read.set(string(name), string(value)); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidEvent, err)
		}
	}
	read.Message.Data = b
	if err := read.check(); err != nil {
		return err
	}
	*e = read
	return nil
}

// check refuses what no form of an event may hold.
func (e *Event) check() error {
	if len(e.Topics) == 0 {
		return fmt.Errorf("%w: no topic", ErrInvalidEvent)
	}
	for _, topic := range e.Topics {
		if err := checkTopic(topic); err != nil && topic != controlTopic {
			return fmt.Errorf("%w: %w", ErrInvalidEvent, err)
		}
	}
	if e.Message.Retry < 0 || e.TTL < 0 {
		return fmt.Errorf("%w: retry %v, ttl %v", ErrInvalidEvent, e.Message.Retry, e.TTL)
	}
	return nil
}

// set sets what a line says.
func (e *Event) set(name, value string) (err error) {
	switch name {
	case "topic":
		e.Topics = append(e.Topics, value)
	case "time":
		var ms int64
		ms, err = strconv.ParseInt(value, 10, 64)
		e.Time = time.UnixMilli(ms)
	case "type":
		e.Message.Type = value
	case "retry":
		e.Message.Retry, err = parseMilliseconds(value)
	case "key":
		e.Key = value
	case "idempotency-key":
		e.IdempotencyKey = value
	case "ttl":
		e.TTL, err = parseMilliseconds(value)
	case "ephemeral":
		e.Ephemeral, err = strconv.ParseBool(value)
	}
	return err
}

func parseMilliseconds(s string) (time.Duration, error) {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err == nil && (ms < 0 || ms > int64(math.MaxInt64/time.Millisecond)) {
		err = strconv.ErrRange
	}
	return time.Duration(ms) * time.Millisecond, err
}
