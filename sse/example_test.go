package sse_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

func ExampleUpgrade() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := sse.Upgrade(w, r)
		if err != nil {
			return // the client was already told
		}
		defer conn.Close()
		_ = conn.Send(sse.Message{ID: "1", Type: "tick", Data: []byte("12:00")})
	}))
	defer server.Close()

	res, err := http.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	_, _ = io.Copy(os.Stdout, res.Body)
	// Output:
	// :
	// event: tick
	// data: 12:00
	// id: 1
}

func ExampleMessage_AppendText() {
	frame, err := sse.Message{ID: "7", Data: []byte("one\r\ntwo"), Retry: 5 * time.Second}.AppendText(nil)
	fmt.Printf("%s%v\n", frame, err)
	_, err = sse.Message{Type: "a\ndata: forged"}.AppendText(nil)
	fmt.Println(err)
	// Output:
	// retry: 5000
	// data: one
	// data: two
	// id: 7
	//
	// <nil>
	// sse: invalid field: type "a\ndata: forged"
}

func ExampleDecoder() {
	dec := sse.NewDecoder(strings.NewReader("id: 1\ndata: a\n\nevent: tick\ndata: b\n\ndata: unfinished"))
	for {
		var m sse.Message
		if err := dec.Decode(&m); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q %q %q\n", m.ID, m.Type, m.Data)
	}
	// Output:
	// "1" "" "a"
	// "1" "tick" "b"
	// EOF
}

func ExampleEvents() {
	body := strings.NewReader("event: add\ndata: one\n\n: ping\nevent: remove\ndata: two\n\n")
	for m, err := range sse.Events(body) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(m.Type, string(m.Data))
	}
	// Output:
	// add one
	// remove two
}

// The answer of a language model, chunk by chunk.
func ExampleJSON() {
	type chunk struct {
		Choices []struct {
			Delta struct{ Content string }
		}
	}
	body := strings.NewReader(`data: {"choices":[{"delta":{"content":"Hello"}}]}

data: {"choices":[{"delta":{"content":" world"}}]}

data: [DONE]

`)
	for c, err := range sse.JSON[chunk](sse.Until(sse.Events(body), "[DONE]")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(c.Choices[0].Delta.Content)
	}
	// Output: Hello world
}

func ExampleNotify() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := sse.Upgrade(w, r)
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.WriteStringEvent("greeting", "hello")
	}))
	defer server.Close()

	evCh := make(chan *sse.Event)
	go func() {
		defer close(evCh)
		if err := sse.Notify(server.URL, nil, nil, evCh); err != nil {
			fmt.Println(err)
		}
	}()
	for ev := range evCh {
		data, _ := io.ReadAll(ev.Data)
		fmt.Println(ev.Type, string(data))
	}
	// Output: greeting hello
}
