package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/broker/postgres"
	"github.com/ssehub-go/ssehub/sse"
)

func open(t testing.TB, e *engine, opts *postgres.Options) *postgres.Log {
	t.Helper()
	log, err := postgres.Open(t.Context(), e.url(), opts)
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return log
}

func event(text string) ssehub.Event {
	return ssehub.Event{Time: time.Now(), Topics: []string{"t"}, Message: sse.Message{Data: []byte(text)}}
}

func add(t testing.TB, log *postgres.Log, text string) ssehub.Position {
	t.Helper()
	pos, err := log.Append(t.Context(), event(text))
	require.NoError(t, err)
	return pos
}

func boundsOf(t testing.TB, log *postgres.Log) ssehub.Bounds {
	t.Helper()
	bounds, err := log.Bounds(t.Context())
	require.NoError(t, err)
	return bounds
}

// texts returns what the log keeps.
func texts(t testing.TB, log *postgres.Log) string {
	t.Helper()
	bounds := boundsOf(t, log)
	var texts []string
	for e, err := range log.Read(t.Context(), ssehub.Range{After: ssehub.Position{Epoch: bounds.Epoch}, Until: bounds.Last}) {
		require.NoError(t, err)
		texts = append(texts, string(e.Message.Data))
	}
	return strings.Join(texts, " ")
}

func receive(t testing.TB, errs <-chan error) error {
	t.Helper()
	select {
	case err := <-errs:
		return err
	case <-time.After(patience):
		t.Fatal("nothing comes")
		return nil
	}
}

func TestContract(t *testing.T) {
	for name, opts := range map[string]postgres.Options{
		"told":   {Poll: time.Hour},
		"asking": {Poll: 5 * time.Millisecond, PollOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t)
			var mu sync.Mutex
			tables := make(map[ssehub.Broker]string)
			opened := func(t testing.TB, table string) ssehub.Broker {
				opts := opts
				opts.Table = table
				log := open(t, engine, &opts)
				mu.Lock()
				defer mu.Unlock()
				tables[log] = table
				return log
			}
			tableOf := func(b ssehub.Broker) string {
				mu.Lock()
				defer mu.Unlock()
				return tables[b]
			}
			n := 0
			brokertest.Run(t, brokertest.Harness{
				New: func(t testing.TB) ssehub.Broker {
					n++
					return opened(t, fmt.Sprint("public.Log ", n))
				},
				Peer: func(t testing.TB, b ssehub.Broker) ssehub.Broker { return opened(t, tableOf(b)) },
				Trim: func(t testing.TB, b ssehub.Broker, first uint64) {
					_, table, _ := strings.Cut(tableOf(b), ".")
					engine.do(t, `DELETE FROM `+pgx.Identifier{"public", table + "_log"}.Sanitize()+` WHERE seq < $1`, int64(first))
				},
				Restart: func(t testing.TB, b ssehub.Broker) ssehub.Broker {
					engine.kill()
					engine.start(t)
					return opened(t, tableOf(b))
				},
			})
		})
	}
}

// The oldest events are deleted, the newest never, and with an event its idempotency
// key.
func TestBounds(t *testing.T) {
	engine := commonEngine(t)
	for name, test := range map[string]struct {
		opts postgres.Options
		age  time.Duration // of the first 150 events of 200
		want uint64        // that is kept first
	}{
		"default":  {postgres.Options{}, 0, 1},
		"events":   {postgres.Options{Events: 30}, 0, 171},
		"one":      {postgres.Options{Events: 1}, 0, 200},
		"age":      {postgres.Options{Age: time.Hour}, time.Hour, 151},
		"not yet":  {postgres.Options{Age: time.Hour}, 59 * time.Minute, 1},
		"both":     {postgres.Options{Age: time.Hour, Events: 100}, time.Hour, 151},
		"no age":   {postgres.Options{Age: -1}, 1000 * time.Hour, 1},
		"none":     {postgres.Options{Events: -1, Age: -1}, 1000 * time.Hour, 1},
		"all  old": {postgres.Options{Age: time.Nanosecond}, time.Hour, 200},
	} {
		t.Run(name, func(t *testing.T) {
			test.opts.Table = name
			log := open(t, engine, &test.opts)
			for i := range 200 {
				e := event("x")
				if i < 150 {
					e.Time = e.Time.Add(-test.age)
				}
				if i == 0 {
					e.IdempotencyKey = "k"
				}
				_, err := log.Append(t.Context(), e)
				require.NoError(t, err)
			}
			bounds := boundsOf(t, log)
			require.EqualValues(t, test.want, bounds.First)
			require.EqualValues(t, 200, bounds.Last)
			require.Len(t, strings.Fields(texts(t, log)), int(200-test.want+1))
			e := event("x")
			e.IdempotencyKey = "k"
			pos, err := log.Append(t.Context(), e)
			require.NoError(t, err)
			require.Equal(t, test.want == 1, pos.Seq == 1)
		})
	}
}

