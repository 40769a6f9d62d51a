package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
)

// tokenFlags are tokens that do not end by themselves.
type tokenFlags struct {
	SubscribeToken string `placeholder:"TOKEN" help:"Token that may read all topics."`
	PublishToken   string `placeholder:"TOKEN" help:"Token that may publish to all topics."`
	Tokens         string `placeholder:"FILE" help:"JSON list of {\"token\", \"subject\", \"subscribe\": [PATTERN…], \"publish\": [PATTERN…]}."`
}

// minToken is the least bytes of a token: 16 of them cannot be tried out.
const minToken = 16

// token is one of the file.
type token struct {
	Token     string   `json:"token"`
	Subject   string   `json:"subject"`
	Subscribe patterns `json:"subscribe"`
	Publish   patterns `json:"publish"`
}

// open returns nil if there are no tokens, and whether any may publish.
func (f *tokenFlags) open() (verify verifier, publishers bool, err error) {
	var list []token
	if f.Tokens != "" {
		text, err := os.ReadFile(f.Tokens)
		if err == nil {
			err = json.Unmarshal(text, &list)
		}
		if err != nil {
			return nil, false, fmt.Errorf("--tokens: %w", err)
		}
	}
	all := patterns{">"}
	if f.SubscribeToken != "" {
		list = append(list, token{Token: f.SubscribeToken, Subscribe: all})
	}
	if f.PublishToken != "" {
		list = append(list, token{Token: f.PublishToken, Publish: all})
	}
	// By their sums: how long a look takes then tells nothing of a token.
	known := make(map[[sha256.Size]byte]rights)
	for i, t := range list {
		if len(t.Token) < minToken {
			return nil, false, fmt.Errorf("token %d of %d has less than %d bytes; make one with: openssl rand -hex 16", i+1, len(list), minToken)
		}
		sum := sha256.Sum256([]byte(t.Token))
		who := known[sum] // one token may be for both
		who.subject = max(who.subject, t.Subject)
		who.subscribe = append(who.subscribe, t.Subscribe...)
		who.publish = append(who.publish, t.Publish...)
		known[sum] = who
		publishers = publishers || len(t.Publish) > 0
	}
	if len(known) == 0 {
		return nil, false, nil
	}
	return func(_ context.Context, credential string) (rights, error) {
		if who, ok := known[sha256.Sum256([]byte(credential))]; ok {
			return who, nil
		}
		return rights{}, errUnknown
	}, publishers, nil
}
