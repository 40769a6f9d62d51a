package nats_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/broker/nats"
	"github.com/ssehub-go/ssehub/sse"
)

func open(t testing.TB, url string, opts *nats.Options) *nats.Log {
	t.Helper()
	log, err := nats.Open(t.Context(), url, opts)
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return log
}

// js is JetStream as an operator has it.
func js(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	conn, err := natsgo.Connect(url)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return js
}

func event(text string) ssehub.Event {
	return ssehub.Event{Time: time.Now(), Topics: []string{"t"}, Message: sse.Message{Data: []byte(text)}}
}

func add(t testing.TB, log *nats.Log, text string) ssehub.Position {
	t.Helper()
	pos, err := log.Append(t.Context(), event(text))
	require.NoError(t, err)
	return pos
}

func boundsOf(t testing.TB, log *nats.Log) ssehub.Bounds {
	t.Helper()
	bounds, err := log.Bounds(t.Context())
	require.NoError(t, err)
	return bounds
}

// logs remembers of what the suite's brokers are.
type logs struct {
	engine *engine
	opts   nats.Options
	mu     sync.Mutex
	n      int
	stream map[ssehub.Broker]string
}

func (l *logs) open(t testing.TB, stream string) ssehub.Broker {
	opts := l.opts
	opts.Stream = stream
	log := open(t, l.engine.url(), &opts)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream[log] = stream
	return log
}

func (l *logs) streamOf(b ssehub.Broker) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream[b]
}

func TestContract(t *testing.T) {
	for name, opts := range map[string]nats.Options{"file": {}, "memory": {Memory: true}} {
		t.Run(name, func(t *testing.T) {
			l := &logs{engine: startEngine(t), opts: opts, stream: make(map[ssehub.Broker]string)}
			brokertest.Run(t, brokertest.Harness{
				New: func(t testing.TB) ssehub.Broker {
					l.n++
					return l.open(t, fmt.Sprint("log", l.n))
				},
				Peer: func(t testing.TB, b ssehub.Broker) ssehub.Broker { return l.open(t, l.streamOf(b)) },
				Trim: func(t testing.TB, b ssehub.Broker, first uint64) {
					s, err := js(t, l.engine.url()).Stream(t.Context(), l.streamOf(b))
					require.NoError(t, err)
					require.NoError(t, s.Purge(t.Context(), jetstream.WithPurgeSequence(first)))
				},
				Restart: func(t testing.TB, b ssehub.Broker) ssehub.Broker {
					stream := l.streamOf(b)
					l.engine.stop()
					l.engine.start()
					return l.open(t, stream)
				},
				Forgets: opts.Memory,
			})
		})
	}
}

// A stream that somebody else has made is taken as it is, if it can be.
func TestStreamOfOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		subjects []string
		epoch    string
	}{
		"as ours":     {[]string{"given.e1"}, "e1"},
		"any below":   {[]string{"given.>"}, ""},
		"two":         {[]string{"given.e1", "given.e2"}, ""},
		"other":       {[]string{"taken.e1"}, ""},
		"a longer":    {[]string{"given.e1.x"}, ""},
		"no position": {[]string{"given.E\x7f"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t) // one that has just deleted a stream may fail to make another of its name
			js := js(t, e.url())
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "given", Subjects: tt.subjects, MaxMsgs: 7})
			require.NoError(t, err)
			log, err := nats.Open(t.Context(), e.url(), &nats.Options{Stream: "given"})
			if tt.epoch == "" {
				require.ErrorIs(t, err, nats.ErrStream)
				return
			}
			require.NoError(t, err)
			defer log.Close()
			for range 10 {
				add(t, log, "x")
			}
			require.Equal(t, ssehub.Bounds{Epoch: "e1", First: 4, Last: 10}, boundsOf(t, log))
		})
	}
}

