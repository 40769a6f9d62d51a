package ssehub_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// withBroker runs a test of two hubs that share a log.
func withBroker(t *testing.T, test func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub)) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		test(t, b, newHub(t, &ssehub.Options{Broker: b}), newHub(t, &ssehub.Options{Broker: b}))
	})
}

// What is published at one hub comes to the readers of all, with one id, and a
// new hub has the history.
func TestBrokerSharesLog(t *testing.T) {
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub) {
		recs := []func() []sse.Message{}
		for _, hub := range []*ssehub.Hub{here, there} {
			rec, _ := stream(t, hub.Handler("a", "b.*"), "/", "")
			recs = append(recs, rec.Messages)
		}
		synctest.Wait()
		publish(t, here, "a", "1")
		id := publish(t, there, "b.x", "2")
		pos, err := here.PublishWith(t.Context(), "a", sse.Message{Data: []byte("3")}, ssehub.PublishOptions{Topics: []string{"b.y", "c"}})
		require.NoError(t, err)
		publish(t, here, "c", "not here")
		synctest.Wait()
		for _, events := range recs {
			require.Equal(t, []string{"1", "2", "3"}, texts(events()))
			require.Equal(t, id, events()[2].ID)
			require.Equal(t, "b.x", events()[2].Topic)
			require.Equal(t, pos.String(), events()[3].ID)
		}
		late := newHub(t, &ssehub.Options{Broker: b})
		messages, end, err := late.History(t.Context(), "a", ssehub.Position{}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"1", "3"}, texts(messages))
		require.Equal(t, late.Position(), end)
		rec, _ := stream(t, late.Handler("a", "b.*"), "/", id)
		synctest.Wait()
		require.True(t, hello(t, rec.Messages()).Resumed)
		require.Equal(t, []string{"3"}, texts(rec.Messages()))
	})
}

// A key, a TTL and what is ephemeral mean with a Broker what they mean without.
func TestBrokerOptions(t *testing.T) {
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub) {
		sub, err := there.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		send := func(text string, opts ssehub.PublishOptions) ssehub.Position {
			pos, err := here.PublishWith(t.Context(), "t", sse.Message{Data: []byte(text)}, opts)
			require.NoError(t, err)
			return pos
		}
		one := send("1", ssehub.PublishOptions{IdempotencyKey: "k"})
		require.Equal(t, one, send("1", ssehub.PublishOptions{IdempotencyKey: "k"}))
		send("token", ssehub.PublishOptions{Ephemeral: true})
		send("2", ssehub.PublishOptions{TTL: time.Minute})
		for _, want := range []string{"1", "token", "2"} {
			require.Equal(t, want, string((<-sub.Events()).Data))
		}
		sub.Close()
		for _, test := range []struct {
			later time.Duration
			want  []string
		}{{0, []string{"1", "2"}}, {time.Minute, []string{"1"}}} {
			time.Sleep(test.later)
			synctest.Wait()
			late := newHub(t, &ssehub.Options{Broker: b})
			for _, hub := range []*ssehub.Hub{here, late} {
				messages, _, err := hub.History(t.Context(), "t", ssehub.Position{}, 0)
				require.NoError(t, err)
				require.Equal(t, test.want, texts(messages))
			}
		}
		latest := newHub(t, &ssehub.Options{Broker: b, Overflow: ssehub.Latest})
		send("old", ssehub.PublishOptions{Key: "x"})
		send("new", ssehub.PublishOptions{Key: "x"})
		synctest.Wait()
		rec, _ := stream(t, latest.Handler("t"), "/", "")
		synctest.Wait()
		require.Contains(t, texts(rec.Messages()), "new")
	})
}

// Fault 94: while the broker is down publishers get its error and streams stay;
// then all goes on and nothing is missing.
func TestBrokerFails(t *testing.T) {
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub) {
		rec, _ := stream(t, there.Handler("t"), "/", "")
		synctest.Wait()
		publish(t, here, "t", "1")
		down := errors.New("engine down")
		for range 10 {
			b.Fail(down)
			_, err := here.Publish(t.Context(), "t", sse.Message{Data: []byte("no")})
			require.ErrorIs(t, err, down)
			time.Sleep(time.Minute)
			b.Fail(nil)
			publish(t, here, "t", "x")
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, "1"+strings.Repeat(" x", 10), strings.Join(texts(rec.Messages()), " "))
		require.Empty(t, gaps(t, rec.Messages()))
		require.Contains(t, rec.Text(), "\n:\n", "no heartbeat")
	})
}

