package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements are in the words of one log.
type statements struct {
	there, filled, fill string
	make                []string
	bounds, page        string
	lock, begin, append string
	notify, listen      string
	trim                string
}

// A plan that the server keeps, or makes from statistics that it does not have yet, may
// read the whole log for each statement. Both settings end with their transaction.
const (
	// inOrder leaves one plan for what is read in the order of an index, so that the one
	// that is kept is right.
	inOrder = `SELECT set_config('enable_sort', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`
	// anew has plans made for what the log is now.
	anew = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`
)

// timeline is the one that the server writes. It is an error on a standby, which may
// lag.
const timeline = `left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)`

// statementsFor fills in the names of the tables.
func statementsFor(table string) statements {
	name := func(suffix string) string {
		parts := strings.Split(table, ".")
		parts[len(parts)-1] += suffix
		return pgx.Identifier(parts).Sanitize()
	}
	literal := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	words := strings.NewReplacer("LOG", name("_log"), "META", name("_meta"), "TIMELINE", timeline,
		"EVENTS", fmt.Sprint(pageEvents), "BYTES", fmt.Sprint(pageBytes)).Replace
	return statements{
		there: `SELECT to_regclass(` + literal(name("_log")) + `) IS NOT NULL
			AND to_regclass(` + literal(name("_meta")) + `) IS NOT NULL`,
		filled: words(`SELECT EXISTS (SELECT FROM META)`),
		make: []string{
			words(`DROP TABLE IF EXISTS LOG, META`),
			words(`CREATE TABLE LOG (seq bigint PRIMARY KEY, time timestamptz NOT NULL, once bytea UNIQUE, event bytea NOT NULL)`),
			words(`CREATE TABLE META (epoch text NOT NULL, timeline text NOT NULL, last bigint NOT NULL)`),
			words(`CREATE UNIQUE INDEX ON META ((true))`), // one row
		},
		fill: words(`INSERT INTO META VALUES ($1, TIMELINE, 0)`),
		// An empty epoch is one that is over.
		bounds: words(`SELECT CASE WHEN timeline = TIMELINE THEN epoch ELSE '' END,
			coalesce((SELECT seq FROM LOG ORDER BY seq LIMIT 1), last + 1), last FROM META`),
		// One row without an event if there is none; up to a number, and pageEvents and
		// pageBytes. The order is that of the innermost query, as there is nothing to sort.
		page: words(`SELECT CASE WHEN timeline = TIMELINE THEN epoch ELSE '' END, seq, event
			FROM META LEFT JOIN (
				SELECT seq, event, octet_length(event) AS size, sum(octet_length(event)) OVER (ORDER BY seq) AS total
				FROM (SELECT seq, event FROM LOG WHERE seq > $1 ORDER BY seq LIMIT EVENTS) AS part WHERE seq <= $2
			) AS page ON total - size < BYTES`),
		// Until the commit nobody else appends. The statements behind it see what was
		// committed before. The commit waits for the disk at least: where it did not, a
		// crash would take events back that readers have, and their numbers be used again.
		lock: words(`SELECT CASE current_setting('synchronous_commit') WHEN 'off'
			THEN set_config('synchronous_commit', 'local', true) END FROM META FOR UPDATE`),
		begin: words(`UPDATE META SET epoch = $1, timeline = TIMELINE WHERE timeline <> TIMELINE`),
		// Those whose key is there return that one's number, by the index alone, whatever
		// the server believes of the log. The row is written once for all: its old versions
		// are in the way of all that read it until the commit, and some time longer. LIMIT 1
		// has the server expect one row: by hundreds it would compile the plan, for 60 ms.
		append: words(`WITH put AS (
				INSERT INTO LOG (seq, time, once, event) SELECT last + n, given.time, given.once, given.event
				FROM (SELECT last FROM META LIMIT 1) AS row, unnest($1::bytea[], $2::timestamptz[], $3::bytea[]) WITH ORDINALITY AS given (once, time, event, n)
				ORDER BY n ON CONFLICT (once) DO UPDATE SET once = excluded.once RETURNING seq),
			new AS (UPDATE META SET last = greatest(last, (SELECT max(seq) FROM put)) RETURNING epoch)
			SELECT (SELECT epoch FROM new), seq FROM put`),
		notify: `SELECT pg_notify(` + literal(table) + `, '')`,
		listen: `LISTEN ` + pgx.Identifier{table}.Sanitize(),
		// All that is before the first that is neither too many nor too old. Two at once
		// take turns: one that skipped what the other has in hand could commit first, and
		// events would be gone that come behind First.
		trim: words(`DELETE FROM LOG WHERE seq = ANY (ARRAY(SELECT seq FROM LOG WHERE seq < (
				SELECT least((SELECT max(seq) FROM LOG), greatest(last - $1::bigint + 1,
					coalesce((SELECT seq FROM LOG WHERE time >= $2 ORDER BY seq LIMIT 1), last))) FROM META
			) ORDER BY seq LIMIT 1000 FOR UPDATE))`),
	}
}
