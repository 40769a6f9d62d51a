package ssehub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// Faults 94, promise 3: an engine that has lost the end of its log and does not know, such as one
// that does not sync, uses numbers again. Who has had what they were is told, on every
// hub that has, and gets what is there now.
func TestLostEnd(t *testing.T) {
	const (
		published = 10
		left      = 7
	)
	for _, appended := range []int{0, 1, 2, 3, 4, 30} { // before a hub looks
		t.Run(fmt.Sprint(appended, " since"), func(t *testing.T) {
			withBroker(t, func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub) {
				hubs := []*ssehub.Hub{here, there}
				var recs []*ssetest.Recorder
				for _, hub := range hubs {
					for _, topics := range [][]string{{"t"}, {"t", "u"}, {">"}} {
						rec, _ := stream(t, hub.Handler(topics...), "/", "")
						recs = append(recs, rec)
					}
				}
				synctest.Wait()
				publishNumbers(t, here, "t", 1, published)
				synctest.Wait()
				epoch := here.Position().Epoch
				at := func(seq int) string { return ssehub.Position{Epoch: epoch, Seq: uint64(seq)}.String() }

				b.Fail(errors.New("the power is off"))
				synctest.Wait()
				b.LoseEnd(left)
				b.Fail(nil)
				for i := range appended {
					appendTo(t, b, fmt.Sprint("new ", i))
				}
				time.Sleep(10 * time.Second)
				if appended == 0 { // it may be behind
					require.Empty(t, gaps(t, recs[0].Messages()))
					time.Sleep(30 * time.Second)
				}
				publish(t, there, "t", "live")
				synctest.Wait()
				for _, rec := range recs {
					messages := rec.Messages()
					require.Equal(t, at(published), messages[published].ID)
					gap := gaps(t, messages)
					require.Len(t, gap, 1)
					require.Equal(t, sse.ReasonAhead, gap[0].Reason)
					require.Equal(t, sse.TypeGap, messages[published+1].Type)
					var want []string // behind it
					for i := range left {
						want = append(want, fmt.Sprint(i+1))
					}
					for i := range appended {
						want = append(want, fmt.Sprint("new ", i))
					}
					require.Equal(t, append(want, "live"), texts(messages[published+2:]))
				}

				// And who comes back: to lost events, whose numbers may be others' now.
				for _, hub := range hubs {
					for id, want := range map[int]string{
						left - 1:            sse.VerdictResumed,
						left:                sse.VerdictResumed,
						left + 1:            sse.VerdictAhead,
						published:           sse.VerdictAhead,
						left + appended + 1: sse.VerdictResumed, // the live one, if it is above them
					} {
						if id > left && id <= published {
							want = sse.VerdictAhead
						}
						rec, _ := stream(t, hub.Handler("t"), "/", at(id))
						synctest.Wait()
						require.Equal(t, want, hello(t, rec.Messages()).Verdict, id)
					}
				}
				require.NoError(t, here.Shutdown(t.Context()))
			})
		})
	}
}

// Faults 94: one that has lost more than a hub remembers is a log of which nothing is known.
func TestLostMost(t *testing.T) {
	const published = 10_000
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, _ *ssehub.Hub) {
		publishNumbers(t, here, "t", 1, published)
		synctest.Wait()
		rec, _ := stream(t, here.Handler("t"), "/", "")
		synctest.Wait()
		b.LoseEnd(100)
		appendTo(t, b, "new")
		time.Sleep(time.Minute)
		require.Equal(t, sse.ReasonAhead, gaps(t, rec.Messages())[0].Reason)
		require.Equal(t, "new", texts(rec.Messages())[100])
		for _, seq := range []uint64{50, 100, 101, published} {
			again, _ := stream(t, here.Handler("t"), "/", ssehub.Position{Epoch: here.Position().Epoch, Seq: seq}.String())
			synctest.Wait()
			require.Equal(t, sse.VerdictAhead, hello(t, again.Messages()).Verdict, seq)
		}
	})
}

// lateBroker answers for its bounds as a replica that is behind.
type lateBroker struct {
	*brokertest.Memory
	behind atomic.Uint64
}

func (b *lateBroker) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	bounds, err := b.Memory.Bounds(ctx)
	bounds.Last -= b.behind.Load()
	return bounds, err
}

