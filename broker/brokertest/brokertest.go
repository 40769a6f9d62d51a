// Package brokertest holds an implementation of ssehub.Broker against its
// contract.
//
//	func TestBroker(t *testing.T) {
//		brokertest.Run(t, brokertest.Harness{New: open, Trim: trim, Restart: restart})
//	}
//
// It has a Broker in memory, too, that can be made to fail.
package brokertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// Harness is what Run needs of an implementation.
type Harness struct {
	// New returns a Broker with a log of its own that is empty and keeps at least
	// 20,000 events and 16 MiB. What it needs to end it leaves to t.Cleanup.
	New func(t testing.TB) ssehub.Broker
	// Peer returns another Broker for the log of b, as another node has it. Nil
	// means that b itself is as good.
	Peer func(t testing.TB, b ssehub.Broker) ssehub.Broker
	// Trim has b drop the events before first, or some more. Nil leaves out what
	// tests that.
	Trim func(t testing.TB, b ssehub.Broker, first uint64)
	// Restart ends what b stands on without a warning, starts it again, and
	// returns a Broker for the same log; b is not used any more. Nil leaves out
	// what tests that.
	Restart func(t testing.TB, b ssehub.Broker) ssehub.Broker
	// Forgets says that nothing outlives a Restart: then the Epoch must change.
	Forgets bool
}

// patience is how long anything may take.
const patience = 30 * time.Second

// Run runs all tests of the contract. Each test says which sentence it is about.
func Run(t *testing.T, h Harness) {
	if h.Peer == nil {
		h.Peer = func(_ testing.TB, b ssehub.Broker) ssehub.Broker { return b }
	}
	for _, test := range []struct {
		name, about string
		run         func(*suite)
	}{
		{"Empty", "2, 5, 8", (*suite).empty},
		{"Content", "4 (Append may have kept memory)", (*suite).content},
		{"Ranges", "5", (*suite).ranges},
		{"Follow", "1, 6, 8", (*suite).follow},
		{"OneOrder", "1, 3", (*suite).oneOrder},
		{"Trim", "2, 7, 8, 9", (*suite).trim},
		{"Restart", "1, 8, 9", (*suite).restart},
		{"IdempotencyKey", "10", (*suite).idempotencyKey},
		{"Contexts", "1, 5, 6, 11", (*suite).contexts},
		{"SlowReader", "11", (*suite).slowReader},
		{"OtherEpoch", "9", (*suite).otherEpoch},
		{"Hubs", "1, 3, 8", (*suite).hubs},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("this is about sentence %s of ssehub.Broker", test.about)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			hangs := time.AfterFunc(2*patience, func() { panic("brokertest: " + t.Name() + " hangs, as some method does not end with its context") })
			defer hangs.Stop()
			test.run(&suite{T: t, Harness: h, ctx: ctx})
		})
	}
}

type suite struct {
	*testing.T
	Harness
	ctx context.Context
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) bounds(b ssehub.Broker) ssehub.Bounds {
	s.Helper()
	bounds, err := b.Bounds(s.ctx)
	s.must(err)
	return bounds
}

// start is the position before all that an empty log will have.
func (s *suite) start(b ssehub.Broker) ssehub.Position {
	s.Helper()
	bounds := s.bounds(b)
	return ssehub.Position{Epoch: bounds.Epoch, Seq: bounds.First - 1}
}

func (s *suite) append(b ssehub.Broker, topic, text string) ssehub.Position {
	s.Helper()
	pos, err := b.Append(s.ctx, event(topic, text))
	s.must(err)
	if pos.Seq < 1 || pos.Seq >= 1<<53 {
		s.Fatalf("position %v", pos)
	}
	return pos
}

func (s *suite) appendMany(b ssehub.Broker, n int) (positions []ssehub.Position) {
	s.Helper()
	for i := range n {
		positions = append(positions, s.append(b, "t."+strconv.Itoa(i%7), strconv.Itoa(i)))
	}
	return positions
}

func event(topic, text string) ssehub.Event {
	return ssehub.Event{Time: time.Now(), Topics: []string{topic}, Message: sse.Message{Data: []byte(text)}}
}

