package npmauth_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

// A reset takes the factor off and ends the sessions, or does neither.
func TestResetTwoFactorIsOneCommit(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	st.Inject(storetest.Fault{On: storetest.Commits, Nth: 1, Err: context.DeadlineExceeded})
	require.ErrorIs(t, w.auth.ResetTwoFactor(t.Context(), alice), context.DeadlineExceeded)
	require.Equal(t, 200, whoami(w, s))
	require.Equal(t, protocol.AuthOnly, w.subject("alice").TwoFactor)
	require.Zero(t, w.subject("alice").Recovered)
	require.False(t, w.events.has(audit.AccountRecovered))
	require.NoError(t, w.auth.ResetTwoFactor(t.Context(), alice))
	assert.Equal(t, 401, whoami(w, s))
	assert.Equal(t, protocol.TwoFactorOff, w.subject("alice").TwoFactor)
	reset := w.clock.Now()
	assert.Equal(t, reset, w.subject("alice").Recovered)
	assert.True(t, w.events.has(audit.AccountRecovered))
	w.clock.Add(time.Hour)
	assert.ErrorIs(t, w.auth.ResetTwoFactor(t.Context(), alice), twofactor.ErrNoFactor)
	assert.Equal(t, reset, w.subject("alice").Recovered, "there was nothing to recover")
}

// Whatever an operator does for who has lost the second factor or the password, a high-impact
// account only reads for three days from then on, with all that it has, a factor enrolled since
// included. A factor that people remove with their own code costs them nothing.
func TestOperatorsRecoveryHolds(t *testing.T) {
	ctx := t.Context()
	for name, tt := range map[string]struct {
		do   func(w *world, alice protocol.UserID) error
		want bool // whether it is a recovery
	}{
		"ResetTwoFactor": {func(w *world, alice protocol.UserID) error { return w.auth.ResetTwoFactor(ctx, alice) }, true},
		"Factors().Disable": {func(w *world, alice protocol.UserID) error {
			return w.auth.Factors().Disable(ctx, audit.Actor{}, alice)
		}, true},
		"ResetPassword": {func(w *world, alice protocol.UserID) error {
			if err := w.auth.People().ResetPassword(ctx, audit.Actor{}, alice, credential.NewSecret(password)); err != nil {
				return err
			}
			return w.auth.Factors().Disable(ctx, audit.Actor{User: alice}, alice)
		}, true},
		"npm profile disable-2fa": {func(w *world, _ protocol.UserID) error {
			a := w.do(call{
				method: "POST", path: "/-/npm/v1/user", bearer: w.login("alice"), otp: w.code("alice"),
				body: `{"tfa":{"mode":"disable","password":"` + password + `"}}`,
			})
			if a.Code != 200 {
				return fmt.Errorf("%d %s", a.Code, a.Body)
			}
			return nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.person("alice")
			w.host.add("plain", false, alice)
			w.enrol("alice", protocol.AuthAndWrites)
			require.NoError(t, w.auth.Subjects().SetHighImpact(ctx, audit.Actor{}, alice, true))
			bypass, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
			reads, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			require.Equal(t, 200, w.publish("plain", "1.0.0", bypass, "").Code)
			require.NoError(t, tt.do(w, alice))
			w.enrol("alice", protocol.AuthAndWrites)
			recovered := w.subject("alice").Recovered
			assert.Equal(t, tt.want, !recovered.IsZero())

			s := w.login("alice")
			for what, a := range map[string]answer{
				"with a token":   w.publish("plain", "1.0.1", bypass, ""),
				"with a session": w.publish("plain", "1.0.2", s, w.code("alice")),
				"a token": w.create(s, w.code("alice"), map[string]any{
					"packages_all": true, "packages_and_scopes_permission": "read-write",
				}),
				"access": w.do(call{method: "POST", path: "/-/package/plain/access", bearer: s, otp: w.code("alice"), body: `{"access":"restricted"}`}),
			} {
				if tt.want {
					assert.Equal(t, 403, a.Code, what)
					assert.Equal(t, "account-held", a.text("code"), what)
				} else {
					assert.Less(t, a.Code, 300, "%s: %s", what, a.Body)
				}
			}
			assert.Equal(t, 200, w.do(call{method: "GET", path: "/plain", bearer: reads}).Code)
			assert.Equal(t, 200, whoami(w, reads))
			if tt.want {
				w.clock.Add(recovered.Add(72*time.Hour - time.Microsecond).Sub(w.clock.Now()))
				assert.Equal(t, "account-held", w.publish("plain", "1.0.3", bypass, "").text("code"))
				w.clock.Add(time.Microsecond)
			}
			assert.Equal(t, 200, w.publish("plain", "1.0.3", bypass, "").Code)
		})
	}
}

