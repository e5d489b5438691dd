package npmauth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
)

// What is set for a scope from the moment on at which a commit begins holds for what is being published or
// approved, too: the row is among those that the judgement rests on.
func TestScopeRulesMeanwhile(t *testing.T) {
	publish := func(w *world, name, bearer string) call {
		c := publishOf(name, "1.0.0")
		c.bearer, c.otp = bearer, w.code("alice")
		return c
	}
	approve := func(w *world, name, bearer string) call {
		return call{method: "POST", path: "/-/stage/" + w.staged(name, "1.0.0", bearer) + "/approve", bearer: bearer, otp: w.codeAfter("alice")}
	}
	for what, tt := range map[string]struct {
		rules settings.Scope
		of    func(w *world, name, bearer string) call
		code  string // "" is no refusal: it is not published yet
	}{
		"only security keys":          {settings.Scope{KeysOnly: true}, publish, "no-security-key"},
		"only security keys, staged":  {settings.Scope{KeysOnly: true}, approve, "no-security-key"},
		"only trusted publishers":     {settings.Scope{PublishersOnly: true}, publish, "publishers-only"},
		"only their staged versions":  {settings.Scope{PublishersOnly: true}, approve, "publishers-only"},
		"only what is staged":         {settings.Scope{StageOnly: true}, publish, "stage-required"},
		"another approver":            {settings.Scope{OtherApprover: true}, approve, "approver-is-stager"},
		"the approvals of two people": {settings.Scope{Approvals: 2}, approve, ""},
	} {
		for _, name := range []string{"@acme/widget", "@acme/new"} {
			t.Run(what+" of "+name, func(t *testing.T) {
				st := storetest.NewFaulty(store.NewMemory())
				w := newWorld(t, stages, func(cfg *npmauth.Config) { cfg.Store = st })
				alice := w.person("alice")
				w.enrol("alice", protocol.AuthOnly)
				w.host.add("@acme/widget", false, alice)
				c := tt.of(w, name, w.login("alice"))
				written := w.host.written()
				other := newWorld(t, stages, func(cfg *npmauth.Config) {
					cfg.Store, cfg.Packages, cfg.Documents, cfg.Orgs, cfg.Now = st, w.host, w.host, w.host, w.clock.Now
				})
				commits := 0
				st.Inject(storetest.Fault{
					If: func(c storetest.Call) bool {
						if c.Kind == storetest.Commits {
							commits++
						}
						return c.Kind == storetest.Commits && commits == 1
					},
					Do: func() { require.NoError(t, other.auth.SetScope(t.Context(), "acme", tt.rules)) },
				})
				a := w.do(c)
				require.True(t, st.Struck())
				if tt.code == "" {
					require.Equal(t, 201, a.Code, "%s", a.Body)
					assert.Equal(t, false, a.json["published"])
				} else {
					assert.Equal(t, 403, a.Code)
					assert.Equal(t, tt.code, a.text("code"))
				}
				assert.Equal(t, written, w.host.written())
			})
		}
	}
}

// refusedInScope asserts that a publish into the scope acme is refused with that code, also of a new package, and that one
// beside the scope is not. It returns the refusals.
func (w *world) refusedInScope(bearer, code string) (refusals []answer) {
	w.t.Helper()
	for name, refused := range map[string]bool{"@acme/widget": true, "@acme-labs/widget": false, "widget": false, "@acme/new": true} {
		a := w.publish(name, "1.0.0", bearer, "")
		if !refused {
			assert.Equal(w.t, 200, a.Code, name)
			continue
		}
		assert.Equal(w.t, 403, a.Code, name)
		assert.Equal(w.t, code, a.text("code"), name)
		refusals = append(refusals, a)
	}
	return refusals
}
