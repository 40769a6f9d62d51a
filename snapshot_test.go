package ssehub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// counters are the state of some topics: each event adds one, so that one which
// comes twice, or is missing, shows.
type counters struct {
	mu    sync.Mutex
	hub   *ssehub.Hub
	n     map[string]int
	at    map[string]ssehub.Position
	seqs  map[string]ssehub.Position // by topic and number
	calls int
}

func (c *counters) add(t testing.TB, topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[topic]++
	pos, err := c.hub.Publish(t.Context(), topic, sse.Message{Type: "add", Data: []byte(strconv.Itoa(c.n[topic]))})
	require.NoError(t, err)
	c.at[topic] = pos
	c.seqs[fmt.Sprint(topic, c.n[topic])] = pos
}

func (c *counters) snapshot(_ context.Context, topic string) (sse.Message, ssehub.Position, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.at[topic].Epoch != c.hub.Position().Epoch {
		c.at[topic] = c.hub.Position()
		c.seqs[fmt.Sprint(topic, c.n[topic])] = c.at[topic]
	}
	return sse.Message{Type: "state", Data: []byte(strconv.Itoa(c.n[topic]))}, c.at[topic], nil
}

// newCounters has topics that begin with "n" be counters.
func newCounters(t testing.TB, opts ssehub.Options) *counters {
	c := &counters{n: make(map[string]int), at: make(map[string]ssehub.Position), seqs: make(map[string]ssehub.Position)}
	opts.SnapshotFor = func(topic string) ssehub.Snapshot {
		if topic[0] == 'n' {
			return c.snapshot
		}
		return nil
	}
	c.hub = newHub(t, &opts)
	return c
}

// types returns the types and data of messages, and "id" where they have one.
func wireOf(messages []sse.Message) (out []string) {
	id := ""
	for _, m := range messages {
		s := m.Type
		if m.Type == "add" || m.Type == "state" || m.Type == "" {
			s += " " + string(m.Data)
		}
		if m.ID != id {
			s += " id"
			id = m.ID
		}
		out = append(out, s)
	}
	return out
}

// A new reader, and one to whom a gap is told, gets the state as of a position
// and exactly what came behind it, and the id of the state is that position.
func TestSnapshotOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounters(t, ssehub.Options{History: ssehub.Retention{Events: 3}})
		fresh, _ := stream(t, c.hub.Handler("n"), "/", "")
		synctest.Wait()
		c.add(t, "n")
		c.add(t, "n")
		synctest.Wait()
		require.Equal(t, []string{sse.TypeHello, "state 0 id", "add 1 id", "add 2 id"}, wireOf(fresh.Messages()))
		second, _ := stream(t, c.hub.Handler("n"), "/", "")
		synctest.Wait()
		require.Equal(t, []string{sse.TypeHello, "state 2 id"}, wireOf(second.Messages()))
		id := second.Messages()[1].ID
		require.Equal(t, c.at["n"].String(), id)
		for range 3 {
			c.add(t, "n")
		}
		back, _ := stream(t, c.hub.Handler("n"), "/", id) // nothing is missing
		synctest.Wait()
		require.Equal(t, []string{sse.TypeHello + " id", "add 3 id", "add 4 id", "add 5 id"}, wireOf(back.Messages()))
		c.add(t, "n")
		late, _ := stream(t, c.hub.Handler("n"), "/", id)
		synctest.Wait()
		require.Equal(t, []string{sse.TypeHello + " id", sse.TypeGap, "state 6 id"}, wireOf(late.Messages()))
		require.Equal(t, sse.VerdictGap, hello(t, late.Messages()).Verdict)
		for _, foreign := range []string{"other-5", "nonsense", c.hub.Position().Epoch + "-99"} {
			rec, _ := stream(t, c.hub.Handler("n"), "/", foreign)
			synctest.Wait()
			wire := wireOf(rec.Messages())
			require.Equal(t, []string{sse.TypeGap, "state 6 id"}, wire[1:])
		}
		// Several topics: the states and what else is new, then a mark with the id.
		several, _ := stream(t, c.hub.Handler("n", "n2", "x"), "/", "")
		synctest.Wait()
		publish(t, c.hub, "x", "7")
		synctest.Wait()
		require.Equal(t, []string{sse.TypeHello, "state 6", "state 0", sse.TypeMark + " id", " 7 id"}, wireOf(several.Messages()))
		require.Equal(t, []string{"", "n", "n2", "", "x"}, topicsOf(several.Messages()))
		for range 4 {
			publish(t, c.hub, "x", "8")
			c.add(t, "n")
		}
		mixed, _ := stream(t, c.hub.Handler("n", "n2", "x"), "/", id)
		synctest.Wait()
		c.add(t, "n")
		synctest.Wait()
		require.Equal(t, []string{sse.TypeHello + " id", sse.TypeGap, sse.TypeGap, "state 10 id", " 8 id", " 8 id", " 8 id", "add 11 id"}, wireOf(mixed.Messages()))
		// A pattern has none, and neither has History.
		pattern, _ := stream(t, c.hub.Handler("n.*"), "/", "")
		synctest.Wait()
		require.Equal(t, []string{sse.TypeHello + " id"}, wireOf(pattern.Messages()))
		messages, _, err := c.hub.History(t.Context(), "n", ssehub.Position{}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"add 9 id", "add 10 id", "add 11 id"}, wireOf(messages))
	})
}

