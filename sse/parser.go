package sse

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// ErrEventTooLarge is wrapped by the error that a reader returns for an event
// above its size limit.
var ErrEventTooLarge = errors.New("sse: event too large")

// lineKind says what the rest of the line being read means.
type lineKind uint8

const (
	lineName lineKind = iota // still in the field's name
	lineSkip                 // an unknown field, or a comment that nobody wants
	lineComment
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
	max     int               // limit for the bytes kept for one event
	comment func(text string) // nil: comments are skipped

	bom     int // bytes of a leading byte order mark seen; -1 once past it
	skipLF  bool
	kind    lineKind
	name    [6]byte // longer than any known name, so that a full one is unknown
	nameLen int
	started bool // the value's first byte was seen, so a space is text now

	value   []byte // of a line that came in pieces; data goes to data at once
	line    []byte // the event's only data line so far, still in the fed chunk
	data    []byte // data buffer; each line is followed by LF
	typ     []byte // event type buffer
	topic   []byte
	id      []byte // last event ID buffer
	newID   bool   // since the last blank line
	tooBig  bool   // drop the rest of this event
	pending bool   // the last blank line dispatched an event; its buffers are for message
	hasID   bool   // that event has brought an id of its own

	lastID    string // last event ID string: what the last blank line put in force
	lastType  string // kept to save an allocation when the next is the same
	lastTopic string
	ids       strings.Builder // memory that the next ids share
	lastSize  int             // room that the last data needed which was given away
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
			n = len(b)
			break
		}
		line := b[n : n+eol]
		p.skipLF = b[n+eol] == '\r'
		n += eol + 1
		if p.kind != lineName || p.nameLen > 0 {
			if err = p.text(line); err == nil {
				err = p.endLine()
			} else {
				p.resetLine()
			}
		} else if len(line) > 0 {
			err = p.wholeLine(line)
		} else if p.dispatch() {
			return n, true, nil
		} else {
			p.clear()
		}
		if err != nil {
			break
		}
	}
	p.own()
	return n, false, err
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

// wholeLine takes a line that lies in one piece, as nearly all do.
func (p *parser) wholeLine(line []byte) error {
	i := bytes.IndexByte(line, ':')
	if i < 0 { // the whole line is the name
		return p.field(p.kindOf(line), line[len(line):])
	}
	kind, value := p.kindOf(line[:i]), line[i+1:]
	if kind != lineComment && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	return p.field(kind, value)
}

// text takes a piece of a line, without its end.
func (p *parser) text(b []byte) error {
	if p.kind == lineName {
		b = p.readName(b)
	}
	if len(b) == 0 || p.kind == lineName || !p.wants(p.kind) {
		return nil
	}
	if !p.started {
		p.started = true
		if b[0] == ' ' && p.kind != lineComment {
			b = b[1:]
		}
	}
	if !p.fits(p.kind, len(p.value)+len(b)) {
		p.kind, p.value = lineSkip, p.value[:0]
		return p.overflow()
	}
	switch p.kind {
	case lineData:
		p.own()
		p.grow()
		p.data = append(p.data, b...)
	case lineComment:
		p.value = append(p.value, b[:min(len(b), p.max-len(p.value))]...)
	default:
		p.value = append(p.value, b...)
	}
	return nil
}

