package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/ssehub-go/ssehub/sse"
)

// What was published before a restart is there behind it, and ids go on.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	run := func(use func(hub *ssehub.Hub)) {
		log, err := bolt.Open(filepath.Join(dir, "events.db"), nil)
		if err != nil {
			panic(err)
		}
		defer log.Close()
		hub := ssehub.New(&ssehub.Options{Broker: log})
		defer hub.Close()
		use(hub)
	}
	var id ssehub.Position
	run(func(hub *ssehub.Hub) {
		id, err = hub.Publish(ctx, "news", sse.Message{Data: []byte("one")})
		if err != nil {
			panic(err)
		}
		if _, err := hub.Publish(ctx, "news", sse.Message{Data: []byte("two")}); err != nil {
			panic(err)
		}
	})
	run(func(hub *ssehub.Hub) {
		sub, err := hub.Resume(ctx, id.String(), "news")
		if err != nil {
			panic(err)
		}
		defer sub.Close()
		fmt.Println(string((<-sub.Events()).Data))
	})
	// Output: two
}
