package subject_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

var someRanges = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}

// methods are the methods of a Manager that change something, with the event that each records.
var methods = map[string]struct {
	call  func(context.Context, *subject.Manager, audit.Actor) error
	event audit.Event
}{
	"Disable": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error { return m.Disable(ctx, by, "u1") },
		audit.Event{Type: audit.AccountOff, User: "u1"},
	},
	"Enable": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error { return m.Enable(ctx, by, "u1") },
		audit.Event{Type: audit.AccountOn, User: "u1"},
	},
	"SetCIDRs": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error {
			return m.SetCIDRs(ctx, by, "u1", someRanges)
		},
		audit.Event{Type: audit.AccountRanges, User: "u1", Detail: map[string]string{"cidr": "192.0.2.0/24 2001:db8::/32"}},
	},
	"SetHighImpact": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error {
			return m.SetHighImpact(ctx, by, "u1", true)
		},
		audit.Event{Type: audit.AccountImpact, User: "u1", Detail: map[string]string{"high": "true"}},
	},
	"Recovered": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error { return m.Recovered(ctx, by, "u1") },
		audit.Event{Type: audit.AccountRecovered, User: "u1"},
	},
	"RevokeAll": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error { return m.RevokeAll(ctx, by, "u1") },
		audit.Event{Type: audit.AccountRevoked, User: "u1"},
	},
	"EndSessions": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error {
			return m.EndSessions(ctx, by, "u1")
		},
		audit.Event{Type: audit.SessionEnded, User: "u1", Reasons: []string{"all"}},
	},
	"RevokeTokens": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error {
			return m.RevokeTokens(ctx, by, "u1")
		},
		audit.Event{Type: audit.TokenRevoked, User: "u1", Reasons: []string{"all"}},
	},
	"RevokeEveryone": {
		func(ctx context.Context, m *subject.Manager, by audit.Actor) error { return m.RevokeEveryone(ctx, by) },
		audit.Event{Type: audit.AllRevoked},
	},
}

// recorded is a Manager with its events.
type recorded struct {
	*subject.Manager
	store *storetest.Faulty
	log   *audit.Log
	sink  []audit.Event
}

func newRecorded(t *testing.T) *recorded {
	t.Helper()
	r := &recorded{store: storetest.NewFaulty(store.NewMemory())}
	now := func() time.Time { return noon }
	var err error
	r.log, err = audit.NewLog(audit.LogConfig{Store: r.store, Now: now})
	require.NoError(t, err)
	r.Manager, err = subject.New(subject.Config{Store: r.store, Now: now, Events: audit.NewRecorder(audit.RecorderConfig{
		Sink: audit.Func(func(_ context.Context, e audit.Event) { r.sink = append(r.sink, e) }),
		Log:  r.log,
		Now:  now,
	})})
	require.NoError(t, err)
	return r
}

func (r *recorded) logged(t *testing.T) (events []audit.Event) {
	t.Helper()
	r.store.Mend()
	page, _, err := r.log.List(t.Context(), "", 100)
	require.NoError(t, err)
	for _, e := range page {
		events = append(events, e.Event)
	}
	return events
}

func TestConfig(t *testing.T) {
	_, err := subject.New(subject.Config{})
	assert.ErrorContains(t, err, "Config.Store")
}

// AU-05: each method records its change and its actor, in its commit.
func TestEvents(t *testing.T) {
	jane := audit.Actor{User: "jane", Credential: "c1", Addr: netip.MustParseAddr("192.0.2.1")}
	for name, method := range methods {
		for _, by := range []audit.Actor{operator, jane} {
			t.Run(name+"/"+string(by.User), func(t *testing.T) {
				r := newRecorded(t)
				require.NoError(t, method.call(t.Context(), r.Manager, by))
				want := method.event
				want.Time, want.Outcome = noon, audit.Done
				want.By, want.ByCredential, want.Addr = by.User, by.Credential, by.Addr
				assert.Equal(t, []audit.Event{want}, r.sink)
				assert.Equal(t, []audit.Event{want}, r.logged(t))
			})
		}
	}
}

