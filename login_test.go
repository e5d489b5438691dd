package npmauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

const base = "https://npm.acme.test"

// start begins a web login as npm does.
func (w *world) start(bearer string) (loginURL, doneURL string, a answer) {
	w.t.Helper()
	a = w.do(call{method: "POST", path: "/-/v1/login", body: "{}", bearer: bearer})
	require.Equal(w.t, 200, a.Code, a.Body.String())
	return a.text("loginUrl"), a.text("doneUrl"), a
}

func (w *world) poll(doneURL, method string) answer {
	w.t.Helper()
	return w.do(call{method: method, path: strings.TrimPrefix(doneURL, base)})
}

func TestWebLogin(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	loginURL, doneURL, a := w.start("")
	assert.Contains(t, a.Header().Get("Npm-Notice"), "code")
	poll := w.poll(doneURL, "GET")
	require.Equal(t, 202, poll.Code)
	assert.Equal(t, "{}", poll.Body.String(), "npm parses the body before the status")
	assert.Regexp(t, `^[1-9]\d*$`, poll.Header().Get("Retry-After"), "DU-15: or npm polls every 2 ms")
	assert.Equal(t, "no-store", poll.Header().Get("Cache-Control"), "DU-19")

	_, _, page := w.open(loginURL)
	notice := a.Header().Get("Npm-Notice")
	assert.Contains(t, page.Body.String(), notice[strings.LastIndex(notice, " ")+1:], "the page shows the check code that npm printed")
	assert.NotContains(t, page.Body.String(), doneURL[strings.LastIndex(doneURL, "/")+1:], "DU-02: the page does not know the poll")

	done := w.submit(loginURL, map[string]string{"name": "alice", "password": password})
	require.Contains(t, []int{200, 303}, done.Code, done.Body.String())
	for _, method := range []string{"HEAD", "POST", "OPTIONS"} { // DU-17
		assert.Equal(t, http.StatusMethodNotAllowed, w.poll(doneURL, method).Code)
	}
	poll = w.poll(doneURL, "PUT") // npm dist-tag leaks its method
	require.Equal(t, 200, poll.Code)
	secret := poll.text("token")
	who := w.do(call{method: "GET", path: "/-/whoami", bearer: secret})
	assert.Equal(t, "alice", who.text("username"))

	again := w.poll(doneURL, "GET")
	assert.Equal(t, secret, again.text("token"), "npm repeats a poll whose answer it lost")
	w.clock.Add(31 * time.Second)
	late := w.poll(doneURL, "GET")
	assert.Equal(t, 410, late.Code)
	assert.Empty(t, late.text("token"))
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: secret}).Code)

	w.clock.Add(2*time.Hour - 31*time.Second)
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: secret}).Code, "two hours, and no longer for having been used")
}

// OT-04: a code that was used in one place is used in all others: at a login, on a page, in a request.
func TestUsedCodeIsUsedEverywhere(t *testing.T) {
	places := map[string]func(w *usedCode, code string) bool{
		"publish": func(w *usedCode, code string) bool { return w.publish("plain", "1.0.0", w.session, code).Code == 200 },
		"token": func(w *usedCode, code string) bool {
			return w.create(w.session, code, map[string]any{"packages_all": true}).Code == 201
		},
		"login": func(w *usedCode, code string) bool {
			return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: code}).Code == 201
		},
		"page of a login": func(w *usedCode, code string) bool {
			return w.submit(w.loginURL, map[string]string{"name": "alice", "password": password, "code": code}).Code < 400
		},
		"page of a challenge": func(w *usedCode, code string) bool {
			return w.submit(w.authURL, map[string]string{"password": password, "code": code}).Code < 400
		},
		"sign-in on a page": func(w *usedCode, code string) bool {
			return w.tab().open("/-/auth/profile").submit("sign-in", "name", "alice", "password", password, "code", code).Code < 400
		},
		"page of a login by who is signed in": func(w *usedCode, code string) bool {
			fresh, _, _ := w.start("")
			return w.browser.open(fresh).submit("approve", "code", code).Code < 400
		},
		"page of sessions": func(w *usedCode, code string) bool {
			return w.browser.open("/-/auth/sessions").submit("end:"+w.ends, "code", code).Code < 400
		},
	}
	for first, use := range places {
		for second, reuse := range places {
			if second == first {
				continue
			}
			w := &usedCode{world: newWorld(t)}
			w.alice(protocol.AuthAndWrites)
			w.session, w.browser, w.ends = w.login("alice"), w.alicesTab(protocol.AuthAndWrites), w.sessionID(w.login("alice"))
			w.loginURL, _, _ = w.start("")
			w.authURL = w.publish("plain", "2.0.0", w.login("alice"), "").text("authUrl")
			code := w.code("alice")
			require.True(t, use(w, code), first)
			assert.False(t, reuse(w, code), "%s after %s", second, first)
		}
	}
}

