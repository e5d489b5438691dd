package npmauth_test

import (
	"errors"
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/web"
)

// A tab is a browser's, without JavaScript.
type tab struct {
	w       *world
	cookies map[string]string
	stays   bool // where it is, whatever the answer says
	path    string
	answer
}

func (w *world) tab() *tab { return &tab{w: w, cookies: map[string]string{}} }

// with returns the request with what the browser says of itself.
func (b *tab) with(c call) call {
	if c.header == nil {
		c.header = map[string]string{}
	}
	var cookies []string
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		cookies = append(cookies, name+"="+b.cookies[name])
	}
	c.header["Cookie"], c.header["User-Agent"] = strings.Join(cookies, "; "), "a browser"
	return c
}

func (b *tab) send(c call) {
	b.w.t.Helper()
	c = b.with(c)
	b.path = c.path
	b.answer = b.w.do(c)
	b.safe(c)
	for _, cookie := range b.Result().Cookies() {
		if b.cookies[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		}
	}
	if b.Code == http.StatusSeeOther && !b.stays {
		b.open(b.Header().Get("Location"))
	}
}

// guarded are the header fields of all that the pages answer, which keep it from caches, frames and other origins.
var guarded = map[string]*regexp.Regexp{
	"Content-Security-Policy":      regexp.MustCompile(`^default-src 'none'; style-src 'self'; form-action 'self'[^;*]*; base-uri 'none'; frame-ancestors 'none'(; script-src 'self')?(; connect-src 'self')?(; img-src ('self'|data:| )+)?$`),
	"X-Frame-Options":              regexp.MustCompile(`^DENY$`),
	"X-Content-Type-Options":       regexp.MustCompile(`^nosniff$`),
	"Cross-Origin-Opener-Policy":   regexp.MustCompile(`^same-origin$`),
	"Cross-Origin-Resource-Policy": regexp.MustCompile(`^same-origin$`),
	"Referrer-Policy":              regexp.MustCompile(`^no-referrer$`),
	"X-Robots-Tag":                 regexp.MustCompile(`^noindex$`),
}

// safe asserts that an answer has the header of all pages, and that a form that was accepted is answered with a redirect: all
// but those that change nothing, which list or check trusted publishers or ask what a key is to sign.
func (b *tab) safe(c call) {
	b.w.t.Helper()
	if !strings.HasPrefix(c.path, "/-/auth/") || strings.HasPrefix(c.path, "/-/auth/v1/") || strings.HasPrefix(c.path, "/-/auth/done/") || strings.HasPrefix(c.path, "/-/auth/proof/") {
		return
	}
	for field, value := range guarded {
		if field == "Content-Security-Policy" && strings.HasPrefix(b.Header().Get("Content-Type"), "image/") { // an SVG that is opened by itself
			value = regexp.MustCompile(`^default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox$`)
		}
		assert.Regexp(b.w.t, value, b.Header().Get(field), "%s of %s", field, c.path)
	}
	if c.method != "POST" || b.Code >= 300 {
		return
	}
	text, _ := c.body.(string)
	form, err := url.ParseQuery(text)
	require.NoError(b.w.t, err)
	reads := strings.HasPrefix(c.path, "/-/auth/trust") && slices.Contains([]string{"list", "check"}, form.Get("decision"))
	assert.True(b.w.t, reads || form.Get("by") != "" && form.Get("key") == "", "%s of %s is answered %d and not with a redirect", form.Get("decision"), c.path, b.Code)
}

func (b *tab) open(path string) *tab {
	b.w.t.Helper()
	b.send(call{method: "GET", path: strings.TrimPrefix(path, "https://npm.acme.test")})
	return b
}

var (
	postForms = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)"[^>]*>(.*?)</form>`)
	hiddens   = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// form returns the address and the hidden fields of the page's form that decides so.
