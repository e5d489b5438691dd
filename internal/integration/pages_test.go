package integration_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// between returns what the pattern finds in a page.
func between(t *testing.T, p integration.Page, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(p.HTML)
	require.NotNil(t, found, "%s\n%s", pattern, p.HTML)
	return found[1]
}

// A person does with the pages what npm login, profile and token do: signs in, turns on the second
// factor, makes, rotates and revokes a token, ends sessions, changes profile and password, and signs
// out.
func TestPages(t *testing.T) {
	t.Parallel()
	registry := integration.Start(t, "-seed", "alice:"+integration.Password)
	page := func(name string) string { return registry.URL + "-/auth/" + name }
	elsewhere := registry.SignIn("alice", "")
	browser := integration.NewBrowser(t)

	p := browser.Open(page("security"))
	require.Contains(t, p.Text(), "Sign in to")
	p = browser.Submit(p, "sign-in", map[string]string{"name": "alice", "password": "not that one"})
	require.Equal(t, http.StatusForbidden, p.Status)
	p = browser.Submit(p, "sign-in", map[string]string{"name": "alice", "password": integration.Password})
	require.Equal(t, http.StatusOK, p.Status, p.HTML)
	require.Contains(t, p.Text(), "It is off")

	p = browser.Submit(p, "set", map[string]string{"mode": "auth-and-writes", "password": "not that one"})
	require.Equal(t, http.StatusForbidden, p.Status)
	p = browser.Submit(p, "set", map[string]string{"mode": "auth-and-writes", "password": integration.Password})
	app := integration.NewAuthenticator(t, between(t, p, `id="secret"[^>]*>([A-Z2-7]+)<`))
	require.Contains(t, p.HTML, `src="data:image/png;base64,`)
	p = browser.Submit(p, "confirm", map[string]string{"code": "000000"})
	require.Equal(t, http.StatusForbidden, p.Status, p.Text())
	p = browser.Submit(p, "confirm", map[string]string{"code": app.Fresh()})
	require.Contains(t, p.Text(), "Two-factor authentication is on.")
	recovery := strings.Fields(between(t, p, `(?s)id="recovery"[^>]*>(.*?)</pre>`))
	require.Len(t, recovery, 5)
	assert.NotContains(t, browser.Open(page("security")).HTML, recovery[0], "shown once")
	code := func() (code string) { // the next one of the app takes half a minute
		code, recovery = recovery[0], recovery[1:]
		return code
	}
	assert.Equal(t, http.StatusUnauthorized, registry.As(elsewhere).Do(http.MethodGet, "-/whoami", nil).Status, "who was logged in without it is not any more")

	fields := map[string]string{"name": "ci", "permission": "read-write", "all": "yes", "days": "30", "bypass": "yes", "password": integration.Password, "code": "123"}
	p = browser.Submit(browser.Open(page("tokens")), "create", fields)
	require.Equal(t, http.StatusForbidden, p.Status, p.Text())
	require.Contains(t, p.HTML, `value="ci"`, "what was filled in is there still")
	fields["code"], fields["days"] = app.Fresh(), "365" // a recovery code makes no token that writes
	p = browser.Submit(p, "create", fields)
	require.Equal(t, http.StatusBadRequest, p.Status, p.Text())
	require.Contains(t, p.Text(), "90 days at most")
	fields["days"] = "30"
	p = browser.Submit(p, "create", fields)
	require.Equal(t, http.StatusOK, p.Status, p.Text())
	token := between(t, p, `id="new-token"[^>]*>(npm_\w+)<`)
	assert.Equal(t, http.StatusOK, registry.As(token).Do(http.MethodGet, "-/whoami", nil).Status)
	p = browser.Open(page("tokens"))
	assert.NotContains(t, p.HTML, token)

	p = browser.Follow(p, "ci")
	p = browser.Submit(p, "rotate", map[string]string{"grace": "0", "password": integration.Password, "code": app.Fresh()})
	rotated := between(t, p, `id="new-token"[^>]*>(npm_\w+)<`)
	assert.Equal(t, http.StatusUnauthorized, registry.As(token).Do(http.MethodGet, "-/whoami", nil).Status)
	revoke := between(t, p, `value="(revoke:\w+)"`)
	p = browser.Submit(p, revoke, map[string]string{"code": code()})
	require.Contains(t, p.Text(), "The token is revoked")
	assert.Equal(t, http.StatusUnauthorized, registry.As(rotated).Do(http.MethodGet, "-/whoami", nil).Status)

	other := registry.SignIn("alice", code())
	p = browser.Open(page("sessions"))
	require.Contains(t, p.Text(), "this one")
	p = browser.Submit(p, "end-others", map[string]string{"code": code()})
	require.Contains(t, p.Text(), "All other sessions have ended.")
	assert.Equal(t, http.StatusUnauthorized, registry.As(other).Do(http.MethodGet, "-/whoami", nil).Status)

	p = browser.Submit(browser.Open(page("profile")), "save", map[string]string{"fullname": "Alice Acme", "code": code()})
	require.Contains(t, p.Text(), "The profile is saved.")
	assert.Contains(t, p.HTML, "Alice Acme")

	const next = "another good one of mine"
	p = browser.Submit(browser.Open(page("security")), "password", map[string]string{
		"password": integration.Password, "new": next, "again": next, "code": code(),
	})
	require.Contains(t, p.Text(), "The password is changed")

	p = browser.Submit(p, "", nil) // sign out
	assert.Contains(t, p.Text(), "Sign in to manage your account")
	require.Contains(t, browser.Open(page("tokens")).Text(), "Sign in to")
}
