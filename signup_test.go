package npmauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

const signUpPage = base + "/-/auth/signup"

// AU-68: npm adduser creates an account, and no other login does, whatever it sends: it is answered
// as a wrong password is, and where people get an account.
func TestOnlyAdduserSignsUp(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.events.all = nil
	put := func(name, pw, email string, header map[string]string) answer {
		body := couch(name, pw)
		if delete(body, "email"); email != "" {
			body["email"] = email
		}
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: body, header: header})
	}
	exists := func(name string) bool {
		_, err := w.auth.People().Lookup(t.Context(), name)
		if err != nil {
			require.ErrorIs(t, err, host.ErrNoUser)
		}
		return err == nil
	}
	adduser := map[string]string{"Npm-Command": "adduser"}
	wrong := put("alice", "wrong password of mine", "", map[string]string{"Npm-Command": "login"})
	require.Equal(t, 401, wrong.Code)
	assert.Empty(t, wrong.Header().Get("Www-Authenticate"), "or npm prints a sentence of its own")
	assert.Contains(t, wrong.text("error"), signUpPage)
	for name, tt := range map[string]struct {
		email  string
		header map[string]string
	}{
		"npm login":                    {"", map[string]string{"Npm-Command": "login"}},
		"npm login with an address":    {"carol@acme.test", map[string]string{"Npm-Command": "login"}},
		"npm adduser without one":      {"", adduser},
		"Yarn 1 and pnpm":              {"carol@acme.test", nil},
		"Yarn 2 to 4":                  {"", nil},
		"a page that is called so":     {"carol@acme.test", map[string]string{"Referer": "https://npm.acme.test/adduser"}},
		"npm 6 logging in at publish":  {"carol@acme.test", map[string]string{"Referer": "publish"}},
		"another command, and adduser": {"carol@acme.test", map[string]string{"Npm-Command": "publish", "Referer": "adduser"}},
	} {
		a := put("carol", "wrong password of mine", tt.email, tt.header)
		assert.Equal(t, wrong.Code, a.Code, name)
		assert.Equal(t, wrong.Body.String(), a.Body.String(), name)
		assert.Equal(t, wrong.Header(), a.Header(), name)
		assert.False(t, exists("carol"), name)
	}
	assert.False(t, w.events.has(audit.SignUp))

	a := put("carol", "a passphrase of mine", "carol@acme.test", adduser)
	require.Equal(t, 201, a.Code, a.Body.String())
	assert.Equal(t, "carol", w.do(call{method: "GET", path: "/-/whoami", bearer: a.text("token")}).text("username"))
	assert.True(t, w.events.has(audit.SignUp))
	assert.Equal(t, 201, put("dave", "a passphrase of mine", "dave@acme.test", map[string]string{"Referer": "adduser [REDACTED]"}).Code, "npm 6")

	again := put("carol", "another passphrase", "carol@acme.test", adduser)
	assert.Equal(t, 401, again.Code, "an account is made once")
	assert.Equal(t, "name-taken", again.text("code"))
	assert.Equal(t, 201, put("carol", "a passphrase of mine", "other@acme.test", adduser).Code, "npm 6 to 8 log in with it")
	carol, err := w.auth.People().Lookup(t.Context(), "carol")
	require.NoError(t, err)
	assert.Equal(t, "carol@acme.test", carol.Email)
}

