package brokertest

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/ssehub-go/ssehub"
)

// Memory is a Broker in this process's memory, for tests of hubs that share one,
// and of what they do when it fails. It is also the shortest Broker there is.
// The zero value is an empty log.
type Memory struct {
	mu     sync.Mutex
	epoch  string
	first  uint64 // kept
	events []ssehub.Event
	once   map[string]ssehub.Position
	err    error
	news   chan struct{} // closed when anything has changed
}

// lock also prepares a Memory that is new.
func (b *Memory) lock() {
	b.mu.Lock()
	if b.epoch == "" {
		b.begin()
	}
}

func (b *Memory) begin() {
	b.epoch = strings.ReplaceAll(uuid.NewString()[:13], "-", "")
	b.first, b.events, b.once = 1, nil, make(map[string]ssehub.Position)
}

func (b *Memory) last() uint64 { return b.first + uint64(len(b.events)) - 1 }

func (b *Memory) changed() {
	if b.news != nil {
		close(b.news)
		b.news = nil
	}
}

// Append implements ssehub.Broker.
func (b *Memory) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	b.lock()
	defer b.mu.Unlock()
	if err := cmp.Or(ctx.Err(), b.err); err != nil {
		return ssehub.Position{}, err
	}
	key := e.Topics[0] + "\n" + e.IdempotencyKey
	if pos, ok := b.once[key]; ok && pos.Seq >= b.first {
		return pos, nil
	}
	e.Position = ssehub.Position{Epoch: b.epoch, Seq: b.last() + 1}
	e.Topics = slices.Clone(e.Topics)
	e.Message.Data = slices.Clone(e.Message.Data)
	b.events = append(b.events, e)
	if e.IdempotencyKey != "" {
		b.once[key] = e.Position
	}
	b.changed()
	return e.Position, nil
}

// Read implements ssehub.Broker.
func (b *Memory) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		for after := r.After.Seq; ; {
			events, news, err := b.after(ctx, r.After.Epoch, after)
			if err != nil {
				yield(ssehub.Event{}, err)
				return
			}
			for _, e := range events {
				if err := ctx.Err(); err != nil {
					yield(ssehub.Event{}, err)
					return
				}
				if !r.Follow && e.Position.Seq > r.Until {
					return
				}
				if !yield(e, nil) {
					return
				}
				after = e.Position.Seq
			}
			switch {
			case len(events) > 0:
			case !r.Follow:
				return
			default:
				select {
				case <-news:
				case <-ctx.Done():
				}
			}
		}
	}
}

// after returns some events behind a number, or what tells of news.
func (b *Memory) after(ctx context.Context, epoch string, seq uint64) ([]ssehub.Event, <-chan struct{}, error) {
	b.lock()
	defer b.mu.Unlock()
	if err := cmp.Or(ctx.Err(), b.err); err != nil {
		return nil, nil, err
	}
	if epoch != b.epoch {
		return nil, nil, errors.New("brokertest: position of another epoch")
	}
	if b.news == nil {
		b.news = make(chan struct{})
	}
	from := min(max(seq+1, b.first)-b.first, uint64(len(b.events)))
	return b.events[from:min(int(from)+100, len(b.events))], b.news, nil
}

// Bounds implements ssehub.Broker.
func (b *Memory) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	b.lock()
	defer b.mu.Unlock()
	return ssehub.Bounds{Epoch: b.epoch, First: b.first, Last: b.last()}, cmp.Or(ctx.Err(), b.err)
}

// Trim drops the events before first.
func (b *Memory) Trim(first uint64) {
	b.lock()
	defer b.mu.Unlock()
	if n := min(first, b.last()+1); n > b.first {
		b.events = slices.Clone(b.events[n-b.first:])
		b.first = n
	}
}

// LoseEnd drops the events behind last, whose numbers are then used again, as an engine
// does that has not written them to its disk and cannot know: against sentence 9 of the
// contract.
func (b *Memory) LoseEnd(last uint64) {
	b.lock()
	defer b.mu.Unlock()
	if last < b.last() {
		b.events = slices.Clone(b.events[:last+1-min(b.first, last+1)])
		maps.DeleteFunc(b.once, func(_ string, pos ssehub.Position) bool { return pos.Seq > last })
	}
}

// Fail has every method fail with err, until it is nil.
func (b *Memory) Fail(err error) {
	b.lock()
	defer b.mu.Unlock()
	b.err = err
	b.changed()
}

// Reset drops everything and begins a new epoch, as an engine that has lost its
// disk.
func (b *Memory) Reset() {
	b.lock()
	defer b.mu.Unlock()
	b.begin()
	b.changed()
}
