package session_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

// get opens the record that the store has for a secret.
func get(t *testing.T, d *fixture, secret credential.Secret) (*policy.Credential, error) {
	t.Helper()
	items, err := d.store.Get(t.Context(), session.Key(credential.Sum(secret)))
	require.NoError(t, err)
	c, _, err := session.Open(items[0])
	return c, err
}

// alive reports whether a session's secret is accepted now.
func alive(t *testing.T, d *fixture, secret credential.Secret) bool {
	t.Helper()
	_, err := d.Verify(t.Context(), secret)
	if err != nil {
		require.ErrorIs(t, err, session.ErrNoSession)
	}
	return err == nil
}

// TK-08, TK-09, TK-30: dead at the instant of expiry, which neither storing nor use moves.
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
	d := open(t, func(c *session.Config) { c.Limits = lasting(12 * time.Hour) })
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
	var ids []string
	for _, key := range keys(t, d.store, "") {
		if digest, ok := session.DigestOf(key); ok {
			ours = append(ours, digest)
		}
		if id, ok := session.IDOf(key); ok {
			ids = append(ids, id)
		}
	}
	assert.Equal(t, []string{s.ID}, ids)
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

	_, _, err = session.Open(store.Item{Key: good.Key})
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
	_, _, err = session.Open(same)
	require.NoError(t, err, "the change itself breaks nothing")

	for name, it := range map[string]store.Item{
		"empty":         {Key: good.Key, Revision: 1},
		"not a record":  {Key: good.Key, Revision: 1, Value: []byte("{}")},
		"another's key": {Key: session.Key(credential.Digest{1}), Revision: 1, Value: good.Value},
		"no ID":         {Key: good.Key, Revision: 1, Value: change("id", "")},
		"no user":       {Key: good.Key, Revision: 1, Value: change("user", "")},
		"no expiry":     {Key: good.Key, Revision: 1, Value: change("expires", time.Time{})},
	} {
		c, n, err := session.Open(it)
		assert.Error(t, err, name)
		assert.NotErrorIs(t, err, session.ErrNoSession, name)
		assert.Nil(t, c, name)
		assert.Zero(t, n, name)
	}
}

func TestEnd(t *testing.T) {
	d := open(t)
	secret, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)

	// TK-24: another user's session counts as one that does not exist.
	assert.ErrorIs(t, d.End(t.Context(), operator, "u-joe", s.ID), session.ErrNoSession)
	assert.ErrorIs(t, d.End(t.Context(), operator, "", s.ID), session.ErrNoSession)
	// TK-25: the whole ID and nothing less.
	for _, id := range []string{"", s.ID[:8], "%", "*", s.Digest.String(), strings.ToUpper(s.ID) + "x"} {
		assert.ErrorIs(t, d.End(t.Context(), operator, "u-jane", id), session.ErrNoSession, id)
	}
	_, err = get(t, d, secret)
	require.NoError(t, err)

	require.NoError(t, d.End(t.Context(), operator, "u-jane", s.ID)) // TK-20
	_, err = get(t, d, secret)
	assert.ErrorIs(t, err, session.ErrNoSession)
	assert.Empty(t, keys(t, d.store, "session"), "the indexes, too")
	assert.Equal(t, "session.ended done", d.kinds()[1])
	assert.ErrorIs(t, d.End(t.Context(), operator, "u-jane", s.ID), session.ErrNoSession)

	_, s, err = d.SignIn(t.Context(), jane("122222"))
	require.NoError(t, err)
	d.store.before = assert.AnError
	assert.ErrorIs(t, d.End(t.Context(), operator, "u-jane", s.ID), assert.AnError)
}

func TestGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		_, s, err := d.SignIn(t.Context(), jane("111111"))
		require.NoError(t, err)
		got, err := d.Get(t.Context(), s.User, s.ID)
		require.NoError(t, err)
		assert.Equal(t, s, got)
		for _, user := range []protocol.UserID{"", "mallory"} {
			_, err = d.Get(t.Context(), user, s.ID)
			assert.ErrorIs(t, err, session.ErrNoSession, "TK-24")
		}
		_, err = d.Get(t.Context(), s.User, "no such session")
		assert.ErrorIs(t, err, session.ErrNoSession)
		time.Sleep(time.Until(s.Expires))
		_, err = d.Get(t.Context(), s.User, s.ID)
		assert.ErrorIs(t, err, session.ErrNoSession, "it has expired")
	})
}

func TestLogout(t *testing.T) {
	d := open(t)
	secret, s, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)

	_, err = d.Logout(t.Context(), operator, credential.Digest{})
	assert.ErrorIs(t, err, session.ErrNoSession)
	was, err := d.Logout(t.Context(), operator, credential.Sum(secret))
	require.NoError(t, err)
	assert.Equal(t, s, was)
	assert.Equal(t, "logout done", d.kinds()[1])
	_, err = d.Logout(t.Context(), operator, credential.Sum(secret))
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

// changePassword ends all of jane's sessions but one, as a change of her password does.
func changePassword(t *testing.T, d *fixture, by audit.Actor, kept string) error {
	t.Helper()
	ctx := t.Context()
	return store.Transact(ctx, d.store, func(tx *store.Tx) error {
		before, err := subject.Get(ctx, tx, "u-jane")
		if err != nil {
			return err
		}
		if _, err := subject.Revoke(ctx, tx, "u-jane", subject.Sessions, time.Now()); err != nil {
			return err
		}
		return d.KeepTx(ctx, tx, by, before, kept, "password")
	})
}

// signIn returns a new session of jane's.
func signIn(t *testing.T, d *fixture, code string) (credential.Secret, session.Session) {
	t.Helper()
	secret, s, err := d.SignIn(t.Context(), jane(code))
	require.NoError(t, err)
	return secret, s
}

func TestKeep(t *testing.T) {
	d := open(t)
	first, one := signIn(t, d, "111111")
	second, two := signIn(t, d, "122222")
	by := audit.Actor{User: "u-jane", Credential: one.ID, Addr: terminal.Addr}
	d.reset()
	require.NoError(t, changePassword(t, d, by, one.ID))
	assert.True(t, alive(t, d, first))
	assert.False(t, alive(t, d, second))
	list, _, err := d.List(t.Context(), "u-jane", "", 10)
	require.NoError(t, err)
	assert.Equal(t, []session.Session{one}, list, "the dead are not listed, and it has not changed")
	assert.Equal(t, []string{"session.ended done"}, d.kinds())
	e := d.last(t)
	assert.Empty(t, e.Credential)
	assert.Equal(t, map[string]string{"kept": one.ID}, e.Detail)
	assert.Equal(t, []string{"password"}, e.Reasons)
	assert.Equal(t, by, e.Actor())

	// A dead session does not come back, nor another user's, nor an unknown one.
	_, other, err := d.SignIn(t.Context(), joe)
	require.NoError(t, err)
	for name, id := range map[string]string{"dead": two.ID, "another's": other.ID, "unknown": "x", "by digest": one.Digest.String()} {
		assert.ErrorIs(t, changePassword(t, d, by, id), session.ErrNoSession, name)
	}
	assert.True(t, alive(t, d, first), "none of which changed anything")
	assert.False(t, alive(t, d, second))

	require.NoError(t, changePassword(t, d, operator, ""))
	assert.False(t, alive(t, d, first))
	assert.Empty(t, d.last(t).Detail)
	assert.ErrorIs(t, changePassword(t, d, by, one.ID), session.ErrNoSession)
	assert.False(t, alive(t, d, first))
}

// A session that expired or whose account is disabled is not kept.
func TestKeepNeedsALiveSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		_, s := signIn(t, d, "111111")
		require.NoError(t, d.subjects.Disable(t.Context(), operator, "u-jane"))
		assert.ErrorIs(t, changePassword(t, d, operator, s.ID), session.ErrNoSession)
		require.NoError(t, d.subjects.Enable(t.Context(), operator, "u-jane"))
		time.Sleep(time.Until(s.Expires))
		assert.ErrorIs(t, changePassword(t, d, operator, s.ID), session.ErrNoSession)
	})
}