func (b *tab) form(decision string) (string, url.Values) {
	b.w.t.Helper()
	for _, form := range postForms.FindAllStringSubmatch(b.Body.String(), -1) {
		values := url.Values{}
		for _, in := range hiddens.FindAllStringSubmatch(form[2], -1) {
			values.Set(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
		}
		if strings.Contains(form[2], `name="decision" value="`+decision+`" class`) {
			values.Set("decision", decision)
		}
		if values.Get("decision") == decision {
			return form[1], values
		}
	}
	require.Fail(b.w.t, "no such form", "%s\n%s", decision, b.Body)
	return "", nil
}

// submit fills in the form of the page that decides so, with pairs of field and value.
//
// Of a field that is given twice the last counts.
func (b *tab) submit(decision string, fields ...string) *tab {
	b.w.t.Helper()
	path, values := b.form(decision)
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	b.post(path, values)
	return b
}

func (b *tab) post(path string, values url.Values) {
	b.w.t.Helper()
	b.send(posts(path, values))
}

// posts is a form that a page of this origin sends.
func posts(path string, values url.Values) call {
	return call{method: "POST", path: path, body: values.Encode(), header: map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://npm.acme.test", "Sec-Fetch-Site": "same-origin",
	}}
}

// has returns what the pattern finds in the page.
func (b *tab) has(pattern string) string {
	b.w.t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(b.Body.String())
	require.NotNil(b.w.t, found, "%s\n%s", pattern, b.Body)
	return found[len(found)-1]
}

// is asserts the status and a text of the page.
func (b *tab) is(status int, text string) {
	b.w.t.Helper()
	require.Equal(b.w.t, status, b.Code, b.Body.String())
	require.Contains(b.w.t, b.Body.String(), text)
}

// signIn opens one of the account's pages, with a code for who has an app.
func (b *tab) signIn(name, page string) {
	b.w.t.Helper()
	fields := []string{"name", name, "password", password}
	if b.w.secrets[name] != "" {
		fields = append(fields, "code", b.w.code(name))
	}
	b.open("/-/auth/" + page)
	b.submit("sign-in", fields...)
	b.is(200, "Signed in as <strong>"+name+"</strong>")
}

// A person does with the pages what npm login, profile and token do.
func TestAccountPages(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	elsewhere := w.login("alice")
	b := w.tab()

	b.open("/-/auth/").is(200, "Sign in to manage your account")
	b.open("/-/auth/security").is(200, "Sign in to")
	b.submit("sign-in", "name", "alice", "password", "wrong password of mine").is(403, "is wrong")
	b.submit("sign-in", "name", "alice", "password", password).is(200, "It is <strong>off</strong>")
	b.submit("set", "mode", "auth-and-writes", "password", "wrong password of mine").is(403, "password")
	b.submit("set", "mode", "auth-and-writes", "password", password).is(200, `src="data:image/png;base64,`)
	w.secrets["alice"] = b.has(`id="secret"[^>]*>([A-Z2-7]+)<`)
	b.submit("confirm", "code", "000000").is(403, `id="secret"`)
	b.submit("confirm", "code", w.code("alice")).is(200, "Two-factor authentication is on.")
	recovery := strings.Fields(b.has(`(?s)id="recovery"[^>]*>(.*?)</pre>`))
	require.Len(t, recovery, 5)
	b.open("/-/auth/security").is(200, "for logging in and for writing")
	assert.NotContains(t, b.Body.String(), recovery[0], "it is shown once")
	assert.Equal(t, 401, whoami(w, elsewhere), "who was logged in without it is not any more")

	// Tokens.
	fields := []string{"name", "ci <b>", "permission", "read-write", "all", "yes", "days", "365", "bypass", "yes", "password", password}
	b.open("/-/auth/tokens").submit("create", append(fields, "days", "30", "code", "123456")...).is(403, `value="ci &lt;b&gt;"`)
	b.submit("create", append(fields, "code", w.code("alice"))...).is(400, "90 days at most")
	b.submit("create", append(fields, "days", "many", "code", w.code("alice"))...).is(422, "in digits")
	b.submit("create", append(fields, "days", "30", "code", w.code("alice"))...).is(200, "The token is made")
	secret := b.has(`id="new-token"[^>]*>(npm_\w+)<`)
	assert.Equal(t, 200, whoami(w, secret))
	b.open("/-/auth/tokens").is(200, "ci &lt;b&gt;")
	assert.NotContains(t, b.Body.String(), secret)
	one := b.has(`<h2><a href="([^"]+)">ci`)
	b.open(one).submit("rotate", "grace", "0", "password", password, "code", w.code("alice")).is(200, "new secret")
	rotated := b.has(`id="new-token"[^>]*>(npm_\w+)<`)
	assert.Equal(t, []int{401, 200}, []int{whoami(w, secret), whoami(w, rotated)})
	b.submit(b.has(`value="(revoke:[^"]+)"`), "code", "").is(403, "one-time")
	b.submit(b.has(`value="(revoke:[^"]+)"`), "code", w.code("alice")).is(200, "The token is revoked")
	assert.Equal(t, 401, whoami(w, rotated))
	b.open(one).is(404, "")

	// Sessions.
	other := w.login("alice")
	b.open("/-/auth/sessions").is(200, "this one")
	b.submit("end:"+w.sessionID(other), "code", w.code("alice")).is(200, "The session has ended.")
	assert.Equal(t, 401, whoami(w, other))
	other = w.login("alice")
	b.submit("end-others", "code", w.code("alice")).is(200, "All other sessions have ended.")
	assert.Equal(t, 401, whoami(w, other))

	// Profile and password.
	b.open("/-/auth/profile").submit("save", "email", "alice@acme.test", "fullname", "Alice <Acme>", "code", w.code("alice")).is(200, "The profile is saved.")
	b.is(200, "Alice &lt;Acme&gt;")
	other = w.login("alice")
	const next = "another good one of mine"
	b.open("/-/auth/security").submit("password", "password", password, "new", next, "again", "other").is(422, "not the same")
	b.submit("password", "password", password, "new", next, "again", next, "code", w.code("alice")).is(200, "The password is changed")
	assert.Equal(t, 401, whoami(w, other))

	path, values := b.form("")
	require.Equal(t, "/-/auth/signout", path)
	b.post(path, values)
	b.is(200, "Sign in to manage your account")
	b.open("/-/auth/tokens").is(200, "Sign in to")
	assert.Zero(t, w.sessions("alice"))
	for _, e := range w.events.all {
		assert.NotContains(t, e.Detail, "code")
	}
}