// ST-20: what was revoked after a backup was made stays revoked when it is put back.
func TestRestored(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = m })
	alice := w.person("alice")
	bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	s := w.login("alice")
	backup, err := m.List(ctx, "", "", store.MaxLimit)
	require.NoError(t, err)
	require.NoError(t, w.auth.Tokens().Revoke(ctx, audit.Actor{}, alice, tok.ID, ""))
	require.Equal(t, 401, whoami(w, bearer))

	for _, it := range backup {
		_, err := w.store.Commit(ctx, store.Op{Key: it.Key, At: store.Any, Action: store.Put, Value: it.Value, Expires: it.Expires})
		require.NoError(t, err)
	}
	w.clock.Add(time.Hour)
	require.Equal(t, 200, whoami(w, bearer), "this is why")
	require.NoError(t, w.auth.Restored(ctx))
	assert.Equal(t, 401, whoami(w, bearer))
	assert.Equal(t, 401, whoami(w, s))
	assert.True(t, w.events.has(audit.AllRevoked))
	w.clock.Add(time.Second)
	assert.Equal(t, 200, whoami(w, w.login("alice")))
}

// What an operator does to an account or a package is on record.
func TestOperatorIsOnRecord(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	alice := w.person("alice")
	subjects := w.auth.Subjects()
	for want, do := range map[audit.Type]func() error{
		audit.AccountOff:     func() error { return subjects.Disable(ctx, audit.Actor{}, alice) },
		audit.AccountOn:      func() error { return subjects.Enable(ctx, audit.Actor{}, alice) },
		audit.AccountRevoked: func() error { return subjects.RevokeAll(ctx, audit.Actor{}, alice) },
		audit.SessionEnded:   func() error { return subjects.EndSessions(ctx, audit.Actor{}, alice) },
		audit.AccountRanges: func() error {
			return subjects.SetCIDRs(ctx, audit.Actor{}, alice, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
		},
		audit.AllRevoked:   func() error { return w.auth.Restored(ctx) },
		audit.PackageRules: func() error { return w.auth.SetPackage(ctx, "p1", policy.Settings{Publish: protocol.FactorOnly}) },
		audit.ScopeRules:   func() error { return w.auth.SetScope(ctx, "acme", settings.Scope{KeysOnly: true}) },
	} {
		w.events.all = nil
		require.NoError(t, do())
		require.Len(t, w.events.all, 1, want)
		e := w.events.all[0]
		assert.Equal(t, want, e.Type)
		assert.Equal(t, audit.Done, e.Outcome)
		assert.Equal(t, w.clock.Now(), e.Time, want)
		switch want {
		case audit.PackageRules:
			assert.Equal(t, map[string]string{
				"package_id": "p1", "publish": "publish", "keys_only": "false", "publishers_only": "false", "stage_only": "false", "approvals": "1", "other_approver": "false",
			}, e.Detail)
		case audit.ScopeRules:
			assert.Equal(t, map[string]string{
				"scope": "acme", "keys_only": "true", "publishers_only": "false", "stage_only": "false", "approvals": "1", "other_approver": "false",
			}, e.Detail)
			s, err := w.auth.Scope(ctx, "acme")
			require.NoError(t, err)
			assert.True(t, s.KeysOnly)
		case audit.AllRevoked:
			assert.Empty(t, e.User)
		default:
			assert.Equal(t, alice, e.User)
		}
		if want == audit.AccountRanges {
			assert.Equal(t, "192.0.2.0/24", e.Detail["cidr"])
		}
	}
	w.events.all = nil
	assert.Error(t, subjects.Disable(ctx, audit.Actor{}, ""))
	assert.Error(t, subjects.SetCIDRs(ctx, audit.Actor{}, alice, make([]netip.Prefix, 1)))
	assert.Error(t, w.auth.SetPackage(ctx, "", policy.Settings{}))
	assert.Error(t, w.auth.SetPackage(ctx, "p1", policy.Settings{Publish: 9}))
	assert.Error(t, w.auth.SetScope(ctx, "@acme", settings.Scope{KeysOnly: true}))
	assert.Empty(t, w.events.all, "what did not happen is on no record")
}

func TestTokensReaching(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	alice, bob, mallory := w.person("alice"), w.person("bob"), w.person("mallory")
	ci := w.service("ci", alice)
	plain, hidden := protocol.PackageName{Name: "plain"}, protocol.PackageName{Scope: "acme", Name: "private"}
	w.host.add("plain", false, alice)
	w.host.add("@acme/private", true, alice)
	w.host.packages[hidden].rights[bob] = policy.RightRead
	w.host.packages[hidden].rights[ci] = policy.RightRead | policy.RightWrite
	w.host.packages[hidden].rights[mallory] = allRights
	one := func(name protocol.PackageName, p protocol.Permission, v protocol.Verbs) []protocol.Grant {
		return []protocol.Grant{{Target: protocol.OnePackage, Package: name, Permission: p, Verbs: v}}
	}
	names := map[string]string{}
	add := func(label, user string, spec token.Spec) token.Token {
		_, tok := w.token(user, spec)
		names[tok.ID] = label
		return tok
	}
	add("all, reads", "alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	add("all, writes", "alice", token.Spec{Grants: grantAll(protocol.ReadWrite), CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	add("scope, stages", "alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.StageOnly}}})
	add("tags", "alice", token.Spec{Grants: one(hidden, protocol.ReadWrite, protocol.VerbDistTag)})
	add("stages", "alice", token.Spec{Grants: one(hidden, protocol.ReadWrite, protocol.VerbStage)})
	add("other package", "alice", token.Spec{Grants: one(plain, protocol.ReadWrite, 0)})
	add("org", "alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}}})
	add("of a reader", "bob", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	add("of a service", "ci", token.Spec{Grants: one(hidden, protocol.ReadWrite, 0)})
	add("of one who is disabled", "mallory", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	require.NoError(t, w.auth.Subjects().Disable(ctx, audit.Actor{}, mallory))
	gone := add("revoked", "alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	require.NoError(t, w.auth.Tokens().Revoke(ctx, audit.Actor{}, alice, gone.ID, ""))
	add("expired", "alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Until: w.clock.Now().Add(time.Hour)})
	w.clock.Add(time.Hour)

	reaching := func(pkg protocol.PackageName, want policy.Rights) (labels []string) {
		for tok, err := range w.auth.TokensReaching(ctx, pkg, want) {
			require.NoError(t, err)
			labels = append(labels, names[tok.ID])
		}
		return labels
	}
	assert.ElementsMatch(t, []string{"all, reads", "all, writes", "scope, stages", "tags", "stages", "of a reader", "of a service"}, reaching(hidden, policy.RightRead))
	facts := w.host.facts
	assert.ElementsMatch(t, []string{"all, writes", "tags", "of a service"}, reaching(hidden, policy.RightWrite))
	assert.Equal(t, 3, w.host.facts-facts, "each user once: alice, bob, ci; mallory is disabled")
	assert.ElementsMatch(t, []string{"all, writes"}, reaching(hidden, policy.RightAdmin|policy.RightRead))
	assert.ElementsMatch(t, []string{"all, writes", "other package"}, reaching(plain, policy.RightWrite))
	assert.Len(t, reaching(plain, policy.RightRead), 9, "as everybody")
	assert.Empty(t, reaching(protocol.PackageName{Name: "absent"}, policy.RightRead))

	for range w.auth.TokensReaching(ctx, hidden, policy.RightRead) {
		break // the caller may have enough
	}
	fails := func(pkg protocol.PackageName, want policy.Rights) (err error) {
		for tok, e := range w.auth.TokensReaching(ctx, pkg, want) {
			assert.NoError(t, err, "nothing comes after an error")
			if err = e; err != nil {
				assert.Zero(t, tok)
			}
		}
		return err
	}
	assert.Error(t, fails(hidden, 0))
	w.host.fail = context.DeadlineExceeded
	assert.ErrorIs(t, fails(hidden, policy.RightRead), context.DeadlineExceeded)
	w.host.fail = nil
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range w.auth.TokensReaching(ended, hidden, policy.RightRead) {
		assert.ErrorIs(t, err, context.Canceled)
	}
}

// AU-32: what the policy says later holds for what begins or ends later, its limits too.
func TestSetPolicy(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	ci, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	freeze := policy.Rule{
		ID: "freeze", Sentence: "Nothing is published now.", Actions: []protocol.Action{protocol.Publish},
		Judge: func(*policy.Request) policy.Verdict { return policy.Forbid },
	}
	require.Equal(t, 200, w.publish("plain", "1.0.0", ci, "").Code)
	npm := w.auth.Policy()
	require.NoError(t, w.auth.SetPolicy(npm.With(freeze).WithLimits(policy.Limits{SessionTTL: 12 * time.Hour, Tokens: 1, RecoveryCodes: 7})))
	refused := w.publish("plain", "1.0.1", ci, "")
	assert.Equal(t, 403, refused.Code)
	assert.Equal(t, "freeze", refused.text("code"))

	assert.Len(t, w.enrol("alice", protocol.AuthOnly), 7)
	long := w.login("alice")
	assert.Contains(t, w.create(long, w.code("alice"), map[string]any{"packages_all": true}).text("error"), "as many tokens")
	require.NoError(t, w.auth.SetPolicy(npm))
	short := w.login("alice")
	w.clock.Add(3 * time.Hour)
	assert.Equal(t, 200, whoami(w, long), "a session keeps its expiry")
	assert.Equal(t, 401, whoami(w, short))

	var none *policy.Policy
	for name, p := range map[string]*policy.Policy{
		"none": none, "a broken one": npm.Without("no-such-rule"), "bad limits": npm.WithLimits(policy.Limits{SessionTTL: 13 * time.Hour}),
	} {
		require.Error(t, w.auth.SetPolicy(p), name)
		assert.Same(t, npm, w.auth.Policy(), name)
	}
	assert.Equal(t, 200, w.publish("plain", "1.0.1", ci, "").Code)
}

// The final decision about a request that is under way is the new policy's, in both directions.
func TestSetPolicyWhileABodyArrives(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	ci, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	npm := w.auth.Policy()
	frozen := npm.With(policy.Rule{
		ID: "freeze", Sentence: "Nothing changes now.", Actions: []protocol.Action{protocol.Publish, protocol.SetDistTag},
		Judge: func(*policy.Request) policy.Verdict { return policy.Forbid },
	})
	bodies := map[string]call{
		"publish":  {method: "PUT", path: "/plain", body: hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "2.0.0"), bearer: ci},
		"dist-tag": {method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`, bearer: ci},
	}
	for name, c := range bodies {
		arriving := func(meanwhile *policy.Policy) answer {
			late := c
			late.body = &pausedBody{rest: w.bytes(c.body), fn: func() { require.NoError(t, w.auth.SetPolicy(meanwhile)) }}
			return w.do(late)
		}
		require.NoError(t, w.auth.SetPolicy(npm))
		was := len(w.host.written())
		a := arriving(frozen)
		assert.Equal(t, 403, a.Code, name)
		assert.Equal(t, "freeze", a.text("code"), name)
		assert.Len(t, w.host.written(), was, name)
		require.NoError(t, w.auth.SetPolicy(npm))
		assert.Less(t, arriving(npm).Code, 300, name)
		require.NoError(t, w.auth.SetPolicy(frozen))
		assert.Equal(t, 403, arriving(npm).Code, "%s: it was not let in", name)
	}
}

// A store that was moved has everybody's password and second factor, and no credential that was
// issued before (ST-20). Until the copy is finished nobody is served from it, whether or not the
// program calls Ready.
func TestCopiedStore(t *testing.T) {
	ctx, raw := t.Context(), store.NewMemory()
	from := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = raw })
	require.NoError(t, from.auth.Ready(ctx))
	alice := from.person("alice")
	from.enrol("alice", protocol.AuthAndWrites)
	mallory := from.person("mallory")
	require.NoError(t, from.auth.Subjects().Disable(ctx, audit.Actor{}, mallory))
	bearer, _ := from.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	session := from.login("alice")
	require.Equal(t, 200, whoami(from, bearer))
	require.Equal(t, 200, whoami(from, session))

	for n := 2; ; n++ { // 1 is the first commit, before which the store is empty
		engine := store.NewMemory()
		faulty := storetest.NewFaulty(engine, storetest.Fault{On: storetest.Commits, Nth: n})
		sealed := store.Seal(faulty, store.Key{1})
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Now, cfg.OpenSignUp = sealed, from.clock.Now, false })
		w.clock, w.ids, w.secrets = from.clock, from.ids, from.secrets
		err := w.auth.Subjects().CopyFrom(ctx, audit.Actor{}, raw, nil)
		interrupted := faulty.Struck()
		faulty.Mend()
		if interrupted {
			require.ErrorIs(t, err, storetest.ErrFault)
			require.ErrorIs(t, w.auth.Ready(ctx), store.ErrUnfinished, n)
			want := 503
			if n == 2 {
				want = 401 // their rows are not there yet
			}
			require.Equal(t, want, whoami(w, bearer), n)
			require.Equal(t, want, whoami(w, session), n)
			refused := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: map[string]any{"name": "alice", "password": password}})
			require.GreaterOrEqual(t, refused.Code, 400, n)
			require.NoError(t, w.auth.Subjects().CopyFrom(ctx, audit.Actor{}, raw, nil))
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, w.auth.Ready(ctx))
		require.Equal(t, 401, whoami(w, bearer))
		require.Equal(t, 401, whoami(w, session))
		require.True(t, w.events.has(audit.AllRevoked))
		require.Equal(t, 200, whoami(w, w.login("alice")), "with a code of the factor")
		require.Equal(t, protocol.AuthAndWrites, w.subject("alice").TwoFactor)
		require.True(t, w.subject("mallory").Disabled)
		require.Equal(t, alice, w.subject("alice").ID)
		if !interrupted {
			require.Equal(t, 4, n, "the mark, the rows, the end")
			break
		}
	}
	assert.Equal(t, 200, whoami(from, session), "what is left of the old store is alive: it must go")
}

// AU-74: whoever puts npmauth before a registry that has packages keeps what was decided about them,
// as npmjs.com did: of what is new a second factor is demanded, and of a package that needed none
// it is not.
func TestImportPackages(t *testing.T) {
	ctx := t.Context()
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Store = st
		log, err := audit.NewLog(audit.LogConfig{Store: st})
		require.NoError(t, err)
		cfg.AuditLog = log
	})
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	modes := []protocol.PublishMode{protocol.FactorOrBypass, protocol.FactorOnly, protocol.NoFactor}
	var ids []protocol.PackageID
	for i := range 30 {
		ids = append(ids, w.host.add(fmt.Sprintf("old-%d", i), false, alice))
	}
	old := func(yield func(protocol.PackageID, policy.Settings) bool) {
		for i, id := range append(slices.Clone(ids), ids[2]) {
			if !yield(id, policy.Settings{Publish: modes[i%len(modes)]}) {
				return
			}
		}
	}
	// Somebody decides before the import is through, which fails in its middle.
	require.NoError(t, w.auth.SetPackage(ctx, ids[2], policy.Settings{Publish: protocol.FactorOnly}))
	st.Inject(storetest.Fault{On: storetest.Commits, Nth: 3, Err: context.DeadlineExceeded})
	require.ErrorIs(t, w.auth.ImportPackages(ctx, old), context.DeadlineExceeded)
	require.NoError(t, w.auth.SetPackage(ctx, ids[5], policy.Settings{Publish: protocol.FactorOrBypass}))
	for range 2 { // and is run again, and again by mistake
		require.NoError(t, w.auth.ImportPackages(ctx, old))
		for i, id := range ids {
			want := modes[i%len(modes)]
			switch i {
			case 2:
				want = protocol.FactorOnly
			case 5:
				want = protocol.FactorOrBypass
			}
			s, err := w.auth.Package(ctx, id)
			require.NoError(t, err)
			assert.Equal(t, want, s.Publish, "old-%d", i)
		}
	}

	s := w.login("alice")
	assert.Equal(t, 200, w.publish("old-8", "1.0.0", s, "").Code, "mfa=none, and the account asks for sign-ins only")
	isChallenge(t, w.publish("old-0", "1.0.0", s, ""))
	isChallenge(t, w.publish("new", "1.0.0", s, ""))
	ci, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	assert.Equal(t, "package-disallows-tokens", w.publish("old-1", "1.0.0", ci, "").text("code"))

	for name, bad := range map[string]struct {
		id   protocol.PackageID
		mode protocol.PublishMode
	}{"no ID": {"", protocol.NoFactor}, "no mode": {"x", 9}} {
		assert.Error(t, w.auth.ImportPackages(ctx, func(yield func(protocol.PackageID, policy.Settings) bool) {
			yield(bad.id, policy.Settings{Publish: bad.mode})
		}), name)
	}
	is, err := w.auth.Package(ctx, "x")
	require.NoError(t, err)
	assert.Equal(t, protocol.FactorOrBypass, is.Publish)
	assert.NoError(t, w.auth.ImportPackages(ctx, func(func(protocol.PackageID, policy.Settings) bool) {}), "there were none")
}
