package ssehub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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

// byUser takes who asks from the request.
func byUser(r *http.Request, _ []string) (ssehub.Grant, error) {
	return ssehub.Grant{Subject: r.URL.Query().Get("user")}, nil
}

// last returns the type of the last event that a client got.
func last(rec *ssetest.Recorder) string {
	messages := rec.Messages()
	return messages[len(messages)-1].Type
}

// Revoke ends those it is about, whatever they read, and nobody else.
func TestRevoke(t *testing.T) {
	targets := []string{
		"/?user=eve&topic=a", "/?user=eve&topic=b&topic=c", "/?user=eve&topic=*", "/?user=bob&topic=a",
		"/?user=bob&topic=>", "/?user=bob&topic=b", "/?topic=a",
	}
	for name, tt := range map[string]struct {
		which ssehub.Revocation
		ends  []int
	}{
		"nobody":            {ssehub.Revocation{}, nil},
		"nobody, but again": {ssehub.Revocation{Again: true}, nil},
		"a subject":         {ssehub.Revocation{Subject: "eve"}, []int{0, 1, 2}},
		"another":           {ssehub.Revocation{Subject: "alice"}, nil},
		"a topic":           {ssehub.Revocation{Topic: "a"}, []int{0, 2, 3, 4, 6}},
		"a pattern":         {ssehub.Revocation{Topic: "*"}, []int{2, 4}},
		"both":              {ssehub.Revocation{Subject: "bob", Topic: "b"}, []int{4, 5}},
		"one who is not":    {ssehub.Revocation{Conn: "x"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newHub(t, &ssehub.Options{Authorize: byUser})
				sub, err := hub.Subscribe(t.Context(), ">")
				require.NoError(t, err)
				var recs []*ssetest.Recorder
				for _, target := range targets {
					rec, _ := stream(t, hub.Handler(), target, "")
					recs = append(recs, rec)
				}
				synctest.Wait()
				require.Equal(t, len(tt.ends), revoke(t, hub, tt.which))
				synctest.Wait()
				require.Equal(t, len(targets)-len(tt.ends)+1, hub.Stats().Subscribers)
				go func() {
					for range sub.Events() {
					}
				}()
				for _, topic := range []string{"a", "b", "c"} {
					publish(t, hub, topic, "behind")
				}
				synctest.Wait()
				ended := []int(nil)
				for i, rec := range recs {
					if last(rec) == sse.TypeRevoked {
						ended = append(ended, i)
						require.NotContains(t, rec.Text(), "behind")
						continue
					}
					require.Contains(t, rec.Text(), "behind")
				}
				require.Equal(t, tt.ends, ended)
			})
		})
	}
}

// One connection is known by the id in its hello.
func TestRevokeConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, nil)
		rec, _ := stream(t, hub.Handler("n"), "/", "")
		other, _ := stream(t, hub.Handler("n"), "/", "")
		synctest.Wait()
		require.Equal(t, 1, revoke(t, hub, ssehub.Revocation{Conn: hello(t, rec.Messages()).Conn}))
		synctest.Wait()
		require.Equal(t, sse.TypeRevoked, last(rec))
		require.Equal(t, sse.TypeHello, last(other))
	})
}

// A browser that was sent away comes back by itself once, and is told to stop. A
// page that begins anew does not.
func TestRevokedComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Authorize: byUser})
		rec, _ := stream(t, hub.Handler("n"), "/?user=eve", "")
		synctest.Wait()
		require.Equal(t, 1, revoke(t, hub, ssehub.Revocation{Subject: "eve"}))
		synctest.Wait()
		messages := rec.Messages()
		id := messages[len(messages)-1].ID
		require.Equal(t, sse.IDRevoked, id)

		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/?user=eve", nil)
		r.Header.Set("Last-Event-ID", id)
		hub.Handler("n").ServeHTTP(w, r)
		require.Equal(t, http.StatusNoContent, w.Code)

		rec, _ = stream(t, hub.Handler("n"), "/?user=eve&lastEventID="+id, "") // it has kept the id
		synctest.Wait()
		require.Equal(t, sse.VerdictInvalid, hello(t, rec.Messages()).Verdict)
	})
}

