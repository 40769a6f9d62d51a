// Jwt is a stream for whoever has a JSON Web Token, and a client that gets itself a
// new one for each connect: when its token expires the stream ends, and goes on
// where it was with the next.
//
//	go run .
//
// It is a module of its own, because of the library that reads tokens.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

const drainTime = 5 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	life := flag.Duration("life", 5*time.Second, "how `long` a token is good for")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *life, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "jwt:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and reads what it serves.
func run(ctx context.Context, addr string, life time.Duration, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	keys := issuer(rand.Text())
	hub := ssehub.New(&ssehub.Options{Authorize: keys.authorize, Retry: 100 * time.Millisecond})
	server := &http.Server{Handler: hub.Handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	go tick(ctx, hub)

	url := fmt.Sprintf("http://%s/?topic=orders.*", listener.Addr())
	fmt.Fprintf(out, "Listen  curl -N -H 'Authorization: Bearer %s' '%s'\nStop    Ctrl-C\n", keys.token("you", time.Hour, "orders.>"), url)
	read(ctx, url, func() string { return keys.token("alice", life, "orders.eu", "chat.*") }, out)

	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err = errors.Join(hub.Shutdown(ctx), server.Shutdown(ctx), server.Close())
	<-served
	return err
}

// tick publishes two orders a second, of which one is nothing to alice.
func tick(ctx context.Context, hub *ssehub.Hub) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ticker.C:
			for _, topic := range []string{"orders.eu", "orders.us"} {
				_, _ = hub.Publish(ctx, topic, sse.Message{Data: fmt.Append(nil, n)}) // an error: it ends
			}
		case <-ctx.Done():
			return
		}
	}
}

// read prints what a client gets that asks for a token before each connect.
func read(ctx context.Context, url string, token func() string, out io.Writer) {
	sub := client.Subscribe(ctx, url, &client.Options{
		NewRequest: func(ctx context.Context) (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+token())
			}
			return req, err
		},
		OnState: func(s client.State) { fmt.Fprintf(out, "        %s\n", s) },
	})
	defer sub.Close()
	for m := range sub.Events() {
		fmt.Fprintf(out, "        %s %s\n", m.Topic, m.Data)
	}
	if err := sub.Err(); err != nil && ctx.Err() == nil {
		fmt.Fprintln(out, "        ended:", err)
	}
}

// issuer makes and reads tokens with its key.
type issuer []byte

// claims of a token: what may be read, as topics and patterns.
type claims struct {
	Topics []string `json:"topics"`
	jwt.RegisteredClaims
}

func (key issuer) token(subject string, life time.Duration, topics ...string) string {
	c := claims{topics, jwt.RegisteredClaims{Subject: subject, ExpiresAt: jwt.NewNumericDate(time.Now().Add(life))}}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(key))
	if err != nil {
		panic(err) // a key of bytes always signs
	}
	return signed
}

// authorize is ssehub.Options.Authorize. A topic must be among the claims; a pattern
// may be any, as of the topics that it meets only those are sent that are.
func (key issuer) authorize(r *http.Request, topics []string) (ssehub.Grant, error) {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ssehub.Grant{}, errors.New("no bearer token")
	}
	var c claims
	_, err := jwt.ParseWithClaims(bearer, &c, func(*jwt.Token) (any, error) { return []byte(key), nil },
		jwt.WithValidMethods([]string{"HS256"}), // else the token itself says how it is checked
		jwt.WithExpirationRequired())
	if err != nil {
		return ssehub.Grant{}, err // says what is wrong, and nothing of the token
	}
	for _, topic := range topics {
		if !strings.ContainsAny(topic, "*>") && !c.allow(topic) {
			return ssehub.Grant{Subject: c.Subject}, errors.New("topic not among the claims")
		}
	}
	return ssehub.Grant{Subject: c.Subject, Expires: c.ExpiresAt.Time, AllowTopic: c.allow}, nil
}

func (c *claims) allow(topic string) bool {
	return slices.ContainsFunc(c.Topics, func(pattern string) bool { return ssehub.MatchTopic(pattern, topic) })
}
