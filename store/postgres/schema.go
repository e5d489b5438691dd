package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// in replaces "{s}" by the name of the schema.
func in(schema, query string) string {
	return strings.ReplaceAll(query, "{s}", pgx.Identifier{schema}.Sanitize())
}

// migrations create the tables, and each later one changes what the ones before created. The
// number of migrations that were carried out is the version of the schema. They are never
// edited, and a release that is still running must work with what a newer one adds.
var migrations = []string{
	// Keys compare by their bytes whatever the locale of the database. Revisions come from one
	// sequence for all keys and for ever: not even a transaction that fails returns one.
	`CREATE TABLE {s}.npmauth (
		key text COLLATE "C" NOT NULL PRIMARY KEY,
		value bytea NOT NULL,
		rev bigint NOT NULL CHECK (rev > 0),
		expires timestamptz
	);
	CREATE SEQUENCE {s}.npmauth_rev AS bigint NO CYCLE`,

	`CREATE INDEX npmauth_expires ON {s}.npmauth (expires) WHERE expires IS NOT NULL`,

	// See poll and trim in watch.go. The changes are of no use after a crash or on another
	// server, because no Watch outlives its connection: so the table is not logged.
	`CREATE UNLOGGED TABLE {s}.npmauth_change (
		xid xid8 NOT NULL,
		keys text[] NOT NULL
	);
	CREATE INDEX npmauth_change_xid ON {s}.npmauth_change (xid);
	CREATE TABLE {s}.npmauth_trim (
		one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
		at timestamptz NOT NULL,
		horizon xid8 NOT NULL,
		trimmed xid8 NOT NULL
	);
	INSERT INTO {s}.npmauth_trim (at, horizon, trimmed)
		VALUES (now(), pg_snapshot_xmin(pg_current_snapshot()), '0')`,
}

// migrate carries out the steps that are missing. Each is one transaction together with the new
// version, so that after any interruption it continues where it stopped.
func migrate(ctx context.Context, conn *pgx.Conn, schema string, steps []string) error {
	for {
		have, err := version(ctx, conn, schema)
		switch {
		case err != nil:
			return err
		case have > len(steps):
			return fmt.Errorf("the database has schema %d and this release knows %d", have, len(steps))
		case have == len(steps):
			return nil
		}
		err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			return step(ctx, tx, schema, steps)
		})
		if err != nil {
			return err
		}
	}
}

// step carries out one of the steps, unless another node was quicker.
func step(ctx context.Context, tx pgx.Tx, schema string, steps []string) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", digest("npmauth schema\x00"+schema)); err != nil {
		return err
	}
	have, err := version(ctx, tx, schema)
	if err != nil || have >= len(steps) {
		return err
	}
	if have == 0 {
		if err := makeVersion(ctx, tx, schema); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, in(schema, steps[have])); err != nil {
		return fmt.Errorf("schema %d: %w", have+1, err)
	}
	_, err = tx.Exec(ctx, in(schema, "UPDATE {s}.npmauth_version SET version = $1"), have+1)
	return err
}

func makeVersion(ctx context.Context, tx pgx.Tx, schema string) error {
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema).Scan(&exists); err != nil {
		return err
	}
	if !exists { // IF NOT EXISTS would need the privilege in any case
		if _, err := tx.Exec(ctx, in(schema, "CREATE SCHEMA {s}")); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, in(schema, `
		CREATE TABLE {s}.npmauth_version (
			one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
			version integer NOT NULL
		);
		INSERT INTO {s}.npmauth_version (version) VALUES (0)`))
	return err
}

// version returns the version of the schema, 0 if there is none yet.
func version(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, schema string) (int, error) {
	var exists bool
	err := db.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = 'npmauth_version')`, schema).Scan(&exists)
	if err != nil || !exists {
		return 0, err
	}
	var have int
	err = db.QueryRow(ctx, in(schema, "SELECT version FROM {s}.npmauth_version")).Scan(&have)
	if err == nil && have < 1 {
		err = errors.New("the version is not positive")
	}
	if err != nil {
		return 0, fmt.Errorf("the table npmauth_version: %w", err)
	}
	return have, nil
}

// digest returns the number of the advisory lock with that name.
func digest(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
