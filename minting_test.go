package npmauth_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
)

// T-07: every way to a credential, and to what a credential rests on, asks an account that has a second factor for
// it, whoever knows the password or has a session.
func TestEveryWayAsks(t *testing.T) {
	for name, send := range map[string]func(w *world, bearer string) answer{
		"legacy login": func(w *world, _ string) answer {
			return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)})
		},
		"page of a login": func(w *world, _ string) answer {
			loginURL, doneURL, _ := w.start("")
			a := w.submit(loginURL, map[string]string{"name": "alice", "password": password})
			assert.Equal(w.t, 202, w.poll(doneURL, "GET").Code)
			return a
		},
		"page of a login by a session": func(w *world, bearer string) answer {
			loginURL, doneURL, _ := w.start(bearer)
			a := w.submit(loginURL, map[string]string{"name": "alice", "password": password})
			assert.Equal(w.t, 202, w.poll(doneURL, "GET").Code)
			return a
		},
		"sign-in to the pages": func(w *world, _ string) answer {
			return w.submit(base+"/-/auth/tokens", map[string]string{"name": "alice", "password": password})
		},
		"page of a login in a browser that is signed in": func(w *world, _ string) answer {
			b := w.alicesTab(protocol.AuthAndWrites)
			loginURL, doneURL, _ := w.start("")
			b.open(loginURL).submit("approve")
			assert.Equal(w.t, 202, w.poll(doneURL, "GET").Code)
			return b.answer
		},
		"token on the page": func(w *world, _ string) answer {
			b := w.alicesTab(protocol.AuthAndWrites)
			b.open("/-/auth/tokens").submit("create", "name", "ci", "permission", "read-only", "all", "yes", "days", "30", "password", password)
			return b.answer
		},
		"token in place of another": func(w *world, bearer string) answer {
			_, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly), Days: 5})
			a := w.do(call{method: "POST", path: "/-/auth/v1/tokens/" + tok.ID + "/rotate", bearer: bearer, body: `{"password":"` + password + `"}`})
			assert.Equal(w.t, 1, w.tokens("alice"))
			require.NoError(w.t, w.auth.Tokens().Revoke(w.t.Context(), audit.Actor{}, w.ids["alice"], tok.ID, ""))
			return a
		},
		"token": func(w *world, bearer string) answer {
			return w.create(bearer, "", map[string]any{"packages_all": true, "packages_and_scopes_permission": "read-write"})
		},
		"token that reads": func(w *world, bearer string) answer {
			return w.create(bearer, "", map[string]any{"packages_all": true})
		},
		"password": func(w *world, bearer string) answer {
			return w.do(withBearer(setUser(`{"password":{"old":"`+password+`","new":"`+newPassword+`"}}`), bearer))
		},
		"second factor turned off": func(w *world, bearer string) answer {
			return w.do(withBearer(setUser(tfa("disable")), bearer))
		},
		"another second factor": func(w *world, bearer string) answer {
			return w.do(withBearer(setUser(tfa("auth-and-writes")), bearer))
		},
		"security key": func(w *world, bearer string) answer {
			return w.do(newKey(bearer, "", []byte(w.factors(bearer).Registration), "blue", password))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			bearer := w.alice(protocol.AuthAndWrites)
			sessions, _, err := w.auth.Sessions().List(t.Context(), w.ids["alice"], "", 100)
			require.NoError(t, err)
			a := send(w, bearer)
			assert.Contains(t, []int{200, 400, 401, 403, 409}, a.Code, "%s", a.Body)
			if a.Code == 200 { // the page once more
				assert.Contains(t, a.Body.String(), "one-time password")
			}
			after, _, err := w.auth.Sessions().List(t.Context(), w.ids["alice"], "", 100)
			require.NoError(t, err)
			after = slices.DeleteFunc(after, func(s session.Session) bool { return s.Via == "browser" }) // which was asked
			assert.Len(t, after, len(sessions))
			assert.Zero(t, w.tokens("alice"))
			// What it rests on is as it was.
			_, _, err = w.auth.Sessions().SignIn(t.Context(), session.SignIn{Name: "alice", Password: credential.NewSecret(password), OTP: credential.NewSecret(w.codeAfter("alice")), Via: "test"})
			assert.NoError(t, err)
			assert.Empty(t, w.keyNames(bearer))
		})
	}
}

// keyNames returns the names of the account's security keys.
func (w *world) keyNames(bearer string) (names []string) {
	w.t.Helper()
	for _, f := range w.factors(bearer).Objects {
		if f.Type != "app" {
			names = append(names, f.Name)
		}
	}
	return names
}

// T-04: while wrong codes are being recorded, a write without one is challenged as ever.
func TestNoGapBetweenWrongCodes(t *testing.T) {
	w := newWorld(t)
	s := w.alice(protocol.AuthAndWrites)
	others := []string{s, w.login("alice"), w.login("alice"), w.login("alice")}
	var all sync.WaitGroup
	for i, bearer := range others {
		all.Go(func() {
			for range 5 {
				assert.GreaterOrEqual(t, w.publish("plain", fmt.Sprint("3.0.", i), bearer, "000000").Code, 400)
			}
		})
		all.Go(func() {
			for range 10 {
				a := w.publish("plain", fmt.Sprint("4.0.", i), bearer, "")
				assert.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, a.Code, "%s", a.Body)
			}
		})
	}
	all.Wait()
	assert.Empty(t, w.host.written())
}

