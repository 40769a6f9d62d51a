package brokertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
)

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

// Sentence 3: all readers see one order, which is that of the positions, and
// what a publisher appended first comes first.
func (s *suite) oneOrder() {
	const publishers, each = 8, 500
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
