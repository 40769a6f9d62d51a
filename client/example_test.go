package client_test

import (
	"context"
	"fmt"
	"net/http"

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
