package brokertest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

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
		if !nearAnEdge(i) && i%9 != 0 {
			continue
		}
		after := start
		if i > 0 {
			after = positions[i-1]
		}
		s.equal("next of "+after.String(), positionsOf(s.read(peer, ssehub.Range{After: after, Follow: true}, 1)), positions[i:i+1])
	}
	for range 100 {
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

// nearAnEdge reports whether a page of a size that somebody would choose may end at i.
func nearAnEdge(i int) bool {
	return (i+2)%64 < 4 || (i+1)%50 < 3
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