func topicsOf(messages []sse.Message) (topics []string) {
	for _, m := range messages {
		topics = append(topics, m.Topic)
	}
	return topics
}

// A reader that the history has moved past gets the state behind the gap.
func TestSnapshotAfterOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounters(t, ssehub.Options{History: ssehub.Retention{Events: 3}})
		sub, err := c.hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		require.Equal(t, "state 0", (<-sub.Events()).Type+" 0")
		synctest.Wait()
		for range 20 { // the first is on its way
			c.add(t, "n")
			synctest.Wait()
		}
		var got []string
		for len(got) == 0 || got[len(got)-1] != "state 20" {
			m := <-sub.Events()
			got = append(got, m.Type+" "+string(m.Data))
			if m.Type == sse.TypeGap {
				got[len(got)-1] = sse.TypeGap
			}
		}
		require.Equal(t, []string{"add 1", sse.TypeGap, "state 20"}, got)
		c.add(t, "n")
		require.Equal(t, "21", string((<-sub.Events()).Data))
	})
}

// However many readers come while a call is under way, they share it, and get
// what was published meanwhile behind it, once.
func TestSnapshotSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		hub := newHub(t, &ssehub.Options{SnapshotFor: func(string) ssehub.Snapshot {
			return func(context.Context, string) (sse.Message, ssehub.Position, error) {
				calls.Add(1)
				<-release
				return sse.Message{Data: []byte("state")}, ssehub.Position{}, nil
			}
		}})
		publishNumbers(t, hub, "n", 1, 3)
		var recs []*ssetest.Recorder
		for i := range 1000 {
			rec, _ := stream(t, hub.Handler("n"), "/", "")
			recs = append(recs, rec)
			if i%100 == 0 {
				synctest.Wait()
				publish(t, hub, "n", strconv.Itoa(4+i/100))
			}
		}
		time.Sleep(time.Minute) // not a second call by whoever wakes for a heartbeat
		require.Contains(t, recs[0].Text(), "\n:\n")
		require.EqualValues(t, 1, calls.Load())
		close(release)
		synctest.Wait()
		for _, rec := range recs {
			require.Equal(t, []string{"state", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"}, texts(rec.Messages()))
		}
		stream(t, hub.Handler("n"), "/", "")
		synctest.Wait()
		require.EqualValues(t, 2, calls.Load())
	})
}

