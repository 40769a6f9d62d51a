package inspector_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/inspector"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// inspected is a hub and its inspector, over connections in memory.
type inspected struct {
	t      *testing.T
	hub    *ssehub.Hub
	server *ssetest.Server
}

// inspect ends what it returns with end, so that it can be within a bubble.
func inspect(t *testing.T, hubOpts *ssehub.Options, opts *inspector.Options) (s *inspected, end func()) {
	t.Helper()
	hub := ssehub.New(hubOpts)
	mux := http.NewServeMux()
	mux.Handle("/events", hub.Handler())
	mux.Handle("/inspector/", inspector.New(hub, opts))
	s = &inspected{t, hub, ssetest.NewServer(mux)}
	return s, func() {
		hub.Close()
		s.server.Close()
	}
}

func (s *inspected) publish(topic, data string) {
	s.t.Helper()
	_, err := s.hub.Publish(s.t.Context(), topic, sse.Message{Data: []byte(data)})
	require.NoError(s.t, err)
}

// stream is an event stream that a test reads.
type stream struct {
	t      *testing.T
	dec    *sse.Decoder
	cancel func()
}

func (s *inspected) open(path, lastEventID string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+path, nil)
	require.NoError(s.t, err)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := s.server.Client().Do(req)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, res.StatusCode)
	dec := sse.NewDecoder(res.Body)
	dec.SetMaxEventSize(1 << 20)
	return &stream{s.t, dec, func() { cancel(); res.Body.Close() }}
}

// next reads the stream's next event into value.
func (s *stream) next(value any) sse.Message {
	s.t.Helper()
	var m sse.Message
	require.NoError(s.t, s.dec.Decode(&m))
	require.NoError(s.t, json.Unmarshal(m.Data, value))
	return m
}

// look is the part of a look that tests are about.
type look struct {
	Took    float64
	Publish bool
	Hub     struct {
		Subscribers, Topics int
		Draining            bool
		Published           uint64
	}
	Total, Page, Pages int
	Topics             []struct {
		Name                           string
		Pattern                        bool
		Policy, Position               string
		Subscribers, Events, Lag, Gaps int
		Published                      uint64
	}
	Subscribers []struct {
		Conn, Subject, Verdict string
		Topics                 []string
		More                   int
		AgeMs                  int64
	}
}

// look returns the first look that a page gets.
func (s *inspected) look(query string) (l look) {
	s.t.Helper()
	stream := s.open("/inspector/look?"+query, "")
	defer stream.cancel()
	stream.next(&l)
	return l
}

// lookWithNew is look with an inspector of its own, that nobody else waits for, and
// tells the size.
func (s *inspected) lookWithNew(query string) (l look, size int) {
	s.t.Helper()
	one := &inspected{s.t, s.hub, ssetest.NewServer(inspector.New(s.hub, nil))}
	defer one.server.Close()
	stream := one.open("/look?"+query, "")
	defer stream.cancel()
	size = len(stream.next(&l).Data)
	return l, size
}

func (l look) names() (names []string) {
	for _, t := range l.Topics {
		names = append(names, t.Name)
	}
	return names
}

// post sends a form and returns the answer.
func (s *inspected) post(path string, form url.Values, header ...string) (status int, body string) {
	s.t.Helper()
	return s.do(http.MethodPost, path, form.Encode(), header...)
}

func (s *inspected) do(method, path, body string, header ...string) (status int, answer string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.server.Client().Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(text)
}
