package ssehub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
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

// fill publishes events of a kilobyte, frame and all but a few bytes.
func fill(t testing.TB, hub *ssehub.Hub, topic string, events int) {
	t.Helper()
	for range events {
		publish(t, hub, topic, strings.Repeat("x", 1000))
	}
}

// keeps returns how many events of topic are kept.
func keeps(t testing.TB, hub *ssehub.Hub, topic string) int {
	t.Helper()
	messages, _, err := hub.History(t.Context(), topic, ssehub.Position{}, 0)
	require.NoError(t, err)
	return len(messages)
}

// Fault: all topics together keep more than MaxHistory. The one with the most lag
// gives, though another keeps more; where none lags, the one that keeps most.
func TestBudgetVictim(t *testing.T) {
	for _, c := range []struct {
		name, victim string
		stuck        []string // have a reader that does not read
	}{
		{"the laggard", "small", []string{"small"}},
		{"the one with the most lag", "middle", []string{"small", "middle"}},
		{"nobody lags", "big", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				hub := ssehub.New(&ssehub.Options{
					MaxHistory: 1 << 20,
					History:    ssehub.Retention{Bytes: -1},
					Logger:     slog.New(slog.NewJSONHandler(&log, nil)),
				})
				defer hub.Close()
				want := map[string]int{"small": 220, "middle": 260, "big": 300}
				for i := range 10 {
					want["other."+strconv.Itoa(i)] = 22
				}
				var stuck []*ssehub.Subscription
				for topic := range want {
					reader, err := hub.Subscribe(t.Context(), topic)
					require.NoError(t, err)
					go func() {
						for range reader.Events() {
						}
					}()
				}
				for _, topic := range c.stuck {
					sub, err := hub.Subscribe(t.Context(), topic)
					require.NoError(t, err)
					stuck = append(stuck, sub)
				}
				for topic, events := range want { // a million bytes, and all but the stuck have them
					fill(t, hub, topic, events-1)
					late, err := hub.Subscribe(t.Context(), topic) // lags less, and is not what counts
					require.NoError(t, err)
					defer late.Close()
					fill(t, hub, topic, 1)
					synctest.Wait()
				}
				require.Zero(t, hub.Stats().Evicted)
				fill(t, hub, "other.0", 50)
				want["other.0"] += 50
				synctest.Wait()

				stats := hub.Stats()
				require.InDelta(t, 7<<20/8, stats.Bytes, 60_000, "what is needed, and what was published meanwhile")
				for topic, events := range want {
					if topic == c.victim {
						require.Less(t, keeps(t, hub, topic), events-100)
					} else {
						require.Equal(t, events, keeps(t, hub, topic), topic)
					}
				}
				var line struct {
					Level, Topic       string
					Lag, Bytes, Topics int64
				}
				require.NoError(t, json.Unmarshal(log.Bytes(), &line), "one line: %s", log.Bytes())
				require.Equal(t, "WARN", line.Level)
				require.Equal(t, c.victim, line.Topic)
				require.EqualValues(t, 1, line.Topics)
				require.Equal(t, stats.Evicted, line.Bytes)
				require.Equal(t, len(c.stuck) > 0, line.Lag > 200_000)
				for i, sub := range stuck {
					complete(t, hub, sub, c.stuck[i] == c.victim, want[c.stuck[i]])
				}
			})
		})
	}
}

// complete reads all that sub has, which must be events without a hole but for
// what it is told.
func complete(t *testing.T, hub *ssehub.Hub, sub *ssehub.Subscription, lost bool, events int) {
	t.Helper()
	got, last, told := 0, uint64(0), uint64(0)
	for {
		synctest.Wait()
		select {
		case m := <-sub.Events():
			if m.Type == sse.TypeGap {
				gap := gaps(t, []sse.Message{m})[0]
				require.Equal(t, sse.ReasonOverflow, gap.Reason)
				told += seq(t, gap.To) - seq(t, gap.From)
				require.Equal(t, last, seq(t, gap.From))
				last = seq(t, gap.To)
				continue
			}
			n := seq(t, m.ID)
			require.True(t, last == 0 || n == last+1, "%d behind %d", n, last)
			last = n
			got++
		default:
			require.Equal(t, lost, told > 0)
			require.Equal(t, events, got+int(told))
			sub.Close()
			return
		}
	}
}

