package npmauth_test

import (
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/npmauth/npmauth/web"
)

// ask sends a form as the script does that has a key sign, and returns the answer's status and text.
func (b *tab) ask(decision, by string, fields ...string) (int, string) {
	b.w.t.Helper()
	was := *b
	path, values := b.form(decision)
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	values.Set("by", by)
	stays := b.stays
	b.stays = true
	b.post(path, values)
	code, text := b.Code, b.Body.String()
	cookies := b.cookies
	*b = was
	b.cookies, b.stays = cookies, stays
	return code, text
}

// signWith submits a form with what the key signs for it.
func (b *tab) signWith(id, decision, by string, fields ...string) *tab {
	b.w.t.Helper()
	code, options := b.ask(decision, by, fields...)
	require.Equal(b.w.t, 200, code, options)
	return b.submit(decision, append(fields, "by", by, "key", string(keystest.Sign([]byte(options), id)))...)
}

// made returns what a browser makes of the options in the page.
func (b *tab) made(id string) string {
	b.w.t.Helper()
	return string(keystest.Make([]byte(html.UnescapeString(b.has(`data-create="([^"]+)"`))), id))
}

// A person adds keys on the page, and uses them for whatever takes a second factor.
func TestPagesWithKeys(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.host.addWith("plain", w.ids["alice"], "1.0.0")
	elsewhere := w.login("alice")
	b := w.tab()
	b.signIn("alice", "security")
	b.submit("add-key", "name", "blue", "password", password).is(422, "It takes JavaScript.")
	b.submit("add-key", "name", "blue", "password", "wrong", "made", b.made("blue")).is(403, "password is wrong")
	b.submit("add-key", "name", "blue <b>", "password", password, "made", b.made("blue")).is(200, "Two-factor authentication is on.")
	require.Len(t, strings.Fields(b.has(`(?s)id="recovery"[^>]*>(.*?)</pre>`)), 5)
	b.is(200, "<h3>blue &lt;b&gt;</h3>")
	b.is(200, "It is the only one")
	assert.Equal(t, 401, whoami(w, elsewhere))

	// A second one, which the first allows.
	b.open("/-/auth/security")
	made := b.made("green")
	b.submit("add-key", "name", "green", "password", password, "made", made).is(403, "one-time password")
	b.signWith("blue", "add-key", "key", "name", "green", "password", password, "made", made).is(200, "The security key is added.")
	code, text := b.ask("add-key", "key", "name", "x", "password", "wrong", "made", made)
	assert.Equal(t, 403, code)
	assert.Contains(t, text, `"error":"The password is wrong."`)

	// A token, a session's end, a profile, and a password.
	b.open("/-/auth/tokens").signWith("green", "create", "key", "name", "ci", "permission", "read-write", "all", "yes", "days", "30", "password", password).is(200, "The token is made")
	ci := b.has(`id="new-token"[^>]*>(npm_\w+)<`)
	assert.Equal(t, 200, whoami(w, ci))
	b.open("/-/auth/profile").signWith("blue", "save", "key", "email", "alice@acme.test", "fullname", "Alice").is(200, "The profile is saved.")
	b.open("/-/auth/sessions").signWith("blue", "end-others", "key").is(200, "All other sessions have ended.")

	// Out and in again, without name, password and code.
	path, values := b.form("")
	b.post(path, values)
	b.open("/-/auth/tokens").is(200, "Sign in with a passkey")
	b.signWith("blue", "sign-in", "passkey").is(200, "Signed in as <strong>alice</strong>")
	other := w.tab()
	other.open("/-/auth/tokens")
	code, options := other.ask("sign-in", "passkey")
	require.Equal(t, 200, code)
	signed := string(keystest.Sign([]byte(options), "blue"))
	third := w.tab()
	third.open("/-/auth/tokens").submit("sign-in", "by", "passkey", "key", signed).is(403, "is wrong")
	other.submit("sign-in", "by", "passkey", "key", signed).is(200, "Signed in as")
	third.open("/-/auth/tokens")
	code, text = third.ask("sign-in", "key", "name", "alice", "password", "wrong")
	assert.Equal(t, 403, code)
	assert.NotContains(t, text, "nonce")
	third.signWith("green", "sign-in", "key", "name", "alice", "password", password).is(200, "Signed in as")

	// One is removed, and with it what it can do.
	b.open("/-/auth/security").signWith("green", "remove-factor", "key", "id", "blue").is(200, "The second factor is removed.")
	fourth := w.tab()
	fourth.open("/-/auth/tokens").signWith("blue", "sign-in", "passkey").is(403, "is wrong")
	b.submit("keys-only", "only", "key").is(403, "This takes a security key and your browser sent none.") // without JavaScript
	code, _ = b.ask("keys-only", "key")
	require.Equal(t, 200, code)
	b.signWith("green", "keys-only", "key").is(200, "Only security keys count from now on.")
	b.is(200, "Let every kind count")
	b.signWith("green", "any-factor", "key").is(200, "Every kind of second factor counts again.")

	// An app besides, whose page takes a key.
	b.open("/-/auth/security").signWith("green", "add-app", "key", "password", password).is(200, `src="data:image/png;base64,`)
	w.secrets["alice"] = b.has(`id="secret"[^>]*>([A-Z2-7]+)<`)
	app := w.code("alice")
	b.submit("confirm", "code", app).is(403, "one-time password")
	b.signWith("green", "confirm", "key", "code", app, "proof", "").is(200, "The authenticator app is added. Recovery codes that you had before work no more.")
	b.open("/-/auth/security").is(200, "<h3>Authenticator app</h3>")
	b.submit("remove-factor", "id", "app", "code", "123456").is(403, "wrong")
	b.submit("remove-factor", "id", "green", "code", w.code("alice")).is(200, "The second factor is removed.")
	for _, e := range w.events.all {
		assert.NotEqual(t, audit.Failed, e.Outcome, "%+v", e)
	}
}

