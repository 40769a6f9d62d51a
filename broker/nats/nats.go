// Package nats keeps a hub's log in a stream of NATS JetStream, for several hubs: a
// client may then connect to any of them, and go on at another where it was.
//
//	events, err := nats.Open(ctx, "nats://127.0.0.1:4222", nil)
//	if err != nil {
//		return err
//	}
//	defer events.Close() // behind the hub
//	hub := ssehub.New(&ssehub.Options{Broker: events})
//	defer hub.Close()
//
// # What an acknowledgement is worth
//
// Append returns when JetStream has the event: with Replicas 3, a majority of the
// servers, and what a majority has outlives the loss of any one. With one replica it
// is in the file, but by default the server syncs that only every two minutes: a
// server that is killed loses nothing, a machine that loses its power may lose the
// end of the log, and uses its numbers again without a new epoch. Hubs that have read
// what is lost tell a gap, of reason "ahead", to clients that may have had it; one that
// starts later cannot know, and goes on as if what is there now had been there before.
// Set the server's sync_interval to "always", or Replicas to 3. With Memory and one
// replica nothing is left when the server ends, and the log begins anew.
//
// An event that is larger than the servers' max_payload, with its topics and the like,
// is refused: that is 1 MiB unless they are told otherwise, and so is
// ssehub.Options.MaxEventSize.
//
// An IdempotencyKey counts for Options.Duplicates, two minutes by default, whether or
// not the event is still kept.
//
// # The stream
//
// It is made by the first who needs it, with the Options of that one, and is left as
// it is if it exists. Its one subject is its name and the epoch, such as
// ssehub.0k3v9x2a: an event that is published to an epoch which is over goes nowhere.
// A stream that is deleted is made anew, and all hubs tell it as a gap. Who restores a
// stream from an old copy must give it another epoch, as numbers would be used again:
// nats stream edit ssehub --subjects ssehub.another1
package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ssehub-go/ssehub"
)

// Options is for the stream, if there is none. What is above any of the three bounds
// is dropped, oldest first; a hub reads all of it when it starts. In Events, Bytes and
// Age zero means the default and negative no limit.
type Options struct {
	Stream     string        // default "ssehub"; letters, digits, - and _
	Events     int64         // default 100,000
	Bytes      int64         // default 256 MiB
	Age        time.Duration // default 24 h
	Replicas   int           // servers that have each event; default 1
	Memory     bool          // keep it in the servers' memory and in no file
	Duplicates time.Duration // for how long IdempotencyKeys count; default 2 min
}

// Log is an ssehub.Broker in a JetStream stream. All methods are safe for concurrent
// use.
type Log struct {
	js     jetstream.JetStream
	config jetstream.StreamConfig // but for the subject
	conn   *nats.Conn             // to be closed; nil if it is somebody else's
	page   int                    // bytes that a Read may have in hand

	lastEpoch atomic.Pointer[string]
	leader    atomic.Pointer[string] // that Bounds were asked of last
	clustered atomic.Bool
}

// ErrStream says that the stream was not made for this package.
var ErrStream = errors.New("nats: stream has no subject of the form name.epoch alone")

// ErrEpoch ends a Read whose position is of another life of the stream.
var ErrEpoch = errors.New("nats: position of another epoch")

// Open connects to the servers at url, a comma-separated list, and makes the stream if
// there is none; nil means the default options. End it with Close, after the hubs.
func Open(ctx context.Context, url string, opts *Options) (*Log, error) {
	conn, err := nats.Connect(url,
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1)) // an event that nobody has should be an error, and not wait here
	if err != nil {
		return nil, fmt.Errorf("nats: connect: %w", err)
	}
	l, err := New(ctx, conn, opts)
	if err != nil {
		conn.Close()
		return nil, err
	}
	l.conn = conn
	return l, nil
}

