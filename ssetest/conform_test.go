package ssetest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

func hubSubject() (*ssetest.Streaming, error) {
	const heartbeat = 200 * time.Millisecond
	hub := ssehub.New(&ssehub.Options{Heartbeat: heartbeat})
	return &ssetest.Streaming{
		Handler: hub.Handler("n"),
		Publish: func(m sse.Message) error {
			_, err := hub.Publish(context.Background(), "n", m)
			return err
		},
		Close:     func() { _ = hub.Close() },
		Heartbeat: heartbeat,
		Resumes:   true,
	}, nil
}

// A hub passes all checks.
func TestHubConforms(t *testing.T) {
	ssetest.TestServer(t, hubSubject)
}

// Each check fails a server that does not do what it is about.
func TestChecksFail(t *testing.T) {
	broken := map[string]func(*ssetest.Streaming){
		"head at once":  func(s *ssetest.Streaming) { s.Handler = http.NotFoundHandler() },
		"event at once": func(s *ssetest.Streaming) { s.Publish = func(sse.Message) error { return nil } },
		"not cached": func(s *ssetest.Streaming) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/event-stream") })
		},
		"order": func(s *ssetest.Streaming) {
			publish, n := s.Publish, 0
			s.Publish = func(m sse.Message) error {
				if n++; n%97 == 0 {
					return nil
				}
				return publish(m)
			}
		},
		"resume": func(s *ssetest.Streaming) {
			handler := s.Handler
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Last-Event-ID")
				handler.ServeHTTP(w, r)
			})
		},
		"heartbeat": func(s *ssetest.Streaming) {
			hub := ssehub.New(&ssehub.Options{Heartbeat: -1})
			s.Handler, s.Close = hub.Handler("n"), func() { _ = hub.Close() }
		},
	}
	for _, c := range ssetest.Checks() {
		breakIt := broken[c.Name]
		if breakIt == nil {
			continue
		}
		delete(broken, c.Name)
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			err := c.Run(t.Context(), func() (*ssetest.Streaming, error) {
				s, err := hubSubject()
				end := s.Close
				breakIt(s)
				t.Cleanup(end)
				return s, err
			})
			require.Error(t, err)
			require.False(t, errors.Is(err, ssetest.ErrNotOffered))
		})
	}
	require.Empty(t, broken, "no check has these names")
}
