package dashboard_test

import (
	"context"
	"errors"
	"iter"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/metrics/prom"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// scrape is what a server has got of a hub at a time.
type scrape struct {
	instance string
	at       time.Time
	families []*dto.MetricFamily
}

// load is half an hour in which two hubs are well, or not, and are scraped at each interval.
type load struct {
	plain, brokered func(t *testing.T, hub *ssehub.Hub) // what happens between two scrapes
	options         ssehub.Options                      // of the plain one
	broker          broker
}

// broker takes events, or not, and yields them, or not.
type broker struct {
	brokertest.Memory
	deaf atomic.Bool
}

func (b *broker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	if !b.deaf.Load() {
		return b.Memory.Read(ctx, r)
	}
	return func(yield func(ssehub.Event, error) bool) { yield(ssehub.Event{}, errors.New("unreadable")) }
}

func (l *load) run(t *testing.T) (scrapes []scrape) {
	synctest.Test(t, func(t *testing.T) {
		options := l.options
		options.Limits.Streams = 3
		plain := ssehub.New(&options)
		defer plain.Close()
		brokered := ssehub.New(&ssehub.Options{Broker: &l.broker})
		defer brokered.Close()

		synctest.Wait()
		hubs := map[string]*ssehub.Hub{"plain:80": plain, "brokered:80": brokered}
		registries := map[string]*prometheus.Registry{}
		for instance, hub := range hubs {
			registries[instance] = prometheus.NewRegistry()
			registries[instance].MustRegister(prom.NewCollector(hub, &prom.Options{Topics: []string{"t"}}))
		}
		for range 120 {
			l.plain(t, plain)
			l.brokered(t, brokered)
			time.Sleep(interval)
			for instance, registry := range registries {
				families, err := registry.Gather()
				require.NoError(t, err)
				scrapes = append(scrapes, scrape{instance, time.Now(), families})
			}
		}
	})
	return scrapes
}

// healthy are hubs with subscribers who read, one of which gets a crowd of another log's
// subscribers once.
func healthy() *load {
	work := func(t *testing.T, hub *ssehub.Hub) {
		sub, err := hub.Subscribe(t.Context(), "t", "*")
		require.NoError(t, err)
		synctest.Wait()
		publish(t, hub, "t", 3)
		for range 3 {
			<-sub.Events()
		}
		synctest.Wait()
		sub.Close()
	}
	steps := 0
	return &load{brokered: work, plain: func(t *testing.T, hub *ssehub.Hub) {
		if steps++; steps == 20 { // there are figures to compare with
			for range 10 {
				sub, err := hub.Resume(t.Context(), "another-7", "t")
				require.NoError(t, err)
				<-sub.Events() // the gap
				synctest.Wait()
				sub.Close()
			}
		}
		work(t, hub)
	}}
}

// failing is all that alerts are for, at once.
func failing() *load {
	var slow *ssehub.Subscription
	l := &load{options: ssehub.Options{History: ssehub.Retention{Events: 4}, MaxHistory: 100}}
	l.plain = func(t *testing.T, hub *ssehub.Hub) {
		if slow == nil {
			for range 3 {
				go hub.Handler("quiet").ServeHTTP(ssetest.NewRecorder(),
					httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/", nil))
			}
			var err error
			slow, err = hub.Subscribe(t.Context(), "t")
			require.NoError(t, err)
			synctest.Wait()
		}
		publish(t, hub, "t", 10)
		time.Sleep(5 * time.Second)
		for receive(slow) {
		}
	}
	l.brokered = func(t *testing.T, hub *ssehub.Hub) {
		if down := errors.New("down"); !l.broker.deaf.Swap(true) {
			l.broker.Fail(down) // ends the reading
			synctest.Wait()
			l.broker.Fail(nil)
			publish(t, hub, "t", 1001)
			l.broker.Fail(down)
		}
		_, err := hub.Publish(t.Context(), "t", sse.Message{})
		require.Error(t, err)
	}
	return l
}

// receive returns whether there was something to receive.
func receive(sub *ssehub.Subscription) bool {
	synctest.Wait()
	select {
	case <-sub.Events():
		return true
	default:
		return false
	}
}

func publish(t *testing.T, hub *ssehub.Hub, topic string, n int) {
	for range n {
		_, err := hub.Publish(t.Context(), topic, sse.Message{Data: []byte("ten bytes.")})
		require.NoError(t, err)
	}
}
