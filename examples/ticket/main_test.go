package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// A ticket is for one stream, soon.
func TestTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp("secret")
		server := ssetest.NewServer(app.handler())
		defer server.Close()
		defer app.hub.Close()
		issue := func(token string) (int, string) {
			req, err := http.NewRequest(http.MethodPost, server.URL+"/ticket", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := server.Client().Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			return res.StatusCode, string(text)
		}
		use := func(ticket string) int {
			res, err := server.Client().Get(server.URL + "/events?ticket=" + ticket)
			require.NoError(t, err)
			defer res.Body.Close()
			if res.StatusCode == 200 {
				var m sse.Message
				require.NoError(t, sse.NewDecoder(res.Body).Decode(&m))
				require.Equal(t, sse.TypeHello, m.Type)
			}
			return res.StatusCode
		}
		status, _ := issue("guess")
		require.Equal(t, 401, status)
		status, _ = issue("")
		require.Equal(t, 401, status)
		require.Equal(t, 403, use(""))
		require.Equal(t, 403, use("guess"))

		_, ticket := issue("secret")
		require.Equal(t, 200, use(ticket))
		require.Equal(t, 403, use(ticket), "used")
		_, late := issue("secret")
		time.Sleep(ticketTime + time.Second)
		require.Equal(t, 403, use(late), "too old")
		_, _ = issue("secret")
		require.Len(t, app.tickets, 1, "old ones are forgotten")
	})
}

func TestTooManyTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which none grows old
		app := newApp("secret")
		defer app.hub.Close()
		issue := func() int {
			r := httptest.NewRequest(http.MethodPost, "/ticket", nil)
			r.Header.Set("Authorization", "Bearer secret")
			w := httptest.NewRecorder()
			app.issue(w, r)
			return w.Code
		}
		for range maxTickets {
			require.Equal(t, 200, issue())
		}
		require.Equal(t, 429, issue())
	})
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, "127.0.0.1:0", &out))
	require.Contains(t, out.String(), "http://127.0.0.1:")
}