// DU-08: who is signed in is asked for no name and no password again, and never for nothing.
func TestSignedInBrowser(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("widget", false, w.ids["alice"])
	b := w.tab()

	// To approve the login of a program signs in to the browser, too.
	loginURL, done, _ := w.start("")
	b.open(loginURL).submit("approve", "name", "alice", "password", password, "code", w.code("alice"), "stay", "yes").is(200, "Login approved")
	bearer := w.do(call{method: "GET", path: strings.TrimPrefix(done, "https://npm.acme.test")}).text("token")
	require.NotEmpty(t, bearer)
	assert.Equal(t, 2, w.sessions("alice"))
	b.open("/-/auth/sessions").is(200, "Signed in as <strong>alice</strong>")

	// The next one takes a code.
	loginURL, done, _ = w.start("")
	b.open(loginURL).is(200, "It will be logged in as <strong>alice</strong>")
	assert.NotContains(t, b.Body.String(), `name="password"`)
	b.submit("approve").is(403, "wrong")
	b.submit("approve", "code", "000000").is(403, "wrong")
	b.submit("approve", "code", w.code("alice")).is(200, "Login approved")
	require.NotEmpty(t, w.do(call{method: "GET", path: strings.TrimPrefix(done, "https://npm.acme.test")}).text("token"))

	// And so does a publish.
	asked := w.publish("widget", "1.0.1", bearer, "")
	isChallenge(t, asked)
	b.open(asked.text("authUrl")).is(200, "Confirm: publish widget")
	assert.NotContains(t, b.Body.String(), `name="password"`)
	b.submit("approve", "code", "000000").is(403, "wrong")
	b.submit("approve", "code", w.code("alice")).is(200, "Confirmed")

	// For somebody else's it is not enough.
	other := w.tab()
	other.signIn("bob", "sessions")
	w.clock.Add(time.Minute)
	asked = w.publish("widget", "1.0.2", bearer, "")
	isChallenge(t, asked)
	other.open(asked.text("authUrl")).is(200, `name="password"`)

	// An account without a second factor is asked for its password.
	loginURL, _, _ = w.start("")
	other.open(loginURL).is(200, "It will be logged in as <strong>bob</strong>")
	other.submit("approve").is(403, "wrong")
	other.submit("approve", "password", password).is(200, "Login approved")

	// Once the session has ended, it is signed in to no more.
	loginURL, _, _ = w.start("")
	b.open(loginURL).is(200, "It will be logged in as")
	_, values := b.form("approve")
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, w.ids["alice"]))
	values.Set("code", w.code("alice"))
	b.post(b.path, values)
	b.is(403, `name="password"`)
}