// Whoever deletes the stream, or gives it another epoch, has every reader told, and
// nobody publishes to what is over.
func TestEpochEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, js jetstream.JetStream){
		"deleted": func(t *testing.T, js jetstream.JetStream) {
			require.NoError(t, js.DeleteStream(t.Context(), "ssehub"))
		},
		"restored": func(t *testing.T, js jetstream.JetStream) {
			s, err := js.Stream(t.Context(), "ssehub")
			require.NoError(t, err)
			config := s.CachedInfo().Config
			config.Subjects = []string{"ssehub.another1"}
			_, err = js.UpdateStream(t.Context(), config)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t)
			log := open(t, e.url(), nil)
			before := add(t, log, "before")
			var hubs []*ssehub.Hub
			var subs []*ssehub.Subscription
			for range 2 {
				hub := ssehub.New(&ssehub.Options{Broker: open(t, e.url(), nil)})
				defer hub.Close()
				sub, err := hub.Subscribe(t.Context(), "t")
				require.NoError(t, err)
				hubs, subs = append(hubs, hub), append(subs, sub)
			}
			end(t, js(t, e.url()))
			after := add(t, log, "after")
			require.NotEqual(t, before.Epoch, after.Epoch)
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
				require.ErrorIs(t, err, nats.ErrEpoch)
			}
		})
	}
}

// A publisher who has no time to be told that the epoch is over goes on all the same.
func TestEpochEndsInHaste(t *testing.T) {
	e := startEngine(t)
	log := open(t, e.url(), nil)
	before := add(t, log, "before")
	require.NoError(t, js(t, e.url()).DeleteStream(t.Context(), "ssehub"))
	var after ssehub.Position
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		var err error
		after, err = log.Append(ctx, event("after"))
		return err == nil
	}, patience, time.Millisecond)
	require.NotEqual(t, before.Epoch, after.Epoch)
}

// A reader that the stream's bounds have overrun goes on behind what is gone, and
// Bounds say so.
func TestOverrun(t *testing.T) {
	e := startEngine(t)
	log := open(t, e.url(), &nats.Options{Events: 100})
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

// While no server is there Append ends with an error, with its context at the latest,
// a Read ends too, and both work again when there is one.
func TestServerAway(t *testing.T) {
	e := startEngine(t)
	log := open(t, e.url(), nil)
	last := add(t, log, "1")
	ended := make(chan error, 1)
	go func() {
		for _, err := range log.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
			ended <- err
		}
	}()
	require.Eventually(t, func() bool { return e.NumSubscriptions() > 0 }, patience, time.Millisecond)
	e.stop()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		_, err := log.Append(ctx, event("lost"))
		require.Error(t, err)
		_, err = log.Bounds(ctx)
		require.Error(t, err)
		require.Less(t, time.Since(start), 5*time.Second)
		cancel()
	}
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(patience):
		t.Fatal("the Read hangs")
	}
	e.start()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := log.Append(ctx, event("2"))
		return err == nil
	}, patience, time.Millisecond)
	var texts []string
	for e, err := range log.Read(t.Context(), ssehub.Range{After: last, Until: boundsOf(t, log).Last}) {
		require.NoError(t, err)
		texts = append(texts, string(e.Message.Data))
	}
	require.Contains(t, texts, "2")
}

// What is no event does not end a Read.
func TestBadEntry(t *testing.T) {
	e := startEngine(t)
	log := open(t, e.url(), nil)
	start := ssehub.Position{Epoch: boundsOf(t, log).Epoch}
	_, err := js(t, e.url()).Publish(t.Context(), "ssehub."+start.Epoch, []byte("what is this"))
	require.NoError(t, err)
	last := add(t, log, "x")
	var bad, good int
	for e, err := range log.Read(t.Context(), ssehub.Range{After: start, Until: last.Seq}) {
		if errors.Is(err, ssehub.ErrInvalidEvent) {
			bad++
			require.EqualValues(t, 1, e.Position.Seq)
			continue
		}
		require.NoError(t, err)
		good++
	}
	require.Equal(t, [2]int{1, 1}, [2]int{bad, good})
}

