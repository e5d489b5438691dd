package npmauth_test

import (
	"context"
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
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/token"
)

// service makes a service account and its administrators.
func (w *world) service(name string, admins ...protocol.UserID) protocol.UserID {
	w.t.Helper()
	u, err := w.auth.People().Create(w.t.Context(), audit.Actor{}, account.NewUser{Name: name, Service: true, Administrators: admins})
	require.NoError(w.t, err)
	w.ids[name] = u.ID
	return u.ID
}

const ciTokens = "/-/auth/v1/services/ci/tokens"

// spec is the body of a request for a token, with more fields.
func specBody(more string) string {
	return `{"name":"build","password":"` + password + `","packages_all":true` + more + `}`
}

func TestServiceTokens(t *testing.T) {
	w := newWorld(t)
	alice, _ := w.person("alice"), w.person("mallory")
	ci := w.service("ci", alice)
	w.enrol("alice", protocol.AuthOnly)
	w.enrol("mallory", protocol.AuthOnly)
	w.host.add("plain", false, ci)
	s := w.login("alice")
	const write = `,"packages_and_scopes_permission":"read-write","bypass_2fa":true`

	create := func(bearer, otp, more string) answer {
		return w.do(call{method: "POST", path: ciTokens, bearer: bearer, otp: otp, body: specBody(more)})
	}
	isChallenge(t, create(s, "", write))
	assert.Equal(t, 401, w.do(call{method: "POST", path: ciTokens, bearer: s, otp: w.code("alice"), body: strings.Replace(specBody(""), password, "wrong", 1)}).Code)
	a := create(s, w.code("alice"), write)
	require.Equal(t, 201, a.Code, a.Body.String())
	secret, key := a.text("token"), a.text("key")
	who := w.do(call{method: "GET", path: "/-/whoami", bearer: secret})
	assert.Equal(t, "ci", who.text("username"))
	assert.Equal(t, 200, w.publish("plain", "1.0.0", secret, "").Code)
	assert.Equal(t, "session-only", w.do(call{method: "GET", path: ciTokens, bearer: secret}).text("code"), "a token handles no tokens")

	reads := create(s, w.code("alice"), `,"packages_and_scopes_permission":"read-write"`)
	require.Equal(t, 201, reads.Code)
	refused := w.publish("plain", "1.0.1", reads.text("token"), "")
	assert.Equal(t, "service-needs-bypass", refused.text("code"))

	list := w.do(call{method: "GET", path: ciTokens + "?perPage=1", bearer: s})
	require.Equal(t, 200, list.Code)
	assert.EqualValues(t, 2, list.json["total"])
	urls, _ := list.json["urls"].(map[string]any)
	following, _ := urls["next"].(string)
	assert.Contains(t, following, base+ciTokens+"?")
	assert.Contains(t, following, "page=1&perPage=1")
	own := w.do(call{method: "GET", path: "/-/npm/v1/tokens", bearer: s})
	assert.EqualValues(t, 0, own.json["total"], "they are not the administrator's own")
	tok, err := w.auth.Tokens().Get(t.Context(), ci, key)
	require.NoError(t, err)
	var made audit.Event
	for _, e := range w.events.all {
		if e.Type == audit.TokenCreated && e.Credential == key {
			made = e
		}
	}
	assert.Equal(t, ci, made.User)
	assert.Equal(t, []any{alice, tok.CreatedBy}, []any{made.By, made.ByCredential})

	// Who does not administer it learns nothing of it.
	m := w.login("mallory")
	for _, c := range []call{
		{method: "GET", path: ciTokens}, {method: "POST", path: ciTokens, body: specBody(write)},
		{method: "DELETE", path: ciTokens + "/" + key}, {method: "POST", path: ciTokens + "/" + key + "/rotate", body: `{"password":"` + password + `"}`}, {method: "DELETE", path: ciTokens + "/nothing"},
	} {
		c.bearer, c.otp = m, w.code("mallory")
		there := w.do(c)
		c.path = strings.Replace(c.path, "/ci/", "/nobody/", 1)
		nowhere := w.do(c)
		c.path = strings.Replace(c.path, "/nobody/", "/alice/", 1)
		person := w.do(c)
		assert.Equal(t, 404, there.Code, c.method)
		assert.Equal(t, there.Body.String(), nowhere.Body.String(), c.method)
		assert.Equal(t, there.Body.String(), person.Body.String(), c.method)
	}
	assert.Equal(t, 200, whoami(w, secret))

	// A new secret is made as the first was, and no longer lived.
	rotate := func(otp, more string) answer {
		return w.do(call{method: "POST", path: ciTokens + "/" + key + "/rotate", bearer: s, otp: otp, body: `{"password":"` + password + `"` + more + `}`})
	}
	isChallenge(t, rotate("", ""))
	assert.Equal(t, 400, rotate(w.code("alice"), `,"expires":91`).Code)
	next := rotate(w.code("alice"), `,"grace":1`)
	require.Equal(t, 201, next.Code, next.Body.String())
	assert.Equal(t, 200, w.publish("plain", "1.0.2", next.text("token"), "").Code)
	assert.Equal(t, 200, whoami(w, secret), "for an hour yet")
	assert.Equal(t, 404, w.do(call{method: "POST", path: ciTokens + "/nothing/rotate", bearer: s, otp: w.code("alice"), body: `{"password":"` + password + `"}`}).Code)

	// Revoking takes the factor, and only that token.
	isChallenge(t, w.do(call{method: "DELETE", path: ciTokens + "/" + key, bearer: s}))
	assert.Equal(t, 404, w.do(call{method: "DELETE", path: ciTokens + "/nothing", bearer: s, otp: w.code("alice")}).Code)
	_, spare := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	assert.Equal(t, 404, w.do(call{method: "DELETE", path: ciTokens + "/" + spare.ID, bearer: s, otp: w.code("alice")}).Code, "one's own is none of the account's")
	assert.Equal(t, 204, w.do(call{method: "DELETE", path: ciTokens + "/" + key, bearer: s, otp: w.code("alice")}).Code)
	assert.Equal(t, 401, whoami(w, secret))

	// Who loses the role makes no more, and what they made goes on.
	_, err = w.auth.People().SetAdministrators(t.Context(), audit.Actor{}, ci, nil)
	require.NoError(t, err)
	assert.Equal(t, 404, create(s, w.code("alice"), write).Code)
	assert.Equal(t, 200, whoami(w, reads.text("token")))
}