// What is appended in a transaction is there when that is committed, once for a key, and
// nothing is when it is rolled back, not even a hole.
func TestAppendTx(t *testing.T) {
	engine := commonEngine(t)
	log := open(t, engine, nil)
	pool, err := pgxpool.New(t.Context(), engine.url())
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `CREATE TABLE orders (id int)`)
	require.NoError(t, err)
	hub := ssehub.New(&ssehub.Options{Broker: log})
	defer hub.Close()
	sub, err := hub.Subscribe(t.Context(), "orders")
	require.NoError(t, err)
	defer sub.Close()

	order := func(id int, end error) (pos ssehub.Position) {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO orders VALUES ($1)`, id)
			require.NoError(t, err)
			pos, err = log.AppendTx(t.Context(), tx, ssehub.Event{
				Topics: []string{"orders"}, Message: sse.Message{Data: fmt.Append(nil, id)}, IdempotencyKey: fmt.Sprint(id),
			})
			require.NoError(t, err)
			require.Less(t, boundsOf(t, log).Last, pos.Seq, "it is there before the commit")
			return end
		})
		require.ErrorIs(t, err, end)
		return pos
	}
	require.EqualValues(t, 1, order(1, nil).Seq)
	require.EqualValues(t, 2, order(2, errors.New("changed my mind")).Seq)
	require.EqualValues(t, 2, order(3, nil).Seq)
	for _, want := range []string{"1", "3"} {
		require.Equal(t, want, string((<-sub.Events()).Data))
	}
	require.Equal(t, "1 3", texts(t, log))
	e := event("1")
	e.Topics, e.IdempotencyKey = []string{"orders"}, "1"
	pos, err := log.Append(t.Context(), e)
	require.NoError(t, err)
	require.EqualValues(t, 1, pos.Seq)
	require.WithinDuration(t, time.Now(), e.Time, patience)

	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := log.AppendTx(t.Context(), tx, ssehub.Event{})
		return err
	})
	require.ErrorIs(t, err, ssehub.ErrInvalidEvent)

	// A stricter transaction that began before somebody else appended fails as a whole.
	err = pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT FROM orders`)
		require.NoError(t, err)
		add(t, log, "between")
		_, err = log.AppendTx(t.Context(), tx, event("x"))
		return err
	})
	var of *pgconn.PgError
	require.ErrorAs(t, err, &of)
	require.Equal(t, "40001", of.Code)
}

// Numbers are in the order of the commits: whoever sees one has seen all before, with
// transactions that take their time, are rolled back, and appends beside them.
func TestOrderOfCommits(t *testing.T) {
	const writers, each = 8, 25
	engine := commonEngine(t)
	opts := &postgres.Options{Table: "commits"}
	log := open(t, engine, opts)
	start := ssehub.Position{Epoch: boundsOf(t, log).Epoch}
	pool, err := pgxpool.New(t.Context(), engine.url())
	require.NoError(t, err)
	defer pool.Close()
	var committed sync.Map
	var writing sync.WaitGroup
	for w := range writers {
		peer := open(t, engine, opts)
		writing.Go(func() {
			for i := range each {
				text := fmt.Sprint(w, "/", i)
				if w%2 == 0 {
					pos, err := peer.Append(t.Context(), event(text))
					if err != nil {
						t.Error(err)
					}
					committed.Store(pos.Seq, text)
					continue
				}
				undo := errors.New("undo")
				var pos ssehub.Position
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
					if pos, err = peer.AppendTx(t.Context(), tx, event(text)); err != nil {
						return err
					}
					if _, err = tx.Exec(t.Context(), `SELECT pg_sleep(0.002)`); err != nil {
						return err
					}
					if i%5 == 0 {
						return undo
					}
					return nil
				})
				if err == nil {
					committed.Store(pos.Seq, text)
				} else if err != undo {
					t.Error(err)
				}
			}
		})
	}
	const total = writers/2*each + writers/2*each*4/5
	var reading sync.WaitGroup
	for range 3 {
		reading.Go(func() {
			next := uint64(1)
			for e, err := range log.Read(t.Context(), ssehub.Range{After: start, Follow: true}) {
				if err != nil || e.Position.Seq != next {
					t.Errorf("%v, want %d: %v", e.Position, next, err)
					return
				}
				if next++; next > total {
					return
				}
			}
		})
	}
	writing.Wait()
	reading.Wait()
	n := uint64(0)
	for _, text := range strings.Fields(texts(t, log)) {
		n++
		want, _ := committed.Load(n)
		require.Equal(t, want, text)
	}
	require.EqualValues(t, total, n)
}

