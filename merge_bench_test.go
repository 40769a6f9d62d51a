package ssehub_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// The events of many topics in one order: the time for each event of a replay
// with 10,000 events, and of the state of as many topics under Latest.
func BenchmarkMerge(b *testing.B) {
	for _, topics := range []int{2, 16, 64} {
		b.Run("replay/"+strconv.Itoa(topics), func(b *testing.B) {
			hub := newHub(b, nil)
			var names []string
			for i := range topics {
				names = append(names, fmt.Sprint("t.", i))
			}
			start := hub.Position().String()
			for i := range 10_000 {
				publish(b, hub, names[i%topics], "some words, as in any event")
			}
			benchmarkRead(b, 10_000, func() (*ssehub.Subscription, error) { return hub.Resume(b.Context(), start, names...) })
		})
	}
	for _, topics := range []int{100, 10_000} {
		b.Run("state/"+strconv.Itoa(topics), func(b *testing.B) {
			hub := newHub(b, &ssehub.Options{Overflow: ssehub.Latest})
			for i := range topics {
				publish(b, hub, fmt.Sprint("t.", i), "some words, as in any event")
			}
			benchmarkRead(b, topics, func() (*ssehub.Subscription, error) { return hub.Subscribe(b.Context(), "t.*") })
		})
	}
}

// benchmarkRead reads n messages each time, and counts one as an operation.
func benchmarkRead(b *testing.B, n int, subscribe func() (*ssehub.Subscription, error)) {
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= n {
		sub, err := subscribe()
		require.NoError(b, err)
		var m sse.Message
		for range min(n, left) {
			m = <-sub.Events()
		}
		require.NotEmpty(b, m.Data)
		sub.Close()
	}
}
