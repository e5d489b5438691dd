package integration_test

import (
	"bytes"
	"image/png"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// AU-67, CS-08: A person does with the pages, in a Chromium, all that there is to do: signs up on the
// way of npm login, turns on the second factor with the QR code, makes a token for CI, confirms a
// publish, ends a session and signs out. The pages need no script and load nothing from elsewhere;
// and everybody can use them, which the run with scripts checks of each.
func TestPagesInChromium(t *testing.T) {
	t.Parallel() // most of it is waiting for the next code
	for name, script := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			integration.Require(t, "chromium")
			integration.RequireClients(t, "npm12")
			t.Parallel()
			registry := integration.Start(t, "-addr", "localhost:0", // where there are security keys
				"-trust-issuer", "github=https://token.actions.githubusercontent.com", "-trust-issuer", "gitlab=https://gitlab.com")
			v := &visitor{t: t, Chrome: integration.NewChrome(t, script), script: script, registry: registry}
			if script {
				v.inspector = integration.NewInspector(t)
			}
			v.signUp()
			v.signIn()
			v.enrol()
			v.token()
			v.login()
			v.publish()
			v.sessions()
			v.staged()
			v.account()
			v.registries()
			v.trust()
			v.signOut()
		})
	}
}

// A visitor is a person with an account, and their browser.
type visitor struct {
	*integration.Chrome
	t         *testing.T
	registry  *integration.Registry
	script    bool
	inspector *integration.Inspector // nil: none
	home      *integration.Home      // where npm is logged in
	ci        *integration.Home      // which has the token
	app       *integration.Authenticator
	recovery  []string
}

// see requires that the page was answered with a status and has a text, and has it inspected.
func (v *visitor) see(name string, status int, text string) {
	v.t.Helper()
	v.seeIn(v.Chrome, name, status, text)
}

func (v *visitor) seeIn(c *integration.Chrome, name string, status int, text string) {
	v.t.Helper()
	require.Equal(v.t, status, c.Status(), "%s: %s", name, c.Text())
	require.Contains(v.t, c.Text(), text, name)
	if v.inspector != nil {
		v.inspector.Inspect(c, name)
	}
}

func (v *visitor) page(name string) string { return v.registry.URL + "-/auth/" + name }

// code takes the next recovery code: an app has a new code every half minute only.
func (v *visitor) code() (code string) {
	code, v.recovery = v.recovery[0], v.recovery[1:]
	return code
}

// npm starts npm in a new home, and returns the page that it prints.
func (v *visitor) npm(args ...string) (*integration.Home, *integration.Process, string) {
	v.t.Helper()
	home := integration.NewHome(v.t, v.registry.URL)
	home.Use("npm12")
	p := home.Start("", "npm", args...)
	return home, p, p.Expect(`(http://\S+/-/auth/\S+)`)[1]
}

func (v *visitor) whoami(home *integration.Home) int {
	v.t.Helper()
	return v.registry.As(home.Token()).Do(http.MethodGet, "-/whoami", nil).Status
}

func (v *visitor) signUp() {
	v.t.Helper()
	v.Open(v.page(""))
	v.see("index", http.StatusOK, "Sign in to manage your account")
	home, login, page := v.npm("login")
	v.Open(page)
	v.see("login", http.StatusOK, "A program asks to be logged in as you.")
	v.Submit("Log in", map[string]string{"User name": "alice", "Password": "nobody has it"})
	v.see("login-wrong", http.StatusForbidden, "is wrong")
	v.Follow("Create one")
	v.see("signup", http.StatusOK, "Create an account at")
	v.Submit("Create the account", map[string]string{"User name": "npm", "E-mail address": "alice@acme.test", "Password": integration.Password})
	v.see("signup-problem", http.StatusUnprocessableEntity, "not a reserved word")
	v.Submit("Create the account", map[string]string{"User name": "alice", "Password": integration.Password})
	v.see("signup-created", http.StatusOK, "The account alice is yours.")
	v.Follow("Log in")
	v.Submit("Log in", map[string]string{"User name": "alice", "Password": integration.Password})
	v.see("login-approved", http.StatusOK, "Login approved")
	login.OK()
	assert.True(v.t, strings.HasPrefix(home.Token(), "npms_"))
	assert.Equal(v.t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))

	v.Open(v.page("login/" + strings.Repeat("x", 26)))
	v.see("gone", http.StatusNotFound, "There is nothing to decide here")
	v.Open(v.page(""))
	v.see("index-signed-in", http.StatusOK, "You are signed in.")
	v.Submit("Sign out", nil)
}

