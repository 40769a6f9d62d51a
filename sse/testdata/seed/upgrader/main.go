// The second program of the seed's README, made to compile like the first.
package main

import (
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

type Person struct {
	Name string
	Age  int
}

var someChannel = make(chan string)

func main() {
	upgrader := sse.Upgrader{
		RetryTime: 5 * time.Second,
	}
	http.HandleFunc("/event", func(w http.ResponseWriter, r *http.Request) {
		conn, _ := upgrader.Upgrade(w, r)
		conn.WriteJson(&Person{
			Name: "Jan",
			Age:  17,
		})
		for {
			msg := <-someChannel
			conn.WriteString(msg)
		}
	})
	http.ListenAndServe(":80", nil)
}
