package sse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
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
// [DONE] of many language models.
func Until(events iter.Seq2[Message, error], sentinel string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for m, err := range events {
			if err == nil && string(m.Data) == sentinel || !yield(m, err) {
				return
			}
		}
	}
}

// JSON decodes the data of each event, whatever its type, as encoding/json
// does. Data that is no such value is an error in its place, and the next one
// follows; errors of events are passed on.
//
//	for chunk, err := range sse.JSON[Chunk](sse.Until(sse.Events(res.Body), "[DONE]")) {
func JSON[T any](events iter.Seq2[Message, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for m, err := range events {
			var value T
			if err == nil {
				if err = json.Unmarshal(m.Data, &value); err != nil {
					err = fmt.Errorf("sse: data of event %q: %w", m.ID, err)
				}
			}
			if !yield(value, err) {
				return
			}
		}
	}
}
