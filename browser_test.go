package npmauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/web"
)

// signOut ends the session of the browser.
func (b *tab) signOut() {
	b.w.t.Helper()
	b.open("/-/auth/")
	b.post(b.form(""))
	b.is(200, "Sign in to manage your account")
}

// CS-10: What a page shows once it shows to the session that it is for, and not to who signs in to the
// browser next.
func TestShownOnceToOnePerson(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	create := []string{"name", "ci", "permission", "read-only", "all", "yes", "days", "30", "password", password}

	b := w.tab()
	b.signIn("alice", "tokens")
	b.stays = true
	b.submit("create", create...)
	require.Equal(t, http.StatusSeeOther, b.Code)
	b.stays = false
	b.signOut()
	b.signIn("bob", "tokens")
	assert.NotContains(t, b.Body.String(), "The token is made")
	assert.NotContains(t, b.Body.String(), "new-token")
	b.signOut()
	b.signIn("alice", "security")
	b.submit("set", "mode", "auth-and-writes", "password", password).is(200, `id="secret"`)
	b.signOut()
	b.signIn("bob", "security")
	assert.NotContains(t, b.Body.String(), `id="secret"`)

	// The person who made it sees it, once, and also where the redirect was not loaded at once.
	b.open("/-/auth/tokens")
	b.stays = true
	b.submit("create", create...)
	b.stays = false
	b.send(call{method: "HEAD", path: "/-/auth/tokens"})
	b.open("/-/auth/tokens").is(200, `id="new-token"`)
	b.open("/-/auth/tokens")
	assert.NotContains(t, b.Body.String(), "new-token")
}

// CS-11: A form does nothing for another person than the one it was given to: of two people who use one
// browser, or of a cookie that was changed below it.
func TestFormOfTheOneBefore(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	b := w.tab()

	b.signIn("alice", "sessions")
	path, values := b.form("end-others")
	b.signOut()
	b.post(path, values)
	b.is(403, "You are not signed in any more")
	b.signIn("bob", "sessions")
	elsewhere := w.login("bob")
	b.post(path, values)
	b.is(403, "somebody has signed in in this browser")
	assert.Contains(t, b.Body.String(), "Signed in as <strong>bob</strong>")
	assert.Equal(t, 200, whoami(w, elsewhere))

	// The form of nobody, whose password it has, is none of who has signed in since.
	b.signOut()
	loginURL, done, _ := w.start("")
	page, form := b.open(loginURL).form("approve")
	form.Set("name", "alice")
	form.Set("password", password)
	b.signIn("bob", "sessions")
	b.post(page, form)
	b.is(403, "It will be logged in as <strong>bob</strong>")
	assert.Equal(t, 202, w.poll(done, "GET").Code)
	// But to refuse is everybody's, and to sign in as well.
	b.open("/-/auth/sessions")
	b.signOut()
	_, in := b.open("/-/auth/sessions").form("sign-in")
	page, form = b.open(loginURL).form("deny")
	b.signIn("bob", "sessions")
	in.Set("name", "alice")
	in.Set("password", password)
	b.post("/-/auth/sessions", in)
	b.is(200, "Signed in as <strong>alice</strong>")
	b.post(page, form)
	b.is(200, "Login refused")

	// The form for it again is of who is signed in now.
	loginURL, done, _ = w.start("")
	_, form = b.open(loginURL).form("approve")
	b.signOut()
	form.Set("password", password)
	b.post(strings.TrimPrefix(loginURL, base), form)
	b.is(403, `name="name"`)
	b.submit("approve", "name", "bob", "password", password).is(200, "Login approved")
	require.NotEmpty(t, w.poll(done, "GET").text("token"))
}

// ownSignIn has people sign in at a login of the host's, as the user that arrives points to.
func ownSignIn(arrives *session.User) func(*npmauth.Config) {
	return func(cfg *npmauth.Config) {
		cfg.SignIn = &web.SignIn{
			Name: "Acme", Origin: "https://login.acme.test",
			Begin: func(w http.ResponseWriter, r *http.Request, state string) {
				http.Redirect(w, r, "https://login.acme.test/authorize?state="+state, http.StatusFound)
			},
			Finish: func(r *http.Request) (string, session.User, error) { return r.FormValue("state"), *arrives, nil },
		}
	}
}

