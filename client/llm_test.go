package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// The streams of two families of language models, in the shape that they have:
// testdata holds them, made up for this test.
const answerOfModels = "Server-Sent Events are a log: \nan \"id\" resumes it, 日本 ✓."

// askModel subscribes by POST to a model whose whole answer is in file, cut into
// pieces by slice.
func askModel(t *testing.T, file string, slice func(io.Reader) io.Reader, opts client.Options) *client.Subscription {
	t.Helper()
	answer, err := os.ReadFile(file)
	require.NoError(t, err)
	opts.HTTPClient = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		question, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		require.Equal(t, `{"stream":true}`, string(question))
		require.Equal(t, "Bearer key", req.Header.Get("Authorization"))
		return respond(req, http.StatusOK, io.NopCloser(slice(strings.NewReader(string(answer)))), "Content-Type", "text/event-stream; charset=utf-8"), nil
	})}
	opts.NewRequest = func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://home/v1", strings.NewReader(`{"stream":true}`))
		if err == nil {
			req.Header.Set("Authorization", "Bearer key")
		}
		return req, err
	}
	return client.Subscribe(t.Context(), "", &opts)
}

var slices = map[string]func(io.Reader) io.Reader{
	"whole":        func(r io.Reader) io.Reader { return r },
	"byte by byte": iotest.OneByteReader,
	"halves":       iotest.HalfReader,
}

func TestOpenAIStyle(t *testing.T) {
	type chunk struct {
		Choices []struct {
			Delta struct{ Content string }
		}
		Usage *struct {
			Total int `json:"total_tokens"`
		}
	}
	for name, slice := range slices {
		t.Run(name, func(t *testing.T) {
			sub := askModel(t, "testdata/openai.txt", slice, client.Options{Sentinel: "[DONE]"})
			var text strings.Builder
			tokens := 0
			for c, err := range sse.JSON[chunk](sub.All()) {
				require.NoError(t, err)
				for _, choice := range c.Choices {
					text.WriteString(choice.Delta.Content)
				}
				if c.Usage != nil {
					tokens = c.Usage.Total
				}
			}
			require.NoError(t, sub.Err())
			require.Equal(t, answerOfModels, text.String())
			require.Equal(t, 27, tokens)
		})
	}
}

func TestAnthropicStyle(t *testing.T) {
	type event struct {
		Type  string
		Delta struct{ Text string }
	}
	for name, slice := range slices {
		t.Run(name, func(t *testing.T) {
			sub := askModel(t, "testdata/anthropic.txt", slice, client.Options{})
			var text strings.Builder
			var types []string
			for m, err := range sub.All() {
				require.NoError(t, err)
				if len(types) == 0 || types[len(types)-1] != m.Type {
					types = append(types, m.Type)
				}
				var e event
				require.NoError(t, json.Unmarshal(m.Data, &e))
				require.Equal(t, m.Type, e.Type)
				text.WriteString(e.Delta.Text)
				if m.Type == "message_stop" {
					break
				}
			}
			require.NoError(t, sub.Err())
			require.Equal(t, answerOfModels, text.String())
			require.Equal(t, []string{"message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}, types)
		})
	}
}
