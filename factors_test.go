package npmauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

// factorList is the answer of GET /-/auth/v1/factors.
type factorList struct {
	Objects []struct {
		ID, Type, Name string
	} `json:"objects"`
	RecoveryCodes int             `json:"recovery_codes"`
	KeysOnly      bool            `json:"keys_only"`
	Registration  json.RawMessage `json:"registration"`
}

func (w *world) factors(bearer string) (list factorList) {
	w.t.Helper()
	a := w.do(call{method: "GET", path: ownFactors, bearer: bearer})
	require.Equal(w.t, 200, a.Code, a.Body.String())
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &list))
	return list
}

// newKey is a request that adds the key that a browser makes with the options.
func newKey(bearer, otp string, options []byte, id, pw string) call {
	body := fmt.Sprintf(`{"type":"key","name":"my %s","password":%q,"response":%s}`, id, pw, keystest.Make(options, id))
	return call{method: "POST", path: ownFactors, body: body, bearer: bearer, otp: otp}
}

// An account without a factor gets one with its first key, for its password; its other sessions end.
func TestFirstKeyByAPI(t *testing.T) {
	w := newWorld(t)
	bearer := w.alice(protocol.TwoFactorOff)
	other := w.login("alice")
	list := w.factors(bearer)
	assert.Empty(t, list.Objects)
	assert.Equal(t, 401, w.do(newKey(bearer, "", list.Registration, "blue", "wrong")).Code)
	for _, body := range []string{
		`{}`, `{"type":"key"}`, `{"type":"sms"}`, `{"type":"key","name":"x"}`, `{"type":"app","name":"x"}`, `{"type":"key","name":"x","response":{},"more":1}`,
	} {
		assert.Equal(t, 400, w.do(call{method: "POST", path: ownFactors, body: body, bearer: bearer}).Code, body)
	}
	a := w.do(newKey(bearer, "", list.Registration, "blue", password))
	require.Equal(t, 201, a.Code, a.Body.String())
	var made struct {
		ID       string
		Recovery []string
	}
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &made))
	assert.Equal(t, "blue", made.ID)
	assert.Len(t, made.Recovery, 5)
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).Code)
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: other}).Code)
	list = w.factors(bearer)
	require.Len(t, list.Objects, 1)
	assert.Equal(t, []string{"blue", protocol.FactorKey, "my blue"}, []string{list.Objects[0].ID, list.Objects[0].Type, list.Objects[0].Name})
	assert.Equal(t, 5, list.RecoveryCodes)
	sub, err := w.auth.Subjects().Get(t.Context(), w.ids["alice"])
	require.NoError(t, err)
	assert.Equal(t, protocol.AuthAndWrites, sub.TwoFactor)

	// The older login asks for what there is, and says where a key is of use.
	a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice")})
	assert.Equal(t, 401, a.Code)
	assert.Contains(t, a.Header().Get("npm-notice"), "--auth-type=web")

	// One is the last, and stays.
	a = w.do(call{method: "DELETE", path: ownFactors + "/blue", bearer: bearer, otp: w.signed(bearer, call{method: "DELETE", path: ownFactors + "/blue"}, "blue")})
	assert.Equal(t, 409, a.Code, a.Body.String())
	assert.Equal(t, "last-factor", a.text("code"))
	assert.Equal(t, 404, w.do(call{method: "DELETE", path: ownFactors + "/none", bearer: bearer}).Code)
}

// What a browser has made of options that are not good is refused as that, and not as the second factor that
// comes with it, which is not used up; a login that has no page takes no key.
func TestBadKey(t *testing.T) {
	w := newWorld(t)
	bearer := w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	bad := newKey(bearer, w.code("alice"), w.factors(bearer).Registration, "blue", password)
	a := w.do(bad)
	assert.Equal(t, 422, a.Code, a.Body.String())
	assert.Equal(t, "bad-key", a.text("code"))
	require.Equal(t, 201, w.do(newKey(bearer, bad.otp, w.factors(bearer).Registration, "green", password)).Code, "the code is as good as before")
	bad.otp = ""
	bad.otp = w.signed(bearer, bad, "blue")
	a = w.do(bad)
	assert.Equal(t, "bad-key", a.text("code"), a.Body.String())

	a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice"), otp: signs([]byte(`{"kind":"assert"}`), "blue")})
	assert.Equal(t, 401, a.Code, a.Body.String())
	for _, e := range w.events.all {
		assert.NotEqual(t, audit.Failed, e.Outcome, "%+v", e)
	}
}

