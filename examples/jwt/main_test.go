package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var key = issuer("a key of this test")

// Who gets what, by its token.
func TestAuthorize(t *testing.T) {
	hub := ssehub.New(&ssehub.Options{Authorize: key.authorize})
	server := ssetest.NewServer(hub.Handler())
	defer server.Close()
	defer hub.Close()
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims{[]string{">"}, jwt.RegisteredClaims{
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	forever, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Topics: []string{">"}}).SignedString([]byte(key))
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		token, topics string
		status        int
	}{
		"no token":        {"", "a", 403},
		"nonsense":        {"x.y.z", "a", 403},
		"another key":     {issuer("another").token("eve", time.Hour, ">"), "a", 403},
		"no signature":    {unsigned, "a", 403},
		"no end":          {forever, "a", 403},
		"too old":         {key.token("eve", -time.Second, ">"), "a", 403},
		"a topic":         {key.token("eve", time.Hour, "a"), "a", 200},
		"another topic":   {key.token("eve", time.Hour, "a"), "b", 403},
		"one of two":      {key.token("eve", time.Hour, "a"), "a&topic=b", 403},
		"below a pattern": {key.token("eve", time.Hour, "a.>"), "a.b.c", 200},
		"a pattern":       {key.token("eve", time.Hour, "a.b"), "a.*", 200},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"?topic="+tt.topics, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+tt.token)
			res, err := server.Client().Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, tt.status, res.StatusCode)
		})
	}
}

// A stream ends with its token, and a pattern shows only what the token allows.
func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Authorize: key.authorize})
		server := ssetest.NewServer(hub.Handler())
		defer server.Close()
		defer hub.Close()
		token := key.token("alice", time.Minute, "orders.eu")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"?topic=orders.*", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		start := time.Now()
		res, err := server.Client().Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		for _, topic := range []string{"orders.us", "orders.eu"} {
			_, err = hub.Publish(t.Context(), topic, sse.Message{Data: []byte(topic)})
			require.NoError(t, err)
		}
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.InDelta(t, time.Minute.Seconds(), time.Since(start).Seconds(), 1) // tokens have whole seconds
		require.Contains(t, string(body), "data: orders.eu\n")
		require.NotContains(t, string(body), "orders.us")
	})
}

// The program itself: its client has all orders that are for it, over several tokens.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	// Tokens have whole seconds: one for a single second may be over at once.
	go func() { ended <- run(ctx, "127.0.0.1:0", 2*time.Second, in); in.Close() }()
	var text strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(text.String(), "orders.eu 3") {
		n, err := out.Read(buf)
		require.NoError(t, err)
		text.Write(buf[:n])
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	require.NoError(t, <-ended)
	require.NotContains(t, text.String(), "orders.us")
	require.Less(t, strings.Index(text.String(), "orders.eu 1"), strings.Index(text.String(), "orders.eu 2"))
	require.Greater(t, strings.Count(text.String(), "open"), 1, "it has had several tokens")
}