// A Snapshot that fails ends its readers, who may come back, and nobody else.
func TestSnapshotFails(t *testing.T) {
	boom := errors.New("boom")
	var ahead ssehub.Position
	for name, fail := range map[string]func() (sse.Message, error){
		"error":   func() (sse.Message, error) { return sse.Message{}, boom },
		"panic":   func() (sse.Message, error) { panic(boom) },
		"exit":    func() (sse.Message, error) { runtime.Goexit(); return sse.Message{}, nil },
		"invalid": func() (sse.Message, error) { return sse.Message{Type: "a\nb"}, nil },
		"hub's":   func() (sse.Message, error) { return sse.Message{Type: sse.TypeGap}, nil },
		"ahead":   func() (sse.Message, error) { ahead.Seq = 99; return sse.Message{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := true
				ahead = ssehub.Position{}
				hub := newHub(t, &ssehub.Options{SnapshotFor: func(topic string) ssehub.Snapshot {
					if topic != "n" {
						return nil
					}
					return func(context.Context, string) (m sse.Message, _ ssehub.Position, err error) {
						if failing {
							m, err = fail()
							return m, ahead, err
						}
						return sse.Message{Data: []byte("state")}, ssehub.Position{}, nil
					}
				}})
				ahead.Epoch = hub.Position().Epoch
				other, err := hub.Subscribe(t.Context(), "x")
				require.NoError(t, err)
				sub, err := hub.Subscribe(t.Context(), "x", "n")
				require.NoError(t, err)
				_, ok := <-sub.Events()
				require.False(t, ok)
				require.ErrorContains(t, sub.Err(), "snapshot of n: ")
				failing = false
				sub, err = hub.Subscribe(t.Context(), "n")
				require.NoError(t, err)
				require.Equal(t, "state", string((<-sub.Events()).Data))
				publish(t, hub, "x", "1")
				require.Equal(t, "1", string((<-other.Events()).Data))
			})
		})
	}
}

// One that blocks holds up its own topic's new readers alone: these still have
// heartbeats, may leave, and end with the hub; its context ends, too.
func TestSnapshotBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		snapshots := func(topic string) ssehub.Snapshot {
			if topic != "n" {
				return nil
			}
			return func(ctx context.Context, _ string) (sse.Message, ssehub.Position, error) {
				<-ctx.Done()
				ended.Add(1)
				return sse.Message{}, ssehub.Position{}, ctx.Err()
			}
		}
		hub := ssehub.New(&ssehub.Options{SnapshotFor: snapshots})
		rec, leave := stream(t, hub.Handler("n", "x"), "/", "")
		left, _ := stream(t, hub.Handler("n"), "/", "")
		free, _ := stream(t, hub.Handler("x"), "/", "")
		time.Sleep(20 * time.Second)
		publish(t, hub, "x", "1")
		synctest.Wait()
		require.Equal(t, []string{"1"}, texts(free.Messages()))
		require.Empty(t, texts(rec.Messages()))
		require.Contains(t, rec.Text(), "\n:\n")
		leave()
		require.Equal(t, 2, hub.Stats().Subscribers)
		time.Sleep(20 * time.Second)
		require.EqualValues(t, 1, ended.Load())
		require.Equal(t, 1, hub.Stats().Subscribers)
		require.Empty(t, texts(left.Messages()))

		stream(t, hub.Handler("n"), "/", "")
		time.Sleep(time.Second)
		start := time.Now()
		require.NoError(t, hub.Shutdown(t.Context()))
		require.Less(t, time.Since(start), 30*time.Second) // it waits for what it has called
		require.EqualValues(t, 2, ended.Load())

		hub = ssehub.New(&ssehub.Options{SnapshotFor: snapshots})
		stream(t, hub.Handler("n"), "/", "")
		synctest.Wait()
		start = time.Now()
		require.NoError(t, hub.Close())
		require.Zero(t, time.Since(start))
	})
}

// A state that is always behind what the history keeps is no state: the reader
// is ended rather than told a lie.
func TestSnapshotTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		hub := newHub(t, &ssehub.Options{
			History: ssehub.Retention{Events: 3},
			SnapshotFor: func(string) ssehub.Snapshot {
				return func(context.Context, string) (sse.Message, ssehub.Position, error) {
					calls++
					time.Sleep(time.Second)
					return sse.Message{Data: []byte("state")}, ssehub.Position{}, nil
				}
			},
		})
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		for {
			select {
			case <-tick.C:
				publish(t, hub, "n", "x")
				continue
			case _, ok := <-sub.Events():
				require.False(t, ok)
			}
			break
		}
		require.ErrorContains(t, sub.Err(), "slower")
		require.Equal(t, 3, calls)
		tick.Stop()
		sub, err = hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		require.Equal(t, "state", string((<-sub.Events()).Data))
	})
}

