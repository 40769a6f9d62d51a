package redis_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/broker/redis"
	"github.com/ssehub-go/ssehub/sse"
)

func open(t testing.TB, e *engine, opts *redis.Options) *redis.Log {
	t.Helper()
	log, err := redis.Open(t.Context(), e.url(), opts)
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return log
}

func event(text string) ssehub.Event {
	return ssehub.Event{Time: time.Now(), Topics: []string{"t"}, Message: sse.Message{Data: []byte(text)}}
}

func add(t testing.TB, log *redis.Log, text string) ssehub.Position {
	t.Helper()
	pos, err := log.Append(t.Context(), event(text))
	require.NoError(t, err)
	return pos
}

func boundsOf(t testing.TB, log *redis.Log) ssehub.Bounds {
	t.Helper()
	bounds, err := log.Bounds(t.Context())
	require.NoError(t, err)
	return bounds
}

// texts returns what the log keeps.
func texts(t testing.TB, log *redis.Log) string {
	t.Helper()
	bounds := boundsOf(t, log)
	var texts []string
	for e, err := range log.Read(t.Context(), ssehub.Range{After: ssehub.Position{Epoch: bounds.Epoch}, Until: bounds.Last}) {
		require.NoError(t, err)
		texts = append(texts, string(e.Message.Data))
	}
	return strings.Join(texts, " ")
}

func TestContract(t *testing.T) {
	for name, tt := range map[string]struct {
		server  []string
		durable bool
	}{
		"durable": {always, true},
		"not":     {nothing, false},
	} {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t, tt.server...)
			var mu sync.Mutex
			names := make(map[ssehub.Broker]string)
			opened := func(t testing.TB, name string) ssehub.Broker {
				log := open(t, engine, &redis.Options{Name: name, Durable: tt.durable})
				mu.Lock()
				defer mu.Unlock()
				names[log] = name
				return log
			}
			nameOf := func(b ssehub.Broker) string {
				mu.Lock()
				defer mu.Unlock()
				return names[b]
			}
			n := 0
			brokertest.Run(t, brokertest.Harness{
				New: func(t testing.TB) ssehub.Broker {
					n++
					return opened(t, fmt.Sprint("log", n))
				},
				Peer: func(t testing.TB, b ssehub.Broker) ssehub.Broker { return opened(t, nameOf(b)) },
				Trim: func(t testing.TB, b ssehub.Broker, first uint64) {
					engine.must("XTRIM", "{"+nameOf(b)+"}:log", "MINID", fmt.Sprint(first))
				},
				Restart: func(t testing.TB, b ssehub.Broker) ssehub.Broker {
					name := nameOf(b)
					engine.kill()
					engine.start()
					return opened(t, name)
				},
				Forgets: !tt.durable,
			})
		})
	}
}

