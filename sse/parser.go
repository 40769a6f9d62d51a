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

	lf, cr  int // where the chunk's next ones are, if they are not behind
	bom     int // bytes of a leading byte order mark seen; -1 once past it
	skipLF  bool
	kind    lineKind
	name    [6]byte // longer than any known name, so that a full one is unknown
	nameLen int
	started bool // the value's first byte was seen, so a space is text now

	value   []byte // of a line that came in pieces; data goes to data at once
	line    []byte // the event's only data line so far, still in the fed chunk
	data    []byte // data buffer, or nothing while there is line
	lines   int    // of data
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
	lastSize  int             // of the last event's data, if that was given away
	retry     time.Duration
	hasRetry  bool
}

var byteOrderMark = [3]byte{0xEF, 0xBB, 0xBF}

// chunk begins a new chunk, which the calls of feed that follow go through.
func (p *parser) chunk() {
	p.lf, p.cr = -1, -1
}

// feed reads the chunk b from n up to the end of the next block. It returns how
// far it came, and whether that block is an event to dispatch, which message
// then returns. An oversize event is reported when it crosses the limit; the
// calls that follow skip the rest of it.
func (p *parser) feed(b []byte, n int) (next int, dispatched bool, err error) {
	p.clear()
	if p.bom >= 0 {
		n += p.stripBOM(b[n:])
	}
	for n < len(b) {
		if p.skipLF {
			p.skipLF = false
			if b[n] == '\n' {
				n++
				continue
			}
		}
		end := p.eol(b, n)
		if end == len(b) {
			err = p.text(b[n:])
			n = end
			break
		}
		line := b[n:end]
		p.skipLF = b[end] == '\r'
		n = end + 1
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

// eol returns where the line that b[n:] begins with ends, len(b) if it does not.
// LF and CR are looked for apart, each once in every stretch, as the search for
// one byte is the fastest there is.
func (p *parser) eol(b []byte, n int) int {
	if p.lf < n {
		p.lf = indexFrom(b, n, '\n')
	}
	if p.cr < n {
		p.cr = indexFrom(b, n, '\r')
	}
	return min(p.lf, p.cr)
}

func indexFrom(b []byte, n int, c byte) int {
	if i := bytes.IndexByte(b[n:], c); i >= 0 {
		return n + i
	}
	return len(b)
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
		p.start()
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
		p.data = append(p.data, b...)
	case lineComment:
		p.value = append(p.value, b[:min(len(b), max(0, p.max-len(p.value)))]...)
	default:
		p.value = append(p.value, b...)
	}
	return nil
}

// start begins the value of a line that comes in pieces.
func (p *parser) start() {
	p.started = true
	if p.kind == lineData {
		p.beginData()
	}
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
	if !p.started {
		p.start()
	}
	if !p.fits(lineData, 0) {
		return p.overflow()
	}
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
	if !p.wants(kind) {
		return nil
	}
	if kind == lineData && p.lines > 0 {
		p.beginData()
	}
	if !p.fits(kind, len(value)) {
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
		if p.comment != nil { // it may have been when the line began
			p.comment(string(decodeUTF8(value[:min(len(value), p.max)])))
		}
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
		return len(p.line)+len(p.data)+len(p.typ)+len(p.topic)+n <= p.max
	case lineType:
		return len(p.line)+len(p.data)+len(p.topic)+n <= p.max
	case lineTopic:
		return len(p.line)+len(p.data)+len(p.typ)+n <= p.max
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
	p.line, p.lines, p.data, p.typ, p.topic = nil, 0, nil, p.typ[:0], p.topic[:0]
	return fmt.Errorf("%w: limit %d bytes", ErrEventTooLarge, p.max)
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
	return p.lines > 0
}

// clear empties the buffers of the block that dispatch ended. It waits for the
// next feed because message reads them.
func (p *parser) clear() {
	if !p.pending {
		return
	}
	p.pending, p.tooBig, p.line, p.lines = false, false, nil, 0
	p.data, p.typ, p.topic = reuse(p.data), reuse(p.typ), reuse(p.topic)
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
