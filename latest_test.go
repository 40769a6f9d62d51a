package ssehub_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

func latestOf(prefix string) func(string) ssehub.Overflow {
	return func(topic string) ssehub.Overflow {
		if strings.HasPrefix(topic, prefix) {
			return ssehub.Latest
		}
		return ssehub.SkipToOldest
	}
}

// set publishes the newest value of a key, as "key=value".
func set(t testing.TB, hub *ssehub.Hub, topic, key string, value int) ssehub.Position {
	t.Helper()
	m := sse.Message{Data: []byte(key + "=" + strconv.Itoa(value))}
	pos, err := hub.PublishWith(t.Context(), topic, m, ssehub.PublishOptions{Key: key})
	require.NoError(t, err)
	return pos
}

// apply makes the change that set has published.
func apply(t testing.TB, table map[string]int, m sse.Message) {
	t.Helper()
	key, value, ok := strings.Cut(string(m.Data), "=")
	require.True(t, ok, "%s %s", m.Type, m.Data)
	n, err := strconv.Atoi(value)
	require.NoError(t, err)
	table[key] = n
}

// A new stream gets the newest value of each key, with neither the other topics'
// past nor an id, then the id from which it can resume, then what is new.
func TestLatestStateOnTheWire(t *testing.T) {
	const state = "table.a k=1, table.a l=9, "
	for _, tt := range []struct{ topics, want string }{
		{"table.a chat", state + "mark, table.a k=11, chat after"},
		{"table.*", state + "table.b k=10, mark, table.a k=11"},
		{"> table.b", state + "table.b k=10, mark, table.a k=11, chat after"},
		{"table.c", "mark"},
		{"chat", " after"},
		{"table.a", strings.ReplaceAll(state, "table.a ", " ") + "mark,  k=11"},
	} {
		t.Run(tt.topics, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{OverflowFor: latestOf("table"), History: ssehub.Retention{Events: 3}})
			set(t, hub, "table.a", "k", 1)
			publish(t, hub, "chat", "before")
			for i := 2; i < 10; i++ {
				set(t, hub, "table.a", "l", i)
			}
			last := set(t, hub, "table.b", "k", 10)
			rec, _ := stream(t, hub.Handler(strings.Fields(tt.topics)...), "/", "")
			want := strings.Split(tt.want, ", ")
			// What is superseded before the reader has come to it is left out.
			require.NoError(t, rec.Wait(t.Context(), 1+slices.Index(want, "mark")+1))
			set(t, hub, "table.a", "k", 11)
			publish(t, hub, "chat", "after")
			require.NoError(t, rec.Wait(t.Context(), 1+len(want)))
			messages := rec.Messages()
			require.Equal(t, sse.VerdictFresh, hello(t, messages).Verdict)
			var got []string
			id := ""
			for i, m := range messages[1:] {
				text := m.Topic + " " + string(m.Data)
				if m.Type == sse.TypeMark {
					require.JSONEq(t, `{"reason":"state"}`, string(m.Data))
					require.Equal(t, last.String(), m.ID)
					id, text = m.ID, "mark"
				} else if id == "" && tt.topics != "chat" {
					require.Empty(t, m.ID, "message %d", i)
				}
				got = append(got, text)
			}
			require.Equal(t, want, got)
		})
	}
}

// Between state and what is new nothing is missed or doubled, in whatever
// moment of a storm a reader joins, and by whatever way it came to its table.
func TestLatestJoinDuringStorm(t *testing.T) {
	const publishers, events, keys, readers = 4, 5000, 50, 100
	hub := newHub(t, &ssehub.Options{OverflowFor: latestOf("table"), History: ssehub.Retention{Events: 100}})
	first := hub.Position().String()
	var storm, all sync.WaitGroup
	for p := range publishers {
		storm.Go(func() {
			for i := range events {
				set(t, hub, "table."+strconv.Itoa(p%2), fmt.Sprint("k", p, "_", i%keys), i)
			}
		})
	}
	names := [][]string{{"table.0", "table.1"}, {"table.*"}, {"table.0", ">"}}
	for n := range readers {
		all.Go(func() {
			from := ""
			if n%5 == 0 {
				from = first
			}
			sub, err := hub.Resume(t.Context(), from, names[n%len(names)]...)
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			table, at := make(map[string]int), uint64(0)
			for m := range sub.Events() {
				if string(m.Data) == "end" {
					break
				}
				if m.Type != "" && m.Type != "message" {
					if n%3 == 0 { // the log of a pattern keeps to its own policy
						t.Errorf("%s %s", m.Type, m.Data)
					}
					return
				}
				key, value, _ := strings.Cut(string(m.Data), "=")
				i, _ := strconv.Atoi(value)
				if old, ok := table[key]; ok && i <= old {
					t.Errorf("%s after %d", m.Data, old)
				}
				table[key] = i
				if m.ID != "" {
					if next := seq(t, m.ID); next <= at {
						t.Errorf("%d after %d", next, at)
					} else {
						at = next
					}
				}
			}
			for key, value := range table {
				if value < events-keys {
					t.Errorf("%s ends at %d", key, value)
				}
			}
			if len(table) != publishers*keys {
				t.Errorf("%d keys", len(table))
			}
		})
	}
	storm.Wait()
	publish(t, hub, "table.0", "end")
	all.Wait()
}