// Each bound is exact, and what is dropped takes its idempotency key along.
func TestBounds(t *testing.T) {
	engine := startEngine(t, nothing...)
	size := int64(len("topic: t\ntime: 1795519323000\n\nx"))
	for name, test := range map[string]struct {
		opts redis.Options
		age  time.Duration // of the first event of five
		want uint64        // that is kept first
	}{
		"default":       {redis.Options{}, 0, 1},
		"events":        {redis.Options{Events: 3}, 0, 3},
		"one":           {redis.Options{Events: 1}, 0, 5},
		"bytes":         {redis.Options{Bytes: 2 * size}, 0, 4},
		"a byte less":   {redis.Options{Bytes: 2*size - 1}, 0, 5},
		"never none":    {redis.Options{Bytes: 1}, 0, 5},
		"age":           {redis.Options{Age: time.Hour}, time.Hour, 2},
		"not yet":       {redis.Options{Age: time.Hour}, 59 * time.Minute, 1},
		"no age":        {redis.Options{Age: -1}, 1000 * time.Hour, 1},
		"no bounds":     {redis.Options{Events: -1, Bytes: -1, Age: -1}, 1000 * time.Hour, 1},
		"age and bytes": {redis.Options{Bytes: 4 * size, Age: time.Hour}, 2 * time.Hour, 2},
	} {
		t.Run(name, func(t *testing.T) {
			test.opts.Name = name
			log := open(t, engine, &test.opts)
			for i := range 5 {
				e := event("x")
				if i == 0 {
					e.Time = e.Time.Add(-test.age)
				}
				_, err := log.Append(t.Context(), e)
				require.NoError(t, err)
			}
			bounds := boundsOf(t, log)
			require.EqualValues(t, test.want, bounds.First)
			require.EqualValues(t, 5, bounds.Last)
			require.Len(t, strings.Fields(texts(t, log)), int(5-test.want+1))
		})
	}

	log := open(t, engine, &redis.Options{Events: 2})
	once := event("once")
	once.IdempotencyKey = "k"
	appendOnce := func() ssehub.Position {
		pos, err := log.Append(t.Context(), once)
		require.NoError(t, err)
		return pos
	}
	first := appendOnce()
	add(t, log, "x")
	require.Equal(t, first, appendOnce())
	add(t, log, "x")
	require.EqualValues(t, 4, appendOnce().Seq)
	engine.must("XTRIM", "{ssehub}:log", "MAXLEN", "0") // an operator knows nothing of keys
	require.EqualValues(t, 5, appendOnce().Seq)
	require.EqualValues(t, 5, appendOnce().Seq)
	for range 10 {
		add(t, log, "x")
	}
	keys, err := engine.do("HLEN", "{ssehub}:once").AsInt64()
	require.NoError(t, err)
	require.Zero(t, keys)
	bytes, err := engine.do("HGET", "{ssehub}:meta", "bytes").AsInt64()
	require.NoError(t, err)
	require.Equal(t, 2*size, bytes)

	// Bounds that are narrower than they were come into force after some events.
	wide := open(t, engine, &redis.Options{Name: "narrower"})
	for range 1000 {
		add(t, wide, "x")
	}
	narrow := open(t, engine, &redis.Options{Name: "narrower", Events: 10})
	for range 10 {
		add(t, narrow, "x")
	}
	require.EqualValues(t, 1001, boundsOf(t, narrow).First)
}

// Whoever deletes the log, or a part of what belongs to it, has every reader told, and
// numbers begin anew with another epoch.
func TestEpochEnds(t *testing.T) {
	for name, words := range map[string][]string{
		"flushed": {"FLUSHALL"},
		"deleted": {"DEL", "{ssehub}:log"},
		"half":    {"DEL", "{ssehub}:meta"},
	} {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t, always...)
			log := open(t, engine, &redis.Options{Durable: true})
			once := event("once")
			once.IdempotencyKey = "k"
			_, err := log.Append(t.Context(), once)
			require.NoError(t, err)
			before := add(t, log, "before")
			var hubs []*ssehub.Hub
			var subs []*ssehub.Subscription
			for range 2 {
				hub := ssehub.New(&ssehub.Options{Broker: open(t, engine, &redis.Options{Durable: true})})
				defer hub.Close()
				sub, err := hub.Subscribe(t.Context(), "t")
				require.NoError(t, err)
				hubs, subs = append(hubs, hub), append(subs, sub)
			}
			engine.must(words...)
			_, err = log.Append(t.Context(), once) // that one is gone
			require.NoError(t, err)
			after := add(t, log, "after")
			require.NotEqual(t, before.Epoch, after.Epoch)
			require.Equal(t, "once after", texts(t, log))
			for i, sub := range subs {
				var got []string
				for m := range sub.Events() {
					got = append(got, m.Type+string(m.Data))
					if string(m.Data) == "after" {
						break
					}
				}
				require.Contains(t, got[0], sse.TypeGap, "hub %d: %v", i, got)
				require.Contains(t, got[0], sse.ReasonEpoch)
				require.Equal(t, after, hubs[i].Position())
				sub.Close()
			}
			for _, err := range log.Read(t.Context(), ssehub.Range{After: before, Follow: true}) {
				require.ErrorIs(t, err, redis.ErrEpoch)
			}
		})
	}
}

// A log that is deleted while nobody appends is noticed, too.
func TestDeletedWhileQuiet(t *testing.T) {
	engine := startEngine(t, nothing...)
	log := open(t, engine, nil)
	last := add(t, log, "x")
	ended := make(chan error, 1)
	go func() {
		for _, err := range log.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
			ended <- err
		}
	}()
	blocked(t, engine)
	engine.must("FLUSHALL")
	require.ErrorIs(t, receive(t, ended), redis.ErrEpoch)
	require.NotEqual(t, last.Epoch, boundsOf(t, log).Epoch)
}

