package main

import (
	"bytes"
	"errors"
)

var errLongLine = errors.New("a line of the event stream is too long")

// frames reads an event stream in pieces cut anywhere and tells its checker
// what it finds. It knows LF and CRLF, not a lone CR, which no server here
// writes. It keeps of an event no more than the checker wants to know, so
// after the first few events it allocates nothing.
type frames struct {
	check *checker
	line  []byte // unfinished, of the pieces before

	typ    eventType
	lines  int // of data in this event
	length int // of its data, joined with LF
	head   [seqDigits]byte
	stamp  [stampDigits]byte // only if check wants times
	place  [seqDigits]byte   // in the log, from the id; only if check goes by places
}

type eventType uint8

const (
	message eventType = iota
	hello
	gap
	other
)

// feed takes the next piece, which it does not keep.
func (f *frames) feed(p []byte) error {
	for len(p) > 0 {
		if p[0] == '\n' && len(f.line) == 0 { // a third of all lines, without a search
			f.dispatch()
			p = p[1:]
			continue
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return f.keep(p)
		}
		line := p[:i]
		p = p[i+1:]
		if len(f.line) > 0 {
			if err := f.keep(line); err != nil {
				return err
			}
			line = f.line
			f.line = f.line[:0]
		}
		f.field(line)
	}
	return nil
}

func (f *frames) keep(p []byte) error {
	if len(f.line)+len(p) > maxSize+64 {
		return errLongLine
	}
	f.line = append(f.line, p...)
	return nil
}

// field takes one whole line without its LF.
func (f *frames) field(line []byte) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) == 0 {
		f.dispatch()
		return
	}
	switch line[0] {
	case 'i':
		// What ids must be differs by server, and the sequence number in the data
		// says more, unless many publish at once.
		if f.check.byPlace {
			if value, ok := fieldValue(line, "id"); ok {
				f.place = placeIn(value)
			}
		}
	case 'd':
		if value, ok := fieldValue(line, "data"); ok {
			f.data(value)
		}
	case 'e':
		if value, ok := fieldValue(line, "event"); ok {
			f.typ = typeOf(value)
		}
	}
}

// fieldValue returns what follows the name, the colon and one space.
func fieldValue(line []byte, name string) (value []byte, ok bool) {
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return nil, false
	}
	rest := line[len(name):]
	if len(rest) == 0 {
		return rest, true
	}
	if rest[0] != ':' {
		return nil, false
	}
	if rest = rest[1:]; len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	return rest, true
}

var zeroDigits = [seqDigits]byte([]byte("0000000000"))

// placeIn is the number behind the epoch of an id.
func placeIn(id []byte) (place [seqDigits]byte) {
	digits := id[bytes.LastIndexByte(id, '-')+1:]
	if n := len(digits); n <= seqDigits {
		place = zeroDigits
		copy(place[seqDigits-n:], digits)
	}
	return place
}

func typeOf(value []byte) eventType {
	switch string(value) {
	case "", "message":
		return message
	case helloType:
		return hello
	case gapType:
		return gap
	default:
		return other
	}
}

func (f *frames) data(value []byte) {
	if f.lines == 0 {
		f.length = len(value)
		if len(value) >= seqDigits {
			f.head = [seqDigits]byte(value)
		} else {
			f.head = [seqDigits]byte{} // no number
		}
		if f.check.times != nil {
			f.stamp = [stampDigits]byte{}
			if len(value) >= seqDigits+stampDigits {
				f.stamp = [stampDigits]byte(value[seqDigits:])
			}
		}
	} else {
		f.length += 1 + len(value)
	}
	f.lines++
}

// dispatch ends an event. One without data is none.
func (f *frames) dispatch() {
	if f.lines > 0 {
		switch f.typ {
		case message:
			f.message()
		case hello:
			f.check.hello = true
		case gap:
			f.check.gaps++
		}
	}
	f.typ, f.lines, f.length, f.place = message, 0, 0, [seqDigits]byte{}
}

func (f *frames) message() {
	number := &f.head
	if f.check.byPlace {
		number = &f.place
	}
	seq, ok := f.check.message(number, f.length)
	switch {
	case !ok || f.check.times == nil:
	case f.check.byPlace:
		f.check.times.placed(seq, &f.head, &f.stamp)
	default:
		f.check.times.message(&f.stamp)
	}
}
