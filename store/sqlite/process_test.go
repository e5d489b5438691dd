package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
)

// The tasks of another process, if this test binary is run as one.
const (
	count   = "count"   // adds to the counter, increments times
	write   = "write"   // writes 1, 2, … and prints each once it is committed, for ever
	listen  = "listen"  // prints the reported keys, a line for each call, for ever
	backup  = "backup"  // makes a backup; the path has two lines, from and to
	full    = "full"    // see TestDiskFull
	migrate = "migrate" // with "-n": see beginMigration
)

const increments = 50

// acts are those that only some systems have.
var acts = map[string]func(path string) error{}

func TestMain(m *testing.M) {
	act, path, ok := strings.Cut(os.Getenv("NPMAUTH_SQLITE_TEST"), " ")
	if !ok {
		os.Exit(m.Run())
	}
	if err := be(act, path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func be(act, path string) error {
	if do, ok := acts[act]; ok {
		return do(path)
	}
	if n, ok := strings.CutPrefix(act, migrate+"-"); ok {
		done, err := strconv.Atoi(n)
		return errors.Join(err, beginMigration(path, done))
	}
	path, to, _ := strings.Cut(path, "\n")
	s, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	switch act {
	case backup:
		err = s.Backup(context.Background(), to)
	case listen:
		err = s.Watch(context.Background(), 20*time.Millisecond, func(c store.Change) { fmt.Println(strings.Join(c.Keys, " ")) })
	case count:
		err = add(context.Background(), s)
	case write:
		for i := 1; err == nil; i++ {
			n := strconv.Itoa(i)
			if _, err = s.Commit(context.Background(), put("key-"+n, n, store.Absent), put("last", n, store.Any)); err == nil {
				fmt.Println(i)
			}
		}
	}
	return errors.Join(err, s.Close())
}

// add adds to the counter, each time at the revision it read.
func add(ctx context.Context, s store.Store) error {
	for range increments {
		err := store.Transact(ctx, s, func(tx *store.Tx) error {
			items, err := tx.Get(ctx, "count")
			if err != nil {
				return err
			}
			n := 0
			if items[0].Exists() {
				if n, err = strconv.Atoi(string(items[0].Value)); err != nil {
					return err
				}
			}
			tx.Put("count", []byte(strconv.Itoa(n+1)), items[0].Expires)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// another returns a process that is yet to be started.
func another(t *testing.T, act, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "NPMAUTH_SQLITE_TEST="+act+" "+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// cannot skips the test for the reason why it cannot be run here, or fails it where
// every test must be.
func cannot(t *testing.T, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "all") {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func value(t *testing.T, s store.Store, key string) string {
	t.Helper()
	items, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return string(items[0].Value)
}

// Processes that change one row at once lose nothing.
func TestProcessesTakeTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	others := []*exec.Cmd{another(t, count, path), another(t, count, path)}
	for _, cmd := range others { // all of them come upon a new file
		require.NoError(t, cmd.Start())
	}
	s := open(t, path)
	assert.NoError(t, add(t.Context(), s))
	for _, cmd := range others {
		assert.NoError(t, cmd.Wait())
	}
	assert.Equal(t, strconv.Itoa(3*increments), value(t, s, "count"))
}

// A process that is killed has lost no commit that it reported, and has done nothing by halves
// (ST-05, ST-06).
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	cmd := another(t, write, path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said, err = strconv.Atoi(lines.Text())
		require.NoError(t, err)
		if said == 50 {
			require.NoError(t, cmd.Process.Kill()) // what it says until then counts too
		}
	}
	require.Error(t, cmd.Wait(), "it does not end by itself")
	require.GreaterOrEqual(t, said, 50)

	s := open(t, path)
	last, err := strconv.Atoi(value(t, s, "last"))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, last, said)
	for i := 1; i <= last; i++ {
		n := strconv.Itoa(i)
		require.Equal(t, n, value(t, s, "key-"+n))
	}
	assert.Empty(t, value(t, s, "key-"+strconv.Itoa(last+1)))
}
