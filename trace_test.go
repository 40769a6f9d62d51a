package ssehub_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// traceAll has every hook call f with its name, and who it is about.
func traceAll(f func(hook string, who ssehub.SubscriberInfo)) *ssehub.Trace {
	return &ssehub.Trace{
		Published: func(ssehub.PublishInfo) { f("Published", ssehub.SubscriberInfo{}) },
		Joined:    func(s ssehub.SubscriberInfo) { f("Joined", s) },
		Left:      func(s ssehub.SubscriberInfo, _ error) { f("Left", s) },
		Gap:       func(s ssehub.SubscriberInfo, _ sse.Gap) { f("Gap", s) },
		Written:   func(s ssehub.SubscriberInfo, _ ssehub.WriteInfo) { f("Written", s) },
		Drain:     func(ssehub.DrainInfo) { f("Drain", ssehub.SubscriberInfo{}) },
	}
}

var hooks = []string{"Published", "Joined", "Left", "Gap", "Written", "Drain"}

// journal takes down what hooks are told.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// take returns the lines since the last call, in which the hub's epoch is E.
func (j *journal) take(hub *ssehub.Hub) []string {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	out := []string{}
	for _, line := range j.lines {
		out = append(out, strings.ReplaceAll(line, hub.Position().Epoch, "E"))
	}
	j.lines = nil
	return out
}

func (j *journal) trace() *ssehub.Trace {
	who := func(s ssehub.SubscriberInfo) string {
		return fmt.Sprintf("%v conn=%t %q %s %s", s.Topics, s.Conn != "", s.Subject, s.Verdict, s.Position)
	}
	return &ssehub.Trace{
		Published: func(p ssehub.PublishInfo) {
			j.add("published %s %v %s %d %t %v", p.Topic, p.Topics, p.Position, p.Bytes, p.Ephemeral, p.Waited)
		},
		Joined: func(s ssehub.SubscriberInfo) { j.add("joined %s", who(s)) },
		Left:   func(s ssehub.SubscriberInfo, err error) { j.add("left %s: %v", who(s), err) },
		Gap: func(s ssehub.SubscriberInfo, g sse.Gap) {
			j.add("gap %s: %s %s %s %q", who(s), g.Reason, g.From, g.To, g.Topic)
		},
		Written: func(s ssehub.SubscriberInfo, w ssehub.WriteInfo) {
			j.add("written %v %d %d %t %v", s.Topics, w.Bytes, w.Events, w.Live, w.Latency)
		},
	}
}