// A browser is signed out after half an hour in which it loaded no page, and after two hours.
func TestSignedInEnds(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	b := w.tab()
	b.signIn("alice", "sessions")
	for range 3 {
		w.clock.Add(29 * time.Minute)
		b.open("/-/auth/sessions").is(200, "Signed in as")
	}
	w.clock.Add(30 * time.Minute)
	b.open("/-/auth/sessions").is(200, "Sign in to")

	b.signIn("alice", "sessions")
	for range 4 {
		w.clock.Add(25 * time.Minute)
		b.open("/-/auth/sessions").is(200, "Signed in as")
	}
	w.clock.Add(20 * time.Minute)
	b.open("/-/auth/sessions").is(200, "Sign in to")
}

// The cookie of a browser is no credential of the registry, and a credential is no cookie.
func TestMemberCookie(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	b := w.tab()
	b.signIn("alice", "sessions")
	const name = "__Host-npmauth-member"
	value := b.cookies[name]
	require.NotEmpty(t, value)
	assert.NotContains(t, value, "npm_")
	assert.Equal(t, 401, whoami(w, value))
	for _, bad := range []string{"", "x", value[:len(value)-1], value + "A", w.login("alice"), value + `"; ` + name + "=x"} {
		b.cookies[name] = bad
		b.open("/-/auth/sessions").is(200, "Sign in to")
		b.cookies[name] = value
	}
	b.open("/-/auth/sessions").is(200, "Signed in as")
}

// Nothing is done for a form that another page, browser or person's session sent.
func TestAccountForgery(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	victim := w.tab()
	victim.signIn("alice", "sessions")
	bearer := w.login("alice")
	_, values := victim.form("end-others")
	for what, change := range map[string]func(c *call, v url.Values){
		"another origin": func(c *call, _ url.Values) {
			c.header["Sec-Fetch-Site"], c.header["Origin"] = "cross-site", "https://acme.example"
		},
		"a subdomain": func(c *call, _ url.Values) {
			c.header["Sec-Fetch-Site"], c.header["Origin"] = "same-site", "https://www.npm.acme.test"
		},
		"no token":             func(_ *call, v url.Values) { v.Del("token") },
		"another page's token": func(c *call, _ url.Values) { c.path = "/-/auth/tokens" },
	} {
		c := call{method: "POST", path: "/-/auth/sessions", header: map[string]string{
			"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://npm.acme.test", "Sec-Fetch-Site": "same-origin",
		}}
		form := maps.Clone(values)
		change(&c, form)
		c.body = form.Encode()
		victim.send(c)
		assert.Equal(t, 403, victim.Code, what)
	}
	victim.send(call{method: "GET", path: "/-/auth/sessions?" + values.Encode()})
	assert.Equal(t, 200, whoami(w, bearer))
	assert.Equal(t, 2, w.sessions("alice"))
}

