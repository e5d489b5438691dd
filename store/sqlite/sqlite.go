// Package sqlite keeps a [store.Store] in one SQLite file, without cgo: the
// backend to begin with, and all that a registry on one machine needs.
//
//	st, err := sqlite.Open("auth.db")
//	…
//	defer st.Close()
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL: a Commit that returned nil has
// been synced to the disk and survives a crash of the process, and one of the
// machine as far as its disk keeps what it acknowledged. Commits that wait at the
// same time share one sync. The file and those that SQLite puts beside it
// (-wal, -shm) belong together, and must be on a local disk: SQLite's locks do
// not hold on network file systems. Back up with SQLite's own tools (VACUUM INTO,
// .backup), not by copying the file alone.
//
// # Several processes
//
// Processes on one machine may open one file. They take turns to write, and wait
// up to five seconds for their turn.
//
// # Privacy
//
// A new file can be read by its owner only. The values in it are not encrypted:
// that is what [store.Seal] is for.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"github.com/npmauth/npmauth/store"
)

// schemaVersion is in the file's user_version. A file with a higher one was
// written by a newer release and is not opened.
const schemaVersion = 1

const schema = `
CREATE TABLE item (
	key     TEXT    NOT NULL PRIMARY KEY,
	value   BLOB    NOT NULL,
	rev     INTEGER NOT NULL,
	expires INTEGER -- µs since 1970; NULL: never
) STRICT, WITHOUT ROWID;
CREATE INDEX item_expires ON item (expires) WHERE expires IS NOT NULL;
CREATE TABLE counter (last INTEGER NOT NULL) STRICT;
INSERT INTO counter (last) VALUES (0);
PRAGMA user_version = 1;
`

// A Store is a [store.Store] in one file. Make one with [Open].
type Store struct {
	write *sql.DB // one connection, which writes
	read  *sql.DB // connections that cannot
	turns queue
}

// Open opens the file at path, or makes it if it does not exist. The directory
// must exist.
func Open(path string) (*Store, error) {
	if path == "" || strings.Contains(path, "\x00") || path == ":memory:" {
		return nil, fmt.Errorf("sqlite: open %q: the path of a file is needed; store.NewMemory is for memory", path)
	}
	// SQLite gives the files beside it the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s := &Store{}
	if s.write, err = open(path, 1, "_txlock=immediate"); err != nil {
		return nil, err
	}
	if err := s.prepare(context.Background()); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if s.read, err = open(path, max(4, 2*runtime.GOMAXPROCS(0)), "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	return s, nil
}

// open opens a pool of connections that are all set up alike.
func open(path string, conns int, more string) (*sql.DB, error) {
	dsn := "file:" + strings.ReplaceAll(url.PathEscape(path), "%2F", "/") +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// prepare makes the tables in a new file and checks those of an old one.
func (s *Store) prepare(ctx context.Context) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	defer tx.Rollback()
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	switch version {
	case schemaVersion:
		return nil
	case 0:
	default:
		return fmt.Errorf("sqlite: open: the file has schema %d and this release knows %d", version, schemaVersion)
	}
	var tables int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	if tables != 0 {
		return errors.New("sqlite: open: the file is a database of something else")
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("sqlite: make the tables: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlite: make the tables: %w", err)
	}
	return nil
}

// Close waits for the commits that are under way and closes the file. Every call
// after it is an error, but for Close itself.
func (s *Store) Close() error {
	if !s.turns.close() {
		return nil
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

var _ interface {
	store.Store
	store.Sweeper
} = (*Store)(nil)