func (v *visitor) signIn() {
	v.t.Helper()
	v.Open(v.page("security"))
	v.see("signin", http.StatusOK, "Sign in to")
	v.Submit("Sign in", map[string]string{"User name": "alice", "Password": "nobody has it"})
	v.see("signin-wrong", http.StatusForbidden, "is wrong")
	v.Submit("Sign in", map[string]string{"Password": integration.Password})
	v.see("security-off", http.StatusOK, "It is off")
	if !v.script {
		v.Submit("Add the key", map[string]string{"What you call it": "blue", "Password": integration.Password})
		v.see("security-no-key", http.StatusUnprocessableEntity, "It takes JavaScript.")
		require.Contains(v.t, v.Text(), "Security keys work only with JavaScript.")
	}
}

func (v *visitor) enrol() {
	v.t.Helper()
	v.Submit("Turn it on", map[string]string{"Password": "nobody has it"})
	v.see("security-problem", http.StatusForbidden, "password")
	v.Submit("Turn it on", map[string]string{"Logging in and writing": "yes", "Password": integration.Password})
	v.see("security-enrolling", http.StatusOK, "Scan this with your authenticator app")
	secret := readQR(v.t, v.Picture(".qr"))
	assert.Equal(v.t, v.Of("secret"), secret)
	v.app = integration.NewAuthenticator(v.t, secret)
	v.Submit("Turn it on", map[string]string{"Code of the app": "000000"})
	v.see("security-enrolling-wrong", http.StatusForbidden, "Scan this")
	v.Submit("Turn it on", map[string]string{"Code of the app": v.app.Fresh()})
	v.see("security-recovery", http.StatusOK, "Two-factor authentication is on.")
	v.recovery = strings.Fields(v.Of("recovery"))
	require.Len(v.t, v.recovery, 5)
	v.Open(v.page("security"))
	v.see("security-on", http.StatusOK, "on for logging in and for writing")
	assert.NotContains(v.t, v.Text(), v.recovery[0], "shown once")
}

// readQR returns the secret in the QR code of a picture.
func readQR(t *testing.T, picture []byte) string {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	require.NoError(t, err)
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	require.NoError(t, err)
	u, err := url.Parse(result.GetText())
	require.NoError(t, err)
	assert.Equal(t, "otpauth://totp", u.Scheme+"://"+u.Host)
	return u.Query().Get("secret")
}

func (v *visitor) token() {
	v.t.Helper()
	v.Follow("Access tokens")
	v.see("tokens-empty", http.StatusOK, "There are none yet.")
	fields := map[string]string{
		"Name": "ci", "Description": "publishes from CI", "All packages": "yes", "Permission": "read-write", "Expires in": "365",
		"Publish without a second factor, for programs that run by themselves": "yes",
		"Password": integration.Password, "Second factor": v.app.Fresh(), // a recovery code makes no token that writes
	}
	v.Submit("Make the token", fields)
	v.see("tokens-problem", http.StatusBadRequest, "90 days at most")
	v.Submit("Make the token", map[string]string{"Expires in": "30", "Password": integration.Password, "Second factor": fields["Second factor"]})
	v.see("tokens-created", http.StatusOK, "The token is made.")
	if v.script {
		v.Press("Copy", "Copied")
	} else {
		assert.Empty(v.t, v.Buttons("Copy"))
	}
	ci := machine(v.t, v.registry, v.Of("new-token"))
	ci.Use("npm12")
	v.ci = ci
	ci.OK(ci.Package("@alice/widget", "1.0.0"), "npm", "publish")
	assert.True(v.t, published(v.registry, ci, "@alice/widget", "1.0.0"))
	v.Follow("Access tokens")
	v.see("tokens", http.StatusOK, "packages: all, read write")
	assert.NotContains(v.t, v.Text(), ci.Token(), "shown once")
	v.Follow("ci")
	v.see("token", http.StatusOK, "publishes from CI")
	v.Submit("Rotate", map[string]string{"The old one works for": "1", "Password": "nobody has it", "Second factor": "12345"})
	v.see("token-problem", http.StatusForbidden, "Access token ci")
}

// login approves and refuses logins of npm, in the browser that is signed in and in another.
func (v *visitor) login() {
	v.t.Helper()
	home, login, page := v.npm("login")
	v.Open(page)
	v.see("login-signed-in", http.StatusOK, "It will be logged in as alice.")
	v.Submit("Log in", map[string]string{"Second factor": v.code()})
	require.Contains(v.t, v.Text(), "Login approved")
	login.OK()
	require.Equal(v.t, http.StatusOK, v.whoami(home))
	v.home = home

	_, login, page = v.npm("login")
	v.Open(page)
	v.Submit("Refuse: this was not me", nil)
	v.see("login-refused", http.StatusOK, "Login refused")
	assert.NotZero(v.t, login.Wait().Code)
}

