package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/protocol"
)

// hostile is text of somebody who wants a page to be another.
var hostile = `<script>alert(1)</script><img src=x onerror="alert(2)"> 'a' & ` + "\u202egnp.exe" + strings.Repeat("W", 60)

// Who has a security key and an organization uses all pages by the keyboard alone, and looks at what TestPagesInChromium and
// TestKeysInChromium do not get to; and then at every page without scripts, where the key does not work. What others have
// named is text.
func TestStatesInChromium(t *testing.T) {
	integration.Require(t, "chromium")
	integration.RequireClients(t, "npm12")
	t.Parallel()
	ci := newCISystems(t)
	registry := integration.Start(t, append(append(ci.flags(), seed("alice")...), append(seed("bob"), "-addr", "localhost:0",
		"-org", "acme=alice", "-org", "tools=bob,2fa", "-trust-proxy", "127.0.0.1", "-trust-proxy", "::1")...)...)
	v := &visitor{t: t, Chrome: integration.NewChrome(t, true), script: true, registry: registry, inspector: integration.NewInspector(t)}
	v.Key()
	v.ByKeyboard()
	s := states{visitor: v, ci: ci}
	s.prepare()
	s.keys()
	s.tokens()
	s.profile()
	s.organizations()
	s.packages()
	s.trust()
	s.staged()
	s.elsewhere()
	s.noScript()
}

// states are what a visitor looks at.
type states struct {
	*visitor
	ci      *ciSystems
	session string // of a program elsewhere
}

func (s *states) as(token string) integration.Client { return s.registry.As(token) }

func (s *states) send(token, method, path string, body any, header ...string) integration.Answer {
	s.t.Helper()
	answer := s.as(token).Do(method, path, body, header...)
	require.Less(s.t, answer.Status, 300, "%s %s: %s", method, path, answer.Body)
	return answer
}

func publishBody(t *testing.T, name, version string) json.RawMessage {
	t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(t, err)
	return hosttest.PublishBody(pkg, version)
}

// prepare enrols an app, and makes a member of acme, a token of a program and, with that, versions.
func (s *states) prepare() {
	s.t.Helper()
	alice := s.registry.SignIn("alice", "")
	app, recovery := s.registry.Enrol(alice)
	s.recovery = recovery
	s.send(alice, "PUT", "-/org/acme/user", map[string]string{"user": "bob", "role": "developer"}, "npm-otp", app.Fresh())
	var made struct{ Token string }
	s.send(alice, "POST", "-/npm/v1/tokens", map[string]any{
		"name": hostile[:59], "password": integration.Password, "packages_all": true, "packages_and_scopes_permission": "read-write", "bypass_2fa": true, "expires": 30,
	}, "npm-otp", app.Fresh()).JSON(s.t, &made)
	alice = made.Token
	s.send(alice, "PUT", "gadget", publishBody(s.t, "gadget", "1.0.0"))
	for _, name := range []string{"@alice/widget", "@acme/tool"} {
		s.send(alice, "PUT", url.PathEscape(name), publishBody(s.t, name, "1.0.0"))
		for _, version := range []string{"1.1.0", "1.2.0"} {
			s.send(alice, "POST", "-/stage/package/"+url.PathEscape(name), publishBody(s.t, name, version))
		}
	}
	home := machine(s.t, s.registry, alice)
	home.Use("npm12")
	manifest, err := json.Marshal(map[string]any{
		"name": "@alice/widget", "version": "2.0.0", "description": hostile, "scripts": map[string]string{"postinstall": hostile},
		"bin": map[string]string{"w": "./w.js"}, "dependencies": map[string]string{strings.Repeat("long-", 40): "^1.0.0"},
	})
	require.NoError(s.t, err)
	home.OK(home.Project("hostile", map[string]string{
		"package.json": string(manifest), "w.js": "", "<script>alert(3)<b>/" + strings.Repeat("W", 80) + "/\u202egnp.js": "", "a \"b\" 'c' &amp;.js": "",
	}), "npm", "stage", "publish")
}