// A usedCode is a world in which a code is presented twice.
type usedCode struct {
	*world
	session           string
	browser           *tab
	ends              string // ID of a session
	loginURL, authURL string
}

// OT-10: who has not the password can neither lock an account's app nor use up its tries, however many
// codes come with the guesses.
func TestGuessesWithoutThePasswordLockNoApp(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	home := func(otp string) answer {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: otp, addr: "192.0.2.7:1"})
	}
	require.Equal(t, 201, home(w.code("alice")).Code)
	before, err := w.auth.Factors().Status(t.Context(), nil, alice)
	require.NoError(t, err)
	answers := map[int]int{}
	for n := range 300 {
		a := w.do(call{
			method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", "wrong password of mine"),
			otp: fmt.Sprintf("%06d", n), addr: fmt.Sprintf("10.%d.%d.1:1", n/256, n%256),
		})
		answers[a.Code]++
	}
	assert.Equal(t, 300, answers[401]+answers[503], "%v", answers)
	after, err := w.auth.Factors().Status(t.Context(), nil, alice)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.Equal(t, 201, home(w.code("alice")).Code)
}

// CH-09: what the poll of a challenge answers before and after: 202 until it is decided, and one answer
// for one that was denied, is over, was collected or never was.
func TestChallengePolls(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	s := w.login("alice")
	ask := func() (pageURL, doneURL string) {
		a := w.publish("plain", "1.0.0", s, "")
		isChallenge(t, a)
		doneURL = a.text("doneUrl")
		poll := w.poll(doneURL, "GET")
		require.Equal(t, 202, poll.Code)
		assert.Equal(t, "{}", poll.Body.String())
		assert.Regexp(t, `^[1-9]\d*$`, poll.Header().Get("Retry-After"))
		return a.text("authUrl"), doneURL
	}
	over := map[string]string{}
	ended := func(name, doneURL string) {
		a := w.poll(doneURL, "GET")
		assert.Equal(t, 410, a.Code, name)
		over[name] = a.Body.String()
	}
	pageURL, doneURL := ask()
	require.NoError(t, w.auth.Factors().Deny(t.Context(), pageURL[strings.LastIndex(pageURL, "/")+1:], netip.MustParseAddr("192.0.2.7")))
	ended("denied", doneURL)
	_, doneURL = ask()
	w.clock.Add(5 * time.Minute)
	ended("expired", doneURL)
	pageURL, doneURL = ask()
	require.Less(t, w.submit(pageURL, map[string]string{"password": password, "code": w.code("alice")}).Code, 400)
	require.Equal(t, 200, w.poll(doneURL, "GET").Code)
	w.clock.Add(31 * time.Second)
	ended("collected", doneURL)
	ended("never was", doneURL[:strings.LastIndex(doneURL, "/")+1]+strings.Repeat("A", 26))
	for name, body := range over {
		assert.Equal(t, over["never was"], body, name)
	}
}

