package npmauth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

var plainName = protocol.PackageName{Name: "plain"}

// grantsOn returns grants to write to the packages.
func grantsOn(names ...string) (grants []protocol.Grant) {
	for _, name := range names {
		grants = append(grants, protocol.Grant{Target: protocol.OnePackage, Package: protocol.PackageName{Name: name}, Permission: protocol.ReadWrite})
	}
	return grants
}

// What the former owners of a package have set up for it ends, and nothing else.
func TestTransferred(t *testing.T) {
	w, wide := documented(t, trusts)
	w.enrol("alice", protocol.AuthAndWrites)
	w.enrol("bob", protocol.AuthAndWrites)
	w.host.add("other", false, w.ids["alice"])
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{KeysOnly: true}))
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{}))
	w.trust("plain", "createPackage")
	w.trust("other", "createPackage")
	ofJob, ofOther := w.exchanged("plain"), w.exchanged("other")
	ends := []string{ofJob}
	for _, spec := range []token.Spec{
		{Grants: grantsOn("plain"), Bypass: true},
		{Grants: []protocol.Grant{{Target: protocol.OnePackage, Package: plainName, Permission: protocol.ReadOnly}}},
	} {
		secret, _ := w.token("alice", spec)
		ends = append(ends, secret)
	}
	bobs, _ := w.token("bob", token.Spec{Grants: grantsOn("plain")})
	ends = append(ends, bobs)
	stays := []string{wide, ofOther}
	for _, grants := range [][]protocol.Grant{grantsOn("plain", "other"), grantsOn("other"), {{Target: protocol.OneScope, Scope: "plain", Permission: protocol.ReadWrite}}} {
		secret, _ := w.token("alice", token.Spec{Grants: grants})
		stays = append(stays, secret)
	}
	s := w.login("alice")
	for _, bearer := range append(append([]string{s}, ends...), stays...) {
		require.Equal(t, 200, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: bearer}).Code)
	}
	proof := w.approve(w.publish("plain", "3.0.0", s, ""), "alice")
	open := w.publish("plain", "3.0.0", s, "")
	forOther := w.approve(w.publish("other", "3.0.0", s, ""), "alice")
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{KeysOnly: true, PublishersOnly: true}))

	w.events.all = nil
	require.NoError(t, w.auth.Transferred(t.Context(), plainName, "id-plain"))
	told := w.events.last(audit.Transferred)
	assert.Equal(t, []any{plainName, map[string]string{"package_id": "id-plain"}}, []any{told.Package, told.Detail})
	assert.Equal(t, []string{"transferred"}, w.events.last(audit.TrustRemoved).Reasons)
	assert.Equal(t, []string{"transferred"}, w.events.last(audit.TokenRevoked).Reasons)
	assert.Equal(t, []string{"transferred"}, w.events.last(audit.ChallengeNo).Reasons)
	for i, bearer := range ends {
		assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: bearer}).Code, i)
	}
	for i, bearer := range append(stays, s) {
		assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: bearer}).Code, i)
	}
	assert.Equal(t, 404, w.do(exchangeOf("plain", w.idToken())).Code)
	assert.Equal(t, 201, w.do(exchangeOf("other", w.idToken())).Code)
	is, err := w.auth.Package(t.Context(), "id-plain")
	require.NoError(t, err)
	assert.Equal(t, policy.Settings{KeysOnly: true, PublishersOnly: true}, is, "settings forbid, and stay")

	// Who is an owner still, and has approved it, is asked once more.
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{}))
	isChallenge(t, w.publish("plain", "3.0.0", s, proof))
	_, _, page := w.open(open.text("authUrl"))
	assert.GreaterOrEqual(t, page.Code, 400)
	assert.Equal(t, 200, w.publish("other", "3.0.0", s, forOther).Code)
	assert.Equal(t, 200, w.publish("plain", "3.0.0", s, w.code("alice")).Code)
}

