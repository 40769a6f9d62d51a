package ssehub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// Publish once, and a reader over HTTP gets it.
func Example() {
	hub := ssehub.New(nil)
	defer hub.Close()
	server := ssetest.NewServer(hub.Handler("prices")) // your http.Server
	defer server.Close()

	start := hub.Position().String() // a first connect without it starts with what comes next
	sub := client.Subscribe(context.Background(), server.URL, &client.Options{
		HTTPClient:  server.Client(),
		LastEventID: start,
	})
	defer sub.Close()

	_, err := hub.Publish(context.Background(), "prices", sse.Message{Type: "tick", Data: []byte("12.50")})
	if err != nil {
		fmt.Println(err)
	}
	m := <-sub.Events()
	fmt.Println(m.Type, string(m.Data))
	// Output: tick 12.50
}

func ExampleHub_Subscribe() {
	hub := ssehub.New(nil)
	sub, err := hub.Subscribe(context.Background(), "prices", "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = hub.Publish(context.Background(), "prices", sse.Message{Data: []byte("12.50")})
	_, _ = hub.Publish(context.Background(), "orders", sse.Message{Data: []byte("3 pieces")})
	go hub.Shutdown(context.Background()) // ends the loop when it has got everything

	for m := range sub.Events() {
		fmt.Println(m.Topic, string(m.Data))
	}
	fmt.Println(sub.Err())
	// Output:
	// prices 12.50
	// orders 3 pieces
	// ssehub: hub closed
}

// A reader that comes back says what it had last, and gets the rest.
func ExampleHub_Resume() {
	hub := ssehub.New(nil)
	defer hub.Close()
	first, _ := hub.Publish(context.Background(), "prices", sse.Message{Data: []byte("1")})
	_, _ = hub.Publish(context.Background(), "prices", sse.Message{Data: []byte("2")})
	_, _ = hub.Publish(context.Background(), "prices", sse.Message{Data: []byte("3")})

	sub, err := hub.Resume(context.Background(), first.String(), "prices")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sub.Close()
	fmt.Println(string((<-sub.Events()).Data), string((<-sub.Events()).Data))
	// Output: 2 3
}

// A loss is a message of its own: here the history keeps two events.
func ExampleHub_Resume_gap() {
	hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 2}})
	defer hub.Close()
	first, _ := hub.Publish(context.Background(), "prices", sse.Message{Data: []byte("1")})
	for _, price := range []string{"2", "3", "4"} {
		_, _ = hub.Publish(context.Background(), "prices", sse.Message{Data: []byte(price)})
	}
	sub, err := hub.Resume(context.Background(), first.String(), "prices")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sub.Close()
	for range 3 {
		switch m := <-sub.Events(); m.Type {
		case sse.TypeGap:
			fmt.Println("something is missing, fetch the whole state")
		default:
			fmt.Println(string(m.Data))
		}
	}
	// Output:
	// something is missing, fetch the whole state
	// 3
	// 4
}

// The application upgrades the request itself, to speak first.
func ExampleHub_Serve() {
	hub := ssehub.New(nil)
	http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		conn, err := sse.Upgrade(w, r)
		if err != nil {
			return // the client was told
		}
		defer conn.Close()
		if conn.WriteStringEvent("welcome", "hello") == nil {
			_ = hub.Serve(r.Context(), conn, "prices")
		}
	})
}

// Topics that the request names are a matter of permission.
func ExampleOptions_authorize() {
	hub := ssehub.New(&ssehub.Options{
		Authorize: func(r *http.Request, topics []string) (ssehub.Grant, error) {
			user, _, ok := r.BasicAuth() // use a session in earnest
			if !ok {
				return ssehub.Grant{}, errors.New("no user")
			}
			for _, topic := range topics {
				if topic != "user."+user {
					return ssehub.Grant{Subject: user}, errors.New("not their topic")
				}
			}
			return ssehub.Grant{Subject: user, Expires: time.Now().Add(time.Hour)}, nil
		},
	})
	http.Handle("GET /mine", hub.Handler()) // ?topic=user.ann
}
