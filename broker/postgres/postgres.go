// Package postgres keeps a hub's log in a table of PostgreSQL, for several hubs: a
// client may then connect to any of them, and go on at another where it was. And an
// event may be appended in the transaction that it tells of, see [Log.AppendTx].
//
//	events, err := postgres.Open(ctx, "postgres://user:password@host/database", nil)
//	if err != nil {
//		return err
//	}
//	defer events.Close() // behind the hub
//	hub := ssehub.New(&ssehub.Options{Broker: events})
//	defer hub.Close()
//
// # What an acknowledgement is worth
//
// Append returns when its transaction is committed and on the server's disk: neither a
// crash of the server nor one of its machine loses it. Where synchronous_commit is off it
// is local in a transaction that appends, also in one with AppendTx, as a log that has
// lost its end would use numbers again. With fsync off a crash may do that all the same.
//
// A standby that takes over, or a recovery to a point in time, begins another timeline,
// and with it a new epoch: all clients are told a gap, as events may be lost that some
// of them have. The events that are left stay in the log. After a restore from pg_dump
// give the log another epoch yourself: UPDATE ssehub_meta SET epoch = 'another1'.
//
// It takes PostgreSQL 12 or a later one.
//
// # What it costs
//
// Numbers are given under the lock of one row, which lasts until the commit, so that
// nobody sees event 6 before event 5. All hubs and all transactions with AppendTx take
// turns, as fast as the server can commit one after the other. What one Log is given
// meanwhile shares a commit. A transaction that stays open holds all of them up; Append
// gives up after ten seconds. One that keeps an old snapshot, anywhere in the database,
// such as pg_dump's, has the server keep a version of that row for each commit, and slows
// down all that read it until it ends.
//
// A hub that reads has a connection of its own, beside the pool, and is told of news by
// NOTIFY, which takes turns in the whole database, too. It looks by itself each
// Options.Poll. With PollOnly there is no NOTIFY and no connection that stays, as
// behind PgBouncer, and events come as late as that.
//
// # The tables
//
// They are made by the first who needs them: ssehub_log with the events, of which the
// oldest are deleted, and ssehub_meta with one row. If one of them is dropped, the log
// begins anew with another epoch, and all hubs tell it as a gap. A user that may not
// make tables can be given them, with SELECT, INSERT, UPDATE and DELETE:
//
//	CREATE TABLE ssehub_log (seq bigint PRIMARY KEY, time timestamptz NOT NULL, once bytea UNIQUE, event bytea NOT NULL);
//	CREATE TABLE ssehub_meta (epoch text NOT NULL, timeline text NOT NULL, last bigint NOT NULL);
//	CREATE UNIQUE INDEX ON ssehub_meta ((true)); -- one row
//	INSERT INTO ssehub_meta VALUES ('abcdefgh', '', 0); -- letters and digits
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ssehub-go/ssehub"
)

// Options is for a Log. What is above any of the two bounds is deleted, oldest first
// and but for the newest, now and then; a hub reads all of it when it starts. In Events
// and Age zero means the default and negative no limit.
type Options struct {
	Table    string        // what the tables' names begin with, maybe behind a schema. Default "ssehub"
	Events   int           // default 100,000
	Age      time.Duration // default 24 h
	Poll     time.Duration // between two looks for news. Default 1 s
	PollOnly bool          // no LISTEN and NOTIFY; the same for all hubs of a log
}

// Log is an ssehub.Broker in a table. All methods are safe for concurrent use.
type Log struct {
	pool *pgxpool.Pool
	own  bool // Close closes the pool
	keep Options
	sql  statements

	writing context.Context // until Close
	stop    context.CancelFunc
	writer  sync.WaitGroup

	mu      sync.Mutex
	waiting []*request // for the writer, which is there while there are any
	busy    bool
}

// ErrClosed is returned by a Log that was closed.
var ErrClosed = errors.New("postgres: log closed")

