package brokertest

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

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
	s.must(appendAll(s.ctx, b, n, 30, func(i int) ssehub.Event { return event("t", strconv.Itoa(i)) }))
}

// appendAll appends n events, by as many at once as there are appenders.
func appendAll(ctx context.Context, b ssehub.Broker, n, appenders int, event func(i int) ssehub.Event) error {
	failed := make(chan error, appenders)
	for first := range appenders {
		go func() {
			var err error
			for i := first; i < n && err == nil; i += appenders {
				_, err = b.Append(ctx, event(i))
			}
			failed <- err
		}()
	}
	for range appenders {
		select {
		case err := <-failed:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
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

// settles requires that no more goroutines are left than a few.
func (s *suite) settles(before int) {
	s.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+10; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}
