package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// maxTalk is how many bytes a client may send behind its request, where it has
// nothing to say, before it is cut.
const maxTalk = 64 << 10

// taken is the transport of an HTTP/1 connection that was taken over: no buffers
// and no chunks, as the body ends with the connection. The goroutine that sleeps
// reads meanwhile, and so notices at once that the client leaves; what wakes it is
// the read deadline.
type taken struct {
	net.Conn
	try   trier // nil where the system or the connection has no such write
	woken atomic.Bool
	talk  int      // bytes of that
	buf   [64]byte // for them
}

// Flush does nothing, as there is no buffer.
func (t *taken) Flush() error { return nil }

// close ends the connection. TLS says goodbye before that and, if the client does
// not read, waits for it for 5 s: it gets no more than a write under way, and
// nothing behind one that failed.
func (t *taken) close(failed bool) {
	if secure, ok := t.Conn.(interface{ NetConn() net.Conn }); ok {
		cut := func() { _ = secure.NetConn().Close() }
		if failed {
			cut()
		}
		defer time.AfterFunc(closeGrace, cut).Stop()
	}
	_ = t.Close()
}

func (t *taken) tryWrite(p []byte) (int, error) {
	if t.try == nil {
		return 0, errors.ErrUnsupported
	}
	return t.try.TryWrite(p)
}

// trier is a connection that can write without waiting: it takes what it can at
// once. After an error other than errors.ErrUnsupported it is broken.
type trier interface {
	TryWrite(p []byte) (n int, err error)
}

func (t *taken) wait(ctx context.Context, d time.Duration) (woken bool, err error) {
	end := time.Now().Add(d)
	for ctx.Err() == nil {
		// wake does these two in the other order: either it is seen here, or its
		// deadline takes the place of this one.
		if err := t.SetReadDeadline(end); err != nil {
			return false, err
		}
		if t.woken.Swap(false) {
			return true, ctx.Err()
		}
		n, err := t.Read(t.buf[:])
		if t.talk += n; t.talk > maxTalk {
			return false, errors.New("client sends more than a request")
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return false, err
		}
		if err != nil && !time.Now().Before(end) {
			return t.woken.Swap(false), ctx.Err()
		}
	}
	return false, ctx.Err()
}

func (t *taken) wake() {
	if !t.woken.Swap(true) {
		_ = t.SetReadDeadline(time.Unix(1, 0)) // an error: it is closed, which wakes as well
	}
}

// takeOver returns the connection of r, or nil if w, or who has wrapped it, does
// not offer it. It does not look through Unwrap: a middleware that hides the
// connection wants to see the response.
func takeOver(w http.ResponseWriter, r *http.Request) net.Conn {
	if r.ProtoMajor != 1 || r.Method == http.MethodHead {
		return nil
	}
	if r.Context().Value(http.ServerContextKey) == nil {
		return nil // not of net/http: some wrappers offer what they do not have, and panic
	}
	if h := w.Header(); h.Get("Content-Encoding") != "" || h.Get("Transfer-Encoding") != "" {
		return nil // a middleware transforms the body
	}
	if w, ok := w.(interface{ Written() bool }); ok && w.Written() {
		return nil // as gin's says; a head would follow the head
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil
	}
	return callHijack(hijacker)
}

// callHijack returns nil if there is no connection behind a wrapper after all. Some
// of them assert that there is, and panic; nothing has happened then either.
func callHijack(h http.Hijacker) (conn net.Conn) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(*runtime.TypeAssertionError); !ok {
				panic(v)
			}
		}
	}()
	conn, _, err := h.Hijack() // what the client has sent behind its request means nothing
	if err != nil {
		return nil
	}
	return conn
}

// notOfTheHead are fields that net/http would not send with this head either.
var notOfTheHead = map[string]bool{"Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

// head returns the head of the response to r, with the fields that a middleware
// has set (RFC 9112, section 6.3, item 8: the body ends with the connection).
func head(r *http.Request, header http.Header) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.%d 200 OK\r\n", min(r.ProtoMinor, 1)) // not what it claims to know
	if _, set := header["Date"]; !set {
		fmt.Fprintf(&b, "Date: %s\r\n", time.Now().UTC().Format(http.TimeFormat))
	}
	_ = header.WriteSubset(&b, notOfTheHead) // which drops what is no field
	b.WriteString("\r\n")
	return b.Bytes()
}
