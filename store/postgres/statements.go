package postgres

import (
	"fmt"
	"time"

	"github.com/npmauth/npmauth/store"
)

// statements are the queries of one store. Every name in them has its schema, so that the
// search path of a role changes nothing.
//
// Arrays are wrapped in a SELECT, which hides their length from the planner. If it saw the
// length, it would make a new plan for each call, because one for few elements seems to cost
// less than the kept one.
type statements struct {
	get, list, expired string
	commit             string
	poll, trim         string
}

// A read ends in a row of its own, and so in an error, if the server is a replica: a connection
// is checked when it is new, but a pooler may connect it to another server later.
const (
	columns     = `SELECT key, value, rev, expires FROM {s}.npmauth `
	unlessStale = ` UNION ALL SELECT '', NULL, -1, NULL WHERE pg_is_in_recovery()`
)

// lockSQL takes the locks $1, in the given order, shared if $2 says so. They last until the
// transaction ends.
const lockSQL = `
SELECT count(CASE WHEN shared THEN pg_advisory_xact_lock_shared(lock) ELSE pg_advisory_xact_lock(lock) END)
FROM unnest((SELECT $1::bigint[]), (SELECT $2::boolean[])) AS l (lock, shared)`

// The results of a commit, beside the revision of its puts.
const (
	committed = iota
	conflict
	wrongIsolation
	notDurable
)

// commitSQL carries out ops if all their preconditions are met, else does nothing. The
// operations are the elements of $1 to $5; $6 permits settings that are not durable.
//
// Each revision is looked up by itself: joined, a plan made for a small table would read the
// whole of a large one. A conflict is a result and no error, which the server would log.
const commitSQL = `
WITH op AS MATERIALIZED (
	SELECT * FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::smallint[]),
		(SELECT $4::bytea[]), (SELECT $5::timestamptz[])) AS o (key, at, action, value, expires)
), verdict AS MATERIALIZED (
	SELECT CASE
		WHEN current_setting('transaction_isolation') <> 'read committed' THEN 2
		WHEN NOT $6::boolean AND (current_setting('synchronous_commit') = 'off'
			OR NOT current_setting('fsync')::boolean) THEN 3
		WHEN EXISTS (SELECT FROM op WHERE at <> -1 AND at <> coalesce(
			(SELECT i.rev FROM {s}.npmauth i WHERE i.key = op.key), 0)) THEN 1
		ELSE 0 END AS verdict
), next AS MATERIALIZED (
	SELECT nextval('{s}.npmauth_rev') AS rev FROM verdict
	WHERE verdict = 0 AND EXISTS (SELECT FROM op WHERE action = 1)
), put AS (
	INSERT INTO {s}.npmauth (key, value, rev, expires)
	SELECT op.key, op.value, next.rev, op.expires FROM op, next WHERE op.action = 1
	ON CONFLICT (key) DO UPDATE SET value = excluded.value, rev = excluded.rev, expires = excluded.expires
), del AS (
	DELETE FROM {s}.npmauth WHERE key = ANY (ARRAY(SELECT op.key FROM op, verdict WHERE verdict = 0 AND action = 2))
), change AS (
	INSERT INTO {s}.npmauth_change (xid, keys)
	SELECT pg_current_xact_id(), array_agg(op.key) FROM op, verdict WHERE verdict = 0 AND action <> 0
	HAVING count(*) > 0
)
SELECT verdict, coalesce((SELECT rev FROM next), 0) FROM verdict`

func newStatements(schema string) statements {
	grace := fmt.Sprintf("interval '%d microseconds'", store.SweepGrace/time.Microsecond)
	return statements{
		get:  in(schema, columns+`WHERE key = ANY ((SELECT $1::text[])::text[])`+unlessStale),
		list: in(schema, `(`+columns+`WHERE key >= $1::text AND key < $2::text ORDER BY key LIMIT $3)`+unlessStale),
		expired: in(schema, `(`+columns+`WHERE expires < least($1::timestamptz, now() - `+grace+`)
			ORDER BY expires LIMIT $2)`+unlessStale),
		commit: in(schema, commitSQL),
		poll:   in(schema, pollSQL),
		trim:   in(schema, trimSQL),
	}
}