// Each hook is told what happened, and nothing else.
func TestTrace(t *testing.T) {
	const frame = len("id: 00000000-1\ndata: 1\n\n")
	send := func(hub *ssehub.Hub, opts ssehub.PublishOptions) {
		_, _ = hub.PublishWith(context.Background(), "n", sse.Message{Data: []byte("1")}, opts)
	}
	small := ssehub.Options{NoHello: true, Retry: -1, History: ssehub.Retention{Events: 2}}
	authorized := small
	authorized.Authorize = func(*http.Request, []string) (ssehub.Grant, error) { return ssehub.Grant{Subject: "ann"}, nil }
	for name, test := range map[string]struct {
		opts ssehub.Options
		do   func(t *testing.T, hub *ssehub.Hub)
		want []string
	}{
		"published": {small, func(t *testing.T, hub *ssehub.Hub) {
			send(hub, ssehub.PublishOptions{IdempotencyKey: "k"})
			send(hub, ssehub.PublishOptions{IdempotencyKey: "k"})
			send(hub, ssehub.PublishOptions{Ephemeral: true})
			send(hub, ssehub.PublishOptions{Topics: []string{"m"}})
			_, _ = hub.Publish(t.Context(), "no topic", sse.Message{})
		}, []string{"published n [] E-1 9 false 0s", "published n [] E-2 9 true 0s", "published n [m] E-3 9 false 0s"}},
		"stream": {authorized, func(t *testing.T, hub *ssehub.Hub) {
			publishNumbers(t, hub, "n", 1, 1)
			_, end := stream(t, hub.Handler("n"), "/", "")
			synctest.Wait()
			publishNumbers(t, hub, "n", 2, 2)
			synctest.Wait()
			end()
		}, []string{
			"published n [] E-1 9 false 0s",
			`joined [n] conn=true "ann" fresh E-1`,
			"published n [] E-2 9 false 0s",
			fmt.Sprintf("written [n] %d 1 true 0s", frame),
			`left [n] conn=true "ann" fresh E-1: sse: connection closed`,
		}},
		"resumed, with events from before": {small, func(t *testing.T, hub *ssehub.Hub) {
			publishNumbers(t, hub, "n", 1, 1)
			time.Sleep(time.Second)
			sub, err := hub.Resume(t.Context(), ssehub.Position{Epoch: hub.Position().Epoch}.String(), "n")
			require.NoError(t, err)
			<-sub.Events()
			synctest.Wait()
			sub.Close()
		}, []string{
			"published n [] E-1 9 false 0s",
			`joined [n] conn=false "" resumed E-0`,
			fmt.Sprintf("written [n] %d 1 false 0s", frame),
			`left [n] conn=false "" resumed E-0: <nil>`,
		}},
		"gap of two topics, then overflow": {small, func(t *testing.T, hub *ssehub.Hub) {
			publishNumbers(t, hub, "n", 1, 3)
			sub, err := hub.Resume(t.Context(), ssehub.Position{Epoch: hub.Position().Epoch}.String(), "n", "m")
			require.NoError(t, err)
			require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
			synctest.Wait()
			publishNumbers(t, hub, "m", 4, 6) // while 2 is held for us
			for range 3 {
				<-sub.Events()
			}
		}, []string{
			"published n [] E-1 9 false 0s", "published n [] E-2 9 false 0s", "published n [] E-3 9 false 0s",
			`joined [n m] conn=false "" gap E-0`,
			`gap [n m] conn=false "" gap E-0: window E-0 E-1 "n"`,
			"written [n m] 110 0 false 0s",
			"published m [] E-4 9 false 0s", "published m [] E-5 9 false 0s", "published m [] E-6 9 false 0s",
			fmt.Sprintf("written [n m] %d 2 false 0s", 2*frame+2*len("topic: n\n")),
			`gap [n m] conn=false "" gap E-0: overflow E-3 E-4 "m"`,
			"written [n m] 112 0 false 0s",
		}},
		"an id that is none": {small, func(t *testing.T, hub *ssehub.Hub) {
			sub, err := hub.Resume(t.Context(), "hm", "n")
			require.NoError(t, err)
			<-sub.Events()
		}, []string{
			`joined [n] conn=false "" invalid `,
			`gap [n] conn=false "" invalid : invalid  E-0 ""`,
			"written [n] 100 0 false 0s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				opts := test.opts
				opts.Trace = j.trace()
				hub := ssehub.New(&opts)
				defer hub.Close()
				test.do(t, hub)
				// Subscribers may have a message before its publisher is told.
				require.ElementsMatch(t, test.want, j.take(hub))
			})
		})
	}
}

// A publisher under Block hears how long it waited, and not how long it ran.
func TestTraceWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waited []time.Duration
		hub := ssehub.New(&ssehub.Options{
			Overflow: ssehub.Block,
			History:  ssehub.Retention{Events: 2},
			Trace: &ssehub.Trace{Published: func(p ssehub.PublishInfo) {
				waited = append(waited, p.Waited)
			}},
		})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		go func() {
			time.Sleep(time.Minute)
			for range sub.Events() {
			}
		}()
		publishNumbers(t, hub, "n", 1, 3)
		require.Equal(t, []time.Duration{0, 0, time.Minute}, waited)
	})
}