// Faults 94: a log that is behind for some seconds, as one whose leader has changed, has lost
// nothing, and nobody is told so.
func TestLostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &lateBroker{Memory: new(brokertest.Memory)}
		hub := newHub(t, &ssehub.Options{Broker: b})
		rec, _ := stream(t, hub.Handler("t"), "/", "")
		synctest.Wait()
		publishNumbers(t, hub, "t", 1, 10)
		synctest.Wait()
		b.behind.Store(3)
		b.Fail(errors.New("a new leader"))
		synctest.Wait()
		b.Fail(nil)
		time.Sleep(20 * time.Second)
		require.ErrorContains(t, hub.Stats().Broker.Err, "ends at 7, and had 10")
		publish(t, hub, "t", "11")
		b.behind.Store(0)
		time.Sleep(10 * time.Second)
		require.NoError(t, hub.Stats().Broker.Err)
		require.Empty(t, gaps(t, rec.Messages()))
		require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}, texts(rec.Messages()))
	})
}

// oddBroker has a hole, and events that cannot be read.
type oddBroker struct {
	*brokertest.Memory
	hole uint64
}

func (b *oddBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		for e, err := range b.Memory.Read(ctx, r) {
			if err == nil && string(e.Message.Data) == "bad" {
				e, err = ssehub.Event{Position: e.Position}, ssehub.ErrInvalidEvent
			}
			if e.Position.Seq != b.hole && !yield(e, err) {
				return
			}
		}
	}
}

// Faults 94: what is lost is found out though the newest event cannot be told from others.
func TestLostEndIsOdd(t *testing.T) {
	for name, test := range map[string]struct {
		lost, instead []string
		hole          uint64
	}{
		"a hole":         {[]string{"3", "4"}, []string{"new", "hole"}, 4},
		"bad":            {[]string{"bad", "bad"}, []string{"new", "new"}, 0},
		"bad instead":    {[]string{"3", "4"}, []string{"bad", "bad"}, 0},
		"and both":       {[]string{"3", "bad"}, []string{"bad", "hole"}, 4},
		"more than were": {[]string{"3", "bad"}, []string{"new", "bad", "bad"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &oddBroker{Memory: new(brokertest.Memory)}
				hub := newHub(t, &ssehub.Options{Broker: b})
				rec, _ := stream(t, hub.Handler("t"), "/", "")
				synctest.Wait()
				appendTo(t, b.Memory, "1", "2")
				appendTo(t, b.Memory, test.lost...)
				synctest.Wait()
				b.hole = test.hole
				loseEnd(t, b.Memory, 2, append(test.instead, "live")...)
				want := slices.DeleteFunc(test.instead, func(text string) bool { return text != "new" })
				require.Contains(t, fmt.Sprint(texts(rec.Messages())), fmt.Sprint(append(want, "live"))[1:])
			})
		})
	}
}

// loseEnd has b lose what is behind last while it is away, and have something else.
func loseEnd(t *testing.T, b *brokertest.Memory, last uint64, instead ...string) {
	t.Helper()
	b.Fail(errors.New("the power is off"))
	synctest.Wait()
	b.LoseEnd(last)
	b.Fail(nil)
	appendTo(t, b, instead...)
	time.Sleep(time.Second) // or half a minute more if there is nothing
}

// A hub that has published what was lost, and had not read it yet, knows all the same that
// others may have.
func TestLostEndUnread(t *testing.T) {
	withBroker(t, func(t *testing.T, m *brokertest.Memory, here, there *ssehub.Hub) {
		b := &hookBroker{Memory: m}
		hub := newHub(t, &ssehub.Options{Broker: b})
		publishNumbers(t, here, "t", 1, 9)
		synctest.Wait()
		stuck := make(chan struct{})
		b.before = func(*ssehub.Event) error { <-stuck; return errors.New("the power is off") }
		id := ""
		for range 3 {
			id = publish(t, hub, "t", "unread")
		}
		synctest.Wait()
		m.Fail(errors.New("the power is off"))
		close(stuck)
		synctest.Wait()
		b.before = nil
		loseEnd(t, m, 7, slices.Repeat([]string{"new"}, 6)...)
		for _, hub := range []*ssehub.Hub{hub, there} {
			rec, _ := stream(t, hub.Handler("t"), "/", id)
			synctest.Wait()
			require.Equal(t, sse.VerdictAhead, hello(t, rec.Messages()).Verdict)
		}
	})
}

