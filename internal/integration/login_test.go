package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

func TestWebLogin(t *testing.T) {
	t.Parallel()
	integration.Require(t, "npm")
	registry := integration.Start(t, seed("alice")...)
	home := integration.NewHome(t, registry.URL)

	login := home.Start("", "npm", "login")
	address := login.Expect(`Login at:\s+(http://\S+)`)[1]
	assert.True(t, strings.HasPrefix(address, registry.URL+"-/auth/login/"), address)
	assert.NotContains(t, address, "%", "npm would encode it once more")

	browser := integration.NewBrowser(t)
	page := browser.Open(address)
	assert.Contains(t, page.Text(), "127.0.0.1", "who asks")
	wrong := browser.Submit(page, "approve", map[string]string{"name": "alice", "password": "not hers"})
	assert.Equal(t, http.StatusForbidden, wrong.Status)
	right := browser.Submit(wrong, "approve", map[string]string{"name": "alice", "password": integration.Password})
	assert.Equal(t, http.StatusOK, right.Status)
	assert.Contains(t, right.Text(), "approved")

	assert.Contains(t, login.OK().Output(), "Logged in on "+registry.URL)
	assert.True(t, strings.HasPrefix(home.Token(), "npms_"))
	assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))
}

// With a second factor the password alone opens no session.
func TestWebLoginAsksForTheFactor(t *testing.T) {
	registry, _, app := member(t)
	home := integration.NewHome(t, registry.URL)

	login := home.Start("", "npm", "login")
	address := login.Expect(`Login at:\s+(http://\S+)`)[1]
	browser := integration.NewBrowser(t)
	without := browser.Submit(browser.Open(address), "approve", map[string]string{"name": "alice", "password": integration.Password})
	require.Equal(t, http.StatusForbidden, without.Status)
	with := browser.Submit(without, "approve", map[string]string{"name": "alice", "password": integration.Password, "code": app.Fresh()})
	require.Equal(t, http.StatusOK, with.Status)
	login.OK()
	assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))
}

func TestLegacyLogin(t *testing.T) {
	t.Parallel()
	integration.Require(t, "npm")
	registry := integration.Start(t)
	home := integration.NewHome(t, registry.URL)

	// A new name is a new account where sign-up is open: AU-68.
	up := home.Terminal("", "npm", "adduser", "--auth-type=legacy")
	up.Expect(`Username:`)
	up.Type("alice")
	up.Expect(`Password:`)
	up.Type(integration.Password)
	up.Expect(`Email[^\n]*: `)
	up.Type("alice@acme.test")
	assert.Contains(t, up.OK().Output(), "Logged in on "+registry.URL)
	assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))
	first := home.Token()

	in := home.Terminal("", "npm", "login", "--auth-type=legacy")
	in.Expect(`Username:`)
	in.Type("alice")
	in.Expect(`Password:`)
	in.Type(integration.Password)
	in.OK()
	assert.NotEqual(t, first, home.Token())
	assert.Equal(t, http.StatusOK, registry.As(first).Do("GET", "-/whoami", nil).Status, "a second login does not end the first")

	wrong := home.Terminal("", "npm", "login", "--auth-type=legacy")
	wrong.Expect(`Username:`)
	wrong.Type("alice")
	wrong.Expect(`Password:`)
	wrong.Type("something else than that")
	result := wrong.Wait()
	assert.NotZero(t, result.Code)
	assert.Contains(t, result.Output(), "E401")
}

// The code is asked for at the terminal, and a recovery code is one, too.
func TestLegacyLoginAsksForTheFactor(t *testing.T) {
	t.Parallel()
	integration.Require(t, "npm")
	registry := integration.Start(t, seed("alice")...)
	app, recovery := registry.Enrol(registry.SignIn("alice", ""))
	for name, code := range map[string]string{"code": app.Fresh(), "recovery code": recovery[0]} {
		t.Run(name, func(t *testing.T) {
			home := integration.NewHome(t, registry.URL)
			login := home.Terminal("", "npm", "login", "--auth-type=legacy")
			login.Expect(`Username:`)
			login.Type("alice")
			login.Expect(`Password:`)
			login.Type(integration.Password)
			login.Expect(`one-time password`)
			login.Expect(`Enter OTP:`)
			login.Type(code)
			login.OK()
			assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))
		})
	}
}