// AU-05: a change that did not happen is not recorded, and an unknown outcome is recorded as
// unknown.
func TestEventsOfCommitsThatFail(t *testing.T) {
	for name, method := range methods {
		synctest.Test(t, func(t *testing.T) { // conflicts wait
			call := func(r *recorded) error { return method.call(t.Context(), r.Manager, operator) }
			for what, fault := range map[string]storetest.Fault{
				"get":            {On: storetest.Gets},
				"commit":         {On: storetest.Commits},
				"commit, always": {On: storetest.Commits, Times: storetest.Always, Err: store.ErrConflict},
			} {
				r := newRecorded(t)
				r.store.Inject(fault)
				assert.Error(t, call(r), name, what)
				assert.Empty(t, r.sink, name, what)
				assert.Empty(t, r.logged(t), name, what)
			}
			r := newRecorded(t)
			r.store.Inject(storetest.Fault{On: storetest.Commits, Times: 2, Err: store.ErrConflict})
			require.NoError(t, call(r))
			assert.Len(t, r.sink, 1, "once, however often it ran")
			assert.Len(t, r.logged(t), 1)

			r = newRecorded(t)
			r.store.Inject(storetest.Fault{On: storetest.Commits, After: true})
			assert.ErrorIs(t, call(r), store.ErrUnknown)
			require.Len(t, r.sink, 1)
			assert.Equal(t, audit.Failed, r.sink[0].Outcome)
			assert.Equal(t, "unknown", r.sink[0].Reason())
			require.Len(t, r.logged(t), 1)
			assert.Equal(t, audit.Done, r.logged(t)[0].Outcome)
		})
	}
}

// Each change is one Get of both rows and one Commit, that of its event included.
func TestRoundTrips(t *testing.T) {
	for name, method := range methods {
		r := newRecorded(t)
		for range 2 {
			gets, commits, lists := r.store.Count(storetest.Gets), r.store.Count(storetest.Commits), r.store.Count(storetest.Lists)
			require.NoError(t, method.call(t.Context(), r.Manager, operator))
			assert.Equal(t, 1, r.store.Count(storetest.Gets)-gets, name)
			assert.Equal(t, 1, r.store.Count(storetest.Commits)-commits, name)
			assert.Equal(t, lists, r.store.Count(storetest.Lists), name)
		}
	}
	f := storetest.NewFaulty(store.NewMemory())
	get(t, f, "u1")
	assert.Equal(t, 1, f.Count(storetest.All))
}

// A revocation with an unknown outcome is repeated, whether it happened or not.
func TestRevokeWithUnknownOutcome(t *testing.T) {
	for _, name := range []string{"RevokeAll", "EndSessions", "RevokeTokens", "RevokeEveryone"} {
		for _, happened := range []bool{true, false} {
			r := newRecorded(t)
			before := get(t, r.store, "u1")
			r.store.Inject(storetest.Fault{On: storetest.Commits, After: happened, Err: store.ErrUnknown})
			require.ErrorIs(t, methods[name].call(t.Context(), r.Manager, operator), store.ErrUnknown)
			between := get(t, r.store, "u1")
			assert.Equal(t, happened, len(moved(before, between)) == 1, name)

			require.NoError(t, methods[name].call(t.Context(), r.Manager, operator))
			after := get(t, r.store, "u1")
			for _, earlier := range []subject.Subject{before, between} {
				assert.Len(t, moved(earlier, after), 1, name)
				assert.Less(t, len(alive(after, bearers(earlier))), 2, name)
			}
			assert.Len(t, alive(after, bearers(after)), 2, name)
		}
	}
}

