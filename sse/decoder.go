package sse

import (
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	defaultMaxEventSize = 1 << 20
	minReadBuffer       = 512 // doubled while reads fill it: quiet streams stay cheap
	maxReadBuffer       = 16 << 10
)

// Decoder reads events from a stream. It starts no goroutine and is not safe
// for concurrent use. It may read past the event it returns.
type Decoder struct {
	r    io.Reader
	p    parser
	buf  []byte
	n    int   // bytes in buf
	next int   // of them, to be parsed
	full bool  // the last read filled buf
	err  error // of r, reported when buf is used up
}

// NewDecoder returns a Decoder for the event stream r, with a size limit of
// 1 MiB for each event.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: r, p: parser{max: defaultMaxEventSize}, full: true}
}

// Decode sets m to the next dispatched event. ID is the last event id in
// force, whichever event brought it; an empty Type stands for "message"; Data
// is the caller's to keep. It returns [io.EOF] at the end of the stream, where
// an unfinished event is dropped as the standard demands, and otherwise the
// reader's error. After an error that wraps [ErrEventTooLarge] the next call
// goes on behind that event.
func (d *Decoder) Decode(m *Message) error {
	for {
		next, dispatched, err := d.p.feed(d.buf[:d.n], d.next)
		d.next = next
		if err != nil {
			return err
		}
		if dispatched {
			d.p.message(m)
			return nil
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

func (d *Decoder) fill() error {
	if d.err != nil {
		return d.err
	}
	for range 100 {
		if d.full && len(d.buf) < maxReadBuffer {
			d.buf = make([]byte, max(minReadBuffer, 2*len(d.buf)))
		}
		n, err := d.r.Read(d.buf)
		if errors.Is(err, ErrEventTooLarge) { // of another Decoder, behind which there is nothing
			err = fmt.Errorf("sse: read: %v", err)
		}
		d.n, d.next, d.err, d.full = n, 0, err, n == len(d.buf)
		d.p.chunk()
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	d.err = io.ErrNoProgress
	return d.err
}

// LastEventID returns the last event id in force: what a reader that connects
// again sends as Last-Event-ID. An id of an unfinished event is not in force.
func (d *Decoder) LastEventID() string {
	return d.p.lastID
}

// SetLastEventID sets the last event id that is in force before the stream has
// brought one: a reader that reconnects carries it over.
func (d *Decoder) SetLastEventID(id string) {
	d.p.id = append(d.p.id[:0], id...)
	d.p.lastID = id
}

// HasID reports whether the event that Decode has just returned has brought its
// ID, rather than standing under that of an earlier event.
func (d *Decoder) HasID() bool {
	return d.p.hasID
}

// Retry returns the reconnection time that the stream asked for last, and
// whether it did.
func (d *Decoder) Retry() (time.Duration, bool) {
	return d.p.retry, d.p.hasRetry
}

// SetCommentFunc has f called with the text of each comment, all that stands
// behind its colon, as soon as its line has ended; a heartbeat is an empty one.
// Text above the size limit is cut off. Decode calls f, which must not call it.
func (d *Decoder) SetCommentFunc(f func(text string)) {
	d.p.comment = f
}

// SetMaxEventSize limits the bytes of one event as decoded, which bounds the
// Decoder's memory; unknown fields, and comments that nobody has asked for, cost
// none. Zero or less means the default, 1 MiB.
func (d *Decoder) SetMaxEventSize(n int) {
	if n <= 0 {
		n = defaultMaxEventSize
	}
	d.p.max = n
}