// Reads leave no consumers on the server.
func TestNoConsumersStay(t *testing.T) {
	e := startEngine(t)
	log := open(t, e.url(), nil)
	start := ssehub.Position{Epoch: boundsOf(t, log).Epoch}
	for range 100 {
		add(t, log, "x")
	}
	for range 50 {
		for _, err := range log.Read(t.Context(), ssehub.Range{After: start, Until: 100}) {
			require.NoError(t, err)
		}
		for range log.Read(t.Context(), ssehub.Range{After: start, Follow: true}) {
			break
		}
	}
	s, err := js(t, e.url()).Stream(t.Context(), "ssehub")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := s.Info(t.Context())
		return err == nil && info.State.Consumers == 0
	}, patience, 10*time.Millisecond)
}

// The server does not forget a reader who takes his time between two pages, such as a
// hub on a machine that is busy: it would be an error.
func TestSlowReader(t *testing.T) {
	e := startEngine(t)
	log := open(t, e.url(), nil)
	first := add(t, log, "x")
	for range log.Read(t.Context(), ssehub.Range{After: ssehub.Position{Epoch: first.Epoch}, Follow: true}) {
		s, err := js(t, e.url()).Stream(t.Context(), "ssehub")
		require.NoError(t, err)
		consumers := s.ListConsumers(t.Context())
		consumer := <-consumers.Info()
		require.NoError(t, consumers.Err())
		require.GreaterOrEqual(t, consumer.Config.InactiveThreshold, time.Minute)
		break
	}
}

func BenchmarkRead(b *testing.B) {
	e := startEngine(b)
	log := open(b, e.url(), nil)
	start := ssehub.Position{Epoch: boundsOf(b, log).Epoch}
	for range 100 {
		_, err := log.Append(b.Context(), event("x"))
		require.NoError(b, err)
	}
	for b.Loop() {
		n := 0
		for _, err := range log.Read(b.Context(), ssehub.Range{After: start, Until: 100}) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, 100, n)
	}
}

func BenchmarkAppend(b *testing.B) {
	e := startEngine(b)
	log := open(b, e.url(), nil)
	for b.Loop() {
		_, err := log.Append(b.Context(), event("x"))
		require.NoError(b, err)
	}
}

// How fast a hub follows a server in its own process.
func BenchmarkFollow(b *testing.B) {
	brokertest.BenchmarkFollow(b, func(t testing.TB) ssehub.Broker {
		return open(t, startEngine(t).url(), &nats.Options{Events: -1, Bytes: -1})
	})
}

func BenchmarkAppendMany(b *testing.B) {
	e := startEngine(b)
	log := open(b, e.url(), nil)
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

var events = flag.Int("events", 0, "for TestNodes and TestCluster; 0: a few")

// Two hubs whose clients hop between them, while the server is restarted.
func TestNodes(t *testing.T) {
	e := startEngine(t)
	brokertest.RunNodes(t, brokertest.Nodes{
		Open:    func(t testing.TB) ssehub.Broker { return open(t, e.url(), &nats.Options{Events: -1, Bytes: -1}) },
		Disturb: func(testing.TB) { e.stop(); e.start() },
		Events:  *events,
		Timeout: 5 * time.Minute,
	})
}

// The same over three servers, of which the one that leads is killed.
func TestCluster(t *testing.T) {
	c := startCluster(t, 3)
	var killed int
	brokertest.RunNodes(t, brokertest.Nodes{
		Open: func(t testing.TB) ssehub.Broker {
			var log *nats.Log
			require.Eventually(t, func() bool { // as soon as the cluster has a leader
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				var err error
				log, err = nats.Open(ctx, c.url(), &nats.Options{Replicas: 3, Events: -1, Bytes: -1})
				return err == nil
			}, patience, 100*time.Millisecond)
			t.Cleanup(log.Close)
			return log
		},
		Disturb: func(t testing.TB) {
			s, err := js(t, c.url()).Stream(context.Background(), "ssehub")
			require.NoError(t, err)
			leader := s.CachedInfo().Cluster.Leader
			_, err = fmt.Sscanf(leader, "n%d", &killed)
			require.NoError(t, err)
			c.kill(killed)
		},
		Events:  *events,
		Timeout: 10 * time.Minute,
	})
	require.Nil(t, c.running[killed])
}

var outage = flag.Duration("outage", 0, "how long TestOutage has the server away; 0: a few seconds")

// Fault 94: two hubs whose server is killed, or does not answer, and clients that do
// not notice.
func TestOutage(t *testing.T) {
	for name, away := range map[string]struct{ begin, end func(*cluster) }{
		"killed": {func(c *cluster) { c.kill(0) }, func(c *cluster) { c.start(0) }},
		"stalled": {
			func(c *cluster) { c.signal(0, syscall.SIGSTOP) },
			func(c *cluster) { c.signal(0, syscall.SIGCONT) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, 1)
			t.Parallel()
			brokertest.RunOutage(t, brokertest.Outage{
				Open: func(t testing.TB) ssehub.Broker { return open(t, c.url(), nil) },
				Down: func(testing.TB) { away.begin(c) },
				Up:   func(testing.TB) { away.end(c) },
				For:  *outage,
			})
		})
	}
}

