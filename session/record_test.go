package session_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

// get opens what the store holds for a secret.
func get(t *testing.T, d *desk, secret credential.Secret) (*policy.Credential, error) {
	t.Helper()
	items, err := d.store.Get(t.Context(), session.Key(credential.Sum(secret)))
	require.NoError(t, err)
	return session.Open(items[0])
}

// TK-08, TK-09, TK-30: dead at the instant of expiry, which storing moves no later
// and use does not move at all.
func TestSessionExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		time.Sleep(999 * time.Nanosecond) // a time that no store keeps
		began := time.Now()
		secret, s, err := d.SignIn(t.Context(), jane("111111"))
		require.NoError(t, err)

		for range 119 { // TK-30
			time.Sleep(time.Minute)
			c, err := get(t, d, secret)
			require.NoError(t, err)
			require.Equal(t, s.Expires, c.Expires)
		}
		c, err := get(t, d, secret)
		require.NoError(t, err)
		assert.Equal(t, &policy.Credential{
			ID: s.ID, Kind: policy.KindSession, User: "u-jane", Created: s.Created, Expires: s.Expires,
		}, c)
		assert.False(t, c.Expires.After(began.Add(2*time.Hour)), "TK-09")
		assert.Equal(t, c.Expires, c.Expires.Truncate(time.Microsecond), "TK-09")

		time.Sleep(time.Until(s.Expires) - time.Nanosecond)
		assert.True(t, s.Live(time.Now()), "TK-08: last instant")
		list, _, err := d.List(t.Context(), "u-jane", "", 10)
		require.NoError(t, err)
		assert.Equal(t, []session.Session{s}, list)

		time.Sleep(time.Nanosecond)
		assert.False(t, s.Live(time.Now()), "TK-08: at expiry")
		list, _, err = d.List(t.Context(), "u-jane", "", 10)
		require.NoError(t, err)
		assert.Empty(t, list)
	})
}

func TestSessionTTL(t *testing.T) {
	d := open(t, func(c *session.Config) { c.TTL = 12 * time.Hour })
	_, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)
	assert.Equal(t, 12*time.Hour, s.Expires.Sub(s.Created))
}

func TestKey(t *testing.T) {
	digest := credential.Sum(credential.NewSecret("x"))
	got, ok := session.DigestOf(session.Key(digest))
	assert.True(t, ok)
	assert.Equal(t, digest, got)

	d := open(t)
	_, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)
	var ours []credential.Digest
	for _, key := range keys(t, d.store, "") {
		if digest, ok := session.DigestOf(key); ok {
			ours = append(ours, digest)
		}
	}
	assert.Equal(t, []credential.Digest{s.Digest}, ours, "the rows of indexes are not sessions")
	for _, key := range []string{"", "session", "session/", "session/x", "token/" + digest.String(), session.Key(digest) + "0", strings.ToUpper(session.Key(digest))} {
		_, ok := session.DigestOf(key)
		assert.False(t, ok, key)
	}
}

func TestOpenRefuses(t *testing.T) {
	d := open(t)
	_, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)
	items, err := d.store.Get(t.Context(), session.Key(s.Digest))
	require.NoError(t, err)
	good := items[0]

	_, err = session.Open(store.Item{Key: good.Key})
	assert.ErrorIs(t, err, session.ErrNoSession, "absent")

	// change returns the record with one field replaced.
	change := func(field string, to any) []byte {
		var env struct {
			V int            `json:"v"`
			D map[string]any `json:"d"`
		}
		require.NoError(t, json.Unmarshal(good.Value, &env))
		require.Contains(t, env.D, field)
		env.D[field] = to
		out, err := json.Marshal(env)
		require.NoError(t, err)
		return out
	}
	same := good
	same.Value = change("id", s.ID)
	_, err = session.Open(same)
	require.NoError(t, err, "the change itself breaks nothing")

	for name, it := range map[string]store.Item{
		"empty":         {Key: good.Key, Revision: 1},
		"not a record":  {Key: good.Key, Revision: 1, Value: []byte("{}")},
		"another's key": {Key: session.Key(credential.Digest{1}), Revision: 1, Value: good.Value},
		"no ID":         {Key: good.Key, Revision: 1, Value: change("id", "")},
		"no user":       {Key: good.Key, Revision: 1, Value: change("user", "")},
		"no expiry":     {Key: good.Key, Revision: 1, Value: change("expires", time.Time{})},
	} {
		c, err := session.Open(it)
		assert.Error(t, err, name)
		assert.NotErrorIs(t, err, session.ErrNoSession, name)
		assert.Nil(t, c, name)
	}
}