// Whoever drops or empties a table has every reader told, and numbers begin anew with
// another epoch. So they do for an operator who says so.
func TestEpochEnds(t *testing.T) {
	for name, test := range map[string]struct{ sql, want string }{
		"dropped":   {`DROP TABLE ssehub_log, ssehub_meta`, "after"},
		"half":      {`DROP TABLE ssehub_log`, "after"},
		"the other": {`DROP TABLE ssehub_meta`, "after"},
		"emptied":   {`TRUNCATE ssehub_meta`, "after"},
		"restored":  {`UPDATE ssehub_meta SET epoch = 'another1'`, "before after"},
	} {
		t.Run(name, func(t *testing.T) {
			engine := commonEngine(t)
			log := open(t, engine, nil)
			before := add(t, log, "before")
			var hubs []*ssehub.Hub
			var subs []*ssehub.Subscription
			for range 2 {
				hub := ssehub.New(&ssehub.Options{Broker: open(t, engine, nil)})
				defer hub.Close()
				sub, err := hub.Subscribe(t.Context(), "t")
				require.NoError(t, err)
				hubs, subs = append(hubs, hub), append(subs, sub)
			}
			engine.do(t, test.sql)
			after := add(t, log, "after")
			require.NotEqual(t, before.Epoch, after.Epoch)
			require.Equal(t, test.want, texts(t, log))
			for i, sub := range subs {
				var got []string
				for m := range sub.Events() {
					got = append(got, m.Type+string(m.Data))
					if string(m.Data) == "after" {
						break
					}
				}
				require.Contains(t, got[0], sse.TypeGap, "hub %d: %v", i, got)
				require.Contains(t, got[0], sse.ReasonEpoch)
				require.Equal(t, after, hubs[i].Position())
				sub.Close()
			}
			for _, err := range log.Read(t.Context(), ssehub.Range{After: before, Follow: true}) {
				require.ErrorIs(t, err, postgres.ErrEpoch)
			}
		})
	}
}

// A server that was a standby, or is recovered to a point in time, may have lost events:
// the epoch is another, and what is left is there. While it is a standby it has no log.
func TestTimeline(t *testing.T) {
	engine := startEngine(t)
	before := add(t, open(t, engine, nil), "before")
	engine.stop()
	require.NoError(t, os.WriteFile(filepath.Join(engine.dir, "data", "standby.signal"), nil, 0o644))
	engine.start(t)
	_, err := postgres.Open(t.Context(), engine.url(), nil)
	require.ErrorContains(t, err, "recovery is in progress")
	engine.do(t, `SELECT pg_promote()`)
	log := open(t, engine, nil)
	bounds := boundsOf(t, log)
	require.NotEqual(t, before.Epoch, bounds.Epoch)
	for _, err := range log.Read(t.Context(), ssehub.Range{After: before, Follow: true}) {
		require.ErrorIs(t, err, postgres.ErrEpoch)
	}
	after := add(t, log, "after")
	require.Equal(t, ssehub.Position{Epoch: bounds.Epoch, Seq: 2}, after)
	require.Equal(t, "before after", texts(t, log))
}

