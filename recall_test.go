package ssehub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
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

// countingBroker counts the Reads that end, and calls before each event that those
// yield.
type countingBroker struct {
	brokertest.Memory
	reads atomic.Int64
	each  func(e ssehub.Event) error
}

func (b *countingBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	if r.Follow {
		return b.Memory.Read(ctx, r)
	}
	b.reads.Add(1)
	return func(yield func(ssehub.Event, error) bool) {
		for e, err := range b.Memory.Read(ctx, r) {
			if err == nil && b.each != nil {
				err = b.each(e)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// short keeps little, so that the broker has more.
var short = ssehub.Retention{Events: 10}

func newRecalling(t *testing.T, opts ssehub.Options) (*countingBroker, *ssehub.Hub, ssehub.Position) {
	b := new(countingBroker)
	opts.Broker, opts.History = b, short
	hub := newHub(t, &opts)
	synctest.Wait()
	b.reads.Store(0)
	return b, hub, hub.Position()
}

// eventIDs returns the numbers of the ids of the application's messages.
func eventIDs(t *testing.T, messages []sse.Message) (ids []uint64) {
	for _, m := range messages {
		if !strings.HasPrefix(m.Type, "ssehub.") {
			ids = append(ids, seq(t, m.ID))
		}
	}
	return ids
}

// What the hub no longer keeps and its broker does a client gets from there, up to where
// the hub goes on, without a gap. Promise 2.
func TestRecall(t *testing.T) {
	for _, topics := range []string{"t.1", "t.1 t.3", "t.*", "> t.2"} {
		t.Run(topics, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, hub, start := newRecalling(t, ssehub.Options{})
				want := []string{}
				for i := range 3000 {
					topic := fmt.Sprint("t.", i%5)
					publish(t, hub, topic, fmt.Sprint(i))
					for pattern := range strings.FieldsSeq(topics) {
						if ssehub.MatchTopic(pattern, topic) {
							want = append(want, fmt.Sprint(topic, " ", i))
							break
						}
					}
				}
				synctest.Wait()
				rec, _ := stream(t, hub.Handler(strings.Fields(topics)...), "/", start.String())
				for i := 3000; i < 3005; i++ {
					publish(t, hub, "t.1", fmt.Sprint(i))
					want = append(want, fmt.Sprint("t.1 ", i))
				}
				synctest.Wait()
				messages := rec.Messages()
				require.Equal(t, sse.VerdictResumed, hello(t, messages).Verdict)
				require.Empty(t, gaps(t, messages))
				got := []string{}
				last := uint64(0)
				for _, m := range messages[1:] {
					topic := m.Topic
					if topics == "t.1" {
						require.Empty(t, topic)
						topic = "t.1"
					}
					got = append(got, topic+" "+string(m.Data))
					require.Greater(t, seq(t, m.ID), last)
					last = seq(t, m.ID)
				}
				require.Equal(t, want, got)
			})
		})
	}
}

// Readers that come back together, as they do when another node has gone, share what is
// read for them.
func TestRecallIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events, readers = 5000, 100
		b, hub, start := newRecalling(t, ssehub.Options{})
		publishNumbers(t, hub, "t", 1, events)
		synctest.Wait()
		var recs []*ssetest.Recorder
		for i := range readers {
			from := ssehub.Position{Epoch: start.Epoch, Seq: uint64(i * 7)}
			rec, _ := stream(t, hub.Handler("t"), "/", from.String())
			recs = append(recs, rec)
		}
		synctest.Wait()
		for i, rec := range recs {
			ids := eventIDs(t, rec.Messages())
			require.Len(t, ids, events-i*7)
			require.EqualValues(t, events, ids[len(ids)-1])
		}
		require.EqualValues(t, events/1024+1, b.reads.Load())
	})
}

// What may have been dropped before it was read is told, and the rest delivered.
func TestRecallMeetsTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, hub, start := newRecalling(t, ssehub.Options{})
		publishNumbers(t, hub, "t", 1, 3000)
		synctest.Wait()
		trimmed := false
		b.each = func(e ssehub.Event) error {
			if e.Position.Seq == 1500 && !trimmed {
				trimmed = true
				b.Trim(2000)
			}
			return nil
		}
		rec, _ := stream(t, hub.Handler("t"), "/", start.String())
		synctest.Wait()
		messages := rec.Messages()
		ids := eventIDs(t, messages)
		told := gaps(t, messages)
		require.Len(t, told, 1)
		require.Equal(t, sse.ReasonWindow, told[0].Reason)
		from, err := ssehub.ParsePosition(told[0].From)
		require.NoError(t, err)
		to, err := ssehub.ParsePosition(told[0].To)
		require.NoError(t, err)
		require.EqualValues(t, 1999, to.Seq)
		next := uint64(1)
		for _, id := range ids {
			if next == from.Seq+1 {
				next = to.Seq + 1
			}
			require.Equal(t, next, id)
			next++
		}
		require.EqualValues(t, 3001, next)
	})
}

// From before what the broker keeps too, there is a gap at once, and no reading.
func TestRecallTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, hub, start := newRecalling(t, ssehub.Options{})
		publishNumbers(t, hub, "t", 1, 100)
		synctest.Wait()
		b.Trim(50)
		rec, _ := stream(t, hub.Handler("t"), "/", start.String())
		synctest.Wait()
		require.Equal(t, sse.VerdictGap, hello(t, rec.Messages()).Verdict)
		require.Len(t, gaps(t, rec.Messages()), 1)
		require.Zero(t, b.reads.Load())
	})
}

