// The first program of the seed's README, made to compile: with an import path
// that exists, http.ListenAndServe and a declared channel.
package main

import (
	"net/http"

	"github.com/ssehub-go/ssehub/sse"
)

type Person struct {
	Name string
	Age  int
}

var someChannel = make(chan string)

func main() {
	http.HandleFunc("/event", func(w http.ResponseWriter, r *http.Request) {
		conn, _ := sse.Upgrade(w, r)
		conn.WriteJson(&Person{
			Name: "Jan",
			Age:  17,
		})
		conn.WriteXml(&Person{
			Name: "Ernst",
			Age:  23,
		})
		conn.WriteString("Hello how are you?")
		conn.WriteStringEvent("feed", "This is a message")
		for {
			msg := <-someChannel
			conn.WriteString(msg)
		}
	})
	http.ListenAndServe(":80", nil)
}
