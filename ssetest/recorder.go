package ssetest

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Recorder is an http.ResponseWriter that takes down a stream. It can flush
// and takes write deadlines. Its methods are safe for concurrent use, so a test
// may look while the handler writes; only the Header is the handler's own.
type Recorder struct {
	mu       sync.Mutex
	header   http.Header
	status   int
	buf      bytes.Buffer
	flushed  int // of buf
	left     int // bytes before fail
	fail     error
	deadline time.Time
	news     chan struct{} // closed and replaced at each flush
}

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder {
	return &Recorder{header: make(http.Header), news: make(chan struct{})}
}

// FailAfter makes every write fail with err once n more bytes were taken: a
// client that leaves in mid-event.
func (r *Recorder) FailAfter(n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.fail = n, err
}

// Header implements http.ResponseWriter.
func (r *Recorder) Header() http.Header {
	return r.header
}

// WriteHeader implements http.ResponseWriter.
func (r *Recorder) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *Recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.fail != nil && len(p) > r.left {
		n := r.left
		r.left = 0
		r.buf.Write(p[:n])
		r.flush()
		return n, r.fail
	}
	r.left -= len(p)
	return r.buf.Write(p)
}

// FlushError is what http.ResponseController calls.
func (r *Recorder) FlushError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.flush()
	return nil
}

// flush needs r.mu.
func (r *Recorder) flush() {
	r.flushed = r.buf.Len()
	close(r.news)
	r.news = make(chan struct{})
}

// SetWriteDeadline is what http.ResponseController calls.
func (r *Recorder) SetWriteDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return nil
}

// Deadline returns the write deadline that was set last.
func (r *Recorder) Deadline() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deadline
}

// Status returns the status that was sent, or 0 if none was.
func (r *Recorder) Status() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Text returns all bytes that a client would have by now: what was flushed.
func (r *Recorder) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()[:r.flushed]
}

// Messages returns the events that a client would have dispatched by now.
func (r *Recorder) Messages() []sse.Message {
	dec := sse.NewDecoder(strings.NewReader(r.Text()))
	dec.SetMaxEventSize(math.MaxInt)
	var messages []sse.Message
	for {
		var m sse.Message
		if dec.Decode(&m) != nil {
			return messages // io.EOF: the end of what there is
		}
		messages = append(messages, m)
	}
}

// Wait returns when there are at least n Messages, or with the error of ctx.
func (r *Recorder) Wait(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		if len(r.Messages()) >= n {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
