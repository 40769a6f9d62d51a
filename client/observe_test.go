package client_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Comments are seen between the events they lie between.
func TestOnComment(t *testing.T) {
	var seen []string
	opts := &client.Options{OnComment: func(text string) { seen = append(seen, ":"+text) }}
	opts.OnLastEventID = func(id string) { seen = append(seen, id) } // in the same goroutine
	run(t, opts, steps{stays(":one\nid: a\ndata\n\n: two\n:\nid: b\ndata\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		<-sub.Events()
		<-sub.Events()
	})
	require.Equal(t, []string{":one", "a", ": two", ":", "b"}, seen)
}

// The sentinel ends the Subscription as the application's own end, whatever
// follows it.
func TestSentinel(t *testing.T) {
	opts := &client.Options{Sentinel: "[DONE]"}
	run(t, opts, steps{stays("data: a\n\nid: 9\ndata: [DONE]\n\ndata: b\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		var got []string
		for m, err := range sub.All() {
			require.NoError(t, err)
			got = append(got, string(m.Data))
		}
		require.Equal(t, []string{"a"}, got)
		require.NoError(t, sub.Err())
		require.Equal(t, "9", sub.LastEventID())
		require.EqualValues(t, 1, s.requests.Load())
	})
	run(t, nil, steps{stays("data\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		_, ok := <-sub.Events()
		require.True(t, ok, "an empty sentinel is none")
	})
}

// The cursor moves with what was received, also with ids that have no data of
// their own, and back where an id is given up.
func TestOnLastEventID(t *testing.T) {
	var seen []string
	opts := &client.Options{Backoff: noJitter, LastEventID: "0", OnLastEventID: func(id string) { seen = append(seen, id) }}
	run(t, opts, steps{
		sends("data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\n\n"),
		sends("id: a\x01b\ndata: d\n\nid: half\ndata: e"),
		stays("id: 4\ndata: f\n\nid: 5\ndata: not received\n\n"),
	}, func(t *testing.T, sub *client.Subscription, s *script) {
		require.Equal(t, "0", sub.LastEventID())
		for range 5 {
			<-sub.Events()
		}
		synctest.Wait() // or the next is on its way
		sub.Close()
		for range sub.Events() {
		}
		require.Equal(t, "4", sub.LastEventID())
		require.Equal(t, []string{"1", "2", "a\x01b", "", "4"}, seen)
		require.Equal(t, []string{"0", "2", "-"}, s.ids)
	})
}

// All ends with the error, and closes what is left early.
func TestAll(t *testing.T) {
	run(t, nil, steps{sends("data: 1\n\n"), status(404)}, func(t *testing.T, sub *client.Subscription, s *script) {
		var got []string
		for m, err := range sub.All() {
			got = append(got, fmt.Sprint(string(m.Data), " ", err))
		}
		require.Equal(t, []string{"1 <nil>", ` sse: response status "404 Not Found": "status 404"`}, got)
	})
	run(t, nil, steps{stays("data: 1\n\ndata: 2\n\n")}, func(t *testing.T, sub *client.Subscription, s *script) {
		for n, err := range sse.JSON[int](sub.All()) {
			require.NoError(t, err)
			require.Equal(t, 1, n)
			synctest.Wait() // or the next is on its way
			break
		}
		_, ok := <-sub.Events()
		require.False(t, ok)
		require.NoError(t, sub.Err())
	})
}
