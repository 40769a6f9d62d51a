package ssehub_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Promise 1: one order for every subscriber, live or replayed, in process or
// over HTTP. Faults 71.
func TestOneOrderForAll(t *testing.T) {
	const publishers, each, inProcess, overHTTP = 8, 250, 150, 50
	topics := []string{"a", "b", "c"}
	hub := newHub(t, nil)
	server := httptest.NewServer(hub.Handler(topics...))
	defer server.Close()
	defer hub.Close()

	var readers sync.WaitGroup
	orders := make([][]string, inProcess+overHTTP)
	collect := func(i int, events <-chan sse.Message) {
		for m := range events {
			orders[i] = append(orders[i], m.Topic+" "+m.ID+" "+string(m.Data))
			if len(orders[i]) == publishers*each {
				return
			}
		}
	}
	start := hub.Position().String()
	for i := range orders {
		if i < inProcess {
			sub, err := hub.Subscribe(t.Context(), topics...)
			require.NoError(t, err)
			defer sub.Close()
			readers.Go(func() { collect(i, sub.Events()) })
			continue
		}
		sub := client.Subscribe(t.Context(), server.URL, &client.Options{LastEventID: start})
		defer sub.Close()
		readers.Go(func() { collect(i, sub.Events()) })
	}

	var writers sync.WaitGroup
	for p := range publishers {
		writers.Go(func() {
			for i := range each {
				_, err := hub.Publish(context.Background(), topics[(p+i)%len(topics)], sse.Message{Data: []byte(fmt.Sprint(p, " ", i))})
				if err != nil {
					panic(err)
				}
			}
		})
	}
	writers.Wait()
	readers.Wait()

	sub, err := hub.Resume(t.Context(), start, topics...)
	require.NoError(t, err)
	defer sub.Close()
	orders = append(orders, nil)
	collect(len(orders)-1, sub.Events()) // replayed
	for i, order := range orders {
		require.Equal(t, orders[0], order, "reader %d", i)
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(orders[0]))), publishers*each, "none twice")
}

// A reader of some topics sees them as the whole hub numbered them, and a
// reader of one sees the same without the others.
func TestOrderOfOneTopicAmongMany(t *testing.T) {
	hub := newHub(t, nil)
	start := hub.Position().String()
	for i := range 1000 {
		publish(t, hub, "t"+strconv.Itoa(i%7), strconv.Itoa(i))
	}
	for _, topics := range [][]string{{"t3"}, {"t1", "t5"}, {"t0", "t1", "t2", "t3", "t4", "t5", "t6"}} {
		sub, err := hub.Resume(t.Context(), start, topics...)
		require.NoError(t, err)
		for i := range 1000 {
			if topic := "t" + strconv.Itoa(i%7); slices.Contains(topics, topic) {
				m := <-sub.Events()
				require.Equal(t, strconv.Itoa(i), string(m.Data))
				require.Equal(t, topic, m.Topic)
				require.EqualValues(t, i+1, seq(t, m.ID))
			}
		}
		sub.Close()
	}
}

// Faults 70: whoever joins in the middle of a storm gets every event behind
// the place it starts from exactly once; nothing falls between the replay and
// what is live.
func TestJoinDuringStorm(t *testing.T) {
	const events, joins = 20_000, 400
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: events}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var storm sync.WaitGroup
	storm.Go(func() {
		for i := 1; i <= events; i++ {
			if _, err := hub.Publish(ctx, "t", sse.Message{Data: []byte(strconv.Itoa(i))}); err != nil {
				panic(err)
			}
		}
	})
	var readers sync.WaitGroup
	for i := range joins {
		readers.Go(func() {
			after := hub.Position()
			if i%2 == 0 {
				after.Seq /= 2
			}
			sub, err := hub.Resume(ctx, after.String(), "t")
			if err != nil {
				panic(err)
			}
			defer sub.Close()
			for want := after.Seq + 1; want <= min(after.Seq+500, events); want++ {
				if m := <-sub.Events(); string(m.Data) != strconv.FormatUint(want, 10) {
					t.Errorf("after %d: got %s %s, want %d", after.Seq, m.Type, m.Data, want)
					return
				}
			}
		})
	}
	readers.Wait()
	storm.Wait()
}
