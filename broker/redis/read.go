package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/ssehub-go/ssehub"
)

const (
	// patience is how long a Read waits for an answer that is due.
	patience = 5 * time.Second
	// lull is how long a Read waits for news before it looks whether the log has
	// begun anew, of which the server tells nothing.
	lull = time.Second
)

// Read implements ssehub.Broker.
func (l *Log) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		if err := l.read(ctx, r, yield); err != nil && err != errStopped {
			yield(ssehub.Event{}, fmt.Errorf("redis: read: %w", err))
		}
	}
}

// errStopped says that yield does not want more.
var errStopped = errors.New("redis: stopped")

func (l *Log) read(ctx context.Context, r ssehub.Range, yield func(ssehub.Event, error) bool) error {
	if r.Follow {
		r.Until = math.MaxInt64
	}
	for at := r.After; ; {
		page, err := l.page(ctx, at, r.Until)
		if err != nil {
			return err
		}
		for _, entry := range page {
			at.Seq = entry.seq
			e := ssehub.Event{Position: at}
			if err = e.UnmarshalBinary(entry.data); err != nil {
				err = fmt.Errorf("redis: event %d: %w", entry.seq, err)
			}
			if !yield(e, err) {
				return errStopped
			}
		}
		if len(page) > 0 {
			continue
		}
		if !r.Follow {
			return nil
		}
		if err := l.wait(ctx, at.Seq); err != nil {
			return err
		}
	}
}

type entry struct {
	seq  uint64
	data []byte
}

// page returns some events behind after, up to until. Each page is a look at the epoch
// at the same time.
func (l *Log) page(ctx context.Context, after ssehub.Position, until uint64) ([]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	due, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := l.run(due, pageScript, strconv.FormatUint(after.Seq+1, 10), strconv.FormatUint(until, 10))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case len(got)%2 != 1:
		return nil, errAnswer
	case got[0] != after.Epoch:
		return nil, fmt.Errorf("%w: %q, and it is %q", ErrEpoch, after.Epoch, got[0])
	}
	var page []entry
	for i := 1; i < len(got); i += 2 {
		seq, err := number(got[i])
		if err != nil {
			return nil, err
		}
		if seq > after.Seq { // else somebody has added entries by hand, with ids such as 5-1
			page = append(page, entry{seq, []byte(got[i+1])})
			after.Seq = seq
		}
	}
	return page, nil
}

// wait waits a while for an event behind seq, on a connection that nobody else has
// meanwhile.
func (l *Log) wait(ctx context.Context, seq uint64) error {
	due, cancel := context.WithTimeout(ctx, lull+patience)
	defer cancel()
	after := strconv.FormatUint(seq, 10) + "-" + strconv.FormatUint(math.MaxUint64, 10)
	_, err := within(due, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.client.Do(ctx, l.client.B().Xread().Count(1).Block(lull.Milliseconds()).Streams().
			Key(l.keys[0]).Id(after).Build()).Error()
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case due.Err() != nil:
		return errors.New("the server does not answer")
	case rueidis.IsRedisNil(err):
		return nil
	}
	return err
}