func TestServiceTokensHaveLimits(t *testing.T) {
	w := newWorld(t)
	alice, _ := w.person("alice"), w.person("bob")
	ci := w.service("ci", alice, w.ids["bob"])
	codes := w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	for more, want := range map[string]int{
		`,"expires":90`: 201, `,"expires":91`: 400, ``: 201, `,"expires":"2026-12-31"`: 400, `,"verbs":7`: 400, `,"unknown":1`: 400,
	} {
		a := w.do(call{method: "POST", path: ciTokens, bearer: s, otp: w.code("alice"), body: specBody(more)})
		assert.Equal(t, want, a.Code, "%s: %s", more, a.Body.String())
	}
	a := w.do(call{method: "POST", path: ciTokens, bearer: w.login("bob"), body: specBody("")})
	assert.Equal(t, "no-second-factor", a.text("code"), "not even one that reads")
	assert.Equal(t, "recovery-code", w.do(call{method: "POST", path: ciTokens, bearer: s, otp: codes[0], body: specBody("")}).text("code"))
	for _, path := range []string{"/-/auth/v1/services/ci%3Ax/tokens", "/-/auth/v1/services/ci%3A/tokens"} {
		assert.Equal(t, 404, w.do(call{method: "POST", path: path, bearer: s, otp: w.code("alice"), body: specBody("")}).Code, path)
		assert.Equal(t, 404, w.do(call{method: "GET", path: path, bearer: s}).Code, path)
	}
	_, _, total, err := w.auth.Tokens().List(t.Context(), ci, token.ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, 2, total)
}

