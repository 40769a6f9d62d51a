package sse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Events returns the events of the stream r, such as the body of a response:
//
//	for m, err := range sse.Events(res.Body) {
//
// It ends with the stream, or behind the reader's error. An event above the
// Decoder's default limit is an error in its place, and the next one follows.
func Events(r io.Reader) iter.Seq2[Message, error] {
	return NewDecoder(r).Events()
}

// Events returns what [Decoder.Decode] will return, up to [io.EOF], as a
// sequence, which can be left and taken up again.
func (d *Decoder) Events() iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			var m Message
			err := d.Decode(&m)
			if err == io.EOF {
				return
			}
			if !yield(m, err) || err != nil && !errors.Is(err, ErrEventTooLarge) {
				return
			}
		}
	}
}

// Until ends events before the first whose data is the sentinel, such as the
// [DONE] of many language models. If they end without it, and without an error,
// the last error is [io.ErrUnexpectedEOF]: what came is not all.
func Until(events iter.Seq2[Message, error], sentinel string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		var last error
		for m, err := range events {
			if err == nil && string(m.Data) == sentinel || !yield(m, err) {
				return
			}
			last = err
		}
		if last == nil {
			yield(Message{}, io.ErrUnexpectedEOF)
		}
	}
}

// JSON decodes the data of each event, whatever its type, as encoding/json
// does. Data that is no such value is an error in its place, with a zero value,
// and the next one follows; errors of events are passed on. Of a hub's own
// events a loss is a [*GapError], and the rest is left out.
//
//	for chunk, err := range sse.JSON[Chunk](sse.Until(sse.Events(res.Body), "[DONE]")) {
func JSON[T any](events iter.Seq2[Message, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for m, err := range events {
			if err == nil && strings.HasPrefix(m.Type, reserved) && m.Type != TypeGap {
				continue
			}
			var value T
			if err == nil {
				value, err = decodeJSON[T](m)
			}
			if !yield(value, err) {
				return
			}
		}
	}
}

func decodeJSON[T any](m Message) (T, error) {
	var value, zero T
	if m.Type == TypeGap {
		var gap GapError
		_ = json.Unmarshal(m.Data, &gap.Gap) // unreadable or not, it is a loss
		return zero, &gap
	}
	if err := json.Unmarshal(m.Data, &value); err != nil {
		return zero, fmt.Errorf("sse: data of an event is no %T, last event id %q: %w", zero, m.ID, err)
	}
	return value, nil
}