// Faults 94: where synchronous_commit is off a crash takes back what others have
// committed last, and nothing of the log, which would use its numbers again.
func TestAsynchronousCommit(t *testing.T) {
	engine := startEngine(t, "-c", "synchronous_commit=off", "-c", "wal_writer_delay=10s")
	engine.do(t, `CREATE TABLE other (n int)`)
	log := open(t, engine, nil)
	var kept []string
	for round := 1; ; round++ { // nothing is lost where the server happens to write just then
		engine.do(t, `CHECKPOINT`)
		conn, err := pgx.Connect(t.Context(), engine.url())
		require.NoError(t, err)
		require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			_, err := log.AppendTx(t.Context(), tx, event(fmt.Sprint("tx ", round)))
			return err
		}))
		add(t, log, fmt.Sprint("event ", round))
		kept = append(kept, fmt.Sprint("tx ", round), fmt.Sprint("event ", round))
		engine.do(t, `INSERT INTO other VALUES (1)`)
		engine.kill()
		_ = conn.Close(t.Context())
		engine.start(t)
		log = open(t, engine, nil)
		require.Equal(t, strings.Join(kept, " "), texts(t, log))
		if engine.ask(t, `SELECT count(*) FROM other`) < round {
			return
		}
		require.Less(t, round, 10, "nothing is ever lost, so this shows nothing")
	}
}

// Many that find no tables make them once.
func TestOpenAtOnce(t *testing.T) {
	engine := commonEngine(t)
	for range 5 {
		engine.do(t, `DROP TABLE IF EXISTS once_log, once_meta`)
		var epochs sync.Map
		var opening sync.WaitGroup
		for range 10 {
			opening.Go(func() {
				log, err := postgres.Open(t.Context(), engine.url(), &postgres.Options{Table: "once"})
				if err != nil {
					t.Error(err)
					return
				}
				defer log.Close()
				pos, err := log.Append(t.Context(), event("x"))
				if err != nil {
					t.Error(err)
				}
				epochs.Store(pos.Epoch, true)
			})
		}
		opening.Wait()
		n := 0
		epochs.Range(func(any, any) bool { n++; return true })
		require.Equal(t, 1, n)
	}
}

// Two who fill the tables at the same time, such as an operator and a hub, do not make a
// log of two lives: the second is told.
func TestOneRow(t *testing.T) {
	engine := commonEngine(t)
	log := open(t, engine, nil)
	first := add(t, log, "1")
	conn, err := pgx.Connect(t.Context(), engine.url())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `INSERT INTO ssehub_meta VALUES ('another1', '', 0)`)
	require.ErrorContains(t, err, "duplicate key")
	require.Equal(t, first.Epoch, add(t, log, "2").Epoch)
}

// A user that may not make tables uses those that are given.
func TestGivenTables(t *testing.T) {
	engine := commonEngine(t)
	engine.do(t, `CREATE TABLE given_log (seq bigint PRIMARY KEY, time timestamptz NOT NULL, once bytea UNIQUE, event bytea NOT NULL)`)
	engine.do(t, `CREATE TABLE given_meta (epoch text NOT NULL, timeline text NOT NULL, last bigint NOT NULL)`)
	engine.do(t, `CREATE UNIQUE INDEX ON given_meta ((true))`)
	engine.do(t, `INSERT INTO given_meta VALUES ('abcdefgh', '', 0)`)
	engine.do(t, `CREATE USER modest`)
	engine.do(t, `GRANT SELECT, INSERT, UPDATE, DELETE ON given_log, given_meta TO modest`)
	url := strings.Replace(engine.url(), "postgres@", "modest@", 1)
	log, err := postgres.Open(t.Context(), url, &postgres.Options{Table: "given"})
	require.NoError(t, err)
	defer log.Close()
	require.EqualValues(t, 1, add(t, log, "x").Seq)
	require.Equal(t, "x", texts(t, log))
	_, err = postgres.Open(t.Context(), url, &postgres.Options{Table: "more"})
	require.ErrorContains(t, err, "permission denied")
}

// listening waits until somebody waits for news.
func listening(t testing.TB, engine *engine) {
	t.Helper()
	require.Eventually(t, func() bool {
		return engine.ask(t, `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`) > 0
	}, patience, 10*time.Millisecond)
}

// awayForms are how a server can be away.
var awayForms = map[string]struct {
	begin func(*engine)
	end   func(testing.TB, *engine)
}{
	"killed": {(*engine).kill, func(t testing.TB, e *engine) { e.start(t) }},
	"stalled": {
		func(e *engine) { e.signal(syscall.SIGSTOP, true) },
		func(_ testing.TB, e *engine) { e.signal(syscall.SIGCONT, true) },
	},
}

