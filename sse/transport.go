package sse

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// transport is what a Conn writes to, and where it sleeps: a response that its
// http.Server holds, or a connection that was taken over from there.
type transport interface {
	io.Writer
	Flush() error
	SetWriteDeadline(time.Time) error
	// tryWrite writes what the socket takes at once, or returns
	// errors.ErrUnsupported.
	tryWrite(p []byte) (int, error)
	// wait sleeps until wake was called, or d has passed, or the client has left
	// or ctx has ended, which are errors.
	wait(ctx context.Context, d time.Duration) (woken bool, err error)
	wake()
}

// response is the transport of whatever is no connection of our own.
type response struct {
	http.ResponseWriter
	*http.ResponseController
	woken chan struct{} // holds one token
	timer *time.Timer   // of wait; nil before the first
}

func newResponse(w http.ResponseWriter) *response {
	return &response{ResponseWriter: w, ResponseController: http.NewResponseController(w), woken: make(chan struct{}, 1)}
}

func (r *response) tryWrite([]byte) (int, error) {
	return 0, errors.ErrUnsupported
}

func (r *response) wait(ctx context.Context, d time.Duration) (woken bool, err error) {
	if r.timer == nil {
		r.timer = time.NewTimer(d)
	} else {
		r.timer.Reset(d)
	}
	defer r.timer.Stop()
	select {
	case <-r.woken:
		return true, nil
	case <-r.timer.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (r *response) wake() {
	select {
	case r.woken <- struct{}{}:
	default: // it knows
	}
}