// Promises 2 and 3 for state: random readers of counters, of one topic and of
// several, that lag, are cut, and come back, with small windows, some over a
// Broker that begins anew. What each has counted is, once it has all, the truth.
func TestSnapshotModel(t *testing.T) {
	for round := range 40 {
		seed := *modelSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("go test -run TestSnapshotModel/0$ . -model.seed %d", seed)
				}
			}()
			synctest.Test(t, func(t *testing.T) { snapshotModel(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

type countingReader struct {
	sub    *ssehub.Subscription
	topics []string
	id     string
	n      map[string]int             // also of "x", which has no state; -1 when some may be missing
	upTo   map[string]ssehub.Position // of the state
}

func snapshotModel(t *testing.T, rng *rand.Rand) {
	opts := ssehub.Options{History: ssehub.Retention{Events: 1 + rng.IntN(20)}, OverflowFor: latestOf("l")}
	broker := new(brokertest.Memory)
	if rng.IntN(3) == 0 {
		opts.Broker = broker
	}
	c := newCounters(t, opts)
	defer c.hub.Close() // else a failure would have its readers wait for ever
	sets := [][]string{{"n1"}, {"n2"}, {"n1", "n2"}, {"n1", "x"}, {"n1", "n2", "x", "l"}, {"n1", "*"}, {"x", "n2", "n1.>"}}
	var readers []*countingReader
	xs := 0
	join := func(topics []string, id string, n map[string]int, upTo map[string]ssehub.Position) {
		sub, err := c.hub.Resume(t.Context(), id, topics...)
		require.NoError(t, err)
		readers = append(readers, &countingReader{sub, topics, id, n, upTo})
	}
	take := func(r *countingReader) bool {
		synctest.Wait()
		select {
		case m, ok := <-r.sub.Events():
			require.True(t, ok, "%v: %v", r.topics, r.sub.Err())
			if m.ID != "" {
				r.id = m.ID
			}
			n, _ := strconv.Atoi(string(m.Data))
			if m.Type != sse.TypeGap && !slices.Contains(r.topics, m.Topic) {
				return true // through a pattern, which has no state
			}
			switch m.Type {
			case sse.TypeGap:
				if topic := gaps(t, []sse.Message{m})[0].Topic; topic == "" || topic == "x" {
					r.n["x"] = -1
				}
			case "x":
				if was, ok := r.n["x"]; ok && was >= 0 {
					require.Equal(t, was+1, n, "%v x", r.topics)
				}
				r.n["x"] = n
			case "state":
				r.n[m.Topic] = n
				r.upTo[m.Topic] = c.seqs[fmt.Sprint(m.Topic, n)]
			case "add":
				pos, _ := ssehub.ParsePosition(m.ID)
				if m.ID != "" && len(r.topics) > 1 && pos.Epoch == r.upTo[m.Topic].Epoch && pos.Seq <= r.upTo[m.Topic].Seq {
					break // cut behind the state, before the others had come as far: the ids tell
				}
				require.Equal(t, r.n[m.Topic]+1, n, "%v %s", r.topics, m.Topic)
				r.n[m.Topic] = n
			}
			return true
		default:
			return false
		}
	}
	for range 600 {
		switch k := rng.IntN(100); {
		case k < 55:
			c.add(t, []string{"n1", "n2"}[rng.IntN(2)])
		case k < 65:
			if topic := []string{"x", "l", "y"}[rng.IntN(3)]; topic == "x" {
				xs++
				_, err := c.hub.Publish(t.Context(), "x", sse.Message{Type: "x", Data: []byte(strconv.Itoa(xs))})
				require.NoError(t, err)
			} else {
				publish(t, c.hub, topic, "")
			}
		case k < 70 && len(readers) < 10:
			join(sets[rng.IntN(len(sets))], "", make(map[string]int), make(map[string]ssehub.Position))
		case k < 90 && len(readers) > 0:
			r := readers[rng.IntN(len(readers))]
			for range rng.IntN(10) {
				take(r)
			}
		case k < 97 && len(readers) > 0:
			i := rng.IntN(len(readers))
			r := readers[i]
			readers = slices.Delete(readers, i, i+1)
			r.sub.Close()
			if r.id == "" { // it has nothing to resume from, and begins anew
				join(r.topics, "", make(map[string]int), make(map[string]ssehub.Position))
			} else {
				join(r.topics, r.id, r.n, r.upTo)
			}
		case k == 98 && opts.Broker != nil:
			broker.Reset()
			time.Sleep(time.Minute)
		}
	}
	for _, r := range readers {
		for take(r) {
		}
		for _, topic := range r.topics {
			if topic[0] == 'n' && c.n[topic] > 0 {
				require.Equal(t, c.n[topic], r.n[topic], "%v %s", r.topics, topic)
			}
		}
		r.sub.Close()
	}
	require.Positive(t, c.calls)
}

// A topic that changes seldom has readers all the same: that its state is older
// than what the hub knows of topics out of memory is no loss.
func TestSnapshotOfQuietTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := new(brokertest.Memory)
		for _, opts := range []ssehub.Options{{}, {OverflowFor: latestOf("n")}, {Broker: broker}} {
			c := newCounters(t, opts)
			state := func() {
				t.Helper()
				sub, err := c.hub.Subscribe(t.Context(), "n")
				require.NoError(t, err)
				m := <-sub.Events()
				require.Equal(t, "state 1", m.Type+" "+string(m.Data))
				sub.Close()
			}
			c.add(t, "n")
			for range 5 {
				publish(t, c.hub, "busy", "x")
			}
			time.Sleep(time.Hour)
			publish(t, c.hub, "busy", "x")
			state()
			if opts.Broker != nil {
				broker.Trim(5)
				c.hub.Close()
				opts.SnapshotFor = func(string) ssehub.Snapshot { return c.snapshot }
				c.hub = newHub(t, &opts)
				state()
			}
		}
	})
}

