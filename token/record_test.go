package token_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

func TestKey(t *testing.T) {
	d := credential.Sum(credential.NewSecret("x"))
	got, ok := token.DigestOf(token.Key(d))
	require.True(t, ok)
	assert.Equal(t, d, got)
	for _, key := range []string{
		"", "token/", "token", d.String(), "token/" + d.String() + "0", "token/" + strings.ToUpper(d.String()), "token.id/" + d.String(),
		"token-used/" + d.String(), "session/" + d.String(),
	} {
		_, ok := token.DigestOf(key)
		assert.False(t, ok, key)
	}
}

// ST-09: a record that is not understood whole is no credential. Each case
// changes one place of a record that Open takes.
func TestOpenRefuses(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	_, tok := create(t, m, token.Spec{Name: "ci", Grants: writeOne, CIDRs: cidrs("10.0.0.0/8")})
	it := item(t, s, token.Key(tok.Digest))
	_, err := token.Open(it)
	require.NoError(t, err)

	for name, change := range map[string][2]string{
		"another schema":       {`"v":1`, `"v":2`},
		"G-11 unknown field":   {`"bypass":false`, `"bypass":false,"only_on":"mondays"`},
		"G-11 unknown word":    {`"read-write"`, `"read-sometimes"`},
		"G-11 unknown target":  {`"target":"package"`, `"target":"galaxy"`},
		"a field of a grant":   {`"permission":"read-write"`, `"permission":"read-write","until":"noon"`},
		"a range":              {`"10.0.0.0/8"`, `"10.0.0.0/99"`},
		"an empty range":       {`"10.0.0.0/8"`, `""`},
		"a wrong type":         {`"bypass":false`, `"bypass":"false"`},
		"another's digest":     {tok.Digest.String(), strings.Repeat("0", 64)},
		"no ID":                {`"id":"` + tok.ID + `"`, `"id":""`},
		"no user":              {`"user":"alice"`, `"user":""`},
		"no time of creation":  {tok.Created.Format(time.RFC3339Nano), "0001-01-01T00:00:00Z"},
		"no end":               {tok.Expires.Format(time.RFC3339Nano), "0001-01-01T00:00:00Z"},
		"half a record":        {`"user":"alice",`, ""},
		"something after it":   {`"created_by":""}}`, `"created_by":""}}{}`},
		"nothing like a token": {string(it.Value), "npm"},
		"null":                 {string(it.Value), "null"},
	} {
		require.Equal(t, 1, strings.Count(string(it.Value), change[0]), name)
		bad := it
		bad.Value = []byte(strings.Replace(string(it.Value), change[0], change[1], 1))
		c, err := token.Open(bad)
		assert.Error(t, err, name)
		assert.Nil(t, c, name)
	}

	moved := it
	moved.Key = token.Key(credential.Digest{1})
	_, err = token.Open(moved)
	assert.Error(t, err, "under another's key")
	_, err = token.Open(store.Item{Key: it.Key})
	assert.ErrorIs(t, err, store.ErrNotFound)
}

// A record names what it lets out: nothing that a Token prints is the secret.
func TestTokenPrintsNoSecret(t *testing.T) {
	secret, tok := create(t, manager(t, store.NewMemory()), token.Spec{})
	assert.NotContains(t, fmt.Sprintf("%+v", tok), secret.Reveal())
	assert.True(t, tok.ReadOnly())
	assert.Len(t, tok.Hint, 8)
	assert.True(t, strings.HasPrefix(secret.Reveal(), tok.Hint), "npm revokes by a literal beginning")
}
