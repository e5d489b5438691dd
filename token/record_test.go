package token_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

func TestKey(t *testing.T) {
	d := credential.Sum(credential.NewSecret("x"))
	id := token.IDOf(d)
	assert.Regexp(t, `^[a-z2-7]{26}$`, id, "AU-70: nothing that npm masks")
	assert.Equal(t, "token/"+id, token.Key(id))
	assert.Equal(t, "token/"+id, token.KeyOf(d))
	got, ok := token.IDFromKey(token.Key(id))
	require.True(t, ok)
	assert.Equal(t, id, got)
	assert.Equal(t, strings.Repeat("a", 26), token.IDOf(credential.Digest{}))

	for _, id := range []string{"", id + "a", id[1:], strings.ToUpper(id), d.String(), id[:25] + "b", id[:25] + "\n", id[:24] + "\n\n", id[:25] + "=", "x"} {
		assert.Empty(t, token.Key(id), "%q", id)
	}
	for _, key := range []string{
		"", "token/", "token", id, "token/" + id + "a", "token/" + strings.ToUpper(id), "token/" + d.String(), "token.list/" + id,
		"token-used/" + id, "session/" + id,
	} {
		_, ok := token.IDFromKey(key)
		assert.False(t, ok, key)
	}
}

// Only the secret opens its record, though its key shows half of the digest.
func TestOpenComparesTheDigest(t *testing.T) {
	s := store.NewMemory()
	_, tok := create(t, manager(t, s), token.Spec{})
	it := item(t, s, token.KeyOf(tok.Digest))
	for i := range 32 {
		d := tok.Digest
		d[i] ^= 1
		c, _, err := token.Open(it, d)
		assert.ErrorIs(t, err, store.ErrNotFound)
		assert.Nil(t, c)
	}
	_, _, err := token.Open(it, credential.Digest{})
	assert.ErrorIs(t, err, store.ErrNotFound)
}

// ST-09: a record that cannot be decoded completely is no credential. Each case changes one
// place of a record that Open accepts.
func TestOpenRefuses(t *testing.T) {
	s := store.NewMemory()
	m := manager(t, s)
	require.NoError(t, m.RevokeAll(t.Context(), operator, "alice"))
	grants := []protocol.Grant{{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbDistTag}}
	_, tok := create(t, m, token.Spec{Name: "ci", Grants: grants, Bypass: true, CIDRs: cidrs("10.0.0.0/8")})
	it := item(t, s, token.KeyOf(tok.Digest))
	_, _, err := token.Open(it, tok.Digest)
	require.NoError(t, err)
	created, expires := fmt.Sprint(tok.Created.UnixMicro()), fmt.Sprint(tok.Expires.UnixMicro())

	current := strconv.FormatUint(tok.Numbers.Kind, 36)
	const grant = `"read-write:publish+dist-tag package @acme/widget"`
	for name, change := range map[string][2]string{
		"another schema":       {`"v":2`, `"v":3`},
		"G-11 unknown field":   {`"bypass":true`, `"bypass":true,"only_on":"mondays"`},
		"G-11 unknown word":    {`"read-write:`, `"read-sometimes:`},
		"G-11 unknown target":  {` package `, ` galaxy `},
		"an unknown verb":      {`publish+dist-tag`, `publish+sing`},
		"a verb twice":         {`publish+dist-tag`, `publish+publish`},
		"no verb":              {`:publish+dist-tag`, `:`},
		"all verbs":            {`publish+dist-tag`, `all`},
		"verbs without a word": {`"read-write:publish`, `":publish`},
		"a verb too many":      {`publish+dist-tag`, `publish+create`},
		"verbs of a reader":    {`"read-write:`, `"read-only:`},
		"a grant without name": {` @acme/widget`, ``},
		"an empty name":        {` @acme/widget`, ` `},
		"a pattern":            {`@acme/widget`, `@acme/*`},
		"a name for all":       {`package @acme/widget`, `all @acme/widget`},
		"an empty name of all": {`package @acme/widget`, `all `},
		"more in a grant":      {`@acme/widget`, `@acme/widget until-noon`},
		"more before a grant":  {`"read-write:`, `" read-write:`},
		"an empty grant":       {`@acme/widget"`, `@acme/widget,"`},
		"no grant":             {grant, `""`},
		"null grants":          {grant, `null`},
		"an escape":            {`@acme/widget`, `@acme\u002fwidget`},
		"grants in a list":     {grant, `[` + grant + `]`},
		"a range":              {`"10.0.0.0/8"`, `"10.0.0.0/99"`},
		"an empty range":       {`"10.0.0.0/8"`, `""`},
		"a half range":         {`"10.0.0.0/8"`, `"10.0.0.0/8,"`},
		"null ranges":          {`"10.0.0.0/8"`, `null`},
		"no text of ranges":    {`"10.0.0.0/8"`, `[]`},
		"numbers too few":      {`"0.0.` + current, `"0.` + current},
		"numbers too many":     {`"0.0.` + current, `"0.0.0.` + current},
		"null numbers":         {`"0.0.` + current + `"`, `null`},
		"an empty number":      {`"0.0.` + current, `"0..` + current},
		"a number too large":   {`"0.0.` + current, `"0.0.zzzzzzzzzzzzzz`},
		"a wrong type":         {`"bypass":true`, `"bypass":"true"`},
		"another's digest":     {tok.Digest.String(), strings.Repeat("0", 64)},
		"a digest in capitals": {tok.Digest.String(), strings.ToUpper(tok.Digest.String())},
		"no user":              {`"user":"alice"`, `"user":""`},
		"no time of creation":  {created, `0`},
		"a null time":          {created, `null`},
		"no end":               {expires, `0`},
		"half a record":        {`"user":"alice",`, ""},
		"something after it":   {expires + `}}`, expires + `}}{}`},
		"nothing like a token": {string(it.Value), "npm"},
		"null":                 {string(it.Value), "null"},
	} {
		require.Equal(t, 1, strings.Count(string(it.Value), change[0]), name)
		bad := it
		bad.Value = []byte(strings.Replace(string(it.Value), change[0], change[1], 1))
		c, n, err := token.Open(bad, tok.Digest)
		assert.Error(t, err, name)
		assert.Nil(t, c, name)
		assert.Zero(t, n, name)
	}

	moved := it
	moved.Key = token.KeyOf(credential.Digest{1})
	_, _, err = token.Open(moved, tok.Digest)
	assert.Error(t, err, "under another's key")
	_, _, err = token.Open(store.Item{Key: it.Key}, tok.Digest)
	assert.ErrorIs(t, err, store.ErrNotFound)
}