// Eight publishers as fast as they can, readers that are stuck, slow and quick,
// a pattern, keys and ephemeral messages: what is kept never exceeds the limit by
// more than an eighth and one event, and nobody loses a thing in silence.
func TestBudgetStorm(t *testing.T) {
	const publishers, events, limit = 8, 4000, 300_000
	hub := newHub(t, &ssehub.Options{
		MaxHistory:  limit,
		OverflowFor: latestOf("latest"),
		History:     ssehub.Retention{Bytes: 200_000},
	})
	start := hub.Position()
	stuck := make(map[string]*ssehub.Subscription)
	for _, topic := range []string{"t.0", "t.1", "t.*"} {
		sub, err := hub.Subscribe(t.Context(), topic)
		require.NoError(t, err)
		stuck[topic] = sub
	}
	var mu sync.Mutex // guards published
	published := make(map[string][]uint64)
	var storm, others sync.WaitGroup
	for p := range publishers {
		storm.Go(func() {
			for i := range events {
				topic := fmt.Sprint("t.", (p*events+i)%40)
				if i%9 == 4 {
					topic = "latest.2"
				}
				pos, err := hub.PublishWith(t.Context(), topic, sse.Message{Data: make([]byte, 1+i%1000)},
					ssehub.PublishOptions{Key: strconv.Itoa(i % 300), Ephemeral: i%7 == 0})
				if err != nil {
					t.Error(err)
				}
				if i%7 > 0 {
					mu.Lock()
					published[topic] = append(published[topic], pos.Seq)
					if topic != "latest.2" {
						published["t.*"] = append(published["t.*"], pos.Seq)
					}
					mu.Unlock()
				}
			}
		})
	}
	done := make(chan struct{})
	most := int64(0)
	others.Go(func() {
		for {
			most = max(most, hub.Stats().Bytes)
			select {
			case <-done:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	storm.Wait()
	close(done)
	others.Wait()
	require.LessOrEqual(t, most, int64(limit+limit/8+3*1100), "and one event, in its log and the pattern's")
	require.Greater(t, most, int64(limit))
	for topic, sub := range stuck {
		want := published[topic]
		slices.Sort(want)
		id, told := uint64(0), 0 // in force
		for len(want) > 0 {
			m := <-sub.Events()
			if m.Type == sse.TypeGap {
				gap := gaps(t, []sse.Message{m})[0]
				require.Equal(t, sse.ReasonOverflow, gap.Reason)
				for ; len(want) > 0 && want[0] <= seq(t, gap.To); told++ {
					want = want[1:]
				}
				id = seq(t, m.ID)
			} else if n := seq(t, m.ID); n > id { // else it is ephemeral
				require.Equal(t, want[0], n, "%s: lost in silence", topic)
				id, want = n, want[1:]
			}
		}
		require.NotZero(t, told)
		sub.Close()
	}
	sub, err := hub.Resume(t.Context(), start.String(), "t.0")
	require.NoError(t, err)
	require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
	sub.Close()
	t.Logf("at most %d bytes of %d, %d evicted", most, limit, hub.Stats().Evicted)
}

// The end of the hub ends who waits for room, and what makes it.
func TestBudgetEnds(t *testing.T) {
	for range 20 {
		hub := ssehub.New(&ssehub.Options{MaxHistory: 1000})
		var publishers sync.WaitGroup
		for p := range 4 {
			publishers.Go(func() {
				for {
					_, err := hub.Publish(t.Context(), strconv.Itoa(p), sse.Message{Data: make([]byte, 500)})
					if err != nil {
						if err != ssehub.ErrClosed {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		for hub.Stats().Evicted < 5000 {
			runtime.Gosched()
		}
		hub.Close()
		publishers.Wait()
	}
}

// The newest event of a topic goes last, and goes if there is nothing else; one
// above the limit can still be published.
func TestBudgetNewestGoLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{MaxHistory: 100_000})
		defer hub.Close()
		fill(t, hub, "most", 5)
		publish(t, hub, "most", strings.Repeat("x", 20_000))
		fill(t, hub, "more", 20)
		for i := range 60 {
			fill(t, hub, "t."+strconv.Itoa(i), 1)
		}
		synctest.Wait()
		require.NotZero(t, hub.Stats().Evicted)
		require.Equal(t, 1, keeps(t, hub, "most"))
		for i := range 60 {
			require.Equal(t, 1, keeps(t, hub, "t."+strconv.Itoa(i)))
		}
		start := hub.Position()
		for i := range 200 {
			fill(t, hub, "t."+strconv.Itoa(i), 1)
			require.LessOrEqual(t, hub.Stats().Bytes, int64(114_000))
		}
		publish(t, hub, "huge", strings.Repeat("x", 200_000))
		fill(t, hub, "t.0", 1)
		synctest.Wait()
		require.LessOrEqual(t, hub.Stats().Bytes, int64(100_000))
		sub, err := hub.Resume(t.Context(), start.String(), "huge")
		require.NoError(t, err)
		require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
		sub.Close()
	})
}

// Block promises that no reader loses, within the limit: above it the reader is
// told, and who waited for it goes on.
func TestBudgetBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{MaxHistory: 400_000, Overflow: ssehub.Block, History: ssehub.Retention{Events: 200}})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		var publisher sync.WaitGroup
		publisher.Go(func() { fill(t, hub, "n", 300) })
		synctest.Wait()
		require.EqualValues(t, 200, hub.Position().Seq, "it waits for the reader")
		for i := range 15 {
			fill(t, hub, "other."+strconv.Itoa(i), 15)
		}
		publisher.Wait()
		require.NotZero(t, hub.Stats().Evicted)
		told := false
		for range 50 {
			m := <-sub.Events()
			told = told || m.Type == sse.TypeGap
		}
		require.True(t, told)
		sub.Close()
	})
}

// Under Latest the window goes first, which loses no key's newest value, and then
// the oldest values, which is told.
func TestBudgetLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{MaxHistory: 200_000, Overflow: ssehub.Latest})
		defer hub.Close()
		put := func(keys, times int) {
			for i := range keys * times {
				_, err := hub.PublishWith(t.Context(), "n", sse.Message{Data: make([]byte, 1000)}, ssehub.PublishOptions{Key: strconv.Itoa(i % keys)})
				require.NoError(t, err)
			}
			synctest.Wait()
		}
		state := func() (values, told int) {
			sub, err := hub.Subscribe(t.Context(), "n")
			require.NoError(t, err)
			defer sub.Close()
			for {
				synctest.Wait()
				select {
				case m := <-sub.Events():
					if m.Type == sse.TypeGap {
						told++
					} else {
						values++
					}
				default:
					return values, told
				}
			}
		}
		put(100, 3)
		require.NotZero(t, hub.Stats().Evicted)
		values, told := state()
		require.Zero(t, told)
		require.GreaterOrEqual(t, values, 100)
		put(300, 1)
		values, told = state()
		require.Equal(t, 1, told)
		require.InDelta(t, 185, values, 30)
	})
}