// blocked waits until somebody waits for news.
func blocked(t testing.TB, engine *engine) {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := engine.do("INFO", "clients").ToString()
		return err == nil && !strings.Contains(info, "blocked_clients:0")
	}, patience, time.Millisecond)
}

func receive(t testing.TB, errs <-chan error) error {
	t.Helper()
	select {
	case err := <-errs:
		return err
	case <-time.After(patience):
		t.Fatal("nothing comes")
		return nil
	}
}

// A server that comes up with an old snapshot has lost events, and would use their
// numbers again: the epoch is another, and what is left is there.
func TestServerLosesEnd(t *testing.T) {
	engine := startEngine(t, snapshots...)
	log := open(t, engine, nil)
	add(t, log, "1")
	engine.must("SAVE")
	lost := add(t, log, "2")
	engine.kill()
	engine.start()
	var after ssehub.Position
	require.Eventually(t, func() bool {
		var err error
		after, err = log.Append(t.Context(), event("3"))
		return err == nil
	}, patience, time.Millisecond)
	require.Equal(t, lost.Seq, after.Seq)
	require.NotEqual(t, lost.Epoch, after.Epoch)
	require.Equal(t, "1 3", texts(t, log))
	for _, err := range log.Read(t.Context(), ssehub.Range{After: lost, Follow: true}) {
		require.ErrorIs(t, err, redis.ErrEpoch)
	}
	// The same with nobody who lost anything: Durable alone says so.
	engine.stop()
	engine.start()
	again := open(t, engine, nil)
	require.NotEqual(t, after.Epoch, boundsOf(t, again).Epoch)
	require.Equal(t, "1 3", texts(t, again))
	kept := open(t, engine, &redis.Options{Durable: true})
	before := boundsOf(t, kept)
	engine.stop()
	engine.start()
	require.Equal(t, before, boundsOf(t, open(t, engine, &redis.Options{Durable: true})))
}

// A replica that takes over begins a new epoch, too, and the one that it was a replica
// of, if it is one later.
func TestFailover(t *testing.T) {
	main := startEngine(t, nothing...)
	main.must("CONFIG", "SET", "repl-diskless-sync-delay", "0")
	other := startEngine(t, nothing...)
	port := freePort(t)
	main.must("CONFIG", "SET", "port", fmt.Sprint(port))
	other.must("REPLICAOF", "127.0.0.1", fmt.Sprint(port))
	require.Eventually(t, func() bool {
		info, err := other.do("INFO", "replication").ToString()
		return err == nil && strings.Contains(info, "master_link_status:up")
	}, patience, 10*time.Millisecond)
	log := open(t, main, nil)
	first := add(t, log, "1")
	require.Eventually(t, func() bool {
		n, err := other.do("XLEN", "{ssehub}:log").AsInt64()
		return err == nil && n == 1
	}, patience, 10*time.Millisecond)
	_, err := redis.Open(t.Context(), other.url(), nil)
	require.ErrorContains(t, err, "READONLY", "a replica may lag")
	other.must("REPLICAOF", "NO", "ONE")
	second := add(t, open(t, other, nil), "2")
	require.EqualValues(t, 2, second.Seq)
	require.NotEqual(t, first.Epoch, second.Epoch)
	require.Equal(t, first.Epoch, add(t, log, "2, of which nobody will know").Epoch)
	port = freePort(t)
	other.must("CONFIG", "SET", "port", fmt.Sprint(port))
	main.must("REPLICAOF", "127.0.0.1", fmt.Sprint(port))
	require.Eventually(t, func() bool {
		epoch, err := main.do("HGET", "{ssehub}:meta", "epoch").ToString()
		return err == nil && epoch == second.Epoch
	}, patience, 10*time.Millisecond)
	main.must("REPLICAOF", "NO", "ONE")
	third := add(t, log, "3")
	require.EqualValues(t, 3, third.Seq)
	require.NotEqual(t, second.Epoch, third.Epoch)
	require.Equal(t, "1 2 3", texts(t, log))
}