// Fault 94: what the broker has dropped before a hub had it is told to each of
// its readers, whatever policy their topics have, and they go on.
func TestBrokerDropsUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		hub := newHub(t, &ssehub.Options{Broker: b, OverflowFor: latestOf("latest")})
		var recs []func() []sse.Message
		for _, target := range []string{"a", "latest", "*"} {
			rec, _ := stream(t, hub.Handler(target), "/", "")
			synctest.Wait()
			recs = append(recs, rec.Messages)
		}
		synctest.Wait()
		publish(t, hub, "a", "1")
		publish(t, hub, "latest", "2")
		synctest.Wait()
		b.Fail(errors.New("engine down"))
		time.Sleep(time.Minute)
		b.Fail(nil) // and the hub does not know yet
		publish(t, hub, "a", "lost")
		publish(t, hub, "latest", "lost")
		b.Trim(5)
		publish(t, hub, "a", "5")
		publish(t, hub, "latest", "6")
		time.Sleep(time.Minute)
		want := [][]string{{"1", "5"}, {`{"reason":"state"}`, "2", "6"}, {`{"reason":"state"}`, "1", "2", "5", "6"}}
		for i, events := range recs { // where there are topics under Latest a mark comes first
			require.Equal(t, want[i], texts(events()))
			gaps := gaps(t, events())
			require.Len(t, gaps, 1)
			require.Equal(t, uint64(4), seq(t, gaps[0].To))
		}
		// Who comes back from before is told, too.
		rec, _ := stream(t, hub.Handler("a"), "/", hub.Position().Epoch+"-2")
		synctest.Wait()
		require.Equal(t, sse.VerdictGap, hello(t, rec.Messages()).Verdict)
	})
}

// Fault 94: a log that begins anew is told to every reader, without a cut.
func TestBrokerBeginsAnew(t *testing.T) {
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub) {
		one, _ := stream(t, here.Handler("a"), "/", "")
		many, _ := stream(t, here.Handler("a", "b", "*"), "/", "")
		sub, err := there.Subscribe(t.Context(), "a")
		require.NoError(t, err)
		synctest.Wait()
		publishNumbers(t, here, "a", 1, 5)
		for range 5 {
			<-sub.Events()
		}
		synctest.Wait()
		old := here.Position()
		for range 3 {
			b.Reset()
			time.Sleep(time.Minute)
			publishNumbers(t, there, "a", 6, 7)
			synctest.Wait()
			gap := gaps(t, []sse.Message{<-sub.Events()})[0]
			require.Equal(t, sse.ReasonEpoch, gap.Reason)
			require.Equal(t, old.String(), gap.From)
			require.Equal(t, "6", string((<-sub.Events()).Data))
			require.Equal(t, "7", string((<-sub.Events()).Data))
			require.NotEqual(t, old.Epoch, here.Position().Epoch)
			require.Equal(t, here.Position(), there.Position())
			old = here.Position()
		}
		for _, events := range [][]sse.Message{one.Messages(), many.Messages()} {
			require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7", "6", "7", "6", "7"}, texts(events))
			require.Len(t, gaps(t, events), 3)
		}
	})
}

// A client that comes from a node which is ahead has missed nothing here, and
// gets nothing twice.
func TestBrokerNodeBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		ahead := newHub(t, &ssehub.Options{Broker: b})
		slow := &slowBroker{Memory: b, wait: time.Second}
		behind := newHub(t, &ssehub.Options{Broker: slow})
		time.Sleep(time.Minute)
		var id string
		for _, text := range []string{"1", "2", "3"} {
			id = publish(t, ahead, "t", text)
		}
		rec, _ := stream(t, behind.Handler("t"), "/", id)
		many, _ := stream(t, behind.Handler("t", "u", "*"), "/", id)
		unknown, _ := stream(t, behind.Handler("t"), "/", ahead.Position().Epoch+"-1000")
		synctest.Wait()
		require.Less(t, behind.Position().Seq, seq(t, id))
		publish(t, ahead, "t", "4")
		time.Sleep(time.Minute)
		require.Equal(t, sse.VerdictResumed, hello(t, rec.Messages()).Verdict)
		require.Equal(t, []string{"4"}, texts(rec.Messages()))
		require.Equal(t, []string{"4"}, texts(many.Messages()))
		require.Equal(t, sse.VerdictAhead, hello(t, unknown.Messages()).Verdict)
	})
}

