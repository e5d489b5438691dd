package npmauth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// Every number of the operator's is one that somebody meets.
func TestLimits(t *testing.T) {
	var l policy.Limits
	l.SessionTTL, l.Tokens, l.Targets, l.Orgs, l.RecoveryCodes = time.Hour, 3, 2, 1, 3
	l.MaxWriteTokenTTL, l.WriteTokenTTL, l.ReadTokenTTL, l.TokenWarning = 5*token.Day, 2*token.Day, 4*token.Day, token.Day
	l.HighImpactHold = time.Hour
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Policy = policy.NPM().WithLimits(l).With(policy.BypassPublishEnds(cfg.Now().Add(24 * time.Hour)))
	})
	alice := w.person("alice")
	w.host.add("plain", false, alice)
	assert.Len(t, w.enrol("alice", protocol.AuthOnly), 3)

	s := w.login("alice")
	create := func(fields map[string]any) answer { return w.create(s, w.code("alice"), fields) }
	life := func(a answer) time.Duration {
		require.Equal(t, 201, a.Code, a.Body.String())
		at, err := time.Parse(time.RFC3339, a.text("expires"))
		require.NoError(t, err)
		return at.Sub(w.clock.Now()).Round(time.Hour)
	}
	const rw = "read-write"
	assert.Equal(t, 4*token.Day, life(create(map[string]any{"packages_all": true})))
	writes := create(map[string]any{"packages_all": true, "packages_and_scopes_permission": rw, "bypass_2fa": true})
	assert.Equal(t, 2*token.Day, life(writes))
	assert.Contains(t, create(map[string]any{"packages_all": true, "packages_and_scopes_permission": rw, "expires": 6}).text("error"), "5 days at most")
	assert.Equal(t, 400, create(map[string]any{"packages": []string{"a", "b", "c"}}).Code)
	assert.Equal(t, 400, create(map[string]any{"orgs": []string{"a", "b"}}).Code)
	require.Equal(t, 201, create(map[string]any{"packages": []string{"a", "b"}, "orgs": []string{"a"}, "expires": 4}).Code)
	assert.Contains(t, create(map[string]any{"packages_all": true}).text("error"), "as many tokens")

	bearer := writes.text("token")
	whoami := func() answer { return w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}) }
	assert.Equal(t, 200, w.publish("plain", "1.0.0", bearer, "").Code)
	assert.Empty(t, whoami().Header().Get("npm-notice"))
	w.clock.Add(time.Hour)
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code, "an hour and no more")
	w.clock.Add(23 * time.Hour)
	assert.Contains(t, whoami().Header().Get("npm-notice"), "expires")
	assert.Equal(t, "bypass-publishes-no-more", w.publish("plain", "2.0.0", bearer, "").text("code"))

	require.NoError(t, w.auth.Subjects().SetHighImpact(t.Context(), audit.Actor{}, alice, true))
	require.NoError(t, w.auth.Subjects().Recovered(t.Context(), audit.Actor{}, alice))
	tag := func() int {
		return w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: bearer, body: `"1.0.0"`}).Code
	}
	assert.Equal(t, 403, tag())
	w.clock.Add(time.Hour)
	assert.Equal(t, 200, tag())
}