// What a reader under Latest gets, from anywhere, held against a list of all
// events: in order, the window whole, the newest of every key, and little else.
func TestLatestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 200 {
		window, keys := 1+rng.IntN(40), 1+rng.IntN(40)
		keys = min(keys, window) // else keys are lost, see TestLatestBounds
		hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: window}})
		start := hub.Position()
		type event struct{ key, value int }
		log := []event{{}} // by seq
		for range rng.IntN(1000) {
			e := event{rng.IntN(keys), len(log)}
			set(t, hub, "t", strconv.Itoa(e.key), e.value)
			log = append(log, e)
		}
		head := len(log) - 1
		for range 20 {
			from := ssehub.Position{Epoch: start.Epoch, Seq: uint64(rng.IntN(len(log)))}
			messages, end, err := hub.History(t.Context(), "t", from, 0)
			require.NoError(t, err)
			require.EqualValues(t, head, end.Seq)
			newest := make(map[int]int)
			for i := int(from.Seq) + 1; i < len(log); i++ {
				newest[log[i].key] = i
			}
			got := make(map[int]bool)
			last := int(from.Seq)
			for _, m := range messages {
				require.NotEqual(t, sse.TypeGap, m.Type)
				at := int(seq(t, m.ID))
				require.Greater(t, at, last)
				last = at
				require.Equal(t, fmt.Sprintf("%d=%d", log[at].key, log[at].value), string(m.Data))
				got[at] = true
			}
			for i := max(int(from.Seq)+1, head-window+1); i <= head; i++ {
				require.True(t, got[i], "round %d: %d of the window", round, i)
			}
			for key, i := range newest {
				require.True(t, got[i], "round %d: %d, newest of %d", round, i, key)
			}
			require.LessOrEqual(t, len(messages), window+max(window/8, keys)+keys)
		}
		all, _, err := hub.History(t.Context(), "t", start, 0)
		require.NoError(t, err)
		kept, _, err := hub.History(t.Context(), "t", ssehub.Position{}, 0)
		require.NoError(t, err)
		require.Equal(t, all, kept)
		require.LessOrEqual(t, hub.Stats().Events, window+max(window/8, keys)+keys)
	}
}

// Promise 7: keys have bounds too, and what is dropped by them is told.
func TestLatestBounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		keep ssehub.Retention
	}{
		{"events", ssehub.Retention{Events: 10, Bytes: -1}},
		{"bytes", ssehub.Retention{Events: -1, Bytes: 10 * int64(len("id: 12345678-123\ndata: 123=123\n\n"))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: tt.keep})
			start := hub.Position()
			for i := 1; i <= 999; i++ {
				set(t, hub, "t", strconv.Itoa(i), i)
			}
			messages, _, err := hub.History(t.Context(), "t", start, 0)
			require.NoError(t, err)
			told := gaps(t, messages)
			require.Len(t, told, 1)
			require.InDelta(t, 980, seq(t, told[0].To), 12)
			for i, text := range texts(messages) {
				require.Equal(t, strconv.Itoa(int(seq(t, told[0].To))+1+i), strings.Split(text, "=")[0])
			}
			require.InDelta(t, 25, hub.Stats().Events, 6)
		})
	}
}

// Keys that were dropped leave nothing behind.
func TestLatestKeysLeaveMemory(t *testing.T) {
	hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: 10}})
	var before, after runtime.MemStats
	for i := range 110_000 {
		if i == 10_000 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		set(t, hub, "t", strconv.Itoa(i), i)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(256<<10))
}

// A value outlives the age of the history, and its topic with it.
func TestLatestOutlivesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Age: time.Minute}})
		defer hub.Close()
		for i := range 100 {
			set(t, hub, "t", "k", i)
		}
		time.Sleep(time.Hour)
		require.Equal(t, 1, hub.Stats().Events)
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		defer sub.Close()
		m := <-sub.Events()
		require.Equal(t, "k=99", string(m.Data))
		require.Empty(t, m.ID)
		set(t, hub, "t", "k", 100)
		require.Equal(t, "k=100", string((<-sub.Events()).Data))
	})
}

