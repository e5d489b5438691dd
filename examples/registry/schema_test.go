package main

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// What the first registry wrote, which counted no steps, is there after the later ones.
func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	was, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	for _, query := range []string{
		steps[0],
		`INSERT INTO package VALUES ('p1', '@acme/widget', 'u-alice', 'alice', 1, 7, 1000, 2000), ('p2', 'gadget', 'u-bob', 'bob', 0, 1, 1000, 1000)`,
		`INSERT INTO release VALUES
			('p1', '1.0.0', CAST('{"name":"@acme/widget","deprecated":"use 2"}' AS BLOB), 'ab', 1000),
			('p1', '2.0.0', CAST('{"name":"@acme/widget","deprecated":false,"description":"Turns","keywords":["a",1,"b\"c"],"_npmUser":{"name":"alice"}}' AS BLOB), 'cd', 2000),
			('p2', '1.0.0', CAST('{' AS BLOB), 'ab', 1000)`,
		`INSERT INTO tag VALUES ('p1', 'latest', '2.0.0'), ('p2', 'latest', '1.0.0')`,
	} {
		_, err := was.Exec(query)
		require.NoError(t, err)
	}
	require.NoError(t, was.Close())

	for range 2 { // and once more, when there is nothing to do
		db, made, err := openDatabase(t.Context(), path)
		require.NoError(t, err)
		assert.False(t, made)
		is, err := db.read(t.Context(), "@acme/widget", "p1")
		require.NoError(t, err)
		assert.Equal(t, []protocol.UserID{"u-alice"}, is.owners)
		assert.Equal(t, int64(7), is.Revision)
		assert.True(t, is.Private)
		_, messages, err := db.messages(t.Context(), "@acme/widget")
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"1.0.0": "use 2", "2.0.0": ""}, messages)
		stored, err := db.stored(t.Context(), "p2", "1.0.0")
		require.NoError(t, err)
		assert.Equal(t, "{", string(stored.Manifest), "what is no JSON is kept")
		found, err := db.summary(t.Context(), "@acme/widget")
		require.NoError(t, err)
		assert.Equal(t, summary{
			ID: "p1", Version: "2.0.0", Description: "Turns", Publisher: "alice", Keywords: []string{"a", "b\"c"}, Published: time.UnixMilli(2000),
		}, found)
		found, err = db.summary(t.Context(), "gadget")
		require.NoError(t, err)
		assert.Equal(t, summary{ID: "p2", Version: "1.0.0", Keywords: []string{}, Published: time.UnixMilli(1000)}, found)
		size, err := documentSize(t.Context(), db.db, "p2")
		require.NoError(t, err)
		assert.EqualValues(t, 1+aVersion+len("latest1.0.0"), size)
		assert.Equal(t, map[string]string{"latest": "2.0.0"}, is.tags)
		scopes, err := column[string](t.Context(), db.db, `SELECT scope FROM package ORDER BY id`)
		require.NoError(t, err)
		assert.Equal(t, []string{"acme", ""}, scopes)
		require.NoError(t, db.close())
	}
}

// A file of a later registry is left alone.
func TestLaterSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	db, made, err := openDatabase(t.Context(), path)
	require.NoError(t, err)
	assert.True(t, made)
	_, err = db.db.Exec(`PRAGMA user_version = 99`)
	require.NoError(t, err)
	require.NoError(t, db.close())
	_, _, err = openDatabase(t.Context(), path)
	assert.ErrorContains(t, err, "later registry")
}
