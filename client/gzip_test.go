package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// compressed streams through gzip, flushed behind each text, and then says
// nothing until the client leaves.
func compressed(texts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "gzip")
		rc := http.NewResponseController(w)
		_ = rc.Flush() // the head alone
		z := gzip.NewWriter(w)
		for _, text := range texts {
			_, _ = io.WriteString(z, text)
			_ = z.Flush()
			_ = rc.Flush()
		}
		<-r.Context().Done()
	}
}

// A compressed stream is read as it comes, whether net/http has asked for it or
// the application has.
func TestGzip(t *testing.T) {
	server := ssetest.NewServer(compressed("data: a\n\nda", "ta: b\n\n"))
	defer server.Close()
	for name, newRequest := range map[string]func(context.Context) (*http.Request, error){
		"by net/http": nil,
		"by the application": func(ctx context.Context) (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			req.Header.Set("Accept-Encoding", "gzip")
			return req, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub := client.Subscribe(t.Context(), server.URL, &client.Options{HTTPClient: server.Client(), NewRequest: newRequest})
			defer sub.Close()
			require.Equal(t, "a", string((<-sub.Events()).Data))
			require.Equal(t, "b", string((<-sub.Events()).Data))
		})
	}
}

// An encoding that nobody can read is told, and not taken for a silent stream.
func TestUnknownEncoding(t *testing.T) {
	run(t, nil, steps{func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		sends("data: x\n\n")(w, r)
	}}, func(t *testing.T, sub *client.Subscription, s *script) {
		_, ok := <-sub.Events()
		require.False(t, ok)
		require.ErrorContains(t, sub.Err(), `content encoding "br"`)
	})
}

// Faults 19: the limit holds for what comes out of the compression, so that a
// gzip bomb is one event too large, and costs no memory.
func TestGzipBomb(t *testing.T) {
	const size = 256 << 20
	var bomb bytes.Buffer
	z, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	require.NoError(t, err)
	_, err = io.WriteString(z, "data: a\n\ndata: ")
	require.NoError(t, err)
	_, err = io.Copy(z, io.LimitReader(zeros{}, size))
	require.NoError(t, err)
	_, err = io.WriteString(z, "\n\ndata: b\n\n")
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.Less(t, bomb.Len(), size/100)

	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	defer server.Close()
	var told []sse.Gap
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sub := client.Subscribe(t.Context(), server.URL, &client.Options{
		HTTPClient: server.Client(),
		OnGap:      func(gap sse.Gap) { told = append(told, gap) },
	})
	defer sub.Close()
	require.Equal(t, "a", string((<-sub.Events()).Data))
	require.Equal(t, "b", string((<-sub.Events()).Data))
	runtime.ReadMemStats(&after)
	require.Equal(t, []sse.Gap{{Reason: sse.ReasonSize}}, told)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
