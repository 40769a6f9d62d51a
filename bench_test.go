package ssehub_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// BenchmarkPublish is the publisher's cost with nobody listening.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			hub := newHub(b, nil)
			m := sse.Message{Data: []byte(strings.Repeat("x", size))}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				_, _ = hub.Publish(b.Context(), "n", m)
			}
		})
	}
}

// BenchmarkPublishParallel is what many publishers pay for one order.
func BenchmarkPublishParallel(b *testing.B) {
	hub := newHub(b, nil)
	m := sse.Message{Data: []byte(strings.Repeat("x", 64))}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = hub.Publish(b.Context(), "n", m)
		}
	})
}

// BenchmarkStats is what a look at a hub of many topics costs who looks.
func BenchmarkStats(b *testing.B) {
	for _, topics := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			hub := hubOfTopics(b, topics)
			b.ReportAllocs()
			for b.Loop() {
				hub.Stats()
			}
		})
	}
}

// BenchmarkPublishBesideStats is what that costs a publisher of some 10,000 events a
// second, beside somebody who looks all the time.
func BenchmarkPublishBesideStats(b *testing.B) {
	for _, topics := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			hub := hubOfTopics(b, topics)
			ctx, stop := context.WithCancel(b.Context())
			var looks sync.WaitGroup
			looks.Go(func() {
				for ctx.Err() == nil {
					hub.Stats()
				}
			})
			m := sse.Message{Data: []byte(strings.Repeat("x", 64))}
			var took []time.Duration
			tick := time.NewTicker(100 * time.Microsecond)
			defer tick.Stop()
			for b.Loop() {
				<-tick.C
				start := time.Now()
				_, _ = hub.Publish(b.Context(), "n", m)
				took = append(took, time.Since(start))
			}
			stop()
			looks.Wait()
			slices.Sort(took)
			b.ReportMetric(0, "ns/op") // most of it is the ticker's
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
			b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
			b.ReportMetric(float64(took[len(took)-1]), "max-ns")
		})
	}
}

// hubOfTopics returns a hub that keeps an event of each of many topics.
func hubOfTopics(b *testing.B, topics int) *ssehub.Hub {
	hub := newHub(b, &ssehub.Options{History: ssehub.Retention{Age: time.Hour}})
	for i := range topics {
		publish(b, hub, fmt.Sprint("t", i), "x")
	}
	return hub
}

// sink is a client that takes everything at once, and reports how many bytes.
type sink struct {
	header http.Header
	bytes  int
	want   int
	done   *sync.WaitGroup
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}
func (s *sink) FlushError() error   { return nil }
func (s *sink) Write(p []byte) (int, error) {
	s.bytes += len(p)
	if s.bytes >= s.want && s.want > 0 {
		s.want = 0
		s.done.Done()
	}
	return len(p), nil
}

// BenchmarkFanOut is the time to bring 1,000 events to N readers, without the
// kernel's part. One op is one publish.
func BenchmarkFanOut(b *testing.B) {
	for _, readers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			m := sse.Message{Data: []byte(strings.Repeat("x", 64))}
			hub := newHub(b, &ssehub.Options{NoHello: true, Retry: -1, History: ssehub.Retention{Events: -1, Bytes: 256 << 20}})
			frame := len("id: 12345678-1\ndata: \n\n") + 64
			var done sync.WaitGroup
			done.Add(readers)
			for range readers {
				s := &sink{header: http.Header{}, want: b.N * frame, done: &done}
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
				require.NoError(b, err)
				go hub.Handler("n").ServeHTTP(s, req)
			}
			for hub.Stats().Subscribers < readers {
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				_, _ = hub.Publish(b.Context(), "n", m)
			}
			done.Wait()
			b.StopTimer()
			b.ReportMetric(float64(readers*b.N)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// BenchmarkReplay is the cost of bringing back 10,000 events to one reader, of
// one topic and merged from ten.
func BenchmarkReplay(b *testing.B) {
	for _, topics := range []int{1, 10} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			hub := newHub(b, &ssehub.Options{NoHello: true, Retry: -1})
			start := hub.Position().String()
			var names []string
			for i := range topics {
				names = append(names, fmt.Sprint("t", i))
			}
			for i := range 10_000 {
				publish(b, hub, names[i%topics], strings.Repeat("x", 64))
			}
			bytes := int(hub.Stats().Bytes)
			b.ReportAllocs()
			b.SetBytes(int64(bytes))
			for b.Loop() {
				var done sync.WaitGroup
				done.Add(1)
				s := &sink{header: http.Header{}, want: bytes, done: &done}
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
				require.NoError(b, err)
				req.Header.Set("Last-Event-ID", start)
				go hub.Handler(names...).ServeHTTP(s, req)
				done.Wait()
			}
		})
	}
}

// BenchmarkResume is what an id costs that a client comes back with, by the
// size of the history: finding a place is a search by number, and what is no
// position is not searched for.
func BenchmarkResume(b *testing.B) {
	for _, events := range []int{1_000, 1_000_000} {
		hub := newHub(b, &ssehub.Options{History: ssehub.Retention{Events: -1, Bytes: -1}})
		publishNumbers(b, hub, "n", 1, events)
		epoch := hub.Position().Epoch
		for _, id := range []struct{ name, id string }{
			{"newest", fmt.Sprintf("%s-%d", epoch, events)},
			{"middle", fmt.Sprintf("%s-%d", epoch, events/2)},
			{"epoch", "00000000-1"},
			{"garbage", "garbage"},
			{"garbage 1 MiB", strings.Repeat("9", 1<<20)},
		} {
			b.Run(fmt.Sprintf("%s/events=%d", id.name, events), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					sub, err := hub.Resume(b.Context(), id.id, "n")
					if err != nil {
						b.Fatal(err)
					}
					sub.Close()
				}
			})
		}
	}
}

// BenchmarkSubscription is one event through a reader in process.
func BenchmarkSubscription(b *testing.B) {
	hub := newHub(b, nil)
	sub, err := hub.Subscribe(b.Context(), "n")
	require.NoError(b, err)
	defer sub.Close()
	m := sse.Message{Data: []byte(strings.Repeat("x", 64))}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = hub.Publish(b.Context(), "n", m)
		<-sub.Events()
	}
}

// BenchmarkFollow is how many events a second one hub follows from a Broker that
// costs next to nothing itself.
func BenchmarkFollow(b *testing.B) {
	brokertest.BenchmarkFollow(b, func(testing.TB) ssehub.Broker { return new(brokertest.Memory) })
}

// BenchmarkFollowShards is the same for the events of several logs, one hub for each,
// in one process: all that they keep is read as the hubs start.
func BenchmarkFollowShards(b *testing.B) {
	for _, shards := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(shards), func(b *testing.B) {
			logs := make([]brokertest.Memory, shards)
			e := ssehub.Event{Message: sse.Message{Data: []byte(strings.Repeat("x", 64))}}
			for i := range b.N {
				e.Topics = []string{fmt.Sprint("t", i%1000)}
				_, err := logs[i%shards].Append(b.Context(), e)
				require.NoError(b, err)
			}
			hubs := make([]*ssehub.Hub, shards)
			b.ResetTimer()
			for i := range hubs {
				hubs[i] = newHub(b, &ssehub.Options{Broker: &logs[i]})
			}
			for _, hub := range hubs {
				require.NoError(b, hub.Ready(b.Context()))
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "follow/s")
		})
	}
}
