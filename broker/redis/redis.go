// Package redis keeps a hub's log in a stream of Redis, or Valkey, for several hubs: a
// client may then connect to any of them, and go on at another where it was.
//
//	events, err := redis.Open(ctx, "redis://127.0.0.1:6379", nil)
//	if err != nil {
//		return err
//	}
//	defer events.Close() // behind the hub
//	hub := ssehub.New(&ssehub.Options{Broker: events})
//	defer hub.Close()
//
// # What an acknowledgement is worth
//
// Append returns when the server has the event in memory, and in its file if it has
// one. What is left of it when the server ends is a matter of the server's settings:
//
//   - appendonly yes, appendfsync always: all that was acknowledged.
//   - appendonly yes, appendfsync everysec: all but the last second or two, if the
//     machine fails; if only the server is killed almost always all.
//   - snapshots alone, as Debian has it: all if the server is shut down in order, else
//     what was there at the last one, which may be an hour old.
//   - no persistence: nothing.
//   - a replica that takes over has what has reached it by then.
//
// Where a part may be lost, numbers are used again, so each start of a server and each
// failover begins a new epoch, and so does a first replica: all clients are told a gap,
// and the events that are left stay in the log. Options.Durable keeps the epoch, and
// clients go on as if nothing had been: it is for servers of the first kind above.
//
// # The keys
//
// Options.Name is between braces, so that a cluster has them all in one place:
// {ssehub}:log is the stream, with an entry "5-0" for event 5; {ssehub}:meta is a hash
// with the epoch; {ssehub}:once is one with the IdempotencyKeys of the events that are
// kept. If one of the first two is deleted, or evicted, the log begins anew, and all
// hubs tell it as a gap. Let the server evict no keys (maxmemory-policy noeviction):
// when it is full Append returns its error. To restore the keys from a copy without a
// start of the server, delete {ssehub}:meta, too.
//
// The server runs a script for each event, of about 20 µs: some 50,000 events a second
// keep it busy.
package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/ssehub-go/ssehub"
)

// Options is for a Log. What is above any of the three bounds is dropped, oldest
// first, with the next Append; a hub reads all of it when it starts. In Events, Bytes
// and Age zero means the default and negative no limit. All hubs of a log should have
// the same.
type Options struct {
	Name    string        // of the log, a part of its keys. Default "ssehub"
	Events  int           // default 100,000
	Bytes   int64         // of events; they take some more. Default 256 MiB
	Age     time.Duration // default 24 h
	Durable bool          // the server loses nothing when it is started again, see above
}

// Log is an ssehub.Broker in a stream of Redis. All methods are safe for concurrent
// use.
type Log struct {
	client rueidis.Client
	own    bool // Close closes the client
	keep   Options
	keys   []string
}

// ErrEpoch ends a Read whose position is of another life of the log.
var ErrEpoch = errors.New("redis: position of another epoch")

// Open connects to the server at url, such as redis://user:password@host:6379/0, or
// rediss: with TLS, or unix:///path; it may be one of a cluster. For Sentinel see New.
// Nil means the default options. End it with Close, after the hubs.
func Open(ctx context.Context, url string, opts *Options) (*Log, error) {
	o, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	o.DisableCache = true
	o.DisableRetry = true // else who waits is not told that the server is away
	o.ConnWriteTimeout = patience
	client, err := rueidis.NewClient(o)
	if err != nil {
		return nil, fmt.Errorf("redis: connect: %w", err)
	}
	l := New(client, opts)
	l.own = true
	if _, err := l.Bounds(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// New returns a Log over a client of the application's, which Close leaves open. It
// does not ask the server for anything yet. Each hub takes a connection of the client's
// for blocking commands.
func New(client rueidis.Client, opts *Options) *Log {
	l := &Log{client: client}
	if opts != nil {
		l.keep = *opts
	}
	if l.keep.Name == "" {
		l.keep.Name = "ssehub"
	}
	if l.keep.Events == 0 {
		l.keep.Events = 100_000
	}
	if l.keep.Bytes == 0 {
		l.keep.Bytes = 256 << 20
	}
	if l.keep.Age == 0 {
		l.keep.Age = 24 * time.Hour
	}
	for _, key := range []string{"log", "meta", "once"} {
		l.keys = append(l.keys, "{"+l.keep.Name+"}:"+key)
	}
	return l
}

// Close ends the connections, if Open has made them.
func (l *Log) Close() {
	if l.own {
		l.client.Close()
	}
}

// Bounds implements ssehub.Broker.
func (l *Log) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	got, err := l.run(ctx, boundsScript)
	if err == nil && len(got) != 3 {
		err = errAnswer
	}
	if err != nil {
		return ssehub.Bounds{}, fmt.Errorf("redis: bounds: %w", err)
	}
	b := ssehub.Bounds{Epoch: got[0]}
	if b.First, err = number(got[1]); err == nil {
		b.Last, err = number(got[2])
	}
	return b, err
}

var errAnswer = errors.New("redis: unexpected answer of the script")

// run runs a script, whose answer is some texts.
func (l *Log) run(ctx context.Context, script *rueidis.Lua, args ...string) ([]string, error) {
	return within(ctx, func(ctx context.Context) ([]string, error) {
		return script.Exec(ctx, l.client, l.keys, append(l.life(), args...)).AsStrSlice()
	})
}

// life is what all scripts need: the epoch to begin, should it be time for another,
// and what makes it time.
func (l *Log) life() []string {
	durable := ""
	if l.keep.Durable {
		durable = "durable"
	}
	return []string{strings.ReplaceAll(uuid.NewString()[:13], "-", ""), durable}
}

// grace is for the client to end what was given up.
const grace = 100 * time.Millisecond

// within returns what f does, or the error of ctx soon after that has ended. For as long
// as the client connects to a server that does not answer, which is five seconds, it
// heeds no context; f is left to itself then.
//
// The context of f ends with ctx and has no deadline: the client would hand that to the
// system, and then does not notice when ctx is cancelled before, and gives up a
// connection that others use.
func within[T any](ctx context.Context, f func(context.Context) (T, error)) (got T, err error) {
	if err := ctx.Err(); err != nil {
		return got, err
	}
	undated, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan func() (T, error), 1)
	go func() {
		got, err := f(undated)
		done <- func() (T, error) { return got, err }
	}()
	select {
	case result := <-done:
		return result()
	case <-ctx.Done():
	}
	cancel()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case result := <-done:
		if got, err = result(); err == nil {
			return got, nil
		}
	case <-timer.C:
	}
	return got, ctx.Err()
}