// hosted services are a host's own.
type hostServices struct {
	*people
	name  string
	user  host.User
	admin protocol.UserID
	err   error
}

func (s *hostServices) Administers(_ context.Context, admin protocol.UserID, name string) (host.User, bool, error) {
	if s.err != nil {
		return host.User{}, true, s.err
	}
	if name != s.name {
		return host.User{}, true, host.ErrNoUser
	}
	return s.user, admin == s.admin, nil
}

func TestServicesOfAHost(t *testing.T) {
	h := &hostServices{people: &people{user: host.User{ID: "1", Name: "alice"}}, name: "ci", admin: "1", user: host.User{ID: "2", Name: "ci", Service: true}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Services = h.people, h })
	w.ids["alice"] = "1"
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	list := func() int { return w.do(call{method: "GET", path: ciTokens, bearer: s}).Code }
	require.Equal(t, 200, list())
	h.err = context.DeadlineExceeded
	assert.Equal(t, 503, list())
	h.err = host.ErrNoUser
	assert.Equal(t, 404, list(), "whatever else it says")
	h.err = nil
	h.user.Service = false
	assert.Equal(t, 404, list(), "a person is administered by nobody")
	h.user.Service, h.user.ID = true, ""
	assert.Equal(t, 404, list())
	h.user.ID, h.admin = "2", "3"
	assert.Equal(t, 404, list())

	w = newWorld(t, func(cfg *npmauth.Config) { cfg.Users = h.people })
	assert.Equal(t, 404, w.do(call{method: "GET", path: ciTokens, bearer: w.login("alice")}).Code, "a host without any")
}

// A service account signs in nowhere, even where the host takes its password for right,
// and hears what a wrong password hears.
func TestServiceAccountSignsInNowhere(t *testing.T) {
	ctx := t.Context()
	p := &people{user: host.User{ID: "1", Name: "ci"}}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Fresh = p, -1 })
	w.ids["ci"] = "1"
	before := w.login("ci")
	approved, approvedDone, _ := w.start("")
	require.Less(t, w.submit(approved, map[string]string{"name": "ci", "password": password}).Code, 400)

	p.user.Service = true
	assert.Empty(t, w.poll(approvedDone, "GET").text("token"), "approved before")
	a := w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/x", bearer: before})
	assert.Equal(t, "service-signs-in-never", a.text("code"), "a session from before")

	signIn := func(pw string) error {
		_, _, err := w.auth.Sessions().SignIn(ctx, session.SignIn{Name: "ci", Password: credential.NewSecret(pw)})
		return err
	}
	require.ErrorIs(t, signIn(password), session.ErrDenied)
	assert.Equal(t, signIn("wrong").Error(), signIn(password).Error())
	couch := func(pw string) answer {
		return w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:ci", body: `{"_id":"org.couchdb.user:ci","name":"ci","password":"` + pw + `","type":"user","roles":[],"date":"2026-01-01T00:00:00.000Z"}`})
	}
	assert.Equal(t, 401, couch(password).Code)
	assert.Equal(t, couch("wrong").Body.String(), couch(password).Body.String())
	loginURL, doneURL, _ := w.start("")
	right := w.submit(loginURL, map[string]string{"name": "ci", "password": password})
	wrong := w.submit(loginURL, map[string]string{"name": "ci", "password": "wrong"})
	assert.Equal(t, wrong.Code, right.Code)
	assert.Equal(t, 202, w.poll(doneURL, "GET").Code, "nobody approved it")

	// Nor does a token of it that has grants for it all.
	secret, _ := w.token("ci", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	assert.Equal(t, 200, whoami(w, secret))
	w.clock.Add(24 * time.Hour)
	assert.Equal(t, 200, whoami(w, secret))
}

