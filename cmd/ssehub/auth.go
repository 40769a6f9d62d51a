package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub"
)

// authFlags say who may read and publish.
type authFlags struct {
	Anonymous  []string `placeholder:"PATTERN" help:"Topics that anybody may read: names or patterns, '>' is all."`
	AuthCookie string   `placeholder:"NAME" help:"Cookie that may hold the token in place of 'Authorization: Bearer', for pages."`

	tokenFlags
	jwtFlags
}

// patterns are topics and patterns.
type patterns []string

func (p patterns) match(topic string) bool {
	return slices.ContainsFunc(p, func(pattern string) bool { return ssehub.MatchTopic(pattern, topic) })
}

// rights are those of whoever shows a credential.
type rights struct {
	subject            string
	expires            time.Time
	subscribe, publish patterns
}

// errUnknown is what a verifier returns for a credential that is none of its kind.
var errUnknown = errors.New("no such token")

// verifier finds the rights of a credential. Its errors hold nothing of that.
type verifier func(ctx context.Context, credential string) (rights, error)

// auth decides about requests.
type auth struct {
	anonymous patterns
	cookie    string
	verifiers []verifier
}

// open returns an error if nobody could do anything: a server is never open by
// default.
func (f *authFlags) open(ctx context.Context, log *slog.Logger) (*auth, error) {
	a := &auth{anonymous: f.Anonymous, cookie: f.AuthCookie}
	tokens, publishers, err := f.tokenFlags.open()
	if err != nil {
		return nil, err
	}
	if tokens != nil {
		a.verifiers = append(a.verifiers, tokens)
	}
	web, err := f.jwtFlags.open(ctx, log)
	if err != nil {
		return nil, err
	}
	if web != nil {
		a.verifiers = append(a.verifiers, web)
	}
	if len(a.verifiers) == 0 && len(a.anonymous) == 0 {
		return nil, errors.New("nobody could read or publish: set --anonymous PATTERN for topics that anybody may read," +
			" and --publish-token, --subscribe-token, --tokens FILE, --jwt-secret, --jwt-key FILE or --jwks URL for who may do what")
	}
	if web == nil && !publishers {
		log.Warn("nobody may publish here: set --publish-token, --tokens or a key for JWT")
	}
	return a, nil
}

// identify returns what the request may do. Who shows a credential that does not hold
// is refused, also where nobody needs one.
func (a *auth) identify(r *http.Request) (rights, error) {
	credential, ok := a.credential(r)
	if !ok {
		return rights{subscribe: a.anonymous}, nil
	}
	err := errUnknown
	for _, verify := range a.verifiers {
		var who rights
		if who, err = verify(r.Context(), credential); err == nil {
			who.subscribe = slices.Concat(who.subscribe, a.anonymous)
			return who, nil
		} else if err != errUnknown {
			break
		}
	}
	return rights{}, err
}

func (a *auth) credential(r *http.Request) (string, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", true // which nobody has
		}
		return strings.TrimSpace(token), true
	}
	if a.cookie != "" {
		if cookie, err := r.Cookie(a.cookie); err == nil {
			return cookie.Value, true
		}
	}
	return "", false
}

// authorize is ssehub.Options.Authorize. A topic must be allowed; a pattern may be any,
// as of the topics that it meets only those are sent that are.
func (a *auth) authorize(r *http.Request, topics []string) (ssehub.Grant, error) {
	who, err := a.identify(r)
	if err != nil {
		return ssehub.Grant{}, err
	}
	grant := ssehub.Grant{Subject: who.subject, Expires: who.expires, AllowTopic: who.subscribe.match}
	if len(who.subscribe) == 0 {
		return grant, errors.New("may read nothing")
	}
	for _, topic := range topics {
		if !strings.ContainsAny(topic, "*>") && !who.subscribe.match(topic) {
			return grant, fmt.Errorf("may not read %s", topic)
		}
	}
	return grant, nil
}

// mayPublish returns a publishError if who may not publish to one of the topics.
func (who *rights) mayPublish(topics []string) error {
	for _, topic := range topics {
		switch {
		case !ssehub.MatchTopic(">", topic): // which all match
			return &publishError{http.StatusBadRequest, "no topic's name: " + topic}
		case !who.publish.match(topic):
			return &publishError{http.StatusForbidden, "may not publish to " + topic}
		}
	}
	return nil
}
