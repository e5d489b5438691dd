package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/sqlite"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

// move runs the registry with -copy-to.
func move(t *testing.T, dir, at, to string) (string, error) {
	t.Helper()
	o, err := parseOptions([]string{"-data", dir, "-store", at, "-copy-to", to}, io.Discard)
	require.NoError(t, err)
	var out bytes.Buffer
	err = run(t.Context(), o, &out, t.Output())
	return out.String(), err
}

// A registry whose store was moved has its accounts and no valid credential (ST-20). A copy that
// was interrupted does not serve, and is carried on.
func TestMove(t *testing.T) {
	dir := t.TempDir()
	old, moved := filepath.Join(dir, "auth.db"), filepath.Join(dir, "moved.db")
	p := start(t, dir)
	token := p.login()
	status, _ := p.whoami(token)
	require.Equal(t, http.StatusOK, status)
	p.end()

	// The process ends after its second commit.
	ctx, kill := context.WithCancel(t.Context())
	engine, err := sqlite.Open(moved)
	require.NoError(t, err)
	keys, err := loadKeys(filepath.Join(dir, keyFile), false)
	require.NoError(t, err)
	o, err := parseOptions([]string{"-data", dir}, io.Discard)
	require.NoError(t, err)
	from, _, closeFrom, err := openStore(ctx, o)
	require.NoError(t, err)
	subjects, err := subject.New(subject.Config{Store: store.Seal(
		storetest.NewFaulty(engine, storetest.Fault{On: storetest.Commits, Nth: 2, After: true, Do: kill, Err: context.Canceled}), keys[0])})
	require.NoError(t, err)
	require.ErrorIs(t, subjects.CopyFrom(ctx, audit.Actor{}, from, nil), context.Canceled)
	require.NoError(t, closeFrom())
	require.NoError(t, engine.Close())

	o, err = parseOptions([]string{"-addr", "127.0.0.1:0", "-data", dir, "-store", "sqlite:" + moved}, io.Discard)
	require.NoError(t, err)
	assert.ErrorContains(t, run(t.Context(), o, io.Discard, t.Output()), "was copied in part: repeat the command with -copy-to")

	out, err := move(t, dir, "sqlite:"+old, "sqlite:"+moved)
	require.NoError(t, err)
	assert.Regexp(t, `^copied \d+ items\. Start the registries with -store`, out)
	_, err = move(t, dir, "sqlite:"+old, "sqlite:"+moved)
	assert.ErrorContains(t, err, "was copied to already")

	for _, name := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(old + name); name == "" {
			require.NoError(t, err)
		}
	}
	require.NoError(t, os.Rename(moved, old))
	p = start(t, dir)
	status, _ = p.whoami(token)
	assert.Equal(t, http.StatusUnauthorized, status)
	status, _ = p.whoami(p.login())
	assert.Equal(t, http.StatusOK, status, "with the password from before")
	p.end()
}

func TestMoveRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := move(t, dir, "sqlite:"+filepath.Join(dir, "none.db"), "sqlite:"+filepath.Join(dir, "new.db"))
	assert.ErrorContains(t, err, "is empty: there is nothing to copy")
	for _, args := range [][]string{
		{"-copy-to", "memory:"}, {"-store", "memory:", "-copy-to", "sqlite:x"}, {"-copy-to", "mysql://x"}, {"-copy-to", "etcd://x"},
	} {
		var out bytes.Buffer
		_, err := parseOptions(args, &out)
		assert.ErrorIs(t, err, errUsage, args)
		assert.Contains(t, out.String(), "-copy-to", args)
	}
}
