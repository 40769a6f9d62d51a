package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// line is one message of a batch.
type line struct {
	Topic          string          `json:"topic,omitempty"`
	Topics         []string        `json:"topics,omitempty"` // further ones
	Type           string          `json:"type,omitempty"`
	Data           json.RawMessage `json:"data,omitempty"` // a string is what it says, all else the JSON that it is
	Key            string          `json:"key,omitempty"`
	TTL            string          `json:"ttl,omitempty"` // such as "30s"
	Ephemeral      bool            `json:"ephemeral,omitempty"`
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
}

// publishBatch publishes line by line, each when the one before is in the log, and
// answers each. What the client has got wrong in a line does not touch the next; when
// the log fails or the server ends, the last answer says so and the rest is not read, so
// that who sends it again has its order.
func (s *server) publishBatch(w http.ResponseWriter, r *http.Request, who rights) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // an error: HTTP/2, which is
	stop := context.AfterFunc(s.draining, func() { _ = control.SetReadDeadline(time.Now()) })
	defer stop()
	body := r.Body
	if s.cmd.MaxBatch >= 0 {
		body = http.MaxBytesReader(w, body, s.cmd.MaxBatch)
	}
	lines := bufio.NewReaderSize(body, 16<<10)
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	answers := json.NewEncoder(w)
	topics := r.URL.Query()["topic"]
	for {
		if !waiting(lines) {
			_ = control.SetWriteDeadline(time.Now().Add(sse.DefaultWriteTimeout))
			if control.Flush() != nil {
				return
			}
			s.deadline(w)
			if s.draining.Err() != nil { // after the deadline, or that could undo the one above
				_ = control.SetReadDeadline(time.Now())
			}
		}
		text, err := readLine(lines, 2*s.cmd.MaxEvent+4<<10) // JSON takes more
		if len(text) > 0 && err == nil || err == io.EOF && len(text) > 0 {
			a, more := s.publishLine(r.Context(), who, topics, text)
			if answers.Encode(a) != nil || !more {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				e := s.explainRead(err)
				_ = answers.Encode(answer{Error: e.text, Status: e.status})
			}
			return
		}
	}
}

// waiting reports whether a whole line has been read from the client already.
func waiting(lines *bufio.Reader) bool {
	buffered, _ := lines.Peek(lines.Buffered())
	return bytes.IndexByte(buffered, '\n') >= 0
}

// readLine returns the next line without its end and the space around it.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > limit:
			return nil, sse.ErrEventTooLarge
		case err != bufio.ErrBufferFull:
			return bytes.TrimSpace(text), err
		}
	}
}

func (s *server) explainRead(err error) *publishError {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &publishError{http.StatusRequestEntityTooLarge, "more than --max-batch allows: send the rest in another request"}
	case errors.Is(err, sse.ErrEventTooLarge):
		return explain(err)
	case s.draining.Err() != nil:
		return &publishError{http.StatusServiceUnavailable, "shutting down"}
	default:
		return &publishError{http.StatusRequestTimeout, "no line for longer than --idle, or the body ended in one"}
	}
}

// publishLine returns the answer to a line, and whether the next may be published.
func (s *server) publishLine(ctx context.Context, who rights, topics []string, text []byte) (a answer, more bool) {
	m, err := parseLine(text, topics)
	if err == nil {
		pos, published := s.append(ctx, who, m)
		if published == nil {
			return answered(m, pos), true
		}
		err = published
	}
	e := explain(err)
	return answer{Error: e.text, Status: e.status}, e.status != http.StatusServiceUnavailable
}

// parseLine reads a line; topics are those of the request, for lines without.
func parseLine(text []byte, topics []string) (*outgoing, error) {
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(&l)
	if err == nil && dec.More() {
		err = errors.New("more than one object in a line")
	}
	m := &outgoing{topics: topics}
	if err == nil && l.TTL != "" {
		m.opts.TTL, err = time.ParseDuration(l.TTL)
	}
	data := []byte(l.Data)
	if err == nil && len(data) > 0 && data[0] == '"' {
		var text string
		err = json.Unmarshal(data, &text)
		data = []byte(text)
	}
	if err != nil {
		return nil, &publishError{http.StatusBadRequest, err.Error()}
	}
	if l.Topic != "" {
		m.topics = append([]string{l.Topic}, l.Topics...)
	}
	m.message = sse.Message{Type: l.Type, Data: data}
	m.opts.Key, m.opts.Ephemeral, m.opts.IdempotencyKey = l.Key, l.Ephemeral, l.IdempotencyKey
	return m, nil
}
