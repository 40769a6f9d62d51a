package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ssehub-go/ssehub"
)

const (
	// pageEvents and pageBytes are how much is read at once; the bytes may be more by one
	// event.
	pageEvents = 256
	pageBytes  = 1 << 20
	// patience is how long a Read waits for an answer that is due.
	patience = 5 * time.Second
	// trimPeriod is how often a Read that follows looks at the oldest events, should
	// nobody use Append.
	trimPeriod = time.Minute
	// goodbye is how long a connection takes at most to be closed in order.
	goodbye = time.Second
)

// Read implements ssehub.Broker.
func (l *Log) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		if err := l.read(ctx, r, yield); err != nil && err != errStopped {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			yield(ssehub.Event{}, fmt.Errorf("postgres: read: %w", err))
		}
	}
}

// errStopped says that yield does not want more.
var errStopped = errors.New("postgres: stopped")

func (l *Log) read(ctx context.Context, r ssehub.Range, yield func(ssehub.Event, error) bool) error {
	wait := sleep
	if r.Follow {
		r.Until = math.MaxInt64
		if !l.keep.PollOnly {
			conn, err := l.listen(ctx)
			if err != nil {
				return err
			}
			defer farewell(conn)
			wait = func(ctx context.Context, d time.Duration) error { return hear(ctx, conn, d) }
		}
	}
	trimmed := time.Now()
	for at := r.After; ; {
		page, err := l.page(ctx, at, r.Until)
		if err != nil {
			return err
		}
		size := 0
		for _, entry := range page {
			at.Seq = entry.seq
			size += len(entry.event)
			e := ssehub.Event{Position: at}
			if err = e.UnmarshalBinary(entry.event); err != nil {
				err = fmt.Errorf("postgres: event %d: %w", entry.seq, err)
			}
			if !yield(e, err) {
				return errStopped
			}
		}
		if len(page) == pageEvents || size >= pageBytes {
			continue // there may be more
		}
		if !r.Follow {
			return nil
		}
		if time.Since(trimmed) > trimPeriod {
			trimmed = time.Now()
			_ = l.trim(ctx) // it comes again
		}
		if err := wait(ctx, l.keep.Poll); err != nil {
			return err
		}
	}
}

type entry struct {
	seq   uint64
	event []byte
}

// page returns some events behind after, up to until, as of one moment, in which the
// epoch was that of after.
func (l *Log) page(ctx context.Context, after ssehub.Position, until uint64) (page []entry, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var epoch string
	var q pgx.Batch
	q.Queue(inOrder)
	q.Queue(l.sql.page, int64(after.Seq), int64(min(until, math.MaxInt64))).Query(func(rows pgx.Rows) error {
		var seq *uint64
		var event []byte
		_, err := pgx.ForEachRow(rows, []any{&epoch, &seq, &event}, func() error {
			if seq != nil {
				page = append(page, entry{*seq, event})
			}
			return nil
		})
		return err
	})
	err = l.pool.SendBatch(ctx, &q).Close()
	if err == nil && epoch != after.Epoch {
		err = fmt.Errorf("%w: %q, and it is %q", ErrEpoch, after.Epoch, epoch)
	}
	return page, err
}

// listen returns a connection that is told of news, and belongs to no pool any more.
func (l *Log) listen(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pooled, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	conn := pooled.Hijack()
	if _, err := conn.Exec(ctx, l.sql.listen); err != nil {
		farewell(conn)
		return nil, err
	}
	return conn, nil
}

// farewell closes a connection, whatever the server does.
func farewell(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = conn.Close(ctx)
}

// hear waits for news, no longer than d.
func hear(ctx context.Context, conn *pgx.Conn, d time.Duration) error {
	quiet, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err := conn.WaitForNotification(quiet)
	if err != nil && ctx.Err() == nil && quiet.Err() != nil && !conn.IsClosed() {
		return nil
	}
	return err
}

// sleep waits for d.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
