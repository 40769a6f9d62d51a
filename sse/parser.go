package sse

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrEventTooLarge is wrapped by the error that a reader returns for an event
// above its size limit.
var ErrEventTooLarge = errors.New("sse: event too large")

// lineKind says what the rest of the line being read means.
type lineKind uint8

const (
	lineName lineKind = iota // still in the field's name
	lineSkip                 // a comment or an unknown field
	lineData
	lineType
	lineID
	lineRetry
	lineTopic
)

// parser is the algorithm of "Interpreting an event stream", fed with chunks
// that may be cut anywhere. It keeps nothing of lines that mean nothing, never
// waits for the byte after a CR, and looks at each byte a fixed number of
// times.
type parser struct {
	max int // limit for the bytes kept for one event

	bom     int // bytes of a leading byte order mark seen; -1 once past it
	skipLF  bool
	kind    lineKind
	name    [6]byte // longer than any known name, so that a full one is unknown
	nameLen int
	started bool // the value's first byte was seen, so a space is text now

	value   []byte // of an id or retry line, which count only when complete
	data    []byte // data buffer; each line is followed by LF
	typ     []byte // event type buffer
	topic   []byte
	id      []byte // last event ID buffer
	newID   bool   // since the last blank line
	tooBig  bool   // drop the rest of this event
	pending bool   // the last blank line dispatched an event; its buffers are for message

	lastID    string // last event ID string: what the last blank line put in force
	lastType  string // kept to save an allocation when the next is the same
	lastTopic string
	retry     time.Duration
	hasRetry  bool
}

var byteOrderMark = [3]byte{0xEF, 0xBB, 0xBF}

