package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// The application_id identifies a file as npmauth's. Its user_version is the schema, which is
// the number of steps that it has gone through: a file with a higher one was written by a newer
// release and is not opened.
const applicationID = 0x6e706d61 // "npma"

// steps create the tables. A new file goes through all of them, so that it is the same as one
// that an older release began. Released steps do not change.
//
// A process of an older release may have the file open while a newer one carries out a step.
// Its statements continue to work as long as the tables that they name exist, so a step after
// which they would do harm has to remove these tables.
var steps = [...]string{
	`CREATE TABLE item (
		key     TEXT    NOT NULL PRIMARY KEY,
		value   BLOB    NOT NULL,
		rev     INTEGER NOT NULL,
		expires INTEGER -- µs since 1970; NULL: never
	) STRICT, WITHOUT ROWID;
	CREATE INDEX item_expires ON item (expires) WHERE expires IS NOT NULL;
	CREATE TABLE counter (last INTEGER NOT NULL) STRICT;
	INSERT INTO counter (last) VALUES (0);
	PRAGMA application_id = 0x6e706d61;`,

	// The log that Watch reads. A process that does not know the log would write without an
	// entry in it, and a revocation would go unreported: with its table renamed, each of its
	// calls is an error.
	`ALTER TABLE item RENAME TO items;
	CREATE TABLE change (
		seq  INTEGER PRIMARY KEY, -- one more than the row before it: no holes
		keys TEXT NOT NULL        -- one a line
	) STRICT;
	INSERT INTO change (seq, keys) VALUES (1, '');`,
}

// prepare brings the tables of the file, which may be new, up to the last step.
func prepare(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var mode string
	var sync int
	if err := errors.Join(
		conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode),
		conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync),
	); err != nil {
		return err
	}
	if mode != "wal" || sync != 2 {
		return fmt.Errorf("the file cannot be written durably: journal_mode is %s, synchronous is %d", mode, sync)
	}

	// A file that is up to date stays so, and needs no write lock: while other processes write
	// without a pause, that might not be got in time.
	if done, err := schemaOf(ctx, conn); err != nil || done == len(steps) {
		return err
	}

	// From here on with the write lock: another process may open the file just now. All steps
	// are one transaction, the schema number with them, so that a process that is killed on the
	// way has done nothing. Open retries soon when another process has the lock, which finds the
	// pauses better than SQLite's wait.
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err = migrate(ctx, conn)
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	_, endErr := conn.ExecContext(ctx, end)
	return errors.Join(err, endErr)
}

// schemaOf returns how many of the steps the file has gone through, or an error if it is not
// one of npmauth's or was written by a newer release.
func schemaOf(ctx context.Context, conn *sql.Conn) (version int, err error) {
	var application, tables int
	// In one statement: another process may be at the steps just now.
	err = conn.QueryRowContext(ctx, `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&application, &version, &tables)
	if err != nil {
		return 0, err
	}
	fresh := application == 0 && version == 0 && tables == 0
	switch {
	case !fresh && application != applicationID:
		return 0, errors.New("the file is a database of something else")
	case !fresh && version < 1 || version > len(steps):
		return 0, fmt.Errorf("the file has schema %d and this release knows 1 to %d", version, len(steps))
	}
	return version, nil
}

func migrate(ctx context.Context, conn *sql.Conn) error {
	version, err := schemaOf(ctx, conn)
	if err != nil {
		return err
	}
	for ; version < len(steps); version++ {
		if _, err := conn.ExecContext(ctx, steps[version]+fmt.Sprintf("PRAGMA user_version = %d;", version+1)); err != nil {
			return fmt.Errorf("from schema %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}