// A company's login takes the place of the password: on every page, and in what takes the password
// besides, for ten minutes (DU-08). Only the browser that was sent there signs in when it comes back.
func TestOwnSignIn(t *testing.T) {
	var arrives session.User // who signs in there
	var failing error
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.SignIn = &web.SignIn{
			Name: "Acme", Origin: "https://login.acme.test",
			Begin: func(w http.ResponseWriter, r *http.Request, state string) {
				http.Redirect(w, r, "https://login.acme.test/authorize?state="+state, http.StatusFound)
			},
			Finish: func(r *http.Request) (string, session.User, error) { return r.FormValue("state"), arrives, failing },
		}
	})
	w.person("alice")
	w.person("bob")
	arrives = session.User{ID: w.ids["alice"], Name: "alice"}
	// there sends the browser to the company's login, from the page that it shows, and returns where
	// that would send it back to.
	there := func(b *tab) string {
		b.submit("sign-in").is(302, "")
		state, ok := strings.CutPrefix(b.Header().Get("Location"), "https://login.acme.test/authorize?")
		require.True(t, ok)
		return "/-/auth/signin?" + state
	}
	b := w.tab()
	b.open("/-/auth/tokens").is(200, "Sign in with Acme")
	assert.Contains(t, b.Header().Get("Content-Security-Policy"), "form-action 'self' https://login.acme.test;")
	assert.NotContains(t, b.Body.String(), `type="password"`)
	back := there(b)

	stranger := w.tab()
	stranger.open(back).is(403, "You are not signed in")
	stranger.open("/-/auth/sessions")
	there(stranger)
	stranger.open(back).is(403, "You are not signed in")
	assert.Zero(t, w.sessions("alice"))
	b.open(back).is(200, `content="0;url=/-/auth/tokens"`)
	b.open("/-/auth/tokens").is(200, "Signed in as <strong>alice</strong>")
	b.open(back).is(403, "You are not signed in")

	// A token is made without a password, for ten minutes.
	fields := []string{"name", "ci", "permission", "read-only", "all", "yes", "days", "30"}
	b.open("/-/auth/tokens")
	assert.NotContains(t, b.Body.String(), `type="password"`)
	b.submit("create", fields...).is(200, "The token is made")
	w.clock.Add(10 * time.Minute)
	b.submit("create", fields...).is(403, "Sign in once more")
	b.open(there(b)).is(200, "You are signed in")
	b.open("/-/auth/tokens").submit("create", fields...).is(200, "The token is made")

	// npm login.
	loginURL, done, _ := w.start("")
	b.open(loginURL).submit("approve").is(200, "Login approved")
	bearer := w.do(call{method: "GET", path: strings.TrimPrefix(done, "https://npm.acme.test")}).text("token")
	require.NotEmpty(t, bearer)
	loginURL, _, _ = w.start("")
	w.clock.Add(4 * time.Minute)
	b.open(loginURL).is(200, "Log in</button>")
	_, values := b.form("approve")
	w.clock.Add(7 * time.Minute)
	loginURL, _, _ = w.start("")
	b.open(loginURL).is(200, "Sign in with Acme")
	b.post(strings.TrimPrefix(loginURL, "https://npm.acme.test"), values)
	b.is(403, "") // of another page
	// No other session is as good as a password.
	a := w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: bearer, body: `{"name":"x","packages_all":true,"packages_and_scopes_permission":"read-only"}`})
	assert.Equal(t, "sign-in-again", a.text("code"), a.Body.String())

	// A second factor is asked for as ever.
	b.open("/-/auth/security")
	b.open(there(b))
	b.open("/-/auth/security").submit("set", "mode", "auth-and-writes").is(200, `id="secret"`)
	w.secrets["alice"] = b.has(`id="secret"[^>]*>([A-Z2-7]+)<`)
	b.submit("confirm", "code", w.code("alice")).is(200, "is on.")
	b.open("/-/auth/tokens").submit("create", fields...).is(403, "one-time")
	b.submit("create", append(fields, "code", w.code("alice"))...).is(200, "The token is made")
	loginURL, _, _ = w.start("")
	b.open(loginURL).submit("approve").is(403, "wrong")
	b.submit("approve", "code", w.code("alice")).is(200, "Login approved")

	// Who may not sign in, and who is not known.
	other := w.tab()
	for _, arrives = range []session.User{{ID: w.ids["bob"], Name: "bob"}, {ID: "nobody", Name: "nobody"}} {
		if arrives.Name == "bob" {
			require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, w.ids["bob"]))
		}
		other.open("/-/auth/tokens")
		other.open(there(other)).is(403, "You are not signed in")
	}
	other.open("/-/auth/tokens")
	arrives = session.User{} // a mistake of the host's
	other.open("/-/auth/tokens")
	other.open(there(other)).is(503, "")
	other.open("/-/auth/tokens")
	failing = errors.New("it does not answer")
	other.open(there(other)).is(503, "")
	other.open("/-/auth/tokens")
	failing = session.ErrDenied
	other.open(there(other)).is(403, "You are not signed in")
	other.open("/-/auth/tokens")
	back = there(other)
	failing, arrives = nil, session.User{ID: w.ids["alice"], Name: "alice"}
	w.clock.Add(10 * time.Minute)
	other.open(back).is(403, "You are not signed in")
}

