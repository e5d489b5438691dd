package subject_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// operator is the actor of what no account does.
var operator audit.Actor

// kinds are all kinds of credentials, and one that does not exist.
var kinds = []policy.Kind{
	policy.KindUnknown, policy.KindSession, policy.KindToken, policy.KindPublisher, policy.KindForeign, policy.KindForeign + 1,
}

func newManager(t *testing.T, st store.Store) *subject.Manager {
	t.Helper()
	m, err := subject.New(subject.Config{Store: st})
	require.NoError(t, err)
	return m
}

func get(t *testing.T, r store.Reader, id protocol.UserID) subject.Subject {
	t.Helper()
	s, err := subject.Get(t.Context(), r, id)
	require.NoError(t, err)
	return s
}

func put(t *testing.T, st store.Store, key, value string) {
	t.Helper()
	_, err := st.Commit(t.Context(), store.Op{Key: key, At: store.Any, Action: store.Put, Value: []byte(value)})
	require.NoError(t, err)
}

func stored(t *testing.T, st store.Store, key string) string {
	t.Helper()
	items, err := st.Get(t.Context(), key)
	require.NoError(t, err)
	return string(items[0].Value)
}

// epochKey is the key of the row of all accounts.
func epochKey() string { return subject.Keys("u1")[1] }

func TestGetOfNobody(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	want := subject.Subject{ID: "u1", TwoFactor: protocol.TwoFactorOff, Evidence: []store.Evidence{{Key: subject.Key("u1")}, {Key: epochKey()}}}
	assert.Equal(t, want, get(t, st, "u1"))

	m := newManager(t, st)
	got, err := m.Get(ctx, "u1")
	require.NoError(t, err)
	assert.Equal(t, want, got)
	_, err = m.Get(ctx, "")
	assert.ErrorIs(t, err, subject.ErrNoUser)
	_, err = m.Get(ctx, protocol.UserID(strings.Repeat("x", 1000)))
	assert.Error(t, err, "an ID that no key can hold")
}

// A row and the row of all accounts, each with numbers of its own.
const (
	row   = `{"v":1,"d":{"id":"u1","numbers":{"all":1,"sessions":2,"tokens":3}}}`
	epoch = `{"v":1,"d":{"id":"everyone","number":4,"not_before":"2026-01-02T03:04:05Z"}}`
)

func TestNumbers(t *testing.T) {
	st := store.NewMemory()
	for _, kind := range kinds {
		assert.Zero(t, get(t, st, "u1").Numbers(kind), kind)
	}
	put(t, st, subject.Key("u1"), row)
	put(t, st, epochKey(), epoch)
	for _, kind := range kinds {
		want := subject.Numbers{Everyone: 4, All: 1}
		switch kind {
		case policy.KindSession:
			want.Kind = 2
		case policy.KindToken:
			want.Kind = 3
		}
		assert.Equal(t, want, get(t, st, "u1").Numbers(kind), kind)
		assert.Equal(t, subject.Numbers{Everyone: 4}, get(t, st, "u2").Numbers(kind), kind)
	}
}

// AU-03: a credential is alive under exactly the numbers of its account, of its kind,
// and of all accounts.
func TestAlive(t *testing.T) {
	some := []uint64{0, 1, 2, 3, 4, 5}
	for name, rows := range map[string]struct{ row, epoch string }{
		"never revoked":    {`{"v":1,"d":{"id":"u1"}}`, ""},
		"account revoked":  {row, ""},
		"all revoked":      {"", epoch},
		"both":             {row, epoch},
		"disabled":         {strings.Replace(row, `"numbers"`, `"disabled":true,"numbers"`, 1), epoch},
		"disabled, no row": {`{"v":1,"d":{"id":"u1","disabled":true}}`, ""},
	} {
		st := store.NewMemory()
		if rows.row != "" {
			put(t, st, subject.Key("u1"), rows.row)
		}
		if rows.epoch != "" {
			put(t, st, epochKey(), rows.epoch)
		}
		s := get(t, st, "u1")
		for _, kind := range kinds {
			carries := kind == policy.KindSession || kind == policy.KindToken
			alive := 0
			for _, everyone := range some {
				for _, all := range some {
					for _, of := range some {
						n := subject.Numbers{Everyone: everyone, All: all, Kind: of}
						want := carries && !s.Disabled && n == s.Numbers(kind)
						assert.Equal(t, want, s.Alive(kind, n), "%s: %v %v", name, kind, n)
						if s.Alive(kind, n) {
							alive++
						}
					}
				}
			}
			if carries && !s.Disabled {
				assert.Equal(t, 1, alive, "%s: %v", name, kind)
			} else {
				assert.Zero(t, alive, "%s: %v", name, kind)
			}
		}
	}
	for _, kind := range kinds {
		assert.False(t, subject.Subject{}.Alive(kind, subject.Numbers{}), "of nobody")
	}
}

