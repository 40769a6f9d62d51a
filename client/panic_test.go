package client_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Faults 33: a panic of the application in a callback is not swallowed: it ends
// the process, as in any goroutine, with its own text.
func TestPanicInCallback(t *testing.T) {
	if name := os.Getenv("SSEHUB_PANIC"); name != "" {
		panicIn(name)
	}
	for _, name := range []string{"NewRequest", "OnRetry", "OnState", "OnComment", "OnGap", "OnLastEventID"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			require.NoError(t, err)
			child := exec.CommandContext(t.Context(), program, "-test.run=^TestPanicInCallback$", "-test.timeout=1m")
			child.Env = append(os.Environ(), "SSEHUB_PANIC="+name)
			out, err := child.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), "panic: of "+name)
		})
	}
}

// panicIn is the child process.
func panicIn(name string) {
	server := ssetest.NewServer(http.HandlerFunc(sends(":\nevent: ssehub.gap\ndata: {}\n\nid: 1\ndata: x\n\n")))
	at := func(where string) {
		if where == name {
			panic("of " + name)
		}
	}
	sub := client.Subscribe(context.Background(), server.URL, &client.Options{
		HTTPClient: server.Client(),
		NewRequest: func(ctx context.Context) (*http.Request, error) {
			at("NewRequest")
			return http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		},
		OnRetry:       func(error, time.Duration) error { at("OnRetry"); return nil },
		OnState:       func(client.State) { at("OnState") },
		OnComment:     func(string) { at("OnComment") },
		OnGap:         func(sse.Gap) { at("OnGap") },
		OnLastEventID: func(string) { at("OnLastEventID") },
	})
	for range sub.Events() {
	}
	os.Exit(0) // not reached
}
