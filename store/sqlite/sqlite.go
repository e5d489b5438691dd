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
// up to five seconds for their turn; a Commit that has waited so long is an error
// and wrote nothing. No other program must write to the file while one is open.
//
// # Privacy
//
// A new file can be read and written by its owner only, and one that every user
// of the machine may read or write is not opened. The values in it are not
// encrypted: that is what [store.Seal] is for.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver

	"github.com/npmauth/npmauth/store"
)

// A file is ours by its application_id. Its user_version is the schema: a file
// with a higher one was written by a newer release and is not opened.
const (
	applicationID = 0x6e706d61 // "npma"
	schemaVersion = 1
)

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
PRAGMA application_id = 0x6e706d61;
PRAGMA user_version = 1;
`

// What a connection is opened with. Writers of other processes are waited for;
// fullfsync makes a sync reach the disk on macOS too and is nothing elsewhere.
const pragmas = "_pragma=busy_timeout(5000)" +
	"&_pragma=journal_mode(WAL)" +
	"&_pragma=synchronous(FULL)" +
	"&_pragma=fullfsync(1)" +
	"&_pragma=checkpoint_fullfsync(1)" +
	"&_pragma=foreign_keys(1)"

// A Store is a [store.Store] in one file. Make one with [Open].
type Store struct {
	readers *sql.DB // connections that cannot write
	gets    [len(getSizes)]*sql.Stmt
	list    *sql.Stmt
	expired *sql.Stmt

	writers *sql.DB // one connection
	writer  *writer // nil after it failed; used by whoever carries out commits
	queue   queue
}

var opening sync.Mutex // see makeFile

// Open opens the file at path, or makes it if it does not exist. The directory
// must exist.
func Open(path string) (*Store, error) {
	opening.Lock()
	defer opening.Unlock()
	path, err := makeFile(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	s := &Store{}
	if err := s.open(context.Background(), path); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", errors.Join(err, s.release()))
	}
	return s, nil
}

// makeFile makes the file if there is none, so that it has the right mode from
// the beginning; SQLite gives the files beside it the same. It returns the
// absolute path.
//
// A file that exists is left to SQLite to open: closing a descriptor of it would
// drop the locks that another handle of this process has on it. So that it cannot
// be a new one either, handles are opened one after the other.
func makeFile(path string) (string, error) {
	if path == "" || path == ":memory:" || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%q is not the path of a file (store.NewMemory is for memory)", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("every user may use %s (mode %#o): take that away with chmod o-rwx", path, info.Mode().Perm())
	}
	return path, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if s.writers, err = pool(path, 1); err != nil {
		return err
	}
	if err := prepare(ctx, s.writers); err != nil {
		return err
	}
	if s.writer, err = newWriter(ctx, s.writers); err != nil {
		return err
	}
	if s.readers, err = pool(path, max(4, 2*runtime.GOMAXPROCS(0)), "_pragma=query_only(1)"); err != nil {
		return err
	}
	return s.prepareReads(ctx)
}

// pool returns connections that are all set up alike.
func pool(path string, conns int, more ...string) (*sql.DB, error) {
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // file:/C:/…
	}
	query := strings.Join(append([]string{pragmas}, more...), "&")
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: name, RawQuery: query}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// prepare makes the tables in a new file and checks an old one.
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

	// From here on alone: another process may open the new file just now.
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err = makeTables(ctx, conn)
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	_, endErr := conn.ExecContext(ctx, end)
	return errors.Join(err, endErr)
}

func makeTables(ctx context.Context, conn *sql.Conn) error {
	var application, version, tables int
	if err := errors.Join(
		conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application),
		conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version),
		conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables),
	); err != nil {
		return err
	}
	switch {
	case application == 0 && version == 0 && tables == 0:
		_, err := conn.ExecContext(ctx, schema)
		return err
	case application != applicationID:
		return errors.New("the file is a database of something else")
	case version != schemaVersion:
		return fmt.Errorf("the file has schema %d and this release knows %d", version, schemaVersion)
	}
	return nil
}

// Close waits for the commits that are under way and closes the file. Every call
// after it is an error, but for Close itself.
func (s *Store) Close() error {
	if !s.queue.close() {
		return nil
	}
	return s.release()
}

func (s *Store) release() error {
	if s.writer != nil {
		s.discard() // its statements would keep the connection open
	}
	var errs []error
	for _, db := range []*sql.DB{s.readers, s.writers} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

var _ interface {
	store.Store
	store.Sweeper
} = (*Store)(nil)