// Nothing is left to end, or there never was a trusted publisher: that is an event, and no error.
func TestTransferredNothing(t *testing.T) {
	for _, change := range []func(*npmauth.Config){trusts, func(*npmauth.Config) {}} {
		w := newWorld(t, change)
		alice := w.person("alice")
		w.host.add("plain", false, alice)
		require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{}))
		require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Publish: protocol.FactorOnly}))
		before := dump(t, w.store)
		w.events.all = nil
		require.NoError(t, w.auth.Transferred(t.Context(), plainName, "id-plain"))
		require.Len(t, w.events.all, 1)
		assert.Equal(t, audit.Transferred, w.events.all[0].Type)
		after := dump(t, w.store)
		assert.Greater(t, after[settings.SettingsKey("id-plain")], before[settings.SettingsKey("id-plain")])
		delete(before, settings.SettingsKey("id-plain"))
		delete(after, settings.SettingsKey("id-plain"))
		assert.Equal(t, before, after)
		is, err := w.auth.Package(t.Context(), "id-plain")
		require.NoError(t, err)
		assert.Equal(t, policy.Settings{Publish: protocol.FactorOnly}, is)

		assert.ErrorIs(t, w.auth.Transferred(t.Context(), plainName, ""), npmauth.ErrNoPackage)
		assert.Error(t, w.auth.Transferred(t.Context(), protocol.PackageName{}, "id-plain"))
	}
}

// What a former owner was about to commit is decided on once more, also where there was no trusted publisher yet:
// it would stay behind.
func TestTransferredMeanwhile(t *testing.T) {
	for _, c := range []call{
		{method: "POST", path: "/-/package/plain/trust", body: trustBody("createPackage")},
		{method: "POST", path: "/-/package/plain/access", body: `{"publish_requires_tfa":true}`},
	} {
		strikes := 0 // the last commit, once it is known which that is
		for {
			st := storetest.NewFaulty(store.NewMemory())
			w := newWorld(t, trusts, func(cfg *npmauth.Config) { cfg.Store = st })
			c.bearer, c.otp = w.alice(protocol.AuthAndWrites), w.code("alice")
			other := newWorld(t, trusts, func(cfg *npmauth.Config) { cfg.Store, cfg.Packages, cfg.Now = st, w.host, w.clock.Now })
			n := 0
			st.Inject(storetest.Fault{
				If: func(c storetest.Call) bool {
					if c.Kind == storetest.Commits {
						n++
					}
					return c.Kind == storetest.Commits && n == strikes
				},
				Do: func() {
					w.host.change(func(h *hosted) { h.rights = nil })
					require.NoError(t, other.auth.Transferred(t.Context(), plainName, "id-plain"))
				},
			})
			a := w.do(c)
			if strikes == 0 {
				require.Less(t, a.Code, 300, "%s", a.Body)
				strikes = n
				continue
			}
			require.True(t, st.Struck())
			assert.Equal(t, 403, a.Code, "%s", a.Body)
			list, err := w.auth.Trust().Publishers(t.Context(), nil, "id-plain")
			require.NoError(t, err)
			assert.Empty(t, list)
			is, err := w.auth.Package(t.Context(), "id-plain")
			require.NoError(t, err)
			assert.Zero(t, is)
			break
		}
	}
}

// Wherever the store fails, the error says to call it once more, and that ends the rest.
func TestTransferredAfterAnOutage(t *testing.T) {
	prepare := func() (w *world, st *storetest.Faulty, ends []string) {
		st = storetest.NewFaulty(store.NewMemory())
		w = newWorld(t, trusts, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh = st, -1 })
		w.alice(protocol.AuthAndWrites)
		w.trust("plain", "createPackage")
		ends = append(ends, w.exchanged("plain"))
		for range 2 {
			secret, _ := w.token("alice", token.Spec{Grants: grantsOn("plain"), Bypass: true})
			ends = append(ends, secret)
		}
		s := w.login("alice")
		for range 2 {
			isChallenge(t, w.publish("plain", "3.0.0", s, ""))
		}
		return w, st, ends
	}
	w, st, _ := prepare()
	calls := 0
	st.Inject(storetest.Fault{If: func(storetest.Call) bool { calls++; return false }})
	require.NoError(t, w.auth.Transferred(t.Context(), plainName, "id-plain"))
	require.Greater(t, calls, 8)
	for nth := 1; nth <= calls; nth++ {
		w, st, ends := prepare()
		n := 0
		st.Inject(storetest.Fault{If: func(storetest.Call) bool { n++; return n == nth }})
		err := w.auth.Transferred(t.Context(), plainName, "id-plain")
		require.ErrorIs(t, err, storetest.ErrFault, nth)
		assert.ErrorContains(t, err, "call it once more", nth)
		st.Mend()
		require.NoError(t, w.auth.Transferred(t.Context(), plainName, "id-plain"), nth)
		for i, bearer := range ends {
			assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: bearer}).Code, "%d, %d", nth, i)
		}
		left, err := w.auth.Factors().EndChallenges(t.Context(), plainName, "")
		require.NoError(t, err)
		assert.Zero(t, left, nth)
	}
}