// AU-72: what is wrong with a new account is said in a sentence, under a status at which npm prints
// it.
func TestRefusedSignUpIsSaid(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct{ name, email, password, says string }{
		{"Carol", "c@acme.test", password, "lower-case"},
		{"npm", "c@acme.test", password, "not a reserved word"},
		{"carol", "nowhere", password, "This is not an e-mail address."},
		{"carol", "c@acme.test", "short", "Choose another password: it has fewer than 11 characters."},
		{"carol", "c@acme.test", "carolcarolcarol", "Choose another password: it is mostly the user name."},
	} {
		body := couch(tt.name, tt.password)
		body["email"] = tt.email
		a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + tt.name, body: body, header: map[string]string{"Npm-Command": "adduser"}})
		assert.Equal(t, 422, a.Code, tt.says)
		assert.Contains(t, a.text("error"), tt.says)
		assert.NotContains(t, a.text("error"), "account:")

		a = w.submit(signUpPage, map[string]string{"name": tt.name, "email": tt.email, "password": tt.password})
		assert.Equal(t, 422, a.Code, tt.says)
		assert.Contains(t, a.Body.String(), tt.says)
	}
	assert.False(t, w.events.has(audit.SignUp))
	w.person("alice")
	a := w.submit(signUpPage, map[string]string{"name": "alice", "email": "a@acme.test", "password": password})
	assert.Equal(t, 422, a.Code)
	assert.Contains(t, a.Body.String(), "That user name is taken. Choose another one.")
	a = w.submit(signUpPage, map[string]string{"name": "carol", "email": "", "password": password})
	assert.Contains(t, a.Body.String(), "This is not an e-mail address.")

	closed := newWorld(t, func(cfg *npmauth.Config) { cfg.OpenSignUp = false })
	a = closed.adduser("carol", "c@acme.test")
	assert.Equal(t, 401, a.Code)
	assert.NotContains(t, a.text("error"), "signup", "there is no such page")
}

// The switch of an operator who wants what was before.
func TestSignUpAtLogin(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Legacy.SignUpAtLogin = true })
	body := couch("carol", password)
	delete(body, "email")
	login := call{method: "PUT", path: "/-/user/org.couchdb.user:carol", body: body, header: map[string]string{"Npm-Command": "login"}}
	require.Equal(t, 201, w.do(login).Code)
	assert.True(t, w.events.has(audit.SignUp))
	body["password"] = "another passphrase"
	assert.Equal(t, "name-taken", w.do(login).text("code"))
}

// AU-67: npm adduser opens the page that creates an account, npm login one that leads there, and
// the same login is approved with the new account.
func TestSignUpPage(t *testing.T) {
	for name, change := range map[string]func(*npmauth.Config){
		"legacy on":  func(*npmauth.Config) {},
		"legacy off": func(cfg *npmauth.Config) { cfg.Legacy.Off = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			loginURL, _, _ := w.start("")
			require.True(t, strings.HasPrefix(loginURL, base+"/-/auth/login/"))
			_, _, page := w.open(loginURL)
			assert.Contains(t, page.Body.String(), `href="`+strings.TrimPrefix(strings.Replace(loginURL, "/login/", "/signup/", 1), base)+`"`)

			start := w.do(call{method: "POST", path: "/-/v1/login", body: `{"create":true}`})
			require.Equal(t, 200, start.Code)
			address := start.text("loginUrl")
			require.True(t, strings.HasPrefix(address, signUpPage+"/"), address)
			a := w.submit(address, map[string]string{"name": "carol", "email": "carol@acme.test", "password": password})
			require.Equal(t, 303, a.Code, a.Body.String())
			assert.True(t, w.events.has(audit.SignUp))
			assert.Equal(t, 202, w.poll(start.text("doneUrl"), "GET").Code, "an account is no login")
			a = w.submit(strings.Replace(address, "/signup/", "/login/", 1), map[string]string{"name": "carol", "password": password})
			require.Equal(t, 303, a.Code, a.Body.String())
			assert.Equal(t, 200, whoami(w, w.poll(start.text("doneUrl"), "GET").text("token")))
		})
	}
	closed := newWorld(t, func(cfg *npmauth.Config) { cfg.OpenSignUp = false })
	_, _, a := closed.open(signUpPage)
	assert.Equal(t, 404, a.Code)
	start := closed.do(call{method: "POST", path: "/-/v1/login", body: `{"create":true}`})
	assert.True(t, strings.HasPrefix(start.text("loginUrl"), base+"/-/auth/login/"), "who has an account logs in")
}