// Where people sign in at a company's login, a passkey does not get around that: with the session of the
// company's login a key is the second factor, and nothing else.
func TestPasskeyAndOwnSignIn(t *testing.T) {
	var arrives session.User
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.SignIn = &web.SignIn{
			Name: "Acme", Origin: "https://login.acme.test",
			Begin: func(w http.ResponseWriter, r *http.Request, state string) {
				http.Redirect(w, r, "https://login.acme.test/authorize?state="+state, http.StatusFound)
			},
			Finish: func(r *http.Request) (string, session.User, error) { return r.FormValue("state"), arrives, nil },
		}
	})
	arrives = session.User{ID: w.person("alice"), Name: "alice"}
	w.key("alice", "blue")
	loginURL, _, _ := w.start("")
	b := w.tab()
	b.open(loginURL)
	assert.NotContains(t, b.Body.String(), "passkey")
	path, values := b.form("sign-in")
	values.Set("decision", "approve")
	values.Set("by", "passkey")
	b.post(path, values)
	assert.Equal(t, 400, b.Code, b.Body.String())
	assert.NotContains(t, b.Body.String(), "nonce")
	options, err := w.auth.Factors().PasskeyOptions(t.Context(), path[strings.LastIndex(path, "/")+1:])
	require.NoError(t, err)
	values.Set("key", string(keystest.Sign(options, "blue")))
	b.post(path, values)
	assert.Equal(t, 400, b.Code)
	assert.Zero(t, w.sessions("alice"))

	b.open("/-/auth/tokens").submit("sign-in").is(302, "")
	state, _ := strings.CutPrefix(b.Header().Get("Location"), "https://login.acme.test/authorize?")
	b.open("/-/auth/signin?"+state).is(200, "")
	b.open(loginURL).is(200, "logged in as <strong>alice</strong>")
	b.signWith("blue", "approve", "key").is(200, "Login approved")
}

// Before a key signs, a form says no more of a password than after: whoever has one learns that it is right
// where there is a key to sign, or no second factor. A wrong one has the event of any other.
func TestKeyOptionsSayLittle(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthAndWrites)
	w.person("bob")
	b := w.tab()
	b.open("/-/auth/tokens")
	wrong, text := b.ask("sign-in", "key", "name", "alice", "password", "wrong")
	right, same := b.ask("sign-in", "key", "name", "alice", "password", password)
	assert.Equal(t, []any{403, text}, []any{right, same})
	assert.Equal(t, 403, wrong)
	last := w.events.all[len(w.events.all)-1]
	assert.Equal(t, []any{audit.Login, audit.Denied, w.ids["alice"]}, []any{last.Type, last.Outcome, last.User}, "of the wrong password")
	code, _ := b.ask("sign-in", "key", "name", "bob", "password", password)
	assert.Equal(t, 204, code)
	w.key("alice", "blue")
	code, _ = b.ask("sign-in", "key", "name", "alice", "password", password)
	assert.Equal(t, 200, code)
}

