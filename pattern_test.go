package ssehub_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// What patterns match: "*" one token, ">" one or more.
func TestPatternMatches(t *testing.T) {
	topics := []string{"a", "b", "a.b", "a.c", "b.b", "a.b.c", "a.b.d", "x.b.c", "a.b.c.d"}
	for pattern, want := range map[string]string{
		"*":       "a b",
		">":       "a b a.b a.c b.b a.b.c a.b.d x.b.c a.b.c.d",
		"a.*":     "a.b a.c",
		"*.b":     "a.b b.b",
		"a.>":     "a.b a.c a.b.c a.b.d a.b.c.d",
		"*.*":     "a.b a.c b.b",
		"*.b.*":   "a.b.c a.b.d x.b.c",
		"*.b.>":   "a.b.c a.b.d x.b.c a.b.c.d",
		"a.b.c.*": "a.b.c.d",
		"c.>":     "",
		"a.b.c.d": "a.b.c.d",
	} {
		t.Run(pattern, func(t *testing.T) {
			hub := newHub(t, nil)
			start := hub.Position().String()
			live, err := hub.Subscribe(t.Context(), pattern)
			require.NoError(t, err)
			defer live.Close()
			for _, topic := range append(topics, "", "a..b", "a.*", ">", "a b") {
				matches := slices.Contains(strings.Fields(want), topic)
				require.Equal(t, matches, ssehub.MatchTopic(pattern, topic), topic)
				require.False(t, ssehub.MatchTopic(pattern+".", topic), topic)
			}
			for _, topic := range topics {
				publish(t, hub, topic, topic)
			}
			late := newHub(t, nil) // where nobody has asked for the pattern before
			begin := late.Position().String()
			for _, topic := range topics {
				publish(t, late, topic, topic)
			}
			replayed, err := late.Resume(t.Context(), begin, pattern)
			require.NoError(t, err)
			defer replayed.Close()
			again, err := hub.Resume(t.Context(), start, pattern)
			require.NoError(t, err)
			defer again.Close()
			for _, topic := range topics { // which are there when the pattern comes
				publish(t, hub, topic, topic)
				publish(t, late, topic, topic)
			}
			for _, want := range strings.Fields(want + " " + want) {
				for _, sub := range []*ssehub.Subscription{live, replayed, again} {
					m := <-sub.Events()
					require.Equal(t, want, string(m.Data))
					require.Equal(t, want, m.Topic)
				}
			}
			require.NoError(t, hub.Shutdown(t.Context()))
			require.NoError(t, late.Shutdown(t.Context()))
			for _, sub := range []*ssehub.Subscription{live, replayed, again} {
				_, ok := <-sub.Events()
				require.False(t, ok, "no more than that")
			}
		})
	}
}

// A pattern that is read has a log, to which nobody can publish all the same.
func TestPublishToPattern(t *testing.T) {
	hub := newHub(t, nil)
	for _, pattern := range []string{"a.*", ">"} {
		sub, err := hub.Subscribe(t.Context(), pattern)
		require.NoError(t, err)
		defer sub.Close()
		_, err = hub.Publish(t.Context(), pattern, sse.Message{})
		require.ErrorIs(t, err, ssehub.ErrInvalidTopic)
	}
	require.Zero(t, hub.Position().Seq)
}

// Patterns that come one after the other meet the topics that are there.
func TestPatternsComeLater(t *testing.T) {
	hub := newHub(t, nil)
	publish(t, hub, "a.b", "0")
	for n, pattern := range []string{"a.*", "*.b", ">", "a.>", "*.*"} {
		sub, err := hub.Subscribe(t.Context(), pattern)
		require.NoError(t, err)
		defer sub.Close()
		publish(t, hub, "a.b", strconv.Itoa(n))
		require.Equal(t, strconv.Itoa(n), string((<-sub.Events()).Data))
	}
}