// One of a cluster, over the application's own client, which stays open.
func TestCluster(t *testing.T) {
	port := freePort(t)
	engine := startEngine(t, append([]string{"--cluster-enabled", "yes", "--port", fmt.Sprint(port), "--cluster-port", fmt.Sprint(freePort(t))}, nothing...)...)
	engine.must("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	require.Eventually(t, func() bool {
		info, err := engine.do("CLUSTER", "INFO").ToString()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	}, patience, 10*time.Millisecond)
	opened, err := redis.Open(t.Context(), fmt.Sprint("redis://127.0.0.1:", port), nil)
	require.NoError(t, err)
	defer opened.Close()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{fmt.Sprint("127.0.0.1:", port)}})
	require.NoError(t, err)
	defer client.Close()
	log := redis.New(client, nil)
	defer func() {
		log.Close()
		require.NoError(t, client.Do(context.Background(), client.B().Ping().Build()).Error())
	}()
	last := add(t, log, "1")
	ended := make(chan error, 1)
	go func() {
		for e, err := range opened.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
			ended <- errors.Join(err, errors.New(string(e.Message.Data)))
			return
		}
	}()
	blocked(t, engine)
	add(t, log, "2")
	require.EqualError(t, receive(t, ended), "2")
}

// A reader that the bounds have overrun goes on behind what is gone, and Bounds say so.
func TestOverrun(t *testing.T) {
	log := open(t, startEngine(t, nothing...), &redis.Options{Events: 100})
	start := ssehub.Position{Epoch: boundsOf(t, log).Epoch}
	for range 1000 {
		add(t, log, "x")
	}
	for e, err := range log.Read(t.Context(), ssehub.Range{After: start, Follow: true}) {
		require.NoError(t, err)
		require.EqualValues(t, 901, e.Position.Seq)
		require.EqualValues(t, 901, boundsOf(t, log).First)
		break
	}
	for range log.Read(t.Context(), ssehub.Range{After: ssehub.Position{Epoch: start.Epoch, Seq: 5}, Until: 10}) {
		t.Fatal("nothing is left there")
	}
}

// awayForms are how a server can be away.
var awayForms = map[string]struct{ begin, end func(*engine) }{
	"killed":  {(*engine).kill, (*engine).start},
	"stalled": {func(e *engine) { e.signal(syscall.SIGSTOP) }, func(e *engine) { e.signal(syscall.SIGCONT) }},
}

// While no server is there, or one that does not answer, Append and Bounds end with
// their context, a Read by itself, and all work again when it is back.
func TestServerAway(t *testing.T) {
	for name, away := range awayForms {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t, always...)
			log := open(t, engine, &redis.Options{Durable: true})
			last := add(t, log, "1")
			ended := make(chan error, 1)
			go func() {
				for _, err := range log.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
					ended <- err
				}
			}()
			blocked(t, engine)
			away.begin(engine)
			for _, call := range []func(ctx context.Context) error{
				func(ctx context.Context) error { _, err := log.Append(ctx, event("x")); return err },
				func(ctx context.Context) error { _, err := log.Bounds(ctx); return err },
				func(ctx context.Context) (err error) {
					for _, err = range log.Read(ctx, ssehub.Range{After: last, Until: last.Seq + 10}) {
					}
					return err
				},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				began := time.Now()
				require.Error(t, call(ctx))
				require.Less(t, time.Since(began), 4*time.Second)
				cancel()
			}
			require.Error(t, receive(t, ended))
			away.end(engine)
			require.Eventually(t, func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := log.Append(ctx, event("2"))
				return err == nil
			}, patience, time.Millisecond)
			require.Contains(t, texts(t, log), "2")
			for e, err := range log.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
				require.NoError(t, err)
				require.EqualValues(t, 2, e.Position.Seq)
				break
			}
		})
	}
}

// A server that takes connections and says nothing holds up nobody for longer than his
// context, not even while the client connects to it again.
func TestServerSilent(t *testing.T) {
	engine := startEngine(t, always...)
	log := open(t, engine, &redis.Options{Durable: true})
	last := add(t, log, "1")
	engine.kill()
	socket := filepath.Join(engine.dir, "s")
	require.NoError(t, os.Remove(socket))
	silent, err := net.Listen("unix", socket)
	require.NoError(t, err)
	calls := []func(context.Context) error{
		func(ctx context.Context) error { _, err := log.Append(ctx, event("x")); return err },
		func(ctx context.Context) error { _, err := log.Bounds(ctx); return err },
		func(ctx context.Context) (err error) {
			for _, err = range log.Read(ctx, ssehub.Range{After: last, Follow: true}) {
			}
			return err
		},
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		ended := make(chan error)
		began := time.Now()
		for _, call := range calls {
			go func() { ended <- call(ctx) }()
		}
		for range calls {
			require.Error(t, receive(t, ended))
		}
		require.Less(t, time.Since(began), 4*time.Second)
		cancel()
	}
	require.NoError(t, silent.Close())
	engine.start()
	require.Eventually(t, func() bool {
		_, err := log.Append(t.Context(), event("2"))
		return err == nil
	}, patience, time.Millisecond)
	require.Equal(t, "1 2", texts(t, log))
}