// DU-21: the credential that is about to be replaced is of no account.
func TestLoginIgnoresTheOldCredential(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	w.clock.Add(3 * time.Hour)
	// DU-22: nor if its account is disabled, or its ranges are elsewhere.
	mallory := w.person("mallory")
	disabled := w.login("mallory")
	require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, mallory))
	elsewhere, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	for _, bearer := range []string{s, disabled, elsewhere} {
		require.Equal(t, 401, whoami(w, bearer))
	}
	for _, bearer := range []string{s, disabled, elsewhere, "npm_garbage", "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"} {
		_, doneURL, _ := w.start(bearer)
		a := w.do(call{method: "GET", path: strings.TrimPrefix(doneURL, base), bearer: bearer, otp: "123456"})
		assert.Equal(t, 202, a.Code)
		a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", bearer: bearer, body: couch("alice", password)})
		assert.Equal(t, 201, a.Code, a.Body.String())
	}
	assert.Equal(t, 200, w.do(call{method: "POST", path: "/-/v1/login"}).Code, "Yarn sends no body")
	assert.Equal(t, 200, w.do(call{method: "POST", path: "/-/v1/login", body: `{"hostname":"box"}`}).Code)
	assert.Equal(t, 200, w.do(call{method: "POST", path: "/-/v1/login", body: `{"create":true,"hostname":"box"}`}).Code)
}

// AU-69: the poll of a login that is over, or was none, is 410, but for npm, which would hang or
// crash: it is never answered 4xx or 500. DU-01, DU-09.
func TestLoginPollOfWhatIsOver(t *testing.T) {
	w := newWorld(t)
	loginURL, doneURL, _ := w.start("")
	page := loginURL[strings.LastIndex(loginURL, "/")+1:]
	over := func(path string) {
		for agent, want := range map[string]int{
			"npm/8.19.4 node/v24.21.0 linux x64 workspaces/false": 200, "npm/12.2.0 node/v24.21.0 linux x64 workspaces/false": 200,
			"pnpm/10.34.8 npm/? node/v24.21.0 linux x64": 200, // of npm below a script of pnpm
			"got (https://github.com/sindresorhus/got)":  410, "undici": 410, "@vltpkg/registry-client/1.0.0-rc.23 Node.js/24.0.0": 410, "": 410,
		} {
			a := w.do(call{method: "GET", path: path, header: map[string]string{"User-Agent": agent}})
			assert.Equal(t, want, a.Code, "%s %s", agent, path)
			assert.Empty(t, a.text("token"))
			assert.Contains(t, a.text("error")+a.Header().Get("Npm-Notice"), "This login is over", agent)
		}
	}
	for _, id := range []string{"x", page, strings.Repeat("a", 43), "npms_" + strings.Repeat("a", 43), doneURL[strings.LastIndex(doneURL, "/")+1:] + "x"} {
		over("/-/auth/done/" + id)
	}
	w.clock.Add(time.Hour)
	over(strings.TrimPrefix(doneURL, base))
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: doneURL[strings.LastIndex(doneURL, "/")+1:]}).Code, "TK-06: a poll id is no credential")
}

func couch(name, pw string) map[string]any {
	return map[string]any{
		"_id": "org.couchdb.user:" + name, "name": name, "password": pw, "email": name + "@acme.test",
		"type": "user", "roles": []string{}, "date": "2026-03-01T12:00:00.000Z",
	}
}

func TestLegacyLogin(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	put := func(name, pw, otp string) answer {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, pw), otp: otp})
	}
	a := put("alice", password, "")
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, true, a.json["ok"], "Yarn 1 reads it")
	assert.Equal(t, "alice", w.do(call{method: "GET", path: "/-/whoami", bearer: a.text("token")}).text("username"))

	assert.Equal(t, 401, put("alice", "wrong password of mine", "").Code, "LG-01")
	assert.Equal(t, 201, put("alice", password, "").Code, "the password is what it was")
	mismatch := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:bob", body: couch("alice", password)})
	assert.Equal(t, 400, mismatch.Code, "PC-33")
	for _, name := range []string{"Alice", "al%20ice", "a%3Ab", "..", "npm", strings.Repeat("a", 215)} { // LG-09
		a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(strings.ReplaceAll(strings.ReplaceAll(name, "%20", " "), "%3A", ":"), password)})
		assert.Contains(t, []int{400, 401, 422}, a.Code, "%s: %s", name, a.Body)
	}
}