// While no server is there, or one that does not answer, Append and Bounds end with
// their context, a Read by itself, and all work again when it is back.
func TestServerAway(t *testing.T) {
	for name, away := range awayForms {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t)
			log := open(t, engine, nil)
			last := add(t, log, "1")
			ended := make(chan error, 1)
			go func() {
				for _, err := range log.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
					ended <- err
				}
			}()
			listening(t, engine)
			away.begin(engine)
			for _, call := range []func(ctx context.Context) error{
				func(ctx context.Context) error { _, err := log.Append(ctx, event("x")); return err },
				func(ctx context.Context) error { _, err := log.Bounds(ctx); return err },
				func(ctx context.Context) (err error) {
					for _, err = range log.Read(ctx, ssehub.Range{After: last, Until: last.Seq + 10}) {
					}
					return err
				},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				began := time.Now()
				require.Error(t, call(ctx))
				require.Less(t, time.Since(began), 4*time.Second)
				cancel()
			}
			require.Error(t, receive(t, ended))
			away.end(t, engine)
			require.Eventually(t, func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				_, err := log.Append(ctx, event("2"))
				return err == nil
			}, patience, time.Millisecond)
			require.Contains(t, texts(t, log), "2")
			for e, err := range log.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
				require.NoError(t, err)
				require.EqualValues(t, 2, e.Position.Seq)
				break
			}
		})
	}
}

