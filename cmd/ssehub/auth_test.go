package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

const (
	secret      = "0123456789abcdef0123456789abcdef"
	readerToken = "a-token-that-reads-orders"
)

// sign makes a token that may read and publish orders.
func sign(t *testing.T, method jwt.SigningMethod, key any, change func(*claims, *jwt.Token)) string {
	t.Helper()
	c := claims{RegisteredClaims: jwt.RegisteredClaims{
		Subject: "alice", Issuer: "https://id.example/", Audience: jwt.ClaimStrings{"events"},
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}}
	c.Hub.Subscribe, c.Hub.Publish = patterns{"orders.*"}, patterns{"orders.eu"}
	token := jwt.NewWithClaims(method, &c)
	if change != nil {
		change(&c, token)
	}
	text, err := token.SignedString(key)
	require.NoError(t, err)
	return text
}

// Without a word about who may do what a server does not begin. (open by mistake)
func TestServeIsNotOpen(t *testing.T) {
	code, _, errs := command(t, "", "serve", "--listen", "127.0.0.1:0")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "set --anonymous PATTERN")
	require.NotContains(t, errs, "listening")
}

func TestServeRefusesWeakSecrets(t *testing.T) {
	for _, args := range [][]string{{"--publish-token", "short"}, {"--jwt-secret", "sixteen bytes..."}} {
		code, _, errs := command(t, "", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
		require.Equal(t, exitFailed, code)
		require.NotContains(t, errs, args[1])
	}
}

// What anybody may, and who has a token of the file.
func TestTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.json")
	require.NoError(t, os.WriteFile(file, []byte(`[{"token": "`+readerToken+`", "subject": "shop", "subscribe": ["orders.>"]}]`), 0o600))
	_, url := serve(t, nil, "--anonymous", "news,news.>", "--publish-token", testToken, "--tokens", file, "--auth-cookie", "token")
	for name, tt := range map[string]struct {
		header map[string]string
		events string // topic that is read
		read   int
		post   int // to a topic
	}{
		"anybody, a public topic":     {nil, "news", 200, 401},
		"anybody, below one":          {nil, "news.today", 200, 401},
		"anybody, another":            {nil, "orders.eu", 403, 401},
		"anybody, one of two":         {nil, "news&topic=orders.eu", 403, 401},
		"anybody, a pattern":          {nil, ">", 200, 401},
		"a token that reads":          {bearer(readerToken), "orders.eu", 200, 403},
		"and what anybody may":        {bearer(readerToken), "news", 200, 403},
		"and nothing else":            {bearer(readerToken), "secrets", 403, 403},
		"a token that publishes":      {bearer(testToken), "orders.eu", 403, 200},
		"a token nobody has":          {bearer("nobody-has-this-token"), "news", 403, 401},
		"the empty token":             {bearer(""), "news", 403, 401},
		"another scheme":              {map[string]string{"Authorization": "Basic YTpi"}, "news", 403, 401},
		"the cookie":                  {map[string]string{"Cookie": "token=" + readerToken}, "orders.eu", 200, 403},
		"a cookie of another name":    {map[string]string{"Cookie": "tokens=" + readerToken}, "orders.eu", 403, 401},
		"the scheme in small letters": {map[string]string{"Authorization": "bearer " + readerToken}, "orders.eu", 200, 403},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, _ := do(t, url, request{path: "/events?topic=" + tt.events, header: tt.header})
			require.Equal(t, tt.read, status, "read")
			status, header, _ := do(t, url, request{http.MethodPost, "/publish?topic=orders.eu", "x", tt.header})
			require.Equal(t, tt.post, status, "publish")
			require.Equal(t, status == http.StatusUnauthorized, header.Get("WWW-Authenticate") != "")
		})
	}
}