// A context that is cancelled long before its deadline ends a Read that waits, and one
// call that is given up does not disturb the others.
func TestCancelBeforeDeadline(t *testing.T) {
	engine := startEngine(t, nothing...)
	log := open(t, engine, nil)
	last := add(t, log, "1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		for _, err := range log.Read(ctx, ssehub.Range{After: last, Follow: true}) {
			ended <- err
		}
	}()
	blocked(t, engine)
	began := time.Now()
	cancel()
	require.ErrorIs(t, receive(t, ended), context.Canceled)
	require.Less(t, time.Since(began), 900*time.Millisecond) // the server would have ended it after a second

	engine.signal(syscall.SIGSTOP)
	given, giveUp := context.WithTimeout(t.Context(), time.Hour)
	go func() {
		_, err := log.Append(given, event("given up"))
		ended <- err
	}()
	appended := make(chan error, 1)
	go func() {
		_, err := log.Append(t.Context(), event("2"))
		appended <- err
	}()
	giveUp()
	require.ErrorIs(t, receive(t, ended), context.Canceled)
	engine.signal(syscall.SIGCONT)
	require.NoError(t, receive(t, appended))
}

// What is no event does not end a Read, and entries that others add do not hinder ours.
func TestBadEntry(t *testing.T) {
	engine := startEngine(t, nothing...)
	log := open(t, engine, nil)
	start := ssehub.Position{Epoch: boundsOf(t, log).Epoch}
	engine.must("XADD", "{ssehub}:log", "5-0", "event", "what is this")
	engine.must("XADD", "{ssehub}:log", "5-1", "what", "is this")
	engine.must("XADD", "{ssehub}:log", "6-7", "event", "topic: t\n\nby hand")
	last := add(t, log, "x")
	require.EqualValues(t, 7, last.Seq)
	require.Equal(t, ssehub.Bounds{Epoch: start.Epoch, First: 5, Last: 7}, boundsOf(t, log))
	var got []string
	for e, err := range log.Read(t.Context(), ssehub.Range{After: start, Until: last.Seq}) {
		if errors.Is(err, ssehub.ErrInvalidEvent) {
			got = append(got, fmt.Sprint("bad ", e.Position.Seq))
			continue
		}
		require.NoError(t, err)
		got = append(got, string(e.Message.Data))
	}
	require.Equal(t, []string{"bad 5", "by hand", "x"}, got)
	_, err := log.Append(t.Context(), ssehub.Event{})
	require.ErrorIs(t, err, ssehub.ErrInvalidEvent)
	engine.must("SET", "{taken}:log", "something else")
	engine.must("HSET", "{taken}:meta", "epoch", "e")
	_, err = redis.Open(t.Context(), engine.url(), &redis.Options{Name: "taken"})
	require.ErrorContains(t, err, "WRONGTYPE")
}

// A server that is full refuses events, and takes them again; one whose log is at its
// bounds makes room first.
func TestServerFull(t *testing.T) {
	engine := startEngine(t, nothing...)
	log := open(t, engine, nil)
	bounded := open(t, engine, &redis.Options{Name: "bounded", Events: 1})
	add(t, log, "1")
	add(t, bounded, "1")
	engine.must("CONFIG", "SET", "maxmemory", "1")
	_, err := log.Append(t.Context(), event("2"))
	require.ErrorContains(t, err, "OOM")
	require.EqualValues(t, 1, boundsOf(t, log).Last)
	require.EqualValues(t, 2, add(t, bounded, "2").Seq)
	engine.must("CONFIG", "SET", "maxmemory", "0")
	require.EqualValues(t, 2, add(t, log, "2").Seq)
}