// LG-03, EN-01 and EN-03: a factor is asked for, and only of who has the password.
func TestLegacyLoginFactor(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.OpenSignUp = false })
	w.person("alice")
	codes := w.enrol("alice", protocol.AuthOnly)
	put := func(name, pw, otp string) answer {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, pw), otp: otp})
	}
	wrong, unknown := put("alice", "wrong password of mine", ""), put("nobody", "wrong password of mine", "")
	assert.Equal(t, 401, wrong.Code)
	assert.Equal(t, wrong.Code, unknown.Code, "EN-01")
	assert.Equal(t, wrong.Body.String(), unknown.Body.String(), "EN-01")
	assert.Equal(t, wrong.Header(), unknown.Header(), "EN-01")
	withCode := put("alice", "wrong password of mine", "123456")
	assert.Equal(t, wrong.Body.String(), withCode.Body.String(), "EN-03")

	isChallenge(t, put("alice", password, ""))
	isChallenge(t, put("alice", password, "000000"))
	code := w.code("alice")
	require.Equal(t, 201, put("alice", password, code).Code)
	isChallenge(t, put("alice", password, code)) // OT-01
	require.Equal(t, 201, put("alice", password, codes[0]).Code, "a recovery code logs in")
	isChallenge(t, put("alice", password, codes[0])) // RC-01
}

// Yarn 1 presents the code of its login once more, for the publish that made it
// log in. OT-04: for anything else it is used up.
func TestLegacyLoginCarriesItsCode(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, alice)
	code := w.code("alice")
	a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: code})
	require.Equal(t, 201, a.Code)
	s := a.text("token")
	other := w.login("alice")
	isChallenge(t, w.publish("plain", "1.0.0", other, code))
	isChallenge(t, w.create(s, code, map[string]any{"packages_all": true}))
	isChallenge(t, w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: s, otp: code, body: `"1.0.0"`}))
	require.Equal(t, 200, w.publish("plain", "1.0.0", s, code).Code)
	assert.Equal(t, 200, w.do(call{method: "DELETE", path: "/-/user/token/" + s, bearer: s, otp: code}).Code)
}

func TestLegacySwitches(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.OpenSignUp = false; cfg.Legacy.Off = true })
	w.person("alice")
	assert.Equal(t, 404, w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)}).Code)
	s := w.login("alice")
	a := w.do(call{method: "GET", path: "/-/user/org.couchdb.user:alice", bearer: s})
	assert.Equal(t, 200, a.Code, "npm owner add still needs the document")
	assert.Equal(t, "alice@acme.test", a.text("email"))
	for _, query := range []string{"", "?write=true", "?rev=1-a"} { // LG-11
		of := call{method: "GET", path: "/-/user/org.couchdb.user:alice" + query}
		assert.Equal(t, 401, w.do(of).Code)
		of.bearer = s
		assert.ElementsMatch(t, []string{"_id", "name", "email"}, slices.Collect(maps.Keys(w.do(of).json)), query)
	}
	assert.Equal(t, 404, w.do(call{method: "GET", path: "/-/user/org.couchdb.user:nobody", bearer: s}).Code)

	sunset := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	w = newWorld(t, func(cfg *npmauth.Config) {
		cfg.Legacy.Deprecated, cfg.Legacy.Sunset = sunset.AddDate(0, -1, 0), sunset
	})
	w.person("alice")
	put := func() answer {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)})
	}
	a = put()
	assert.Equal(t, 201, a.Code)
	assert.Equal(t, "@1769990400", a.Header().Get("Deprecation"))
	assert.Equal(t, "Mon, 02 Mar 2026 00:00:00 GMT", a.Header().Get("Sunset"))
	w.clock.Add(sunset.Sub(w.clock.Now()))
	assert.Equal(t, 410, put().Code)
}