// Who may come back is told when, and keeps the id to go on from.
func TestRevokeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Authorize: byUser})
		rec, _ := stream(t, hub.Handler("n"), "/?user=eve", "")
		synctest.Wait()
		publish(t, hub, "n", "1")
		synctest.Wait()
		revoke(t, hub, ssehub.Revocation{Subject: "eve", Again: true})
		synctest.Wait()
		require.Zero(t, hub.Stats().Subscribers)
		require.Regexp(t, `data: 1\nid: \S+\n\nretry: \d+\n$`, rec.Text())
	})
}

// A stream that does not read ends within the time that Revoke states, and gets
// nothing that was published behind it.
func TestRevokeStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Authorize: byUser, WriteTimeout: time.Hour})
		conn, _ := dozing(t, hub.Handler("n"))
		synctest.Wait()
		for i := range 100 {
			publish(t, hub, "n", fmt.Sprint(i, strings.Repeat("x", 2000)))
			synctest.Wait()
		}
		require.Equal(t, 1, hub.Stats().Subscribers)
		require.Equal(t, 1, revoke(t, hub, ssehub.Revocation{Topic: "n"}))
		require.Zero(t, revoke(t, hub, ssehub.Revocation{Topic: "n"})) // it has its end already
		publish(t, hub, "n", "behind")
		time.Sleep(150*time.Millisecond + time.Microsecond)
		require.Zero(t, hub.Stats().Subscribers)
		dec := body(t, conn)
		var m sse.Message
		for dec.Decode(&m) == nil {
			require.NotEqual(t, "behind", string(m.Data))
		}
	})
}

// A request that is about to get its grant does not escape.
func TestRevokeWhileAuthorizing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer := make(chan struct{}), make(chan struct{})
		hub := newHub(t, &ssehub.Options{Authorize: func(r *http.Request, topics []string) (ssehub.Grant, error) {
			close(asked)
			<-answer
			return byUser(r, topics)
		}})
		rec, _ := stream(t, hub.Handler("n"), "/?user=eve", "")
		<-asked
		require.Zero(t, revoke(t, hub, ssehub.Revocation{Subject: "eve"}))
		publish(t, hub, "n", "behind")
		close(answer)
		synctest.Wait()
		require.Zero(t, hub.Stats().Subscribers)
		require.Equal(t, sse.TypeRevoked, last(rec))
		require.NotContains(t, rec.Text(), "behind")
	})
}

// Under load who is revoked is gone soon, and has nothing that was published then. The
// others miss nothing.
func TestRevokeStorm(t *testing.T) {
	const users, atLeast = 20, 500 // and events, before they are revoked and behind
	hub := newHub(t, &ssehub.Options{Authorize: byUser, History: ssehub.Retention{Events: -1, Bytes: -1}})
	server := httptest.NewServer(hub.Handler())
	defer server.Close()
	defer hub.Close()
	got := make([]int, users)
	var ready, all sync.WaitGroup
	for i := range users {
		ready.Add(1)
		all.Go(func() {
			res, err := http.Get(fmt.Sprintf("%s/?topic=n&topic=x.*&user=u%d", server.URL, i))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			dec := sse.NewDecoder(res.Body)
			var m sse.Message
			_ = dec.Decode(&m)
			ready.Done()
			for ; dec.Decode(&m) == nil && m.Type == ""; got[i]++ {
				if text := fmt.Sprint(got[i]); string(m.Data) != text {
					t.Errorf("user %d has %s in place of %s", i, m.Data, text)
				}
			}
		})
	}
	ready.Wait()
	published := 0
	publishNext := func() {
		topic := "n"
		if published%3 == 0 {
			topic = fmt.Sprint("x.", published%users)
		}
		publish(t, hub, topic, fmt.Sprint(published))
		published++
	}
	for published < atLeast {
		publishNext()
	}
	all.Go(func() {
		for i := 0; i < users; i += 2 {
			if n, err := hub.Revoke(t.Context(), ssehub.Revocation{Subject: fmt.Sprint("u", i)}); n != 1 || err != nil {
				t.Errorf("revoked %d of user %d: %v", n, i, err)
			}
		}
	})
	start := time.Now()
	for hub.Stats().Subscribers > users/2 {
		publishNext()
		require.Less(t, time.Since(start), 20*time.Second, "they are not gone")
	}
	over := published
	for published < over+atLeast {
		publishNext()
	}
	require.NoError(t, hub.Shutdown(t.Context()))
	all.Wait()
	for i, n := range got {
		if i%2 == 0 {
			require.LessOrEqual(t, n, over, "user %d", i)
		} else {
			require.Equal(t, published, n, "user %d", i)
		}
	}
}

