package sse

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrInvalidField is returned, wrapped with the field's name and the reason,
// for a message that cannot be written without forging other fields or
// without losing something on the way. Nothing of it was written.
var ErrInvalidField = errors.New("sse: invalid field")

// maxIDLen bounds an id. It comes back as a request header, and the servers
// and proxies that read it limit those.
const maxIDLen = 256

// Message is one event: a value to send, or one just read.
type Message struct {
	// Topic is an extension that browsers ignore: it tells a reader of several
	// topics which one the message belongs to. A hub leaves it out of streams of
	// one topic.
	Topic string
	// ID becomes the reader's last event id, which it sends back as the
	// Last-Event-ID header. At most 256 bytes of UTF-8 without control
	// characters or outer spaces, because it must survive as a header.
	ID string
	// Type is the name of the event; empty stands for "message". It may not
	// hold CR, LF or NUL.
	Type string
	// Data is the payload, text in UTF-8. A CR, LF or CRLF in it reaches the
	// reader as LF.
	Data []byte
	// Retry tells the reader how long to wait before it reconnects. It is sent
	// in whole milliseconds; zero sends nothing, less than one is an error.
	Retry time.Duration
}

// AppendText appends the message in its wire form, ending with the blank line
// that dispatches it, or returns b as it was and an error that wraps
// [ErrInvalidField]. A message with nil Data and no Type, but with an ID or a
// Retry, only sets these at the reader: no event is dispatched there. (An
// EventSource in Firefox takes no ID without Data.) It implements
// [encoding.TextAppender]. See "Parsing an event stream".
func (m Message) AppendText(b []byte) ([]byte, error) {
	if err := m.validate(); err != nil {
		return b, err
	}
	b = appendField(b, "topic: ", m.Topic)
	b = appendField(b, "event: ", m.Type)
	if m.Retry != 0 {
		b = appendRetry(b, m.Retry)
	}
	if m.Data != nil || m.Type != "" || m.ID == "" && m.Retry == 0 {
		b = appendLines(b, "data: ", m.Data)
	}
	// Last: some readers take an id as soon as they have its line. Where the rest of
	// the event was still to come, a cut would have them ask for what is behind it.
	b = appendField(b, "id: ", m.ID)
	return append(b, '\n'), nil
}

func (m Message) validate() error {
	if strings.ContainsAny(m.Topic, "\r\n\x00") || !utf8.ValidString(m.Topic) {
		return fmt.Errorf("%w: topic %q", ErrInvalidField, m.Topic)
	}
	if strings.ContainsAny(m.Type, "\r\n\x00") || !utf8.ValidString(m.Type) {
		return fmt.Errorf("%w: type %q", ErrInvalidField, m.Type)
	}
	if m.ID != "" && !validID(m.ID) {
		return fmt.Errorf("%w: id %.300q", ErrInvalidField, m.ID)
	}
	if m.Retry != 0 && m.Retry < time.Millisecond {
		return fmt.Errorf("%w: retry %v is less than a millisecond", ErrInvalidField, m.Retry)
	}
	return nil
}

// validID reports whether a reader can send id back unchanged in the
// Last-Event-ID header. Streams of other servers may hold ids that cannot.
func validID(id string) bool {
	if id == "" || len(id) > maxIDLen || id[0] == ' ' || id[len(id)-1] == ' ' {
		return false
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(id)
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	b = append(b, value...)
	return append(b, '\n')
}

func appendRetry(b []byte, d time.Duration) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, d.Milliseconds(), 10)
	return append(b, '\n')
}

// appendLines writes one line per line of text, each behind prefix; text that
// ends in a line break ends in an empty line, as the reader joins with LF.
func appendLines(b []byte, prefix string, text []byte) []byte {
	for {
		b = append(b, prefix...)
		i := indexEOL(text)
		if i < 0 {
			b = append(b, text...)
			return append(b, '\n')
		}
		b = append(b, text[:i]...)
		b = append(b, '\n')
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		text = text[i+1:]
	}
}

// indexEOL returns the index of the first CR or LF in b, or -1. It looks at
// blocks of growing size, as two plain searches over all of b for every line
// would take quadratic time on text that has only one of the two.
func indexEOL(b []byte) int {
	for start, size := 0, 64; start < len(b); size *= 2 {
		end := min(start+size, len(b))
		block := b[start:end]
		lf := bytes.IndexByte(block, '\n')
		if lf >= 0 {
			block = block[:lf]
		}
		if cr := bytes.IndexByte(block, '\r'); cr >= 0 {
			return start + cr
		}
		if lf >= 0 {
			return start + lf
		}
		start = end
	}
	return -1
}