// JSON Web Tokens of each kind of key, and those that do not hold. (row 57, row 82)
func TestJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "keys.pem")
	var text strings.Builder
	for _, key := range []crypto.PublicKey{rsaKey.Public(), ecKey.Public(), edPublic} {
		der, err := x509.MarshalPKIXPublicKey(key)
		require.NoError(t, err)
		require.NoError(t, pem.Encode(&text, &pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	_, shared := serve(t, []string{"SSEHUB_JWT_SECRET=" + secret}, "--jwt-issuer", "https://id.example/", "--jwt-audience", "events")
	_, public := serve(t, nil, "--jwt-key", file)
	hs, rs := jwt.SigningMethodHS256, jwt.SigningMethodRS256
	for name, tt := range map[string]struct {
		url, token string
		topic      string
		read, post int
	}{
		"HS256":                {shared, sign(t, hs, []byte(secret), nil), "orders.eu", 200, 200},
		"a topic to read only": {shared, sign(t, hs, []byte(secret), nil), "orders.us", 200, 403},
		"another topic":        {shared, sign(t, hs, []byte(secret), nil), "news", 403, 403},
		"RS256":                {public, sign(t, rs, rsaKey, nil), "orders.eu", 200, 200},
		"ES256":                {public, sign(t, jwt.SigningMethodES256, ecKey, nil), "orders.eu", 200, 200},
		"EdDSA":                {public, sign(t, jwt.SigningMethodEdDSA, edKey, nil), "orders.eu", 200, 200},
		"another secret":       {shared, sign(t, hs, []byte("another"), nil), "orders.eu", 403, 401},
		"HS256 with the public key as its secret": {public, sign(t, hs, []byte(text.String()), nil), "orders.eu", 403, 401},
		"RS512":                {public, sign(t, jwt.SigningMethodRS512, rsaKey, nil), "orders.eu", 403, 401},
		"unsigned":             {shared, sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), "orders.eu", 403, 401},
		"too old":              {shared, sign(t, hs, []byte(secret), func(c *claims, _ *jwt.Token) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) }), "orders.eu", 403, 401},
		"without end":          {shared, sign(t, hs, []byte(secret), func(c *claims, _ *jwt.Token) { c.ExpiresAt = nil }), "orders.eu", 403, 401},
		"of another issuer":    {shared, sign(t, hs, []byte(secret), func(c *claims, _ *jwt.Token) { c.Issuer = "https://eve.example/" }), "orders.eu", 403, 401},
		"for another audience": {shared, sign(t, hs, []byte(secret), func(c *claims, _ *jwt.Token) { c.Audience = jwt.ClaimStrings{"mail"} }), "orders.eu", 403, 401},
		"nonsense":             {shared, "x.y.z", "orders.eu", 403, 401},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, _ := do(t, tt.url, request{path: "/events?topic=" + tt.topic, header: bearer(tt.token)})
			require.Equal(t, tt.read, status, "read")
			status, _, _ = do(t, tt.url, request{http.MethodPost, "/publish?topic=" + tt.topic, "x", bearer(tt.token)})
			require.Equal(t, tt.post, status, "publish")
		})
	}
}

// Keys that an identity provider changes are read again, when a token names one that is
// not known yet.
func TestJWKS(t *testing.T) {
	var set atomic.Pointer[jwkset.JWKSMarshal]
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(set.Load())
	}))
	defer provider.Close()
	rotate := func(name string) string {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: name}})
		require.NoError(t, err)
		set.Store(&jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
		return sign(t, jwt.SigningMethodEdDSA, key, func(_ *claims, token *jwt.Token) { token.Header["kid"] = name })
	}
	read := func(url, token string) int {
		status, _, _ := do(t, url, request{path: "/events?topic=orders.eu", header: bearer(token)})
		return status
	}
	old := rotate("first")
	_, url := serve(t, nil, "--jwks", provider.URL)
	require.Equal(t, 200, read(url, old))
	require.Equal(t, 200, read(url, rotate("second")))
	require.Equal(t, 403, read(url, rotate("third")), "not again so soon, as anybody can name keys")
}

// A stream ends with its token. (row 82)
func TestJWTExpires(t *testing.T) {
	_, url := serve(t, []string{"SSEHUB_JWT_SECRET=" + secret})
	end := time.Now().Add(2 * time.Second)
	token := sign(t, jwt.SigningMethodHS256, []byte(secret), func(c *claims, _ *jwt.Token) { c.ExpiresAt = jwt.NewNumericDate(end) })
	code, _, errs := command(t, "", "cat", url+"/events?topic=orders.eu", "--token", token)
	require.Equal(t, exitRefused, code)
	require.Contains(t, errs, "403")
	require.WithinRange(t, time.Now(), end.Add(-time.Second), end.Add(patience))
}