// Promise 3: who has had nothing of what was lost, but has not got yet what a place in the
// log says nothing of, gets that all the same: a state, or what comes behind a gap.
func TestLostEndWhileMoreIsToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		asked := make(chan struct{})
		hub := newHub(t, &ssehub.Options{Broker: b, History: ssehub.Retention{Events: 3}, SnapshotFor: func(topic string) ssehub.Snapshot {
			if topic != "state" {
				return nil
			}
			return func(context.Context, string) (sse.Message, ssehub.Position, error) {
				<-asked
				return sse.Message{Data: []byte("state")}, ssehub.Position{}, nil
			}
		}})
		slow, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		publishNumbers(t, hub, "t", 1, 1)
		synctest.Wait()
		publishNumbers(t, hub, "t", 2, 7)
		synctest.Wait()
		require.Equal(t, "1", string((<-slow.Events()).Data))
		rec, _ := stream(t, hub.Handler("state"), "/", "")
		synctest.Wait()
		publishNumbers(t, hub, "u", 8, 10)
		synctest.Wait()
		loseEnd(t, b, 7, "new")
		close(asked)
		require.Equal(t, sse.TypeGap, (<-slow.Events()).Type)
		var got []string
		for len(got) == 0 || got[len(got)-1] != "new" {
			got = append(got, string((<-slow.Events()).Data))
		}
		require.Subset(t, got, []string{"6", "7", "new"})
		synctest.Wait()
		require.Equal(t, []string{"state"}, texts(rec.Messages()))
	})
}

// A Subscription does not come back: what it cannot get is told, as elsewhere.
func TestLostEndAndThenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		hub := newHub(t, &ssehub.Options{Broker: b, History: ssehub.Retention{Events: 3}})
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		appendTo(t, b, "1")
		synctest.Wait()
		appendTo(t, b, "2", "3", "4", "5", "6", "7", "lost")
		synctest.Wait()
		loseEnd(t, b, 7, "new")
		b.Fail(errors.New("the power is off again"))
		require.Equal(t, "1", string((<-sub.Events()).Data))
		var got []string
		for range 4 {
			got = append(got, string((<-sub.Events()).Data))
		}
		require.Contains(t, got[0], sse.ReasonWindow)
		require.Equal(t, []string{"6", "7", "new"}, got[1:])
	})
}

// What is in a log that begins anew, and was there when that was found out, is no news
// to anybody: not to who comes meanwhile, and what was ephemeral, or does not fit the
// window, to nobody.
func TestBrokerBeginsAnewWithOldEvents(t *testing.T) {
	for name, anew := range map[string]func(t *testing.T, b *brokertest.Memory){
		"another epoch": func(t *testing.T, b *brokertest.Memory) {
			b.Reset()
			appendTo(t, b, "1", "2", "3")
			appendEphemeral(t, b)
			appendTo(t, b, "5", "6", "7", "8", "9", "10")
		},
		"lost its end": func(t *testing.T, b *brokertest.Memory) {
			b.LoseEnd(5)
			appendTo(t, b, "6", "7", "8", "9", "10") // more than there were
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &hookBroker{Memory: new(brokertest.Memory)}
				hub := newHub(t, &ssehub.Options{Broker: b, History: ssehub.Retention{Events: 3}})
				rec, _ := stream(t, hub.Handler("t"), "/", "")
				slow, err := hub.Subscribe(t.Context(), "t")
				require.NoError(t, err)
				synctest.Wait()
				appendTo(t, b.Memory, "1")
				synctest.Wait()
				appendTo(t, b.Memory, "2", "3")
				appendEphemeral(t, b.Memory)
				appendTo(t, b.Memory, "5", "lost", "lost")
				synctest.Wait()
				had := len(rec.Messages())
				b.Fail(errors.New("the power is off"))
				synctest.Wait()
				b.before = func(*ssehub.Event) error { time.Sleep(10 * time.Second); return nil } // heartbeats go on
				b.Fail(nil)
				anew(t, b.Memory)
				for hub.Position().Seq != 2 { // of the log as it is now
					time.Sleep(time.Second)
				}
				require.Equal(t, "1", string((<-slow.Events()).Data)) // and waits for what is read now
				sub, err := hub.Subscribe(t.Context(), "t")
				require.NoError(t, err)
				require.Equal(t, sse.TypeGap, (<-slow.Events()).Type)
				slow.Close()
				appendTo(t, b.Memory, "live")
				require.Equal(t, "live", string((<-sub.Events()).Data))
				sub.Close()
				synctest.Wait()
				require.Contains(t, rec.Text(), "\n:\n:\n")
				got := rec.Messages()[had:]
				require.Equal(t, sse.TypeGap, got[0].Type)
				require.Equal(t, []string{"8", "9", "10", "live"}, texts(got))
			})
		})
	}
}