// Nothing changes on a GET, with whatever a form would have sent, on any page of an account.
func TestEveryAccountPage(t *testing.T) {
	log, _ := withLog(t)
	w := newWorld(t, trusts, stages, log)
	w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	w.trust("plain", "createPackage")
	b := w.tab()
	b.signIn("alice", "tokens")
	paths := map[string]bool{"/-/auth/packages?package=plain": true, "/-/auth/trust?package=plain": true}
	for _, link := range regexp.MustCompile(`href="(/-/auth/[a-z]+)"`).FindAllStringSubmatch(b.Body.String(), -1) {
		paths[link[1]] = true
	}
	for _, page := range []string{"tokens", "packages", "trust", "orgs", "sessions", "activity", "security", "profile"} {
		assert.Contains(t, paths, "/-/auth/"+page)
	}
	rows := func() (list []store.Item) {
		list, err := w.store.List(t.Context(), "", "", store.MaxLimit)
		require.NoError(t, err)
		require.Less(t, len(list), store.MaxLimit)
		return list
	}
	before := rows()
	forms := 0
	for path := range paths {
		b.open(path)
		require.Equal(t, http.StatusOK, b.Code, "%s: %s", path, b.Body)
		assert.Equal(t, "no-store", b.Header().Get("Cache-Control"), path)
		for _, form := range postForms.FindAllStringSubmatch(b.Body.String(), -1) {
			values := url.Values{"password": {password}, "code": {w.codeNow("alice")}}
			for _, in := range regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(form[2], -1) {
				values.Add(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
			}
			if form[1] == "/-/auth/signout" {
				continue // which is for POST alone
			}
			forms++
			b.open(form[1] + "?" + values.Encode())
			assert.Contains(t, []int{http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed}, b.Code, form[1])
		}
	}
	assert.Greater(t, forms, 10)
	assert.Equal(t, before, rows())
}

// documentedRoutes returns what package web documents that it serves, with its methods. A test of web compares that with what it does.
func documentedRoutes(t *testing.T) map[string]string {
	t.Helper()
	source, err := os.ReadFile("web/web.go")
	require.NoError(t, err)
	all := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^//\t([A-Z]+(?:, [A-Z]+)*) +(/-/auth/\S*(?: ID>)?)`).FindAllStringSubmatch(string(source), -1) {
		all[line[2]] = line[1]
	}
	return all
}