// arrive goes to the host's login and comes back.
func (b *tab) arrive() *tab {
	b.w.t.Helper()
	b.submit("sign-in").is(302, "")
	to, err := url.Parse(b.Header().Get("Location"))
	require.NoError(b.w.t, err)
	b.open("/-/auth/signin?"+to.RawQuery).is(200, "You are signed in")
	return b
}

// CS-11: with a host's own login, where a form has no name and no password at all.
func TestFormOfTheOneBeforeWithoutPasswords(t *testing.T) {
	var arrives session.User
	w := newWorld(t, ownSignIn(&arrives))
	w.person("alice")
	w.person("bob")
	as := func(b *tab, name string) *tab {
		arrives = session.User{ID: w.ids[name], Name: name}
		b.open("/-/auth/sessions")
		return b.arrive()
	}
	b := w.tab()
	as(b, "alice")
	loginURL, done, _ := w.start("")
	page, form := b.open(loginURL).form("approve")
	as(b, "bob")
	b.post(page, form)
	b.is(403, "It will be logged in as <strong>bob</strong>")
	assert.Equal(t, 202, w.poll(done, "GET").Code)
	b.submit("approve").is(200, "Login approved")
	bearer := w.poll(done, "GET").text("token")
	assert.Equal(t, "bob", w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).text("username"))

	// The list of pages has no form that leads nowhere.
	b.open("/-/auth/").is(200, "Signed in as <strong>bob</strong>")
	assert.NotContains(t, b.Body.String(), `action=""`)
	b.open("/-/auth/sessions").is(200, "<dt>Logged in by</dt><dd>Acme</dd>")

	// The empty password of who has just signed in is good for no other credential, and for no password.
	secret, _ := w.token("bob", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	for what, a := range map[string]answer{
		"a token":      w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: secret, body: `{"password":"","name":"x","packages_all":true,"packages_and_scopes_permission":"read-only"}`}),
		"a CLI login":  w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: bearer, body: `{"password":"","name":"x","packages_all":true,"packages_and_scopes_permission":"read-only"}`}),
		"CouchDB":      w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:bob", body: `{"_id":"org.couchdb.user:bob","name":"bob","password":"","type":"user"}`}),
		"the password": w.setUser(bearer, "", `{"password":{"old":"","new":"a new one that is long enough"}}`),
	} {
		assert.GreaterOrEqual(t, a.Code, 400, "%s: %s", what, a.Body)
		assert.Less(t, a.Code, 500, "%s: %s", what, a.Body)
	}
	assert.Equal(t, 1, w.tokens("bob"))
}

// IP-13: A session approves no login from where its account may use none, however it came there.
func TestSessionElsewhereApproves(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "sessions")
	loginURL, done, _ := w.start("")
	b.open(loginURL)
	require.NoError(t, w.auth.Subjects().SetCIDRs(t.Context(), audit.Actor{}, w.ids["alice"], []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}))
	w.clock.Add(time.Minute)
	b.submit("approve", "code", w.code("alice")).is(403, "You are not signed in any more")
	assert.Equal(t, 202, w.poll(done, "GET").Code)

	// The pages say why, and the page of a login is one all the same.
	b.open("/-/auth/sessions").submit("sign-in", "name", "alice", "password", password, "code", w.code("alice"))
	b.open("/-/auth/sessions").is(403, "This cannot be shown")
	b.open(loginURL).is(200, "It will be logged in as <strong>alice</strong>")
}

// EN-01: Who may not sign in learns nothing of why.
func TestSignInPageTellsNothing(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	w.person("carol")
	w.enrol("carol", protocol.AuthAndWrites)
	require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, w.ids["bob"]))
	b := w.tab()
	b.open("/-/auth/tokens")
	page, form := b.form("sign-in")
	var first string
	for what, in := range map[string][3]string{
		"unknown": {"dave", password, ""}, "wrong": {"alice", "something else", ""}, "disabled": {"bob", password, ""},
		"no code": {"carol", password, ""}, "wrong code": {"carol", password, "000000"},
	} {
		form.Set("name", in[0])
		form.Set("password", in[1])
		form.Set("code", in[2])
		b.post(page, form)
		require.Equal(t, 403, b.Code, what)
		assert.Empty(t, b.Result().Cookies(), what)
		text := strings.ReplaceAll(b.Body.String(), `value="`+in[0]+`"`, `value="NAME"`)
		if first == "" {
			first = text
		}
		assert.Equal(t, first, text, what)
	}
}

