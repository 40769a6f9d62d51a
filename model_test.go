package ssehub_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

var (
	modelSteps = flag.Int("model.steps", 20_000, "steps of TestModel")
	modelSeed  = flag.Uint64("model.seed", 0, "seed of TestModel; 0 is a random one")
)

// model is a hub, or two with one Broker, next to a list of all that was
// published to it.
type model struct {
	t       *testing.T
	rng     *rand.Rand
	broker  *brokertest.Memory // nil: the hub is the log
	first   int                // that the Broker has kept
	hubs    []*ssehub.Hub
	epoch   string
	events  []modelEvent // by number; the first is none
	newest  map[string]int
	readers []*modelReader
}

type modelEvent struct {
	topics    []string
	key       string
	ephemeral bool
}

// modelReader is a subscription and what it must have been told.
type modelReader struct {
	sub    *ssehub.Subscription
	names  []string
	joined int // what was published when it joined
	at     int // the number of the last event it got, or began behind
	id     string
	state  map[int]bool   // events it got without ids, as a new reader; nil for others
	told   map[string]int // losses, by topic or pattern
}

var (
	modelTopics = []string{"a.1", "a.2", "b.1", "b.2.x", "latest.1", "latest.2", "c"}
	modelNames  = append([]string{"a.*", "*.1", ">", "b.>", "latest.*", "*"}, modelTopics...)
)

// Promises 1 to 3: whatever is published, in whatever order readers come, lag, are
// cut, come back, and logs are trimmed, forgotten and begun anew, each reader
// gets all that its topics had, in order and once, but for what it was told
// of, and for what a newer value replaced under Latest. And Stats counts right.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for left := *modelSteps; left > 0 && !t.Failed(); left -= 2000 {
		synctest.Test(t, func(t *testing.T) {
			m := &model{t: t, rng: rng}
			m.restart()
			for range min(left, 2000) {
				m.step()
			}
			m.end()
		})
	}
	if t.Failed() {
		t.Logf("go test -run TestModel -model.seed %d -model.steps %d .", seed, *modelSteps)
	}
}

func (m *model) step() {
	switch n := m.rng.IntN(1000); {
	case n < 700:
		m.publish()
	case n < 880 && len(m.readers) > 0:
		synctest.Wait()
		m.read(m.readers[m.rng.IntN(len(m.readers))], m.rng.IntN(20))
	case n < 930 && len(m.readers) < 20:
		m.join("", m.names())
	case n < 970 && len(m.readers) > 0:
		i := m.rng.IntN(len(m.readers))
		r := m.readers[i]
		m.readers = slices.Delete(m.readers, i, i+1)
		r.sub.Close()
		if m.rng.IntN(5) > 0 {
			m.join(r.id, r.names)
		}
	case n < 975:
		time.Sleep(time.Duration(m.rng.IntN(30)) * time.Second)
	case n < 976: // topics and patterns are forgotten
		time.Sleep(time.Duration(m.rng.IntN(200)) * time.Second)
	case n < 977:
		m.restart()
	case n < 978 && m.broker != nil:
		synctest.Wait()
		m.first = max(m.first, 1+m.rng.IntN(len(m.events)))
		m.broker.Trim(uint64(m.first))
	}
}

func (m *model) hub() *ssehub.Hub { return m.hubs[m.rng.IntN(len(m.hubs))] }

// restart begins anew with new hubs, and most times with a new log.
func (m *model) restart() {
	back := m.end()
	keeps := m.broker != nil && m.rng.IntN(4) > 0
	if !keeps {
		m.broker, m.first = nil, 1
		if m.rng.IntN(2) == 0 {
			m.broker = new(brokertest.Memory)
		}
	}
	opts := &ssehub.Options{
		History:     ssehub.Retention{Events: 5 + m.rng.IntN(60), Age: time.Minute},
		MaxHistory:  int64(m.rng.IntN(2) * (500 + m.rng.IntN(8000))), // zero is far away
		OverflowFor: latestOf("latest"),
	}
	m.hubs = nil
	if m.broker == nil {
		m.hubs = []*ssehub.Hub{ssehub.New(opts)}
	} else {
		opts.Broker = m.broker
		m.hubs = []*ssehub.Hub{ssehub.New(opts), ssehub.New(opts)}
		synctest.Wait()
	}
	old := m.epoch
	m.epoch = m.hub().Position().Epoch
	if keeps {
		require.Equal(m.t, old, m.epoch)
		for _, r := range back {
			m.join(r.id, r.names)
		}
		return
	}
	m.events, m.newest = make([]modelEvent, 1), make(map[string]int)
	if old != "" {
		sub, err := m.hub().Resume(m.t.Context(), old+"-7", "a.1")
		require.NoError(m.t, err)
		require.Equal(m.t, sse.ReasonEpoch, gaps(m.t, []sse.Message{<-sub.Events()})[0].Reason)
		sub.Close()
	}
}

// end lets every reader, but for those that it returns, have all that is left.
func (m *model) end() (back []*modelReader) {
	for _, r := range m.readers {
		if m.rng.IntN(2) == 0 {
			back = append(back, r)
		} else {
			for m.read(r, 1000) {
			}
			m.missed(r, len(m.events))
		}
		r.sub.Close()
	}
	m.readers = nil
	synctest.Wait()
	for _, hub := range m.hubs {
		requireTotals(m.t, hub) // a wrong one stays wrong
		hub.Close()
	}
	return back
}