// keys adds a key, an app once more, and removes both.
func (s *states) keys() {
	s.t.Helper()
	keyName := hostile[:59]
	s.Open(s.page("security"))
	s.Submit("Sign in", map[string]string{"User name": "alice", "Password": integration.Password, "Second factor": s.code()})
	s.Submit("Add the key", map[string]string{"What you call it": keyName, "Password": integration.Password, "Second factor": s.code()})
	s.see("states-factors", http.StatusOK, "The security key is added.")
	other := s.WithoutScript()
	other.Open(s.page("security"))
	s.seeIn(other, "states-factors-no-script", http.StatusOK, "Security keys work only with JavaScript")
	s.Submit("Remove", map[string]string{"Remove it: Authenticator app": "yes"})
	s.see("states-factor-removed", http.StatusOK, "The second factor is removed.")
	other.Submit("Remove", map[string]string{"Remove it: " + keyName: "yes", "Second factor": s.code()})
	s.seeIn(other, "states-factor-last", http.StatusConflict, "last")

	s.Submit("Add an app besides", map[string]string{"Password": integration.Password})
	s.see("states-app-besides", http.StatusOK, "Scan this with your authenticator app")
	s.app = integration.NewAuthenticator(s.t, s.Of("secret"))
	s.Submit("Turn it on", map[string]string{"Code of the app": "000000"})
	s.see("states-app-besides-wrong", http.StatusForbidden, "Scan this with your authenticator app")
	s.Submit("Turn it on", map[string]string{"Code of the app": s.app.Fresh()})
	s.see("states-app-added", http.StatusOK, "The authenticator app is added.")
	s.recovery = strings.Fields(s.Of("recovery"))

	const changed = "yet another one of mine"
	s.Submit("Change the password", map[string]string{"Present password": integration.Password, "New password": changed, "New password, again": changed})
	s.see("states-password", http.StatusOK, "The password is changed")
	s.Submit("Change the password", map[string]string{"Present password": changed, "New password": integration.Password, "New password, again": integration.Password})
	require.Contains(s.t, s.Text(), "The password is changed")
}

// tokens makes a token with every option, and rotates it.
func (s *states) tokens() {
	s.t.Helper()
	s.Follow("Access tokens")
	s.Submit("Make the token", map[string]string{
		"Name": "every option", "Description": hostile, "Permission": "read-write", "Only these packages": "@alice/widget, @acme/tool, " + longName,
		"Only these scopes": "@acme", "publish": "yes", "dist-tag": "yes", "deprecate": "yes", "unpublish": "yes", "Only these organizations": "acme", "Expires in": "90",
		"Only from these addresses": "127.0.0.0/8, ::1/128, 2001:db8:1234:5678::/64", "Password": integration.Password,
		"Publish without a second factor, for programs that run by themselves": "yes",
	})
	s.see("states-token-made", http.StatusOK, "The token is made.")
	s.Open(s.page("tokens"))
	s.Follow("every option")
	s.see("states-token", http.StatusOK, "2001:db8:1234:5678::/64")
	s.Submit("Rotate", map[string]string{"The old one works for": "2", "The new one expires in": "30", "Password": integration.Password})
	s.see("states-token-rotated", http.StatusOK, "The token has a new secret.")
	require.Contains(s.t, s.Text(), "replaced by a newer one")
}

// longName is one word.
var longName = "@alice/" + strings.Repeat("very-long", 20)

func (s *states) profile() {
	s.t.Helper()
	s.Follow("Profile")
	s.Submit("Save", map[string]string{"E-mail address": "alice@acme.test", "Full name": hostile, "Home page": "https://acme.test/" + strings.Repeat("x", 60)})
	s.see("states-profile", http.StatusOK, "The profile is saved.")
}

// organizations sets everything of an organization.
func (s *states) organizations() {
	s.t.Helper()
	s.Follow("Organizations")
	s.see("states-org-owner", http.StatusOK, "Let only trusted publishers publish")
	for _, step := range []struct {
		name, button, says string
		fields             map[string]string
	}{
		{"required", "Require two-factor authentication of acme", "acme requires two-factor authentication of its members now.", nil},
		{"keys-only", "Let only security keys count for acme", "Only security keys count for acme", nil},
		{"publishers-only", "Let only trusted publishers publish in acme", "Only trusted publishers may publish the packages in the scope of acme now.", nil},
		{"staging", "Set what is demanded in acme", "What is demanded of staged versions in the scope of acme is changed.", map[string]string{
			"Each version must be staged, also the first of a package": "yes", "Who staged a version does not approve it": "yes", "How many people must approve a version": "2",
		}},
	} {
		s.Submit(step.button, step.fields)
		s.see("states-org-"+step.name, http.StatusOK, step.says)
	}
	bob := s.Private()
	bob.ByKeyboard()
	bob.Open(s.page("orgs"))
	bob.Submit("Sign in", map[string]string{"User name": "bob", "Password": integration.Password})
	s.seeIn(bob, "states-org-member", http.StatusOK, "You have no second factor, and so no part in this organization")
	bob.Open(s.page("staged"))
	s.seeIn(bob, "states-staged-no-factor", http.StatusOK, "staged")
	bob.Open(s.page("trust") + "?package=" + url.QueryEscape("@bob/new"))
	s.seeIn(bob, "states-trust-no-factor", http.StatusOK, "Turn on two-factor authentication")
	bob.Open(s.page("packages") + "?package=gadget")
	s.seeIn(bob, "states-package-reader", http.StatusOK, "What publishing it takes is shown to those who may publish it.")
}

