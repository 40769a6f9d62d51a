package redis_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/redis/rueidis"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/redis"
	"github.com/ssehub-go/ssehub/sse"
)

// Two hubs, on two machines in earnest, have one log. (It needs a server and is not
// run here.)
func ExampleOpen() {
	ctx := context.Background()
	events, err := redis.Open(ctx, "redis://127.0.0.1:6379", nil)
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
}

// A client of the application's own: here one that asks Sentinel for the master.
func ExampleNew() {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:      []string{"10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"},
		Sentinel:         rueidis.SentinelOption{MasterSet: "main"},
		DisableRetry:     true, // a Read that fails says so at once
		ConnWriteTimeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	hub := ssehub.New(&ssehub.Options{Broker: redis.New(client, &redis.Options{Name: "prices"})})
	defer hub.Close()
}