// A transaction of the application's that stays open holds up who appends, for as long
// as their contexts allow, and nobody who reads.
func TestOpenTransaction(t *testing.T) {
	engine := commonEngine(t)
	log := open(t, engine, &postgres.Options{Table: "held"})
	add(t, log, "1")
	conn, err := pgx.Connect(t.Context(), engine.url())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = log.AppendTx(t.Context(), tx, event("2"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = log.Append(ctx, event("given up"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, "1", texts(t, log))
	appended := make(chan error, 1)
	go func() {
		_, err := log.Append(t.Context(), event("3"))
		appended <- err
	}()
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, receive(t, appended))
	require.Regexp(t, "^1 2 (given up )?3$", texts(t, log)) // an event of an Append that failed may be there
}

// Close ends who publishes.
func TestClose(t *testing.T) {
	log := open(t, commonEngine(t), &postgres.Options{Table: "closed"})
	ended := make(chan error, 4)
	for range 4 {
		go func() {
			for {
				if _, err := log.Append(context.Background(), event("x")); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	require.Eventually(t, func() bool { return boundsOf(t, log).Last > 10 }, patience, time.Millisecond)
	log.Close()
	log.Close()
	for range 4 {
		require.ErrorIs(t, receive(t, ended), postgres.ErrClosed)
	}
}

// What is no event does not end a Read.
func TestBadEntry(t *testing.T) {
	engine := commonEngine(t)
	log := open(t, engine, &postgres.Options{Table: "bad"})
	start := ssehub.Position{Epoch: boundsOf(t, log).Epoch}
	engine.do(t, `INSERT INTO bad_log VALUES (1, now(), NULL, 'what is this')`)
	engine.do(t, `UPDATE bad_meta SET last = 1`)
	timeless := event("x")
	timeless.Time = time.Time{}
	last, err := log.Append(t.Context(), timeless)
	require.NoError(t, err)
	var bad, good int
	for e, err := range log.Read(t.Context(), ssehub.Range{After: start, Until: last.Seq}) {
		if errors.Is(err, ssehub.ErrInvalidEvent) {
			bad++
			require.EqualValues(t, 1, e.Position.Seq)
			continue
		}
		require.NoError(t, err)
		good++
	}
	require.Equal(t, [2]int{1, 1}, [2]int{bad, good})
	_, err = log.Append(t.Context(), ssehub.Event{})
	require.ErrorIs(t, err, ssehub.ErrInvalidEvent)
}

// A notification that does not come costs no more than Poll.
func TestPollWithoutNews(t *testing.T) {
	engine := commonEngine(t)
	silent := open(t, engine, &postgres.Options{Table: "silent", PollOnly: true})
	log := open(t, engine, &postgres.Options{Table: "silent", Poll: 20 * time.Millisecond})
	last := add(t, silent, "1")
	got := make(chan error, 1)
	go func() {
		for e, err := range log.Read(t.Context(), ssehub.Range{After: last, Follow: true}) {
			got <- errors.Join(err, errors.New(string(e.Message.Data)))
			return
		}
	}()
	listening(t, engine)
	add(t, silent, "2")
	require.EqualError(t, receive(t, got), "2")
}

var events = flag.Int("events", 0, "for TestNodes; 0: a few")

// Two hubs whose clients hop between them, while the server is killed and started.
func TestNodes(t *testing.T) {
	engine := startEngine(t)
	brokertest.RunNodes(t, brokertest.Nodes{
		Open: func(t testing.TB) ssehub.Broker {
			return open(t, engine, &postgres.Options{Events: -1})
		},
		Disturb: func(t testing.TB) { engine.kill(); engine.start(t) },
		Events:  *events,
		Timeout: 5 * time.Minute,
	})
}

var outage = flag.Duration("outage", 0, "how long TestOutage has the server away; 0: a few seconds")

// Fault 94: two hubs whose server is killed, or does not answer, and clients that do
// not notice.
func TestOutage(t *testing.T) {
	for name, away := range awayForms {
		t.Run(name, func(t *testing.T) {
			engine := startEngine(t)
			t.Parallel()
			brokertest.RunOutage(t, brokertest.Outage{
				Open: func(t testing.TB) ssehub.Broker { return open(t, engine, nil) },
				Down: func(testing.TB) { away.begin(engine) },
				Up:   func(t testing.TB) { away.end(t, engine) },
				For:  *outage,
			})
		})
	}
}

// Faults 93 and 94: what the log has lost is told at each of two hubs.
func TestLosses(t *testing.T) {
	engine := commonEngine(t)
	do := func(sql string) func(testing.TB) { return func(t testing.TB) { engine.do(t, sql) } }
	brokertest.RunLosses(t, brokertest.Losses{
		Open: func(t testing.TB) ssehub.Broker {
			return open(t, engine, &postgres.Options{Poll: 100 * time.Millisecond})
		},
		Trims: map[string]func(testing.TB, uint64){
			"trimmed": func(t testing.TB, first uint64) { engine.do(t, `DELETE FROM ssehub_log WHERE seq < $1`, int64(first)) },
			"emptied": func(t testing.TB, _ uint64) { engine.do(t, `TRUNCATE ssehub_log`) },
		},
		Ends: map[string]func(testing.TB){
			"truncated": do(`TRUNCATE ssehub_log, ssehub_meta`),
			"half":      do(`TRUNCATE ssehub_meta`),
			"dropped":   do(`DROP TABLE ssehub_log, ssehub_meta`),
			"log alone": do(`DROP TABLE ssehub_log`),
			"restored":  do(`UPDATE ssehub_meta SET epoch = 'another1'`),
			"made anew": do(`DO $$ BEGIN
				DROP TABLE ssehub_log, ssehub_meta;
				CREATE TABLE ssehub_log (seq bigint PRIMARY KEY, time timestamptz NOT NULL, once bytea UNIQUE, event bytea NOT NULL);
				CREATE TABLE ssehub_meta (epoch text NOT NULL, timeline text NOT NULL, last bigint NOT NULL);
				CREATE UNIQUE INDEX ON ssehub_meta ((true));
				INSERT INTO ssehub_meta VALUES ('another2', '', 0);
			END $$`),
		},
	})
}

func BenchmarkAppend(b *testing.B) {
	log := open(b, startEngine(b, "-c", "fsync=on"), nil)
	for b.Loop() {
		_, err := log.Append(b.Context(), event("x"))
		require.NoError(b, err)
	}
}

func BenchmarkAppendMany(b *testing.B) {
	log := open(b, startEngine(b, "-c", "fsync=on"), nil)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := log.Append(context.Background(), event("x")); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	log := open(b, startEngine(b, "-c", "fsync=on"), nil)
	start := ssehub.Position{Epoch: boundsOf(b, log).Epoch}
	for range 1000 {
		_, err := log.Append(b.Context(), event("x"))
		require.NoError(b, err)
	}
	for b.Loop() {
		n := 0
		for _, err := range log.Read(b.Context(), ssehub.Range{After: start, Until: 1000}) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, 1000, n)
	}
}

// How fast a hub follows a server that syncs.
func BenchmarkFollow(b *testing.B) {
	brokertest.BenchmarkFollow(b, func(t testing.TB) ssehub.Broker {
		return open(t, startEngine(t, "-c", "fsync=on"), &postgres.Options{Events: -1})
	})
}