// New is Open over a connection of the application's, which Close leaves open. With
// [nats.ReconnectBufSize] above zero Append may wait for a server that is away as long
// as its context allows.
func New(ctx context.Context, conn *nats.Conn, opts *Options) (*Log, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	l := &Log{js: js, config: o.config(), page: max(4<<20, 2*int(conn.MaxPayload()))}
	if _, err := l.info(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

func (o Options) config() jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        o.Stream,
		Description: "the log of ssehub hubs",
		MaxMsgs:     o.Events,
		MaxBytes:    o.Bytes,
		MaxAge:      max(o.Age, 0),
		Replicas:    o.Replicas,
		Duplicates:  o.Duplicates,
		AllowDirect: true,
	}
	if c.Name == "" {
		c.Name = "ssehub"
	}
	if c.MaxMsgs == 0 {
		c.MaxMsgs = 100_000
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 20
	}
	if o.Age == 0 {
		c.MaxAge = 24 * time.Hour
	}
	if c.Duplicates == 0 {
		c.Duplicates = 2 * time.Minute
	}
	if c.MaxAge > 0 {
		c.Duplicates = min(c.Duplicates, c.MaxAge) // it may not be longer
	}
	if o.Memory {
		c.Storage = jetstream.MemoryStorage
	}
	return c
}

// Close ends the connection, if Open has made it.
func (l *Log) Close() {
	if l.conn != nil {
		l.conn.Close()
	}
}

// Bounds implements ssehub.Broker.
func (l *Log) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	info, err := l.info(ctx)
	if err == nil && !l.trusts(info) {
		info, err = l.catchUp(ctx, info)
	}
	if err != nil {
		return ssehub.Bounds{}, err
	}
	l.clustered.Store(info.Cluster != nil)
	epoch, err := l.epoch(info)
	b := ssehub.Bounds{Epoch: epoch, First: info.State.FirstSeq, Last: info.State.LastSeq}
	if info.State.Msgs == 0 {
		b.First = b.Last + 1
	}
	return b, err
}

// trusts reports whether the server that leads the stream has been seen to be up to
// date.
func (l *Log) trusts(info *jetstream.StreamInfo) bool {
	leader := l.leader.Load()
	return info.Cluster == nil || leader != nil && *leader == info.Cluster.Leader
}

// catchUp returns the info of a leader that is new, when that has applied all that the
// cluster had agreed on before: until then it knows less than what its predecessor
// has told. A purge of nothing waits its turn behind that.
func (l *Log) catchUp(ctx context.Context, info *jetstream.StreamInfo) (*jetstream.StreamInfo, error) {
	s, err := l.js.Stream(ctx, l.config.Name)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(l.config.Name+".no.such.subject"))
	}
	if err != nil {
		return nil, fmt.Errorf("nats: ask stream %s: %w", l.config.Name, err)
	}
	leader := info.Cluster.Leader
	if info, err = l.info(ctx); err == nil && info.Cluster != nil && info.Cluster.Leader == leader {
		l.leader.Store(&leader)
		return info, nil
	}
	return nil, cmp.Or(err, fmt.Errorf("nats: stream %s: the leader has changed", l.config.Name))
}

// epoch is the second token of the stream's subject.
func (l *Log) epoch(info *jetstream.StreamInfo) (string, error) {
	if len(info.Config.Subjects) != 1 {
		return "", ErrStream
	}
	epoch, ok := strings.CutPrefix(info.Config.Subjects[0], l.config.Name+".")
	if _, err := ssehub.ParsePosition(ssehub.Position{Epoch: epoch}.String()); !ok || err != nil {
		return "", fmt.Errorf("%w: %q", ErrStream, info.Config.Subjects[0])
	}
	return epoch, nil
}

// info asks for the stream, and makes it if there is none.
func (l *Log) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	for {
		s, err := l.js.Stream(ctx, l.config.Name)
		if err == nil {
			info := s.CachedInfo()
			_, err = l.epoch(info)
			return info, err
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("nats: stream %s: %w", l.config.Name, err)
		}
		config := l.config
		config.Subjects = []string{config.Name + "." + strings.ReplaceAll(uuid.NewString()[:13], "-", "")}
		_, err = l.js.CreateStream(ctx, config)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // else somebody was faster
			return nil, fmt.Errorf("nats: make stream %s: %w", config.Name, err)
		}
	}
}