// KeepTx exempts a session from the revocation of its own commit and no other, also if the
// caller read the account long before.
func TestKeepExpectsWhatTheCallerRead(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	secret, s := signIn(t, d, "111111")
	before, err := subject.Get(ctx, d.store, "u-jane")
	require.NoError(t, err)
	require.NoError(t, d.subjects.EndSessions(ctx, operator, "u-jane"))
	err = store.Transact(ctx, d.store, func(tx *store.Tx) error {
		if _, err := subject.Revoke(ctx, tx, "u-jane", subject.Sessions, time.Now()); err != nil {
			return err
		}
		return d.KeepTx(ctx, tx, operator, before, s.ID)
	})
	var changed *store.ChangedError
	assert.ErrorAs(t, err, &changed)
	assert.False(t, alive(t, d, secret))

	// Nor does an account read after the revocation say which sessions were alive before it.
	secret, s = signIn(t, d, "122222")
	err = store.Transact(ctx, d.store, func(tx *store.Tx) error {
		after, err := subject.Revoke(ctx, tx, "u-jane", subject.Sessions, time.Now())
		if err != nil {
			return err
		}
		return d.KeepTx(ctx, tx, operator, after, s.ID)
	})
	assert.ErrorIs(t, err, session.ErrNoSession)
	assert.True(t, alive(t, d, secret), "nothing was committed")
}

// A commit with KeepTx can run more than once, and its event is recorded once.
func TestKeepAfterAConflict(t *testing.T) {
	faulty := storetest.NewFaulty(store.NewMemory())
	d := openOn(t, &counting{Store: faulty})
	first, s := signIn(t, d, "111111")
	second, _ := signIn(t, d, "122222")
	d.reset()
	faulty.Inject(storetest.Fault{On: storetest.Commits, Times: 2, Err: store.ErrConflict}) // of other rows
	require.NoError(t, changePassword(t, d, operator, s.ID))
	assert.True(t, faulty.Struck())
	assert.True(t, alive(t, d, first))
	assert.False(t, alive(t, d, second))
	assert.Equal(t, []string{"session.ended done"}, d.kinds())

	// If the account changes meanwhile, the caller reads it and tries once more.
	faulty.Inject(storetest.Fault{On: storetest.Commits, Do: func() {
		require.NoError(t, d.subjects.RevokeAll(t.Context(), operator, "u-jane"))
	}})
	var changed *store.ChangedError
	require.ErrorAs(t, changePassword(t, d, operator, s.ID), &changed)
	assert.ErrorIs(t, changePassword(t, d, operator, s.ID), session.ErrNoSession)
	assert.False(t, alive(t, d, first))
}

// Sessions of schema 1 have no numbers. They are dead, and no error.
func TestSessionsOfTheFirstEdition(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	secret, s := signIn(t, d, "111111")
	key := session.Key(s.Digest)
	items, err := d.store.Get(ctx, key)
	require.NoError(t, err)
	var env struct {
		V int            `json:"v"`
		D map[string]any `json:"d"`
	}
	require.NoError(t, json.Unmarshal(items[0].Value, &env))
	env.V = 1
	delete(env.D, "numbers")
	old, err := json.Marshal(env)
	require.NoError(t, err)
	_, err = d.store.Commit(ctx, store.Op{Key: key, At: items[0].Revision, Action: store.Put, Value: old, Expires: s.Expires})
	require.NoError(t, err)

	_, err = get(t, d, secret)
	assert.ErrorIs(t, err, session.ErrNoSession)
	assert.False(t, alive(t, d, secret))
	list, next, err := d.List(ctx, "u-jane", "", 10)
	require.NoError(t, err)
	assert.Empty(t, list)
	assert.Empty(t, next)
	assert.ErrorIs(t, d.End(ctx, operator, "u-jane", s.ID), session.ErrNoSession)
	_, err = d.Logout(ctx, operator, s.Digest)
	assert.ErrorIs(t, err, session.ErrNoSession)
	assert.ErrorIs(t, changePassword(t, d, operator, s.ID), session.ErrNoSession)
}