// Every route has the header of all pages, for strangers and for who is signed in, takes no other methods than documented, and
// answers a form that changes something with a redirect.
func TestEveryRoute(t *testing.T) {
	log, _ := withLog(t)
	w := newWorld(t, trusts, stages, log, func(cfg *npmauth.Config) {
		cfg.Look = web.Look{Logo: []byte("<svg/>"), LogoType: "image/svg+xml"}
	})
	bearer := w.alice(protocol.AuthAndWrites)
	w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	b := w.tab()
	b.signIn("alice", "tokens")
	own := newWorld(t, func(cfg *npmauth.Config) {
		cfg.SignIn = &web.SignIn{
			Name: "Acme", Origin: "https://login.acme.test",
			Begin:  func(http.ResponseWriter, *http.Request, string) {},
			Finish: func(*http.Request) (string, session.User, error) { return "", session.User{}, session.ErrDenied },
		}
	})

	page := func(address string) string { return strings.TrimPrefix(address, "https://npm.acme.test") }
	at := func(path string) func() string { return func() string { return path } }
	person := func(name string) []string {
		return []string{"name", name, "email", name + "@acme.test", "password", password}
	}
	type entry struct {
		path     func() string
		decision string   // of a form that changes something; "": there is none
		fields   []string // of the form, without the code
	}
	entries := map[string]entry{
		"/-/auth/login/<page ID>": {func() string { address, _, _ := w.start(""); return page(address) }, "approve", nil},
		"/-/auth/challenge/<page ID>": {func() string {
			asked := w.publish("plain", "2.0.0", bearer, "")
			isChallenge(t, asked)
			return page(asked.text("authUrl"))
		}, "approve", nil},
		"/-/auth/signup": {at("/-/auth/signup"), "approve", person("carol")},
		"/-/auth/signup/<page ID>": {func() string {
			address, _, _ := w.start("")
			return strings.Replace(page(address), "/login/", "/signup/", 1)
		}, "approve", person("dave")},
		"/-/auth/tokens": {at("/-/auth/tokens"), "create", []string{"name", "x", "all", "yes", "permission", "read-only", "days", "1", "password", password}},
		"/-/auth/tokens/<key>": {func() string {
			_, one := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			return "/-/auth/tokens/" + one.ID
		}, "revoke", nil},
		"/-/auth/packages": {at("/-/auth/packages?package=plain"), "set", []string{"mode", protocol.FactorOrBypass.String(), "approvals", "1"}},
		"/-/auth/trust": {at("/-/auth/trust?package=plain"), "add", []string{
			"claims.repository", "acme/plain", "claims.workflow_ref.file", "release.yml", "permission.createPackage", "yes",
		}},
		"/-/auth/staged":      {at("/-/auth/staged"), "reject", []string{"version." + w.staged("plain", "3.0.0", bearer), "yes"}},
		"/-/auth/staged/<ID>": {at("/-/auth/staged/" + w.staged("plain", "3.1.0", bearer)), "reject", nil},
		"/-/auth/orgs":        {at("/-/auth/orgs"), "require", nil},
		"/-/auth/sessions":    {at("/-/auth/sessions"), "end-others", nil},
		"/-/auth/activity":    {at("/-/auth/activity"), "", nil},
		"/-/auth/security":    {at("/-/auth/security"), "set", []string{"mode", "auth-only", "password", password}},
		"/-/auth/profile":     {at("/-/auth/profile"), "save", []string{"email", "alice@acme.test"}},
		"/-/auth/signout":     {at("/-/auth/signout"), "", nil}, // the form of which the other tests send
	}
	for _, name := range []string{"signin", "", "style.css", "copy.js", "keys.js", "logo"} {
		entries["/-/auth/"+name] = entry{at("/-/auth/" + name), "", nil}
	}
	routes := documentedRoutes(t)
	require.Equal(t, slices.Sorted(maps.Keys(routes)), slices.Sorted(maps.Keys(entries)))
	for _, route := range slices.Sorted(maps.Keys(entries)) {
		e := entries[route]
		path := e.path()
		tabs := []*tab{w.tab(), b}
		if route == "/-/auth/signin" {
			tabs = []*tab{own.tab()}
		}
		for _, on := range tabs {
			on.stays = true
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				on.send(call{method: method, path: path, body: "", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}})
				takes := strings.Contains(routes[route], method) || method == "HEAD" && strings.Contains(routes[route], "GET") && route != "/-/auth/signin"
				switch {
				case !takes:
					assert.Equal(t, http.StatusMethodNotAllowed, on.Code, "%s %s", method, path)
					assert.NotEmpty(t, on.Header().Get("Allow"), "%s %s", method, path)
				case method == "POST", route == "/-/auth/signin":
					assert.Equal(t, http.StatusForbidden, on.Code, "%s %s", method, path)
				default:
					assert.Equal(t, http.StatusOK, on.Code, "%s %s", method, path)
				}
			}
		}
		if e.decision == "" {
			continue
		}
		b.open(path)
		fields := e.fields
		if !strings.Contains(route, "signup") {
			fields = append(slices.Clone(fields), "code", w.codeAfter("alice"))
		}
		b.submit(e.decision, fields...)
		assert.Equal(t, http.StatusSeeOther, b.Code, "%s: %s", route, b.Body)
		assert.NotEmpty(t, b.Header().Get("Location"), route)
	}
}