func appendEphemeral(t *testing.T, b *brokertest.Memory) {
	t.Helper()
	_, err := b.Append(t.Context(), ssehub.Event{Topics: []string{"t"}, Message: sse.Message{Data: []byte("ephemeral")}, Ephemeral: true})
	require.NoError(t, err)
}

// What a client gets from the broker ends with a log that has become too short for it.
func TestLostEndWhileRecalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &recalledBroker{Memory: new(brokertest.Memory), again: make(chan struct{})}
		hub := newHub(t, &ssehub.Options{Broker: b, History: ssehub.Retention{Events: 1}})
		id := publish(t, hub, "t", "1")
		publishNumbers(t, hub, "u", 2, 4000)
		publishNumbers(t, hub, "t", 4001, 4002)
		synctest.Wait()
		_, end := stream(t, hub.Handler("t"), "/", id)
		synctest.Wait()
		loseEnd(t, b.Memory, 7, "new")
		close(b.again)
		synctest.Wait()
		end()
		require.Less(t, b.pages.Load(), int64(10))
	})
}

// recalledBroker has pages but for the first wait.
type recalledBroker struct {
	*brokertest.Memory
	pages atomic.Int64
	again chan struct{}
}

func (b *recalledBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	if _, isPage := ctx.Deadline(); !isPage {
		return b.Memory.Read(ctx, r)
	}
	switch n := b.pages.Add(1); {
	case n > 100: // the test has failed
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return b.Memory.Read(ctx, r)
	case n > 1:
		<-b.again
	}
	return b.Memory.Read(context.WithoutCancel(ctx), r)
}

// A state that is as of an event that was lost is as of when it was asked for, also while
// the log has not got as far again.
func TestLostEndOfState(t *testing.T) {
	for _, appended := range []int{0, 1, 5} {
		t.Run(fmt.Sprint(appended, " since"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := new(brokertest.Memory)
				var at ssehub.Position
				hub := newHub(t, &ssehub.Options{Broker: b, SnapshotFor: func(string) ssehub.Snapshot {
					return func(context.Context, string) (sse.Message, ssehub.Position, error) {
						return sse.Message{Data: []byte("state")}, at, nil
					}
				}})
				publishNumbers(t, hub, "t", 1, 10)
				synctest.Wait()
				at = hub.Position()
				loseEnd(t, b, 7, slices.Repeat([]string{"in the state"}, appended)...)
				time.Sleep(time.Minute)
				rec, _ := stream(t, hub.Handler("t"), "/", "")
				synctest.Wait()
				appendTo(t, b, "new")
				synctest.Wait()
				require.Equal(t, []string{"state", "new"}, texts(rec.Messages()))
			})
		})
	}
}

// Faults 94: an end that is lost while a hub reads the log for the first time, before it
// had it, is nobody's loss, and what comes in its place comes at once.
func TestLostEndAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hookBroker{Memory: new(brokertest.Memory)}
		for n := range 150 {
			appendTo(t, b.Memory, fmt.Sprint(n+1))
		}
		b.before = func(e *ssehub.Event) error {
			if e.Position.Seq == 50 {
				b.Memory.LoseEnd(120)
			}
			return nil
		}
		hub := newHub(t, &ssehub.Options{Broker: b})
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		synctest.Wait()
		require.EqualValues(t, 120, hub.Position().Seq)
		start := time.Now()
		appendTo(t, b.Memory, "new")
		require.Equal(t, "new", string((<-sub.Events()).Data))
		require.Zero(t, time.Since(start))
	})
}