// A service account's token is rotated as it is made: for no longer than those may live,
// which is less than a person's that only reads.
func TestRotatedServiceTokenLivesNoLonger(t *testing.T) {
	w := newWorld(t)
	s := w.alice(protocol.AuthOnly)
	ci := w.service("ci", w.ids["alice"])
	_, tok, err := w.auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{User: ci, Service: true, Name: "reads", Grants: grantAll(protocol.ReadOnly)})
	require.NoError(t, err)
	rotate := func(days string) answer {
		return w.do(call{method: "POST", path: ciTokens + "/" + tok.ID + "/rotate", bearer: s, otp: w.code("alice"), body: `{"password":"` + password + `","expires":` + days + `}`})
	}
	a := rotate("91")
	assert.Equal(t, 400, a.Code, a.Body.String())
	assert.Equal(t, 1, w.tokens("ci"))
	a = rotate("90")
	assert.Equal(t, 201, a.Code, a.Body.String())
}

// AU-48: a service account's token has one successor, too, and its list says so.
func TestServiceTokenIsRotatedOnce(t *testing.T) {
	w := newWorld(t)
	s := w.alice(protocol.AuthOnly)
	ci := w.service("ci", w.ids["alice"])
	_, tok, err := w.auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{User: ci, Service: true, Name: "build", Grants: grantAll(protocol.ReadOnly)})
	require.NoError(t, err)
	rotate := func() answer {
		return w.do(call{method: "POST", path: ciTokens + "/" + tok.ID + "/rotate", bearer: s, otp: w.code("alice"), body: `{"password":"` + password + `"}`})
	}
	a := rotate()
	require.Equal(t, 201, a.Code, a.Body.String())
	again := rotate()
	assert.Equal(t, 409, again.Code, again.Body.String())
	assert.Contains(t, again.text("error"), a.text("key"))
	assert.Equal(t, 2, w.tokens("ci"))
	objects := w.do(call{method: "GET", path: ciTokens, bearer: s}).json["objects"].([]any)
	require.Len(t, objects, 2)
	assert.Subset(t, objects[1], map[string]any{"key": tok.ID, "replaced_by": a.text("key")})
}

// A secondThought is a host that says something else when it is asked about a service
// account again within one request.
type secondThought struct {
	*hostServices
	calls int
	after int // how many calls are answered as before
	then  func(host.User) (host.User, bool)
}

func (s *secondThought) Administers(ctx context.Context, admin protocol.UserID, name string) (host.User, bool, error) {
	user, administers, err := s.hostServices.Administers(ctx, admin, name)
	if s.calls++; s.calls > s.after {
		user, administers = s.then(user)
	}
	return user, administers, err
}

// The host is asked for the account again after it was judged whether one administers it.
// Should the name have gone to an account of which that is not true, nothing happens to it.
func TestServiceIsTheOneThatWasJudged(t *testing.T) {
	for name, c := range map[string]call{
		"create": {method: "POST", path: ciTokens, body: specBody("")},
		"rotate": {method: "POST", path: ciTokens + "/KEY/rotate", body: `{"password":"` + password + `"}`},
		"revoke": {method: "DELETE", path: ciTokens + "/KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &people{user: host.User{ID: "1", Name: "alice"}}
			h := &secondThought{
				hostServices: &hostServices{people: p, name: "ci", admin: "1", user: host.User{ID: "2", Name: "ci", Service: true}},
				after:        1, then: func(u host.User) (host.User, bool) { return u, false },
			}
			w := newWorld(t, func(cfg *npmauth.Config) { cfg.Users, cfg.Services = p, h })
			w.ids["alice"], w.ids["ci"] = "1", "2"
			w.enrol("alice", protocol.AuthOnly)
			_, tok := w.token("ci", token.Spec{Grants: grantAll(protocol.ReadOnly)})
			c.path = strings.Replace(c.path, "KEY", tok.ID, 1)
			c.bearer = w.login("alice")
			c.otp = w.code("alice")
			a := w.do(c)
			assert.Equal(t, 404, a.Code, a.Body.String())
			assert.GreaterOrEqual(t, h.calls, 2)
			assert.Equal(t, 1, w.tokens("ci"))
			assert.False(t, w.noToken("ci", tok.ID))

			h.after = 100
			c.otp = w.code("alice")
			assert.Less(t, w.do(c).Code, 300, "as long as it stays so")
		})
	}
}
