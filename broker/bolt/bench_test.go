package bolt_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/ssehub-go/ssehub/broker/brokertest"
)

// Each event is on the disk when Append returns; those that are appended at the
// same time share the wait.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			log := open(b, newPath(b), nil)
			e := event(strings.Repeat("x", 200))
			b.ReportAllocs()
			b.SetParallelism((callers + 1) / 2) // times GOMAXPROCS
			if callers == 1 {
				for b.Loop() {
					if _, err := log.Append(context.Background(), e); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := log.Append(context.Background(), e); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkRead(b *testing.B) {
	log := open(b, newPath(b), nil)
	e := event(strings.Repeat("x", 200))
	done := make(chan error, 64)
	for range 64 {
		go func() {
			var err error
			for range 500 {
				if _, err = log.Append(context.Background(), e); err != nil {
					break
				}
			}
			done <- err
		}()
	}
	for range 64 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	start := ssehub.Position{Epoch: boundsOf(b, log).Epoch}
	b.ResetTimer()
	n := 0
	for n < b.N {
		for _, err := range log.Read(b.Context(), ssehub.Range{After: start, Until: 32_000}) {
			if err != nil {
				b.Fatal(err)
			}
			if n++; n == b.N {
				break
			}
		}
	}
}

// How fast a hub follows a file that is synced.
func BenchmarkFollow(b *testing.B) {
	brokertest.BenchmarkFollow(b, func(t testing.TB) ssehub.Broker {
		return open(t, newPath(t), &bolt.Options{Events: -1, Bytes: -1})
	})
}
