package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ErrNilChan is returned by [Notify] if its channel is nil.
var ErrNilChan = errors.New("sse: nil channel")

// DefaultClient is the client that [Notify] uses if it is given none. Do not
// change it while a Notify is being called.
var DefaultClient = &http.Client{}

// DefaultGetReq makes the requests of [Notify] if it is given no function. Do
// not change it while a Notify is being called.
var DefaultGetReq = func(verb, uri string, body io.Reader) (*http.Request, error) {
	return http.NewRequest(verb, uri, body)
}

// Event is one event as [Notify] delivers it.
type Event struct {
	URI  string // as given to Notify
	Type string // empty stands for "message"
	ID   string // the last event id in force
	Data io.Reader
}

// Notify connects to the event stream at uri, sends each event to evCh and
// returns nil when the stream ends: it reads one connection, see package
// client for a reader that goes on. A response that is no event stream gives a
// [*ResponseError]. If client or getReq is nil, DefaultClient or DefaultGetReq
// takes its place; the context of getReq's request cancels everything,
// including a send that nobody receives. Notify never closes evCh.
func Notify(uri string, client *http.Client, getReq func(verb, uri string, body io.Reader) (*http.Request, error), evCh chan<- *Event) error {
	if evCh == nil {
		return ErrNilChan
	}
	if client == nil {
		client = DefaultClient
	}
	if getReq == nil {
		getReq = DefaultGetReq
	}
	req, err := getReq(http.MethodGet, uri, nil)
	if err != nil {
		return fmt.Errorf("sse: make request: %w", err)
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header.Set("Accept", contentType)
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("sse: %w", err)
	}
	defer res.Body.Close()
	if err := CheckResponse(res); err != nil {
		return err
	}
	dec := NewDecoder(res.Body)
	for {
		var m Message
		if err := dec.Decode(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("sse: read %s: %w", uri, err)
		}
		ev := &Event{URI: uri, Type: m.Type, ID: m.ID, Data: bytes.NewReader(m.Data)}
		select {
		case evCh <- ev:
		case <-req.Context().Done():
			return req.Context().Err()
		}
	}
}