// packages sets everything of a package.
func (s *states) packages() {
	s.t.Helper()
	open := func(name string) { s.Open(s.page("packages") + "?package=" + url.QueryEscape(name)) }
	open("@acme/tool")
	s.see("states-package-of-org", http.StatusOK, "It is so of all packages in this scope already.")
	open("@alice/widget")
	const button = "Set the publishing access"
	s.Submit(button, map[string]string{
		"Require two-factor authentication and disallow tokens": "yes", "Only security keys count": "yes", "Only trusted publishers may publish": "yes",
		"Each version must be staged": "yes", "Who staged a version does not approve it": "yes", "How many people must approve a version": "3",
	})
	s.see("states-package-saved", http.StatusOK, "The publishing access of @alice/widget is changed.")
	s.Submit(button, map[string]string{
		"Require two-factor authentication or an automation or granular access token": "yes", "Only security keys count": "", "Only trusted publishers may publish": "",
		"Each version must be staged": "", "Who staged a version does not approve it": "", "How many people must approve a version": "1",
	})
	require.Contains(s.t, s.Text(), "The publishing access of @alice/widget is changed.")
	open("not a name")
	s.see("states-package-not", http.StatusOK, "That is not the name of a package.")
}

// trust adds a pending publisher and one of a package, and checks jobs.
func (s *states) trust() {
	s.t.Helper()
	open := func(name string) { s.Open(s.page("trust") + "?package=" + url.QueryEscape(name)) }
	open("@alice/new")
	fields := map[string]string{"Repository": issuertest.Repository, "Workflow file": issuertest.Workflow, "Publish versions, which is not recommended": "yes"}
	s.Fill("Add the publisher", fields)
	s.Touch("Add the publisher", "Repository ID and Owner ID")
	s.see("states-trust-pending-problem", http.StatusOK, "Empty means that of the first job that matches") // which is unfolded
	fields["Repository ID"], fields["Owner ID"] = issuertest.RepositoryID, issuertest.OwnerID
	s.Submit("Add the publisher", fields)
	s.see("states-trust-pending", http.StatusOK, "is a pending trusted publisher of @alice/new now")
	s.Submit("List them", nil)
	s.see("states-trust-pending-listed", http.StatusOK, "GitHub Actions: "+issuertest.Repository)
	open("@alice/widget")
	delete(fields, "Repository ID")
	delete(fields, "Owner ID")
	s.Submit("Add the publisher", fields)
	require.Contains(s.t, s.Text(), "is a trusted publisher of @alice/widget now")
	s.Submit("Add the publisher", fields)
	s.see("states-trust-twice", http.StatusConflict, "already exists")
	check := func(name, presented, says string) {
		s.t.Helper()
		s.Submit("Check", map[string]string{"ID token, or its claims as JSON": presented})
		s.see("states-trust-"+name, http.StatusOK, says)
	}
	const audience = "npm:localhost"
	check("check-matches", s.ci.github.GitHub(audience), "It matches.")
	check("check-other", s.ci.github.GitHub("elsewhere"), "The ID token is not valid here")
	check("check-hostile", s.ci.github.GitHub(audience, map[string]any{"repository": hostile, "event_name": hostile}), "It does not match")
	s.Submit("List them", nil)
	s.see("states-trust-listed", http.StatusOK, "GitHub Actions: "+issuertest.Repository)
}

// staged looks at a version that somebody hostile has made, and approves several of which one may not be.
func (s *states) staged() {
	s.t.Helper()
	s.Follow("Staged versions")
	s.see("states-staged", http.StatusOK, "@alice/widget@2.0.0")
	s.Follow("@alice/widget@2.0.0")
	s.see("states-staged-hostile", http.StatusOK, "Runs at install")
	s.Follow("All staged versions")
	s.Fill("Approve what is ticked", map[string]string{"Tick @alice/widget@1.1.0": "yes", "Tick @alice/widget@1.2.0": "yes", "Tick @acme/tool@1.1.0": "yes"})
	s.Touch("Approve what is ticked", "@acme/tool@1.1.0: Only trusted publishers may publish this package.")
	s.see("states-staged-refused", http.StatusOK, "Only trusted publishers may publish this package.")
	s.Submit("Approve what is ticked", map[string]string{"Tick @acme/tool@1.1.0": ""})
	s.see("states-staged-approved", http.StatusOK, "@alice/widget@1.2.0 is published.")
}

