package ssehub_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"sync"
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

// A topic under Latest is a table: who comes later gets the newest value of each
// row.
func ExampleHub_PublishWith() {
	ctx := context.Background()
	hub := ssehub.New(&ssehub.Options{Overflow: ssehub.Latest})
	defer hub.Close()
	set := func(row, value string) {
		message := sse.Message{Data: []byte(row + "=" + value)}
		if _, err := hub.PublishWith(ctx, "table", message, ssehub.PublishOptions{Key: row}); err != nil {
			log.Print(err)
		}
	}
	set("a", "1")
	set("b", "1")
	set("a", "2")
	sub, err := hub.Subscribe(ctx, "table")
	if err != nil {
		log.Print(err)
		return
	}
	defer sub.Close()
	for range 2 {
		fmt.Printf("%s\n", (<-sub.Events()).Data)
	}
	// Output:
	// b=1
	// a=2
}

// A counter whose changes are events: a subscriber that is new gets the counter
// first, and then what is added to it.
func ExampleSnapshot() {
	ctx := context.Background()
	var hub *ssehub.Hub
	var mu sync.Mutex // a change and its event are one step
	var counter int
	var asOf ssehub.Position
	add := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		pos, err := hub.Publish(ctx, "counter", sse.Message{Type: "add", Data: strconv.AppendInt(nil, int64(n), 10)})
		if err != nil {
			log.Print(err)
			return
		}
		counter, asOf = counter+n, pos
	}
	hub = ssehub.New(&ssehub.Options{SnapshotFor: func(topic string) ssehub.Snapshot {
		if topic != "counter" {
			return nil
		}
		return func(context.Context, string) (sse.Message, ssehub.Position, error) {
			mu.Lock()
			defer mu.Unlock()
			return sse.Message{Type: "counter", Data: strconv.AppendInt(nil, int64(counter), 10)}, asOf, nil
		}
	}})
	defer hub.Close()
	add(3)
	add(4)
	sub, err := hub.Subscribe(ctx, "counter")
	if err != nil {
		log.Print(err)
		return
	}
	defer sub.Close()
	for range 2 {
		m := <-sub.Events()
		fmt.Printf("%s %s\n", m.Type, m.Data)
		if m.Type == "counter" {
			add(5)
		}
	}
	// Output:
	// counter 7
	// add 5
}

func ExampleTrace() {
	hub := ssehub.New(&ssehub.Options{Trace: &ssehub.Trace{
		Published: func(p ssehub.PublishInfo) { fmt.Println("published to", p.Topic) },
		Left:      func(s ssehub.SubscriberInfo, err error) { fmt.Println("left", s.Topics, err) },
	}})
	sub, err := hub.Subscribe(context.Background(), "news")
	if err != nil {
		log.Print(err)
		return
	}
	if _, err := hub.Publish(context.Background(), "news", sse.Message{}); err != nil {
		log.Print(err)
	}
	<-sub.Events()
	hub.Close()
	// Output:
	// published to news
	// left [news] ssehub: hub closed
}