// The numbers that Open returns are those that the account had at the sign-in.
func TestOpenReturnsNumbers(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	require.NoError(t, d.subjects.RevokeAll(ctx, operator, "u-jane"))
	require.NoError(t, d.subjects.EndSessions(ctx, operator, "u-jane"))
	require.NoError(t, d.subjects.RevokeEveryone(ctx, operator))
	sub, err := subject.Get(ctx, d.store, "u-jane")
	require.NoError(t, err)
	_, s := signIn(t, d, "111111")
	items, err := d.store.Get(ctx, session.Key(s.Digest))
	require.NoError(t, err)
	_, n, err := session.Open(items[0])
	require.NoError(t, err)
	assert.Equal(t, sub.Numbers(policy.KindSession), n)
	assert.NotContains(t, []uint64{n.Everyone, n.All, n.Kind}, uint64(0))
	assert.True(t, sub.Alive(policy.KindSession, n))
}

// The event of a session's end has the actor and the IP address.
func TestEndsHaveAnActor(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	_, s := signIn(t, d, "111111")
	_, other := signIn(t, d, "122222")
	by := audit.Actor{User: "u-admin", Credential: "c-1", Addr: stranger.Addr}
	require.NoError(t, d.End(ctx, by, "u-jane", s.ID, "leaked", "reported"))
	e := d.last(t)
	assert.Equal(t, by, e.Actor())
	assert.Equal(t, []any{protocol.UserID("u-jane"), s.ID, []string{"leaked", "reported"}}, []any{e.User, e.Credential, e.Reasons})

	by = audit.Actor{User: "u-jane", Credential: other.ID, Addr: terminal.Addr}
	_, err := d.Logout(ctx, by, other.Digest)
	require.NoError(t, err)
	e = d.last(t)
	assert.Equal(t, audit.Logout, e.Type)
	assert.Equal(t, by, e.Actor())
	assert.Equal(t, other.ID, e.Credential)
}

// A commit that fails ends no session and records no event.
func TestEndInACommitThatFails(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	secret, s := signIn(t, d, "111111")
	d.reset()
	for name, end := range map[string]func(tx *store.Tx) error{
		"end":    func(tx *store.Tx) error { return d.EndTx(ctx, tx, operator, "u-jane", s.ID) },
		"logout": func(tx *store.Tx) error { _, err := d.LogoutTx(ctx, tx, operator, s.Digest); return err },
	} {
		err := store.Transact(ctx, d.store, func(tx *store.Tx) error {
			require.NoError(t, end(tx))
			return assert.AnError
		})
		assert.ErrorIs(t, err, assert.AnError, name)
	}
	assert.True(t, alive(t, d, secret))
	assert.Empty(t, d.kinds())
}

// List omits revoked sessions, and all of an account that is disabled.
func TestListLeavesOutTheDead(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	list := func() int {
		t.Helper()
		all, _, err := d.List(ctx, "u-jane", "", 10)
		require.NoError(t, err)
		return len(all)
	}
	signIn(t, d, "111111")
	require.Equal(t, 1, list())
	for i, revoke := range []func() error{
		func() error { return d.subjects.EndSessions(ctx, operator, "u-jane") },
		func() error { return d.subjects.RevokeAll(ctx, operator, "u-jane") },
		func() error { return d.subjects.RevokeEveryone(ctx, operator) },
	} {
		require.NoError(t, revoke())
		assert.Zero(t, list(), i)
		signIn(t, d, fmt.Sprint("19", i))
		assert.Equal(t, 1, list(), i)
	}
	require.NoError(t, d.subjects.RevokeTokens(ctx, operator, "u-jane"))
	assert.Equal(t, 1, list(), "tokens are not sessions")
	require.NoError(t, d.subjects.Disable(ctx, operator, "u-jane"))
	assert.Zero(t, list())
	require.NoError(t, d.subjects.Enable(ctx, operator, "u-jane"))
	assert.Equal(t, 1, list())
}

