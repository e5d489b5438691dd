package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

// A file of the releases before the change log. It must not change: the test of the next step
// starts from it.
const schema1 = `
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

// openRaw opens the file without this package.
func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// oldFile makes a file of the first schema with 200 items, every other of which
// expires.
func oldFile(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "old.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	db := openRaw(t, path)
	_, err := db.ExecContext(t.Context(), schema1+`
		WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199)
		INSERT INTO item SELECT printf('key-%03d', i), CAST('value ' || i AS BLOB), i + 1, iif(i % 2, NULL, i * 1000000) FROM n;
		UPDATE counter SET last = 1000;`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return path
}

// isMigrated asserts that the file that oldFile made is one of today, with all that
// was in it: the sweep finds what had expired, and no expiry moved (ST-11, TK-08).
func isMigrated(t *testing.T, path string) {
	t.Helper()
	s := open(t, path)
	w := begin(t, s, time.Millisecond)
	for i := range 200 {
		items, err := s.Get(t.Context(), fmt.Sprintf("key-%03d", i))
		require.NoError(t, err)
		require.Equal(t, "value "+strconv.Itoa(i), string(items[0].Value))
		require.EqualValues(t, i+1, items[0].Revision)
		if i%2 == 0 {
			require.True(t, items[0].Expires.Equal(time.Unix(int64(i), 0)))
		} else {
			require.True(t, items[0].Expires.IsZero())
		}
	}
	rev, err := s.Commit(t.Context(), put("new", "", store.Absent))
	require.NoError(t, err)
	assert.Greater(t, rev, store.Revision(1000), "revisions go on")
	w.has(t, "new")
	n, err := s.Sweep(t.Context(), time.Now(), 1000)
	require.NoError(t, err)
	assert.Equal(t, 100, n)

	fresh := filepath.Join(t.TempDir(), "fresh.db")
	open(t, fresh)
	assert.Equal(t, tables(t, fresh), tables(t, path), "as if it was new")
}

func tables(t *testing.T, path string) (all []string) {
	t.Helper()
	rows, err := openRaw(t, path).QueryContext(t.Context(), "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		all = append(all, strings.Join(strings.Fields(text), " "))
	}
	require.NoError(t, rows.Err())
	return all
}

func TestMigrate(t *testing.T) {
	assert.Len(t, sqlite.Steps, 2, "a new step needs a test from the schema before it")
	path := oldFile(t, t.TempDir())
	isMigrated(t, path)
	open(t, path) // once more
}

// A file that is up to date is opened while another process writes without a pause; one that
// is not, in the first pause.
func TestOpenWhileOthersWrite(t *testing.T) {
	hold := func(path string) *sql.Tx {
		db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		return tx
	}
	path := filepath.Join(t.TempDir(), "auth.db")
	open(t, path)
	tx := hold(path)
	open(t, path)
	require.NoError(t, tx.Rollback())

	path = oldFile(t, t.TempDir())
	tx = hold(path)
	opened := make(chan error)
	go func() {
		s, err := sqlite.Open(path)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	time.Sleep(50 * time.Millisecond) // so that it has to ask more than once, most likely
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-opened)
	isMigrated(t, path)
}

// A process of the first release that has the file open while it is migrated can neither write
// what no watcher reports, nor read (ST-10).
func TestMigrateUnderAnOlderProcess(t *testing.T) {
	path := oldFile(t, t.TempDir())
	older := openRaw(t, path)
	older.SetMaxOpenConns(1)
	var statements []*sql.Stmt
	for _, query := range []string{
		"SELECT rev FROM item WHERE key = ?",
		"SELECT key, value, rev, expires FROM item WHERE key IN (?)",
		"INSERT INTO item (key, value, rev, expires) VALUES (?, x'', 1, NULL)",
		"DELETE FROM item WHERE key = ?",
	} {
		stmt, err := older.PrepareContext(t.Context(), query)
		require.NoError(t, err)
		defer stmt.Close()
		_, err = stmt.ExecContext(t.Context(), "its own")
		require.NoError(t, err)
		statements = append(statements, stmt)
	}
	isMigrated(t, path)
	for _, stmt := range statements {
		_, err := stmt.ExecContext(t.Context(), "key-000")
		assert.ErrorContains(t, err, "no such table")
	}
}

// A process that is killed while it migrates has done nothing, and the next one does all of it
// (ST-10).
func TestMigrateKilled(t *testing.T) {
	for done := range 4 {
		t.Run(fmt.Sprintf("after %d statements", done), func(t *testing.T) {
			path := oldFile(t, t.TempDir())
			process := another(t, migrate+"-"+strconv.Itoa(done), path)
			out, err := process.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, process.Start())
			lines := bufio.NewScanner(out)
			require.True(t, lines.Scan(), "it has come that far")
			require.NoError(t, process.Process.Kill())
			require.Error(t, process.Wait())
			isMigrated(t, path)
		})
	}
}

// Processes that open an old file at once migrate it once.
func TestMigrateAtOnce(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		path := oldFile(t, t.TempDir())
		var others []*exec.Cmd
		for range 4 {
			others = append(others, another(t, "open", path))
			require.NoError(t, others[len(others)-1].Start())
		}
		for _, process := range others {
			assert.NoError(t, process.Wait())
		}
		isMigrated(t, path)
	}
}

// Processes that open a new file at once all succeed: SQLite does not let them wait for each
// other when they put it into WAL mode.
func TestOpenNewAtOnce(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		path := filepath.Join(t.TempDir(), "auth.db")
		var others []*exec.Cmd
		for range 6 {
			others = append(others, another(t, "open", path))
			require.NoError(t, others[len(others)-1].Start())
		}
		for _, process := range others {
			assert.NoError(t, process.Wait())
		}
	}
}

// beginMigration takes the file at path the first so many statements of the step to
// the second schema, and waits to be killed.
func beginMigration(path string, done int) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(1)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	statements := strings.SplitAfter(sqlite.Steps[1]+"PRAGMA user_version = 2;", ";\n")
	for _, statement := range append([]string{"BEGIN IMMEDIATE"}, statements[:done]...) {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			return err
		}
	}
	fmt.Println("waiting")
	select {}
}