func TestAliveSince(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const account, everyone = `{"v":1,"d":{"id":"u1","not_before":"2026-01-02T03:04:05Z"}}`,
		`{"v":1,"d":{"id":"everyone","not_before":"2026-01-02T03:04:05Z"}}`
	for name, rows := range map[string]struct{ row, epoch string }{
		"account":                {account, ""},
		"everyone":               {"", everyone},
		"account, later":         {account, strings.Replace(everyone, "2026", "2025", 1)},
		"everyone, later":        {strings.Replace(account, "2026", "2025", 1), everyone},
		"both at the same time":  {account, everyone},
		"in another time's zone": {strings.Replace(account, "03:04:05Z", "04:04:05+01:00", 1), ""},
	} {
		st := store.NewMemory()
		if rows.row != "" {
			put(t, st, subject.Key("u1"), rows.row)
		}
		if rows.epoch != "" {
			put(t, st, epochKey(), rows.epoch)
		}
		s := get(t, st, "u1")
		assert.True(t, at.Equal(s.Revoked), name)
		assert.False(t, s.AliveSince(time.Time{}), name)
		assert.False(t, s.AliveSince(at.Add(-time.Microsecond)), name)
		assert.False(t, s.AliveSince(at), name)
		assert.False(t, s.AliveSince(at.Add(time.Microsecond-1)), "%s: in the same microsecond", name)
		assert.True(t, s.AliveSince(at.Add(time.Microsecond)), name)
		s.Disabled = true
		assert.False(t, s.AliveSince(at.Add(time.Hour)), name)
	}
	s := get(t, store.NewMemory(), "u1")
	assert.True(t, s.AliveSince(time.Time{}), "nothing was ever revoked")
	assert.False(t, subject.Subject{}.AliveSince(at), "of nobody")
}

func TestKeys(t *testing.T) {
	for _, id := range []protocol.UserID{"u1", "42", "a/b", "\u00e9", "user@acme.test", "everyone"} {
		got, ok := subject.Of(subject.Key(id))
		assert.True(t, ok)
		assert.Equal(t, id, got)
		assert.Equal(t, []string{subject.Key(id), epochKey()}, subject.Keys(id))
		assert.False(t, subject.IsEveryone(subject.Key(id)))
	}
	assert.True(t, subject.IsEveryone(epochKey()))
	for _, key := range []string{"", "subject", "subject/", "user/u1", "subject.x/u1", epochKey()} {
		_, ok := subject.Of(key)
		assert.False(t, ok, key)
	}
	assert.False(t, subject.IsEveryone(""))
}

func TestDecode(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	put(t, st, subject.Key("u1"), row)
	put(t, st, epochKey(), epoch)
	items, err := st.Get(ctx, subject.Keys("u1")...)
	require.NoError(t, err)
	s, err := subject.Decode("u1", items)
	require.NoError(t, err)
	assert.Equal(t, get(t, st, "u1"), s)
	assert.Equal(t, []store.Evidence{items[0].Evidence(), items[1].Evidence()}, s.Evidence)

	_, err = subject.Decode("u2", items)
	assert.Error(t, err, "read for another")
	for _, part := range [][]store.Item{nil, {{}, {}}, items[:1], {items[1], items[0]}, append(items, items[0])} {
		_, err = subject.Decode("u1", part)
		assert.Error(t, err, "not read as it should be")
	}
	_, err = subject.Decode("", items)
	assert.ErrorIs(t, err, subject.ErrNoUser)
}

// AU-01: a commit that depends on a Subject happens only while its rows have not changed,
// absent rows included.
func TestEvidence(t *testing.T) {
	ctx := t.Context()
	for name, before := range map[string]func(*testing.T, *subject.Manager){
		"nothing recorded": func(*testing.T, *subject.Manager) {},
		"revoked before": func(t *testing.T, m *subject.Manager) {
			require.NoError(t, m.RevokeAll(ctx, operator, "u1"))
			require.NoError(t, m.RevokeEveryone(ctx, operator))
		},
	} {
		for _, tt := range []struct {
			name    string
			change  func(*subject.Manager) error
			changed string
		}{
			{"no change", func(*subject.Manager) error { return nil }, ""},
			{"another account", func(m *subject.Manager) error { return m.RevokeAll(ctx, operator, "u2") }, ""},
			{"sessions", func(m *subject.Manager) error { return m.EndSessions(ctx, operator, "u1") }, subject.Key("u1")},
			{"disabled", func(m *subject.Manager) error { return m.Disable(ctx, operator, "u1") }, subject.Key("u1")},
			{"everyone", func(m *subject.Manager) error { return m.RevokeEveryone(ctx, operator) }, epochKey()},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				st := store.NewMemory()
				m := newManager(t, st)
				before(t, m)
				s := get(t, st, "u1")
				require.NoError(t, tt.change(m))
				err := store.Transact(ctx, st, func(tx *store.Tx) error {
					tx.Expect(s.Evidence...)
					tx.Put("k", []byte("written"), time.Time{})
					return nil
				})
				if tt.changed == "" {
					require.NoError(t, err)
					assert.Equal(t, "written", stored(t, st, "k"))
					return
				}
				var changed *store.ChangedError
				require.ErrorAs(t, err, &changed)
				assert.Equal(t, tt.changed, changed.Key)
				assert.Empty(t, stored(t, st, "k"))
			})
		}
	}
}