// Revoke by topic looks at streams whose places others change as they leave.
func TestRevokeTopicWhileOthersLeave(t *testing.T) {
	hub := newHub(t, nil)
	for range 3 {
		var ends []func()
		for range 30 {
			rec, end := stream(t, hub.Handler("n"), "/", "")
			require.NoError(t, rec.Wait(t.Context(), 1))
			ends = append(ends, end)
		}
		var leaving sync.WaitGroup
		for _, end := range ends[1:] {
			leaving.Go(end)
		}
		for hub.Stats().Subscribers > 1 {
			require.Zero(t, revoke(t, hub, ssehub.Revocation{Topic: "another"}))
		}
		require.Equal(t, 1, revoke(t, hub, ssehub.Revocation{Topic: "n"}))
		leaving.Wait()
		ends[0]()
	}
}

// Grant.Check is asked as long as a stream lasts, however quiet or busy it is, and
// ends it.
func TestCheck(t *testing.T) {
	const heartbeat = 10 * time.Second
	for name, tt := range map[string]struct {
		check func(ctx context.Context) error
		ends  time.Duration // the bound; 0: it does not
		typ   string
		err   error
	}{
		"allows":         {func(context.Context) error { return nil }, 0, "", nil},
		"denies":         {func(context.Context) error { return errors.New("no longer") }, heartbeat, sse.TypeRevoked, ssehub.ErrRevoked},
		"panics":         {func(context.Context) error { panic("x") }, heartbeat, sse.TypeRevoked, ssehub.ErrRevoked},
		"takes for ever": {func(ctx context.Context) error { <-ctx.Done(); return nil }, 2 * heartbeat, "", context.DeadlineExceeded},
		"heeds nothing":  {func(context.Context) error { time.Sleep(time.Hour); return nil }, 2 * heartbeat, "", context.DeadlineExceeded},
	} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, busy %t", name, busy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var asked atomic.Int64
					var why error
					hub := newHub(t, &ssehub.Options{
						Heartbeat: heartbeat,
						Trace:     &ssehub.Trace{Left: func(_ ssehub.SubscriberInfo, err error) { why = err }},
						Authorize: func(*http.Request, []string) (ssehub.Grant, error) {
							return ssehub.Grant{Subject: "eve", Check: func(ctx context.Context) error {
								asked.Add(1)
								return tt.check(ctx)
							}}, nil
						},
					})
					rec, end := stream(t, hub.Handler("n"), "/", "")
					synctest.Wait()
					for start := time.Now(); time.Since(start) < 5*heartbeat+time.Second; time.Sleep(time.Second) {
						if tt.ends > 0 && time.Since(start) > tt.ends+time.Second {
							require.Zero(t, hub.Stats().Subscribers)
						}
						if busy {
							publish(t, hub, "n", "x")
						}
					}
					if tt.ends == 0 {
						require.Equal(t, 1, hub.Stats().Subscribers)
						require.Contains(t, []int64{5, 6}, asked.Load())
						end()
						synctest.Wait()
						count := asked.Load()
						time.Sleep(time.Minute)
						require.Equal(t, count, asked.Load())
						return
					}
					synctest.Wait()
					require.ErrorIs(t, why, tt.err)
					require.EqualValues(t, 1, asked.Load())
					require.Equal(t, tt.typ == sse.TypeRevoked, last(rec) == sse.TypeRevoked)
					time.Sleep(time.Hour) // for who heeds nothing
				})
			})
		}
	}
}

