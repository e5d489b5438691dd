package npmauth_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/kdf"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

func (w *world) setUser(bearer, otp, body string) answer {
	w.t.Helper()
	return w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: bearer, otp: otp, body: body})
}

// npm profile set sends all fields, and null for those that are empty.
func TestSetProfile(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	s := w.login("alice")
	a := w.setUser(s, "", `{"email":"alice@acme.test","fullname":"Alice A.","homepage":null,"freenode":null,"twitter":null,"github":null}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, "Alice A.", a.text("fullname"))
	a = w.setUser(s, "", `{"email":"alice@acme.test","fullname":"Alice A.","homepage":"https://alice.test","twitter":"","github":"alice"}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	shown := w.do(call{method: "GET", path: "/-/npm/v1/user", bearer: s})
	for field, want := range map[string]string{
		"name": "alice", "email": "alice@acme.test", "fullname": "Alice A.", "homepage": "https://alice.test", "github": "alice", "twitter": "", "freenode": "",
	} {
		assert.Equal(t, want, shown.text(field), field)
	}
	sub, err := w.auth.Subjects().Get(t.Context(), alice)
	require.NoError(t, err)
	assert.Zero(t, sub.Recovered, "the address is as it was")

	require.Equal(t, 200, w.setUser(s, "", `{"fullname":null}`).Code)
	assert.Empty(t, w.do(call{method: "GET", path: "/-/npm/v1/user", bearer: s}).text("fullname"))

	w.events.all = nil
	a = w.setUser(s, "", `{"email":"a@new.test","github":"alice"}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.Equal(t, "a@new.test", a.text("email"))
	sub, err = w.auth.Subjects().Get(t.Context(), alice)
	require.NoError(t, err)
	assert.Equal(t, w.clock.Now(), sub.Recovered)
	require.Len(t, w.events.all, 1)
	assert.Equal(t, audit.Profile, w.events.all[0].Type)
	assert.Equal(t, map[string]string{"changed": "email"}, w.events.all[0].Detail)

	w.events.all = nil
	before := dump(t, w.store)
	for body, want := range map[string]int{
		`{"email":null}`:           400,
		`{"email":""}`:             400,
		`{"email":"nobody"}`:       400,
		`{"email":"A <a@b.test>"}`: 400,
		`{"email":7}`:              400,
		`{"fullname":["a"]}`:       400,
		`{"fullname":"a\u0007"}`:   400,
		`{"fullname":"` + strings.Repeat("x", 257) + `"}`:                 400,
		`{"cidr_whitelist":["10.0.0.0/8"]}`:                               400,
		`{"name":"mallory"}`:                                              400,
		`{"fullname":"a","fullname":"b"}`:                                 400,
		`{"fullname":"a","tfa":{"mode":"disable","password":"whatever"}}`: 400,
	} {
		assert.Equal(t, want, w.setUser(s, "", body).Code, body)
	}
	assert.Empty(t, changes(before, dump(t, w.store)))
	assert.False(t, w.events.did(audit.Profile))

	// What is as it was is written again, and nothing is told of it.
	at := w.clock.Now()
	w.clock.Add(time.Minute)
	for _, body := range []string{`{}`, `{"email":"a@new.test"}`} {
		require.Equal(t, 200, w.setUser(s, "", body).Code, body)
	}
	assert.Equal(t, []string{account.PersonKey(alice)}, changes(before, dump(t, w.store)))
	assert.False(t, w.events.did(audit.Profile))
	sub, err = w.auth.Subjects().Get(t.Context(), alice)
	require.NoError(t, err)
	assert.Equal(t, at, sub.Recovered)

	secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	assert.Equal(t, "session-only", w.setUser(secret, "", `{"fullname":"x"}`).text("code"))
	assert.Equal(t, 401, w.setUser("", "", `{"fullname":"x"}`).Code)
}

// Whoever has no address yet sends none along.
func TestSetProfileWithoutAddress(t *testing.T) {
	w := newWorld(t)
	u, err := w.auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: "alice", Password: credential.NewSecret(password)})
	require.NoError(t, err)
	w.ids["alice"] = u.ID
	s := w.login("alice")
	assert.Equal(t, 200, w.setUser(s, "", `{"email":null,"fullname":"Alice"}`).Code)
	assert.Equal(t, 200, w.setUser(s, "", `{"email":"a@acme.test","fullname":"Alice"}`).Code)
}

// With a factor it is spent in the commit that changes the profile, and on nothing else.
func TestSetProfileTakesTheFactor(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	a := w.setUser(s, "", `{"email":"a@new.test"}`)
	isChallenge(t, a)
	_, _, page := w.open(a.text("authUrl"))
	assert.Contains(t, page.Body.String(), "<dt>Sets the e-mail address to</dt><dd><bdi>a@new.test</bdi></dd>")
	require.Less(t, w.submit(a.text("authUrl"), map[string]string{"password": password, "code": w.code("alice")}).Code, 400)
	proof := w.poll(a.text("doneUrl"), "GET").text("token")
	isChallenge(t, w.setUser(s, proof, `{"password":{"old":"`+password+`","new":"another password of mine"}}`))
	isChallenge(t, w.setUser(s, proof, `{"fullname":"Alice"}`))
	isChallenge(t, w.setUser(s, proof, `{"email":"mallory@new.test"}`)) // AU-10
	assert.Equal(t, 400, w.setUser(s, proof, `{"email":"nobody"}`).Code, "and is not spent on what cannot be")
	assert.Equal(t, 200, w.setUser(s, proof, `{"email":"a@new.test"}`).Code)
	isChallenge(t, w.setUser(s, proof, `{"email":"b@new.test"}`))
	assert.Equal(t, 200, w.setUser(s, w.code("alice"), `{"fullname":"Alice"}`).Code)
}

// TK-18
func TestSetPassword(t *testing.T) {
	w := newWorld(t)
	alice, _ := w.person("alice"), w.person("bob")
	w.enrol("alice", protocol.AuthAndWrites)
	s, other, bobs := w.login("alice"), w.login("alice"), w.login("bob")
	secret, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	approved, done, _ := w.start("")
	require.Less(t, w.submit(approved, map[string]string{"name": "alice", "password": password, "code": w.code("alice")}).Code, 400)

	const next = "another password of mine"
	change := func(old, new, otp string) answer {
		return w.setUser(s, otp, `{"email":"alice@acme.test","fullname":null,"homepage":null,"password":{"old":"`+old+`","new":"`+new+`"}}`)
	}
	w.events.all = nil
	a := change("wrong", next, w.code("alice"))
	assert.Equal(t, "wrong-password", a.text("code"))
	assert.Equal(t, 401, a.Code)
	require.Len(t, w.events.all, 1)
	assert.Equal(t, audit.Password, w.events.all[0].Type)
	assert.Equal(t, audit.Denied, w.events.all[0].Outcome)
	assert.Equal(t, "bad-password", change(password, "short", w.code("alice")).text("code"))
	isChallenge(t, change(password, next, ""))
	for _, body := range []string{`"x"`, `{"old":"a"`, `{"new":"a","extra":1}`, `["a"]`} {
		assert.Equal(t, 400, w.setUser(s, w.code("alice"), `{"password":`+body+`}`).Code, body)
	}
	assert.Equal(t, 400, w.setUser(s, w.code("alice"), `{"fullname":"x","password":{"old":"`+password+`","new":"`+next+`"}}`).Code, "one thing at a time")
	for _, bearer := range []string{s, other, secret} {
		require.Equal(t, 200, whoami(w, bearer))
	}

	w.events.all = nil
	a = change(password, next, w.code("alice"))
	require.Equal(t, 200, a.Code, a.Body.String())
	assert.NotContains(t, a.Body.String(), "password")
	assert.Equal(t, 200, whoami(w, s), "the session that asked")
	assert.Equal(t, 401, whoami(w, other), "and no other")
	assert.Equal(t, 200, whoami(w, secret), "tokens go on")
	assert.Equal(t, 200, whoami(w, bobs))
	assert.Empty(t, w.poll(done, "GET").text("token"), "a login that was approved before")
	assert.True(t, w.events.has(audit.Password))
	assert.True(t, w.events.has(audit.SessionEnded))
	signIn := func(pw string) error {
		_, _, err := w.auth.Sessions().SignIn(t.Context(), session.SignIn{Name: "alice", Password: credential.NewSecret(pw), OTP: credential.NewSecret(w.code("alice"))})
		return err
	}
	assert.ErrorIs(t, signIn(password), session.ErrDenied)
	assert.NoError(t, signIn(next))

	// The session that was kept is not kept for ever.
	require.NoError(t, w.auth.Subjects().EndSessions(t.Context(), audit.Actor{}, alice))
	assert.Equal(t, 401, whoami(w, s))
}

// What an outage cuts short changes neither the password nor any session, and spends
// nothing.
func TestSetPasswordIsOneCommit(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh = st, -1 })
	w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s, other := w.login("alice"), w.login("alice")
	code := w.code("alice")
	body := `{"password":{"old":"` + password + `","new":"another password of mine"}}`
	st.Inject(storetest.Fault{On: storetest.Commits, Nth: 2, Err: store.ErrConflict}) // after that of a new server key; tried again
	require.Equal(t, 200, w.setUser(s, code, body).Code)
	assert.Equal(t, 401, whoami(w, other))

	w.clock.Add(time.Minute)
	back := `{"password":{"old":"another password of mine","new":"` + password + `"}}`
	st.Inject(storetest.Fault{On: storetest.Commits, Nth: 1, Err: assert.AnError})
	code = w.code("alice")
	require.Equal(t, 503, w.setUser(s, code, back).Code)
	assert.Equal(t, 200, w.setUser(s, code, back).Code, "the code was not spent, and the password is the old one")
}

// A host keeps its people's passwords and names itself, whatever its policy says.
func TestProfileOfAHostIsNotOffered(t *testing.T) {
	p := &people{user: host.User{ID: "1", Name: "alice"}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users = p })
	w.ids["alice"] = "1"
	s := w.login("alice")
	for _, body := range []string{`{"fullname":"x"}`, `{"password":{"old":"` + password + `","new":"another password of mine"}}`} {
		a := w.setUser(s, "", body)
		assert.Equal(t, 403, a.Code)
		assert.Equal(t, "not-offered", a.text("code"))
	}
	assert.Equal(t, 401, w.setUser("", "", `{"fullname":"x"}`).Code)
}

// An address that is none is the newcomer's mistake, and no outage.
func TestSignUpWithBadAddress(t *testing.T) {
	w := newWorld(t)
	a := w.adduser("alice", "nobody")
	assert.Equal(t, 422, a.Code, "AU-72")
	assert.Equal(t, "bad-email", a.text("code"))
}

// A login that was let in with the old password while the commit of the new one was on its
// way is ended, too, although it began after the sessions were ended.
func TestSetPasswordEndsWhoSignsInMeanwhile(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh = st, -1 })
	s := w.alice(protocol.TwoFactorOff)
	other := ""
	st.Inject(storetest.Fault{On: storetest.Commits, Do: func() {
		w.clock.Add(time.Second)
		other = w.login("alice")
		require.Equal(t, 200, whoami(w, other))
	}})
	a := w.setUser(s, "", `{"password":{"old":"`+password+`","new":"`+newPassword+`"}}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	require.NotEmpty(t, other)
	assert.Equal(t, 401, whoami(w, other))
	assert.Equal(t, 200, whoami(w, s))
}

// AU-21: others who guess passwords, in the same network, do not keep out who has a credential.
func TestGuessersDoNotDelayACredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hasher, err := account.NewHasher(account.HasherConfig{Workers: 1, Queue: 4})
		require.NoError(t, err)
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Hasher = hasher })
		w.person("alice")
		s := w.login("alice")
		restore := kdf.Replace(func(password, salt []byte, times, memory uint32, threads uint8, size uint32) []byte {
			time.Sleep(time.Second)
			return quickKey(password, salt, times, memory, threads, size)
		})
		defer restore()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:nobody", body: couch("nobody", password)})
			})
			synctest.Wait()
		}
		const next = "a password of my own"
		change := w.setUser(s, "", `{"password":{"old":"`+password+`","new":"`+next+`"}}`)
		assert.Equal(t, 200, change.Code, change.Body.String())
		read := w.do(call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: `{"password":"` + next + `","readonly":true,"cidr_whitelist":[]}`})
		assert.Equal(t, 201, read.Code, read.Body.String())
		wg.Wait()
	})
}