// signed sends the request without a second factor, as a page does that has a key sign, and returns what the key signs.
func (w *world) signed(bearer string, c call, id string) string {
	w.t.Helper()
	c.bearer, c.header = bearer, map[string]string{"npm-auth-type": "security-key"}
	a := w.do(c)
	isChallenge(w.t, a)
	var why struct {
		Key     json.RawMessage `json:"webauthn"`
		AuthURL string          `json:"authUrl"`
	}
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &why))
	require.NotEmpty(w.t, why.Key)
	assert.Empty(w.t, why.AuthURL, "no page is opened")
	return signs(why.Key, id)
}

// A key signs for one request of one credential: what is signed for it does that, and nothing else.
func TestKeySignsForARequest(t *testing.T) {
	w := newWorld(t)
	bearer := w.alice(protocol.AuthAndWrites)
	w.host.addWith("plain", w.ids["alice"], "1.0.0")
	w.key("alice", "blue")
	tag := func(tag string) call {
		return call{method: "PUT", path: "/-/package/plain/dist-tags/" + tag, body: `"1.0.0"`}
	}
	value := w.signed(bearer, tag("next"), "blue")
	for what, c := range map[string]call{
		"another tag": {method: "PUT", path: "/-/package/plain/dist-tags/old", body: `"1.0.0"`, bearer: bearer, otp: value},
		"a token":     {method: "POST", path: ownTokens, body: tokenBody, bearer: bearer, otp: value},
		"another session": {
			method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`, bearer: w.login("alice"), otp: value,
		},
	} {
		isChallenge(t, w.do(c))
		require.Empty(t, w.host.written(), what)
	}
	// npm 8.19 with --auth-type=webauthn opens a page.
	c := tag("next")
	c.bearer, c.header = bearer, map[string]string{"npm-auth-type": "webauthn"}
	a := w.do(c)
	isChallenge(t, a)
	assert.NotEmpty(t, a.text("authUrl"))

	c = tag("next")
	c.bearer, c.otp = bearer, value
	require.Equal(t, 200, w.do(c).Code)
	require.Len(t, w.host.written(), 1)
	isChallenge(t, w.do(c))

	// Who has no key, and who does not ask, gets no options.
	w.person("mallory")
	w.host.addWith("second", w.ids["mallory"], "1.0.0")
	w.enrol("mallory", protocol.AuthAndWrites)
	again := w.login("mallory")
	for _, c := range []call{
		{method: "PUT", path: "/-/package/second/dist-tags/next", body: `"1.0.0"`, bearer: again, header: map[string]string{"npm-auth-type": "security-key"}},
		{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`, bearer: bearer},
		{method: "PUT", path: "/-/package/plain/dist-tags/next", body: `"1.0.0"`, bearer: bearer, header: map[string]string{"npm-auth-type": "legacy"}},
	} {
		a := w.do(c)
		isChallenge(t, a)
		assert.NotContains(t, a.Body.String(), "webauthn")
	}
}

// An app is added besides keys, and one of them removed, each for a factor that there is.
func TestSeveralFactors(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.TwoFactorOff)
	w.key("alice", "blue")
	bearer := w.passkeySession("blue")
	add := call{method: "POST", path: ownFactors, body: `{"type":"app","password":"` + password + `"}`}
	isChallenge(t, w.do(call{method: add.method, path: add.path, body: add.body, bearer: bearer}))
	add.bearer, add.otp = bearer, w.signed(bearer, add, "blue")
	a := w.do(add)
	require.Equal(t, 201, a.Code, a.Body.String())
	uri, err := url.Parse(a.text("uri"))
	require.NoError(t, err)
	w.secrets["alice"] = uri.Query().Get("secret")
	confirm := setUser(`{"tfa":["` + w.codeNow("alice") + `"]}`)
	isChallenge(t, w.do(call{method: confirm.method, path: confirm.path, body: confirm.body, bearer: bearer}))
	confirm.bearer, confirm.otp = bearer, w.signed(bearer, confirm, "blue")
	require.Equal(t, 200, w.do(confirm).Code)
	list := w.factors(bearer)
	require.Len(t, list.Objects, 2)
	assert.Equal(t, protocol.FactorApp, list.Objects[0].ID)
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: bearer}).Code, "sessions with a factor go on")

	isChallenge(t, w.do(call{method: "DELETE", path: ownFactors + "/blue", bearer: bearer}))
	other := w.signed(bearer, call{method: "DELETE", path: ownFactors + "/blue"}, "blue")
	isChallenge(t, w.do(call{method: "DELETE", path: ownFactors + "/app", bearer: bearer, otp: other}))
	require.Len(t, w.factors(bearer).Objects, 2, "what is signed for the removal of one removes no other")
	require.Equal(t, 204, w.do(call{method: "DELETE", path: ownFactors + "/blue", bearer: bearer, otp: w.code("alice")}).Code)
	assert.True(t, w.events.did(audit.FactorRemoved))
	assert.Len(t, w.factors(bearer).Objects, 1)
}