// On the wire each event of a pattern names its topic, and an event that is in
// several of a stream's topics and patterns comes once.
func TestPatternOnTheWire(t *testing.T) {
	hub := newHub(t, nil)
	start := hub.Position().String()
	rec, _ := stream(t, hub.Handler("a.*"), "/", "")
	several, _ := stream(t, hub.Handler("a.b", "a.*", "*.b", ">"), "/", "")
	require.NoError(t, rec.Wait(t.Context(), 1))
	require.NoError(t, several.Wait(t.Context(), 1))
	id := publish(t, hub, "a.b", "1")
	publish(t, hub, "c", "2")
	require.NoError(t, rec.Wait(t.Context(), 2))
	require.Contains(t, rec.Text(), "topic: a.b\ndata: 1\nid: "+id+"\n\n")
	require.NoError(t, several.Wait(t.Context(), 3))
	require.Equal(t, []string{"1", "2"}, texts(several.Messages()))
	late, _ := stream(t, hub.Handler("*.b", "a.b", "b.*", "c"), "/", start)
	require.NoError(t, late.Wait(t.Context(), 3))
	require.Equal(t, []string{"1", "2"}, texts(late.Messages()))
	require.Equal(t, "c", late.Messages()[2].Topic)
}

// Promises 1 and 2: readers of patterns that join at random places in a storm of
// topics that come into being see every event that matches, once and in order,
// without a loss at the seams between the topics' logs, the pattern's log, and
// what is live.
func TestPatternSeams(t *testing.T) {
	const publishers, events, readers = 4, 1500, 60
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 2 * publishers * events, Bytes: -1}})
	patterns := [][]string{{"t.*.x"}, {">"}, {"t.1.*", "t.2.*", "other"}, {"t.*.*", "t.3.x", "*.*.y"}}
	first := hub.Position() // of nothing: taken later, it is one in the storm
	var all, storm sync.WaitGroup
	for p := range publishers {
		storm.Go(func() {
			for i := range events {
				publish(t, hub, fmt.Sprintf("t.%d.%c", i/10, "xy"[(i+p)%2]), strconv.Itoa(p)+" "+strconv.Itoa(i))
			}
		})
	}
	for n := range readers {
		all.Go(func() {
			from := ssehub.Position{Epoch: first.Epoch}
			if head := hub.Position().Seq; head > 0 {
				from.Seq = rand.Uint64N(head)
			}
			names := patterns[n%len(patterns)]
			sub, err := hub.Resume(t.Context(), from.String(), names...)
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			last := from.Seq
			for {
				m := <-sub.Events()
				if string(m.Data) == "end" {
					return
				}
				if m.Type == sse.TypeGap || seq(t, m.ID) <= last {
					t.Errorf("%v: %s behind %d: %s", names, m.ID, last, m.Data)
					return
				}
				if slices.Equal(names, []string{">"}) && seq(t, m.ID) != last+1 {
					t.Errorf("%d in place of %d", seq(t, m.ID), last+1)
					return
				}
				last = seq(t, m.ID)
			}
		})
	}
	storm.Wait()
	publish(t, hub, "t.end.x", "end")
	publish(t, hub, "other", "end")
	all.Wait()
	// What a pattern delivers is what its topics hold.
	for _, names := range patterns {
		sub, err := hub.Resume(t.Context(), first.String(), names...)
		require.NoError(t, err)
		everything, err := hub.Resume(t.Context(), first.String(), ">")
		require.NoError(t, err)
		for range publishers * events {
			m := <-everything.Events()
			if !slices.ContainsFunc(names, func(name string) bool { return matchesSimply(name, m.Topic) }) {
				continue
			}
			require.Equal(t, m, <-sub.Events())
		}
		sub.Close()
		everything.Close()
	}
}

// matchesSimply is the rule for patterns once more.
func matchesSimply(pattern, topic string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(topic, ".")
	for i, token := range want {
		if token == ">" {
			return i < len(got)
		}
		if i >= len(got) || token != "*" && token != got[i] {
			return false
		}
	}
	return len(want) == len(got)
}

