package npmauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

const ownOrgs = "/-/auth/v1/orgs"

// inOrgs returns the organizations of bearer's account.
func (w *world) inOrgs(bearer string) []wire.Org {
	w.t.Helper()
	a := w.do(call{method: "GET", path: ownOrgs, bearer: bearer})
	require.Equal(w.t, 200, a.Code, a.Body.String())
	assert.Equal(w.t, "no-store", a.Header().Get("Cache-Control"))
	var body struct{ Objects []wire.Org }
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &body))
	return body.Objects
}

// acme makes alice an owner, with a second factor, and bob a developer of an organization, without.
func (w *world) acme() {
	w.person("alice")
	w.person("bob")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	w.host.orgs["acme "+string(w.ids["bob"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgMember}
	w.host.orgs["other "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-2", Role: protocol.OrgAdmin, RequireFactor: true}
}

func setsOrg(bearer, otp, org, body string) call {
	return call{method: "PUT", path: ownOrgs + "/" + org, bearer: bearer, otp: otp, body: body}
}

// An owner decides whether an organization requires a second factor, with a second factor, and the
// rule holds from the next request on.
func TestOrgFactor(t *testing.T) {
	w := newWorld(t)
	w.acme()
	alice, bob := w.login("alice"), w.login("bob")
	assert.Equal(t, []wire.Org{{Name: "acme", Role: "owner", MaySet2FA: true, MaySetKeysOnly: true}, {Name: "other", Role: "admin", Require2FA: true}}, w.inOrgs(alice))
	assert.Equal(t, []wire.Org{{Name: "acme", Role: "developer"}}, w.inOrgs(bob))
	members := func(bearer string) int {
		return w.do(call{method: "GET", path: "/-/org/acme/user", bearer: bearer}).Code
	}
	require.Equal(t, 200, members(bob))

	const on, off = `{"require_2fa":true}`, `{"require_2fa":false}`
	isChallenge(t, w.do(setsOrg(alice, "", "acme", on)))
	proof := w.approve(w.do(setsOrg(alice, "", "acme", on)), "alice", "Requires a second factor of its members")
	isChallenge(t, w.do(setsOrg(alice, proof, "acme", off))) // approved for the other
	assert.Empty(t, w.host.written())
	w.events.all = nil
	require.Equal(t, 204, w.do(setsOrg(alice, proof, "acme", on)).Code)
	assert.Equal(t, []string{"set-org-factor o-1 true"}, w.host.written())
	assert.True(t, w.events.did(audit.OrgRules))
	assert.Equal(t, []wire.Org{{Name: "acme", Role: "developer", Require2FA: true}}, w.inOrgs(bob))
	assert.Equal(t, 200, members(alice))
	assert.Equal(t, 403, members(bob))

	w.clock.Add(time.Minute)
	require.Equal(t, 204, w.do(setsOrg(alice, w.code("alice"), "acme", off)).Code)
	assert.Equal(t, 200, members(bob))
}

// Nobody but an owner who has a second factor sets the rule, and nobody with a token that bypasses it.
func TestOrgFactorIsForOwners(t *testing.T) {
	w := newWorld(t)
	w.acme()
	w.person("carol")
	w.host.orgs["acme "+string(w.ids["carol"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	w.enrol("bob", protocol.AuthOnly)
	org := []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}}
	bypass, _ := w.token("alice", token.Spec{Grants: append(grantAll(protocol.ReadWrite), org...), Bypass: true})
	packages, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	set := func(bearer, otp, org string) answer { return w.do(setsOrg(bearer, otp, org, `{"require_2fa":true}`)) }

	assert.Equal(t, 401, set("", "", "acme").Code)
	a := set(w.login("bob"), w.code("bob"), "acme")
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "role")
	a = set(w.login("carol"), "", "acme")
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "no second factor", "who would shut themselves out")
	assert.Equal(t, 403, set(bypass, w.code("alice"), "acme").Code)
	assert.Equal(t, 403, set(packages, w.code("alice"), "acme").Code)
	session := w.login("alice")
	assert.Equal(t, 403, set(session, w.code("alice"), "other").Code, "an admin is no owner")
	absent := set(session, "", "absent")
	assert.Equal(t, 404, absent.Code)
	w.host.orgs["hidden x"] = policy.OrgFacts{ID: "o-3", Role: protocol.OrgOwner}
	hidden := set(session, "", "hidden")
	assert.Equal(t, absent.Body.String(), hidden.Body.String())
	for _, body := range []string{"", "{}", "[]", `{"require_2fa":null}`, `{"require_2fa":"true"}`, `{"require_2fa":true,"more":1}`, `{"require_2fa":true,"require_2fa":false}`} {
		assert.Equal(t, 400, w.do(setsOrg(session, w.code("alice"), "acme", body)).Code, body)
	}
	assert.Empty(t, w.host.written())
	assert.Equal(t, 403, w.do(call{method: "GET", path: ownOrgs, bearer: packages}).Code, "tokens do not tell where somebody belongs")
	assert.Equal(t, 401, w.do(call{method: "GET", path: ownOrgs}).Code)
}

// Somebody who is no owner any more when the last byte is there sets nothing.
func TestOrgFactorOfAFormerOwner(t *testing.T) {
	w := newWorld(t)
	w.acme()
	alice, code := w.login("alice"), w.code("alice")
	asked := 0
	w.host.asked = func() { // with the lock
		if asked++; asked == 2 {
			w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgAdmin}
		}
	}
	assert.Equal(t, 403, w.do(setsOrg(alice, code, "acme", `{"require_2fa":true}`)).Code)
	assert.Equal(t, 2, asked)
	assert.Empty(t, w.host.written())
}

// orgsAlone are those of a host that neither lists who is in them nor lets owners set their rule.
type orgsAlone struct{ host.Orgs }

// orgsListed are those of a host that lists them.
type orgsListed struct {
	host.Orgs
	all host.Memberships
}

func (o orgsListed) Memberships(ctx context.Context, user protocol.UserID) ([]host.Membership, error) {
	return o.all.Memberships(ctx, user)
}

// A host that cannot list organizations, or keeps their rule for itself, offers no more than that.
func TestOrgsOfLess(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Orgs = orgsAlone{cfg.Orgs} })
	w.acme()
	alice := w.login("alice")
	assert.Equal(t, 403, w.do(call{method: "GET", path: ownOrgs, bearer: alice}).Code)
	assert.Equal(t, 403, w.do(setsOrg(alice, w.code("alice"), "acme", `{"require_2fa":true}`)).Code)
	b := w.tab()
	b.signIn("alice", "sessions")
	assert.NotContains(t, b.Body.String(), "Organizations")
	b.open("/-/auth/orgs").is(404, "")

	w = newWorld(t, func(cfg *npmauth.Config) { cfg.Orgs = orgsListed{cfg.Orgs, cfg.Orgs.(host.Memberships)} })
	w.acme()
	assert.Equal(t, []wire.Org{{Name: "acme", Role: "owner", MaySetKeysOnly: true}, {Name: "other", Role: "admin", Require2FA: true}}, w.inOrgs(w.login("alice")))
	b = w.tab()
	b.signIn("alice", "orgs")
	b.is(200, "acme")
	assert.NotContains(t, b.Body.String(), `value="require"`)
	b.is(200, "add one of your own first")
	w.key("alice", "blue")
	b.open("/-/auth/orgs").is(200, `value="keys"`) // which npmauth keeps
}

