package ssehub

import (
	"context"
	"errors"
	"iter"
	"math"
	"sync"

	"github.com/ssehub-go/ssehub/sse"
)

// Subscription is a subscriber in this process. It is a cursor like that of a
// stream, and reads the same bytes: what it has not taken is in the log, not
// in a queue of its own, and if it lags too long it meets the overflow policy.
type Subscription struct {
	events chan sse.Message
	stop   context.CancelCauseFunc

	mu  sync.Mutex
	err error // why it ended
}

// Subscribe reads the events of topics, which may be patterns, that are published
// from now on, until ctx ends, Close is called or the hub ends. The caller must
// receive from Events until it is closed, or call Close or end ctx; Shutdown
// waits for that. With a Broker it waits as Ready does. Errors: [ErrInvalidTopic],
// [ErrClosed], that of ctx.
func (h *Hub) Subscribe(ctx context.Context, topics ...string) (*Subscription, error) {
	return h.Resume(ctx, "", topics...)
}

// Resume is Subscribe from a known place: it goes on right behind the event
// with the id lastEventID, which is the text of a [Position]. An empty one
// means now. If something is missing since then, a message of type
// [sse.TypeGap] comes first. Where only a Broker knows whether there is such an event,
// or has what follows, its error is returned as well.
func (h *Hub) Resume(ctx context.Context, lastEventID string, topics ...string) (*Subscription, error) {
	names, err := checkTopics(topics)
	if err != nil {
		return nil, err
	}
	if err := h.Ready(ctx); err != nil {
		return nil, err
	}
	r, err := h.join(lastEventID, names, joining{ctx: ctx})
	if err != nil {
		return nil, err
	}
	r.wake = make(chan struct{}, 1)
	if err := r.begin(nil); err != nil {
		r.leave()
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	s := &Subscription{events: make(chan sse.Message), stop: stop}
	go s.run(ctx, r) // one of the hub's tasks until it ends
	return s, nil
}

// All returns the messages as a sequence for one loop, which ends with Err if
// that is an error. Leaving the loop closes the Subscription.
//
//	for quote, err := range sse.JSON[Quote](sub.All()) {
func (s *Subscription) All() iter.Seq2[sse.Message, error] {
	return func(yield func(sse.Message, error) bool) {
		defer s.Close()
		for m := range s.events {
			if !yield(m, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield(sse.Message{}, err)
		}
	}
}

// Events returns the channel of messages, which is closed when the
// Subscription has ended. A loss shows as a message of type [sse.TypeGap],
// with a [sse.Gap] as JSON; package client does so with its ControlEvents. What
// comes without an ID at first is the state, and the next ID is behind all of it.
func (s *Subscription) Events() <-chan sse.Message {
	return s.events
}

// Err returns why the Subscription ended: nil while it runs and after Close,
// else [ErrClosed], [ErrSlowSubscriber] or the cause of the context's end.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the Subscription; Events is closed soon after. It may be called
// any number of times and from anywhere.
func (s *Subscription) Close() {
	s.stop(errByClose)
}

// errByClose is the cause of a context that Close has cancelled.
var errByClose = errors.New("ssehub: subscription closed")

func (s *Subscription) run(ctx context.Context, r *reader) {
	defer s.stop(nil)
	defer func() { r.end(s.Err(), func(error) { close(s.events) }) }() // even if a hook ends the goroutine
	r.traceJoined()
	err := s.deliver(ctx, r)
	if errors.Is(err, errByClose) {
		err = nil
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

// deliver sends what r reads and returns why it stopped.
func (s *Subscription) deliver(ctx context.Context, r *reader) error {
	dec := sse.NewDecoder(&frameReader{ctx: ctx, reader: r})
	dec.SetMaxEventSize(math.MaxInt) // what could be published can be read
	dec.SetLastEventID(r.origin.String())
	for {
		var m sse.Message
		if err := dec.Decode(&m); err != nil {
			return err
		}
		if m.Type == sse.TypeMark {
			continue // the decoder has its id
		}
		if s := &r.seats[0]; len(r.seats) == 1 && !s.topic.pattern && m.Type != sse.TypeGap { // else the frames tell
			m.Topic = s.topic.name
		}
		select {
		case s.events <- m:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.hub.ctx.Done():
			return ErrClosed
		}
	}
}

// frameReader is a reader's frames as a byte stream that waits for news.
type frameReader struct {
	ctx    context.Context
	reader *reader
	frames []byte // of the last next, not read yet
	size   int    // of these, when none was read
}

func (f *frameReader) Read(p []byte) (int, error) {
	for len(f.frames) == 0 {
		if err := f.wait(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.frames)
	f.frames = f.frames[n:]
	return n, nil
}

// wait gets the next frames, or sleeps once. The decoder does not ask for more
// before all messages in what it has are received.
func (f *frameReader) wait() (err error) {
	if f.size > 0 {
		f.reader.written(f.size)
	}
	f.frames, err = f.reader.next()
	f.size = len(f.frames)
	if err != nil || f.frames != nil || !f.reader.park() {
		return err
	}
	select {
	case <-f.reader.wake:
		return nil
	case <-f.reader.hub.news.Done(): // there may still be news
		return nil
	case <-f.ctx.Done():
		return context.Cause(f.ctx)
	}
}
