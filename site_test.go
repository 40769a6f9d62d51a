package ssehub_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/stretchr/testify/require"
)

// head asks for a stream with HEAD, which gets the same answer without a body.
func head(hub *ssehub.Hub, set func(*http.Request)) *http.Response {
	r := httptest.NewRequest(http.MethodHead, "http://app.example/", nil)
	set(r)
	w := httptest.NewRecorder()
	hub.Handler("n").ServeHTTP(w, r)
	return w.Result()
}

// Pages of other origins get nothing unless they are named, whole and exactly.
// Faults 84, 86.
func TestOrigins(t *testing.T) {
	const app, other = "https://app.example", "https://other.example"
	for name, tt := range map[string]struct {
		allowed []string
		origin  string
		site    string // Sec-Fetch-Site
		status  int
		acao    string
		creds   bool
	}{
		"no browser":                       {nil, "", "", 200, "", false},
		"own page":                         {nil, "", "same-origin", 200, "", false},
		"typed":                            {nil, "", "none", 200, "", false},
		"own page, old browser":            {nil, app, "", 200, "", false},
		"own page behind TLS":              {nil, "http://app.example", "", 200, "", false},
		"own page, in capitals":            {nil, "https://APP.example", "", 200, "", false},
		"own page says so":                 {nil, app, "same-origin", 200, "", false},
		"another site":                     {nil, other, "cross-site", 403, "", false},
		"another site without CORS":        {nil, "", "cross-site", 403, "", false},
		"a subdomain":                      {nil, "https://x.app.example", "same-site", 403, "", false},
		"another site, old browser":        {nil, other, "", 403, "", false},
		"no origin of its own":             {nil, "null", "", 403, "", false},
		"no URL":                           {nil, "%", "", 403, "", false},
		"allowed":                          {[]string{other}, other, "cross-site", 200, other, true},
		"allowed, old browser":             {[]string{app, other}, other, "", 200, other, true},
		"not allowed, another is":          {[]string{other}, "https://third.example", "cross-site", 403, "", false},
		"longer":                           {[]string{other}, "https://evil-other.example", "cross-site", 403, "", false},
		"longer behind":                    {[]string{other}, other + ".evil", "cross-site", 403, "", false},
		"other scheme":                     {[]string{other}, "http://other.example", "cross-site", 403, "", false},
		"other port":                       {[]string{other}, other + ":8443", "cross-site", 403, "", false},
		"allowed, but it does not say who": {[]string{other}, "", "cross-site", 403, "", false},
		"all":                              {[]string{"*"}, other, "cross-site", 200, "*", false},
		"all, and one by name":             {[]string{"*", other}, other, "cross-site", 200, other, true},
		"null is not all":                  {[]string{other}, "null", "cross-site", 403, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{AllowedOrigins: tt.allowed})
			res := head(hub, func(r *http.Request) {
				for key, value := range map[string]string{"Origin": tt.origin, "Sec-Fetch-Site": tt.site} {
					if value != "" {
						r.Header.Set(key, value)
					}
				}
			})
			require.Equal(t, tt.status, res.StatusCode)
			require.Equal(t, tt.acao, res.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, tt.creds, res.Header.Get("Access-Control-Allow-Credentials") == "true")
			if len(tt.allowed) > 0 {
				require.Equal(t, "Origin", res.Header.Get("Vary"))
			}
			require.Equal(t, tt.status == 403, hub.Stats().Refused["site"] == 1)
		})
	}
}

// What a middleware in front has allowed is allowed, and not said twice.
func TestOriginsByMiddleware(t *testing.T) {
	hub := newHub(t, nil)
	r := httptest.NewRequest(http.MethodHead, "/", nil)
	r.Header.Set("Origin", "https://other.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	w.Header().Set("Access-Control-Allow-Origin", "https://other.example")
	hub.Handler("n").ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	require.Len(t, w.Header().Values("Access-Control-Allow-Origin"), 1)
}

// A browser asks before it sends what an EventSource does not.
func TestPreflight(t *testing.T) {
	hub := newHub(t, &ssehub.Options{AllowedOrigins: []string{"https://app.example"}})
	ask := func(origin string) http.Header {
		r := httptest.NewRequest(http.MethodOptions, "/", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		w := httptest.NewRecorder()
		hub.Handler("n").ServeHTTP(w, r)
		return w.Result().Header
	}
	allowed := ask("https://app.example")
	require.Equal(t, "https://app.example", allowed.Get("Access-Control-Allow-Origin"))
	require.Contains(t, allowed.Get("Access-Control-Allow-Headers"), "Authorization")
	require.Contains(t, allowed.Get("Access-Control-Allow-Headers"), "Last-Event-ID")
	require.Contains(t, allowed.Get("Access-Control-Allow-Methods"), "GET")
	for key := range ask("https://evil.example") {
		require.False(t, strings.HasPrefix(key, "Access-Control-"), key)
	}
}

// A name that was made to resolve to this machine is not this machine's. Faults 85.
func TestHosts(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080} }
	for name, tt := range map[string]struct {
		allowed []string
		local   net.Addr
		host    string
		status  int
	}{
		"no network":             {nil, nil, "evil.example", 200},
		"from outside":           {nil, tcp("10.0.0.1"), "app.example", 200},
		"rebound":                {nil, tcp("127.0.0.1"), "evil.example", 421},
		"rebound, port":          {nil, tcp("127.0.0.1"), "evil.example:8080", 421},
		"rebound, IPv6":          {nil, tcp("::1"), "evil.example", 421},
		"like localhost":         {nil, tcp("127.0.0.1"), "localhost.evil.example", 421},
		"another address":        {nil, tcp("127.0.0.1"), "10.0.0.1", 421},
		"localhost":              {nil, tcp("127.0.0.1"), "localhost:8080", 200},
		"localhost in capitals":  {nil, tcp("127.0.0.1"), "LOCALHOST", 200},
		"below localhost":        {nil, tcp("127.0.0.1"), "app.localhost", 200},
		"the address":            {nil, tcp("127.0.0.1"), "127.0.0.1:8080", 200},
		"the address in IPv6":    {nil, tcp("::1"), "[::1]:8080", 200},
		"HTTP/1.0":               {nil, tcp("127.0.0.1"), "", 200},
		"allowed":                {[]string{"app.example"}, tcp("127.0.0.1"), "App.example", 200},
		"allowed with any port":  {[]string{"app.example"}, tcp("10.0.0.1"), "app.example:81", 200},
		"allowed with this port": {[]string{"app.example:81"}, tcp("10.0.0.1"), "app.example:81", 200},
		"other port":             {[]string{"app.example:81"}, tcp("10.0.0.1"), "app.example:82", 421},
		"not among the allowed":  {[]string{"app.example"}, tcp("10.0.0.1"), "evil-app.example", 421},
		"all":                    {[]string{"*"}, tcp("127.0.0.1"), "evil.example", 200},
	} {
		t.Run(name, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{AllowedHosts: tt.allowed})
			res := head(hub, func(r *http.Request) {
				r.Host = tt.host
				if tt.local != nil {
					*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local))
				}
			})
			require.Equal(t, tt.status, res.StatusCode)
		})
	}
}
