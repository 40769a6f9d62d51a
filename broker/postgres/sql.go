package postgres

import (
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
	words := strings.NewReplacer("LOG", name("_log"), "META", name("_meta"), "TIMELINE", timeline).Replace
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
			coalesce((SELECT min(seq) FROM LOG), last + 1), last FROM META`),
		// One row without an event if there is none; up to a number, and a size. The number
		// is no bound of the inner query: for a range of two the server's general plan,
		// which it keeps, reads and sorts all that is behind $1.
		page: words(`SELECT CASE WHEN timeline = TIMELINE THEN epoch ELSE '' END, seq, event
			FROM META LEFT JOIN (
				SELECT seq, event, octet_length(event) AS size, sum(octet_length(event)) OVER (ORDER BY seq) AS total
				FROM (SELECT seq, event FROM LOG WHERE seq > $1 ORDER BY seq LIMIT 256) AS part WHERE seq <= $2
			) AS page ON total - size < 1048576 ORDER BY seq`),
		// Until the commit nobody else appends. The statements behind it see what was
		// committed before. The commit waits for the disk at least: where it did not, a
		// crash would take events back that readers have, and their numbers be used again.
		lock: words(`SELECT CASE current_setting('synchronous_commit') WHEN 'off'
			THEN set_config('synchronous_commit', 'local', true) END FROM META FOR UPDATE`),
		begin: words(`UPDATE META SET epoch = $1, timeline = TIMELINE WHERE timeline <> TIMELINE`),
		append: words(`WITH old AS (SELECT seq FROM LOG WHERE once = $1),
			new AS (UPDATE META SET last = last + 1 WHERE NOT EXISTS (SELECT FROM old) RETURNING epoch, last),
			put AS (INSERT INTO LOG (seq, time, once, event) SELECT last, $2, $1, $3 FROM new)
			SELECT epoch, last FROM new UNION ALL SELECT epoch, seq FROM old, META`),
		notify: `SELECT pg_notify(` + literal(table) + `, '')`,
		listen: `LISTEN ` + pgx.Identifier{table}.Sanitize(),
		// All that is before the first that is neither too many nor too old. Two at once
		// take turns: one that skipped what the other has in hand could commit first, and
		// events would be gone that come behind First.
		trim: words(`DELETE FROM LOG WHERE seq IN (SELECT seq FROM LOG WHERE seq < (
				SELECT least((SELECT max(seq) FROM LOG), greatest(last - $1::bigint + 1,
					coalesce((SELECT seq FROM LOG WHERE time >= $2 ORDER BY seq LIMIT 1), last))) FROM META
			) ORDER BY seq LIMIT 1000 FOR UPDATE)`),
	}
}
