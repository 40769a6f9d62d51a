package client

import (
	"errors"
	"io"
	"math"
	"time"
)

// ErrIdle is passed to Options.OnRetry when a connection brought no byte for
// the idle timeout.
var ErrIdle = errors.New("client: connection idle for too long")

// idleReader reads a body and calls dead when no byte comes for a while. Time
// that the application takes over an event does not count.
type idleReader struct {
	body    io.Reader
	timeout time.Duration // not positive: no limit
	timer   *time.Timer
}

// newIdleReader starts to count at once, so that a server which does not
// answer counts as idle as well.
func newIdleReader(timeout time.Duration, dead func()) *idleReader {
	const never = math.MaxInt64 // until Read sets it
	if timeout > 0 {
		return &idleReader{timeout: timeout, timer: time.AfterFunc(timeout, dead)}
	}
	return &idleReader{timer: time.AfterFunc(never, dead)}
}

func (r *idleReader) stop() {
	r.timer.Stop()
}

func (r *idleReader) Read(p []byte) (int, error) {
	if r.timeout > 0 {
		r.timer.Reset(r.timeout)
		defer r.timer.Stop()
	}
	return r.body.Read(p)
}
