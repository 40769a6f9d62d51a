package sse

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	contentType  = "text/event-stream"
	maxErrorBody = 64 << 10
)

// ResponseError is the answer of a server that did not send an event stream:
// a status other than 200, or another Content-Type.
type ResponseError struct {
	StatusCode int
	Status     string // such as "404 Not Found"
	Header     http.Header
	Body       []byte // at most 64 KiB of it
}

func (e *ResponseError) Error() string {
	if e.StatusCode == http.StatusOK {
		return fmt.Sprintf("sse: response has content type %q, want %q", e.Header.Get("Content-Type"), contentType)
	}
	return fmt.Sprintf("sse: response status %q", e.Status)
}

// CheckResponse returns nil if res is an event stream: status 200 with type
// text/event-stream, whatever its parameters. Otherwise it reads the start of
// the body and returns a [*ResponseError]. Closing the body stays the caller's
// duty. See "Processing model".
func CheckResponse(res *http.Response) error {
	typ, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if res.StatusCode == http.StatusOK && strings.EqualFold(strings.TrimSpace(typ), contentType) {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // what arrived is all there is to report
	return &ResponseError{StatusCode: res.StatusCode, Status: res.Status, Header: res.Header, Body: body}
}
