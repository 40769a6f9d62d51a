package ssetest_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// A server cannot write to a client that never reads, which still has the
// answer's beginning.
func TestDialStuck(t *testing.T) {
	const most = 1 << 30 // no buffer is as large
	failed := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 64<<10)
		for n := 0; n < most; n += len(chunk) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			if _, err := w.Write(chunk); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	})
	overTCP, inMemory := httptest.NewServer(handler), ssetest.NewServer(handler)
	defer overTCP.Close()
	defer inMemory.Close()
	for name, dial := range map[string]func(context.Context) (net.Conn, error){
		"TCP":    func(ctx context.Context) (net.Conn, error) { return ssetest.DialStuck(ctx, overTCP.URL) },
		"memory": func(ctx context.Context) (net.Conn, error) { return inMemory.DialStuck(ctx, inMemory.URL) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, err := dial(ctx)
			require.NoError(t, err)
			defer conn.Close()
			require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
			if name == "memory" {
				return // where nothing is buffered
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, res.StatusCode) // its body would be read to its end by Close
		})
	}
	for _, bad := range []string{"https://127.0.0.1", "http://[::1", "127.0.0.1", "http://127.0.0.1:1"} {
		_, err := ssetest.DialStuck(t.Context(), bad)
		require.Error(t, err, bad)
	}
}
