package ssehub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// mute is a hub's way to a log, which it can be kept from writing to.
type mute struct {
	*brokertest.Memory
	on    atomic.Bool
	words atomic.Int64
}

func (m *mute) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	if m.on.Load() {
		return ssehub.Position{}, errors.New("mute")
	}
	m.words.Add(1)
	return m.Memory.Append(ctx, e)
}

func newNode(t *testing.T, b ssehub.Broker, limits ssehub.Limits) limited {
	node := limited{newHub(t, &ssehub.Options{Broker: b, Limits: limits, Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
		return ssehub.Grant{Subject: r.URL.Query().Get("user")}, nil
	}}), t}
	settle()
	return node
}

// settle lets hubs say what they have to.
func settle() {
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
}

const full = http.StatusTooManyRequests

// A subject that has as many streams as it may, on whichever hubs, gets no more on any,
// until one of them ends. Faults 52.
func TestLimitsOnAllHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(brokertest.Memory)
		limits := ssehub.Limits{PerSubject: 3, AllHubs: true}
		a, b := newNode(t, log, limits), newNode(t, log, limits)
		end := a.open("user=ann")
		a.open("user=ann")
		b.open("user=ann")
		a.open("user=bob")
		settle()
		late := newNode(t, log, limits) // is told of those that are there
		for _, node := range []limited{a, b, late} {
			require.Equal(t, full, node.refused("user=ann", "").Code)
			node.open("user=eve")
			settle()
		}
		require.Equal(t, full, b.refused("user=eve", "").Code)
		end()
		settle()
		late.open("user=ann")
		settle()
		require.Equal(t, full, a.refused("user=ann", "").Code)
		a.open("user=bob")
		require.Equal(t, 4, a.Stats().Streams)
	})
}

// The streams of an address count alike.
func TestAddrLimitOnAllHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(brokertest.Memory)
		limits := ssehub.Limits{PerAddr: 1, AllHubs: true}
		a, b := newNode(t, log, limits), newNode(t, log, limits)
		r := func() *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/?topic=n", nil)
			require.NoError(t, err)
			r.RemoteAddr = "192.0.2.1:1"
			return r
		}
		first := newNotifying()
		go a.Handler().ServeHTTP(first, r())
		<-first.started
		settle()
		second := newNotifying()
		b.Handler().ServeHTTP(second, r())
		require.Equal(t, full, second.Code)
		a.Close()
	})
}

// A hub that ends in order counts for nothing at once, so that its clients find room
// elsewhere, and one that dies does not count for ever.
func TestHubLeavesLimits(t *testing.T) {
	for name, leave := range map[string]struct {
		how   func(a limited, way *mute)
		after time.Duration
	}{
		"shut down": {func(a limited, _ *mute) {
			go func() { _ = a.Shutdown(a.t.Context()) }()
		}, 0},
		"dead": {func(_ limited, way *mute) { way.on.Store(true) }, 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(brokertest.Memory)
				limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
				way := &mute{Memory: log}
				a, b := newNode(t, way, limits), newNode(t, log, limits)
				a.open("user=ann")
				time.Sleep(time.Minute) // it is heard of, all the time
				require.Equal(t, full, b.refused("user=ann", "").Code)
				leave.how(a, way)
				time.Sleep(leave.after)
				settle()
				b.open("user=ann")

				way.on.Store(false) // nobody is evicted for one who was not dead
				time.Sleep(time.Minute)
				require.Equal(t, 1, b.Stats().Streams)
			})
		})
	}
}