func TestNoUser(t *testing.T) {
	ctx, r := t.Context(), newRecorded(t)
	for name, err := range map[string]error{
		"Disable":       r.Disable(ctx, operator, ""),
		"Enable":        r.Enable(ctx, operator, ""),
		"SetCIDRs":      r.SetCIDRs(ctx, operator, "", someRanges),
		"SetHighImpact": r.SetHighImpact(ctx, operator, "", true),
		"Recovered":     r.Recovered(ctx, operator, ""),
		"RevokeAll":     r.RevokeAll(ctx, operator, ""),
		"EndSessions":   r.EndSessions(ctx, operator, ""),
		"RevokeTokens":  r.RevokeTokens(ctx, operator, ""),
	} {
		assert.ErrorIs(t, err, subject.ErrNoUser, name)
	}
	assert.Empty(t, r.sink)
	assert.Empty(t, r.logged(t))
}

func TestDisable(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m := newManager(t, st)
	require.NoError(t, m.RevokeAll(ctx, operator, "u1"))
	before := get(t, st, "u1")
	for range 2 { // the second time changes nothing
		require.NoError(t, m.Disable(ctx, operator, "u1"))
		got := get(t, st, "u1")
		assert.True(t, got.Disabled)
		assert.Empty(t, moved(before, got), "nothing is revoked")
		assert.Equal(t, before.Revoked, got.Revoked)
		assert.Empty(t, alive(got, bearers(before)))
	}
	assert.False(t, get(t, st, "u2").Disabled)
	require.NoError(t, m.Enable(ctx, operator, "u1"))
	got := get(t, st, "u1")
	assert.Len(t, alive(got, bearers(before)), 2)
	got.Evidence, before.Evidence = nil, nil
	assert.Equal(t, before, got)
}

func TestSetCIDRs(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m := newManager(t, st)
	ranges := slices.Clone(someRanges)
	require.NoError(t, m.SetCIDRs(ctx, operator, "u1", ranges))
	ranges[0] = netip.MustParsePrefix("0.0.0.0/0")
	assert.Equal(t, someRanges, get(t, st, "u1").CIDRs)

	for _, bad := range [][]netip.Prefix{
		{{}}, {netip.MustParsePrefix("10.0.0.1/8")}, {netip.MustParsePrefix("::ffff:10.0.0.0/104")},
		slices.Repeat(someRanges[:1], 51),
	} {
		assert.ErrorIs(t, m.SetCIDRs(ctx, operator, "u1", bad), subject.ErrCIDR)
	}
	assert.Equal(t, someRanges, get(t, st, "u1").CIDRs, "what was refused changed nothing")
	require.NoError(t, m.SetCIDRs(ctx, operator, "u1", nil))
	assert.Empty(t, get(t, st, "u1").CIDRs)
}

func TestSetHighImpact(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m := newManager(t, st)
	for _, high := range []bool{true, false} {
		require.NoError(t, m.SetHighImpact(ctx, operator, "u1", high))
		assert.Equal(t, high, get(t, st, "u1").HighImpact)
	}
}

func TestRecovered(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m, err := subject.New(subject.Config{Store: st, Now: func() time.Time { return noon }})
	require.NoError(t, err)
	require.NoError(t, m.Recovered(ctx, operator, "u1"))
	assert.Equal(t, noon.Truncate(time.Microsecond), get(t, st, "u1").Recovered)
	assert.Zero(t, get(t, st, "u2").Recovered)
}

// Of revocations at the same time each happens, and none is lost.
func TestAtOnce(t *testing.T) {
	st := store.NewMemory()
	m := newManager(t, st)
	before := get(t, st, "u1")
	done := make(chan error)
	calls := []string{"RevokeAll", "EndSessions", "RevokeTokens", "RevokeEveryone", "Disable", "SetHighImpact"}
	for _, name := range calls {
		go func() { done <- methods[name].call(t.Context(), m, operator) }()
	}
	for range calls {
		assert.NoError(t, <-done)
	}
	after := get(t, st, "u1")
	assert.Equal(t, []string{"everyone", "all", "sessions", "tokens"}, moved(before, after))
	assert.True(t, after.Disabled)
	assert.True(t, after.HighImpact)
	assert.False(t, after.Revoked.IsZero())
}
