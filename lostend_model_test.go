package ssehub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
)

// Faults 94, promises 1 to 3: however often a log loses its end, and whatever comes in its
// place, each reader has in the end what the log has, once and in order, but for what it
// was told of.
func TestLostEndModel(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newLosing(t, seed).run() })
		})
	}
}

type losing struct {
	*testing.T
	*rand.Rand
	broker  *brokertest.Memory
	hubs    []*ssehub.Hub
	log     []sse.Message // what the broker has: the n-th has the number n+1
	n       int
	readers []*losingReader
}

type losingReader struct {
	hub    *ssehub.Hub
	topics []string
	sub    *ssehub.Subscription
	id     string            // of the last
	had    map[uint64]string // since it was told that numbers are used again
	told   uint64            // that events up to it are missing
	trace  []string
}

func newLosing(t *testing.T, seed uint64) *losing {
	m := &losing{T: t, Rand: rand.New(rand.NewPCG(seed, 1)), broker: new(brokertest.Memory)}
	keep := ssehub.Retention{Events: []int{0, 5, 50}[m.IntN(3)]}
	for range 2 {
		m.hubs = append(m.hubs, newHub(t, &ssehub.Options{Broker: m.broker, History: keep}))
	}
	return m
}

func (m *losing) run() {
	for range 5 {
		m.join()
	}
	for range 60 {
		switch x := m.IntN(20); {
		case x < 9:
			m.append(1 + m.IntN(6))
		case x < 14:
			m.receive(m.reader(), m.IntN(20))
		case x < 15:
			m.join()
		case x < 17:
			m.comeBack(m.reader())
		case x < 18:
			m.sleep(40)
		default:
			m.lose()
		}
	}
	time.Sleep(time.Minute)
	m.append(1) // what is short is found out by now
	for _, r := range m.readers {
		m.receive(r, len(m.log)+m.n)
		m.judge(r)
		r.sub.Close()
	}
}

func (m *losing) reader() *losingReader { return m.readers[m.IntN(len(m.readers))] }

func (m *losing) sleep(seconds int) {
	time.Sleep(time.Duration(m.IntN(seconds*1000)) * time.Millisecond)
}

func (m *losing) append(n int) {
	for range n {
		m.n++
		e := sse.Message{Topic: []string{"a.1", "a.2", "b"}[m.IntN(3)], Data: fmt.Append(nil, m.n)}
		_, err := m.broker.Append(m.Context(), ssehub.Event{Time: time.Now(), Topics: []string{e.Topic}, Message: e})
		require.NoError(m, err)
		m.log = append(m.log, e)
	}
}

func (m *losing) lose() {
	m.broker.Fail(errors.New("the power is off"))
	synctest.Wait()
	m.log = m.log[:len(m.log)-m.IntN(min(len(m.log), 12)+1)]
	m.broker.LoseEnd(uint64(len(m.log)))
	m.sleep(3)
	m.broker.Fail(nil)
	m.append(m.IntN(15))
	m.sleep(7)
}

func (m *losing) join() {
	topics := [][]string{{"a.1"}, {"a.1", "b"}, {"a.*"}, {">"}, {"b", "a.*"}}
	r := &losingReader{hub: m.hubs[m.IntN(2)], topics: topics[m.IntN(len(topics))], had: make(map[uint64]string)}
	var err error
	r.sub, err = r.hub.Subscribe(m.Context(), r.topics...)
	require.NoError(m, err)
	r.id = r.hub.Position().String()
	r.told = seq(m, r.id)
	r.trace = append(r.trace, "from "+r.id)
	m.readers = append(m.readers, r)
}

// comeBack has r go on at its hub: the other one may never have read what it has lost.
func (m *losing) comeBack(r *losingReader) {
	if len(r.had) == 0 {
		return
	}
	r.sub.Close()
	var err error
	r.sub, err = r.hub.Resume(m.Context(), r.id, r.topics...)
	require.NoError(m, err)
	r.trace = append(r.trace, "again from "+r.id)
}

func (m *losing) receive(r *losingReader, n int) {
	for range n {
		synctest.Wait()
		select {
		case e, ok := <-r.sub.Events():
			require.True(m, ok, "%v", r.sub.Err())
			m.take(r, e)
		default:
			return
		}
	}
}

func (m *losing) take(r *losingReader, e sse.Message) {
	r.id = e.ID
	r.trace = append(r.trace, string(e.Data)+" "+e.ID)
	if e.Type != sse.TypeGap {
		at := seq(m, e.ID)
		for had := range r.had {
			require.Less(m, had, at, r.trace)
		}
		r.had[at] = string(e.Data)
		return
	}
	var gap sse.Gap
	require.NoError(m, json.Unmarshal(e.Data, &gap))
	if gap.Reason == sse.ReasonAhead {
		clear(r.had)
		r.told = 0
	}
	r.told = max(r.told, seq(m, gap.To))
}

func (m *losing) judge(r *losingReader) {
	for i, e := range m.log {
		at := uint64(i + 1)
		got, ok := r.had[at]
		delete(r.had, at)
		if !ok && at <= r.told || !ok && !slices.ContainsFunc(r.topics, func(p string) bool { return ssehub.MatchTopic(p, e.Topic) }) {
			continue
		}
		require.Equal(m, string(e.Data), got, "%d: %v had %q of %v", at, r.topics, r.trace, m.log)
	}
	require.Empty(m, r.had, "%v had %q of %v", r.topics, r.trace, m.log)
}
