package inspector_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Topics come in pages, searched and sorted by the server.
func TestLookTopics(t *testing.T) {
	s, end := inspect(t, nil, nil)
	defer end()
	for i := range 120 {
		for range 1 + i%7 {
			s.publish(fmt.Sprintf("orders.%03d", i), "x")
		}
	}
	sub, err := s.hub.Subscribe(t.Context(), "orders.*")
	require.NoError(t, err)
	defer sub.Close()

	l := s.look("")
	require.Equal(t, []int{121, 0, 3, 50}, []int{l.Total, l.Page, l.Pages, len(l.Topics)})
	require.Equal(t, "orders.*", l.Topics[0].Name)
	require.True(t, l.Topics[0].Pattern)
	require.Equal(t, 1, l.Topics[0].Subscribers)
	require.Equal(t, "orders.048", l.Topics[49].Name)
	require.Equal(t, "skip", l.Topics[49].Policy)
	require.EqualValues(t, 48%7+1, l.Topics[49].Published)
	require.Equal(t, 120, l.Hub.Topics)

	require.Equal(t, "orders.049", s.look("page=1").Topics[0].Name)
	l = s.look("page=99999")
	require.Equal(t, []int{2, 21}, []int{l.Page, len(l.Topics)}, "the last there is")
	require.Equal(t, "orders.119", l.Topics[20].Name)
	require.Equal(t, []string{"orders.117"}, s.look("q=RS.117").names())
	require.Empty(t, s.look("q=nothing").Topics)
	require.Equal(t, 1, s.look("q=nothing").Pages)
	l = s.look("sort=published&desc=true")
	require.Equal(t, []string{"orders.006", "orders.013"}, l.names()[:2], "then by name")
	require.Equal(t, "orders.119", s.look("desc=true").Topics[0].Name)
	require.Equal(t, l.names(), s.look("sort=events&desc=true").names())
	require.Equal(t, "orders.*", s.look("sort=subscribers&desc=true&page=-1").Topics[0].Name)
}

// Subscribers are found by what they read, and a row is bounded whatever that is.
func TestLookSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := inspect(t, nil, nil)
		defer end()
		var topics []string
		for i := range 40 {
			topics = append(topics, fmt.Sprint(strings.Repeat("x", 250), i))
		}
		many, err := s.hub.Subscribe(t.Context(), topics...)
		require.NoError(t, err)
		defer many.Close()
		time.Sleep(time.Second)
		one, err := s.hub.Subscribe(t.Context(), "orders.*")
		require.NoError(t, err)
		defer one.Close()
		l := s.look("view=subscribers&sort=ageMs")
		require.Equal(t, 2, l.Total)
		require.Equal(t, []string{"orders.*"}, l.Subscribers[0].Topics)
		require.Len(t, l.Subscribers[1].Topics, 5)
		require.Equal(t, 35, l.Subscribers[1].More)
		require.EqualValues(t, 1000, l.Subscribers[1].AgeMs)
		require.Equal(t, 1, s.look("view=subscribers&q=orders").Total)
		require.Zero(t, s.look("view=subscribers&q=ann").Total)
		require.Empty(t, l.Topics)
	})
}

// A look comes each second while somebody looks, and none when nobody does; the
// stream ends with the hub.
func TestLooksComeAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := inspect(t, nil, nil)
		defer end()
		stream := s.open("/inspector/look", "")
		defer stream.cancel()
		start := time.Now()
		var l look
		for i := range 5 {
			stream.next(&l)
			require.EqualValues(t, i, l.Hub.Published)
			require.Equal(t, time.Duration(i)*time.Second, time.Since(start))
			s.publish("n", "x")
		}
		require.NoError(t, s.hub.Shutdown(t.Context()))
		stream.next(&l)
		require.True(t, l.Hub.Draining)
		var m sse.Message
		require.ErrorIs(t, stream.dec.Decode(&m), io.EOF)
	})
}

// With 100,000 topics a look is as small as ever, and does not take long; -v tells how
// long.
func TestLookAtManyTopics(t *testing.T) {
	const topics = 100_000
	s, end := inspect(t, &ssehub.Options{MaxHistory: -1}, nil)
	defer end()
	for i := range topics {
		_, err := s.hub.Publish(t.Context(), fmt.Sprintf("user.%06d.inbox", i), sse.Message{})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{"", "q=09999", "sort=published&desc=true", "page=199", "view=subscribers"} {
		start := time.Now()
		l, size := s.lookWithNew(query)
		t.Logf("%-26q took %3.0f ms of %3d, %d bytes", query, l.Took, time.Since(start).Milliseconds(), size)
		require.Equal(t, topics, l.Hub.Topics)
		require.Less(t, size, 32<<10)
		require.Less(t, time.Since(start), time.Minute) // five seconds under the race detector on a busy machine
	}
	require.Equal(t, []string{"user.009999.inbox"}, s.look("q=009999").names())
}

// However many look, they take at most a tenth of the time: each look is followed by a
// rest.
func TestLooksTakeTurns(t *testing.T) {
	s, end := inspect(t, nil, nil)
	defer end()
	for i := range 2_000 {
		s.publish(fmt.Sprint("t", i), "x")
	}
	var took float64
	start := time.Now()
	for range 3 {
		took += s.look("").Took
	}
	last := s.look("").Took
	require.Greater(t, time.Since(start).Seconds()*1000, 9.9*took+last)
}