// A host's refusals are shown, and what is none, or has no words, is no account.
func TestSignUpPageOfAHost(t *testing.T) {
	m := newMembers("alice")
	w := newMemberWorld(t, m)
	fields := map[string]string{"name": "carol", "email": "carol@acme.test", "password": password}
	for err, want := range map[error]struct {
		status int
		says   string
	}{
		host.ErrNameTaken: {422, "That user name is taken."},
		&wire.Error{Status: 403, Code: "ask-us", Sentence: "Ask us."}: {422, "Ask us."},
		&wire.Error{Status: 403, Code: "silent"}:                      {503, "cannot check this right now"},
		&wire.Error{Challenge: &wire.Challenge{}}:                     {503, "cannot check this right now"},
		account.ErrBusy:             {503, "cannot check this right now"},
		errors.New("no connection"): {503, "cannot check this right now"},
	} {
		m.refuse = err
		a := w.submit(signUpPage, fields)
		assert.Equal(t, want.status, a.Code, err)
		assert.Contains(t, a.Body.String(), want.says, err)
	}
	m.refuse = nil
	w.host.orgs["carol m-1"] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	assert.Contains(t, w.submit(signUpPage, fields).Body.String(), "taken", "organizations have names, too")
	delete(w.host.orgs, "carol m-1")
	assert.Len(t, m.rows, 1)
	assert.False(t, w.events.has(audit.SignUp))
	require.Equal(t, 303, w.submit(signUpPage, fields).Code)
	assert.Len(t, m.rows, 2)
	assert.True(t, w.events.has(audit.SignUp))
}

// countedMembers count the passwords that are checked.
type countedMembers struct {
	*members
	checked []protocol.UserID
}

func (m *countedMembers) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	m.checked = append(m.checked, id)
	return m.members.CheckPassword(ctx, id, pw)
}

// EN-04: while nobody can sign up, a name that is taken and one that is free get one answer.
func TestClosedSignUpTellsNoNames(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.OpenSignUp = false })
	w.person("alice")
	for _, header := range []map[string]string{nil, {"Npm-Command": "adduser"}} {
		var answers []string
		for _, name := range []string{"alice", "zelda"} {
			a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, "wrong password of mine"), header: header})
			assert.Equal(t, 401, a.Code)
			answers = append(answers, fmt.Sprint(a.Code, a.Header(), a.Body))
		}
		assert.Equal(t, answers[0], answers[1])
	}
	assert.Equal(t, 404, w.do(call{method: "GET", path: strings.TrimPrefix(signUpPage, base)}).Code, "there is no page that tells")
}

// EN-01, EN-04: the names that sign-up tells cost a check of a password each, as those that a login would
// tell do; where nothing is checked, nothing is told.
func TestSignUpTellsNamesSlowly(t *testing.T) {
	m := &countedMembers{members: newMembers("alice")}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = m })
	for _, name := range []string{"alice", "carol"} {
		m.checked = nil
		w.submit(signUpPage, map[string]string{"name": name, "email": "c@acme.test", "password": password})
		assert.Equal(t, []protocol.UserID{""}, m.checked, name)
	}
	for _, pw := range []string{"", strings.Repeat("x", account.MaxPassword+1), strings.Repeat("\u0958", account.MaxPassword/3)} { // which is longer in form C
		taken := w.submit(signUpPage, map[string]string{"name": "alice", "email": "c@acme.test", "password": pw})
		free := w.submit(signUpPage, map[string]string{"name": "zelda", "email": "c@acme.test", "password": pw})
		assert.Equal(t, 422, taken.Code)
		assert.Contains(t, taken.Body.String(), "Choose another password")
		assert.Equal(t, 422, free.Code)
		assert.Contains(t, free.Body.String(), "Choose another password")

		body := couch("alice", pw)
		adduser := call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: body, header: map[string]string{"Npm-Command": "adduser"}}
		taken = w.do(adduser)
		adduser.path, body["name"], body["_id"] = "/-/user/org.couchdb.user:zelda", "zelda", "org.couchdb.user:zelda"
		free = w.do(adduser)
		assert.Equal(t, 422, taken.Code)
		assert.Equal(t, taken.Body.String(), free.Body.String())
	}
	assert.Len(t, m.rows, 2)
}

