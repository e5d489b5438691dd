package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// A person with a security key, in a Chromium: the key turns the second factor on, approves
// npm login and npm publish by a touch, makes a token that CI publishes with, signs in without name and
// password, and is the only thing that counts for a package and for the account.
func TestKeysInChromium(t *testing.T) {
	integration.Require(t, "chromium")
	integration.RequireClients(t, "npm12")
	t.Parallel()
	registry := integration.Start(t, append(seed("alice"), "-addr", "localhost:0")...)
	v := &visitor{t: t, Chrome: integration.NewChrome(t, true), script: true, registry: registry, inspector: integration.NewInspector(t)}
	v.Key()

	v.Open(v.page("security"))
	v.see("key-signin", http.StatusOK, "Sign in with a passkey")
	v.Touch("Sign in with a passkey", "The security key was not used. Try again.")
	v.Touch("Sign in with password and security key", "The user name, the password or the second factor is wrong.")
	v.Submit("Sign in", map[string]string{"User name": "alice", "Password": integration.Password})
	v.see("key-security-off", http.StatusOK, "or with a security key, below")
	v.Submit("Add the key", map[string]string{"What you call it": "my blue key", "Password": integration.Password})
	v.see("key-first", http.StatusOK, "Two-factor authentication is on.")
	v.recovery = strings.Fields(v.Of("recovery"))
	require.Len(t, v.recovery, 5)
	v.Open(v.page("security"))
	v.see("key-security", http.StatusOK, "my blue key")

	// npm login and npm publish, by a touch.
	home, login, page := v.npm("login")
	v.Open(page)
	v.see("key-login", http.StatusOK, "It will be logged in as alice.")
	v.Submit("Log in", nil)
	require.Contains(t, v.Text(), "Login approved")
	login.OK()
	require.Equal(t, http.StatusOK, v.whoami(home))
	publish := func(name, version string) {
		t.Helper()
		p := home.Terminal(home.Package(name, version), "npm", "publish")
		v.Open(p.Expect(`Authenticate your account at:\s+(http://\S+)`)[1])
		v.see("key-challenge-"+version, http.StatusOK, "Confirm: publish "+name)
		v.Submit("Confirm", nil)
		v.see("key-confirmed-"+version, http.StatusOK, "The operation may go on.")
		p.OK()
		require.True(t, published(registry, home, name, version))
	}
	publish("@alice/gadget", "1.0.0")

	// A token for CI.
	v.Open(v.page("tokens"))
	v.see("key-tokens", http.StatusOK, "There are none yet.")
	v.Submit("Make the token", map[string]string{
		"Name": "ci", "All packages": "yes", "Permission": "read-write", "Expires in": "30", "Password": integration.Password,
		"Publish without a second factor, for programs that run by themselves": "yes",
	})
	require.Contains(t, v.Text(), "The token is made.")
	ci := machine(t, registry, v.Of("new-token"))
	ci.Use("npm12")
	ci.OK(ci.Package("@alice/widget", "1.0.0"), "npm", "publish")

	// A package, and the account, for which only keys count.
	v.Open(v.page("packages") + "?package=%40alice%2Fgadget")
	v.see("key-package", http.StatusOK, "Only security keys")
	v.Submit("Set the publishing access", map[string]string{"Only security keys count": "yes"})
	require.Equal(t, http.StatusOK, v.Status(), v.Text())
	publish("@alice/gadget", "1.1.0")
	v.Open(v.page("security"))
	v.Submit("Let only security keys count", nil)
	v.see("key-only", http.StatusOK, "Only security keys count from now on.")

	// The session of npm is ended by a touch, and ends at once.
	v.Open(v.page("sessions"))
	v.see("key-sessions", http.StatusOK, "this one")
	v.Submit(v.Buttons("End the session of npm/")[0], nil)
	require.Contains(t, v.Text(), "The session has ended.")
	assert.Equal(t, http.StatusUnauthorized, v.whoami(home))

	// Out and in again by a touch, for the pages and for npm.
	v.Submit("Sign out", nil)
	v.Open(v.page("activity"))
	v.Push("Sign in with a passkey")
	v.see("key-activity", http.StatusOK, "Second factor used")
	v.Submit("Sign out", nil)
	home, login, page = v.npm("login")
	v.Open(page)
	v.Push("Log in with a passkey")
	require.Contains(t, v.Text(), "Login approved")
	login.OK()
	assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))

	// Without a key there is no way in but a recovery code.
	elsewhere := v.Private()
	elsewhere.Open(v.page("tokens"))
	elsewhere.Submit("Sign in", map[string]string{"User name": "alice", "Password": integration.Password, "Second factor": v.code()})
	require.Contains(t, elsewhere.Text(), "Signed in as alice")
}
