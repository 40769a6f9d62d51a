package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// jwtFlags say which JSON Web Tokens hold.
type jwtFlags struct {
	JWTSecret   string        `name:"jwt-secret" placeholder:"SECRET" xor:"jwt" help:"Secret of tokens with HS256, 32 bytes or more."`
	JWTKey      string        `name:"jwt-key" placeholder:"FILE" xor:"jwt" help:"Public keys, PEM, of tokens with RS256, ES256 or EdDSA."`
	JWKS        string        `name:"jwks" placeholder:"URL" xor:"jwt" help:"JSON Web Key Set with such keys."`
	JWKSRefresh time.Duration `name:"jwks-refresh" default:"1h" help:"When to read it again. An unknown key has it read too, at most every 30 s."`
	JWTIssuer   string        `name:"jwt-issuer" placeholder:"ISS" help:"Issuer that tokens must name."`
	JWTAudience string        `name:"jwt-audience" placeholder:"AUD" help:"Audience that tokens must name."`
}

// claims of a token. Topics and patterns are below a name of our own, as others may
// have claims of these names, too.
type claims struct {
	Hub struct {
		Subscribe patterns `json:"subscribe"`
		Publish   patterns `json:"publish"`
	} `json:"ssehub"`
	jwt.RegisteredClaims
}

// minSecret is what RFC 7518, section 3.2, asks of HS256.
const minSecret = 32

const (
	keyPatience = 10 * time.Second // how long a key set may take to answer
	keyPace     = 30 * time.Second // between two reads for unknown keys, which anybody can name
)

// open returns nil if there is no key.
func (f *jwtFlags) open(ctx context.Context, log *slog.Logger) (verifier, error) {
	methods := []string{"RS256", "ES256", "EdDSA"} // else the token itself says how it is checked
	var key func(context.Context) jwt.Keyfunc
	switch {
	case f.JWTSecret != "":
		if len(f.JWTSecret) < minSecret {
			return nil, fmt.Errorf("--jwt-secret has less than %d bytes", minSecret)
		}
		methods, key = []string{"HS256"}, always([]byte(f.JWTSecret))
	case f.JWTKey != "":
		keys, err := readKeys(f.JWTKey)
		if err != nil {
			return nil, fmt.Errorf("--jwt-key: %w", err)
		}
		key = always(keys)
	case f.JWKS != "":
		set, err := f.keySet(ctx, log)
		if err != nil {
			return nil, fmt.Errorf("--jwks: %w", err)
		}
		key = set.KeyfuncCtx
	default:
		return nil, nil
	}
	opts := []jwt.ParserOption{jwt.WithValidMethods(methods), jwt.WithExpirationRequired()}
	if f.JWTIssuer != "" {
		opts = append(opts, jwt.WithIssuer(f.JWTIssuer))
	}
	if f.JWTAudience != "" {
		opts = append(opts, jwt.WithAudience(f.JWTAudience))
	}
	parser := jwt.NewParser(opts...)
	return func(ctx context.Context, credential string) (rights, error) {
		var c claims
		if _, err := parser.ParseWithClaims(credential, &c, key(ctx)); err != nil {
			return rights{}, err // says what is wrong, and nothing of the token
		}
		return rights{c.Subject, c.ExpiresAt.Time, c.Hub.Subscribe, c.Hub.Publish}, nil
	}, nil
}

func always(key any) func(context.Context) jwt.Keyfunc {
	return func(context.Context) jwt.Keyfunc {
		return func(*jwt.Token) (any, error) { return key, nil }
	}
}

// keySet reads the set now and again until ctx ends. One that does not answer now is
// no reason not to serve those who are allowed otherwise.
func (f *jwtFlags) keySet(ctx context.Context, log *slog.Logger) (keyfunc.Keyfunc, error) {
	return keyfunc.NewDefaultOverrideCtx(ctx, []string{f.JWKS}, keyfunc.Override{
		HTTPTimeout:       keyPatience,
		RefreshInterval:   f.JWKSRefresh,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(keyPace), 1),
		RateLimitWaitMax:  keyPatience, // the read included
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(_ context.Context, err error) { log.Error("key set not read", "error", err) }
		},
	})
}

// readKeys reads the public keys of a file of PEM.
func readKeys(path string) (jwt.VerificationKeySet, error) {
	var set jwt.VerificationKeySet
	text, err := os.ReadFile(path)
	if err != nil {
		return set, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return set, err
		}
		switch key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
			set.Keys = append(set.Keys, key.(crypto.PublicKey))
		default:
			return set, fmt.Errorf("no use for a key of type %T", key)
		}
	}
	if len(set.Keys) == 0 {
		return set, errors.New("no public key in PEM")
	}
	return set, nil
}
