package nats_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/nats"
	"github.com/ssehub-go/ssehub/sse"
)

// Two hubs, on two machines in earnest, have one log.
func ExampleOpen() {
	url, stop := exampleServer()
	defer stop()

	ctx := context.Background()
	events, err := nats.Open(ctx, url, &nats.Options{Memory: true})
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()
	here := ssehub.New(&ssehub.Options{Broker: events})
	defer here.Close()
	there := ssehub.New(&ssehub.Options{Broker: events})
	defer there.Close()

	sub, err := there.Subscribe(ctx, "prices")
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if _, err := here.Publish(ctx, "prices", sse.Message{Data: []byte("12.50")}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", (<-sub.Events()).Data)
	// Output: 12.50
}

// exampleServer is for this example: yours runs already.
func exampleServer() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "nats")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		log.Fatal("no server")
	}
	return s.ClientURL(), func() { s.Shutdown(); s.WaitForShutdown(); os.RemoveAll(dir) }
}