// npm login and a publish, with a key.
func TestKeyApproves(t *testing.T) {
	for _, signedIn := range []bool{false, true} {
		w := newWorld(t)
		bearer := w.alice(protocol.AuthAndWrites)
		w.key("alice", "blue")
		w.key("alice", "green")
		b := w.tab()
		if signedIn {
			b.signIn("alice", "tokens")
		}
		loginURL, doneURL, _ := w.start("")
		b.open(loginURL)
		code, text := b.ask("approve", "key", "name", "alice", "password", "wrong")
		if signedIn { // no password was asked for
			assert.Equal(t, 200, code)
		} else {
			assert.Equal(t, 403, code)
			assert.NotContains(t, text, "nonce", "what keys there are nobody else learns")
		}
		b.signWith("blue", "approve", "key", "name", "alice", "password", password).is(200, "Login approved")
		a := w.do(call{method: "GET", path: strings.TrimPrefix(doneURL, base)})
		require.Equal(t, 200, a.Code)
		assert.Equal(t, 200, whoami(w, a.text("token")))
		// As a passkey.
		loginURL, doneURL, _ = w.start("")
		b.open(loginURL)
		if !signedIn {
			b.signWith("green", "approve", "passkey").is(200, "Login approved")
			require.Equal(t, 200, w.do(call{method: "GET", path: strings.TrimPrefix(doneURL, base)}).Code)
		}
		assert.NotEmpty(t, loginURL)

		c := publishOf("plain", "3.0.0")
		c.bearer = bearer
		a = w.do(c)
		isChallenge(t, a)
		b.open(a.text("authUrl")).is(200, "Publishes version")
		code, text = b.ask("approve", "key", "password", "wrong")
		if !signedIn {
			assert.Equal(t, 403, code)
			assert.NotContains(t, text, "nonce")
		}
		b.submit("approve", "password", password, "code", "").is(422, "Only a security key counts here, or")
		b.signWith("blue", "approve", "key", "password", password).is(200, "Confirmed")
		proof := w.do(call{method: "GET", path: strings.TrimPrefix(a.text("doneUrl"), base)}).text("token")
		require.True(t, strings.HasPrefix(proof, "npmk_"), proof)
		c.otp = proof
		require.Equal(t, 200, w.do(c).Code)
	}
}

// Where a package takes only keys, a page that was approved with a code is not enough, and one with a key is.
func TestPackageOfKeys(t *testing.T) {
	w := newWorld(t)
	bearer := w.alice(protocol.AuthAndWrites)
	access := call{method: "POST", path: "/-/package/plain/access", body: `{"keys_only":true}`, bearer: bearer}
	access.otp = w.code("alice")
	assert.Equal(t, 403, w.do(access).Code, "there is no key")
	w.key("alice", "blue")
	access.otp = "" // with which there is no challenge
	access.otp = w.signed(bearer, access, "blue")
	require.Less(t, w.do(access).Code, 300)

	b := w.tab()
	b.signIn("alice", "tokens")
	c := publishOf("plain", "3.0.0")
	c.bearer = bearer
	a := w.do(c)
	isChallenge(t, a)
	assert.NotContains(t, a.Header().Get("npm-notice"), "authenticator")
	b.open(a.text("authUrl")).is(200, "It takes a security key.")
	code := w.code("alice")
	b.submit("approve", "code", code).is(422, "Only a security key counts here.")
	b.signWith("blue", "approve", "key").is(200, "Confirmed")
	typed := c
	typed.otp = b.has(`id="typed" value="(\d+)"`)
	assert.Equal(t, 403, w.do(typed).Code, "digits can be told to anybody")
	c.otp = w.do(call{method: "GET", path: strings.TrimPrefix(a.text("doneUrl"), base)}).text("token")
	require.Equal(t, 200, w.do(c).Code)
	// The code was spent on nothing.
	tag := call{method: "PUT", path: "/-/package/second/dist-tags/next", body: `"1.0.0"`, bearer: bearer, otp: code}
	w.host.addWith("second", w.ids["alice"], "1.0.0")
	assert.Equal(t, 200, w.do(tag).Code)
}

// No page offers keys where there are none.
func TestPagesWithoutKeys(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.BaseURL = "https://192.0.2.10/"
		cfg.Keys = func(twofactor.KeysConfig) (twofactor.Keys, error) { return nil, twofactor.ErrNoDomain }
	})
	w.person("alice")
	b := w.tab()
	b.open("/-/auth/security")
	assert.NotContains(t, b.Body.String(), "passkey")
	b.submit("sign-in", "name", "alice", "password", password)
	b.is(200, "a security key belongs to a domain name")
	assert.NotContains(t, b.Body.String(), "keys.js")
	for _, by := range []string{"key", "passkey"} {
		other := w.tab()
		other.open("/-/auth/security")
		code, _ := other.ask("sign-in", by, "name", "alice", "password", password)
		assert.Equal(t, 204, code)
	}
	// A person without keys goes on with what they typed.
	w = newWorld(t)
	w.person("alice")
	b = w.tab()
	b.open("/-/auth/security")
	code, _ := b.ask("sign-in", "key", "name", "alice", "password", password)
	assert.Equal(t, 204, code)
	b.submit("sign-in", "name", "alice", "password", password).is(200, "Signed in as")
}