// A Broker that does not answer holds up the end of a hub for no longer than its context
// allows, and for the last word at most.
func TestHubLeavesInTime(t *testing.T) {
	for name, tt := range map[string]struct {
		end    func(context.Context, *ssehub.Hub) error
		within time.Duration
	}{
		"shut down":         {func(ctx context.Context, h *ssehub.Hub) error { return h.Shutdown(ctx) }, 5 * time.Second},
		"shut down in time": {shutdownIn(time.Second), time.Second},
		"closed":            {func(_ context.Context, h *ssehub.Hub) error { return h.Close() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stuck atomic.Bool
				way := &hookBroker{Memory: new(brokertest.Memory)}
				way.append = func(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
					if stuck.Load() {
						<-ctx.Done()
					}
					return way.Memory.Append(ctx, e)
				}
				a := newNode(t, way, ssehub.Limits{PerSubject: 1, AllHubs: true})
				stuck.Store(true)
				time.Sleep(6 * time.Second) // the teller is at it
				began := time.Now()
				_ = tt.end(t.Context(), a.Hub)
				require.Equal(t, tt.within, time.Since(began))
			})
		})
	}
}

func shutdownIn(d time.Duration) func(context.Context, *ssehub.Hub) error {
	return func(ctx context.Context, h *ssehub.Hub) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return h.Shutdown(ctx)
	}
}

// What hubs have missed, since the log has lost it or has begun anew, they tell again.
func TestLimitsAfterLoss(t *testing.T) {
	for name, lose := range map[string]func(b *brokertest.Memory){
		"begun anew": (*brokertest.Memory).Reset,
		"down for a while": func(b *brokertest.Memory) {
			b.Fail(errors.New("down"))
			time.Sleep(time.Minute)
			b.Fail(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(brokertest.Memory)
				limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
				a, b := newNode(t, log, limits), newNode(t, log, limits)
				a.open("user=ann")
				b.open("user=bob")
				settle()
				lose(log)
				time.Sleep(20 * time.Second)
				require.Equal(t, full, b.refused("user=ann", "").Code)
				require.Equal(t, full, a.refused("user=bob", "").Code)
			})
		})
	}
}

// So does a hub that was not there to hear it, even if its question is lost at first.
func TestLimitsAfterDeafness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(brokertest.Memory)
		limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
		var deaf, mute atomic.Bool
		way := &hookBroker{Memory: log, before: func(*ssehub.Event) error {
			if deaf.Load() {
				return errors.New("deaf")
			}
			return nil
		}}
		way.append = func(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
			if bytes.Contains(e.Message.Data, []byte(`"ask":true`)) && mute.CompareAndSwap(true, false) {
				return ssehub.Position{}, errors.New("mute")
			}
			return log.Append(ctx, e)
		}
		a, b := newNode(t, log, limits), newNode(t, way, limits)
		deaf.Store(true)
		mute.Store(true)
		a.open("user=ann")
		settle()
		log.Trim(a.Position().Seq + 1)
		deaf.Store(false)
		time.Sleep(20 * time.Second)
		require.False(t, mute.Load())
		require.Equal(t, full, b.refused("user=ann", "").Code)
	})
}

// A word that cannot be read is asked for again.
func TestLimitsAfterBadWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(brokertest.Memory)
		limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
		var bad atomic.Bool
		way := &hookBroker{Memory: log, before: func(*ssehub.Event) error {
			if bad.Load() {
				return ssehub.ErrInvalidEvent
			}
			return nil
		}}
		a, b := newNode(t, log, limits), newNode(t, way, limits)
		bad.Store(true)
		a.open("user=ann")
		settle()
		bad.Store(false)
		time.Sleep(20 * time.Second)
		require.Equal(t, full, b.refused("user=ann", "").Code)
	})
}

// A word that its hub has given up, and that the log gets all the same behind later ones,
// changes nothing any more.
func TestLimitsAfterLateWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(brokertest.Memory)
		limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
		var stuck atomic.Bool
		var late ssehub.Event
		way := &hookBroker{Memory: log}
		way.append = func(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
			if stuck.CompareAndSwap(true, false) {
				late = e
				<-ctx.Done()
				return ssehub.Position{}, ctx.Err()
			}
			return log.Append(ctx, e)
		}
		a, b := newNode(t, way, limits), newNode(t, log, limits)
		stuck.Store(true)
		end := a.open("user=ann")
		time.Sleep(6 * time.Second)
		end()
		time.Sleep(10 * time.Second)
		require.Contains(t, string(late.Message.Data), "ann")
		_, err := log.Append(t.Context(), late)
		require.NoError(t, err)
		settle()
		b.open("user=ann")
	})
}