// A broker that fails in the middle of it ends the stream; the client goes on where it
// was, when the broker is back.
func TestRecallFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, hub, start := newRecalling(t, ssehub.Options{})
		publishNumbers(t, hub, "t", 1, 3000)
		synctest.Wait()
		fail := true
		b.each = func(e ssehub.Event) error {
			if fail && e.Position.Seq == 2500 {
				return errors.New("down")
			}
			return nil
		}
		rec, _ := stream(t, hub.Handler("t"), "/", start.String())
		synctest.Wait()
		require.Zero(t, hub.Stats().Subscribers)
		ids := eventIDs(t, rec.Messages())
		require.Len(t, ids, 2048)
		fail = false
		rec, _ = stream(t, hub.Handler("t"), "/", ssehub.Position{Epoch: start.Epoch, Seq: ids[2047]}.String())
		synctest.Wait()
		require.Empty(t, gaps(t, rec.Messages()))
		ids = eventIDs(t, rec.Messages())
		require.EqualValues(t, 2049, ids[0])
		require.Len(t, ids, 952)

		fail = true
		hub.Revoke(t.Context(), ssehub.Revocation{Topic: "t"})
		b.Reset() // and with it what is read ahead
		time.Sleep(time.Minute)
		start = hub.Position()
		publishNumbers(t, hub, "t", 1, 3000)
		synctest.Wait()
		sub, err := hub.Resume(t.Context(), start.String(), "t")
		require.NoError(t, err)
		defer sub.Close()
		for i := range 2048 {
			require.Equal(t, fmt.Sprint(i+1), string((<-sub.Events()).Data))
		}
		require.Equal(t, sse.TypeGap, (<-sub.Events()).Type)
		publish(t, hub, "t", "behind")
		require.Equal(t, "behind", string((<-sub.Events()).Data))
	})
}

// Fault 94: while the broker cannot be asked nobody knows whether it has the rest. A
// client is sent away and gets everything later; in process the error is returned.
func TestRecallBrokerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, hub, start := newRecalling(t, ssehub.Options{})
		publishNumbers(t, hub, "t", 1, 100)
		synctest.Wait()
		down := errors.New("engine down")
		b.Fail(down)
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Last-Event-ID", start.String())
		away := httptest.NewRecorder()
		hub.Handler("t").ServeHTTP(away, req)
		require.Regexp(t, `^retry: \d+\n$`, away.Body.String())
		_, err := hub.Resume(t.Context(), start.String(), "t")
		require.ErrorIs(t, err, down)
		_, _, err = hub.History(t.Context(), "t", start, 0)
		require.ErrorIs(t, err, down)
		recent, _ := stream(t, hub.Handler("t"), "/", ssehub.Position{Epoch: start.Epoch, Seq: 95}.String())
		synctest.Wait()
		require.Len(t, eventIDs(t, recent.Messages()), 5, "that needs no broker")
		b.Fail(nil)
		rec, _ := stream(t, hub.Handler("t"), "/", start.String())
		synctest.Wait()
		require.Empty(t, gaps(t, rec.Messages()))
		require.Len(t, eventIDs(t, rec.Messages()), 100)
	})
}

// The rules for what a reader gets hold there too: permissions, times to live, what is
// ephemeral, sizes, one copy of what is in several topics.
func TestRecallRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hub, start := newRecalling(t, ssehub.Options{Authorize: granting(ssehub.Grant{
			AllowTopic: func(topic string) bool { return topic != "t.secret" },
		})})
		put := func(topic, text string, opts ssehub.PublishOptions) {
			_, err := hub.PublishWith(t.Context(), topic, sse.Message{Data: []byte(text)}, opts)
			require.NoError(t, err)
		}
		large := strings.Repeat("x", 500_000)
		put("t.secret", "secret", ssehub.PublishOptions{})
		put("t.a", "late", ssehub.PublishOptions{TTL: time.Minute})
		put("t.a", "gone", ssehub.PublishOptions{Ephemeral: true})
		for range 10 {
			put("t.a", large, ssehub.PublishOptions{})
		}
		put("t.secret", "both", ssehub.PublishOptions{Topics: []string{"t.b"}})
		put("t.a", "several", ssehub.PublishOptions{Topics: []string{"t.b", "t.c"}})
		time.Sleep(time.Hour)
		for i := range 20 {
			put("t.a", fmt.Sprint(i), ssehub.PublishOptions{})
		}
		synctest.Wait()
		rec, _ := stream(t, hub.Handler("t.*", "t.b"), "/", start.String())
		synctest.Wait()
		got := texts(rec.Messages())
		require.Len(t, got, 32)
		require.Equal(t, large, got[0])
		require.Equal(t, []string{"both", "several", "0"}, got[10:13])
		require.NotContains(t, rec.Text(), "secret")
		require.Empty(t, gaps(t, rec.Messages()))
	})
}

// In process, and for History, it is the same.
func TestRecallInProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hub, start := newRecalling(t, ssehub.Options{})
		publishNumbers(t, hub, "t", 1, 3000)
		synctest.Wait()
		sub, err := hub.Resume(t.Context(), start.String(), "t")
		require.NoError(t, err)
		defer sub.Close()
		for i := range 3000 {
			require.Equal(t, fmt.Sprint(i+1), string((<-sub.Events()).Data))
		}
		messages, end, err := hub.History(t.Context(), "t", ssehub.Position{Epoch: start.Epoch, Seq: 5}, 1500)
		require.NoError(t, err)
		require.Len(t, messages, 1500)
		require.Equal(t, "6", string(messages[0].Data))
		require.EqualValues(t, 1505, end.Seq)
	})
}
