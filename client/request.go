package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ssehub-go/ssehub/sse"
)

// maxIDLen keeps an id from being refused as too large a header.
const maxIDLen = 4 << 10

// request makes the request of one attempt.
func (s *Subscription) request(ctx context.Context) (*http.Request, error) {
	req, err := s.newRequest(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-cache")
	switch {
	case s.lastID == "":
	case isHeaderValue(s.lastID):
		req.Header.Set("Last-Event-ID", s.lastID)
	default:
		// The standard allows ids that no header can carry. Failing on it would
		// fail for ever.
		if err := s.gap(ctx, sse.Gap{Reason: sse.ReasonInvalid, From: s.lastID}, ""); err != nil {
			return nil, err
		}
	}
	if s.fresh {
		s.renew(req.URL.Scheme)
	}
	return req, nil
}

func (s *Subscription) newRequest(ctx context.Context) (*http.Request, error) {
	if s.opts.NewRequest == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			return nil, permanentError{fmt.Errorf("client: %w", err)}
		}
		return req, nil
	}
	req, err := s.opts.NewRequest(ctx)
	if err != nil {
		return nil, fmt.Errorf("client: make request: %w", err)
	}
	if req == nil {
		return nil, permanentError{errors.New("client: NewRequest returned nothing")}
	}
	// A header that the application uses again must not keep our id.
	req = req.Clone(attempt{ctx, req.Context()})
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		// net/http follows 307 and 308 only with a body that it can send again.
		req.GetBody = func() (io.ReadCloser, error) {
			again, err := s.opts.NewRequest(ctx)
			if err != nil {
				return nil, err
			}
			if again == nil || again.Body == nil {
				return nil, errors.New("client: NewRequest returned no body again")
			}
			return again.Body, nil
		}
	}
	return req, nil
}

// renew leaves the connections of the network that there are, as behind one that
// is dead, or of another network: HTTP/2 would put each new request on it again.
// Others may need them, so the Subscription gets a pool of its own, unless only
// a transport's owner knows how to make one.
func (s *Subscription) renew(scheme string) {
	s.fresh = false
	transport := s.http.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	t, ok := transport.(*http.Transport)
	if !ok || scheme != "http" && scheme != "https" { // of RegisterProtocol, which Clone forgets
		s.http.CloseIdleConnections()
		return
	}
	s.leave()
	s.http.Transport, s.ownPool = t.Clone(), true
}

// leave closes the connections of a pool that nobody else uses.
func (s *Subscription) leave() {
	if s.ownPool {
		s.http.CloseIdleConnections()
	}
}

// attempt is the context of an attempt, with what the application has put into
// that of its request.
type attempt struct {
	context.Context
	values context.Context
}

func (a attempt) Value(key any) any {
	if v := a.Context.Value(key); v != nil {
		return v
	}
	return a.values.Value(key)
}

// isHeaderValue reports whether a header can carry s. Outer spaces are lost on
// the way, in browsers too, and do no harm unless nothing is left.
func isHeaderValue(s string) bool {
	if len(s) > maxIDLen {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return strings.Trim(s, " \t") != ""
}

// keptOnRedirect are the headers that another origin may see. Any other may be
// a secret of the application, as Authorization and Cookie are.
var keptOnRedirect = map[string]bool{
	"Accept":           true,
	"Accept-Encoding":  true,
	"Accept-Language":  true,
	"Cache-Control":    true,
	"Content-Encoding": true,
	"Content-Type":     true,
	"User-Agent":       true,
}

// checkRedirect keeps ids and secrets from other origins, also when one of them
// leads back, and then asks the application's own function. net/http would keep
// Authorization for another port, another scheme, and any subdomain.
func checkRedirect(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		home := origin(via[0].URL)
		for _, step := range append(via[1:len(via):len(via)], req) {
			if origin(step.URL) != home {
				keepOnly(req.Header, keptOnRedirect)
				break
			}
		}
		switch {
		case next != nil:
			return next(req, via)
		case len(via) >= 10:
			return errors.New("client: stopped after 10 redirects")
		default:
			return nil
		}
	}
}

func keepOnly(h http.Header, names map[string]bool) {
	for name := range h {
		if !names[name] {
			delete(h, name)
		}
	}
}

// origin is what RFC 6454 compares, with the port that a scheme stands for.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
