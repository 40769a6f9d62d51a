package ssetest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// A handler of the application.
func countdown(w http.ResponseWriter, r *http.Request) {
	conn, err := sse.Upgrade(w, r)
	if err != nil {
		return
	}
	defer conn.Close()
	for n := 3; n > 0; n-- {
		if conn.WriteStringEvent("count", fmt.Sprint(n)) != nil {
			return
		}
	}
}

func ExampleRecorder() {
	rec := ssetest.NewRecorder()
	countdown(rec, httptest.NewRequest(http.MethodGet, "/", nil))

	fmt.Println(rec.Status(), rec.Header().Get("Content-Type"))
	for _, m := range rec.Messages() {
		fmt.Println(m.Type, string(m.Data))
	}
	// Output:
	// 200 text/event-stream
	// count 3
	// count 2
	// count 1
}

func ExampleRecorder_FailAfter() {
	rec := ssetest.NewRecorder()
	rec.FailAfter(40, fmt.Errorf("the client left")) // in mid-event
	countdown(rec, httptest.NewRequest(http.MethodGet, "/", nil))

	fmt.Println(len(rec.Messages()))
	// Output: 1
}

func ExampleServer() {
	hub := ssehub.New(nil)
	defer hub.Close()
	server := ssetest.NewServer(hub.Handler("prices"))
	defer server.Close()
	ctx := context.Background()
	start := hub.Position().String() // or it would begin with what comes after it is connected
	if _, err := hub.Publish(ctx, "prices", sse.Message{Type: "tick", Data: []byte("1.25")}); err != nil {
		fmt.Println(err)
		return
	}

	sub := client.Subscribe(ctx, server.URL, &client.Options{HTTPClient: server.Client(), LastEventID: start})
	defer sub.Close()
	m := <-sub.Events()
	fmt.Println(m.Type, string(m.Data))
	// Output: tick 1.25
}
