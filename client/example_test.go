package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

func ExampleSubscribe() {
	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") == "2" {
			w.WriteHeader(http.StatusNoContent) // no more
			return
		}
		conn, err := sse.Upgrade(w, r)
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.WriteEventWithID("1", "tick", []byte("one"))
		_ = conn.WriteEventWithID("2", "tick", []byte("two"))
	}))
	defer server.Close()

	sub := client.Subscribe(context.Background(), server.URL, &client.Options{
		HTTPClient: server.Client(),
		OnGap:      func(gap sse.Gap) { fmt.Println("missing:", gap.From, gap.To) },
	})
	for m := range sub.Events() {
		fmt.Println(m.ID, m.Type, string(m.Data))
	}
	fmt.Println(sub.Err())
	// Output:
	// 1 tick one
	// 2 tick two
	// <nil>
}

// A language model streams its answer to a POST, and ends it with [DONE].
func ExampleSubscribe_completion() {
	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prompt, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, word := range strings.Fields(string(prompt)) {
			fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"%s! \"}}]}\n\n", word)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	defer server.Close()

	sub := client.Subscribe(context.Background(), "", &client.Options{
		HTTPClient: server.Client(),
		NewRequest: func(ctx context.Context) (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("hello world"))
			if err == nil {
				req.Header.Set("Authorization", "Bearer a-fresh-token")
			}
			return req, err
		},
		Sentinel: "[DONE]",
	})
	type chunk struct {
		Choices []struct {
			Delta struct{ Content string }
		}
	}
	for c, err := range sse.JSON[chunk](sub.All()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(c.Choices[0].Delta.Content)
	}
	// Output: hello! world!
}

// A program that has saved how far it came goes on there, after a crash too:
// each id is saved once its message is dealt with.
func ExampleSubscribe_resume() {
	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := sse.Upgrade(w, r)
		if err != nil {
			return
		}
		defer conn.Close()
		for _, id := range []string{"a", "b", "c"} {
			if id > conn.LastEventID() {
				_ = conn.WriteEventWithID(id, "", []byte("order "+id))
			}
		}
		<-conn.Done()
	}))
	defer server.Close()

	saved := "" // in a file or a database
	run := func(crashAt string) {
		sub := client.Subscribe(context.Background(), server.URL, &client.Options{HTTPClient: server.Client(), LastEventID: saved})
		for m := range sub.All() {
			if m.ID == crashAt {
				return
			}
			fmt.Println(string(m.Data))
			saved = m.ID
			if saved == "c" {
				return
			}
		}
	}
	run("b")
	fmt.Println("crashed, and begun again")
	run("")
	// Output:
	// order a
	// crashed, and begun again
	// order b
	// order c
}

// Each type of event has a Go type of its own.
func ExampleSubscription_All() {
	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: joined\ndata: {\"name\":\"Ada\"}\n\n"+
			"event: moved\ndata: {\"name\":\"Ada\",\"x\":3}\n\n"+
			"event: left\ndata: {\"name\":\"Ada\"}\n\n")
	}))
	defer server.Close()

	type joined struct{ Name string }
	type moved struct {
		Name string
		X    int
	}
	sub := client.Subscribe(context.Background(), server.URL, &client.Options{HTTPClient: server.Client()})
	for m, err := range sub.All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch m.Type {
		case "joined":
			var event joined
			if json.Unmarshal(m.Data, &event) == nil {
				fmt.Println("hello,", event.Name)
			}
		case "moved":
			var event moved
			if json.Unmarshal(m.Data, &event) == nil {
				fmt.Println(event.Name, "is at", event.X)
			}
		default:
			return // and the Subscription is closed
		}
	}
	// Output:
	// hello, Ada
	// Ada is at 3
}
