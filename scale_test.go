package ssehub_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// scale is how many of each the tests of this file have: a million shows the
// figures that are in the documentation.
var scale = flag.Int("scale", 10_000, "joins, resumes, topics and subscribers of the tests of scale")

// memory returns what is in use after a collection.
func memory() (heap, stacks int64) {
	runtime.GC()
	runtime.GC() // what sync.Pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// heap returns both together.
func heap() int64 {
	heap, stacks := memory()
	return heap + stacks
}

// Fault 70: joins at random positions while eight publishers are at work; each
// reader sees each event of its span once, in the one order.
func TestScaleJoins(t *testing.T) {
	const publishers, span, window = 8, 20, 20_000
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: window, Bytes: -1}})
	epoch := hub.Position().Epoch
	order := make([]atomic.Pointer[string], 3**scale+window+publishers)
	joins := make(chan struct{}, publishers)
	var storm, readers sync.WaitGroup
	for p := range publishers {
		storm.Go(func() {
			i := 0
			for range joins { // two events for each join, so that the window outlasts a reader
				publish(t, hub, "t", fmt.Sprint(p, " ", i))
				publish(t, hub, "t", fmt.Sprint(p, " ", i+1))
				i += 2
			}
		})
	}
	publishNumbers(t, hub, "t", 1, window/2)
	var left atomic.Int64
	left.Store(int64(*scale))
	for range 64 {
		readers.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				joins <- struct{}{}
				head := hub.Position().Seq
				from := head - rand.Uint64N(min(head, window/2))
				sub, err := hub.Resume(t.Context(), ssehub.Position{Epoch: epoch, Seq: from}.String(), "t")
				if err != nil {
					t.Error(err)
					return
				}
				for want := from + 1; want <= min(from+span, head); want++ {
					m := <-sub.Events()
					if m.Type == sse.TypeGap || seq(t, m.ID) != want {
						t.Errorf("%s %s where %d comes next", m.Type, m.ID, want)
						break
					}
					text := string(m.Data)
					if !order[want].CompareAndSwap(nil, &text) && *order[want].Load() != text {
						t.Errorf("%d is %q here and %q there", want, text, *order[want].Load())
					}
				}
				sub.Close()
				for range sub.Events() {
				}
			}
		})
	}
	readers.Wait()
	close(joins)
	storm.Wait()
	t.Logf("%d joins during %d events", *scale, hub.Position().Seq)
}

// Promise 3: of ids that are evicted, of another epoch, ahead, or forged, each
// is told.
func TestScaleResumes(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 100}})
	publishNumbers(t, hub, "t", 1, 1000)
	epoch := hub.Position().Epoch
	letters := "0123456789abcdefghijklmnopqrstuvwxyz-_ .%\x00\xff"
	forged := func() string {
		b := make([]byte, 1+rand.IntN(40))
		for i := range b {
			b[i] = letters[rand.IntN(len(letters))]
		}
		return string(b)
	}
	told := make(map[string]int)
	for range *scale {
		id, want := "", ""
		switch rand.IntN(4) {
		case 0:
			id, want = ssehub.Position{Epoch: epoch, Seq: rand.Uint64N(900)}.String(), sse.ReasonWindow
		case 1:
			id, want = "x"+epoch[1:]+"x-"+strconv.Itoa(rand.IntN(2000)), sse.ReasonEpoch
		case 2:
			id, want = ssehub.Position{Epoch: epoch, Seq: 1001 + rand.Uint64N(1<<52)}.String(), sse.ReasonAhead
		case 3:
			id, want = forged(), sse.ReasonInvalid
			if pos, err := ssehub.ParsePosition(id); err == nil && pos.Epoch != epoch {
				want = sse.ReasonEpoch
			}
		}
		sub, err := hub.Resume(t.Context(), id, "t")
		require.NoError(t, err)
		m := <-sub.Events()
		require.Equal(t, sse.TypeGap, m.Type, "%q is taken in silence", id)
		require.Equal(t, want, gaps(t, []sse.Message{m})[0].Reason, "%q", id)
		require.Equal(t, "901", string((<-sub.Events()).Data))
		sub.Close()
		told[want]++
	}
	t.Logf("told: %v", told)
}

// Promise 7: topics that come and go leave nothing behind.
func TestScaleTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Age: time.Minute}})
		defer hub.Close()
		before := heap()
		for i := range *scale {
			publish(t, hub, "topic."+strconv.Itoa(i), "x")
		}
		full := heap()
		require.Equal(t, *scale, hub.Stats().Topics)
		time.Sleep(5 * time.Minute)
		require.Zero(t, hub.Stats().Topics)
		after := heap()
		t.Logf("%d topics: %d bytes each; heap before %d, with them %d, after %d", *scale, (full-before)/int64(*scale), before, full, after)
		require.Less(t, after-before, int64(512<<10))
	})
}

// A subscriber in process costs what the documentation says; a publisher does
// not notice how many there are. The test has few goroutines of its own, as one
// for each subscriber would be measured too.
func TestScaleSubscribers(t *testing.T) {
	hub := newHub(t, nil)
	subs := make([]*ssehub.Subscription, *scale)
	heapBefore, stacksBefore := memory()
	each := func() (heap, stacks int64) {
		heap, stacks = memory()
		return (heap - heapBefore) / int64(*scale), (stacks - stacksBefore) / int64(*scale)
	}
	start := time.Now()
	for i := range subs {
		sub, err := hub.Subscribe(t.Context(), "t")
		if err != nil { // require would cost more than Subscribe
			t.Fatal(err)
		}
		subs[i] = sub
	}
	subscribed := time.Since(start)
	heap, stacks := each()

	start = time.Now()
	publish(t, hub, "t", "x")
	published := time.Since(start)
	forAll := func(do func([]*ssehub.Subscription)) {
		var all sync.WaitGroup
		for part := range slices.Chunk(subs, max(1, len(subs)/8)) {
			all.Go(func() { do(part) })
		}
		all.Wait()
	}
	forAll(func(part []*ssehub.Subscription) {
		for _, sub := range part {
			if m := <-sub.Events(); string(m.Data) != "x" {
				t.Errorf("got %s", m.Data)
			}
		}
	})
	delivered := time.Since(start)
	heapAfter, stacksAfter := each()
	start = time.Now()
	forAll(func(part []*ssehub.Subscription) {
		for _, sub := range part {
			sub.Close()
			for range sub.Events() {
			}
		}
	})
	t.Logf("%d subscribers after %v: %d bytes of heap and %d of stack each, with an event %d and %d; Publish %v, all have it after %v; all closed in %v",
		*scale, subscribed.Round(time.Millisecond), heap, stacks, heapAfter, stacksAfter,
		published, delivered.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	require.Less(t, max(heap+stacks, heapAfter+stacksAfter), int64(16<<10))
}
