package npmauth_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

// hostWorld is a registry whose host has one user, alice, with a second factor.
func hostWorld(t *testing.T) (*world, *people, []string) {
	t.Helper()
	p := &people{user: host.User{ID: "1", Name: "alice"}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Fresh = p, -1 })
	w.ids["alice"] = "1"
	return w, p, w.enrol("alice", protocol.AuthAndWrites)
}

// recover logs alice in with a recovery code.
func (w *world) recover(code string) string {
	w.t.Helper()
	secret, _, err := w.auth.Sessions().SignIn(w.t.Context(), session.SignIn{
		Name: "alice", Password: credential.NewSecret(password), OTP: credential.NewSecret(code),
	})
	require.NoError(w.t, err)
	return secret.Reveal()
}

// An account that many depend on reads and repairs itself for three days after a
// recovery code was used, with whatever credential.
func TestHighImpactAccountIsHeld(t *testing.T) {
	w, p, codes := hostWorld(t)
	p.user.HighImpact = true
	w.host.add("plain", false, "1")
	bypass, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	require.Equal(t, 200, w.publish("plain", "1.0.0", bypass, "").Code)

	s := w.recover(codes[0])
	start := w.clock.Now()
	for name, a := range map[string]answer{
		"bypass":  w.publish("plain", "1.0.1", bypass, ""),
		"session": w.publish("plain", "1.0.1", s, w.code("alice")),
		"token": w.do(call{
			method: "POST", path: "/-/npm/v1/tokens", bearer: s, otp: w.code("alice"),
			body: `{"name":"x","password":"` + password + `","packages_all":true}`,
		}),
	} {
		assert.Equal(t, 403, a.Code, name)
		assert.Equal(t, "account-held", a.text("code"), name)
	}
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/plain", bearer: bypass}).Code)
	_, spare := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	assert.Equal(t, 204, w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + spare.ID, bearer: s, otp: w.code("alice")}).Code)

	w.clock.Add(72*time.Hour - time.Microsecond - w.clock.Now().Sub(start))
	assert.Equal(t, 403, w.publish("plain", "1.0.1", bypass, "").Code, "the last instant")
	w.clock.Add(time.Microsecond)
	assert.Equal(t, 200, w.publish("plain", "1.0.1", bypass, "").Code, tok.Expires)

	require.NoError(t, w.auth.Subjects().Recovered(t.Context(), audit.Actor{}, "1"))
	assert.Equal(t, "account-held", w.publish("plain", "1.0.2", bypass, "").text("code"), "the host changed the address")
	p.user.HighImpact = false
	assert.Equal(t, 200, w.publish("plain", "1.0.2", bypass, "").Code)

	require.NoError(t, w.auth.Subjects().SetHighImpact(t.Context(), audit.Actor{}, "1", true))
	assert.Equal(t, "account-held", w.publish("plain", "1.0.3", bypass, "").text("code"), "whoever counts the dependents")
	require.NoError(t, w.auth.Subjects().SetHighImpact(t.Context(), audit.Actor{}, "1", false))
	assert.Equal(t, 200, w.publish("plain", "1.0.3", bypass, "").Code)
}

// A code that was not spent recovered nothing.
func TestUnspentRecoveryCodeHoldsNobody(t *testing.T) {
	w, _, codes := hostWorld(t)
	_, _, err := w.auth.Sessions().SignIn(t.Context(), session.SignIn{
		Name: "alice", Password: credential.NewSecret("wrong"), OTP: credential.NewSecret(codes[0]),
	})
	require.ErrorIs(t, err, session.ErrDenied)
	w.login("alice")
	sub, err := w.auth.Subjects().Get(t.Context(), "1")
	require.NoError(t, err)
	assert.Zero(t, sub.Recovered)
	w.recover(codes[0])
	sub, err = w.auth.Subjects().Get(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, w.clock.Now(), sub.Recovered)
}

// Who is in an organization that demands a factor may change it and not take it off. PR-27
func TestRequiredFactorStays(t *testing.T) {
	w, _, _ := hostWorld(t)
	w.host.demanded["1"] = true
	s := w.login("alice")
	set := func(mode string) answer {
		return w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s, otp: w.code("alice"), body: `{"tfa":{"mode":"` + mode + `","password":"` + password + `"}}`})
	}
	a := set("disable")
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "factor-required", a.text("code"))
	assert.Equal(t, 200, set("auth-only").Code)
	w.host.fail = errors.New("down")
	assert.Equal(t, 503, set("disable").Code, "who cannot tell does not let it go")
	w.host.fail = nil
	w.host.demanded["1"] = false
	assert.Equal(t, 200, set("disable").Code)

	// An enrolment that was never confirmed is no factor, and npm drops it before it
	// begins another.
	w.host.demanded["1"] = true
	_, err := w.auth.Factors().Enrol(t.Context(), audit.Actor{}, "1", "alice", protocol.AuthOnly)
	require.NoError(t, err)
	assert.Equal(t, 200, set("disable").Code)
}

// The ranges of an account hold for all that it has, beside those of each token.
func TestAccountCIDRs(t *testing.T) {
	w, _, _ := hostWorld(t)
	s := w.login("alice")
	wide, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	other, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	require.ErrorIs(t, w.auth.Subjects().SetCIDRs(t.Context(), audit.Actor{}, "1", []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}), subject.ErrCIDR)
	require.NoError(t, w.auth.Subjects().SetCIDRs(t.Context(), audit.Actor{}, "1", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}))
	ask := func(bearer, addr string) int {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer, addr: addr + ":1234"}).Code
	}
	for _, bearer := range []string{s, wide} {
		assert.Equal(t, 200, ask(bearer, "192.0.2.7"))
		assert.Equal(t, 401, ask(bearer, "198.51.100.7"))
	}
	assert.Equal(t, 401, ask(other, "192.0.2.7"), "not in the token's own")
	assert.Equal(t, 401, ask(other, "198.51.100.7"), "not in the account's")
	require.NoError(t, w.auth.Subjects().SetCIDRs(t.Context(), audit.Actor{}, "1", nil))
	assert.Equal(t, 200, ask(other, "198.51.100.7"))
}

// npm profile get shows the ranges of the account, as npm's own field for them.
func TestProfileShowsCIDRs(t *testing.T) {
	w, _, _ := hostWorld(t)
	s := w.login("alice")
	assert.Contains(t, w.do(call{method: "GET", path: "/-/npm/v1/user", bearer: s}).Body.String(), `"cidr_whitelist":null`)
	require.NoError(t, w.auth.Subjects().SetCIDRs(t.Context(), audit.Actor{}, "1", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}))
	assert.Contains(t, w.do(call{method: "GET", path: "/-/npm/v1/user", bearer: s}).Body.String(), `"cidr_whitelist":["192.0.2.0/24"]`)
	self := w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: s})
	assert.Equal(t, []any{"192.0.2.0/24"}, self.json["cidr"])
}