// readName collects the field's name and returns what follows its colon.
func (p *parser) readName(b []byte) []byte {
	for i, c := range b {
		if c == ':' {
			p.kind = p.kindOf(p.name[:p.nameLen])
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

// endLine ends a line that came in pieces.
func (p *parser) endLine() error {
	defer p.resetLine()
	if p.kind == lineName { // no colon: the whole line is the name
		p.kind = p.kindOf(p.name[:p.nameLen])
	}
	if p.kind != lineData || !p.wants(lineData) {
		return p.field(p.kind, p.value)
	}
	if !p.fits(lineData, 0) {
		return p.overflow()
	}
	p.data = append(p.data, '\n')
	return nil
}

func (p *parser) resetLine() {
	p.kind, p.nameLen, p.started, p.value = lineName, 0, false, reuse(p.value)
}

// kindOf says what a line is by its field's name. A colon at its start makes it
// a comment.
func (p *parser) kindOf(name []byte) lineKind {
	switch string(name) {
	case "data":
		return lineData
	case "event":
		return lineType
	case "id":
		return lineID
	case "retry":
		return lineRetry
	case "topic":
		return lineTopic
	case "":
		if p.comment != nil {
			return lineComment
		}
	}
	return lineSkip
}

// field takes a field with its whole value ("process the field").
func (p *parser) field(kind lineKind, value []byte) error {
	switch {
	case !p.wants(kind):
		return nil
	case !p.fits(kind, len(value)):
		return p.overflow()
	}
	switch kind {
	case lineData:
		p.appendData(value)
	case lineType:
		p.typ = append(p.typ[:0], value...)
	case lineTopic:
		p.topic = append(p.topic[:0], value...)
	case lineID:
		if bytes.IndexByte(value, 0) < 0 {
			p.id, p.newID = append(p.id[:0], value...), true
		}
	case lineRetry:
		if d, ok := parseRetry(value); ok {
			p.retry, p.hasRetry = d, true
		}
	case lineComment:
		p.comment(string(decodeUTF8(value[:min(len(value), p.max)])))
	}
	return nil
}

// wants reports whether such a line matters; of an event that is too large only
// its id does.
func (p *parser) wants(kind lineKind) bool {
	switch kind {
	case lineData, lineType, lineTopic:
		return !p.tooBig
	default:
		return kind != lineSkip
	}
}

// fits reports whether the limit leaves room for n bytes more. An id has the
// limit to itself: behind data that just fits it must not be what is lost, or a
// reader would come back to the event for ever.
func (p *parser) fits(kind lineKind, n int) bool {
	switch kind {
	case lineData:
		return p.dataLen()+len(p.typ)+len(p.topic)+n <= p.max
	case lineType:
		return n == 0 || max(p.dataLen()-1, 0)+len(p.topic)+n <= p.max
	case lineTopic:
		return n == 0 || max(p.dataLen()-1, 0)+len(p.typ)+n <= p.max
	case lineComment:
		return true // it is cut
	default:
		return n <= p.max
	}
}

// overflow gives up the event but not the stream: an id line that follows is
// still taken, so that a reader can get past the event for good.
func (p *parser) overflow() error {
	if p.tooBig {
		return nil
	}
	p.tooBig = true
	p.line, p.data, p.typ, p.topic = nil, nil, p.typ[:0], p.topic[:0]
	return fmt.Errorf("%w: limit %d bytes", ErrEventTooLarge, p.max)
}

// appendData takes a whole line of data. The first is left where it is, as most
// events have one and end before the chunk does: their data is then copied once.
func (p *parser) appendData(value []byte) {
	if p.line == nil && len(p.data) == 0 {
		p.line = value
		return
	}
	p.own()
	p.data = append(append(p.data, value...), '\n')
}

// own copies what lies in the fed chunk, because the chunk's memory is not ours.
func (p *parser) own() {
	if p.line != nil {
		p.grow()
		p.data = append(append(p.data, p.line...), '\n')
		p.line = nil
	}
}

// grow makes room for an event like the last one that gave its memory away.
func (p *parser) grow() {
	if cap(p.data) == 0 {
		p.data = make([]byte, 0, p.lastSize)
	}
}

// dataLen counts the data's bytes, with the LF of each line that has ended.
func (p *parser) dataLen() int {
	if p.line != nil {
		return len(p.line) + 1
	}
	return len(p.data)
}

// dispatch ends a block ("dispatch the event") and reports whether there is an
// event in it.
func (p *parser) dispatch() bool {
	if p.newID { // else a long one would be looked at again at every blank line
		if id := decodeUTF8(p.id); string(id) != p.lastID {
			p.lastID = p.idString(id)
		}
	}
	p.hasID, p.newID = p.newID, false
	p.pending = true
	return p.dataLen() > 0
}

// idString makes a string of id. Ids of one stream are short and alike, and
// share their memory by the dozen: one allocation less for each event.
func (p *parser) idString(id []byte) string {
	if len(id) > 64 {
		return string(id)
	}
	if p.ids.Cap()-p.ids.Len() < len(id) {
		p.ids.Reset()
		p.ids.Grow(16 * len(id))
	}
	start := p.ids.Len()
	p.ids.Write(id)
	return p.ids.String()[start:]
}

// clear empties the buffers of the block that dispatch ended. It waits for the
// next feed because message reads them.
func (p *parser) clear() {
	if !p.pending {
		return
	}
	p.pending, p.tooBig, p.line = false, false, nil
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

// message sets m to the event just dispatched. Its Data is the caller's.
func (p *parser) message(m *Message) {
	if typ := decodeUTF8(p.typ); string(typ) != p.lastType {
		p.lastType = string(typ)
	}
	if topic := decodeUTF8(p.topic); string(topic) != p.lastTopic {
		p.lastTopic = string(topic)
	}
	*m = Message{Topic: p.lastTopic, ID: p.lastID, Type: p.lastType, Data: p.takeData()}
}

// takeData returns the event's data in memory of its own: the buffer itself
// where that is worth more than a copy and wastes little.
func (p *parser) takeData() []byte {
	text := p.line
	if text == nil {
		text = p.data[:len(p.data)-1]
	}
	data := decodeUTF8(text)
	switch {
	case len(data) == 0:
		return []byte{}
	case &data[0] != &text[0]:
		return data // decoded into new memory
	case p.line == nil && len(text) >= 4<<10 && cap(p.data) <= len(text)+len(text)/4:
		p.lastSize = len(p.data) + len(p.data)/16
		p.data = nil
		return data[:len(data):len(data)]
	}
	return append(make([]byte, 0, len(text)), text...)
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