func TestEnd(t *testing.T) {
	d := open(t)
	secret, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)

	// TK-24: another user's session is one that does not exist.
	assert.ErrorIs(t, d.End(t.Context(), "u-joe", s.ID), session.ErrNoSession)
	assert.ErrorIs(t, d.End(t.Context(), "", s.ID), session.ErrNoSession)
	// TK-25: the whole ID and nothing less.
	for _, id := range []string{"", s.ID[:8], "%", "*", s.Digest.String(), strings.ToUpper(s.ID) + "x"} {
		assert.ErrorIs(t, d.End(t.Context(), "u-jane", id), session.ErrNoSession, id)
	}
	_, err = get(t, d, secret)
	require.NoError(t, err)

	require.NoError(t, d.End(t.Context(), "u-jane", s.ID)) // TK-20
	_, err = get(t, d, secret)
	assert.ErrorIs(t, err, session.ErrNoSession)
	assert.Empty(t, keys(t, d.store, "session"), "the indexes, too")
	assert.Equal(t, "session.ended done", d.kinds()[1])
	assert.ErrorIs(t, d.End(t.Context(), "u-jane", s.ID), session.ErrNoSession)

	_, s, err = d.SignIn(t.Context(), jane("122222"))
	require.NoError(t, err)
	d.store.before = assert.AnError
	assert.ErrorIs(t, d.End(t.Context(), "u-jane", s.ID), assert.AnError)
}

func TestEndDigest(t *testing.T) {
	d := open(t)
	secret, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)

	_, err = d.EndDigest(t.Context(), credential.Digest{})
	assert.ErrorIs(t, err, session.ErrNoSession)
	was, err := d.EndDigest(t.Context(), credential.Sum(secret))
	require.NoError(t, err)
	assert.Equal(t, s, was)
	assert.Equal(t, "logout done", d.kinds()[1])
	_, err = d.EndDigest(t.Context(), credential.Sum(secret))
	assert.ErrorIs(t, err, session.ErrNoSession)
}

func TestList(t *testing.T) {
	d := open(t)
	want := map[string]bool{}
	for i := range 7 {
		_, s, err := d.SignIn(t.Context(), jane("1"+strings.Repeat("2", i)))
		require.NoError(t, err)
		want[s.ID] = true
	}
	_, _, err := d.SignIn(t.Context(), session.SignIn{Name: "joe", Password: credential.NewSecret("correct horse")})
	require.NoError(t, err)

	pages := 0
	for after := ""; ; pages++ {
		list, next, err := d.List(t.Context(), "u-jane", after, 3)
		require.NoError(t, err)
		for _, s := range list {
			assert.True(t, want[s.ID], "hers, and once")
			delete(want, s.ID)
		}
		if next == "" {
			break
		}
		after = next
	}
	assert.Empty(t, want)
	assert.Equal(t, 2, pages)

	list, next, err := d.List(t.Context(), "u-eve", "", 100)
	require.NoError(t, err)
	assert.Empty(t, list)
	assert.Empty(t, next)
	list, _, err = d.List(t.Context(), "", "", 100)
	require.NoError(t, err)
	assert.Empty(t, list)
	_, _, err = d.List(t.Context(), "u-jane", "", 101)
	assert.ErrorIs(t, err, store.ErrInvalid)
}
