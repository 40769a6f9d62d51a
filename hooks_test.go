package ssehub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	stdlog "log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// misbehaves is called in hooks: once it is armed it panics, or blocks until the test
// is about to end.
type misbehaves struct {
	panics bool
	armed  atomic.Bool
	called atomic.Int64
	back   chan struct{}
}

func (m *misbehaves) call() {
	if !m.armed.Load() {
		return
	}
	m.called.Add(1)
	if m.panics {
		panic("of a hook")
	}
	<-m.back
}

// Faults 62, 63: a hook that panics, or blocks for ever, costs the one that it is
// about, be it a request, a reader or a publisher. All others go on, and the hub
// ends in its time. Trace's functions are in trace_test.go, Grant.Check in
// revoke_test.go.
func TestHooksMisbehave(t *testing.T) {
	for name, hook := range map[string]func(m *misbehaves, o *ssehub.Options){
		"Authorize": func(m *misbehaves, o *ssehub.Options) {
			o.Authorize = func(_ *http.Request, topics []string) (ssehub.Grant, error) {
				if topics[0] == "victim.*" {
					m.call()
				}
				return ssehub.Grant{}, nil
			}
		},
		"AllowTopic": func(m *misbehaves, o *ssehub.Options) {
			o.Authorize = func(_ *http.Request, topics []string) (ssehub.Grant, error) {
				return ssehub.Grant{AllowTopic: func(topic string) bool {
					if topics[0] == "victim.*" {
						m.call()
					}
					return true
				}}, nil
			}
		},
		"OverflowFor": func(m *misbehaves, o *ssehub.Options) {
			o.OverflowFor = func(topic string) ssehub.Overflow {
				if strings.HasPrefix(topic, "victim") {
					m.call()
				}
				return ssehub.SkipToOldest
			}
		},
		"SnapshotFor": func(m *misbehaves, o *ssehub.Options) {
			o.SnapshotFor = func(topic string) ssehub.Snapshot {
				if topic == "victim" {
					m.call()
				}
				return nil
			}
		},
		"Snapshot": func(m *misbehaves, o *ssehub.Options) {
			o.SnapshotFor = func(topic string) ssehub.Snapshot {
				if topic != "victim" {
					return nil
				}
				return func(context.Context, string) (sse.Message, ssehub.Position, error) {
					m.call()
					return sse.Message{}, ssehub.Position{}, errors.New("none")
				}
			}
		},
		"Logger of refusals": func(m *misbehaves, o *ssehub.Options) {
			o.Logger = slog.New(logHook{call: m.call})
			o.Authorize = func(_ *http.Request, topics []string) (ssehub.Grant, error) {
				if strings.HasPrefix(topics[0], "victim") {
					return ssehub.Grant{}, errors.New("no")
				}
				return ssehub.Grant{}, nil
			}
		},
		"Logger of snapshots": func(m *misbehaves, o *ssehub.Options) {
			o.Logger = slog.New(logHook{call: m.call})
			o.SnapshotFor = func(topic string) ssehub.Snapshot {
				if topic != "victim" {
					return nil
				}
				return func(context.Context, string) (sse.Message, ssehub.Position, error) { panic("another") }
			}
		},
		"Logger of MaxHistory": func(m *misbehaves, o *ssehub.Options) {
			o.Logger = slog.New(logHook{call: m.call})
			o.MaxHistory = 1000
		},
		"Logger of Check": func(m *misbehaves, o *ssehub.Options) {
			o.Logger = slog.New(logHook{call: m.call})
			o.Authorize = func(_ *http.Request, topics []string) (ssehub.Grant, error) {
				if topics[0] != "victim" {
					return ssehub.Grant{}, nil
				}
				return ssehub.Grant{Check: func(context.Context) error { panic("another") }}, nil
			}
		},
		"Logger of Drain": func(m *misbehaves, o *ssehub.Options) {
			o.Logger = slog.New(logHook{call: m.call})
			o.Trace = &ssehub.Trace{Drain: func(ssehub.DrainInfo) { panic("another") }}
		},
	} {
		for _, panics := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, panics %t", name, panics), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &misbehaves{panics: panics, back: make(chan struct{})}
					opts := &ssehub.Options{Heartbeat: time.Second}
					hook(m, opts)
					testHookMisbehaves(t, m, opts)
				})
			})
		}
	}
}

// logHook is called for each record.
type logHook struct{ call func() }

func (h logHook) Enabled(context.Context, slog.Level) bool { return true }
func (h logHook) Handle(context.Context, slog.Record) error {
	h.call()
	return nil
}
func (h logHook) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h logHook) WithGroup(string) slog.Handler      { return h }

func testHookMisbehaves(t *testing.T, m *misbehaves, opts *ssehub.Options) {
	stdlog.SetOutput(io.Discard) // where a panic of the Logger is told
	defer stdlog.SetOutput(os.Stderr)
	hub := ssehub.New(opts)
	rec, _ := stream(t, hub.Handler("n"), "/", "")
	synctest.Wait()
	m.armed.Store(true)
	victims := make(chan struct{}, 3)
	go func() { // who meets the hook
		defer func() { _ = recover(); victims <- struct{}{} }() // as net/http does
		request(t, hub.Handler("victim"))
	}()
	go func() {
		defer func() { _ = recover(); victims <- struct{}{} }()
		request(t, hub.Handler("victim.*"))
	}()
	time.Sleep(time.Millisecond)
	go func() {
		defer func() { _ = recover(); victims <- struct{}{} }()
		_, _ = hub.Publish(context.Background(), "victim.a", sse.Message{})
	}()
	time.Sleep(5 * time.Second)

	for i := range 50 {
		start := time.Now()
		publish(t, hub, "n", fmt.Sprint(i))
		synctest.Wait()
		require.Contains(t, rec.Text(), fmt.Sprintf("data: %d\n", i))
		require.Zero(t, time.Since(start))
		hub.Stats()
	}
	late, _ := stream(t, hub.Handler("n"), "/", "")
	synctest.Wait()
	publish(t, hub, "n", "late")
	synctest.Wait()
	require.Equal(t, []string{"late"}, texts(late.Messages()))

	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_ = hub.Shutdown(ctx)
	require.LessOrEqual(t, time.Since(start), 4*time.Second)
	require.NoError(t, hub.Close())
	require.Positive(t, m.called.Load())
	m.armed.Store(false)
	close(m.back)
	for range 3 {
		<-victims
	}
	require.NoError(t, hub.Shutdown(t.Context()), "nothing is left")
	require.Zero(t, hub.Stats().Subscribers)
}

