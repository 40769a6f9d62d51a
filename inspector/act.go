package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	maxBody = 64 << 10        // bytes of a request
	actTime = 5 * time.Second // that an action has
)

// close ends the stream that the form names as conn, and with again=true lets its
// client come back at once.
func (i *inspector) close(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTime)
	defer cancel()
	n, err := i.hub.Revoke(ctx, ssehub.Revocation{Conn: form("conn"), Again: form("again") == "true"})
	switch {
	case err != nil:
		answerError(w, err)
	case n == 0:
		http.Error(w, "there is no such connection here any more", http.StatusNotFound)
	default:
		answer(w, map[string]int{"closed": n})
	}
}

// publish publishes a test message, where the options allow it.
func (i *inspector) publish(w http.ResponseWriter, r *http.Request) {
	if i.opts.Publish == nil {
		http.Error(w, "publishing is off; see inspector's Options.Publish", http.StatusForbidden)
		return
	}
	form, ok := readForm(w, r)
	if !ok {
		return
	}
	topic := form("topic")
	if !i.opts.Publish(r, topic) {
		http.Error(w, "you may not publish to this topic", http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTime)
	defer cancel()
	pos, err := i.hub.Publish(ctx, topic, sse.Message{Type: form("type"), Data: []byte(form("data"))})
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, map[string]string{"id": pos.String()})
}

// readForm returns the values of a small form, or answers.
func readForm(w http.ResponseWriter, r *http.Request) (value func(string) string, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var tooLarge *http.MaxBytesError
	switch err := r.ParseForm(); {
	case errors.As(err, &tooLarge):
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, "not a form", http.StatusBadRequest)
	default:
		return r.PostForm.Get, true
	}
	return nil, false
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // to who has left
}

// answerError says what is wrong: to an operator, who may know.
func answerError(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if errors.Is(err, ssehub.ErrInvalidTopic) || errors.Is(err, sse.ErrInvalidField) || errors.Is(err, sse.ErrEventTooLarge) {
		status = http.StatusBadRequest
	}
	http.Error(w, err.Error(), status)
}