// Whatever comes and goes, the sum that the limit is about stays right: when all
// is forgotten the hub can keep as much as at first.
func TestBudgetCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 100_000
		hub := ssehub.New(&ssehub.Options{MaxHistory: limit, OverflowFor: latestOf("latest"), History: ssehub.Retention{Events: 20, Age: time.Minute}})
		defer hub.Close()
		for round := range 30 {
			sub, err := hub.Subscribe(t.Context(), "t.*", "latest.*", ">")
			require.NoError(t, err)
			for i := range 300 {
				topic := []string{"t.", "latest."}[i%2] + strconv.Itoa(i%13)
				_, err := hub.PublishWith(t.Context(), topic, sse.Message{Data: make([]byte, 200*(round%3))},
					ssehub.PublishOptions{Key: strconv.Itoa(i % 17), Ephemeral: i%5 == 0, Topics: []string{"more"}})
				require.NoError(t, err)
			}
			sub.Close()
			synctest.Wait()
			time.Sleep(time.Duration(round%4) * time.Minute)
		}
		before := hub.Stats().Evicted
		require.NotZero(t, before)
		// What Latest keeps has no age: its newest values, the others are gone.
		time.Sleep(time.Hour)
		left := hub.Stats()
		require.Equal(t, before, left.Evicted)
		for range 9 {
			fill(t, hub, "fill", 1)
		}
		free := limit - hub.Stats().Bytes
		for i := range int(free / 1100) {
			fill(t, hub, "fill."+strconv.Itoa(i), 1)
		}
		synctest.Wait()
		require.Equal(t, before, hub.Stats().Evicted, "it counts too much")
		for i := range 5 {
			fill(t, hub, "last."+strconv.Itoa(i), int(free)/1000/5)
		}
		synctest.Wait()
		require.Greater(t, hub.Stats().Evicted, before, "it counts too little")
	})
}
