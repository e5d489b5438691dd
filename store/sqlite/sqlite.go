// Package sqlite keeps a [store.Store] in one SQLite file, without cgo: the backend to begin
// with, and all that a registry on one machine needs.
//
//	st, err := sqlite.Open("auth.db")
//	…
//	defer st.Close()
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL: a Commit that returned nil has been synced to
// the disk and survives a crash of the process, and one of the machine as far as its disk keeps
// what it acknowledged. Commits that wait at the same time share one sync. The file and those
// that SQLite puts beside it (-wal, -shm) belong together, and must be on a local disk:
// SQLite's locks do not work on network file systems.
//
// If the disk is full, a Commit is an error and nothing of it is done, or it is
// [store.ErrUnknown] if that is not certain. Reads continue, and commits do as soon as there is
// room.
//
// # Several processes
//
// Processes on one machine may open one file, and [Store.Watch] reports the writes of the
// others. They take turns to write. A Commit that waits for its turn ends with its context, and
// after five seconds with an error; in both cases nothing of it was written. No other program
// must write to the file while a process has it open.
//
// # Releases
//
// Open migrates a file of an older release by the steps that it lacks, all of them or none.
// From then on the older release refuses the file, also a process that has it open: each of its
// calls is an error until it is replaced. So stop the older processes first, or accept their
// errors for a moment; the only way back is a backup.
//
// # Backup
//
// [Store.Backup] copies the file while it is in use; so does VACUUM INTO of SQLite's
// own shell. A copy of the file without its -wal lacks what was committed last.
//
// To restore a backup, stop every process, remove the file with its -wal and -shm, put the copy
// in its place and start the processes. All that was revoked, spent or locked since the copy
// was made is as it was before: revoked tokens and ended sessions are alive, used codes can be
// used a second time. Revisions are reused, too, so no process may keep running through a
// restore. So before the first request is answered, revoke all credentials (npmauth's
// Auth.Restored), disable accounts that were disabled since, and reset the second factor of
// accounts that used recovery codes since. Keep backups only as long as this is acceptable, and
// the key of [store.Seal] elsewhere.
//
// # Privacy
//
// Only its owner can read and write a new file, and Open refuses a file that every user of the
// machine may read or write. The values in it are not encrypted: use [store.Seal].
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/npmauth/npmauth/store"
)

// The settings of a connection. It waits for a lock of another process; fullfsync makes a sync
// reach the disk on macOS too and does nothing elsewhere.
const pragmas = "_pragma=busy_timeout(5000)" +
	"&_pragma=journal_mode(WAL)" +
	"&_pragma=synchronous(FULL)" +
	"&_pragma=fullfsync(1)" +
	"&_pragma=checkpoint_fullfsync(1)" +
	"&_pragma=foreign_keys(1)"

// A Store is a [store.Store] in one file. Make one with [Open].
type Store struct {
	path    string
	readers *sql.DB // connections that cannot write
	gets    [len(getSizes)]*sql.Stmt
	list    *sql.Stmt
	expired *sql.Stmt

	writers *sql.DB // one connection
	writer  *writer // nil after it failed; used by the goroutine that carries out commits
	queue   queue

	alarm    alarm
	users    users
	keep     int64         // rows of the change log
	patience time.Duration // of a commit while others write
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
	for began, bound := time.Now(), askMin; ; bound = min(2*bound, askMax) {
		s := &Store{path: path, keep: keepChanges, patience: maxPatience}
		s.users.ended = make(chan struct{})
		err := s.open(context.Background())
		if err == nil {
			return s, nil
		}
		err = errors.Join(err, s.release())
		// When several processes put a new file into WAL mode at once, SQLite makes all but one
		// fail without a wait, whatever the busy timeout.
		if !isBusy(err) || time.Since(began) > maxPatience {
			return nil, fmt.Errorf("sqlite: open: %w", err)
		}
		time.Sleep(rand.N(bound)) // jitter, not a secret
	}
}

// makeFile creates the file if there is none, so that it has the right mode from the beginning;
// SQLite gives the files beside it the same. It returns the absolute path.
//
// A file that exists is left to SQLite to open: closing a descriptor of it would drop the locks
// that another handle of this process has on it. So that this cannot happen to a new file
// either, handles are opened one after the other.
func makeFile(path string) (string, error) {
	path, err := absolute(path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = errors.Join(f.Close(), syncDir(filepath.Dir(path)))
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

// absolute returns the absolute path of a file, or an error if path cannot be one.
func absolute(path string) (string, error) {
	if path == "" || path == ":memory:" || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%q is not the path of a file (store.NewMemory is for memory)", path)
	}
	return filepath.Abs(path)
}

// syncDir makes the names in a directory survive a crash, which syncing the files alone does
// not.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows has no such call, and needs none
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.writers, err = pool(s.path, 1); err != nil {
		return err
	}
	if err := prepare(ctx, s.writers); err != nil {
		return err
	}
	if s.writer, err = newWriter(ctx, s.writers, s.keep); err != nil {
		return err
	}
	if s.readers, err = pool(s.path, max(4, 2*runtime.GOMAXPROCS(0)), "_pragma=query_only(1)"); err != nil {
		return err
	}
	return s.prepareReads(ctx)
}

// pool returns connections with the same settings.
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

// Close waits for the commits that are under way, ends every Watch and closes the file. Every
// call after it is an error, except Close itself.
func (s *Store) Close() error {
	if !s.queue.close() {
		return nil
	}
	s.users.close()
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
	store.Watcher
} = (*Store)(nil)
