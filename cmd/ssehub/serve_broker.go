package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/ssehub-go/ssehub/broker/nats"
	"github.com/ssehub-go/ssehub/broker/postgres"
	"github.com/ssehub-go/ssehub/broker/redis"
)

// brokerFlags say where the log is.
type brokerFlags struct {
	Broker         string        `default:"memory:" placeholder:"URL" help:"memory:, file:PATH, nats://…, redis://…, rediss://… or postgres://…"`
	BrokerEvents   int           `default:"100000" help:"Events that a broker keeps; negative means no limit. A server reads them all when it starts."`
	BrokerAge      time.Duration `default:"24h" help:"Age of these."`
	BrokerName     string        `default:"ssehub" help:"Of the stream, key or table that holds the log."`
	NATSReplicas   int           `name:"nats-replicas" default:"1" help:"NATS servers that have each event; a stream that is there stays as it is."`
	RedisDurable   bool          `help:"The Redis syncs each event to its disk: keep ids over its restart."`
	BrokerPatience time.Duration `default:"10s" help:"How long to wait for it at the start."`
}

// open returns nil for the process's own memory.
func (f *brokerFlags) open(ctx context.Context) (ssehub.Broker, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, f.BrokerPatience)
	defer cancel()
	scheme, path, _ := strings.Cut(f.Broker, ":")
	switch scheme {
	case "memory":
		return nil, func() {}, nil
	case "file":
		log, err := bolt.Open(strings.TrimPrefix(path, "//"), &bolt.Options{Events: f.BrokerEvents, Age: f.BrokerAge})
		return opened(log, err, func() { closeFile(log) })
	case "nats", "tls":
		log, err := nats.Open(ctx, f.Broker, &nats.Options{
			Stream: f.BrokerName, Events: int64(f.BrokerEvents), Age: f.BrokerAge, Replicas: f.NATSReplicas,
		})
		return opened(log, err, func() { log.Close() })
	case "redis", "rediss", "unix":
		log, err := redis.Open(ctx, f.Broker, &redis.Options{
			Name: f.BrokerName, Events: f.BrokerEvents, Age: f.BrokerAge, Durable: f.RedisDurable,
		})
		return opened(log, err, func() { log.Close() })
	case "postgres", "postgresql":
		log, err := postgres.Open(ctx, f.Broker, &postgres.Options{
			Table: f.BrokerName, Events: f.BrokerEvents, Age: f.BrokerAge,
		})
		return opened(log, err, func() { log.Close() })
	}
	return nil, nil, fmt.Errorf("--broker: no such kind: %s", scheme) // the rest may hold a password
}

func opened(log ssehub.Broker, err error, end func()) (ssehub.Broker, func(), error) {
	if err != nil {
		return nil, nil, fmt.Errorf("--broker: %w", err)
	}
	return log, end, nil
}

func closeFile(log io.Closer) { _ = log.Close() } // every event in it is synced