// request has handler serve one that ends with the test or after a minute.
func request(t *testing.T, handler http.Handler) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		t.Error(err)
		return
	}
	handler.ServeHTTP(ssetest.NewRecorder(), req)
}

// The same of a Broker that panics while it is read, once or for a while: streams
// stay, and get everything when it is well again.
func TestBrokerPanics(t *testing.T) {
	for _, where := range []string{"Bounds", "Bounds while nothing comes", "Read", "Logger", "OverflowFor"} {
		t.Run(where, func(t *testing.T) {
			where, quiet := strings.CutSuffix(where, " while nothing comes")
			synctest.Test(t, func(t *testing.T) {
				m := &misbehaves{panics: true}
				at := func(here string) {
					if here == where {
						m.call()
					}
				}
				b := &panicBroker{Memory: new(brokertest.Memory), at: at}
				hub := ssehub.New(&ssehub.Options{
					Broker:      b,
					Logger:      slog.New(logHook{call: func() { at("Logger") }}),
					OverflowFor: func(string) ssehub.Overflow { at("OverflowFor"); return ssehub.SkipToOldest },
				})
				defer hub.Close()
				sub, err := hub.Subscribe(t.Context(), ">")
				require.NoError(t, err)
				appendTo(t, b.Memory, "1")
				require.Equal(t, "1", string((<-sub.Events()).Data))

				m.armed.Store(true)
				if quiet {
					time.Sleep(time.Minute)
				} else {
					b.cut()
				}
				appendTo(t, b.Memory, "2")
				_, err = b.Memory.Append(t.Context(), ssehub.Event{Topics: []string{"new"}, Message: sse.Message{Data: []byte("3")}})
				require.NoError(t, err)
				time.Sleep(time.Minute)
				require.Positive(t, m.called.Load())
				m.armed.Store(false)
				require.Equal(t, "2", string((<-sub.Events()).Data))
				require.Equal(t, "3", string((<-sub.Events()).Data))
			})
		})
	}
}

// One that panics while it appends has its publisher panic, and nobody else notice.
func TestBrokerAppendPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hookBroker{Memory: new(brokertest.Memory)}
		hub := ssehub.New(&ssehub.Options{Broker: b})
		defer hub.Close()
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		b.append = func(context.Context, ssehub.Event) (ssehub.Position, error) { panic("of Append") }
		require.PanicsWithValue(t, "of Append", func() { _, _ = hub.Publish(t.Context(), "t", sse.Message{}) })
		b.append = nil
		publish(t, hub, "t", "1")
		require.Equal(t, "1", string((<-sub.Events()).Data))
	})
}

// A hook that panics while a reader in process joins a log that has begun anew ends
// that reader, as nobody else could recover.
func TestJoinAgainPanics(t *testing.T) {
	for name, hook := range map[string]func(m *misbehaves, o *ssehub.Options){
		"OverflowFor": func(m *misbehaves, o *ssehub.Options) {
			o.OverflowFor = func(topic string) ssehub.Overflow {
				if topic == "victim" {
					m.call()
				}
				return ssehub.SkipToOldest
			}
		},
		"SnapshotFor": func(m *misbehaves, o *ssehub.Options) {
			o.SnapshotFor = func(topic string) ssehub.Snapshot {
				if topic == "victim" {
					m.call()
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &misbehaves{panics: true}
				b := new(brokertest.Memory)
				opts := &ssehub.Options{Broker: b}
				hook(m, opts)
				hub := ssehub.New(opts)
				defer hub.Close()
				victim, err := hub.Subscribe(t.Context(), "victim")
				require.NoError(t, err)
				other, err := hub.Subscribe(t.Context(), "t")
				require.NoError(t, err)
				m.armed.Store(true)
				b.Reset()
				time.Sleep(time.Minute)
				_, ok := <-victim.Events()
				require.False(t, ok)
				require.ErrorContains(t, victim.Err(), "of a hook")
				appendTo(t, b, "1")
				require.Equal(t, sse.TypeGap, (<-other.Events()).Type)
				require.Equal(t, "1", string((<-other.Events()).Data))
			})
		})
	}
}

// panicBroker calls at, and yields one error for each cut.
type panicBroker struct {
	*brokertest.Memory
	at     func(string)
	cutter atomic.Pointer[context.CancelFunc]
}

// cut ends the Read that waits.
func (b *panicBroker) cut() { (*b.cutter.Load())() }

func (b *panicBroker) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	b.at("Bounds")
	return b.Memory.Bounds(ctx)
}

func (b *panicBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		b.at("Read")
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		b.cutter.Store(&cancel)
		b.Memory.Read(ctx, r)(yield)
	}
}
