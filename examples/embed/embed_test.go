package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

const password = "correct horse battery"

// A shelf is the app behind npmauth.
type shelf struct {
	*app
	auth    *npmauth.Auth
	handler http.Handler
	create  func(t *testing.T, user protocol.UserID) string // a token that may publish
}

func newShelf(t *testing.T) shelf {
	t.Helper()
	return newShelfOf(t, newApp())
}

func newShelfOf(t *testing.T, a *app) shelf {
	t.Helper()
	auth, err := adopt(a, "http://shelf.acme.test/", store.NewMemory(), nil)
	require.NoError(t, err)
	require.NoError(t, migrate(t.Context(), a, auth))
	return shelf{a, auth, auth.Wrap(a), func(t *testing.T, user protocol.UserID) string {
		t.Helper()
		secret, _, err := auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{
			User: user, Name: "test", Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
		})
		require.NoError(t, err)
		return secret.Reveal()
	}}
}

func (s shelf) do(method, path, bearer string, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s shelf) login(t *testing.T, name, pw string) *httptest.ResponseRecorder {
	t.Helper()
	body, err := json.Marshal(map[string]any{"_id": "org.couchdb.user:" + name, "name": name, "password": pw, "type": "user", "roles": []string{}, "date": "2026-01-01T00:00:00Z"})
	require.NoError(t, err)
	return s.do("PUT", "/-/user/org.couchdb.user:"+name, "", body)
}

// The shelf keeps the host's side of the contract.
func TestHost(t *testing.T) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	require.NoError(t, err)
	hosttest.Run(t, func(t *testing.T) hosttest.Registry {
		s := newShelf(t)
		people := users{s.app, hasher}
		return hosttest.Registry{
			Handler: s.app, Packages: packages{s.app}, Users: people,
			Creators: [2]protocol.UserID{personID(1), personID(2)}, ChangePassword: people.setPassword,
			// A shelf takes versions and shows them, and no more.
			Without: []protocol.Action{
				protocol.ReadTarball, protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.Unpublish, protocol.UnpublishAll,
				protocol.WriteOwners, protocol.Star, protocol.Search, protocol.ListPackages,
			},
			Remove: func(_ context.Context, pkg protocol.PackageName) error {
				s.app.mu.Lock()
				defer s.app.mu.Unlock()
				delete(s.app.packages, pkg.String())
				return nil
			},
		}
	})
}

func TestPublicRoutes(t *testing.T) {
	s := newShelf(t)
	for path, want := range map[string]string{"/healthz": "ok\n", "/": "Acme's packages. Get an account at /-/auth/signup.\n"} {
		for _, bearer := range []string{"", "whatever"} {
			w := s.do("GET", path, bearer, nil)
			assert.Equal(t, http.StatusOK, w.Code, path)
			assert.Equal(t, want, w.Body.String(), path)
		}
	}
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/-/healthz", "", nil).Code, "nothing else became public")
	assert.NotEqual(t, http.StatusOK, s.do("POST", "/other/route/of/ours", "", nil).Code)
}