// elsewhere begins logins and a publish at another address.
func (s *states) elsewhere() {
	s.t.Helper()
	away := []string{"X-Forwarded-For", "203.0.113.7", "User-Agent", hostile}
	var login struct{ LoginURL, DoneURL string }
	s.send("", "POST", "-/v1/login", map[string]string{}, away...).JSON(s.t, &login)
	s.Open(login.LoginURL)
	s.see("states-login-elsewhere", http.StatusOK, "203.0.113.7")
	stranger := s.Private()
	stranger.Open(login.LoginURL)
	s.seeIn(stranger, "states-login-elsewhere-signed-out", http.StatusOK, "If somebody sent you the address of this page, refuse.")
	s.Submit("Log in", nil)
	require.Contains(s.t, s.Text(), "Login approved")
	var session struct{ Token string }
	s.send("", "GET", strings.TrimPrefix(login.DoneURL, s.registry.URL), nil, away...).JSON(s.t, &session)
	s.session = session.Token

	for _, name := range []string{"tokens", "staged"} {
		s.Open(s.page(name + "/nothing"))
		s.see("states-gone-"+name, http.StatusNotFound, "There is no such page")
		s.Follow("Go back")
		require.Equal(s.t, http.StatusOK, s.Status())
	}
	s.Open(s.page("activity?after=x"))
	s.see("states-refused", http.StatusForbidden, "This cannot be shown")
	s.Open(s.page("sessions"))
	s.see("states-sessions", http.StatusOK, "203.0.113.7")
	s.Open(s.page("activity"))
	s.see("states-activity", http.StatusOK, "Changed what holds for the packages of a scope")
}

// noScript looks at every page without scripts, and uses the codes of an app and for recovery in the place of the key.
func (s *states) noScript() {
	s.t.Helper()
	const notice = "Security keys work only with JavaScript"
	n := s.WithoutScript()
	widget := "?package=" + url.QueryEscape("@alice/widget")
	for name, says := range map[string]string{
		"": "You are signed in.", "activity": "the newest first", "tokens": notice, "packages" + widget: notice, "trust" + widget: notice, "staged": notice,
		"orgs": notice, "sessions": notice, "security": notice, "profile": notice,
	} {
		n.Open(s.page(name))
		page, _, _ := strings.Cut(name, "?")
		s.seeIn(n, "states-no-script-"+page, http.StatusOK, says)
	}
	n.Open(s.page("tokens"))
	n.Submit("Revoke every option", map[string]string{"Second factor": s.code()})
	require.Contains(s.t, n.Text(), "The token is revoked")
	n.Follow("Trusted publishers")
	n.Follow("@alice/widget")
	n.Submit("List them", map[string]string{"Second factor": s.code()})
	s.seeIn(n, "states-no-script-trust-listed", http.StatusOK, "GitHub Actions: "+issuertest.Repository)
	n.Follow("Staged versions")
	n.Follow("@alice/widget@2.0.0")
	s.seeIn(n, "states-no-script-staged-version", http.StatusOK, notice)
	n.Submit("Approve it", map[string]string{"Second factor": s.app.Fresh()})
	require.Contains(s.t, n.Text(), "@alice/widget@2.0.0 is published.")
	n.Follow("Organizations")
	n.Submit("Let every kind count for acme", nil)
	s.seeIn(n, "states-no-script-key-only", http.StatusForbidden, "security key")

	var challenge struct{ AuthURL string }
	s.as(s.session).Do("PUT", "gadget", publishBody(s.t, "gadget", "2.0.0")).JSON(s.t, &challenge)
	n.Open(challenge.AuthURL)
	s.seeIn(n, "states-no-script-challenge", http.StatusOK, notice+": type the six digits.")
	n.Submit("Confirm", map[string]string{"Second factor": s.app.Fresh()})
	require.Contains(s.t, n.Text(), "The operation may go on.")
	n.Open(s.page("tokens"))
	n.Submit("Sign out", nil)
	n.Open(s.page("tokens"))
	s.seeIn(n, "states-no-script-signin", http.StatusOK, notice)
	n.Submit("Sign in", map[string]string{"User name": "alice", "Password": integration.Password, "Second factor": s.code()})
	require.Contains(s.t, n.Text(), "Signed in as alice")
}