// passkeySession signs alice in with her passkey.
func (w *world) passkeySession(id string) string {
	w.t.Helper()
	options, err := w.auth.Factors().PasskeyOptions(w.t.Context(), "test")
	require.NoError(w.t, err)
	secret, _, err := w.auth.Sessions().SignIn(w.t.Context(), session.SignIn{Passkey: credential.NewSecret(signs(options, id)), Page: "test", Via: "test"})
	require.NoError(w.t, err)
	return secret.Reveal()
}

// A passkey of somebody whom the host does not know any more signs nobody in.
func TestPasskeyOfNobody(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.TwoFactorOff)
	w.key("alice", "blue")
	signIn := func() error {
		options, err := w.auth.Factors().PasskeyOptions(t.Context(), "test")
		require.NoError(t, err)
		_, _, err = w.auth.Sessions().SignIn(t.Context(), session.SignIn{Passkey: credential.NewSecret(signs(options, "blue")), Page: "test", Via: "test"})
		return err
	}
	require.NoError(t, signIn())
	require.NoError(t, w.auth.Subjects().Disable(t.Context(), audit.Actor{}, w.ids["alice"]))
	require.ErrorIs(t, signIn(), session.ErrDenied)
	require.NoError(t, w.auth.Subjects().Enable(t.Context(), audit.Actor{}, w.ids["alice"]))
	require.NoError(t, w.auth.ResetTwoFactor(t.Context(), w.ids["alice"]))
	require.ErrorIs(t, signIn(), subject.ErrFactorRequired, "the reset removes keys, too")
	assert.Empty(t, w.factors(w.login("alice")).Objects)
}

// Where BaseURL has no domain name there are no keys, and with NoApps there must be some.
func TestKeysOfAnAddress(t *testing.T) {
	type none struct{ twofactor.Keys }
	noDomain := func(twofactor.KeysConfig) (twofactor.Keys, error) { return (*none)(nil), twofactor.ErrNoDomain } // as webauthn.Keys does
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Keys = noDomain })
	bearer := w.alice(protocol.TwoFactorOff)
	assert.Empty(t, w.factors(bearer).Registration)
	a := w.do(newKey(bearer, "", []byte(`{"kind":"register"}`), "blue", password))
	assert.Equal(t, http.StatusForbidden, a.Code)
	assert.Contains(t, a.text("error"), "no security keys")

	w = newWorld(t, func(cfg *npmauth.Config) { cfg.NoApps = true })
	bearer = w.alice(protocol.TwoFactorOff)
	a = w.do(withBearer(setUser(tfa("auth-and-writes")), bearer))
	assert.Equal(t, http.StatusForbidden, a.Code)
	assert.Contains(t, a.text("error"), "no more authenticator apps")

	for name, change := range map[string]func(*npmauth.Config){
		"NoApps needs security keys": func(cfg *npmauth.Config) { cfg.NoApps, cfg.Keys = true, noDomain },
		"Config.Keys: broken": func(cfg *npmauth.Config) {
			cfg.Keys = func(twofactor.KeysConfig) (twofactor.Keys, error) { return nil, fmt.Errorf("broken") }
		},
	} {
		cfg := npmauth.Config{BaseURL: base, Store: w.store, Packages: w.host}
		change(&cfg)
		_, err := npmauth.New(cfg)
		assert.ErrorContains(t, err, name)
	}
}

func withBearer(c call, bearer string) call {
	c.bearer = bearer
	return c
}