// T-08: a recovery code of another user is none.
func TestRecoveryCodeOfAnother(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	w.enrol("alice", protocol.AuthAndWrites)
	codes := w.enrol("bob", protocol.AuthAndWrites)
	signIn := func(name, code string) error {
		_, _, err := w.auth.Sessions().SignIn(t.Context(), session.SignIn{Name: name, Password: credential.NewSecret(password), OTP: credential.NewSecret(code), Via: "test"})
		return err
	}
	require.Error(t, signIn("alice", codes[0]))
	require.NoError(t, signIn("bob", codes[0]), "and it is not lost over that")
	require.Error(t, signIn("bob", codes[0]), "but used up now")
}

// T-09: no other spelling of a name is a way around a locked second factor: a right code does not help while it is
// locked, and neither does enrolling anew.
func TestLockUnderEverySpelling(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	calls := 0
	signIn := func(name, code string) error { // each from another network, or the network waits
		calls++
		client := session.Client{Addr: netip.AddrFrom4([4]byte{192, 0, byte(calls), 1})}
		_, _, err := w.auth.Sessions().SignIn(t.Context(), session.SignIn{Name: name, Password: credential.NewSecret(password), OTP: credential.NewSecret(code), Client: client, Via: "test"})
		return err
	}
	bearer := w.login("alice")
	w.code("alice")
	var err error
	for i := range 200 {
		if err = signIn("alice", fmt.Sprintf("%06d", i)); w.locked("alice") {
			break
		}
	}
	require.Error(t, err)
	require.True(t, w.locked("alice"), "%v", err)
	for _, name := range []string{"alice", "Alice", "ALICE", " alice", "alice@acme.test"} {
		assert.Error(t, signIn(name, w.codeNow("alice")))
	}
	a := w.do(withBearer(setUser(tfa("auth-and-writes")), bearer))
	assert.GreaterOrEqual(t, a.Code, 400, "%s", a.Body)
	assert.True(t, w.locked("alice"))
}

// OT-12: the right password, also without a code, takes no wrong code back: as many lock the app as without it.
func TestRightPasswordsTakeNoWrongCodeBack(t *testing.T) {
	const limit = 100
	w := newWorld(t)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	calls := 0
	signIn := func(code string) error { // each from another network, or the network waits
		calls++
		client := session.Client{Addr: netip.AddrFrom4([4]byte{192, byte(calls / 256), byte(calls), 1})}
		in := session.SignIn{Name: "alice", Password: credential.NewSecret(password), Client: client, Via: "test"}
		if code != "" {
			in.OTP = credential.NewSecret(code)
		}
		_, _, err := w.auth.Sessions().SignIn(t.Context(), in)
		return err
	}
	for i := range limit {
		require.False(t, w.locked("alice"), i)
		require.ErrorIs(t, signIn(fmt.Sprintf("%06d", i)), session.ErrFactorRequired)
		require.ErrorIs(t, signIn(""), session.ErrFactorRequired)
		_, err := w.auth.Sessions().CheckPassword(t.Context(), session.SignIn{Name: "alice", Password: credential.NewSecret(password)})
		require.NoError(t, err)
	}
	assert.True(t, w.locked("alice"))
	assert.ErrorIs(t, signIn(w.code("alice")), session.ErrFactorRequired)
}

func (w *world) locked(name string) bool {
	w.t.Helper()
	s, err := w.auth.Factors().Status(w.t.Context(), nil, w.ids[name])
	require.NoError(w.t, err)
	return s.Locked
}

// T-13: where a package takes a second factor, an account that has none is told how to get one and is not asked for a
// code that it does not have; a token that bypasses it counts if the package says so.
func TestPackageWithoutAFactor(t *testing.T) {
	w := newWorld(t)
	s := w.alice(protocol.TwoFactorOff)
	bypass, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	for mode, bypasses := range map[protocol.PublishMode]int{protocol.FactorOnly: http.StatusForbidden, protocol.FactorOrBypass: http.StatusOK} {
		require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Publish: mode}))
		a := w.publish("plain", "3.0.0", s, "")
		assert.Equal(t, http.StatusForbidden, a.Code)
		assert.Empty(t, a.Header()["Www-Authenticate"])
		assert.Contains(t, a.text("error"), "npm profile enable-2fa")
		a = w.publish("plain", "3.0.0", s, "123456")
		assert.Equal(t, http.StatusForbidden, a.Code, "%s", a.Body)
		assert.Equal(t, bypasses, w.publish("plain", "4.0.0", bypass, "").Code, "%v", mode)
	}
	assert.False(t, w.events.has(audit.Challenge))
}