// appendBulk appends n events faster.
func (s *suite) appendBulk(b ssehub.Broker, n int) {
	s.Helper()
	const appenders = 30
	failed := make(chan error, appenders)
	for i := range appenders {
		go func() {
			var err error
			for k := i; k < n && err == nil; k += appenders {
				_, err = b.Append(s.ctx, event("t", strconv.Itoa(k)))
			}
			failed <- err
		}()
	}
	for range appenders {
		s.must(s.receive(failed))
	}
}

// receive waits no longer than the test may take.
func (s *suite) receive(failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// read returns what a Read yields, at most n events if n is positive.
func (s *suite) read(b ssehub.Broker, r ssehub.Range, n int) []ssehub.Event {
	s.Helper()
	return s.reading(b, r, n)()
}

// reading is read that goes on meanwhile; it waits when it is called.
func (s *suite) reading(b ssehub.Broker, r ssehub.Range, n int) func() []ssehub.Event {
	var events []ssehub.Event
	ended := make(chan error, 1)
	go func() {
		for e, err := range b.Read(s.ctx, r) {
			if err != nil {
				ended <- err
				return
			}
			e.Message.Data = slices.Clone(e.Message.Data)
			if events = append(events, e); len(events) == n {
				break
			}
		}
		ended <- nil
	}()
	return func() []ssehub.Event {
		s.Helper()
		if err := s.receive(ended); err != nil {
			s.Fatalf("read of %+v: %v", r, err)
		}
		return events
	}
}

func positionsOf(events []ssehub.Event) (positions []ssehub.Position) {
	for _, e := range events {
		positions = append(positions, e.Position)
	}
	return positions
}

func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if !reflect.DeepEqual(got, want) {
		s.Fatalf("%s: got %.300s, want %.300s", what, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

// Sentences 2, 5, 8: an empty log.
func (s *suite) empty() {
	b := s.New(s)
	bounds := s.bounds(b)
	s.equal("events", len(s.read(b, ssehub.Range{After: s.start(b), Until: bounds.Last}, 0)), 0)
	if bounds.First != bounds.Last+1 || bounds.First < 1 || bounds.Epoch == "" {
		s.Fatalf("bounds %+v", bounds)
	}
	if _, err := ssehub.ParsePosition(ssehub.Position{Epoch: bounds.Epoch}.String()); err != nil {
		s.Errorf("epoch %q: %v", bounds.Epoch, err)
	}
	s.equal("bounds of a peer", s.bounds(s.Peer(s, b)), bounds)
	pos := s.append(b, "t", "x")
	s.equal("bounds with one event", s.bounds(b), ssehub.Bounds{Epoch: bounds.Epoch, First: pos.Seq, Last: pos.Seq})
	if other := s.bounds(s.New(s)); other.Epoch == bounds.Epoch {
		s.Errorf("two logs have the epoch %q", other.Epoch)
	}
}

// Sentence 4: whatever is appended comes back, and Append keeps nothing of it.
func (s *suite) content() {
	b := s.New(s)
	start := s.start(b)
	at := time.UnixMilli(time.Now().UnixMilli() - 12345)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	events := []ssehub.Event{
		event("t", ""),
		event("t", "\n\ndata: x\n\n"),
		event("t", "topic: u\n\nid: 7\r\r\n"),
		event("t", string(all)),
		event("t", strings.Repeat("x", 1<<20)),
		event("!#$&()+,-/:;=?@[]^_{|}~.09.AZ.az", "all that a topic may have"),
		event(strings.Repeat("x", 256), "a long topic"),
		{Topics: []string{"a", "b.c", "d"}, Message: sse.Message{Type: "tick: 1", Data: []byte(" x "), Retry: 1500 * time.Millisecond}},
		{Topics: []string{"a"}, Key: " key: 1 ", Message: sse.Message{Data: []byte{0}}},
		{Topics: []string{"a"}, IdempotencyKey: "\t\xff ", TTL: 49 * 24 * time.Hour, Message: sse.Message{Data: []byte("x")}},
		{Topics: []string{"a"}, Ephemeral: true, TTL: time.Millisecond, Message: sse.Message{Data: []byte("x")}},
	}
	// What is ephemeral may be gone for who does not follow.
	got := s.reading(s.Peer(s, b), ssehub.Range{After: start, Follow: true}, len(events))
	for i := range events {
		e := &events[i]
		e.Time = at.Add(time.Duration(i) * time.Millisecond)
		given := *e
		given.Topics = slices.Clone(e.Topics)
		given.Message.Data = bytes.Clone(e.Message.Data)
		var err error
		e.Position, err = b.Append(s.ctx, given)
		s.must(err)
		clear(given.Topics)
		clear(given.Message.Data)
	}
	for i, e := range got() {
		if !e.Time.Equal(events[i].Time) {
			s.Errorf("event %d: time %v, want %v", i, e.Time, events[i].Time)
		}
		e.Time = events[i].Time
		if len(e.Message.Data) == 0 {
			e.Message.Data = events[i].Message.Data
		}
		s.equal("event "+strconv.Itoa(i), e, events[i])
	}
}

// Sentence 5: every range of a log, the edges of pages among them.
func (s *suite) ranges() {
	b := s.New(s)
	start := s.start(b)
	positions := s.appendMany(b, 1100)
	peer := s.Peer(s, b)
	s.equal("all", positionsOf(s.read(peer, ssehub.Range{After: start, Until: positions[1099].Seq}, 0)), positions)
	for i := range positions {
		after := start
		if i > 0 {
			after = positions[i-1]
		}
		s.equal("next of "+after.String(), positionsOf(s.read(peer, ssehub.Range{After: after, Follow: true}, 1)), positions[i:i+1])
	}
	for range 300 {
		from := rand.IntN(len(positions))
		to := from + rand.IntN(len(positions)-from)
		r := ssehub.Range{After: positions[from], Until: positions[to].Seq}
		s.equal("a part", len(s.read(peer, r, 0)), to-from)
		// Topics are a hint: at least those come.
		r.Topics = []string{"t.3"}
		want := 0
		for i := from + 1; i <= to; i++ {
			if i%7 == 3 {
				want++
			}
		}
		got := 0
		for _, e := range s.read(peer, r, 0) {
			if e.Topics[0] == "t.3" {
				got++
			}
		}
		s.equal("a part with a hint", got, want)
	}
	// More than fits a page of any size, and a hint at an event's second topic.
	s.appendBulk(b, 5000)
	e := event("u", "")
	e.Topics = append(e.Topics, "t.second")
	_, err := b.Append(s.ctx, e)
	s.must(err)
	until := s.bounds(b).Last
	s.equal("a long part", len(s.read(peer, ssehub.Range{After: positions[1099], Until: until}, 0)), 5001)
	hinted := s.read(peer, ssehub.Range{After: positions[1099], Until: until, Topics: []string{"t.second"}}, 0)
	if len(hinted) == 0 || len(hinted[len(hinted)-1].Topics) != 2 {
		s.Error("a hint at an event's second topic leaves it out")
	}
	last := positions[1099]
	r := ssehub.Range{After: last, Until: last.Seq, Topics: []string{"nowhere"}}
	s.equal("nothing", len(s.read(peer, r, 0)), 0)
}

// Sentences 1, 6: who follows gets what is there and what comes, each time it has
// waited for it.
func (s *suite) follow() {
	const readers = 5
	b := s.New(s)
	start := s.start(b)
	positions := s.appendMany(b, 10)
	got := make([]chan ssehub.Position, readers)
	for i := range got {
		after := start
		if i > 0 {
			after = positions[2*i]
		}
		got[i] = make(chan ssehub.Position)
		peer := s.Peer(s, b)
		go func() {
			defer close(got[i])
			for e, err := range peer.Read(s.ctx, ssehub.Range{After: after, Follow: true}) {
				if err != nil {
					s.Error(err)
					return
				}
				got[i] <- e.Position
				if string(e.Message.Data) == "last" {
					return
				}
			}
		}()
		for k := range positions {
			if i == 0 || k > 2*i {
				s.equal("event that was there", s.next(got[i]), positions[k])
			}
		}
	}
	peer := s.Peer(s, b)
	for i := range 600 { // often, as a wake-up that is missed is so only now and then
		text := "x"
		if i == 599 {
			text = "last"
		}
		if i == 50 {
			time.Sleep(time.Second) // and nothing ends
		}
		pos := s.append(b, "t", text)
		s.equal("last", s.bounds(peer).Last, pos.Seq)
		for _, got := range got {
			s.equal("event that came", s.next(got), pos)
		}
	}
}

func (s *suite) next(positions <-chan ssehub.Position) ssehub.Position {
	s.Helper()
	select {
	case pos := <-positions:
		return pos
	case <-s.ctx.Done():
		s.Fatal(s.ctx.Err())
		return ssehub.Position{}
	}
}

// Sentence 3: all readers see one order, which is that of the positions, and
// what a publisher appended first comes first.
func (s *suite) oneOrder() {
	const publishers, each = 8, 1000
	b := s.New(s)
	start := s.start(b)
	var got []func() []ssehub.Event
	for range 4 {
		got = append(got, s.reading(s.Peer(s, b), ssehub.Range{After: start, Follow: true}, publishers*each))
	}
	var all sync.Map
	var publishing sync.WaitGroup
	looking := s.Peer(s, b)
	publishing.Go(func() { // what a Read has yielded is in Bounds
		n := 0
		for e, err := range looking.Read(s.ctx, ssehub.Range{After: start, Follow: true}) {
			bounds, boundsErr := b.Bounds(s.ctx)
			if err = cmp.Or(err, boundsErr); err != nil || bounds.Last < e.Position.Seq {
				s.Errorf("bounds %+v behind an event at %v, %v", bounds, e.Position, err)
				return
			}
			if n++; n == publishers*each {
				return
			}
		}
	})
	for p := range publishers {
		peer := s.Peer(s, b)
		publishing.Go(func() {
			for i := range each {
				text := fmt.Sprint(p, " ", i)
				pos, err := peer.Append(s.ctx, event("t", text))
				if err != nil {
					s.Error(err)
				}
				all.Store(pos, text)
			}
		})
	}
	for _, got := range got {
		next := make(map[string]int)
		last := start.Seq
		for _, e := range got() {
			if e.Position.Seq <= last {
				s.Fatalf("%v behind %d", e.Position, last)
			}
			last = e.Position.Seq
			publisher, i, _ := strings.Cut(string(e.Message.Data), " ")
			s.equal("event of publisher "+publisher, i, strconv.Itoa(next[publisher]))
			next[publisher]++
		}
	}
	publishing.Wait()
	for _, e := range s.read(b, ssehub.Range{After: start, Until: s.bounds(b).Last}, 0) {
		text, ok := all.LoadAndDelete(e.Position)
		if !ok || text != string(e.Message.Data) {
			s.Fatalf("%v has %q, Append said %v", e.Position, e.Message.Data, text)
		}
	}
	all.Range(func(pos, _ any) bool { s.Errorf("%v is not there", pos); return true })
}

// Sentences 7, 8: what is dropped is below First, and a Read goes on behind it.
func (s *suite) trim() {
	if s.Harness.Trim == nil {
		s.Skip("the harness has no Trim")
	}
	b := s.New(s)
	start := s.start(b)
	positions := s.appendMany(b, 1000)
	stop, next := make(chan int), make(chan int)
	passed := make(chan ssehub.Position)
	go func() { // reads one event, and the others when some are gone
		defer close(passed)
		for e, err := range s.Peer(s, b).Read(s.ctx, ssehub.Range{After: start, Until: positions[999].Seq}) {
			if err != nil {
				s.Error(err)
				return
			}
			if stop != nil {
				close(stop)
				<-next
				stop = nil
			}
			passed <- e.Position
		}
	}()
	<-stop
	s.Harness.Trim(s, b, positions[600].Seq)
	bounds := s.bounds(b)
	if bounds.First < positions[600].Seq || bounds.First > bounds.Last || bounds.Last != positions[999].Seq {
		s.Fatalf("bounds %+v after a trim to %v", bounds, positions[600])
	}
	first := slices.IndexFunc(positions, func(p ssehub.Position) bool { return p.Seq == bounds.First })
	for _, after := range []ssehub.Position{start, positions[0], positions[first-1]} {
		got := s.read(s.Peer(s, b), ssehub.Range{After: after, Until: bounds.Last}, 0)
		s.equal("what is left behind "+after.String(), positionsOf(got), positions[first:])
	}
	close(next)
	last := start
	for pos := range passed {
		i := slices.Index(positions, pos)
		if i > 0 && last != start && positions[i-1] != last && s.bounds(b).First <= positions[i-1].Seq {
			s.Errorf("%v came behind %v, and First is %d", pos, last, s.bounds(b).First)
		}
		last = pos
	}
	s.equal("last", last, positions[999])
	if pos := s.append(b, "t", "x"); pos.Seq <= bounds.Last {
		s.Errorf("%v is behind %d", pos, bounds.Last)
	}
	// All of it.
	last = s.append(b, "t", "x")
	for range 2 {
		s.Harness.Trim(s, b, last.Seq+1)
		bounds = s.bounds(b)
		s.equal("bounds with nothing", bounds, ssehub.Bounds{Epoch: bounds.Epoch, First: last.Seq + 1, Last: last.Seq})
		s.equal("events of nothing", len(s.read(b, ssehub.Range{After: start, Until: bounds.Last}, 0)), 0)
		if s.Harness.Restart != nil && !s.Forgets {
			b = s.Harness.Restart(s, b)
			s.equal("bounds with nothing after a restart", s.bounds(b), bounds)
		}
		pos := s.append(b, "t", "x")
		if pos.Seq <= last.Seq {
			s.Errorf("%v is used again: %v", last, pos)
		}
		s.equal("the event behind nothing", positionsOf(s.read(b, ssehub.Range{After: start, Until: pos.Seq}, 0)), []ssehub.Position{pos})
		last = pos
	}
}

// Sentences 1, 8, 9: what was acknowledged is there after a restart, or the Epoch
// is another.
func (s *suite) restart() {
	if s.Harness.Restart == nil {
		s.Skip("the harness has no Restart")
	}
	b := s.New(s)
	start := s.start(b)
	var positions []ssehub.Position
	for range 5 {
		positions = append(positions, s.appendMany(b, 50)...)
		before := s.bounds(b)
		b = s.Harness.Restart(s, b)
		after := s.bounds(b)
		if s.Forgets {
			if after.Epoch == before.Epoch {
				s.Fatalf("the epoch %q stands for two logs", after.Epoch)
			}
			start, positions = s.start(b), nil
			continue
		}
		s.equal("bounds", after, before)
		s.equal("events", positionsOf(s.read(b, ssehub.Range{After: start, Until: after.Last}, 0)), positions)
	}
}

// Sentence 10.
func (s *suite) idempotencyKey() {
	b := s.New(s)
	start := s.start(b)
	with := func(key string, topics ...string) ssehub.Position {
		e := event(topics[0], key)
		e.Topics, e.IdempotencyKey = topics, key
		pos, err := s.Peer(s, b).Append(s.ctx, e)
		s.must(err)
		return pos
	}
	one := with("k", "a")
	s.equal("the same", with("k", "a"), one)
	var wg sync.WaitGroup
	var same sync.Map
	for range 20 {
		wg.Go(func() { same.Store(with("at once", "a"), true) })
	}
	wg.Wait()
	n := 0
	same.Range(func(any, any) bool { n++; return true })
	s.equal("positions of one key at once", n, 1)
	if with("k", "b") == one || with("l", "a") == one {
		s.Error("another topic or key is taken for the same")
	}
	s.equal("the same with a further topic", with("k", "a", "c"), one)
	if with("k", "c", "a") == one {
		s.Error("another first topic is taken for the same")
	}
	s.equal("events", len(s.read(b, ssehub.Range{After: start, Until: s.bounds(b).Last}, 0)), 5)
	without := s.append(b, "a", "x")
	if s.append(b, "a", "x") == without {
		s.Error("no key is taken for a key")
	}
	if s.Harness.Restart != nil && !s.Forgets {
		b = s.Harness.Restart(s, b)
		s.equal("the same after a restart", with("k", "a"), one)
	}
}

// Sentences 1, 6, 11: contexts end whatever waits, and nothing stays.
func (s *suite) contexts() {
	b := s.New(s)
	start := s.start(b)
	s.appendMany(b, 10)
	dead, kill := context.WithCancel(s.ctx)
	kill()
	if _, err := b.Append(dead, event("t", "x")); !errors.Is(err, context.Canceled) {
		s.Errorf("Append: %v", err)
	}
	if _, err := b.Bounds(dead); !errors.Is(err, context.Canceled) {
		s.Errorf("Bounds: %v", err)
	}
	for _, follow := range []bool{false, true} {
		var last error
		for _, err := range b.Read(dead, ssehub.Range{After: start, Until: s.bounds(b).Last, Follow: follow}) {
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			s.Errorf("Read, Follow %v: %v", follow, last)
		}
	}
	before := runtime.NumGoroutine()
	// Loops that are left, or come to their end, before the context does.
	for i := range 50 {
		for e, err := range b.Read(s.ctx, ssehub.Range{After: start, Until: s.bounds(b).Last, Follow: i%2 == 0}) {
			s.must(err)
			if i%2 == 0 && e.Position.Seq >= s.bounds(b).Last {
				break
			}
		}
	}
	s.settles(before)
	for i := range 50 {
		ctx, cancel := context.WithCancel(s.ctx)
		n := 0
		var last error
		for _, err := range b.Read(ctx, ssehub.Range{After: start, Follow: true}) {
			if last = err; err != nil {
				continue // there must be no other turn
			}
			if n++; n == 10 {
				if i%2 == 0 {
					break
				}
				time.AfterFunc(time.Duration(rand.IntN(3))*time.Millisecond, cancel)
			}
		}
		cancel()
		if n != 10 || i%2 == 1 && !errors.Is(last, context.Canceled) {
			s.Fatalf("%d events, then %v", n, last)
		}
	}
	s.settles(before)
}

// settles requires that no more goroutines are left than a few.
func (s *suite) settles(before int) {
	s.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+10; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}

// Sentence 11: a reader that stands still hinders nobody.
func (s *suite) slowReader() {
	b := s.New(s)
	start := s.start(b)
	s.appendMany(b, 300)
	for range b.Read(s.ctx, ssehub.Range{After: start, Follow: true}) {
		s.appendBulk(b, 5000)
		positions := s.appendMany(b, 300)
		got := s.read(s.Peer(s, b), ssehub.Range{After: positions[0], Follow: true}, 299)
		s.equal("what another reader gets", positionsOf(got), positions[1:])
		return
	}
}

// Sentence 9.
func (s *suite) otherEpoch() {
	b := s.New(s)
	s.appendMany(b, 3)
	pos := s.start(s.New(s))
	for _, follow := range []bool{true, false} {
		var last error
		for _, err := range b.Read(s.ctx, ssehub.Range{After: pos, Until: s.bounds(b).Last, Follow: follow}) {
			if last = err; err == nil {
				s.Error("a position of another epoch is read from")
				break
			}
		}
		if last == nil {
			s.Error("no error")
		}
	}
}

// Two hubs: what is published to either comes to readers of both, who may move
// from one to the other.
func (s *suite) hubs() {
	const each = 200
	b := s.New(s)
	hubs := [2]*ssehub.Hub{
		ssehub.New(&ssehub.Options{Broker: b}),
		ssehub.New(&ssehub.Options{Broker: s.Peer(s, b)}),
	}
	for _, hub := range hubs {
		defer hub.Close()
	}
	id := s.start(b).String()
	var publishing sync.WaitGroup
	defer publishing.Wait()
	for i, hub := range hubs {
		publishing.Go(func() {
			for k := range each {
				if _, err := hub.Publish(s.ctx, "t."+strconv.Itoa(i), sse.Message{Data: fmt.Append(nil, i, " ", k)}); err != nil {
					s.Error(err)
				}
			}
		})
	}
	next := [2]int{}
	for at := 0; next != [2]int{each, each}; at = 1 - at {
		sub, err := hubs[at].Resume(s.ctx, id, "t.*")
		s.must(err)
		stay := 1 + rand.IntN(50)
		for m := range sub.Events() {
			if m.Type == sse.TypeGap {
				s.Fatalf("gap %s", m.Data)
			}
			id = m.ID
			var p, k int
			_, err := fmt.Sscan(string(m.Data), &p, &k)
			s.must(err)
			s.equal("event of hub "+strconv.Itoa(p), k, next[p])
			next[p]++
			if stay--; stay == 0 || next == [2]int{each, each} {
				break
			}
		}
		sub.Close()
		for range sub.Events() {
		}
		s.must(s.ctx.Err())
	}
}