// Faults 93 and 94: what the log has lost is told at each of two hubs.
func TestLosses(t *testing.T) {
	e := startEngine(t)
	purge := func(t testing.TB, opts ...jetstream.StreamPurgeOpt) {
		s, err := js(t, e.url()).Stream(t.Context(), "ssehub")
		require.NoError(t, err)
		require.NoError(t, s.Purge(t.Context(), opts...))
	}
	remove := func(t testing.TB) { require.NoError(t, js(t, e.url()).DeleteStream(t.Context(), "ssehub")) }
	brokertest.RunLosses(t, brokertest.Losses{
		Open: func(t testing.TB) ssehub.Broker { return open(t, e.url(), nil) },
		Trims: map[string]func(testing.TB, uint64){
			"purged in part": func(t testing.TB, first uint64) { purge(t, jetstream.WithPurgeSequence(first)) },
			"purged":         func(t testing.TB, _ uint64) { purge(t) },
		},
		Ends: map[string]func(testing.TB){
			"purged and deleted": func(t testing.TB) { purge(t); remove(t) },
			"made anew": func(t testing.TB) {
				remove(t)
				_, err := js(t, e.url()).CreateStream(t.Context(), jetstream.StreamConfig{
					Name: "ssehub", Subjects: []string{"ssehub.another1"}, AllowDirect: true, FirstSeq: 90,
				})
				require.NoError(t, err)
			},
		},
	})
}

// Faults 94: what a machine that loses its power may do, as the package's documentation says: of
// the files that is left what was synced, which is less than was acknowledged. A hub
// that has had the rest tells so.
func TestPowerLoss(t *testing.T) {
	c := startCluster(t, 1)
	log := open(t, c.url(), nil)
	add(t, log, "1")
	hub := ssehub.New(&ssehub.Options{Broker: log})
	t.Cleanup(func() { hub.Close() })
	sub, err := hub.Subscribe(t.Context(), "t")
	require.NoError(t, err)
	next := func() sse.Message {
		t.Helper()
		select {
		case m := <-sub.Events():
			return m
		case <-time.After(patience):
			t.Fatal("nothing comes")
			return sse.Message{}
		}
	}
	c.kill(0)
	synced := filepath.Join(t.TempDir(), "synced")
	require.NoError(t, os.CopyFS(synced, os.DirFS(c.nodes[0].Dir)))
	c.start(0)
	lost := add(t, open(t, c.url(), nil), "lost")
	require.Equal(t, "lost", string(next().Data))
	c.kill(0)
	c.nodes[0].Dir = synced
	c.start(0)
	require.Equal(t, lost, add(t, open(t, c.url(), nil), "another"))
	require.Contains(t, string(next().Data), `"reason":"ahead"`)
	require.Equal(t, "1", string(next().Data)) // as behind any gap of which nothing is known
	require.Equal(t, "another", string(next().Data))
}
