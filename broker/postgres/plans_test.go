package postgres_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/postgres"
)

// No statement reads the whole log, on a connection that has its plans from when the log
// was empty, and a server that believes that it is.
func TestPlans(t *testing.T) {
	const many = 20_000
	engine := startEngine(t, "-c", "autovacuum=off")
	config, err := pgxpool.ParseConfig(engine.url())
	require.NoError(t, err)
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	log := postgres.New(pool, &postgres.Options{Events: many})
	defer log.Close()
	at := ssehub.Position{Epoch: boundsOf(t, log).Epoch}
	engine.do(t, `ANALYZE`)
	for range 10 { // behind the fifth a plan is kept
		require.EqualValues(t, 1, boundsOf(t, log).First)
	}
	next := 0
	use := func(events int) {
		for range events {
			next++
			e := event("x")
			e.IdempotencyKey = fmt.Sprint(next)
			pos, err := log.Append(t.Context(), e)
			require.NoError(t, err)
			n := 0
			for _, err := range log.Read(t.Context(), ssehub.Range{After: at, Until: pos.Seq}) {
				require.NoError(t, err)
				n++
			}
			require.Equal(t, 1, n)
			at = pos
			require.Equal(t, at.Seq, boundsOf(t, log).Last)
		}
	}
	use(700) // each hundred the log is trimmed
	engine.do(t, fmt.Sprintf(`INSERT INTO ssehub_log SELECT n, now(), NULL, event FROM ssehub_log,
		generate_series(%d, %d) AS n WHERE seq = 1`, at.Seq+1, at.Seq+many))
	engine.do(t, `UPDATE ssehub_meta SET last = last + $1`, many)
	at.Seq += many
	use(300)
	require.EqualValues(t, 1001, boundsOf(t, log).First)
	pool.Close()
	awaitCount(t, engine, many+1000)
	require.Less(t, engine.ask(t, `SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'ssehub_log'`), many)
}

// The row with the number is written once for all that share a commit, as nothing cleans
// up its old versions before, and everything reads them.
func TestOneVersion(t *testing.T) {
	engine := commonEngine(t)
	log := open(t, engine, nil)
	const events = 2000
	appendAtOnce(t, log, events)
	log.Close()
	awaitCount(t, engine, events*9/10)
	require.Less(t, engine.ask(t, `SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'ssehub_meta'`), events/4)
}

// awaitCount waits until the server has counted what connections did that have ended.
func awaitCount(t testing.TB, engine *engine, events int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return engine.ask(t, `SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'ssehub_log'`) >= events
	}, patience, 10*time.Millisecond)
}

// Each gets its own position, and that of its key, however the pool is set to ask, as for
// PgBouncer.
func TestModes(t *testing.T) {
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			config, err := pgxpool.ParseConfig(commonEngine(t).url())
			require.NoError(t, err)
			config.ConnConfig.DefaultQueryExecMode = mode
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			require.NoError(t, err)
			defer pool.Close()
			log := postgres.New(pool, nil)
			defer log.Close()
			bounds := boundsOf(t, log)
			all := appendAtOnce(t, log, 1000)
			n := 0
			for e, err := range log.Read(t.Context(), ssehub.Range{After: ssehub.Position{Epoch: bounds.Epoch}, Until: boundsOf(t, log).Last}) {
				require.NoError(t, err)
				i, err := strconv.Atoi(string(e.Message.Data))
				require.NoError(t, err)
				require.Equal(t, e.Position, all[i])
				if i%10 < 2 {
					require.Equal(t, all[i/10*10], all[i/10*10+1])
				}
				n++
			}
			require.Equal(t, 900, n)
		})
	}
}

// appendAtOnce appends from 64 goroutines, and returns where. Of ten events two have the
// same key.
func appendAtOnce(t testing.TB, log *postgres.Log, events int) []ssehub.Position {
	all := make([]ssehub.Position, events)
	next := make(chan int)
	var writing sync.WaitGroup
	for range 64 {
		writing.Go(func() {
			for i := range next {
				e := event(fmt.Sprint(i))
				if i%10 < 2 {
					e.IdempotencyKey = fmt.Sprint(i / 10)
				}
				pos, err := log.Append(context.Background(), e)
				if err != nil {
					t.Error(err)
				}
				all[i] = pos
			}
		})
	}
	for i := range events {
		next <- i
	}
	close(next)
	writing.Wait()
	return all
}