// A fast reader gets every update, a slow one the newest of each key, at a cost
// in memory that does not grow with the number of updates; both end alike.
func TestLatestConflates(t *testing.T) {
	const keys, updates = 1000, 200_000
	hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: 5000, Bytes: 1 << 20}})
	fast, err := hub.Subscribe(t.Context(), "t")
	require.NoError(t, err)
	defer fast.Close()
	slow, err := hub.Subscribe(t.Context(), "t")
	require.NoError(t, err)
	defer slow.Close()
	want, table := make(map[string]int), make(map[string]int)
	var before, after runtime.MemStats
	for i := range updates {
		if i == updates/10 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		key := strconv.Itoa(i * 7919 % keys)
		set(t, hub, "t", key, i)
		want[key] = i
		m := <-fast.Events() // it keeps up
		require.Equal(t, key+"="+strconv.Itoa(i), string(m.Data))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	require.Less(t, grown, int64(1<<20))
	got := 0
	for m := range slow.Events() {
		require.NotEqual(t, sse.TypeGap, m.Type)
		apply(t, table, m)
		if got++; table[strconv.Itoa((updates-1)*7919%keys)] == updates-1 {
			break
		}
	}
	require.Equal(t, want, table)
	require.Less(t, got, 5000+5000/8+2*keys+keys)
	t.Logf("%d updates, the slow reader got %d, the heap grew by %d bytes", updates, got, grown)
}

func TestLatestRefusesLongKey(t *testing.T) {
	hub := newHub(t, nil)
	_, err := hub.PublishWith(t.Context(), "t", sse.Message{}, ssehub.PublishOptions{Key: strings.Repeat("k", 257)})
	require.ErrorIs(t, err, sse.ErrInvalidField)
}

// A new reader is told too if keys were dropped before it came, or are dropped
// while it is on its way through them.
func TestLatestStateTellsLoss(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: 10}})
		for i := range 100 {
			set(t, hub, "t", strconv.Itoa(i), i)
		}
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		defer sub.Close()
		m := <-sub.Events()
		require.Empty(t, m.ID)
		first := int(seq(t, gaps(t, []sse.Message{m})[0].To))
		for i := first; i < 100; i++ {
			require.Equal(t, fmt.Sprintf("%d=%d", i, i), string((<-sub.Events()).Data))
		}
	})
	t.Run("meanwhile", func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: 10, Bytes: -1}})
		big := func(key string) {
			m := sse.Message{Data: []byte(key + "=" + strings.Repeat("1", 40<<10))}
			_, err := hub.PublishWith(t.Context(), "t", m, ssehub.PublishOptions{Key: key})
			require.NoError(t, err)
		}
		for i := range 10 {
			big("old" + strconv.Itoa(i))
		}
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		defer sub.Close()
		got, lost := make(map[uint64]bool), uint64(0)
		<-sub.Events()
		for i := range 45 {
			big("new" + strconv.Itoa(min(i, 5)))
		}
		for i := range 10 { // each key once, so that only these are kept
			big("key" + strconv.Itoa(i))
		}
		for n := 1; ; n++ {
			m := <-sub.Events()
			if m.Type == sse.TypeGap {
				require.Zero(t, seq(t, gaps(t, []sse.Message{m})[0].From)>>10)
				lost = max(lost, seq(t, gaps(t, []sse.Message{m})[0].To))
				continue
			}
			key, _, _ := strings.Cut(string(m.Data), "=")
			if strings.HasPrefix(key, "old") {
				i, _ := strconv.Atoi(key[3:])
				got[uint64(i+1)] = true
			}
			if key == "key9" {
				break
			}
		}
		for i := uint64(2); i <= 10; i++ {
			require.True(t, got[i] || i <= lost, "old key of event %d: not got, nor in a gap up to %d", i, lost)
		}
		require.NotZero(t, lost)
	})
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hub := ssehub.New(&ssehub.Options{OverflowFor: latestOf("table"), History: ssehub.Retention{Age: time.Minute}})
			defer hub.Close()
			publish(t, hub, "gone", "x")
			time.Sleep(10 * time.Minute)
			require.Zero(t, hub.Stats().Topics)
			set(t, hub, "table", "k", 1)
			sub, err := hub.Subscribe(t.Context(), "table")
			require.NoError(t, err)
			defer sub.Close()
			require.Equal(t, "k=1", string((<-sub.Events()).Data), "another topic's past is no loss of this one")
		})
	})
}

// History counts what is kept, and nothing else.
func TestLatestHistoryLimit(t *testing.T) {
	hub := newHub(t, &ssehub.Options{Overflow: ssehub.Latest, History: ssehub.Retention{Events: 10}})
	for i := range 100 {
		set(t, hub, "t", strconv.Itoa(i*i%9), i)
		kept, _, err := hub.History(t.Context(), "t", ssehub.Position{}, 0)
		require.NoError(t, err)
		for limit := 1; limit <= len(kept); limit++ {
			some, _, err := hub.History(t.Context(), "t", ssehub.Position{}, limit)
			require.NoError(t, err)
			require.Equal(t, kept[len(kept)-limit:], some)
		}
	}
}