// Where only keys count, that is so at once, and one takes it back.
func TestKeysOnlyAccount(t *testing.T) {
	w := newWorld(t)
	bearer := w.alice(protocol.AuthAndWrites)
	set := func(only bool, otp string) answer {
		return w.do(call{method: "PUT", path: ownFactors, body: fmt.Sprintf(`{"keys_only":%v}`, only), bearer: bearer, otp: otp})
	}
	on := call{method: "PUT", path: ownFactors, body: `{"keys_only":true}`}
	off := call{method: "PUT", path: ownFactors, body: `{"keys_only":false}`}
	assert.Equal(t, 400, w.do(call{method: "PUT", path: ownFactors, body: `{}`, bearer: bearer}).Code)
	assert.Equal(t, 404, set(true, w.code("alice")).Code, "there is no key")
	w.key("alice", "blue")
	assert.Equal(t, 403, set(true, w.code("alice")).Code, "a code does not show that the key works")
	require.Equal(t, 204, set(true, w.signed(bearer, on, "blue")).Code)
	assert.True(t, w.factors(bearer).KeysOnly)

	publish := publishOf("plain", "3.0.0")
	publish.bearer, publish.otp = bearer, w.code("alice")
	a := w.do(publish)
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "Only a security key counts here.")
	assert.Empty(t, w.host.written())
	publish.otp = ""
	isChallenge(t, w.do(publish))
	assert.Equal(t, 403, set(false, w.code("alice")).Code)
	_, _, err := w.auth.Sessions().SignIn(t.Context(), session.SignIn{Name: "alice", Password: credential.NewSecret(password), OTP: credential.NewSecret(w.code("alice")), Via: "test"})
	require.ErrorIs(t, err, subject.ErrFactorRequired)

	// The older login offers no code that does not count.
	a = w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice")})
	assert.Equal(t, 401, a.Code)
	assert.NotContains(t, a.Header().Get("npm-notice"), "authenticator")
	assert.Contains(t, a.Header().Get("npm-notice"), "--auth-type=web")

	assert.Equal(t, 409, w.do(call{
		method: "DELETE", path: ownFactors + "/blue", bearer: bearer, otp: w.signed(bearer, call{method: "DELETE", path: ownFactors + "/blue"}, "blue"),
	}).Code, "the last that counts")
	require.Equal(t, 204, set(false, w.signed(bearer, off, "blue")).Code)
	publish.otp = w.code("alice")
	assert.Equal(t, 200, w.do(publish).Code)
}

// Where nobody enrols an app any more, nothing says to run the command that does.
func TestNoAppsIsSaid(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.NoApps, cfg.OpenSignUp = true, true
		cfg.Policy = policy.NPM().WithFactorFrom(time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC))
	})
	bearer := w.alice(protocol.TwoFactorOff)
	hers, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	add := "Add a security key at " + base + "/-/auth/security in a browser"
	said := func(a answer, code int, text string) {
		t.Helper()
		assert.Equal(t, code, a.Code, a.Body)
		assert.Contains(t, a.Header().Get("Npm-Notice")+a.Body.String(), text)
		assert.NotContains(t, a.Header().Get("Npm-Notice")+a.Body.String(), "enable-2fa")
	}
	said(w.publish("plain", "3.0.0", bearer, ""), 403, add+" and try again.")
	said(w.publish("plain", "3.0.1", hers, ""), 200, add+".")
	said(w.do(call{method: "GET", path: "/-/auth/"}), 200, base+"/-/auth/security")
	signUp := w.submit(signUpPage, map[string]string{"name": "bob", "email": "b@acme.test", "password": password})
	require.Equal(t, 303, signUp.Code)
	cookie, _, _ := strings.Cut(signUp.Header().Get("Set-Cookie"), ";")
	said(w.do(call{method: "GET", path: "/-/auth/signup", header: map[string]string{"Cookie": cookie}}), 200, base+"/-/auth/security")
	w.clock.Add(48 * time.Hour)
	bearer = w.login("alice")
	said(w.publish("plain", "3.0.2", hers, ""), 403, add+" and try again.")
	require.NoError(t, w.auth.SetPolicy(policy.NPM()))
	said(w.publish("plain", "3.0.2", bearer, ""), 403, add+" and try again.")
	require.NoError(t, w.auth.SetPolicy(w.auth.Policy()))
	said(w.publish("plain", "3.0.2", bearer, ""), 403, add+" and try again.")
	w.host.demand("plain")
	said(w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: bearer, body: `"1.0.0"`}), 403, add+" and try again.")
}
