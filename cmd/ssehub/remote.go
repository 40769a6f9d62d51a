package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// remoteFlags say which server, and who asks.
type remoteFlags struct {
	URL    string   `arg:"" help:"Where it is. http:// may be left out, and so may the path of a server of ssehub."`
	Topic  []string `short:"t" sep:"none" placeholder:"NAME" help:"A topic; may be given several times."`
	Token  string   `env:"SSEHUB_TOKEN" placeholder:"TOKEN" help:"Sent as 'Authorization: Bearer'."`
	Header []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"A header; may be given several times."`
}

// endpoint returns the URL with the topics; path is for one that has none.
func (f *remoteFlags) endpoint(path string) (string, error) {
	text := f.URL
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("no URL of a server: %s", f.URL)
	}
	if u.Path == "" {
		u.Path = path
	}
	query := u.Query()
	for _, topic := range f.Topic {
		query.Add("topic", topic)
	}
	if len(f.Topic) > 0 {
		u.RawQuery = query.Encode()
	}
	return u.String(), nil
}

// request makes a request with the headers.
func (f *remoteFlags) request(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "ssehub")
	if f.Token != "" {
		req.Header.Set("Authorization", "Bearer "+f.Token)
	}
	for _, text := range f.Header {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("--header %q has no colon", text)
		}
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			req.Host = value
		} else {
			req.Header.Add(name, value)
		}
	}
	return req, nil
}

// isRefusal reports whether a status says that who asks may not.
func isRefusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}
