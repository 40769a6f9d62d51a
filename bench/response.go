package main

import (
	"bytes"
	"errors"
	"fmt"
)

// response reads one HTTP/1.1 response in pieces cut anywhere and gives its
// body, chunked or plain, to frames.
type response struct {
	frames frames
	state  responseState
	head   []byte // unfinished, of the pieces before
	left   int    // of the chunk; before it, the size as read so far
	digits int    // of the size
}

type responseState uint8

const (
	inHead     responseState = iota
	inPlain                  // until the connection closes
	inSize                   // the hexadecimal digits
	inSizeRest               // what follows them, to the end of the line
	inChunk                  // left bytes of data
	afterChunk               // the line end behind the data
	afterBody                // the last chunk was read
)

const (
	maxHead       = 16 << 10 // bytes
	maxSizeDigits = 7        // more could not be a chunk of ours
)

var (
	errHead  = errors.New("malformed response head")
	errChunk = errors.New("malformed chunk")
	errEnded = errors.New("bytes behind the end of the response")
)

// feed takes the next piece, which it does not keep.
func (r *response) feed(p []byte) (err error) {
	for len(p) > 0 && err == nil {
		switch r.state {
		case inHead:
			p, err = r.feedHead(p)
		case inPlain:
			return r.frames.feed(p)
		case inChunk:
			n := min(r.left, len(p))
			err = r.frames.feed(p[:n])
			p = p[n:]
			if r.left -= n; r.left == 0 {
				r.state = afterChunk
			}
		case afterBody:
			return r.feedTrailer(p)
		default:
			err = r.feedFraming(p[0])
			p = p[1:]
		}
	}
	return err
}

// feedHead returns what follows the head.
func (r *response) feedHead(p []byte) (rest []byte, err error) {
	before := len(r.head)
	r.head = append(r.head, p[:min(len(p), maxHead-before)]...)
	end := bytes.Index(r.head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(r.head) == maxHead {
			return nil, errHead
		}
		return nil, nil
	}
	rest = p[end+4-before:]
	chunked, err := parseHead(r.head[:end])
	r.head = nil
	r.state = inPlain
	if chunked {
		r.state = inSize
	}
	return rest, err
}

// parseHead accepts the head of an event stream and says how its body is
// framed.
func parseHead(head []byte) (chunked bool, err error) {
	status, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		return false, fmt.Errorf("%w: %.60q", errHead, status)
	}
	stream := false
	for line := range bytes.SplitSeq(fields, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Content-Type")):
			stream = bytes.HasPrefix(value, []byte("text/event-stream"))
		}
	}
	if !stream {
		return false, fmt.Errorf("%w: not an event stream", errHead)
	}
	return chunked, nil
}

// feedFraming takes one byte of what stands between the data of chunks.
func (r *response) feedFraming(c byte) error {
	switch r.state {
	case inSize:
		if d, ok := hexDigit(c); ok {
			r.left = r.left<<4 | d
			if r.digits++; r.digits > maxSizeDigits {
				return errChunk
			}
			return nil
		}
		if r.digits == 0 || c != '\r' && c != ';' && c != ' ' {
			return errChunk
		}
		r.state = inSizeRest
	case inSizeRest:
		if c == '\n' {
			r.digits = 0
			r.state = inChunk
			if r.left == 0 {
				r.state = afterBody
			}
		}
	case afterChunk:
		switch c {
		case '\r':
		case '\n':
			r.state = inSize
		default:
			return errChunk
		}
	}
	return nil
}

func hexDigit(c byte) (int, bool) {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0'), true
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10, true
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10, true
	}
	return 0, false
}

// feedTrailer accepts the empty line behind the last chunk. Trailer fields are
// not used here.
func (r *response) feedTrailer(p []byte) error {
	if len(bytes.Trim(p, "\r\n")) > 0 {
		return errEnded
	}
	return nil
}