// Promise 7: readers of one topic who come at the same time have one copy of its
// state, however long they take for it.
func TestSnapshotIsShared(t *testing.T) {
	const size, readers = 1 << 20, 100
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{SnapshotFor: func(string) ssehub.Snapshot {
			return func(context.Context, string) (sse.Message, ssehub.Position, error) {
				return sse.Message{Data: bytes.Repeat([]byte("x"), size-10)}, ssehub.Position{}, nil
			}
		}})
		server := ssetest.NewServer(hub.Handler("n"))
		defer server.Close()
		before := heap()
		for range readers {
			res, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			defer res.Body.Close() // and does not read
		}
		synctest.Wait()
		require.Less(t, heap()-before, int64(readers*size/4))
	})
}

// A state above the limit of events is refused, as clients would.
func TestSnapshotTooLarge(t *testing.T) {
	hub := newHub(t, &ssehub.Options{MaxEventSize: 100, SnapshotFor: func(string) ssehub.Snapshot {
		return func(context.Context, string) (sse.Message, ssehub.Position, error) {
			return sse.Message{Data: make([]byte, 101)}, ssehub.Position{}, nil
		}
	}})
	sub, err := hub.Subscribe(t.Context(), "n")
	require.NoError(t, err)
	<-sub.Events()
	require.ErrorContains(t, sub.Err(), "101 bytes")
}

// Promise 8: Shutdown does not wait for a state that nobody waits for any more.
func TestSnapshotAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{SnapshotFor: func(string) ssehub.Snapshot {
			return func(ctx context.Context, _ string) (sse.Message, ssehub.Position, error) {
				<-ctx.Done()
				return sse.Message{}, ssehub.Position{}, ctx.Err()
			}
		}})
		stream(t, hub.Handler("n"), "/", "")
		synctest.Wait()
		start := time.Now()
		require.NoError(t, hub.Shutdown(t.Context()))
		require.Less(t, time.Since(start), time.Second)
	})
}
