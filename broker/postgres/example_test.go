package postgres_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/postgres"
	"github.com/ssehub-go/ssehub/sse"
)

// An order and the event that tells of it are committed together, or neither is. (It
// needs a server and is not run here.)
func ExampleLog_AppendTx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	events := postgres.New(pool, nil)
	defer events.Close()
	hub := ssehub.New(&ssehub.Options{Broker: events}) // and in other processes
	defer hub.Close()
	if err := hub.Ready(ctx); err != nil {
		log.Fatal(err)
	}

	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE orders SET state = 'paid' WHERE id = $1`, 7); err != nil {
			return err
		}
		_, err := events.AppendTx(ctx, tx, ssehub.Event{
			Topics:  []string{"orders.7"},
			Message: sse.Message{Type: "paid", Data: []byte(`{"order":7}`)},
		})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}
