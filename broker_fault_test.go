package ssehub_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// hookBroker calls before ahead of each event that it yields, which that may
// change, and append in place of Append.
type hookBroker struct {
	*brokertest.Memory
	before func(*ssehub.Event) error
	append func(context.Context, ssehub.Event) (ssehub.Position, error)
}

func (b *hookBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		for e, err := range b.Memory.Read(ctx, r) {
			if err == nil && b.before != nil {
				err = b.before(&e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (b *hookBroker) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	if b.append != nil {
		return b.append(ctx, e)
	}
	return b.Memory.Append(ctx, e)
}

func appendTo(t *testing.T, b *brokertest.Memory, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, err := b.Append(t.Context(), ssehub.Event{Time: time.Now(), Topics: []string{"t"}, Message: sse.Message{Data: []byte(text)}})
		require.NoError(t, err)
	}
}

// Fault 94: a hole in front of what cannot be read is a hole like any other.
func TestBrokerDropsBeforeBadEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hookBroker{Memory: new(brokertest.Memory)}
		b.before = func(e *ssehub.Event) error {
			if e.Position.Seq == 1 {
				appendTo(t, b.Memory, "2", "3", "4", "5")
				b.Trim(4)
			}
			if e.Position.Seq == 4 {
				return ssehub.ErrInvalidEvent
			}
			return nil
		}
		hub := newHub(t, &ssehub.Options{Broker: b})
		rec, _ := stream(t, hub.Handler("t"), "/", "")
		synctest.Wait()
		appendTo(t, b.Memory, "1")
		time.Sleep(time.Minute)
		appendTo(t, b.Memory, "6")
		time.Sleep(time.Minute)
		got := texts(rec.Messages())
		if got[0] == "1" { // the reader was quicker than the loss
			got = got[1:]
		}
		require.Equal(t, []string{"5", "6"}, got)
		told := gaps(t, rec.Messages()) // two if the reader looked in the midst of it
		require.Equal(t, uint64(3), seq(t, told[len(told)-1].To))
	})
}

// Fault 94: what is dropped at the end of the log is told though nothing comes
// behind it, and a log that was deleted under a reader that hears nothing is found
// out.
func TestBrokerDropsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hookBroker{Memory: new(brokertest.Memory)}
		busy := make(chan struct{})
		b.before = func(e *ssehub.Event) error {
			if e.Position.Seq == 2 {
				<-busy
			}
			return nil
		}
		hub := newHub(t, &ssehub.Options{Broker: b})
		rec, _ := stream(t, hub.Handler("t"), "/", "")
		synctest.Wait()
		publishNumbers(t, hub, "t", 1, 2)
		synctest.Wait()
		publishNumbers(t, hub, "t", 3, 9)
		b.Trim(10)
		close(busy)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1", "2"}, texts(rec.Messages()))
		require.Len(t, gaps(t, rec.Messages()), 1)
		require.NoError(t, hub.Shutdown(t.Context()))
	})
}

// Promise 8: what is lost, or the log that begins anew, while a hub shuts down
// does not keep it from its end. Neither does the limit of the memory.
func TestBrokerShutdownInTrouble(t *testing.T) {
	for name, trouble := range map[string]func(*testing.T, *brokertest.Memory){
		"lost":  func(_ *testing.T, b *brokertest.Memory) { b.Trim(3) },
		"end":   func(_ *testing.T, b *brokertest.Memory) { b.LoseEnd(1) },
		"anew":  func(_ *testing.T, b *brokertest.Memory) { b.Reset() },
		"other": func(t *testing.T, b *brokertest.Memory) { b.Reset(); appendTo(t, b, "1", "2", "3") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := new(brokertest.Memory)
				hub := newHub(t, &ssehub.Options{Broker: b})
				stream(t, hub.Handler("t"), "/", "")
				synctest.Wait()
				b.Fail(errors.New("engine down"))
				time.Sleep(time.Minute)
				b.Fail(nil)
				publishNumbers(t, hub, "t", 1, 2)
				trouble(t, b)
				start := time.Now()
				require.NoError(t, hub.Shutdown(t.Context()))
				require.Less(t, time.Since(start), 40*time.Second) // that an end is lost shows after 30
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBroker{Memory: new(brokertest.Memory), wait: 10 * time.Millisecond}
		hub := newHub(t, &ssehub.Options{Broker: slow, MaxHistory: 10_000})
		rec, _ := stream(t, hub.Handler("t"), "/", "")
		synctest.Wait()
		for range 100 {
			publish(t, hub, "t", strings.Repeat("x", 1000))
		}
		require.NoError(t, hub.Shutdown(t.Context()))
		require.Len(t, texts(rec.Messages()), 100)
	})
}