// ErrEpoch ends a Read whose position is of another life of the log.
var ErrEpoch = errors.New("postgres: position of another epoch")

// Open connects to the server at url, and makes the tables if there are none; nil means
// the default options. End it with Close, after the hubs.
func Open(ctx context.Context, url string, opts *Options) (*Log, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	l := New(pool, opts)
	l.own = true
	if _, err := l.Bounds(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// New returns a Log over a pool of the application's, which Close leaves open. It does
// not ask the server for anything yet.
func New(pool *pgxpool.Pool, opts *Options) *Log {
	l := &Log{pool: pool}
	l.writing, l.stop = context.WithCancel(context.Background())
	if opts != nil {
		l.keep = *opts
	}
	if l.keep.Table == "" {
		l.keep.Table = "ssehub"
	}
	if l.keep.Events == 0 {
		l.keep.Events = 100_000
	}
	if l.keep.Age == 0 {
		l.keep.Age = 24 * time.Hour
	}
	if l.keep.Poll <= 0 {
		l.keep.Poll = time.Second
	}
	l.sql = statementsFor(l.keep.Table)
	return l
}

// Close ends the Log, and the connections, if Open has made them.
func (l *Log) Close() {
	l.mu.Lock() // who finds it open has begun to write
	l.stop()
	l.mu.Unlock()
	l.writer.Wait()
	if l.own {
		l.pool.Close()
	}
}

// Bounds implements ssehub.Broker.
func (l *Log) Bounds(ctx context.Context) (b ssehub.Bounds, err error) {
	err = l.do(ctx, func() error {
		b, err = l.bounds(ctx)
		if err == nil && b.Epoch == "" { // the server is on another timeline
			if _, err = l.pool.Exec(ctx, l.sql.begin, newEpoch()); err == nil {
				b, err = l.bounds(ctx)
			}
		}
		return err
	})
	if err != nil {
		return ssehub.Bounds{}, fmt.Errorf("postgres: bounds: %w", err)
	}
	return b, nil
}

func (l *Log) bounds(ctx context.Context) (b ssehub.Bounds, err error) {
	var q pgx.Batch
	q.Queue(inOrder)
	q.Queue(l.sql.bounds).QueryRow(func(row pgx.Row) error {
		return row.Scan(&b.Epoch, &b.First, &b.Last)
	})
	err = l.pool.SendBatch(ctx, &q).Close()
	return b, err
}

// do calls f, and once more if there was no log, and one is made. What the server has
// undone to end a deadlock, such as with somebody who drops the tables, is done again.
func (l *Log) do(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil { // which the pool would not see
		return err
	}
	err := f()
	for range 3 {
		if missing(err) {
			if err = l.make(ctx); err == nil {
				err = f()
			}
		}
		if !is(err, deadlockDetected) {
			break
		}
		err = f()
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

const (
	undefinedTable   = "42P01"
	deadlockDetected = "40P01"
)

// is reports whether err is one of the server's, with that code.
func is(err error, code string) bool {
	var of *pgconn.PgError
	return errors.As(err, &of) && of.Code == code
}

// missing reports whether err says that a table, or its row, is not there.
func missing(err error) bool {
	return errors.Is(err, pgx.ErrNoRows) || is(err, undefinedTable)
}

// make makes the tables, unless somebody else was faster.
func (l *Log) make(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('ssehub'), hashtext($1))`, l.keep.Table); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, l.sql.there).Scan(&there); err != nil {
			return err
		}
		if there {
			err := tx.QueryRow(ctx, l.sql.filled).Scan(&there)
			if err != nil || there {
				return err
			}
		}
		for _, sql := range l.sql.make {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, l.sql.fill, newEpoch())
		return err
	})
	if err != nil {
		err = fmt.Errorf("make the tables: %w", err)
	}
	return err
}

func newEpoch() string { return strings.ReplaceAll(uuid.NewString()[:13], "-", "") }