// ST-09: a row that cannot be decoded is an error, never an account without a second factor,
// and is not overwritten.
func TestUnusableRow(t *testing.T) {
	ctx := t.Context()
	for name, value := range map[string]string{
		"empty":         "",
		"no JSON":       "x",
		"newer schema":  `{"v":2,"d":{"id":"u1"}}`,
		"unknown field": `{"v":1,"d":{"id":"u1","locked":true}}`,
		"unknown mode":  `{"v":1,"d":{"id":"u1","tfa":"off"}}`,
		"no range":      `{"v":1,"d":{"id":"u1","cidrs":[""]}}`,
		"no number":     `{"v":1,"d":{"id":"u1","numbers":{"all":-1}}}`,
		"more numbers":  `{"v":1,"d":{"id":"u1","numbers":{"publishers":1}}}`,
		"another's":     `{"v":1,"d":{"id":"u2"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			st := store.NewMemory()
			m := newManager(t, st)
			put(t, st, subject.Key("u1"), value)
			got, err := m.Get(ctx, "u1")
			assert.Zero(t, got)
			for _, err := range []error{err, m.Enable(ctx, operator, "u1"), m.RevokeAll(ctx, operator, "u1")} {
				require.ErrorContains(t, err, "subject: ")
				assert.NotContains(t, err.Error(), "subject: subject: ")
			}
			assert.Equal(t, value, stored(t, st, subject.Key("u1")))
		})
	}
}

// ST-09: the same for the row of all accounts, whose error refuses everybody.
func TestUnusableEpoch(t *testing.T) {
	ctx := t.Context()
	for _, value := range []string{`{"v":2,"d":{}}`, `{"v":1,"d":{"id":"u1"}}`, `{"v":1,"d":{"id":"everyone","numbers":1}}`} {
		st := store.NewMemory()
		m := newManager(t, st)
		put(t, st, epochKey(), value)
		_, err := m.Get(ctx, "u1")
		assert.ErrorIs(t, err, store.ErrSchema)
		assert.ErrorIs(t, m.RevokeEveryone(ctx, operator), store.ErrSchema)
		assert.Equal(t, value, stored(t, st, epochKey()))
	}
}

// An older program refuses the row of an account that an unknown field may restrict, and reads
// all others.
func TestRowsAsStored(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m := newManager(t, st)
	require.NoError(t, m.Disable(ctx, operator, "u1"))
	assert.Equal(t, `{"v":1,"d":{"id":"u1","disabled":true}}`, stored(t, st, subject.Key("u1")))
	put(t, st, subject.Key("u1"), row)
	require.NoError(t, m.Disable(ctx, operator, "u1"))
	assert.Equal(t, strings.Replace(row, `"numbers"`, `"disabled":true,"numbers"`, 1), stored(t, st, subject.Key("u1")))
}

// Rows of the first release, which revoked by instants, keep the state of an account. The time
// about its sessions, which are dead, is dropped at the next write.
func TestFirstEdition(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	const kept = `"not_before":"2026-01-02T03:04:05.000001Z","tfa":"auth-only","cidrs":["192.0.2.0/24"],"recovered":"2026-02-03T04:05:06Z","high_impact":true}}`
	const old = `{"v":1,"d":{"id":"u1","disabled":true,"sessions_not_before":"2026-03-04T05:06:07Z","session_kept":"s1",` + kept
	put(t, st, subject.Key("u1"), old)
	put(t, st, epochKey(), `{"v":1,"d":{"id":"everyone","not_before":"2026-01-01T00:00:00.000001Z"}}`)

	at := time.Date(2026, 1, 2, 3, 4, 5, 1000, time.UTC)
	s := get(t, st, "u1")
	require.Len(t, s.Evidence, 2)
	s.Evidence = nil
	assert.Equal(t, subject.Subject{
		ID: "u1", Disabled: true, TwoFactor: protocol.AuthOnly, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Recovered: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), HighImpact: true, Revoked: at,
	}, s)
	assert.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 1000, time.UTC), get(t, st, "u2").Revoked)

	m := newManager(t, st)
	require.NoError(t, m.Enable(ctx, operator, "u1"))
	assert.Equal(t, `{"v":1,"d":{"id":"u1",`+kept, stored(t, st, subject.Key("u1")))
	assert.False(t, get(t, st, "u1").AliveSince(at))
	assert.True(t, get(t, st, "u1").AliveSince(at.Add(time.Microsecond)))

	n := get(t, st, "u1").Numbers(policy.KindToken)
	require.NoError(t, m.RevokeEveryone(ctx, operator))
	assert.False(t, get(t, st, "u1").Alive(policy.KindToken, n))
}
