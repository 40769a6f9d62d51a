package sse

import "io"

// Encoder writes events to a stream. It is not safe for concurrent use.
type Encoder struct {
	w   io.Writer
	buf []byte
	err error
}

// NewEncoder returns an Encoder that writes to w, one Write for each call of
// its methods. It never flushes w.
func NewEncoder(w io.Writer) *Encoder {
	return &Encoder{w: w}
}

// Encode writes one message. After an error of the writer every further call
// returns that error, because nothing may follow half an event; an error that
// wraps [ErrInvalidField] concerns that message alone.
func (e *Encoder) Encode(m Message) error {
	frame, err := m.AppendText(e.buf[:0])
	if err != nil {
		return err
	}
	return e.write(frame)
}

// Comment writes text as comment lines, which readers ignore; an empty text
// writes the single line ":" that keeps a quiet stream alive. No blank line
// follows, as some readers would take it for an empty event.
func (e *Encoder) Comment(text string) error {
	return e.write(appendComment(e.buf[:0], text))
}

func (e *Encoder) write(b []byte) error {
	e.buf = reuse(b)
	if e.err != nil {
		return e.err
	}
	_, e.err = e.w.Write(b)
	return e.err
}

func appendComment(b []byte, text string) []byte {
	if text == "" {
		return append(b, ":\n"...)
	}
	return appendLines(b, ": ", []byte(text))
}
