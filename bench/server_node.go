package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/ssehub-go/ssehub/broker/nats"
	"github.com/ssehub-go/ssehub/broker/postgres"
	"github.com/ssehub-go/ssehub/broker/redis"
)

// log is a Broker that is closed.
type log interface {
	ssehub.Broker
	Close()
}

// boltLog is a file in a folder that goes away with it.
type boltLog struct {
	*bolt.Log
	dir string
}

func openBolt(context.Context, string) (log, error) {
	dir, err := os.MkdirTemp("", "bolt")
	if err != nil {
		return nil, err
	}
	events, err := bolt.Open(filepath.Join(dir, "log"), nil)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return boltLog{events, dir}, nil
}

func (l boltLog) Close() {
	_ = l.Log.Close() // the file goes away with its folder
	os.RemoveAll(l.dir)
}

func openNATS(ctx context.Context, url string) (log, error) { return nats.Open(ctx, url, nil) }

func openPostgres(ctx context.Context, url string) (log, error) {
	return postgres.Open(ctx, url, nil)
}

func openRedis(durable bool) func(context.Context, string) (log, error) {
	return func(ctx context.Context, url string) (log, error) {
		return redis.Open(ctx, url, &redis.Options{Durable: durable})
	}
}

// newNode is a hub with a Broker, whose log is in the engine at the task's URL if it has one.
func newNode(open func(context.Context, string) (log, error)) func(task) (peer, error) {
	return func(t task) (peer, error) {
		ctx, cancel := context.WithTimeout(context.Background(), engineStart)
		defer cancel()
		log, err := open(ctx, t.Engine)
		for err != nil && ctx.Err() == nil { // one that listens may still read its files
			time.Sleep(50 * time.Millisecond)
			log, err = open(ctx, t.Engine)
		}
		if err != nil {
			return peer{}, err
		}
		opts := &ssehub.Options{Broker: log, History: wholeHistory(t)}
		p, hub := newHub(opts)
		p.close = func() {
			hub.Close()
			log.Close()
		}
		if err := hub.Ready(ctx); err != nil {
			p.close()
			return peer{}, err
		}
		return p, nil
	}
}