// A stored record is readable, and decodes to what was encoded.
func TestRecordText(t *testing.T) {
	s := store.NewMemory()
	grants := []protocol.Grant{
		{Target: protocol.AllPackages, Permission: protocol.ReadOnly},
		{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbCreate},
		{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "JSON_stream.x-1"}, Permission: protocol.StageOnly},
		{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite},
		{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite},
	}
	_, tok := create(t, manager(t, s), token.Spec{Name: "a <b> & \"c\"", Grants: grants, CIDRs: cidrs("192.0.2.0/24", "2001:db8::/32")})
	it := item(t, s, token.Key(tok.ID))
	assert.Contains(t, string(it.Value), `"grants":"read-only all,read-write:publish+create scope acme,`+
		`read-write-stage-only package JSON_stream.x-1,read-write package @acme/widget,read-write org acme"`)
	assert.Contains(t, string(it.Value), `"cidrs":"192.0.2.0/24,2001:db8::/32"`)
	assert.NotContains(t, string(it.Value), "numbers", "that are all zero")
	got, err := manager(t, s).Get(t.Context(), "alice", tok.ID)
	require.NoError(t, err)
	assert.Equal(t, tok, got)
	c, _, err := token.Open(it, tok.Digest)
	require.NoError(t, err)
	assert.Equal(t, tok.Credential(), c)
}

func FuzzOpen(f *testing.F) {
	f.Add("read-write:publish scope acme,read-only package @a/b", "10.0.0.0/8")
	d := credential.Digest{1}
	f.Fuzz(func(t *testing.T, grants, ranges string) {
		if strings.ContainsRune(grants+ranges, '"') {
			return // it would be another field
		}
		value := fmt.Sprintf(`{"v":2,"d":{"digest":"%s","user":"u","hint":"","grants":"%s","cidrs":"%s","created":1,"expires":2}}`, d, grants, ranges)
		c, _, err := token.Open(store.Item{Key: token.KeyOf(d), Value: []byte(value), Revision: 1}, d)
		if err != nil {
			return
		}
		if len(c.Grants) != strings.Count(grants, ",")+1 || len(c.CIDRs) != strings.Count(ranges, ",")+1 {
			t.Errorf("%q %q lost a part: %v", grants, ranges, c)
		}
		for _, g := range c.Grants {
			if err := g.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Nothing that a Token prints contains the secret.
func TestTokenPrintsNoSecret(t *testing.T) {
	secret, tok := create(t, manager(t, store.NewMemory()), token.Spec{})
	assert.NotContains(t, fmt.Sprintf("%+v", tok), secret.Reveal())
	assert.True(t, tok.ReadOnly())
	assert.Len(t, tok.Hint, 8)
	assert.True(t, strings.HasPrefix(secret.Reveal(), tok.Hint), "npm revokes by a literal beginning")
}
