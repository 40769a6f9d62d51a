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
// It works with any server that speaks Server-Sent Events: the request may be a
// POST with a body and a fresh token ([Options.NewRequest]), a sentinel such as
// [DONE] may end the stream, and sse.JSON decodes what [Subscription.All]
// yields.
//
// To a hub of ssehub it listens more closely: a loss that the hub tells of
// reaches [Options.OnGap], the heartbeat that the hub promises makes a dead
// connection known, and an event that comes twice is delivered once.
//
// # What a server may do to it
//
// Its memory is bounded by a few times [Options.MaxEventSize], whatever comes: a
// larger event is skipped and told, after decompression, and comments that nobody
// asked for cost nothing. No answer, retry: or Retry-After makes it spin, overflow or wait
// for longer than Backoff.Max; an id that no header can carry is given up and
// told. Ids and secrets in headers do not follow a redirect to another origin.
// A connection must last for ten seconds to count as proof that the server is
// well, so that a fleet of clients does not storm one that is not.
package client
