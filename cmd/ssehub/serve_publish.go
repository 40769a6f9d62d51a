package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// ndjson is the type of a body of many messages, and of the answers to them.
const ndjson = "application/x-ndjson"

// publishPatience is how long a publish may wait for the log.
const publishPatience = 30 * time.Second

// answer tells of one message: where it is in the log, or why not.
type answer struct {
	ID     string `json:"id,omitempty"` // empty of an ephemeral one
	Error  string `json:"error,omitempty"`
	Status int    `json:"status,omitempty"` // with an Error, as of HTTP
}

// publishError is for who publishes.
type publishError struct {
	status int
	text   string
}

func (e *publishError) Error() string { return e.text }

// outgoing is a message and where it goes.
type outgoing struct {
	topics  []string
	message sse.Message
	opts    ssehub.PublishOptions
}

// publish takes one message, or many if the body is of type ndjson.
func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.auth.credential(r); !ok {
		answerError(w, &publishError{http.StatusUnauthorized, "publishing needs a token"})
		return
	}
	who, err := s.auth.identify(r)
	if err != nil {
		s.log.Debug("publisher refused", "error", err)
		answerError(w, &publishError{http.StatusUnauthorized, "the token does not hold"})
		return
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == ndjson {
		s.publishBatch(w, r, who)
		return
	}
	s.deadline(w)
	m, err := s.readMessage(w, r)
	var pos ssehub.Position
	if err == nil {
		pos, err = s.append(r.Context(), who, m)
	}
	if err != nil {
		answerError(w, err)
		return
	}
	answerJSON(w, http.StatusOK, answered(m, pos))
}

// deadline lets a client that brings nothing wait no longer than --idle, and while the
// server drains not at all.
func (s *server) deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cmd.Idle)) // an error: a test's writer
}

// readMessage reads a request for one message: what it is from the query, the data from
// the body.
func (s *server) readMessage(w http.ResponseWriter, r *http.Request) (*outgoing, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.cmd.MaxEvent)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, sse.ErrEventTooLarge
	case err != nil:
		return nil, &publishError{http.StatusBadRequest, "body not read to its end"}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &publishError{http.StatusBadRequest, "query: " + err.Error()}
	}
	m := &outgoing{message: sse.Message{Data: data}}
	for name, values := range query {
		if name == "topic" {
			m.topics = values
			continue
		}
		if len(values) > 1 {
			err = errors.New("given twice")
		}
		switch value := values[0]; name {
		case "type":
			m.message.Type = value
		case "key":
			m.opts.Key = value
		case "ttl":
			m.opts.TTL, err = time.ParseDuration(value)
		case "ephemeral":
			m.opts.Ephemeral, err = strconv.ParseBool(value)
		default:
			err = errors.New("no such parameter")
		}
		if err != nil {
			return nil, &publishError{http.StatusBadRequest, strconv.Quote(name) + ": " + err.Error()}
		}
	}
	m.opts.IdempotencyKey = r.Header.Get("Idempotency-Key")
	return m, nil
}

// append publishes m if who may.
func (s *server) append(ctx context.Context, who rights, m *outgoing) (ssehub.Position, error) {
	if len(m.topics) == 0 {
		return ssehub.Position{}, &publishError{http.StatusBadRequest, "no topic"}
	}
	if err := who.mayPublish(m.topics); err != nil {
		return ssehub.Position{}, err
	}
	if !who.expires.IsZero() && !who.expires.After(time.Now()) { // of a long batch
		return ssehub.Position{}, &publishError{http.StatusUnauthorized, "the token has expired"}
	}
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	m.opts.Topics = m.topics[1:]
	pos, err := s.hub.PublishWith(ctx, m.topics[0], m.message, m.opts)
	if err == nil {
		return pos, nil
	}
	e := explain(err)
	if e.status == http.StatusServiceUnavailable {
		s.log.Warn("not published", "error", err)
	}
	return pos, e
}

// explain says what an error of the hub means to who publishes.
func explain(err error) *publishError {
	var e *publishError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, ssehub.ErrInvalidTopic), errors.Is(err, sse.ErrInvalidField):
		return &publishError{http.StatusBadRequest, err.Error()}
	case errors.Is(err, sse.ErrEventTooLarge):
		return &publishError{http.StatusRequestEntityTooLarge, "larger than --max-event allows"}
	case errors.Is(err, ssehub.ErrClosed):
		return &publishError{http.StatusServiceUnavailable, "shutting down"}
	default:
		return &publishError{http.StatusServiceUnavailable, "not known to be published: try again with the same idempotency key"}
	}
}

func answered(m *outgoing, pos ssehub.Position) answer {
	if m.opts.Ephemeral {
		return answer{} // its position is nobody's id
	}
	return answer{ID: pos.String()}
}

func answerError(w http.ResponseWriter, err error) {
	e := explain(err)
	switch e.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="ssehub"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	answerJSON(w, e.status, answer{Error: e.text, Status: e.status})
}

func answerJSON(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // an error: the client has left
}