// A hub that says everything again, as it is asked, counts for no less meanwhile, and
// who is gone by then counts no more.
func TestLimitsWhileToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(brokertest.Memory)
		limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
		way := &mute{Memory: log}
		a, b := newNode(t, way, limits), newNode(t, log, limits)
		const subjects = 100
		user := func(i int) string { return fmt.Sprint("user=", i, strings.Repeat("x", 1<<10)) } // several words
		for i := range subjects {
			a.open(user(i))
		}
		end := a.open("user=ann")
		settle()
		way.on.Store(true)
		end()
		newHub(t, &ssehub.Options{Broker: log, Limits: limits}) // it asks
		time.Sleep(4 * time.Second)
		way.on.Store(false)
		for range 40 {
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			for i := range subjects {
				require.Equal(t, full, b.refused(user(i), "").Code)
			}
		}
		b.open("user=ann")
	})
}

// However many come and go, the log gets few events of it, and each is small.
func TestLimitsSayLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		way := &mute{Memory: new(brokertest.Memory)}
		limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
		a, b := newNode(t, way, limits), newNode(t, way, limits)
		start := way.words.Load()
		time.Sleep(time.Minute)
		require.LessOrEqual(t, way.words.Load()-start, int64(2*13))
		start = way.words.Load()
		const subjects = 300
		for i := range subjects {
			a.open(fmt.Sprint("user=", i)) // all within no time
		}
		settle()
		require.LessOrEqual(t, way.words.Load()-start, int64(5))
		for i := range subjects {
			require.Equal(t, full, b.refused(fmt.Sprint("user=", i), "").Code)
		}
		c := newNode(t, way, limits)
		settle()
		for i := range subjects {
			require.Equal(t, full, c.refused(fmt.Sprint("user=", i), "").Code)
		}
	})
}

// Subjects may be long: no event is larger than engines take.
func TestLimitsSaySmallEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		way := &hookBroker{Memory: new(brokertest.Memory)}
		way.append = func(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
			if len(e.Message.Data) > 64<<10 {
				return ssehub.Position{}, errors.New("too large")
			}
			return way.Memory.Append(ctx, e)
		}
		limits := ssehub.Limits{PerSubject: 1, AllHubs: true}
		a, b := newNode(t, way, limits), newNode(t, way, limits)
		for _, size := range []int{1, 4 << 10, 40 << 10} {
			user := func(i int) string { return fmt.Sprint("user=", i, strings.Repeat("x", size)) }
			for i := range 20 {
				a.open(user(i))
			}
			time.Sleep(2 * time.Second)
			for i := range 20 {
				require.Equal(t, full, b.refused(user(i), "").Code)
			}
		}
	})
}

// What others write to the topic is not believed to be more than it is.
func TestControlOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(brokertest.Memory)
		a := newNode(t, log, ssehub.Limits{PerSubject: 2, AllHubs: true})
		a.open("user=ann")
		for _, m := range []sse.Message{
			{Type: "streams", Data: []byte(`{`)},
			{Type: "streams", Data: []byte(`{"hub":"x","subjects":{"ann":-7}}`)},
			{Type: "streams", Data: []byte(`{"hub":"y","addrs":{"no":1}}`)},
			{Type: "revoke", Data: []byte(`{}`)},
			{Type: "revoke", Data: []byte(`{"Again":true}`)},
			{Type: "of a newer hub", Data: []byte(`{}`)},
		} {
			_, err := log.Append(t.Context(), ssehub.Event{Topics: []string{"ssehub.control"}, Message: m})
			require.NoError(t, err)
		}
		settle()
		require.Equal(t, 1, a.Stats().Streams)
		a.open("user=ann")
		require.Equal(t, full, a.refused("user=ann", "").Code)
	})
}
