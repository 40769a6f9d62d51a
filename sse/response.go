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
// a status other than 200, or another Content-Type. Its text has the first line of
// a body in plain text.
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
	text := fmt.Sprintf("sse: response status %q", e.Status)
	if line, _, _ := strings.Cut(string(e.Body), "\n"); line != "" && mediaType(e.Header) == "text/plain" {
		text += fmt.Sprintf(": %.200q", line) // what http.Error was told
	}
	return text
}

// mediaType is the Content-Type without its parameters, in lower case.
func mediaType(header http.Header) string {
	typ, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(typ))
}

// CheckResponse returns nil if res is an event stream: status 200 with type
// text/event-stream, whatever its parameters. Otherwise it reads the start of
// the body and returns a [*ResponseError]. Closing the body stays the caller's
// duty. See "Processing model".
func CheckResponse(res *http.Response) error {
	if res.StatusCode == http.StatusOK && mediaType(res.Header) == contentType {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // what arrived is all there is to report
	return &ResponseError{StatusCode: res.StatusCode, Status: res.Status, Header: res.Header, Body: body}
}