func (m *model) names() []string {
	var names []string
	for range 1 + m.rng.IntN(3) {
		names = append(names, modelNames[m.rng.IntN(len(modelNames))])
	}
	return names
}

func (m *model) publish() {
	e := modelEvent{topics: []string{modelTopics[m.rng.IntN(len(modelTopics))]}, key: strconv.Itoa(m.rng.IntN(5))}
	for m.rng.IntN(5) == 0 {
		e.topics = append(e.topics, modelTopics[m.rng.IntN(len(modelTopics))])
	}
	e.ephemeral = m.rng.IntN(10) == 0
	n := len(m.events)
	m.events = append(m.events, e)
	if !e.ephemeral {
		for _, topic := range e.topics {
			m.newest[topic+" "+e.key] = n
		}
	}
	pos, err := m.hub().PublishWith(m.t.Context(), e.topics[0], sse.Message{Data: []byte(strconv.Itoa(n))},
		ssehub.PublishOptions{Key: e.key, Ephemeral: e.ephemeral, Topics: e.topics[1:]})
	require.NoError(m.t, err)
	require.EqualValues(m.t, n, pos.Seq)
	if m.broker != nil {
		synctest.Wait() // so that both hubs have it
	}
}

func (m *model) join(id string, names []string) {
	sub, err := m.hub().Resume(m.t.Context(), id, names...)
	require.NoError(m.t, err)
	r := &modelReader{sub: sub, names: names, joined: len(m.events) - 1, id: id, told: make(map[string]int)}
	r.at = r.joined
	if id != "" {
		r.at = int(seq(m.t, id))
	} else {
		r.state = make(map[int]bool)
	}
	m.readers = append(m.readers, r)
}

// read takes up to limit messages, and reports whether there may be more.
func (m *model) read(r *modelReader, limit int) bool {
	for range limit {
		synctest.Wait()
		select {
		case got := <-r.sub.Events():
			m.check(r, got)
		default:
			m.missed(r, len(m.events))
			return false
		}
	}
	return true
}

func (m *model) check(r *modelReader, got sse.Message) {
	if got.Type == sse.TypeGap {
		var gap sse.Gap
		require.NoError(m.t, json.Unmarshal(got.Data, &gap))
		require.NotEmpty(m.t, gap.Topic)
		r.told[gap.Topic] = max(r.told[gap.Topic], int(seq(m.t, gap.To)))
		if got.ID != "" {
			r.id = got.ID
		}
		return
	}
	n, err := strconv.Atoi(string(got.Data))
	require.NoError(m.t, err)
	e := m.events[n]
	require.True(m.t, m.matches(r, e), "%v got %d of %v", r.names, n, e.topics)
	if r.state != nil && n <= r.joined {
		require.Empty(m.t, got.ID, "%v got %d, before it joined", r.names, n)
		require.False(m.t, r.state[n], "%v got %d twice", r.names, n)
		require.False(m.t, e.ephemeral)
		for _, later := range m.events[n+1 : r.joined+1] {
			require.False(m.t, !later.ephemeral && later.key == e.key && slices.ContainsFunc(e.topics, func(topic string) bool {
				return strings.HasPrefix(topic, "latest") && len(e.topics) == 1 && slices.Contains(later.topics, topic)
			}), "%v got %d, which is not the newest", r.names, n)
		}
		r.state[n] = true
		return
	}
	require.Greater(m.t, n, r.at, "%v: out of order", r.names)
	if e.ephemeral {
		require.Greater(m.t, n, r.joined, "%v got an ephemeral event from before", r.names)
	} else {
		require.Equal(m.t, fmt.Sprintf("%s-%d", m.epoch, n), got.ID)
		r.id = got.ID
	}
	m.missed(r, n)
	r.at = n
}

func (m *model) matches(r *modelReader, e modelEvent) bool {
	return slices.ContainsFunc(e.topics, func(topic string) bool {
		return slices.ContainsFunc(r.names, func(name string) bool { return matchesSimply(name, topic) })
	})
}

// missed checks that r needs nothing more that came before event number n.
func (m *model) missed(r *modelReader, n int) {
	if r.state != nil && n > r.joined { // the state is complete
		for where, i := range m.newest {
			topic, _, _ := strings.Cut(where, " ")
			if strings.HasPrefix(topic, "latest") && i >= m.first && i <= r.joined && m.matches(r, modelEvent{topics: []string{topic}}) {
				require.True(m.t, r.state[i] || r.told[topic] >= i, "%v got no state of %s, event %d", r.names, where, i)
			}
		}
	}
	for i := r.at + 1; i < n; i++ {
		e := m.events[i]
		if e.ephemeral {
			continue // who is late for it is not told
		}
		for _, topic := range e.topics {
			replaced := strings.HasPrefix(topic, "latest") && m.newest[topic+" "+e.key] > i
			for _, name := range r.names {
				if matchesSimply(name, topic) && !replaced && r.told[name] < i && r.told[topic] < i {
					require.Fail(m.t, "lost in silence", "%v: %d of %v, behind %d and before %d, joined at %d, told %v", r.names, i, e.topics, r.at, n, r.joined, r.told)
				}
			}
		}
	}
	r.at = max(r.at, n-1)
}