// Promise 3: what is lost on the way to a pattern's reader is told: in a topic
// whose window has passed, with topics that are forgotten, and in the pattern's
// own window.
func TestPatternGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 3, Age: time.Hour}})
		defer hub.Close()
		start := hub.Position().String()
		publishNumbers(t, hub, "a.1", 1, 5) // 3 to 5 are kept
		publishNumbers(t, hub, "a.2", 6, 7)
		sub, err := hub.Resume(t.Context(), start, "a.*")
		require.NoError(t, err)
		gap := gaps(t, []sse.Message{<-sub.Events()})
		require.Len(t, gap, 1)
		require.Equal(t, "a.1", gap[0].Topic)
		require.EqualValues(t, 2, seq(t, gap[0].To))
		for _, want := range []string{"3", "4", "5", "6", "7"} {
			require.Equal(t, want, string((<-sub.Events()).Data))
		}

		publish(t, hub, "a.3", "8")
		synctest.Wait()                      // it is on its way
		publishNumbers(t, hub, "a.3", 9, 14) // 12 to 14 are kept
		require.Equal(t, "8", string((<-sub.Events()).Data))
		gap = gaps(t, []sse.Message{<-sub.Events()})
		require.Len(t, gap, 1)
		require.Equal(t, sse.Gap{Reason: sse.ReasonOverflow, From: gap[0].From, To: gap[0].To, Topic: "a.*"}, gap[0])
		require.Equal(t, "12", string((<-sub.Events()).Data))
		sub.Close()

		time.Sleep(3 * time.Hour) // all is forgotten
		require.Zero(t, hub.Stats().Topics)
		require.Zero(t, hub.Stats().Patterns)
		sub, err = hub.Resume(t.Context(), start, "a.*")
		require.NoError(t, err)
		defer sub.Close()
		gap = gaps(t, []sse.Message{<-sub.Events()})
		require.Len(t, gap, 1)
		require.Equal(t, "a.*", gap[0].Topic)
		require.EqualValues(t, 14, seq(t, gap[0].To))
		publish(t, hub, "a.1", "after")
		require.Equal(t, "after", string((<-sub.Events()).Data))
	})
}

// Faults 57: each topic that a pattern meets is asked about, once for a stream,
// before its first event, live and replayed.
func TestPatternAuthorizesTopics(t *testing.T) {
	var mu sync.Mutex // guards what follows, as every stream asks
	var asked [][]string
	var topics []string
	hub := newHub(t, &ssehub.Options{Authorize: func(_ *http.Request, names []string) (ssehub.Grant, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, names)
		if slices.Contains(names, ">") {
			return ssehub.Grant{}, errors.New("not all")
		}
		return ssehub.Grant{AllowTopic: func(topic string) bool {
			mu.Lock()
			defer mu.Unlock()
			topics = append(topics, topic)
			return !strings.HasSuffix(topic, "secret")
		}}, nil
	}})
	start := hub.Position().String()
	publish(t, hub, "room.a", "1")
	publish(t, hub, "room.secret", "2")
	rec, end := stream(t, hub.Handler(), "/?topic=room.*&topic=mine.secret", start)
	require.NoError(t, rec.Wait(t.Context(), 2))
	for range 2 {
		publish(t, hub, "room.b", "3")
		publish(t, hub, "room.secret", "4")
		publish(t, hub, "mine.secret", "5")
		publish(t, hub, "room.top-secret", "6")
	}
	publish(t, hub, "room.a", "7")
	require.NoError(t, rec.Wait(t.Context(), 7))
	end()
	require.Equal(t, []string{"1", "3", "5", "3", "5", "7"}, texts(rec.Messages()))
	require.NotContains(t, rec.Text(), "room.secret")
	require.Equal(t, [][]string{{"room.*", "mine.secret"}}, asked)
	slices.Sort(topics)
	require.Equal(t, []string{"room.a", "room.b", "room.secret", "room.top-secret"}, topics)

	refused, _ := stream(t, hub.Handler(), "/?topic=%3E", "")
	require.Eventually(t, func() bool { return refused.Status() == http.StatusForbidden }, 20*time.Second, time.Millisecond)

	// A stream of one pattern alone is filtered too, and a topic that was asked
	// for by name needs no second permission.
	only, endOnly := stream(t, hub.Handler(), "/?topic=*.secret", start)
	both, endBoth := stream(t, hub.Handler(), "/?topic=*.secret&topic=room.secret", start)
	require.NoError(t, both.Wait(t.Context(), 4))
	require.NoError(t, only.Wait(t.Context(), 1))
	publish(t, hub, "other.secret", "8")
	publish(t, hub, "room.secret", "9")
	require.NoError(t, both.Wait(t.Context(), 5))
	endOnly()
	endBoth()
	require.Equal(t, []string{"2", "4", "4", "9"}, texts(both.Messages()))
	require.Empty(t, texts(only.Messages()))
}

