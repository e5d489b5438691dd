package npmauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
)

// AU-20: guesses at a password end, by whichever way they come, and are answered so that npm goes
// on with nothing else: any 4xx makes it ask for a password. A name that nobody has is answered in
// the same way.
func TestGuessesAtALogin(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	attacker := 0
	put := func(name, pw string, header map[string]string) answer {
		attacker++
		return w.do(call{
			method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, pw), header: header,
			addr: fmt.Sprintf("10.%d.%d.1:1", attacker/256, attacker%256),
		})
	}
	for _, name := range []string{"alice", "nobody-has-this-one"} {
		for range 20 {
			require.Equal(t, 401, put(name, "wrong password of mine", nil).Code)
		}
	}
	closed := put("alice", "wrong password of mine", nil)
	require.Equal(t, 503, closed.Code)
	assert.Equal(t, "30", closed.Header().Get("Retry-After"))
	assert.Equal(t, "too-many-passwords", closed.text("code"))
	assert.Contains(t, closed.text("error"), "Try again in 30 seconds")
	assert.Equal(t, closed.Body.String(), put("alice", password, nil).Body.String(), "nor is a right one checked")
	nobody := put("nobody-has-this-one", "wrong password of mine", nil)
	if nobody.Code == 401 { // answered as an account without a second factor: one for each network
		attacker--
		nobody = put("nobody-has-this-one", "wrong password of mine", nil)
	}
	assert.Equal(t, closed.Body.String(), nobody.Body.String())

	// On a page, in the same sentence, above the form.
	loginURL, _, _ := w.start("")
	page := w.submit(loginURL, map[string]string{"name": "alice", "password": password})
	assert.Equal(t, 503, page.Code)
	assert.Equal(t, "30", page.Header().Get("Retry-After"))
	assert.Contains(t, page.Body.String(), "Try again in 30 seconds")
	assert.Contains(t, page.Body.String(), `name="password"`)

	// A code opens it.
	w.clock.Add(30 * time.Second)
	require.Equal(t, 401, put("alice", "wrong password of mine", nil).Code)
	w.clock.Add(30 * time.Second) // a minute is to be waited
	require.Equal(t, 503, put("alice", password, nil).Code)
	assert.Equal(t, 201, put("alice", password, map[string]string{"Npm-Otp": w.codeNow("alice")}).Code)
}

// A browser that has logged in is known to the account wherever it is, and guesses there are its own.
func TestBrowserIsKnown(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	const home, abroad = "192.0.2.7:1", "198.51.100.7:1"
	logIn := func(addr, pw, known string) answer {
		loginURL, _, _ := w.start("")
		form, cookie, _ := w.open(loginURL)
		c := w.filled(loginURL, form, cookie, map[string]string{"name": "alice", "password": pw})
		c.addr = addr
		if known != "" {
			c.header["Cookie"] += "; " + known
		}
		return w.do(c)
	}
	first := logIn(home, password, "")
	require.Equal(t, 303, first.Code, first.Body.String())
	var cookie *http.Cookie
	for _, c := range first.Result().Cookies() {
		if c.Name == "__Host-npmauth-browser" {
			cookie = c
		}
	}
	require.NotNil(t, cookie)
	assert.Equal(t, 90*24*60*60, cookie.MaxAge)
	assert.True(t, cookie.HttpOnly && cookie.Secure && cookie.SameSite == http.SameSiteStrictMode)
	known := cookie.Name + "=" + cookie.Value

	for i := range 200 { // whoever guesses
		addr := fmt.Sprintf("10.0.%d.1:1", i)
		logIn(addr, "wrong password of mine", "")
	}
	require.Equal(t, 403, logIn(abroad, "wrong password of mine", "").Code, "the one of this network")
	require.Equal(t, 503, logIn(abroad, password, "").Code)
	for _, wrong := range []string{cookie.Name + "=" + strings.Repeat("A", len(cookie.Value)), known + "x", known + "; " + known} {
		assert.Equal(t, 503, logIn(abroad, password, wrong).Code, wrong)
	}
	again := logIn(abroad, password, known)
	assert.Equal(t, 303, again.Code)
	assert.Contains(t, strings.Join(again.Header()["Set-Cookie"], "\n"), known, "it keeps its name")
	assert.Equal(t, 303, logIn(home, password, "").Code, "and so does the network at home")
}

