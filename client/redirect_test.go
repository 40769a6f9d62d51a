package client_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// subscribeVia subscribes to http://home/ with secrets, and with a POST if there
// is a body; answer is the whole world. It returns the requests until the first
// event, or the end.
func subscribeVia(t *testing.T, body string, answer roundTrip) (requests []*http.Request, err error) {
	t.Helper()
	world := roundTrip(func(req *http.Request) (*http.Response, error) {
		requests = append(requests, req)
		return answer(req)
	})
	sub := client.Subscribe(t.Context(), "", &client.Options{
		HTTPClient:  &http.Client{Transport: world},
		LastEventID: "41",
		NewRequest: func(ctx context.Context) (*http.Request, error) {
			method, reader := http.MethodGet, io.Reader(nil)
			if body != "" { // of a type that net/http cannot repeat by itself
				method, reader = http.MethodPost, io.MultiReader(strings.NewReader(body))
			}
			req, err := http.NewRequestWithContext(ctx, method, "http://home/", reader)
			if err == nil {
				req.Header = http.Header{"Authorization": {"token"}, "X-Api-Key": {"key"}, "User-Agent": {"test"}}
			}
			return req, err
		},
	})
	<-sub.Events()
	sub.Close()
	for range sub.Events() {
	}
	return requests, sub.Err()
}

// Faults 27: ids and secrets are for the origin they are from, and for no
// other, nor for one that another has led to.
func TestRedirectSecrets(t *testing.T) {
	for name, tt := range map[string]struct {
		path string // of redirects, from http://home/
		kept bool
	}{
		"same":                     {"http://home/x", true},
		"relative":                 {"/x", true},
		"same, in other words":     {"http://home:80/x", true},
		"another host":             {"http://evil/x", false},
		"a subdomain":              {"http://sub.home/x", false},
		"another port":             {"http://home:8080/x", false},
		"another scheme":           {"https://home/x", false},
		"there and back":           {"http://evil/x http://home/x", false},
		"far away":                 {"http://home/x http://evil/x http://evil/y", false},
		"twice at home":            {"http://home/x http://home/y", true},
		"user and password appear": {"http://user:password@evil/x", false},
	} {
		t.Run(name, func(t *testing.T) {
			steps := strings.Fields(tt.path)
			i := 0
			requests, err := subscribeVia(t, "", func(req *http.Request) (*http.Response, error) {
				if i < len(steps) {
					i++
					return respond(req, http.StatusTemporaryRedirect, http.NoBody, "Location", steps[i-1]), nil
				}
				return respond(req, http.StatusOK, text("data: x\n\n")), nil
			})
			require.NoError(t, err)
			require.Len(t, requests, len(steps)+1)
			last := requests[len(steps)].Header
			require.Equal(t, "text/event-stream", last.Get("Accept"))
			require.Equal(t, "test", last.Get("User-Agent"))
			if tt.kept {
				require.Equal(t, []string{"41", "token", "key"}, []string{last.Get("Last-Event-ID"), last.Get("Authorization"), last.Get("X-Api-Key")})
			} else {
				require.NotContains(t, last, "Last-Event-Id")
				require.NotContains(t, last, "X-Api-Key")
				require.NotContains(t, last, "Referer")
				require.NotEqual(t, "token", last.Get("Authorization"))
			}
		})
	}
}

// Which redirects keep the method and the body, whatever the origin.
func TestRedirectMethods(t *testing.T) {
	for code, keeps := range map[int]bool{301: false, 302: false, 303: false, 307: true, 308: true} {
		for _, body := range []string{"", "question"} {
			requests, err := subscribeVia(t, body, func(req *http.Request) (*http.Response, error) {
				if req.URL.Path == "/" {
					return respond(req, code, http.NoBody, "Location", "/x"), nil
				}
				if req.Body != nil {
					got, err := io.ReadAll(req.Body)
					require.NoError(t, err)
					require.Equal(t, body, string(got))
				}
				return respond(req, http.StatusOK, text("data: x\n\n")), nil
			})
			require.NoError(t, err)
			require.Len(t, requests, 2, "%d", code)
			if keeps && body != "" {
				require.Equal(t, http.MethodPost, requests[1].Method, "%d", code)
				require.NotNil(t, requests[1].Body)
			} else {
				require.Equal(t, http.MethodGet, requests[1].Method, "%d", code)
				require.Nil(t, requests[1].Body)
			}
		}
	}
}

// A redirect to nowhere is an answer that ends the Subscription, and one in a
// circle a failure to retry.
func TestRedirectNowhere(t *testing.T) {
	for _, code := range []int{301, 307} {
		requests, err := subscribeVia(t, "", func(req *http.Request) (*http.Response, error) {
			return respond(req, code, text("where to?")), nil
		})
		var res *sse.ResponseError
		require.ErrorAs(t, err, &res)
		require.Equal(t, code, res.StatusCode)
		require.Equal(t, "where to?", string(res.Body))
		require.Len(t, requests, 1)
	}
	var failed error
	sub := client.Subscribe(t.Context(), "http://home/", &client.Options{
		HTTPClient: &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			return respond(req, http.StatusFound, http.NoBody, "Location", "/"), nil
		})},
		OnRetry: func(err error, _ time.Duration) error { failed = err; return err },
	})
	<-sub.Events()
	require.ErrorContains(t, failed, "stopped after 10 redirects")
}

// The application's own rule for redirects is asked last, and may add a secret
// again where it knows better.
func TestRedirectByRule(t *testing.T) {
	var seen string
	sub := client.Subscribe(t.Context(), "http://home/", &client.Options{
		LastEventID: "41",
		HTTPClient: &http.Client{
			CheckRedirect: func(req *http.Request, _ []*http.Request) error {
				require.NotContains(t, req.Header, "Last-Event-Id")
				req.Header.Set("X-Api-Key", "key")
				return nil
			},
			Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.URL.Host == "home" {
					return respond(req, http.StatusFound, http.NoBody, "Location", "http://friend/"), nil
				}
				seen = req.Header.Get("X-Api-Key")
				return respond(req, http.StatusOK, text("data: x\n\n")), nil
			}),
		},
	})
	<-sub.Events()
	sub.Close()
	for range sub.Events() {
	}
	require.Equal(t, "key", seen)
}

// A body that cannot be had again is a failure, not a crash.
func TestRedirectWithoutBody(t *testing.T) {
	calls := 0
	sub := client.Subscribe(t.Context(), "", &client.Options{
		HTTPClient: &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			return respond(req, http.StatusTemporaryRedirect, http.NoBody, "Location", "/x"), nil
		})},
		NewRequest: func(ctx context.Context) (*http.Request, error) {
			if calls++; calls > 1 {
				return nil, nil
			}
			return http.NewRequestWithContext(ctx, http.MethodPost, "http://home/", io.MultiReader(strings.NewReader("x")))
		},
		OnRetry: func(err error, _ time.Duration) error { return err },
	})
	<-sub.Events()
	require.ErrorContains(t, sub.Err(), "NewRequest returned no body again")
}