// AU-20: a new password that guesses begin with is refused wherever it comes from.
func TestGuessablePasswords(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Passwords.Min = 14 })
	w.person("alice")
	s := w.login("alice")
	for next, why := range map[string]string{
		"Password12345678": "it is one of those that are tried first", "acme2026alice!": "it is one of those that are tried first", "kx7 vqp 2nn 9": "it has fewer than 14 characters",
	} {
		a := w.setUser(s, "", `{"password":{"old":"`+password+`","new":"`+next+`"}}`)
		assert.Equal(t, 400, a.Code, a.Body.String())
		assert.Contains(t, a.Body.String(), why)
		a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice-2", body: couch("alice-2", next), header: map[string]string{"Npm-Command": "adduser"}})
		assert.Equal(t, 422, a.Code, a.Body.String())
		assert.Contains(t, a.Body.String(), why)
	}
	_, err := npmauth.New(npmauth.Config{BaseURL: "https://npm.acme.test/", Store: w.store, Packages: w.host, Users: oneUser{}, Passwords: account.Passwords{Min: 12}})
	assert.ErrorContains(t, err, "Passwords is about the accounts that are kept where Users is nil")
	_, err = npmauth.New(npmauth.Config{BaseURL: "https://npm.acme.test/", Store: w.store, Packages: w.host, Passwords: account.Passwords{Min: 7}})
	assert.ErrorContains(t, err, "Passwords.Min is not between 8")
}