// AU-20: a session that guesses the password of its own account ends after five, whichever command
// it uses for that; and who knows the password meanwhile is not disturbed.
func TestSessionThatGuessesEnds(t *testing.T) {
	for name, guess := range map[string]func(w *world, s string) answer{
		"set the password": func(w *world, s string) answer {
			return w.setUser(s, "", `{"password":{"old":"wrong password of mine","new":"a quite unguessed one"}}`)
		},
		"create a token": func(w *world, s string) answer {
			return w.create(s, "", map[string]any{"password": "wrong password of mine", "packages_all": true})
		},
	} {
		for kind, users := range map[string]bool{"own": false, "host": true} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				w := newWorld(t, func(cfg *npmauth.Config) {
					if users {
						cfg.Users = newMembers("alice")
					}
				})
				if w.ids["alice"] = "m-1"; !users {
					w.person("alice")
				}
				s, other := w.login("alice"), w.login("alice")
				for range 4 {
					a := guess(w, s)
					require.Equal(t, 401, a.Code, a.Body.String())
					require.Equal(t, "wrong-password", a.text("code"))
				}
				require.Equal(t, 200, whoami(w, s))
				a := guess(w, s)
				assert.Equal(t, 401, a.Code)
				assert.Equal(t, "too-many-passwords", a.text("code"))
				assert.Equal(t, 401, whoami(w, s))
				assert.Equal(t, 200, whoami(w, other))
				w.login("alice")
			})
		}
	}
}

// AU-22: a network creates a few accounts at once, and asks of a few names whether they are taken.
func TestSignUpsAreLimited(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.OpenSignUp = true })
	w.person("alice")
	signUp := func(name, addr string) answer {
		form, cookie, _ := w.open(signUpPage)
		c := w.filled(signUpPage, form, cookie, map[string]string{
			"decision": "approve", "name": name, "email": name + "@acme.test", "password": "a quite unguessed one",
		})
		c.addr = addr
		return w.do(c)
	}
	codes := map[int]int{}
	for i := range 30 {
		name := "alice"
		if i%2 == 0 {
			name = fmt.Sprint("person", i)
		}
		a := signUp(name, "10.0.0.1:1")
		if a.Code == 503 {
			assert.NotEmpty(t, a.Header().Get("Retry-After"))
			assert.Contains(t, a.Body.String(), "too many attempts from your network")
		}
		codes[a.Code]++
	}
	assert.Equal(t, map[int]int{303: 10, 422: 10, 503: 10}, codes)
	assert.Equal(t, 303, signUp("bob", "10.0.1.1:1").Code)
	adduser := func(addr string) answer {
		return w.do(call{
			method: "PUT", path: "/-/user/org.couchdb.user:carol", body: couch("carol", "a quite unguessed one"), addr: addr,
			header: map[string]string{"Npm-Command": "adduser"},
		})
	}
	assert.Equal(t, 503, adduser("10.0.0.2:1").Code)
	w.clock.Add(30 * time.Second)
	assert.Equal(t, 201, adduser("10.0.0.2:1").Code)
}

// Whoever signs in with a password that nobody could choose any more is told so, where npm prints it.
func TestGuessablePasswordIsWarnedOf(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Passwords.Blocked = func(context.Context, credential.Secret) (bool, error) {
			return false, errors.New("the service is away") // which keeps nobody from signing in
		}
	})
	const weak = "password123456"
	for name, pw := range map[string]string{"weak": weak, "good": "a quite unguessed one"} {
		_, err := w.auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret(pw), AnyPassword: true})
		require.NoError(t, err)
		says := func(h http.Header) {
			t.Helper()
			notice := strings.Join(h["Npm-Notice"], "\n")
			if name == "weak" {
				assert.Contains(t, notice, "Your password is not safe: it is one of those that are tried first. Choose another one with npm profile set password.")
			} else {
				assert.NotContains(t, notice, "not safe")
			}
		}
		a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, pw)})
		require.Equal(t, 201, a.Code)
		says(a.Header())
		a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:" + name, body: couch(name, pw+"x")})
		require.Equal(t, 401, a.Code)
		assert.NotContains(t, strings.Join(a.Header()["Npm-Notice"], "\n"), "not safe", "a wrong one is nobody's")

		loginURL, doneURL, _ := w.start("")
		w.submit(loginURL, map[string]string{"name": name, "password": pw})
		for range 2 { // npm repeats a poll
			poll := w.poll(doneURL, "GET")
			require.Equal(t, 200, poll.Code)
			says(poll.Header())
		}
	}
}