// A position that comes late from a log that is no more counts for nothing.
func TestBrokerLateAnswer(t *testing.T) {
	withBroker(t, func(t *testing.T, m *brokertest.Memory, _, _ *ssehub.Hub) {
		b := &hookBroker{Memory: m}
		hub := newHub(t, &ssehub.Options{Broker: b})
		publishNumbers(t, hub, "t", 1, 20)
		synctest.Wait()
		b.append = func(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
			pos, err := m.Append(ctx, e)
			m.Reset()
			time.Sleep(time.Minute)
			return pos, err
		}
		publish(t, hub, "t", "21")
		b.append = nil
		publish(t, hub, "t", "1")
		synctest.Wait()
		rec, _ := stream(t, hub.Handler("t"), "/", hub.Position().Epoch+"-15")
		synctest.Wait()
		require.Equal(t, sse.VerdictAhead, hello(t, rec.Messages()).Verdict)
		require.NoError(t, hub.Shutdown(t.Context()))
	})
}

// Close ends a Publish that waits for the broker, and a reader that waits to hear
// from it whether its id is known.
func TestBrokerStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &stuckBroker{Memory: new(brokertest.Memory)}
		hub := newHub(t, &ssehub.Options{Broker: b})
		synctest.Wait()
		b.stuck = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := hub.History(ctx, "t", ssehub.Position{Epoch: hub.Position().Epoch, Seq: 9}, 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		ended := make(chan error)
		go func() {
			_, err := hub.Publish(t.Context(), "t", sse.Message{})
			ended <- err
		}()
		synctest.Wait()
		require.NoError(t, hub.Close())
		require.ErrorIs(t, <-ended, ssehub.ErrClosed)
	})
}

type stuckBroker struct {
	*brokertest.Memory
	stuck bool
}

func (b *stuckBroker) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	<-ctx.Done()
	return ssehub.Position{}, ctx.Err()
}

func (b *stuckBroker) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	if b.stuck {
		<-ctx.Done()
	}
	return b.Memory.Bounds(ctx)
}

// A Logger may call the hub, whatever it is told.
func TestBrokerLoggerReenters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		logger := &statsLogger{}
		hub := newHub(t, &ssehub.Options{Broker: b, Logger: slog.New(logger)})
		logger.hub = hub
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		b.Reset()
		time.Sleep(time.Minute)
		b.Fail(errors.New("engine down"))
		time.Sleep(time.Minute)
		b.Fail(nil)
		appendTo(t, b, "1", "2", "3")
		b.Trim(3)
		time.Sleep(time.Minute)
		require.Positive(t, logger.n.Load())
		require.Equal(t, sse.ReasonEpoch, gaps(t, []sse.Message{<-sub.Events()})[0].Reason)
	})
}

type statsLogger struct {
	hub *ssehub.Hub
	n   atomic.Int32
}

func (l *statsLogger) Enabled(context.Context, slog.Level) bool { return true }
func (l *statsLogger) Handle(context.Context, slog.Record) error {
	l.n.Add(1)
	l.hub.Stats()
	return nil
}
func (l *statsLogger) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *statsLogger) WithGroup(string) slog.Handler      { return l }