// Who has lost the app goes the way of docs/recovery.md, without an operator: a recovery code logs in
// and publishes nothing, another one turns the factor off, and a new app is turned on.
func TestLostApp(t *testing.T) {
	t.Parallel()
	for _, npm := range integration.Releases() {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			t.Parallel()
			registry := integration.Start(t, seed("alice")...)
			_, recovery := registry.Enrol(registry.SignIn("alice", ""))
			home := integration.NewHome(t, registry.URL)
			home.Use(npm)
			login := home.Terminal("", "npm", "login", "--auth-type=legacy")
			for _, said := range [][2]string{{`Username:`, "alice"}, {`Password:`, integration.Password}} {
				login.Expect(said[0])
				login.Type(said[1])
			}
			if npm == "npm8" {
				login.Expect(`Email:`)
				login.Type("alice@acme.test")
			}
			login.Expect(`Enter OTP:`)
			login.Type(recovery[0])
			login.OK()
			refused := home.Run(home.Package("hello", "1.0.0"), "npm", "publish", "--otp="+recovery[1])
			assert.NotZero(t, refused.Code)
			assert.Contains(t, refused.Output(), saysRecovery)

			disable := home.Terminal("", "npm", "profile", "disable-2fa", "--otp="+recovery[1])
			disable.Expect(`password:`)
			disable.Type(integration.Password)
			disable.OK()
			assert.Contains(t, registry.Admin("users", "show", "alice", "-json"), `"second_factor":"off"`)
			repeated := registry.As(home.Token()).Do("POST", "-/npm/v1/user", map[string]any{"tfa": map[string]string{"mode": "disable", "password": integration.Password}},
				"npm-otp", recovery[2])
			assert.NotEqual(t, http.StatusOK, repeated.Status, "the others end with the factor")
			app, _ := registry.Enrol(home.Token())
			home.OK(home.Package("hello", "1.0.0"), "npm", "publish", "--otp="+app.Fresh())
		})
	}
}

func TestLegacyOff(t *testing.T) {
	integration.Require(t, "npm")
	registry := integration.Start(t, append(seed("alice"), "-legacy", "off")...)
	home := integration.NewHome(t, registry.URL)
	login := home.Terminal("", "npm", "login", "--auth-type=legacy")
	login.Expect(`Username:`)
	login.Type("alice")
	login.Expect(`Password:`)
	login.Type(integration.Password)
	result := login.Wait()
	assert.NotZero(t, result.Code)
	assert.Contains(t, result.Output(), "E404")
}

// From its sunset on the password login is gone, and npm says so.
func TestLegacySunset(t *testing.T) {
	integration.Require(t, "npm")
	registry := integration.Start(t, append(seed("alice"), "-legacy", "2026-01-31T00:00:00Z")...)
	home := integration.NewHome(t, registry.URL)
	login := home.Terminal("", "npm", "login", "--auth-type=legacy")
	login.Expect(`Username:`)
	login.Type("alice")
	login.Expect(`Password:`)
	login.Type(integration.Password)
	result := login.Wait()
	assert.NotZero(t, result.Code)
	assert.Contains(t, result.Output(), "E410")

	answer := registry.As("").Do("PUT", "-/user/org.couchdb.user:alice", map[string]string{})
	assert.Equal(t, http.StatusGone, answer.Status, "before anything else")
	assert.Equal(t, "Sat, 31 Jan 2026 00:00:00 GMT", answer.Header.Get("Sunset"))
}