// A pattern's log lives as long as its readers, and a little longer. Topics that
// nobody but a pattern reads do not stay.
func TestPatternsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Age: time.Minute}})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "a.>", "b.*")
		require.NoError(t, err)
		for i := range 1000 {
			publish(t, hub, "a.t"+strconv.Itoa(i), "x")
			<-sub.Events()
		}
		time.Sleep(10 * time.Minute)
		require.Zero(t, hub.Stats().Topics)
		require.Equal(t, 2, hub.Stats().Patterns)
		publish(t, hub, "a.t1", "back")
		require.Equal(t, "back", string((<-sub.Events()).Data))
		sub.Close()
		time.Sleep(10 * time.Minute)
		requireEmpty(t, hub)
	})
}

// What patterns cost a publisher does not depend on those that do not match.
func BenchmarkPublishPatterns(b *testing.B) {
	for _, unrelated := range []int{0, 100, 10_000} {
		b.Run(strconv.Itoa(unrelated), func(b *testing.B) {
			hub := newHub(b, nil)
			for i := range unrelated {
				sub, err := hub.Subscribe(b.Context(), fmt.Sprintf("users.%d.*", i))
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(sub.Close)
			}
			sub, err := hub.Subscribe(b.Context(), "rooms.*")
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				for range sub.Events() {
				}
			}()
			defer sub.Close()
			m := sse.Message{Data: []byte("hello")}
			for i := 0; b.Loop(); i++ {
				if _, err := hub.Publish(b.Context(), topicNames[i%len(topicNames)], m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var topicNames = func() (names []string) {
	for i := range 1000 {
		names = append(names, "rooms."+strconv.Itoa(i))
	}
	return names
}()

// Faults 62: an AllowTopic that panics, at a replay or at a live event, ends its
// own stream and leaves nothing behind.
func TestAllowTopicPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{
			History: ssehub.Retention{Age: time.Minute},
			Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
				return ssehub.Grant{AllowTopic: func(topic string) bool { panic("of AllowTopic") }}, nil
			},
		})
		defer hub.Close()
		start := hub.Position().String()
		publish(t, hub, "a.b", "1")
		for _, from := range []string{start, ""} {
			ended := make(chan any, 1)
			go func() {
				defer func() { ended <- recover() }() // as net/http does
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/?topic=a.*&lastEventID="+from, nil)
				if err != nil {
					panic(err)
				}
				hub.Handler().ServeHTTP(ssetest.NewRecorder(), req)
			}()
			synctest.Wait()
			publish(t, hub, "a.b", "2")
			require.Equal(t, "of AllowTopic", <-ended)
			require.Zero(t, hub.Stats().Subscribers)
		}
		time.Sleep(10 * time.Minute)
		requireEmpty(t, hub)
	})
}