// Promise 4, and what is counted: also a stream whose log begins anew before
// anything is written has its hello first, and only what is written counts.
func TestBrokerBeginsAnewAtJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		hub := newHub(t, &ssehub.Options{Broker: b, Trace: &ssehub.Trace{Joined: func(ssehub.SubscriberInfo) {
			b.Reset()
			time.Sleep(time.Minute)
		}}})
		synctest.Wait()
		publishNumbers(t, hub, "t", 1, 10)
		synctest.Wait()
		rec, _ := stream(t, hub.Handler("t"), "/", hub.Position().Epoch+"-0")
		time.Sleep(2 * time.Minute)
		publish(t, hub, "t", "x")
		synctest.Wait()
		require.Equal(t, sse.VerdictEpoch, hello(t, rec.Messages()).Verdict)
		require.Equal(t, []string{"x"}, texts(rec.Messages()))
		require.EqualValues(t, 1, hub.Stats().Delivered)
	})
}

// An event whose time is not known, or to come, makes no other one younger.
func TestBrokerTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		for _, e := range []ssehub.Event{
			{},
			{Time: time.Now().Add(10 * 365 * 24 * time.Hour)},
			{Time: time.Now(), TTL: time.Minute},
			{Time: time.Now(), Message: sse.Message{Data: []byte("last")}},
		} {
			e.Topics = []string{"t"}
			_, err := b.Append(t.Context(), e)
			require.NoError(t, err)
		}
		time.Sleep(2 * time.Minute)
		hub := newHub(t, &ssehub.Options{Broker: b})
		messages, _, err := hub.History(t.Context(), "t", ssehub.Position{}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"", "", "last"}, texts(messages))
		messages, _, err = hub.History(t.Context(), "t", ssehub.Position{}, 2)
		require.NoError(t, err)
		require.Equal(t, []string{"", "last"}, texts(messages))
		time.Sleep(10 * time.Minute)
		messages, _, err = hub.History(t.Context(), "t", ssehub.Position{}, 0)
		require.NoError(t, err)
		require.Empty(t, texts(messages))
	})
}

// Promise 3: a pattern whose log begins anew behind others takes what came before
// from the topics of this log, and nothing of the one before.
func TestBrokerBeginsAnewUnderLatePattern(t *testing.T) {
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub) {
		publishNumbers(t, here, "a.1", 1, 100)
		synctest.Wait()
		sub, err := here.Resume(t.Context(), here.Position().Epoch+"-98", "a.*")
		require.NoError(t, err)
		synctest.Wait()
		b.Reset()
		time.Sleep(time.Minute)
		publishNumbers(t, there, "a.1", 1001, 1010)
		for _, want := range []string{"99", "100"} {
			require.Equal(t, want, string((<-sub.Events()).Data))
		}
		require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
		synctest.Wait()
		publishNumbers(t, there, "a.1", 1011, 1150)
		for want := 1001; want <= 1150; want++ {
			require.Equal(t, strconv.Itoa(want), string((<-sub.Events()).Data))
		}
	})
}

// Fault 94: a log that begins anew while it is read for the first time.
func TestBrokerBeginsAnewAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &boundsBroker{Memory: new(brokertest.Memory)}
		appendTo(t, b.Memory, "1", "2", "3", "4", "5")
		b.before = func(call int) {
			if call == 2 {
				b.Reset()
				appendTo(t, b.Memory, "new")
			}
		}
		hub := newHub(t, &ssehub.Options{Broker: b})
		require.NoError(t, hub.Ready(t.Context()))
		publishNumbers(t, hub, "t", 1, 8)
		synctest.Wait()
		messages, _, err := hub.History(t.Context(), "t", ssehub.Position{}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"new", "1", "2", "3", "4", "5", "6", "7", "8"}, texts(messages))
	})
}