// TestLogout is TK-20 and TK-26.
func TestLogout(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("mallory")
	logout := func(bearer, path string) int {
		return w.do(call{method: "DELETE", path: "/-/user/token/" + path, bearer: bearer}).Code
	}
	works := func(s string) bool {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code == 200
	}
	a, b, m := w.login("alice"), w.login("alice"), w.login("mallory")
	tok, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	require.True(t, works(a), "and so it is in the cache")
	assert.Equal(t, 401, logout("", a), "TK-26: nobody")
	assert.Equal(t, 404, logout(m, a), "TK-26: somebody else")
	assert.Equal(t, 404, logout(m, "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"), "the same as for what does not exist")
	assert.True(t, works(a))
	assert.Equal(t, 200, logout(a, a))
	assert.False(t, works(a), "TK-20: at once")
	assert.Equal(t, 200, logout(a, a), "npm keeps a token whose logout is not 2xx")
	assert.True(t, works(b), "another login is another session")
	assert.Equal(t, 200, logout(b, tok), "the owner of a token may end it")
	assert.False(t, works(tok))
	assert.Equal(t, 200, logout("npm_garbage", "npm_garbage"))
	assert.True(t, works(m))
}

// TestAccountEnds: what is true of an account bites at the next request.
func TestAccountEnds(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	works := func(s string) bool {
		return w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code == 200
	}
	s := w.login("alice")
	tok, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	require.True(t, works(s) && works(tok))
	require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, alice)) // TK-16
	assert.False(t, works(s) || works(tok))
	a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)})
	assert.Equal(t, 401, a.Code, "EN-01: the same as a wrong password")
	require.NoError(t, w.auth.Subjects().Enable(t.Context(), audit.Actor{}, alice))
	require.True(t, works(s) && works(tok))
	w.clock.Add(time.Second)
	require.NoError(t, w.auth.Subjects().EndSessions(t.Context(), audit.Actor{}, alice))
	assert.False(t, works(s))
	assert.True(t, works(tok))
	require.NoError(t, w.auth.Subjects().RevokeAll(t.Context(), audit.Actor{}, alice))
	assert.False(t, works(tok))
	w.clock.Add(time.Second)
	assert.True(t, works(w.login("alice")))
}

// TestNoSecretInAnswersOrEvents looks for a password and tokens in what is not for them.
func TestNoSecretInAnswersOrEvents(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	s := w.login("alice")
	for _, a := range []answer{
		w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password+"x")}),
		w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: map[string]any{"password": password + "x", "packages_all": true}}),
		w.do(call{method: "DELETE", path: "/-/user/token/" + s, bearer: s}),
	} {
		assert.NotContains(t, a.Body.String(), password)
		assert.NotContains(t, a.Body.String(), s)
	}
	for _, e := range w.events.all {
		text := e.Reason() + e.Credential + string(e.User)
		for k, v := range e.Detail {
			text += k + v
		}
		assert.NotContains(t, text, password)
		assert.NotContains(t, text, s)
	}
	assert.NotEmpty(t, w.events.all)
}

// An older token of the host's lives on, so nobody is told that it does not.
func TestLogoutOfAForeignToken(t *testing.T) {
	p := &people{user: host.User{ID: "1", Name: "alice"}}
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Users = p
		cfg.Foreign = func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
			switch bearer.Reveal() {
			case "old-token":
				return host.ForeignToken{ID: "old", User: "1"}, nil
			case "outage":
				return host.ForeignToken{}, context.DeadlineExceeded
			}
			return host.ForeignToken{}, host.ErrInvalidToken
		}
	})
	logout := func(text string) int {
		return w.do(call{method: "DELETE", path: "/-/user/token/" + text, bearer: text}).Code
	}
	assert.Equal(t, 200, logout("garbage"), "what is dead already")
	assert.Equal(t, 403, logout("old-token"))
	assert.Equal(t, 503, logout("outage"))
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: "old-token"}).Code)
}