// AU-22: a network that has signed up too often has no more passwords checked.
func TestSignUpsThatAreRefusedCheckNothing(t *testing.T) {
	m := &countedMembers{members: newMembers("alice")}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = m })
	codes := map[int]int{}
	for range 30 {
		codes[w.submit(signUpPage, map[string]string{"name": "alice", "email": "c@acme.test", "password": password}).Code]++
	}
	assert.Equal(t, map[int]int{422: 20, 503: 10}, codes)
	assert.Len(t, m.checked, 20)
}

// AU-61: npm 6 to 8 begin with a web login also where they are to ask for the password, and npm 6
// shows no page: they are sent to the password login while there is one.
func TestOldNPMLogsInWithAPassword(t *testing.T) {
	const old = "npm/6.14.18 node/v20.20.2 linux x64"
	for _, tt := range []struct {
		name, agent, kind string
		want              int
	}{
		{"npm 6", old, "", 404},
		{"npm 7", "npm/7.24.2 node/v20.20.2 linux x64 workspaces/false", "", 404},
		{"npm 8", "npm/8.19.4 node/v20.20.2 linux x64 workspaces/false", "legacy", 404},
		{"npm 8 for the browser", "npm/8.19.4 node/v20.20.2 linux x64 workspaces/false", "web", 200},
		{"npm 11", "npm/11.19.1 node/v20.20.2 linux x64 workspaces/false", "web", 200},
		{"pnpm", "undici", "web", 200},
		{"a client without a name", "", "", 200},
		{"npm 60", "npm/60.0.0", "", 200},
	} {
		header := map[string]string{"User-Agent": tt.agent}
		if tt.kind != "" {
			header["Npm-Auth-Type"] = tt.kind
		}
		start := call{method: "POST", path: "/-/v1/login", body: `{"hostname":"box"}`, header: header}
		a := newWorld(t).do(start)
		assert.Equal(t, tt.want, a.Code, tt.name)

		// Where there is no password login, the page is all that there is.
		for _, without := range []npmauth.Legacy{
			{Off: true},
			{Sunset: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
			{Deprecated: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), BrownOuts: []legacy.Window{{
				From: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
			}}},
		} {
			w := newWorld(t, func(cfg *npmauth.Config) { cfg.Legacy = without })
			assert.Equal(t, 200, w.do(start).Code, "%s %+v", tt.name, without)
		}
	}
}

// LG-14: a brown-out through the whole registry: the notice says when, then it is 410, then it
// works again.
func TestLegacyBrownOut(t *testing.T) {
	window := legacy.Window{From: time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC), Until: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)}
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Legacy = npmauth.Legacy{Deprecated: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), BrownOuts: []legacy.Window{window}, Sunset: window.Until.AddDate(0, 1, 0)}
	})
	w.person("alice")
	put := func() answer {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)})
	}
	a := put()
	require.Equal(t, 201, a.Code)
	assert.Contains(t, a.Header().Get("Npm-Notice"), "It is off from 2026-03-10 08:00 UTC until 2026-03-10 12:00 UTC.")
	w.clock.Add(window.From.Sub(w.clock.Now()))
	a = put()
	require.Equal(t, 410, a.Code)
	assert.Equal(t, "legacy-login-brown-out", a.text("code"))
	assert.Contains(t, a.text("error"), "until 2026-03-10 12:00 UTC")
	assert.NotEmpty(t, w.login("alice"), "the other way")
	w.clock.Add(window.Until.Sub(w.clock.Now()))
	assert.Equal(t, 201, put().Code)
}