// No hook is called under a lock, and each may call whatever it likes.
func TestTraceReenters(t *testing.T) {
	var hub *ssehub.Hub
	var seen sync.Map
	var depth atomic.Int64
	hub = newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 3}, Trace: traceAll(func(hook string, _ ssehub.SubscriberInfo) {
		seen.Store(hook, true)
		hub.Stats()
		hub.TopicStats("n")
		for range hub.Topics() {
		}
		if depth.Add(1) > 100 { // each publishes, so that others are called
			return
		}
		sub, err := hub.Subscribe(t.Context(), "n", ">")
		if err != nil {
			return // the hub has ended
		}
		defer sub.Close()
		if _, err = hub.Publish(t.Context(), "n", sse.Message{}); err == nil {
			<-sub.Events()
		}
		_, _, _ = hub.History(t.Context(), "n", ssehub.Position{}, 1)
	})})
	storm(t, hub, "n", 20)
	require.NoError(t, hub.Close())
	for _, hook := range hooks {
		_, ok := seen.Load(hook)
		require.True(t, ok, hook)
	}
}

// storm publishes to topic, while streams and Subscriptions come, some with a
// gap, get something and go.
func storm(t *testing.T, hub *ssehub.Hub, topic string, readers int) {
	stop := make(chan struct{})
	var publisher, reading sync.WaitGroup
	publisher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = hub.Publish(context.Background(), topic, sse.Message{Data: []byte("x")})
			}
		}
	})
	server := httptest.NewServer(hub.Handler(topic))
	defer server.Close()
	for range readers {
		reading.Go(func() {
			res, err := http.Get(server.URL + "?lastEventID=none")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			n := 0
			for _, err := range sse.Events(res.Body) {
				if n++; n == 10 {
					break
				}
				var gap *sse.GapError
				if err != nil && !errors.As(err, &gap) {
					t.Error(err)
				}
			}
		})
		reading.Go(func() {
			sub, err := hub.Resume(context.Background(), "none", topic)
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			for range 10 {
				<-sub.Events()
			}
		})
	}
	reading.Wait()
	close(stop)
	publisher.Wait()
}

// errorLog counts the records of level Error by the attribute "function".
type errorLog struct {
	slog.Handler
	mu    sync.Mutex
	count map[string]int
}

func (l *errorLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *errorLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if r.Level == slog.LevelError && a.Key == "function" {
			l.count[a.Value.String()]++
		}
		return true
	})
	return nil
}

// Hooks that panic cost nobody anything, and are logged once each.
func TestTracePanics(t *testing.T) {
	log := &errorLog{count: make(map[string]int)}
	hub := newHub(t, &ssehub.Options{
		History: ssehub.Retention{Events: 3},
		Logger:  slog.New(log),
		Trace:   traceAll(func(hook string, _ ssehub.SubscriberInfo) { panic(hook) }),
	})
	storm(t, hub, "n", 20)
	require.NoError(t, hub.Close())
	want := make(map[string]int)
	for _, hook := range hooks {
		want[hook] = 1
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	require.Equal(t, want, log.count)
}

// A hook that blocks for ever holds the one it is about: all others get
// everything in time, Shutdown ends with its context and Close within a second.
func TestTraceBlocks(t *testing.T) {
	for _, hook := range hooks {
		if hook == "Drain" {
			continue // see TestTraceDrain
		}
		for _, inProcess := range []bool{false, true} {
			t.Run(fmt.Sprint(hook, inProcess), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testTraceBlocks(t, hook, inProcess) })
			})
		}
	}
}