type boundsBroker struct {
	*brokertest.Memory
	calls  int
	before func(call int)
}

func (b *boundsBroker) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	b.calls++
	b.before(b.calls)
	return b.Memory.Bounds(ctx)
}

// One event with an old time makes no younger one before it old.
func TestBrokerLateClock(t *testing.T) {
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, _ *ssehub.Hub) {
		id := publish(t, here, "t", "0")
		publishNumbers(t, here, "t", 1, 2)
		_, err := b.Append(t.Context(), ssehub.Event{Time: time.Now().Add(-11 * time.Minute), Topics: []string{"t"}})
		require.NoError(t, err)
		time.Sleep(time.Second)
		rec, _ := stream(t, here.Handler("t"), "/", id)
		synctest.Wait()
		require.Equal(t, []string{"1", "2", ""}, texts(rec.Messages()))
	})
}

// What the hub has in hand is not lost because the broker has dropped it since,
// however long the hub takes over it.
func TestBrokerDropsWhatIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		hub := newHub(t, &ssehub.Options{Broker: b, OverflowFor: func(name string) ssehub.Overflow {
			if name != ">" {
				time.Sleep(12 * time.Second)
			}
			return ssehub.SkipToOldest
		}})
		rec, _ := stream(t, hub.Handler(">"), "/", "")
		synctest.Wait()
		_, err := b.Append(t.Context(), ssehub.Event{Topics: []string{"first"}, Message: sse.Message{Data: []byte("0")}})
		require.NoError(t, err)
		time.Sleep(time.Second)
		appendTo(t, b, "1", "2", "3", "4", "5") // while the hub is busy, so that it gets all of them at once
		time.Sleep(12 * time.Second)
		b.Trim(5)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, texts(rec.Messages()))
		require.Empty(t, gaps(t, rec.Messages()))
	})
}

// deafBroker keeps from its reader that a Read has ended.
type deafBroker struct {
	brokertest.Memory
	back chan struct{}
}

func (b *deafBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		for e, err := range b.Memory.Read(ctx, r) {
			if err != nil {
				select {
				case <-b.back:
				case <-ctx.Done():
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// A client from another node is not told a loss because nobody can be asked how far the
// log is, or because this node does not know of the log's new life yet: it is sent away
// for a moment, and then goes on where it was.
func TestBrokerCannotJudge(t *testing.T) {
	for name, anew := range map[string]bool{"broker down": false, "node behind the times": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &deafBroker{back: make(chan struct{})}
				behind := newHub(t, &ssehub.Options{Broker: &slowBroker{Memory: &b.Memory, wait: time.Hour}})
				if anew {
					behind = newHub(t, &ssehub.Options{Broker: b})
				}
				ahead := newHub(t, &ssehub.Options{Broker: &b.Memory})
				time.Sleep(61 * time.Second) // it looks at each fifth
				if anew {
					b.Reset()
					time.Sleep(time.Second) // ahead has seen it; behind would look in 5 s
				}
				publish(t, ahead, "t", "1")
				id := publish(t, ahead, "t", "2")
				if !anew {
					b.Fail(errors.New("down"))
				}
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Last-Event-ID", id)
				require.Equal(t, anew, behind.Position().Epoch != ahead.Position().Epoch)
				w := httptest.NewRecorder()
				behind.Handler("t").ServeHTTP(w, r)
				require.Equal(t, 503, w.Code)
				_, err := behind.Resume(t.Context(), id, "t")
				require.Error(t, err)
				require.EqualValues(t, 1, behind.Stats().Refused["broker"])

				b.Fail(nil)
				close(b.back)
				time.Sleep(24 * time.Hour)
				rec, _ := stream(t, behind.Handler("t"), "/", id)
				synctest.Wait()
				require.Equal(t, sse.VerdictResumed, hello(t, rec.Messages()).Verdict)
			})
		})
	}
}