// unrevoked returns the IDs of the sessions of a user, or of everybody.
func unrevoked(t *testing.T, m *session.Manager, user protocol.UserID) (ids []string) {
	t.Helper()
	for s, err := range m.Unrevoked(t.Context(), user) {
		require.NoError(t, err)
		ids = append(ids, s.ID)
	}
	return ids
}

// A session of a disabled account works once it is enabled: it is not revoked.
func TestUnrevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		codes := 0
		signIn := func(name string) string {
			codes++
			in := jane(fmt.Sprint(100000 + codes))
			in.Name = name
			_, s, err := d.SignIn(t.Context(), in)
			require.NoError(t, err)
			return s.ID
		}
		signIn("jane") // expires
		time.Sleep(time.Hour)
		signIn("joe") // is revoked
		require.NoError(t, d.subjects.EndSessions(t.Context(), audit.Actor{}, "u-joe"))
		var janes, joes []string
		for range 120 {
			janes = append(janes, signIn("jane"))
			joes = append(joes, signIn("joe"))
		}
		require.NoError(t, d.subjects.Disable(t.Context(), audit.Actor{}, "u-joe"))
		time.Sleep(time.Hour)

		assert.ElementsMatch(t, janes, unrevoked(t, d.Manager, "u-jane"))
		assert.ElementsMatch(t, joes, unrevoked(t, d.Manager, "u-joe"))
		assert.ElementsMatch(t, append(janes, joes...), unrevoked(t, d.Manager, ""))
		assert.Empty(t, unrevoked(t, d.Manager, "u-nobody"))
		for range d.Unrevoked(t.Context(), "") {
			break
		}
		time.Sleep(time.Hour)
		assert.Empty(t, unrevoked(t, d.Manager, ""))
	})
}

// A session that survives a change of the password while the sessions are read is not missing.
func TestUnrevokedWhileOneIsKept(t *testing.T) {
	for _, call := range []int{1, 2, 3} {
		d := open(t)
		secret, s, err := d.SignIn(t.Context(), jane("111111"))
		require.NoError(t, err)
		before, err := d.subjects.Get(t.Context(), "u-jane")
		require.NoError(t, err)
		keep := func() {
			require.NoError(t, store.Transact(t.Context(), d.store, func(tx *store.Tx) error {
				if _, err := subject.Revoke(t.Context(), tx, "u-jane", subject.Sessions, time.Now()); err != nil {
					return err
				}
				return d.KeepTx(t.Context(), tx, audit.Actor{}, before, s.ID)
			}))
		}
		faulty := storetest.NewFaulty(d.store, storetest.Fault{On: storetest.Reads, Nth: call, Do: keep})
		cfg := d.config(faulty)
		m, err := session.New(cfg)
		require.NoError(t, err)
		assert.Equal(t, []string{s.ID}, unrevoked(t, m, "u-jane"), call)
		assert.True(t, faulty.Struck(), call)
		assert.True(t, alive(t, d, secret))
	}
}

func TestUnrevokedFails(t *testing.T) {
	d := open(t)
	_, _, err := d.SignIn(t.Context(), jane("111111"))
	require.NoError(t, err)
	for _, on := range []storetest.Calls{storetest.Gets, storetest.Lists} {
		m, err := session.New(d.config(storetest.NewFaulty(d.store, storetest.Fault{On: on})))
		require.NoError(t, err)
		n := 0
		for s, err := range m.Unrevoked(t.Context(), "") {
			n++
			assert.ErrorIs(t, err, storetest.ErrFault)
			assert.Zero(t, s)
		}
		assert.Equal(t, 1, n)
	}
}