// The page shows the organizations of an account, and lets an owner set their rule.
func TestOrgsPage(t *testing.T) {
	w := newWorld(t)
	w.acme()
	w.person("carol")
	b := w.tab()
	b.signIn("alice", "orgs")
	b.is(200, "<h2>acme</h2>")
	assert.Equal(t, 1, strings.Count(b.Body.String(), `name="org"`), "of two, one is alice's to set")
	b.is(200, "<dd>required of all members</dd>")
	b.submit("require", "code", "000000").is(403, "wrong")
	b.submit("require", "code", "").is(403, "one-time")
	b.submit("require", "org", "other", "code", w.code("alice")).is(403, "role")
	b.submit("require", "org", "../acme", "code", w.code("alice")).is(400, "")
	b.open("/-/auth/orgs")
	assert.Empty(t, w.host.written())
	b.submit("require", "code", w.code("alice")).is(200, "acme requires two-factor authentication of its members now.")
	assert.Equal(t, []string{"set-org-factor o-1 true"}, w.host.written())

	other := w.tab()
	other.signIn("bob", "orgs")
	other.is(200, "no part in this organization until you turn on two-factor authentication")
	assert.NotContains(t, other.Body.String(), `name="org"`)
	third := w.tab()
	third.signIn("carol", "orgs")
	third.is(200, "You are in none.")

	w.clock.Add(time.Minute)
	b.submit("free", "code", w.code("alice")).is(200, "acme does not require two-factor authentication any more.")
	assert.Equal(t, "set-org-factor o-1 false", w.host.written()[1])

	// An owner without a second factor is told to turn it on first.
	w.host.orgs["acme "+string(w.ids["carol"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	third.open("/-/auth/orgs").is(200, "turn it on for yourself first")
	assert.NotContains(t, third.Body.String(), `name="org"`)
}

// outOrgs is a table whose write fails.
type outOrgs struct{ *backend }

func (outOrgs) SetRequireFactor(context.Context, protocol.OrgID, bool) (host.Write, error) {
	return func(context.Context) error { return errors.New("a host that is out") }, nil
}

// A write of the host that fails is an outage, and no event says that the rule was set.
func TestOrgFactorOutage(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Orgs = outOrgs{cfg.Orgs.(*backend)} })
	w.acme()
	a := w.do(setsOrg(w.login("alice"), w.code("alice"), "acme", `{"require_2fa":true}`))
	assert.Equal(t, 503, a.Code)
	assert.NotContains(t, a.Body.String(), "a host that is out")
	assert.False(t, w.events.has(audit.OrgRules))
}