// Streams end at their age, not all at once, and go on where they were.
func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age, streams = time.Hour, 50
		var at []time.Duration
		var mu sync.Mutex
		start := time.Now()
		hub := newHub(t, &ssehub.Options{MaxAge: age, Trace: &ssehub.Trace{Left: func(_ ssehub.SubscriberInfo, err error) {
			mu.Lock()
			defer mu.Unlock()
			require.ErrorIs(t, err, ssehub.ErrMaxAge)
			at = append(at, time.Since(start))
		}}})
		var recs []*ssetest.Recorder
		for range streams {
			rec, _ := stream(t, hub.Handler("n"), "/", "")
			recs = append(recs, rec)
		}
		synctest.Wait()
		publish(t, hub, "n", "1")
		time.Sleep(2 * age)
		synctest.Wait()
		require.Len(t, at, streams)
		early := 0
		for _, d := range at {
			require.InDelta(t, age.Seconds(), d.Seconds(), age.Seconds()/10)
			if d < age {
				early++
			}
		}
		require.InDelta(t, streams/2, early, streams/2-2)
		for _, rec := range recs {
			require.Contains(t, rec.Text(), "data: 1\n")
			require.Regexp(t, `\nretry: \d+\n$`, rec.Text())
		}
	})
}

func revoke(t testing.TB, hub *ssehub.Hub, which ssehub.Revocation) int {
	t.Helper()
	n, err := hub.Revoke(t.Context(), which)
	require.NoError(t, err)
	return n
}

// A subject that other hubs cannot be told of ends here, and the caller hears of the rest.
func TestRevokeUnspeakable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for broker, want := range map[ssehub.Broker]error{nil: nil, new(brokertest.Memory): sse.ErrInvalidField} {
			hub := newHub(t, &ssehub.Options{Broker: broker, Authorize: byUser})
			stream(t, hub.Handler(), "/?topic=n&user=%ff", "")
			synctest.Wait()
			n, err := hub.Revoke(t.Context(), ssehub.Revocation{Subject: "\xff"})
			require.Equal(t, 1, n)
			require.ErrorIs(t, err, want)
		}
	})
}

// With a Broker the streams of all its hubs end: those that were there, if a hub comes
// to read of it late, and no others.
func TestRevokeOnAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brokertest.Memory)
		here := newHub(t, &ssehub.Options{Broker: b, Authorize: byUser})
		there := newHub(t, &ssehub.Options{Broker: b, Authorize: byUser})
		synctest.Wait()
		rec, _ := stream(t, there.Handler("n"), "/?user=eve", "")
		other, _ := stream(t, there.Handler("n", ">"), "/?user=bob", "")
		synctest.Wait()
		require.Zero(t, revoke(t, here, ssehub.Revocation{Subject: "eve"}))
		synctest.Wait()
		require.Equal(t, sse.TypeRevoked, last(rec))
		require.Equal(t, 1, there.Stats().Subscribers)
		require.Equal(t, here.Position(), there.Position())

		late := newHub(t, &ssehub.Options{Broker: b, Authorize: byUser}) // it reads of it, and that is over
		synctest.Wait()
		again, _ := stream(t, late.Handler("n"), "/?user=eve", "")
		synctest.Wait()
		publish(t, here, "n", "x")
		synctest.Wait()
		require.Equal(t, []string{"x"}, texts(again.Messages()))
		require.Equal(t, []string{"x"}, texts(other.Messages()))

		b.Fail(errors.New("down"))
		_, err := here.Revoke(t.Context(), ssehub.Revocation{Subject: "eve"})
		require.Error(t, err)
		_, err = here.Publish(t.Context(), "ssehub.control", sse.Message{})
		require.ErrorIs(t, err, ssehub.ErrInvalidTopic)
	})
}
