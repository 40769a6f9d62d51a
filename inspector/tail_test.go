package inspector_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/stretchr/testify/require"
)

type batch struct {
	Items []struct {
		ID, Type, Topic, Data string
		Cut                   int
		Old                   bool
	}
	Skipped int
}

func (b batch) texts() (texts []string) {
	for _, it := range b.Items {
		texts = append(texts, it.Data)
	}
	return texts
}

// A tail begins with the newest that is kept, goes on with what comes, cuts what is
// long, and goes on behind what a browser has when that comes back.
func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := inspect(t, nil, nil)
		defer end()
		for i := range 30 {
			s.publish("n", strings.Repeat("x", i))
		}
		stream := s.open("/inspector/tail?topic=n", "")
		var b batch
		stream.next(&b)
		require.Len(t, b.Items, 20)
		require.True(t, b.Items[0].Old)
		require.Equal(t, strings.Repeat("x", 29), b.Items[19].Data)
		s.publish("n", "<script>")
		s.publish("n", strings.Repeat("é", 3000))
		b = batch{}
		m := stream.next(&b)
		require.Equal(t, "<script>", b.Items[0].Data)
		require.Equal(t, "n", b.Items[0].Topic)
		require.Empty(t, b.Items[0].Type, "which is message")
		require.False(t, b.Items[0].Old)
		require.Equal(t, []int{4096, 6000 - 4096}, []int{len(b.Items[1].Data), b.Items[1].Cut})
		require.Equal(t, b.Items[1].ID, m.ID)
		stream.cancel()

		s.publish("n", "missed")
		stream = s.open("/inspector/tail?topic=n", m.ID)
		b = batch{}
		stream.next(&b)
		require.Equal(t, []string{"missed"}, b.texts())
		stream.cancel()
		synctest.Wait()
		require.Zero(t, s.hub.Stats().Subscribers, "it has left with the page")
	})
}

// A tail of a pattern tells the topics.
func TestTailPattern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := inspect(t, nil, nil)
		defer end()
		s.publish("a.b", "before")
		stream := s.open("/inspector/tail?topic=a.*", "")
		defer stream.cancel()
		synctest.Wait()
		s.publish("a.c", "x")
		var b batch
		stream.next(&b)
		require.Equal(t, []string{"x"}, b.texts())
		require.Equal(t, "a.c", b.Items[0].Topic)
	})
}

// A browser that does not read holds up no publisher, not under Block either, and a
// flood is cut to what can be read.
func TestTailNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := inspect(t, &ssehub.Options{Overflow: ssehub.Block, History: ssehub.Retention{Events: 10}}, nil)
		defer end()
		stream := s.open("/inspector/tail?topic=n", "")
		defer stream.cancel()
		synctest.Wait()
		start := time.Now()
		for range 5000 {
			s.publish("n", strings.Repeat("x", 1000))
		}
		require.Less(t, time.Since(start), time.Second)
		got, skipped := 0, 0
		for got+skipped < 5000 {
			var b batch
			stream.next(&b)
			require.LessOrEqual(t, len(b.Items), 100)
			got += len(b.Items)
			skipped += b.Skipped
		}
		require.Positive(t, skipped)
	})
}
