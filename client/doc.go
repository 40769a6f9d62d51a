// Package client reads event streams and does not give up: it reconnects with
// back-off and the id of the last event, so that a hub's stream goes on exactly
// where it was.
//
//	sub := client.Subscribe(ctx, "https://example.com/events", &client.Options{
//		OnGap:   func(gap sse.Gap) { log.Print("missed: ", gap) },
//		OnRetry: func(err error, wait time.Duration) error { log.Print(err); return nil },
//	})
//	for m := range sub.Events() {
//		fmt.Println(m.Type, string(m.Data))
//	}
//	err := sub.Err()
//
// It works with any server that speaks Server-Sent Events. To a hub of ssehub
// it listens more closely: a loss that the hub tells of reaches
// [Options.OnGap], and the heartbeat that the hub promises makes a dead
// connection known.
package client
