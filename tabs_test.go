package npmauth_test

import (
	"path"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
)

// Whoever signs in to a browser in which somebody is signed in takes their place: the session of the one before ends, also where
// that was the same person, so that to sign out leaves nothing behind that a copy of an older cookie opens.
func TestSignInReplacesASession(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	b, second := w.tab(), w.tab()
	second.cookies = b.cookies // two tabs of one browser
	b.open("/-/auth/profile").is(200, "Sign in to")
	second.open("/-/auth/profile").is(200, "Sign in to")
	b.submit("sign-in", "name", "alice", "password", password).is(200, "Signed in as <strong>alice</strong>")
	require.Equal(t, 1, w.sessions("alice"))
	copied := w.tab()
	for name, value := range b.cookies {
		copied.cookies[name] = value
	}

	second.submit("sign-in", "name", "bob", "password", "wrong password of mine").is(403, "is wrong")
	assert.Equal(t, 1, w.sessions("alice"), "a refused sign-in ends nothing")
	second.submit("sign-in", "name", "bob", "password", password).is(200, "Signed in as <strong>bob</strong>")
	assert.Zero(t, w.sessions("alice"))
	assert.Equal(t, 1, w.sessions("bob"))
	copied.open("/-/auth/profile").is(200, "Sign in to")
}

// At a company's login it is the same, though the browser comes back from there without the cookie.
func TestCompanySignInReplacesASession(t *testing.T) {
	w := newWorld(t, companySignIn)
	w.alice(protocol.TwoFactorOff)
	before := w.sessions("alice")
	b := w.tab().open("/-/auth/profile")
	signIn := func() {
		c := b.fromCompany()
		member := b.cookies["__Host-npmauth-member"]
		delete(b.cookies, "__Host-npmauth-member") // it is Strict
		b.send(b.with(call{method: c.method, path: c.path}))
		b.is(200, "You are signed in")
		assert.NotEqual(t, member, b.cookies["__Host-npmauth-member"])
		b.open("/-/auth/profile").is(200, "Signed in as <strong>alice</strong>")
	}
	signIn()
	assert.Equal(t, before+1, w.sessions("alice"))
	signIn()
	assert.Equal(t, before+1, w.sessions("alice"))
	path, values := b.form("")
	b.post(path, values)
	assert.Equal(t, before, w.sessions("alice"))
}

// Where a company's login takes the place of the password, no form brings one: neither a login nor a challenge is approved by it.
func TestNoPasswordBesideACompanySignIn(t *testing.T) {
	w := newWorld(t, companySignIn)
	bearer := w.alice(protocol.AuthAndWrites)
	loginURL, _, _ := w.start("")
	asked := w.publish("plain", "3.0.0", bearer, "")
	isChallenge(t, asked)
	for _, page := range []string{loginURL, asked.text("authUrl")} {
		for _, by := range []string{"", "key"} {
			b := w.tab().open(page)
			path, values := b.form("sign-in")
			for name, value := range map[string]string{"decision": "approve", "name": "alice", "password": password, "code": w.code("alice"), "by": by} {
				values.Set(name, value)
			}
			b.stays = true
			b.post(path, values)
			assert.Equal(t, 403, b.Code, "%s %q: %s", page, by, b.Body)
		}
	}
	assert.False(t, approvedLogin(w)() || approvedChallenge(w)())
}

// And none of who is signed in makes up for the sign-in that takes its place there, once that is over.
func TestNoPasswordBesideACompanySession(t *testing.T) {
	w := newWorld(t, companySignIn)
	w.alice(protocol.TwoFactorOff)
	b := w.tab().open("/-/auth/tokens")
	b.send(b.fromCompany())
	b.open("/-/auth/tokens")
	w.clock.Add(session.FreshFor)
	b.submit("create", "name", "ci", "permission", "read-only", "all", "yes", "days", "30", "password", password).is(403, "Sign in once more")
	b.open("/-/auth/security").submit("set", "mode", "auth-only", "password", password).is(403, "Sign in once more")
}

// A name is read alike by both sendings of a form that takes a security key.
func TestKeySignInTakesANameAsTyped(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	w.tab().open("/-/auth/profile").signWith("blue", "sign-in", "key", "name", " alice\u200b ", "password", password).is(200, "Signed in as <strong>alice</strong>")
}

// A page that says as whom it logs in logs nobody else in: who is signed in is not replaced by a passkey beside.
func TestPasskeyOfAnotherBesideASession(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	w.person("bob")
	b := w.tab()
	b.signIn("bob", "profile")
	loginURL, _, _ := w.start("")
	b.open(loginURL).is(200, "It will be logged in as <strong>bob</strong>")
	code, _ := b.ask("approve", "passkey")
	assert.Equal(t, 400, code)
	options, err := w.auth.Factors().PasskeyOptions(t.Context(), path.Base(loginURL))
	require.NoError(t, err)
	b.submit("approve", "by", "passkey", "key", string(keystest.Sign(options, "blue"))).is(400, "")
	assert.False(t, approvedLogin(w)())
}