// Fault 94: what is dropped while a hub reads the log for the first time is told
// to those who come back from before.
func TestBrokerDropsAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, first := range []uint64{5, 11} { // a part, or all
			b := new(brokertest.Memory)
			for range 10 {
				_, err := b.Append(t.Context(), ssehub.Event{Topics: []string{"t"}})
				require.NoError(t, err)
			}
			hub := newHub(t, &ssehub.Options{Broker: &trimmedBroker{b, first}})
			synctest.Wait()
			for id, want := range map[uint64]string{1: sse.VerdictGap, first - 1: sse.VerdictResumed, 10: sse.VerdictResumed} {
				rec, _ := stream(t, hub.Handler("t"), "/", ssehub.Position{Epoch: hub.Position().Epoch, Seq: id}.String())
				synctest.Wait()
				require.Equal(t, want, hello(t, rec.Messages()).Verdict, "first %d, id %d", first, id)
			}
		}
	})
}

// trimmedBroker drops events between Bounds and Read.
type trimmedBroker struct {
	*brokertest.Memory
	first uint64
}

func (b *trimmedBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	b.Trim(b.first)
	return b.Memory.Read(ctx, r)
}

// slowBroker yields an event per wait.
type slowBroker struct {
	*brokertest.Memory
	wait time.Duration
}

func (b *slowBroker) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		for e, err := range b.Memory.Read(ctx, r) {
			if err == nil {
				select {
				case <-time.After(b.wait):
				case <-ctx.Done():
					return
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Until the log could be read nobody is told anything wrong: a browser is sent
// away with a time to come back, and who can wait waits.
func TestBrokerDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		b.Fail(errors.New("engine down"))
		hub := newHub(t, &ssehub.Options{Broker: b})
		require.Zero(t, hub.Position())
		start := time.Now()
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Accept", "text/event-stream")
		rec := httptest.NewRecorder()
		hub.Handler("t").ServeHTTP(rec, req)
		require.Equal(t, http.StatusOK, rec.Code)
		require.Regexp(t, `^retry: \d+\n$`, rec.Body.String())
		require.Equal(t, 5*time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := hub.Subscribe(ctx, "t")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.AfterFunc(time.Minute, func() { b.Fail(nil) })
		sub, err := hub.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		publish(t, hub, "t", "1")
		require.Equal(t, "1", string((<-sub.Events()).Data))

		b.Fail(errors.New("engine down"))
		never := newHub(t, &ssehub.Options{Broker: b})
		time.AfterFunc(time.Minute, func() { never.Close() })
		_, err = never.Subscribe(t.Context(), "t")
		require.ErrorIs(t, err, ssehub.ErrClosed)
		b.Fail(nil)
	})
}

// Promise 8 with a Broker: Shutdown lets readers have what this hub has
// published, also if that is on its way, and ends in time if it never comes.
func TestBrokerShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBroker{Memory: new(brokertest.Memory), wait: time.Second}
		hub := newHub(t, &ssehub.Options{Broker: slow})
		rec, _ := stream(t, hub.Handler("t"), "/", "")
		synctest.Wait()
		publishNumbers(t, hub, "t", 1, 3)
		require.NoError(t, hub.Shutdown(t.Context()))
		require.Equal(t, []string{"1", "2", "3"}, texts(rec.Messages()))
		_, err := hub.Publish(t.Context(), "t", sse.Message{})
		require.ErrorIs(t, err, ssehub.ErrClosed)

		slow.wait = 24 * time.Hour
		hub2 := newHub(t, &ssehub.Options{Broker: slow})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		synctest.Wait()
		publish(t, hub2, "t", "4")
		start := time.Now()
		require.ErrorIs(t, hub2.Shutdown(ctx), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(start), time.Minute+time.Second)
	})
}

// An entry that is no event is logged and left out, and hinders nothing.
func TestBrokerBadEvent(t *testing.T) {
	withBroker(t, func(t *testing.T, b *brokertest.Memory, here, there *ssehub.Hub) {
		sub, err := here.Subscribe(t.Context(), "t")
		require.NoError(t, err)
		for _, e := range []ssehub.Event{
			{Topics: []string{"a*"}},
			{Topics: []string{"t", ""}},
			{Topics: []string{"t"}, Message: sse.Message{Type: "a\nb"}},
			{Topics: []string{"t"}, Message: sse.Message{Type: "ssehub.gap"}},
			{Topics: []string{"t"}, Message: sse.Message{ID: "1", Topic: "x", Data: []byte("good")}},
		} {
			_, err := b.Append(t.Context(), e)
			require.NoError(t, err)
		}
		m := <-sub.Events()
		require.Equal(t, "good", string(m.Data))
		require.Equal(t, "t", m.Topic)
		require.Equal(t, here.Position().String(), m.ID)
	})
}