// People log in with the passwords they have.
func TestLogin(t *testing.T) {
	s := newShelf(t)
	w := s.login(t, "ada", password)
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	var out struct{ Token string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	assert.JSONEq(t, `{"username":"ada"}`, s.do("GET", "/-/whoami", out.Token, nil).Body.String())

	assert.Contains(t, s.do("GET", "/-/auth/v1/factors", out.Token, nil).Body.String(), `"id":"shelf.acme.test"`, "accounts can have security keys")

	wrong, unknown := s.login(t, "ada", "something else"), s.login(t, "eve", password)
	assert.Equal(t, http.StatusUnauthorized, wrong.Code)
	assert.Equal(t, wrong.Code, unknown.Code)
	assert.Equal(t, wrong.Body.String(), unknown.Body.String(), "one answer")

	s.mu.Lock()
	s.people[1].left = true
	s.mu.Unlock()
	assert.Equal(t, http.StatusUnauthorized, s.login(t, "ada", password).Code, "who has left")
}

// What npm adduser, npm profile set and npm profile set password send reaches the app's own
// table.
func TestPeopleOfTheApp(t *testing.T) {
	s := newShelf(t)
	signUp := func(name, email, pw string) *httptest.ResponseRecorder {
		body, err := json.Marshal(map[string]any{"_id": "org.couchdb.user:" + name, "name": name, "password": pw, "email": email, "type": "user", "roles": []string{}, "date": "2026-01-01T00:00:00Z"})
		require.NoError(t, err)
		return s.do("PUT", "/-/user/org.couchdb.user:"+name, "", body, "Npm-Command", "adduser")
	}
	token := func(w *httptest.ResponseRecorder) string {
		var out struct{ Token string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		return out.Token
	}
	assert.Equal(t, http.StatusUnprocessableEntity, signUp("cleo", "cleo@acme.test", "short").Code)
	assert.Equal(t, http.StatusUnprocessableEntity, signUp("cleo", "nowhere", password).Code)
	assert.Equal(t, http.StatusUnauthorized, signUp("nobody", "nobody@acme.test", password).Code, "a name that is taken")
	w := signUp("cleo", "cleo@acme.test", password)
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	cleo, other := token(w), token(s.login(t, "cleo", password))
	assert.Equal(t, "cleo@acme.test", s.people[3].email)

	post := func(bearer, body string) *httptest.ResponseRecorder {
		return s.do("POST", "/-/npm/v1/user", bearer, []byte(body))
	}
	w = post(cleo, `{"email":"c@acme.test","fullname":"Cleo","homepage":null}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.Equal(t, "Cleo", s.people[3].fullName)
	assert.Contains(t, s.do("GET", "/-/npm/v1/user", cleo, nil).Body.String(), `"email":"c@acme.test","email_verified":false`)
	ada := token(s.login(t, "ada", password))
	assert.Contains(t, s.do("GET", "/-/npm/v1/user", ada, nil).Body.String(), `"email":"ada@acme.test","email_verified":true`)
	w = post(cleo, `{"github":"cleo"}`)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Contains(t, w.Body.String(), "only your name and your e-mail address")

	const next = "staple of another kind"
	change := func(old, new string) int {
		return post(cleo, `{"email":"c@acme.test","fullname":"Cleo","password":{"old":"`+old+`","new":"`+new+`"}}`).Code
	}
	assert.Equal(t, http.StatusUnauthorized, change("something else", next))
	assert.Equal(t, http.StatusBadRequest, change(password, "short"))
	require.Equal(t, http.StatusOK, change(password, next))
	assert.Equal(t, http.StatusOK, s.do("GET", "/-/whoami", cleo, nil).Code)
	assert.Equal(t, http.StatusUnauthorized, s.do("GET", "/-/whoami", other, nil).Code, "the other sessions have ended")
	assert.Equal(t, http.StatusUnauthorized, s.login(t, "cleo", password).Code)
	assert.Equal(t, http.StatusCreated, s.login(t, "cleo", next).Code)
}

// Older API tokens go on reading and never write.
func TestForeignTokens(t *testing.T) {
	s := newShelf(t)
	body := hosttest.PublishBody(protocol.PackageName{Name: "widget"}, "1.0.0")
	require.Equal(t, http.StatusOK, s.do("PUT", "/widget", s.create(t, personID(1)), body).Code)

	const old = "acme-0123456789" // ben's
	assert.Equal(t, http.StatusOK, s.do("GET", "/widget", old, nil).Code)
	refused := s.do("PUT", "/gadget", old, hosttest.PublishBody(protocol.PackageName{Name: "gadget"}, "1.0.0"))
	assert.Equal(t, http.StatusForbidden, refused.Code)
	assert.Contains(t, refused.Body.String(), `"code":"foreign-reads-only"`)
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/gadget", old, nil).Code)
	assert.Equal(t, http.StatusUnauthorized, s.do("GET", "/-/whoami", old+"x", nil).Code)
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/widget", old+"x", nil).Code)
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/widget", "", nil).Code, "the company's own")
}

func TestUsers(t *testing.T) {
	u := users{app: newApp()}
	for _, id := range []protocol.UserID{"", "u0", "u3", "u01", "u-1", "u1x", "1"} {
		_, err := u.User(t.Context(), id)
		assert.Error(t, err, "%q", id)
		assert.Empty(t, u.hashOf(id), "%q", id)
	}
	ada, err := u.Lookup(t.Context(), "ada")
	require.NoError(t, err)
	again, err := u.User(t.Context(), ada.ID)
	require.NoError(t, err)
	assert.Equal(t, ada, again)
	_, err = u.Lookup(t.Context(), "nobody")
	assert.Error(t, err, "the row that makes numbers begin at 1 is no person")
}

// AU-74: what the app had decided about its packages holds under npmauth, also where somebody
// decided anew before the migration was run once more; a package that is new has npm's default.
func TestPackagesKeepTheirSettings(t *testing.T) {
	s := newShelf(t)
	ben := s.create(t, personID(2)) // bypasses the second factor, which ben does not have
	publish := func(name, version, bearer string) *httptest.ResponseRecorder {
		pkg, err := protocol.ParsePackageName(name)
		require.NoError(t, err)
		return s.do("PUT", "/"+strings.ReplaceAll(name, "/", "%2f"), bearer, hosttest.PublishBody(pkg, version))
	}
	ada := s.session(t, "ada")
	assert.Equal(t, http.StatusOK, publish("@acme/logo", "1.1.0", ada).Code, "without a second factor, as before")
	assert.Contains(t, publish("@acme/ledger", "1.1.0", ben).Body.String(), "package-disallows-tokens")
	assert.Equal(t, http.StatusOK, publish("@acme/icons", "1.1.0", ben).Code)
	refused := publish("@acme/new", "1.0.0", ada)
	assert.Equal(t, http.StatusForbidden, refused.Code)
	assert.Contains(t, refused.Body.String(), "no-second-factor")

	ledger := packageID(s.packages["@acme/ledger"])
	require.NoError(t, s.auth.SetPackage(t.Context(), ledger, policy.Settings{Publish: protocol.FactorOrBypass}))
	require.NoError(t, migrate(t.Context(), s.app, s.auth))
	assert.Equal(t, http.StatusOK, publish("@acme/ledger", "1.1.0", ben).Code)
}

// AU-73: API tokens read until their date, which is said beside what they read, and are revoked
// afterwards. Those that were taken back before are from the start.
func TestAPITokensEnd(t *testing.T) {
	const old, ended = "acme-0123456789", "acme-9876543210"
	s := newShelf(t)
	w := s.do("GET", "/@acme%2flogo", old, nil)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Header().Get("npm-notice"), "accepted until "+s.tokensUntil.UTC().Format(time.DateOnly))
	w = s.do("GET", "/-/whoami", ended, nil)
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Contains(t, w.Body.String(), "revoked on 2024-05-17 for good. Run npm login")

	a := newApp()
	a.tokensUntil = time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	s = newShelfOf(t, a)
	w = s.do("GET", "/-/whoami", old, nil)
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Contains(t, w.Body.String(), "revoked on 2026-01-31 for good. Run npm login")
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/@acme%2flogo", old, nil).Code)
}

// session logs a person in.
func (s shelf) session(t *testing.T, name string) string {
	t.Helper()
	w := s.login(t, name, password)
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	var out struct{ Token string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	return out.Token
}
