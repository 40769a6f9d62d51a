package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ssehub-go/ssehub"
)

const (
	maxBatch = 256 // events of one transaction
	maxBytes = 4 << 20
	// writeTimeout ends a transaction that the server does not answer.
	writeTimeout = 10 * time.Second
	// trimEvery is after how many events the oldest are looked at.
	trimEvery = 100
)

// request is an event that waits for the writer.
type request struct {
	ctx   context.Context
	once  []byte // nil for none
	time  time.Time
	event []byte
	pos   ssehub.Position
	err   error
	done  chan struct{} // closed when pos and err are there
}

func newRequest(ctx context.Context, e ssehub.Event) (*request, error) {
	r := &request{ctx: ctx, time: e.Time, done: make(chan struct{})}
	if year := e.Time.Year(); year < 2 || year > 9999 { // none, or none that a column takes
		r.time = time.Now()
	}
	if e.IdempotencyKey != "" {
		sum := sha256.Sum256([]byte(e.Topics[0] + "\n" + e.IdempotencyKey)) // an index takes no long ones
		r.once = sum[:]
	}
	var err error
	r.event, err = e.MarshalBinary()
	return r, err
}

// Append implements ssehub.Broker.
func (l *Log) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	r, err := newRequest(ctx, e)
	if err == nil {
		err = l.write(r)
	}
	if err != nil {
		return ssehub.Position{}, fmt.Errorf("postgres: append: %w", err)
	}
	if r.pos.Seq%trimEvery == 0 {
		_ = l.trim(ctx) // it comes again
	}
	return r.pos, nil
}

// AppendTx appends an event in a transaction of the application's: hubs have it if, and
// when, that is committed, and never otherwise. A zero Time means now. The event's
// Position may be another's if the transaction is rolled back.
//
// From here to the end of the transaction nobody else appends: make it the last step.
// The transaction should be READ COMMITTED, which is the default; under stricter ones
// it fails with a serialization error where another has appended meanwhile. The tables
// must be there, as they are when Open has returned.
func (l *Log) AppendTx(ctx context.Context, tx pgx.Tx, e ssehub.Event) (ssehub.Position, error) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	r, err := newRequest(ctx, e)
	if err == nil {
		err = l.send(ctx, tx, r)
	}
	if err != nil {
		return ssehub.Position{}, fmt.Errorf("postgres: append: %w", err)
	}
	return r.pos, nil
}

// write has the writer append r. While it waits for a commit others come to wait for
// it, and these then share a transaction.
func (l *Log) write(r *request) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.writing.Err() != nil {
		l.mu.Unlock()
		return ErrClosed
	}
	l.waiting = append(l.waiting, r)
	if !l.busy {
		l.busy = true
		l.writer.Go(l.writeAll)
	}
	l.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// writeAll writes until nobody waits.
func (l *Log) writeAll() {
	for {
		batch := l.next()
		if batch == nil {
			return
		}
		ctx, cancel := context.WithTimeout(l.writing, writeTimeout)
		err := l.do(ctx, func() error { return l.send(ctx, l.pool, batch...) })
		cancel()
		if l.writing.Err() != nil {
			err = ErrClosed
		}
		for _, r := range batch {
			r.err = err
			close(r.done)
		}
	}
}

// next takes what waits, as much as fits a transaction, and of a key one alone: the
// other finds it there.
func (l *Log) next() (batch []*request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := 0
	keys := make(map[string]bool)
	for len(l.waiting) > 0 && len(batch) < maxBatch && size < maxBytes {
		r := l.waiting[0]
		if keys[string(r.once)] {
			break
		}
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if r.ctx.Err() == nil {
			batch = append(batch, r)
			keys[string(r.once)] = r.once != nil
			size += len(r.event)
		}
	}
	if batch == nil {
		l.busy = false
	}
	return batch
}

// send appends all of batch in one transaction, which is that of to, or one of its own.
func (l *Log) send(ctx context.Context, to interface {
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}, batch ...*request) error {
	var onces, events [][]byte
	var times []time.Time
	for _, r := range batch {
		onces, times, events = append(onces, r.once), append(times, r.time), append(events, r.event)
	}
	var b pgx.Batch
	b.Queue(l.sql.lock)
	b.Queue(l.sql.begin, newEpoch())
	b.Queue(l.sql.append, onces, times, events).Query(func(rows pgx.Rows) error {
		for _, r := range batch {
			if !rows.Next() {
				return cmp.Or(rows.Err(), pgx.ErrNoRows)
			}
			if err := rows.Scan(&r.pos.Epoch, &r.pos.Seq); err != nil {
				return err
			}
		}
		return nil
	})
	if !l.keep.PollOnly {
		b.Queue(l.sql.notify)
	}
	return to.SendBatch(ctx, &b).Close()
}

// trim deletes some of what is above the bounds.
func (l *Log) trim(ctx context.Context) error {
	events, old := int64(l.keep.Events), time.Unix(0, 0)
	if events < 0 {
		events = math.MaxInt32
	}
	if l.keep.Age > 0 {
		old = time.Now().Add(-l.keep.Age)
	}
	var b pgx.Batch
	b.Queue(anew)
	b.Queue(l.sql.trim, events, old)
	return l.pool.SendBatch(ctx, &b).Close()
}