func testTraceBlocks(t *testing.T, hook string, inProcess bool) {
	var armed, held atomic.Bool
	back := make(chan struct{})
	hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Events: 100}, Trace: traceAll(func(name string, _ ssehub.SubscriberInfo) {
		if name == hook && armed.Load() && held.CompareAndSwap(false, true) {
			<-back
		}
	})})
	handler := hub.Handler("n")
	sub, err := hub.Subscribe(t.Context(), "n")
	require.NoError(t, err)
	rec, _ := stream(t, handler, "/", "")
	synctest.Wait()

	// The first call, from now on, of a subscriber, or a publisher, of its own.
	armed.Store(true)
	switch {
	case hook == "Published":
		go func() { _, _ = hub.Publish(context.Background(), "n", sse.Message{Data: []byte("0")}) }()
		synctest.Wait()
		require.Equal(t, "0", string((<-sub.Events()).Data))
	case inProcess:
		own, err := hub.Resume(t.Context(), "none", "m")
		require.NoError(t, err)
		go func() { <-own.Events(); own.Close() }()
	default:
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/?lastEventID=none", nil)
		require.NoError(t, err)
		go hub.Handler("m").ServeHTTP(ssetest.NewRecorder(), req)
		synctest.Wait()
		cancel()
	}
	synctest.Wait()
	require.True(t, held.Load())

	for i := range 50 {
		start := time.Now()
		publish(t, hub, "n", fmt.Sprint(i))
		publish(t, hub, "m", "x")
		require.Equal(t, fmt.Sprint(i), string((<-sub.Events()).Data))
		synctest.Wait()
		require.Contains(t, rec.Text(), fmt.Sprintf("data: %d\n", i))
		require.Zero(t, time.Since(start))
		hub.Stats()
	}
	_, ok := hub.TopicStats("m")
	require.True(t, ok)

	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err = hub.Shutdown(ctx)
	if hook == "Published" {
		require.NoError(t, err, "no subscriber is held")
	} else {
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 4*time.Second, time.Since(start))
		start = time.Now()
		require.NoError(t, hub.Close())
		require.Equal(t, time.Second, time.Since(start))
	}
	_, ok = <-sub.Events()
	require.False(t, ok)
	close(back)
	require.NoError(t, hub.Shutdown(t.Context()), "nothing is left when the hook comes back")
}

// A hook may end the hub, on whichever goroutine it is.
func TestTraceEndsHub(t *testing.T) {
	for _, hook := range hooks {
		for name, end := range map[string]func(*ssehub.Hub){
			"Close": func(hub *ssehub.Hub) { _ = hub.Close() },
			"Shutdown": func(hub *ssehub.Hub) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_ = hub.Shutdown(ctx)
			},
		} {
			t.Run(hook+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					var hub *ssehub.Hub
					var called atomic.Int64
					hub = ssehub.New(&ssehub.Options{Trace: traceAll(func(name string, _ ssehub.SubscriberInfo) {
						if name == hook {
							called.Add(1)
							end(hub)
						}
					})})
					var all sync.WaitGroup
					for range 3 {
						all.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), time.Second)
							defer cancel()
							req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "/?lastEventID=none", nil)
							hub.Handler("n").ServeHTTP(ssetest.NewRecorder(), req)
						})
						all.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), time.Second)
							defer cancel()
							if sub, err := hub.Resume(ctx, "none", "n"); err == nil {
								for range sub.Events() {
								}
							}
						})
						all.Go(func() { _, _ = hub.Publish(t.Context(), "n", sse.Message{}) })
					}
					all.Wait()
					if hook == "Drain" {
						require.NoError(t, hub.Close())
					}
					require.Positive(t, called.Load())
					require.NoError(t, hub.Shutdown(t.Context()))
					require.Less(t, time.Since(start), 20*time.Second)
				})
			})
		}
	}
}

// Drain tells how far Shutdown is: from all to none. One that blocks holds it up no
// longer than its context says.
func TestTraceDrain(t *testing.T) {
	for _, blocks := range []bool{false, true} {
		t.Run(fmt.Sprintf("blocks %t", blocks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const readers = 20
				var mu sync.Mutex
				var seen []ssehub.DrainInfo
				back := make(chan struct{})
				hub := ssehub.New(&ssehub.Options{Trace: &ssehub.Trace{Drain: func(d ssehub.DrainInfo) {
					mu.Lock()
					seen = append(seen, d)
					mu.Unlock()
					if blocks {
						<-back
					}
				}}})
				for range readers {
					stream(t, hub.Handler("n"), "/", "")
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				err := hub.Shutdown(ctx)
				require.LessOrEqual(t, time.Since(start), 2*time.Second)
				require.Equal(t, blocks, err != nil)
				close(back)
				require.NoError(t, hub.Shutdown(t.Context()))
				require.Len(t, seen, readers+1)
				left := map[int]bool{}
				for _, d := range seen {
					require.Equal(t, readers, d.Of)
					left[d.Subscribers] = true
				}
				require.Len(t, left, readers+1) // each number once, though perhaps not in their order
			})
		})
	}
}