// countedPeople says whose passwords were checked.
type countedPeople struct {
	*people
	checked []protocol.UserID
}

func (p *countedPeople) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	p.checked = append(p.checked, id)
	return p.people.CheckPassword(ctx, id, pw)
}

// EN-01: whoever signs in under a name that nobody has waits for a hash as everybody does,
// so that the time tells no names.
func TestUnknownNameCostsAHash(t *testing.T) {
	p := &countedPeople{people: &people{user: host.User{ID: "1", Name: "alice"}}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = p })
	for name, signIn := range map[string]func(name string) int{
		"as older clients do": func(name string) int {
			return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, "wrong")}).Code
		},
		"on the page": func(name string) int {
			loginURL, _, _ := w.start("")
			return w.submit(loginURL, map[string]string{"name": name, "password": "wrong"}).Code
		},
	} {
		p.checked = nil
		assert.GreaterOrEqual(t, signIn("alice"), 400, name)
		assert.Equal(t, []protocol.UserID{"1"}, p.checked, name)
		p.checked = nil
		assert.GreaterOrEqual(t, signIn("nobody"), 400, name)
		assert.Equal(t, []protocol.UserID{""}, p.checked, name)
	}
}

// Too many codes at a login are answered like one that is wrong: npm asks for another, and
// nobody learns how many there may be.
func TestTooManyCodesAtALogin(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = aliceAlone{} })
	w.ids["alice"] = "alice"
	w.enrol("alice", protocol.AuthOnly)
	w.clock.Add(time.Minute)
	locked := 0
	for i := range 10 { // more are one event
		w.events.all = nil
		isChallenge(t, w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: fmt.Sprintf("%06d", i)}))
		if w.events.has(audit.FactorLocked) {
			locked++
		}
		last := w.events.all[len(w.events.all)-1]
		assert.Equal(t, audit.Login, last.Type)
		assert.Equal(t, audit.Denied, last.Outcome, "code %d", i)
		assert.Equal(t, "factor", last.Reason())
	}
	assert.Positive(t, locked, "there were too many")
}

// AU-64: vlt logout looks in the list of tokens for one that its own begins with, and deletes that.
// It finds the session of its request there, which no other client and no other session does.
func TestLogoutOfVlt(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	s, other := w.login("alice"), w.login("alice")
	listed := func(agent, bearer string) (objects []struct{ Key, Token string }) {
		a := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: bearer, header: map[string]string{"User-Agent": agent}})
		require.Equal(t, 200, a.Code, a.Body.String())
		var body struct {
			Objects []struct{ Key, Token string }
			Total   int
		}
		require.NoError(t, json.Unmarshal(a.Body.Bytes(), &body))
		assert.Len(t, body.Objects, body.Total)
		return body.Objects
	}
	remove := func(bearer, key string) int {
		return w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + key, bearer: bearer}).Code
	}
	const vlt = "@vltpkg/registry-client/1.0.0-rc.23 Node.js/24.0.0 (linux; x64)"
	assert.Empty(t, listed("npm/12.2.0 node/v24.21.0", s), "npm lists no sessions")
	own := listed(vlt, s)
	require.Len(t, own, 1)
	assert.True(t, strings.HasPrefix(s, own[0].Token))
	assert.True(t, strings.HasPrefix(other, own[0].Token), "which tells nothing of the secret")

	rw, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite)})
	assert.Equal(t, 403, remove(rw, own[0].Key), "a token is no session")
	assert.Equal(t, 404, remove(s, listed(vlt, other)[0].Key))
	assert.Equal(t, 200, whoami(w, other), "another session")
	assert.Equal(t, 204, remove(s, own[0].Key), "without a second factor, as any logout")
	assert.Equal(t, 401, whoami(w, s))
	assert.Equal(t, 200, whoami(w, other))
	assert.True(t, w.events.has(audit.Logout))
	assert.Equal(t, 401, remove(s, own[0].Key))
}