func (v *visitor) publish() {
	v.t.Helper()
	dir := v.home.Package("gadget", "1.0.0")
	address := `Authenticate your account at:\s+(http://\S+)`
	publish := v.home.Terminal(dir, "npm", "publish")
	page := publish.Expect(address)[1]
	elsewhere := v.Private()
	elsewhere.Open(page)
	v.seeIn(elsewhere, "challenge-signed-out", http.StatusOK, "Confirm: publish gadget")
	elsewhere.Submit("Refuse: this was not me", nil)
	v.seeIn(elsewhere, "challenge-refused", http.StatusOK, "The operation does not go on.")
	assert.NotZero(v.t, publish.Wait().Code)

	publish = v.home.Terminal(dir, "npm", "publish")
	v.Open(publish.Expect(address)[1])
	v.see("challenge", http.StatusOK, "Confirm: publish gadget")
	v.Submit("Confirm", map[string]string{"Second factor": "000000"})
	v.see("challenge-wrong", http.StatusForbidden, "is wrong")
	v.Submit("Confirm", map[string]string{"Second factor": v.app.Fresh()})
	v.see("challenge-confirmed", http.StatusOK, "The operation may go on.")
	publish.OK()
	assert.True(v.t, published(v.registry, v.home, "gadget", "1.0.0"))
}

// sessions ends that of npm.
func (v *visitor) sessions() {
	v.t.Helper()
	v.Open(v.page("sessions"))
	v.see("sessions", http.StatusOK, "npm login, in the browser")
	end := v.Buttons("End the session of npm/")
	require.Len(v.t, end, 1)
	v.Submit(end[0], map[string]string{"Second factor": "12345"})
	v.see("sessions-problem", http.StatusForbidden, "npm login, in the browser")
	require.Equal(v.t, http.StatusOK, v.whoami(v.home))
	v.Submit(v.Buttons("End the session of npm/")[0], map[string]string{"Second factor": v.code()})
	v.see("sessions-ended", http.StatusOK, "The session has ended.")
	assert.Equal(v.t, http.StatusUnauthorized, v.whoami(v.home))
	whoami := v.home.Run("", "npm", "whoami")
	assert.NotZero(v.t, whoami.Code)
	assert.Contains(v.t, whoami.Output(), "E401")
}

// staged approves and rejects what a job has staged.
func (v *visitor) staged() {
	v.t.Helper()
	const name = "@alice/widget"
	v.Follow("Staged versions")
	v.see("staged-empty", http.StatusOK, "There are none that you may see.")
	for _, version := range []string{"1.1.0", "1.2.0", "1.3.0"} {
		v.ci.OK(v.ci.Package(name, version), "npm", "stage", "publish")
	}
	v.Follow("Staged versions")
	v.see("staged", http.StatusOK, name+"@1.3.0")
	fields := map[string]string{"Tick " + name + "@1.1.0": "yes", "Tick " + name + "@1.2.0": "yes", "Second factor": "12345"}
	v.Submit("Approve what is ticked", fields)
	v.see("staged-problem", http.StatusForbidden, "Approve what is ticked")
	v.Submit("Approve what is ticked", map[string]string{"Second factor": v.app.Fresh()})
	v.see("staged-approved", http.StatusOK, name+"@1.2.0 is published.")
	assert.True(v.t, published(v.registry, v.ci, name, "1.1.0"))
	assert.True(v.t, published(v.registry, v.ci, name, "1.2.0"))
	v.Follow(name + "@1.3.0")
	v.see("staged-version", http.StatusOK, "Difference from 1.2.0")
	require.Contains(v.t, v.Text(), "Files with another content: 2")
	v.Submit("Reject it", map[string]string{"Second factor": "12345"})
	v.see("staged-version-problem", http.StatusForbidden, "Difference from 1.2.0")
	v.Submit("Reject it", map[string]string{"Second factor": v.app.Fresh()})
	v.see("staged-rejected", http.StatusOK, name+"@1.3.0 is rejected.")
	assert.False(v.t, published(v.registry, v.ci, name, "1.3.0"))
}

