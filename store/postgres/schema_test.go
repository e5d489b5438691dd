package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

func versionIn(t *testing.T, conn *pgx.Conn, schema string) int {
	t.Helper()
	have, err := version(t.Context(), conn, schema)
	require.NoError(t, err)
	return have
}

// ST-10: a migration that stopped after any of its steps is continued.
func TestMigrationResumes(t *testing.T) {
	conn := Connect(t, DSN(t))
	for done := range len(migrations) + 1 {
		schema := NewSchema()
		if done > 0 {
			require.NoError(t, migrate(t.Context(), conn, schema, migrations[:done]))
		}
		require.Equal(t, done, versionIn(t, conn, schema))
		s := openIn(t, DSN(t), schema, nil)
		assert.Equal(t, len(migrations), versionIn(t, conn, schema))
		_, err := s.Commit(t.Context(), put("a"))
		assert.NoError(t, err)
	}
}

// ST-10: a crash of a migration in the middle of a step undoes that step and no other, and
// leaves no lock.
func TestMigrationKilled(t *testing.T) {
	conn := Connect(t, DSN(t))
	for at, text := range migrations {
		schema := NewSchema()
		steps := slices.Clone(migrations[:at+1])
		steps[at] = text + "; SELECT pg_terminate_backend(pg_backend_pid())"
		victim := Connect(t, DSN(t))
		require.Error(t, migrate(t.Context(), victim, schema, steps))
		require.True(t, victim.IsClosed())
		assert.Equal(t, at, versionIn(t, conn, schema))

		s := openIn(t, DSN(t), schema, nil)
		_, err := s.Commit(t.Context(), put("a"))
		assert.NoError(t, err)
	}

	schema := NewSchema()
	require.NoError(t, migrate(t.Context(), conn, schema, migrations))
	steps := append(slices.Clone(migrations), "CREATE TABLE {s}.more (); SELECT 1/0")
	assert.ErrorContains(t, migrate(t.Context(), conn, schema, steps), "schema 4")
	assert.Equal(t, len(migrations), versionIn(t, conn, schema), "the step and its number stand or fall together")
	steps[len(migrations)] = "CREATE TABLE {s}.more ()"
	assert.NoError(t, migrate(t.Context(), conn, schema, steps))
	assert.Equal(t, len(migrations)+1, versionIn(t, conn, schema))
}

// One migration at a time.
func TestMigrationLock(t *testing.T) {
	conn, schema := Connect(t, DSN(t)), NewSchema()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	lock := digest("npmauth schema\x00" + schema)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", lock)
	require.NoError(t, err)
	other, answer := Connect(t, DSN(t)), make(chan error)
	go func() { answer <- migrate(t.Context(), other, schema, migrations) }()
	waitForLock(t, lock, 1)
	assert.Equal(t, 0, versionIn(t, conn, schema))
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-answer)
	assert.Equal(t, len(migrations), versionIn(t, conn, schema))
}

// ST-09: a schema of a newer release, or of another program, is not changed.
func TestSchemaRefused(t *testing.T) {
	conn := Connect(t, DSN(t))
	for name, tt := range map[string]struct{ setup, want string }{
		"newer":          {"UPDATE {s}.npmauth_version SET version = 4", "has schema 4 and this release knows 3"},
		"no number":      {"DELETE FROM {s}.npmauth_version", "npmauth_version"},
		"zero":           {"UPDATE {s}.npmauth_version SET version = 0", "npmauth_version"},
		"another's":      {"DROP TABLE {s}.npmauth_version; CREATE TABLE {s}.npmauth_version (id int)", "npmauth_version"},
		"tables without": {"DROP TABLE {s}.npmauth_version", "already exists"},
	} {
		t.Run(name, func(t *testing.T) {
			s, schema := OpenNew(t)
			require.NoError(t, s.Close())
			run(t, conn, schema, tt.setup)
			_, err := Open(t.Context(), DSN(t), Config{Schema: schema})
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// dump returns what pg_dump makes of a schema, as it is by default or with more flags.
func dump(t *testing.T, schema string, flags ...string) []byte {
	t.Helper()
	out, err := program(t, "pg_dump", append(flags, "--schema="+schema, DSN(t))...).Output()
	require.NoError(t, err)
	require.NotEmpty(t, out)
	return out
}

// restore runs what dump returned in the database that dsn names.
func restore(t *testing.T, dsn string, dumped []byte) {
	t.Helper()
	cmd := program(t, "psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--single-transaction", dsn)
	cmd.Stdin = bytes.NewReader(dumped)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	DSN(t)
	if _, err := exec.LookPath(name); err != nil {
		Lack(t, name+" is not installed")
	}
	return exec.CommandContext(t.Context(), name, args...)
}

// A dump that is restored elsewhere has everything, and continues to count revisions.
func TestDumpAndRestore(t *testing.T) {
	s, schema := OpenNew(t)
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	rev, err := s.Commit(t.Context(),
		store.Op{Key: "a", Action: store.Put, Value: []byte{0, 0xff}, Expires: expires}, put("b"))
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), store.Op{Key: "b", At: rev, Action: store.Delete})
	require.NoError(t, err)

	name := "npmauth_test_" + strings.ToLower(rand.Text())
	conn := Connect(t, DSN(t))
	run(t, conn, "", "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		assert.NoError(t, err)
	})
	elsewhere := With(DSN(t), "dbname", name)
	restore(t, elsewhere, dump(t, schema))

	restored := openIn(t, elsewhere, schema, nil)
	items, err := restored.Get(t.Context(), "a", "b")
	require.NoError(t, err)
	assert.Equal(t, store.Item{Key: "a", Value: []byte{0, 0xff}, Revision: rev, Expires: expires}, items[0])
	assert.False(t, items[1].Exists())
	again, err := restored.Commit(t.Context(), put("b"))
	require.NoError(t, err)
	assert.Greater(t, again, rev)
}
