package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store/sqlite"
	"github.com/npmauth/npmauth/subject"
)

// A backup that is made while the registry runs brings back what was revoked since,
// until the operator revokes it anew, as package sqlite says (ST-20).
func TestRestoreABackup(t *testing.T) {
	dir := t.TempDir()
	auth, saved := filepath.Join(dir, "auth.db"), filepath.Join(dir, "saved.db")
	p := start(t, dir)
	token := p.login()
	beside, err := sqlite.Open(auth)
	require.NoError(t, err)
	require.NoError(t, beside.Backup(t.Context(), saved))
	require.NoError(t, beside.Close())
	var answer any
	require.Equal(t, http.StatusOK, p.do(http.MethodDelete, "-/user/token/"+token, token, "", &answer))
	status, _ := p.whoami(token)
	require.Equal(t, http.StatusUnauthorized, status)
	p.end()
	for _, name := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(auth + name); name == "" {
			require.NoError(t, err)
		}
	}
	require.NoError(t, os.Rename(saved, auth))

	p = start(t, dir)
	status, _ = p.whoami(token)
	assert.Equal(t, http.StatusOK, status, "it is alive again")
	p.end()

	o, err := parseOptions([]string{"-data", dir}, t.Output())
	require.NoError(t, err)
	st, _, closeStore, err := openStore(t.Context(), o)
	require.NoError(t, err)
	subjects, err := subject.New(subject.Config{Store: st})
	require.NoError(t, err)
	require.NoError(t, subjects.RevokeEveryone(t.Context(), audit.Actor{})) // as npmauth.Auth.Restored does
	require.NoError(t, closeStore())

	p = start(t, dir)
	status, _ = p.whoami(token)
	assert.Equal(t, http.StatusUnauthorized, status)
	status, _ = p.whoami(p.login())
	assert.Equal(t, http.StatusOK, status)
	p.end()
}