// account changes what others see, the password, and the token.
func (v *visitor) account() {
	v.t.Helper()
	v.Follow("Profile")
	v.see("profile", http.StatusOK, "Others can see this.")
	v.Submit("Save", map[string]string{"Full name": "Alice Acme", "Second factor": "12345"})
	v.see("profile-problem", http.StatusForbidden, "Others can see this.")
	v.Submit("Save", map[string]string{"Second factor": v.code()})
	v.see("profile-saved", http.StatusOK, "The profile is saved.")

	v.Follow("Security")
	fields := map[string]string{"Present password": integration.Password, "New password": newPassword, "New password, again": "another", "Second factor": "12345"}
	v.Submit("Change the password", fields)
	v.see("security-passwords-differ", http.StatusUnprocessableEntity, "are not the same")

	v.Follow("Access tokens")
	v.Submit("Revoke ci", map[string]string{"Second factor": v.code()})
	v.see("token-revoked", http.StatusOK, "The token is revoked")
	assert.Equal(v.t, http.StatusUnauthorized, v.whoami(v.ci))
}

// registries looks at what the registry has of the account besides.
func (v *visitor) registries() {
	v.t.Helper()
	v.Follow("Packages")
	v.see("packages", http.StatusOK, "Yours")
	v.Submit("Show", map[string]string{"Package": "nobodys"})
	v.see("packages-none", http.StatusOK, "There is no such package")
	v.Follow("Packages")
	v.Follow("gadget")
	v.see("packages-one", http.StatusOK, "Publishing access")
	v.Submit("Set the publishing access", map[string]string{"Second factor": "12345"})
	v.see("packages-problem", http.StatusForbidden, "Publishing access")
	v.Follow("Organizations")
	v.see("orgs", http.StatusOK, "What it is your own scope")
	v.Follow("Activity")
	v.see("activity", http.StatusOK, "the newest first")
}

// trust has a job of GitHub Actions publish gadget.
func (v *visitor) trust() {
	v.t.Helper()
	v.Follow("Packages")
	v.Follow("gadget")
	v.Follow("Trusted publishers of gadget")
	v.see("trust", http.StatusOK, "Publish versions, which is not recommended")
	v.Follow("GitLab")
	v.see("trust-gitlab", http.StatusOK, "Pipeline file")
	v.Follow("GitHub Actions")
	fields := map[string]string{"Repository": "acme", "Workflow file": "release.yml", "Only protected branches and tags": "yes", "Second factor": v.app.Fresh()}
	v.Submit("Add the publisher", fields)
	v.see("trust-problem", http.StatusBadRequest, "Repository must be owner/repository")
	v.Submit("Add the publisher", map[string]string{"Repository": "acme/gadget", "Reusable workflow": "", "Second factor": fields["Second factor"]})
	v.see("trust-added", http.StatusOK, "GitHub Actions: acme/gadget is a trusted publisher of gadget now.")
	v.Submit("List them", map[string]string{"Second factor": "12345"})
	v.see("trust-list-problem", http.StatusForbidden, "List them")
	v.Submit("List them", map[string]string{"Second factor": v.code()})
	v.see("trust-listed", http.StatusOK, "only protected ones")
	code := v.app.Fresh()
	v.Submit("Check", map[string]string{"ID token, or its claims as JSON": "x", "Second factor": code})
	v.see("trust-check-problem", http.StatusBadRequest, "neither an ID token nor")
	claims := `{"iss":"https://token.actions.githubusercontent.com","repository":"acme/gadget","event_name":"pull_request"}`
	v.Submit("Check", map[string]string{"ID token, or its claims as JSON": claims, "Second factor": code})
	v.see("trust-checked", http.StatusOK, "It does not match")
	assert.NotContains(v.t, v.Text(), claims)
	v.Submit("List them", map[string]string{"Second factor": v.app.Fresh()})
	remove := v.Buttons("Remove")
	require.Equal(v.t, []string{"Remove GitHub Actions: acme/gadget"}, remove)
	v.Submit(remove[0], map[string]string{"Second factor": "12345"})
	v.see("trust-remove-problem", http.StatusForbidden, "Remove GitHub Actions: acme/gadget?")
	v.Submit(remove[0], map[string]string{"Second factor": v.app.Fresh()})
	v.see("trust-removed", http.StatusOK, "The trusted publisher of gadget is removed")
	v.Follow("Activity")
	v.see("activity-trust", http.StatusOK, "Trusted publisher removed from a package")
}

// newPassword is none of an account.
const newPassword = "another good one of mine"

func (v *visitor) signOut() {
	v.t.Helper()
	v.Submit("Sign out", nil)
	require.Contains(v.t, v.Text(), "Sign in to manage your account")
	v.Open(v.page("tokens"))
	require.Contains(v.t, v.Text(), "Sign in to")
}
