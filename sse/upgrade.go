package sse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// ErrStreamingNotSupported is wrapped by the error of Upgrade when the
// [http.ResponseWriter] cannot flush, so that nothing would reach the client
// before the handler returns.
var ErrStreamingNotSupported = errors.New("sse: streaming not supported")

// DefaultWriteTimeout is how long one write may take before the client counts
// as gone.
const DefaultWriteTimeout = 10 * time.Second

// Upgrader turns requests into event streams. The zero value is ready to use.
type Upgrader struct {
	// RetryTime tells clients how long to wait before they reconnect. It is
	// sent in milliseconds; zero or less leaves it to the client.
	RetryTime time.Duration

	// WriteTimeout bounds every write, 64 KiB at most, to a client that does
	// not read. It takes the place of http.Server.WriteTimeout, which would
	// end the stream. Zero means DefaultWriteTimeout, negative none.
	WriteTimeout time.Duration

	// Hijack takes HTTP/1 connections over from their http.Server, where the
	// http.ResponseWriter is an [http.Hijacker]: a stream then needs a fifth of
	// the memory, three fifths if its handler stays, and less time for each write.
	// Who asks for it must know that the server forgets the connection. The
	// request's context does not end when the client leaves, see [Conn.Done]; a
	// Conn that is [Conn.Hijacked] may outlive the handler, which ends the
	// request's context, and must be closed; http.Server.Shutdown does not wait for
	// it; to what has wrapped the handler the response has no status and no length.
	// Nothing may have been written to the http.ResponseWriter, WriteHeader included.
	Hijack bool
}

// Upgrade is [Upgrader.Upgrade] with the defaults.
func Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	return Upgrader{}.Upgrade(w, r)
}

// Upgrade answers r with the head of an event stream, sent at once, and
// returns the Conn to write events to. If w cannot stream, the client gets
// status 500 and the caller an error that wraps [ErrStreamingNotSupported].
// The handler must call [Conn.Close] before it returns, and must have read the
// request's body, if any, before: until then nobody notices that the client has
// left. Streams over HTTP/1 end with their connection.
func (up Upgrader) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	if up.WriteTimeout == 0 {
		up.WriteTimeout = DefaultWriteTimeout
	}
	SetHeader(w.Header())
	if r.ProtoMajor == 1 {
		// The last write deadline outlives the handler, so that a client that
		// does not read cannot hold the end of the response either. A next
		// request on this connection would run into it.
		w.Header().Set("Connection", "close")
	}
	c := &Conn{timeout: up.WriteTimeout, lastEventID: LastEventID(r)}
	var first []byte
	if conn := up.takeOver(w, r); conn != nil {
		c.ctx, c.cancel = context.WithCancel(context.Background())
		c.out = &taken{Conn: conn, try: newTrier(conn)}
		c.between = true // tryWrite would find it
		first = head(r, w.Header())
	} else {
		out := newResponse(w)
		// Flushing with nothing written sends the head alone, and fails before
		// anything is sent where streaming cannot work.
		hasDeadlines, err := flushHead(out, up.WriteTimeout)
		if err != nil {
			return nil, refuse(w, err)
		}
		c.request = r.Context()
		c.ctx, c.cancel = context.WithCancel(c.request)
		c.out = out
		c.between = r.ProtoMajor > 1 // over HTTP/2 it ends the stream
		c.noDeadline = !hasDeadlines
	}
	if err := c.WriteFrames(up.appendFirst(first)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (up Upgrader) takeOver(w http.ResponseWriter, r *http.Request) net.Conn {
	if !up.Hijack {
		return nil
	}
	return takeOver(w, r)
}

// appendFirst appends the first line, which also gets the head through middleware
// that holds it back until there is a body. No blank line: that would be an empty
// event to some readers.
func (up Upgrader) appendFirst(b []byte) []byte {
	if up.RetryTime >= time.Millisecond {
		return appendRetry(b, up.RetryTime)
	}
	return append(b, ":\n"...)
}

// SetHeader sets the fields of an event stream's head, for a response that is
// made without Upgrade.
func SetHeader(h http.Header) {
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	h.Set("X-Content-Type-Options", "nosniff")
}

func flushHead(out *response, timeout time.Duration) (hasDeadlines bool, err error) {
	var deadline time.Time // none, in place of the server's
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	hasDeadlines = !errors.Is(out.SetWriteDeadline(deadline), errors.ErrUnsupported)
	if canFlush(innermost(out.ResponseWriter)) {
		out.WriteHeader(http.StatusOK) // for chi's Compress, which does not say at a Flush that it compresses
	} else {
		defer func() { // echo v4 panics where what it wraps cannot flush
			if recover() != nil {
				err = http.ErrNotSupported
			}
		}()
	}
	return hasDeadlines, out.Flush()
}

// refuse reports that w failed to flush the head.
func refuse(w http.ResponseWriter, err error) error {
	if !errors.Is(err, errors.ErrUnsupported) { // http.ErrNotSupported is one
		return fmt.Errorf("%w: %w", ErrConnectionClosed, err) // the client left already
	}
	for _, name := range []string{"Cache-Control", "X-Accel-Buffering", "Connection"} {
		w.Header().Del(name)
	}
	err = fmt.Errorf("%w: %T has no Flush method and does not Unwrap to a writer that has one", ErrStreamingNotSupported, innermost(w))
	http.Error(w, err.Error(), http.StatusInternalServerError)
	return err
}

// innermost follows Unwrap as http.ResponseController does.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

func canFlush(w http.ResponseWriter) bool {
	switch w.(type) {
	case http.Flusher, interface{ FlushError() error }:
		return true
	}
	return false
}

// LastEventID returns the id from which the client of r wants to go on: the
// Last-Event-ID header or, if there is none, the lastEventID parameter of the
// URL, which a page can set for its first connect; lastEventId will do, too. It
// is as the client sent it: treat it as hostile.
func LastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id // what was received since the page wrote the URL
	}
	if r.URL == nil || r.URL.RawQuery == "" {
		return ""
	}
	query := r.URL.Query()
	if id := query.Get("lastEventId"); id != "" {
		return id // event-source-polyfill says it so, behind a URL that may have the first
	}
	return query.Get("lastEventID")
}