// feed reads b up to the end of the next block and says how much it used, and
// whether that block is an event to dispatch, which message then returns. An
// oversize event is reported when it crosses the limit; the calls that follow
// skip the rest of it.
func (p *parser) feed(b []byte) (n int, dispatched bool, err error) {
	p.clear()
	if p.bom >= 0 {
		n = p.stripBOM(b)
	}
	for n < len(b) {
		if p.skipLF {
			p.skipLF = false
			if b[n] == '\n' {
				n++
				continue
			}
		}
		eol := indexEOL(b[n:])
		if eol < 0 {
			err = p.text(b[n:])
			return len(b), false, err
		}
		if err = p.text(b[n : n+eol]); err != nil {
			return n + eol, false, err
		}
		n += eol
		p.skipLF = b[n] == '\r'
		n++
		if blank := p.kind == lineName && p.nameLen == 0; blank {
			if p.dispatch() {
				return n, true, nil
			}
			p.clear()
			continue
		}
		if err = p.endLine(); err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// stripBOM consumes one byte order mark at the start of the stream. Should the
// bytes turn out to be something else, they began a field of unknown name.
func (p *parser) stripBOM(b []byte) (n int) {
	for n < len(b) && b[n] == byteOrderMark[p.bom] {
		n++
		if p.bom++; p.bom == len(byteOrderMark) {
			p.bom = -1
			return n
		}
	}
	if n < len(b) {
		if p.bom > 0 {
			p.kind = lineSkip
		}
		p.bom = -1
	}
	return n
}

// text takes a part of a line, without its end.
func (p *parser) text(b []byte) error {
	if p.kind == lineName {
		b = p.readName(b)
	}
	if len(b) == 0 || p.kind == lineSkip || p.kind == lineName {
		return nil
	}
	if !p.started {
		p.started = true
		if b[0] == ' ' {
			b = b[1:]
		}
	}
	if p.tooBig && p.kind != lineID && p.kind != lineRetry {
		return nil
	}
	if p.room() < len(b) {
		return p.overflow()
	}
	buf := p.buffer()
	*buf = append(*buf, b...)
	return nil
}

// room is what the limit leaves for the line being read. An id has the limit to
// itself: behind data that just fits it must not be what is lost, or a reader
// would come back to the event for ever.
func (p *parser) room() int {
	if p.kind == lineID || p.kind == lineRetry {
		return p.max - len(p.value)
	}
	return p.max - len(p.data) - len(p.typ) - len(p.topic)
}

// readName collects the field's name and returns what follows its colon.
func (p *parser) readName(b []byte) []byte {
	for i, c := range b {
		if c == ':' {
			p.startValue()
			return b[i+1:]
		}
		p.name[p.nameLen] = c
		if p.nameLen++; p.nameLen == len(p.name) {
			p.kind = lineSkip
			return nil
		}
	}
	return nil
}

// startValue decides by the name what the line is. A colon at its start makes
// it a comment.
func (p *parser) startValue() {
	switch string(p.name[:p.nameLen]) {
	case "data":
		p.kind = lineData
	case "event":
		p.kind = lineType
		p.typ = p.typ[:0]
	case "id":
		p.kind = lineID
	case "retry":
		p.kind = lineRetry
	case "topic":
		p.kind = lineTopic
		p.topic = p.topic[:0]
	default:
		p.kind = lineSkip
	}
}

func (p *parser) buffer() *[]byte {
	switch p.kind {
	case lineData:
		return &p.data
	case lineType:
		return &p.typ
	case lineTopic:
		return &p.topic
	default:
		return &p.value
	}
}

// endLine processes the field that a line held ("process the field").
func (p *parser) endLine() error {
	if p.kind == lineName { // no colon: the whole line is the name
		p.startValue()
	}
	var err error
	switch p.kind {
	case lineData:
		if !p.tooBig {
			if p.data = append(p.data, '\n'); len(p.data)-1 > p.max {
				err = p.overflow()
			}
		}
	case lineID:
		if bytes.IndexByte(p.value, 0) < 0 {
			p.id, p.newID = append(p.id[:0], p.value...), true
		}
	case lineRetry:
		if d, ok := parseRetry(p.value); ok {
			p.retry, p.hasRetry = d, true
		}
	}
	p.resetLine()
	return err
}

func (p *parser) resetLine() {
	p.kind, p.nameLen, p.started, p.value = lineName, 0, false, reuse(p.value)
}

// overflow gives up the event but not the stream: an id line that follows is
// still taken, so that a reader can get past the event for good.
func (p *parser) overflow() error {
	if p.kind == lineID || p.kind == lineRetry {
		p.kind, p.value = lineSkip, p.value[:0]
	}
	if p.tooBig {
		return nil
	}
	p.tooBig = true
	p.data, p.typ, p.topic = nil, p.typ[:0], p.topic[:0]
	return fmt.Errorf("%w: limit %d bytes", ErrEventTooLarge, p.max)
}

// dispatch ends a block ("dispatch the event") and reports whether there is an
// event in it.
func (p *parser) dispatch() bool {
	if p.newID { // else a long one would be looked at again at every blank line
		if id := decodeUTF8(p.id); string(id) != p.lastID {
			p.lastID = string(id)
		}
	}
	p.newID = false
	p.pending = true
	return len(p.data) > 0
}

// clear empties the buffers of the block that dispatch ended. It waits for the
// next feed because message reads them.
func (p *parser) clear() {
	if !p.pending {
		return
	}
	p.pending, p.tooBig = false, false
	p.data, p.typ, p.topic = reuse(p.data), reuse(p.typ), reuse(p.topic)
}

// reuse empties b, or gives it up if it is so large that one event would be
// paid for until the stream ends.
func reuse(b []byte) []byte {
	if cap(b) > 256<<10 {
		return nil
	}
	return b[:0]
}

// message sets m to the event just dispatched. Its Data is a copy.
func (p *parser) message(m *Message) {
	if typ := decodeUTF8(p.typ); string(typ) != p.lastType {
		p.lastType = string(typ)
	}
	if topic := decodeUTF8(p.topic); string(topic) != p.lastTopic {
		p.lastTopic = string(topic)
	}
	text := p.data[:len(p.data)-1]
	data := decodeUTF8(text)
	if len(data) == 0 {
		data = []byte{}
	} else if &data[0] == &text[0] {
		data = append(make([]byte, 0, len(text)), text...)
	}
	*m = Message{Topic: p.lastTopic, ID: p.lastID, Type: p.lastType, Data: data}
}

// parseRetry accepts ASCII digits only. A number too large for a Duration is
// the largest Duration; what to do with it is the reader's business.
func parseRetry(b []byte) (time.Duration, bool) {
	const limit = math.MaxInt64 / int64(time.Millisecond)
	var ms int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if ms = ms*10 + int64(c-'0'); ms > limit {
			ms = limit
		}
	}
	return time.Duration(ms) * time.Millisecond, len(b) > 0
}