// Numbers stay exact to the last that there is.
func TestLargeNumbers(t *testing.T) {
	engine := startEngine(t, nothing...)
	log := open(t, engine, nil)
	require.NotEmpty(t, boundsOf(t, log).Epoch)
	const last = 1<<53 - 40
	engine.must("XSETID", "{ssehub}:log", fmt.Sprint(uint64(last), "-0"))
	pos := add(t, log, "x")
	for range 30 {
		next := add(t, log, "x")
		require.Equal(t, pos.Seq+1, next.Seq)
		pos = next
	}
	bounds := boundsOf(t, log)
	require.Equal(t, ssehub.Bounds{Epoch: pos.Epoch, First: last + 1, Last: last + 31}, bounds)
	require.Len(t, strings.Fields(texts(t, log)), 31)
}

var events = flag.Int("events", 0, "for TestNodes; 0: a few")

// Two hubs whose clients hop between them, while the server is killed and started.
func TestNodes(t *testing.T) {
	engine := startEngine(t, always...)
	brokertest.RunNodes(t, brokertest.Nodes{
		Open: func(t testing.TB) ssehub.Broker {
			return open(t, engine, &redis.Options{Durable: true, Events: -1, Bytes: -1})
		},
		Disturb: func(testing.TB) { engine.kill(); engine.start() },
		Events:  *events,
		Timeout: 5 * time.Minute,
	})
}

var outage = flag.Duration("outage", 0, "how long TestOutage has the server away; 0: a few seconds")

// Fault 94: two hubs whose server is killed, or does not answer, and clients that do
// not notice.
func TestOutage(t *testing.T) {
	for name, away := range awayForms {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t, always...)
			t.Parallel()
			brokertest.RunOutage(t, brokertest.Outage{
				Open: func(t testing.TB) ssehub.Broker { return open(t, engine, &redis.Options{Durable: true}) },
				Down: func(testing.TB) { away.begin(engine) },
				Up:   func(testing.TB) { away.end(engine) },
				For:  *outage,
			})
		})
	}
}

// Faults 93 and 94: what the log has lost is told at each of two hubs.
func TestLosses(t *testing.T) {
	engine := startEngine(t, always...)
	brokertest.RunLosses(t, brokertest.Losses{
		Open: func(t testing.TB) ssehub.Broker { return open(t, engine, &redis.Options{Durable: true}) },
		Trims: map[string]func(testing.TB, uint64){
			"trimmed": func(_ testing.TB, first uint64) { engine.must("XTRIM", "{ssehub}:log", "MINID", fmt.Sprint(first)) },
			"emptied": func(testing.TB, uint64) { engine.must("XTRIM", "{ssehub}:log", "MAXLEN", "0") },
		},
		Ends: map[string]func(testing.TB){
			"flushed": func(testing.TB) { engine.must("FLUSHALL") },
			"made anew": func(testing.TB) {
				engine.must("DEL", "{ssehub}:log", "{ssehub}:meta")
				engine.must("XADD", "{ssehub}:log", "90-0", "event", "topic: t\n\nby hand")
				engine.must("HSET", "{ssehub}:meta", "epoch", "another1")
			},
		},
	})
}

// A server that keeps nothing, or not all, and is not said to, has each start told.
func TestLossesAtStart(t *testing.T) {
	for name, args := range map[string][]string{"nothing": nothing, "snapshots": snapshots, "always": always} {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t, args...)
			t.Parallel()
			brokertest.RunLosses(t, brokertest.Losses{
				Open: func(t testing.TB) ssehub.Broker { return open(t, engine, nil) },
				Ends: map[string]func(testing.TB){"killed": func(testing.TB) { engine.kill(); engine.start() }},
			})
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	log := open(b, startEngine(b, nothing...), nil)
	for b.Loop() {
		_, err := log.Append(b.Context(), event("x"))
		require.NoError(b, err)
	}
}

func BenchmarkAppendMany(b *testing.B) {
	log := open(b, startEngine(b, nothing...), nil)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := log.Append(context.Background(), event("x")); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	log := open(b, startEngine(b, nothing...), nil)
	start := ssehub.Position{Epoch: boundsOf(b, log).Epoch}
	for range 1000 {
		_, err := log.Append(b.Context(), event("x"))
		require.NoError(b, err)
	}
	for b.Loop() {
		n := 0
		for _, err := range log.Read(b.Context(), ssehub.Range{After: start, Until: 1000}) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, 1000, n)
	}
}

// How fast a hub follows a server without a disk.
func BenchmarkFollow(b *testing.B) {
	brokertest.BenchmarkFollow(b, func(t testing.TB) ssehub.Broker {
		return open(t, startEngine(t, nothing...), &redis.Options{Events: -1, Bytes: -1})
	})
}