// Codes that somebody guesses with a session alone wait as those with a password do.
func TestCodesBySession(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "sessions")
	loginURL, _, _ := w.start("")
	b.open(loginURL)
	right := w.code("alice")
	for i, guessed := 0, 0; guessed < 5; i++ {
		if code := fmt.Sprintf("%06d", i); code != right {
			b.submit("approve", "code", code).is(403, "wrong")
			guessed++
		}
	}
	b.submit("approve", "code", right).is(403, "wrong")
	w.clock.Add(15 * time.Minute)
	loginURL, _, _ = w.start("")
	b.open(loginURL).submit("approve", "code", w.code("alice")).is(200, "Login approved")
}

// AU-41: The pages of an account reach the API below a prefix, with and without http.StripPrefix.
func TestAccountPagesMounted(t *testing.T) {
	for name, m := range mounts {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *npmauth.Config) { cfg.BaseURL = "https://npm.acme.test/npm/" })
			w.handler = m.mount(w.handler)
			w.person("alice")
			b := w.tab()
			b.open("/npm/-/auth/tokens").submit("sign-in", "name", "alice", "password", password).is(200, "Signed in as <strong>alice</strong>")
			b.submit("create", "name", "ci", "permission", "read-only", "all", "yes", "days", "30", "password", password).is(200, `id="new-token"`)
			b.open("/npm/-/auth/sessions").is(200, "this one")
			b.open("/npm/-/auth/")
			b.post(b.form(""))
			b.is(200, "Sign in to manage your account")
			assert.Zero(t, w.sessions("alice"))
		})
	}
}

// A page of an account sends several requests to the API: to load it records nothing, and what is refused is
// recorded with the address of the browser, through the proxies that are trusted.
func TestEventsOfPages(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	w.person("alice")
	b := w.tab()
	b.signIn("alice", "tokens")
	path, form := b.form("create")
	before := len(w.events.all)
	for range 20 {
		for _, page := range []string{"tokens", "sessions", "security", "profile", ""} {
			require.Equal(t, 200, b.open("/-/auth/"+page).Code)
		}
	}
	assert.Len(t, w.events.all, before)

	for field, value := range map[string]string{"name": "ci", "permission": "read-only", "all": "yes", "days": "30", "password": "a wrong one"} {
		form.Set(field, value)
	}
	guess := func() {
		b.send(call{method: "POST", path: path, body: form.Encode(), addr: "192.0.2.1:1234", header: map[string]string{
			"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin", "X-Forwarded-For": "198.51.100.9",
		}})
	}
	guess()
	b.is(403, "password")
	e := w.events.all[len(w.events.all)-1]
	assert.Equal(t, []any{audit.Password, audit.Denied, w.ids["alice"], "198.51.100.9"}, []any{e.Type, e.Outcome, e.User, e.Addr.String()})

	// Who has the session guesses no further than with npm: the fifth ends it.
	for range 4 {
		guess()
	}
	b.is(403, "You are not signed in any more")
	assert.Zero(t, w.sessions("alice"))
}

// lenient takes no password for the right one, as LDAP does.
type lenient struct{ *members }

func (l lenient) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	if pw.IsZero() {
		return true, nil
	}
	return l.members.CheckPassword(ctx, id, pw)
}

// PW-12: A directory reports that the empty password is right: it opens nothing.
func TestEmptyPassword(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = lenient{newMembers("alice")} })
	b := w.tab()
	b.open("/-/auth/sessions").submit("sign-in", "name", "alice", "password", "").is(403, "is wrong")
	loginURL, done, _ := w.start("")
	b.open(loginURL).submit("approve", "name", "alice", "password", "").is(403, "is wrong")
	a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: `{"_id":"org.couchdb.user:alice","name":"alice","password":"","type":"user"}`})
	assert.GreaterOrEqual(t, a.Code, 400, a.Body.String())

	b.signIn("alice", "tokens")
	b.submit("create", "name", "ci", "permission", "read-only", "all", "yes", "days", "30", "password", "").is(403, "password")
	b.open(loginURL).submit("approve").is(403, "wrong")
	b.submit("approve", "password", password).is(200, "Login approved")
	bearer := w.poll(done, "GET").text("token")
	require.NotEmpty(t, bearer)
	by := audit.Actor{User: "m-1", Credential: w.sessionID(bearer)}
	_, err := w.auth.Sessions().OwnPassword(t.Context(), by, credential.NewSecret(""))
	require.ErrorIs(t, err, session.ErrDenied)
	_, err = w.auth.Sessions().OwnPassword(t.Context(), by, credential.NewSecret(password))
	require.NoError(t, err)
}
