package npmauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/npmauthtest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// aliceAlone is a host's table of people with one in it, whose password costs nothing.
type aliceAlone struct{}

func (aliceAlone) Lookup(ctx context.Context, name string) (npmauth.User, error) {
	return aliceAlone{}.User(ctx, policy.UserID(name))
}

func (aliceAlone) User(_ context.Context, id policy.UserID) (npmauth.User, error) {
	if id != "alice" {
		return npmauth.User{}, npmauth.ErrNoUser
	}
	return npmauth.User{ID: "alice", Name: "alice"}, nil
}

func (aliceAlone) CheckPassword(_ context.Context, id policy.UserID, pw credential.Secret) (bool, error) {
	return id == "alice" && pw.Equal(credential.NewSecret(password)), nil
}

// An undertaking is something that people do, in the requests that it takes.
type undertaking struct {
	name string
	// prepare does what comes before, while nothing fails. What it returns is given
	// to the other two.
	prepare func(w *world) any
	// do does it once. It returns "" if it was refused, else what came of it.
	do func(w *world, prepared any) string
	// done reports whether what do returned is wholly there; with "" whether
	// anything of it is.
	done func(w *world, prepared any, got string) bool
}

// legacyLogin signs alice in as older clients do.
func legacyLogin(w *world, otp string) string {
	a := w.do(call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice"), otp: otp})
	if a.Code != 201 {
		return ""
	}
	return a.text("token")
}

func couchUser(name string) map[string]any {
	return map[string]any{"_id": "org.couchdb.user:" + name, "name": name, "password": password, "type": "user", "roles": []string{}, "date": "2026-03-01T12:00:00.000Z"}
}

var undertakings = []undertaking{
	{
		name:    "log in on the page",
		prepare: func(w *world) any { _, _ = w.enrolled(); return nil },
		do: func(w *world, _ any) string {
			a := w.do(call{method: "POST", path: "/-/v1/login", body: "{}"})
			if a.Code != 200 {
				return ""
			}
			loginURL, doneURL := a.text("loginUrl"), a.text("doneUrl")
			form, cookie, page := w.open(loginURL)
			if page.Code != 200 {
				return ""
			}
			w.fill(loginURL, form, cookie, map[string]string{"name": "alice", "password": password, "code": w.code("alice")})
			return w.poll(doneURL, "GET").text("token")
		},
		done: func(w *world, _ any, got string) bool { return got != "" && whoami(w, got) == 200 },
	},
	{
		name:    "log in with a code",
		prepare: func(w *world) any { _, _ = w.enrolled(); return nil },
		do:      func(w *world, _ any) string { return legacyLogin(w, w.code("alice")) },
		done:    func(w *world, _ any, got string) bool { return got != "" && whoami(w, got) == 200 },
	},
	{
		name:    "log in with a recovery code",
		prepare: func(w *world) any { _, codes := w.enrolled(); return codes },
		do: func(w *world, prepared any) string {
			for _, code := range prepared.([]string) { // one that was spent in vain is spent
				if s := legacyLogin(w, code); s != "" {
					return s
				}
			}
			return ""
		},
		done: func(w *world, _ any, got string) bool { return got != "" && whoami(w, got) == 200 },
	},
	{
		name:    "publish with a code",
		prepare: func(w *world) any { s, _ := w.enrolled(); return s },
		do: func(w *world, s any) string {
			if a := w.publish("plain", "1.0.0", s.(string), w.code("alice")); a.Code != 200 {
				return ""
			}
			return "published"
		},
		done: func(w *world, _ any, _ string) bool { return len(w.host.written()) > 0 },
	},
	{
		name: "publish with a token",
		prepare: func(w *world) any {
			_, _ = w.enrolled()
			bearer, _ := w.token("alice", token.Spec{Grants: grantAll(policy.ReadWrite), Bypass: true})
			return bearer
		},
		do: func(w *world, bearer any) string {
			if a := w.publish("plain", "1.0.0", bearer.(string), ""); a.Code != 200 {
				return ""
			}
			return "published"
		},
		done: func(w *world, _ any, _ string) bool { return len(w.host.written()) > 0 },
	},
	{
		name:    "publish by the page of a challenge",
		prepare: func(w *world) any { s, _ := w.enrolled(); return s },
		do: func(w *world, s any) string {
			a := w.publish("plain", "1.0.0", s.(string), "")
			if a.text("authUrl") == "" {
				return ""
			}
			form, cookie, page := w.open(a.text("authUrl"))
			if page.Code != 200 {
				return ""
			}
			w.fill(a.text("authUrl"), form, cookie, map[string]string{"password": password, "code": w.code("alice")})
			proof := w.poll(a.text("doneUrl"), "GET").text("token")
			if proof == "" || w.publish("plain", "1.0.0", s.(string), proof).Code != 200 {
				return ""
			}
			return "published"
		},
		done: func(w *world, _ any, _ string) bool { return len(w.host.written()) > 0 },
	},
	{
		name:    "create a token",
		prepare: func(w *world) any { s, _ := w.enrolled(); return s },
		do: func(w *world, s any) string {
			return w.create(s.(string), w.code("alice"), map[string]any{
				"packages": []string{"plain"}, "packages_and_scopes_permission": "read-write", "bypass_2fa": true,
			}).text("token")
		},
		done: func(w *world, _ any, got string) bool {
			return got != "" && whoami(w, got) == 200 && w.publish("plain", "1.0.0", got, "").Code == 200
		},
	},
	{
		name: "revoke a token",
		prepare: func(w *world) any {
			s, _ := w.enrolled()
			bearer, tok := w.token("alice", token.Spec{Grants: grantAll(policy.ReadWrite), Bypass: true})
			return [3]string{s, bearer, tok.ID}
		},
		do: func(w *world, prepared any) string {
			p := prepared.([3]string)
			a := w.do(call{method: "DELETE", path: "/-/npm/v1/tokens/token/" + p[2], bearer: p[0], otp: w.code("alice")})
			if a.Code >= 300 {
				return ""
			}
			return "revoked"
		},
		done: func(w *world, prepared any, _ string) bool { return whoami(w, prepared.([3]string)[1]) == 401 },
	},
	{
		name:    "log out",
		prepare: func(w *world) any { s, _ := w.enrolled(); return s },
		do: func(w *world, s any) string {
			if a := w.do(call{method: "DELETE", path: "/-/user/token/" + s.(string), bearer: s.(string)}); a.Code >= 300 {
				return ""
			}
			return "logged out"
		},
		done: func(w *world, s any, _ string) bool { return whoami(w, s.(string)) == 401 },
	},
	{
		name:    "turn two-factor authentication off",
		prepare: func(w *world) any { s, _ := w.enrolled(); return s },
		do: func(w *world, s any) string {
			a := w.do(call{method: "POST", path: "/-/npm/v1/user", bearer: s.(string), otp: w.code("alice"), body: `{"tfa":{"mode":"disable","password":"` + password + `"}}`})
			if a.Code != 200 {
				return ""
			}
			return "off"
		},
		done: func(w *world, _ any, _ string) bool {
			sub, err := w.auth.Subjects().Get(w.t.Context(), nil, "alice")
			require.NoError(w.t, err)
			status, err := w.auth.Factors().Status(w.t.Context(), w.store, "alice")
			require.NoError(w.t, err)
			require.Equal(w.t, sub.TwoFactor != policy.TwoFactorOff, status.Enabled, "half of it")
			return !status.Enabled
		},
	},
}

// enrolled gives alice a second factor, a session and a package.
func (w *world) enrolled() (bearer string, recovery []string) {
	w.t.Helper()
	w.ids["alice"] = "alice"
	recovery = w.enrol("alice", policy.AuthAndWrites)
	w.host.add("plain", false, "alice")
	return w.login("alice"), recovery
}

// A fault is what befalls one call of a store.
type fault struct {
	name string
	// may says that the call may have happened.
	may bool
	get func() error
	// commit is given the commit to carry out or not.
	commit func(do func() (store.Revision, error)) (store.Revision, error)
}

var faults = []fault{
	{
		name: "fails", get: func() error { return errBroken },
		commit: func(func() (store.Revision, error)) (store.Revision, error) { return 0, errBroken },
	},
	{
		name: "is lost on its way back", may: true, get: func() error { return errBroken },
		commit: func(do func() (store.Revision, error)) (store.Revision, error) {
			if _, err := do(); err != nil {
				return 0, err
			}
			return 0, fmt.Errorf("%w: the connection broke", store.ErrUnknown)
		},
	},
	{
		name: "is lost on its way", may: true, get: func() error { return errBroken },
		commit: func(func() (store.Revision, error)) (store.Revision, error) {
			return 0, fmt.Errorf("%w: the connection broke", store.ErrUnknown)
		},
	},
}

var errBroken = errors.New("the disk is full")

// striking strikes the n-th call.
type striking struct {
	store.Store
	fault  fault
	left   int // calls until it strikes; 0: not armed
	struck bool
}

func (s *striking) strikes() bool {
	if s.left == 0 {
		return false
	}
	s.left--
	s.struck = s.struck || s.left == 0
	return s.left == 0
}

func (s *striking) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if s.strikes() {
		return nil, s.fault.get()
	}
	return s.Store.Get(ctx, keys...)
}

func (s *striking) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if s.strikes() {
		return nil, s.fault.get()
	}
	return s.Store.List(ctx, prefix, after, limit)
}

func (s *striking) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if s.strikes() {
		return s.fault.commit(func() (store.Revision, error) { return s.Store.Commit(ctx, ops...) })
	}
	return s.Store.Commit(ctx, ops...)
}

// Whichever call of the store fails on the way, what people do is either done, wholly,
// or refused, and what was refused has not happened. Only where the outcome of a commit
// cannot be known may something have happened that nobody was told of; then, too, it
// is all of it or nothing. Afterwards it can be done again.
//
// ST-01, ST-02, ST-03.
func TestOutages(t *testing.T) {
	for _, u := range undertakings {
		for _, f := range faults {
			t.Run(u.name+"/a call "+f.name, func(t *testing.T) {
				n := 1
				for ; ; n++ {
					st := &striking{Store: store.NewMemory(), fault: f}
					w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = st, aliceAlone{}, -1 })
					prepared := u.prepare(w)
					st.left = n
					got := u.do(w, prepared)
					st.left = 0
					done := u.done(w, prepared, got)
					switch {
					case got != "":
						require.True(t, done, "call %d: said to be done, and is not", n)
					case !f.may:
						require.False(t, done, "call %d: refused, and yet done", n)
					}
					require.Empty(t, halves(t, st.Store), "call %d", n)
					if !st.struck {
						require.NotEmpty(t, got, "without a fault it works")
						break
					}
					if !done {
						w.clock.Add(time.Minute)
						got = u.do(w, prepared)
						require.NotEmpty(t, got, "call %d: it cannot be done again", n)
						require.True(t, u.done(w, prepared, got), "call %d: done again, and is not", n)
					}
				}
				require.Greater(t, n, 2, "this takes a few calls")
				t.Logf("%d calls", n-1)
			})
		}
	}
}

// A trespass is something that must be refused, in one request: prepare returns it.
type trespass struct {
	name    string
	prepare func(w *world) call
}

func publishCall(bearer, otp string) call {
	return call{method: "PUT", path: "/plain", body: npmauthtest.PublishBody(policy.PackageName{Name: "plain"}, "1.0.0"), bearer: bearer, otp: otp}
}

var trespasses = []trespass{
	{"publish without a code", func(w *world) call { s, _ := w.enrolled(); return publishCall(s, "") }},
	{"publish with a wrong code", func(w *world) call { s, _ := w.enrolled(); return publishCall(s, "000000") }},
	{"publish with a code that was used", func(w *world) call {
		s, _ := w.enrolled()
		code := w.code("alice")
		require.NotEmpty(w.t, legacyLogin(w, code))
		return publishCall(s, code)
	}},
	{"publish with a recovery code", func(w *world) call { s, codes := w.enrolled(); return publishCall(s, codes[0]) }},
	{"publish another's package", func(w *world) call {
		s, _ := w.enrolled()
		w.host.add("plain", false, "bob")
		return publishCall(s, w.code("alice"))
	}},
	{"publish with a session that was ended", func(w *world) call {
		s, _ := w.enrolled()
		require.NoError(w.t, w.auth.Subjects().EndSessions(w.t.Context(), "alice"))
		return publishCall(s, w.code("alice"))
	}},
	{"publish for a disabled account", func(w *world) call {
		_, _ = w.enrolled()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(policy.ReadWrite), Bypass: true})
		require.NoError(w.t, w.auth.Subjects().Disable(w.t.Context(), "alice"))
		return publishCall(bearer, "")
	}},
	{"publish where tokens are not welcome", func(w *world) call {
		_, _ = w.enrolled()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(policy.ReadWrite), Bypass: true})
		require.NoError(w.t, w.auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{Publish: policy.FactorOnly}))
		return publishCall(bearer, "")
	}},
	{"publish with a read-only token", func(w *world) call {
		_, _ = w.enrolled()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(policy.ReadOnly)})
		return publishCall(bearer, "")
	}},
	{"publish with a token that was revoked", func(w *world) call {
		_, _ = w.enrolled()
		bearer, tok := w.token("alice", token.Spec{Grants: grantAll(policy.ReadWrite), Bypass: true})
		require.NoError(w.t, w.auth.Tokens().Revoke(w.t.Context(), "alice", tok.ID))
		return publishCall(bearer, "")
	}},
	{"read a private package", func(w *world) call {
		s, _ := w.enrolled()
		w.host.add("plain", true, "bob")
		return call{method: "GET", path: "/plain", bearer: s}
	}},
	{"log in without a code", func(w *world) call {
		_, _ = w.enrolled()
		return call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice")}
	}},
	{"log in with a code that was used", func(w *world) call {
		_, _ = w.enrolled()
		code := w.code("alice")
		require.NotEmpty(w.t, legacyLogin(w, code))
		return call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice"), otp: code}
	}},
	{"log in with a recovery code that was used", func(w *world) call {
		_, codes := w.enrolled()
		require.NotEmpty(w.t, legacyLogin(w, codes[0]))
		return call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couchUser("alice"), otp: codes[0]}
	}},
	{"create a token without a code", func(w *world) call {
		s, _ := w.enrolled()
		return call{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: map[string]any{
			"name": "ci", "password": password, "packages_all": true, "packages_and_scopes_permission": "read-write",
		}}
	}},
	{"create a token with a token", func(w *world) call {
		_, _ = w.enrolled()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(policy.ReadWrite), Bypass: true})
		return call{method: "POST", path: "/-/npm/v1/tokens", bearer: bearer, otp: w.code("alice"), body: map[string]any{
			"name": "ci", "password": password, "packages_all": true, "packages_and_scopes_permission": "read-write",
		}}
	}},
	{"turn two-factor authentication off without a code", func(w *world) call {
		s, _ := w.enrolled()
		return call{method: "POST", path: "/-/npm/v1/user", bearer: s, body: `{"tfa":{"mode":"disable","password":"` + password + `"}}`}
	}},
}

// Whichever call of the store fails on the way, what must be refused is.
func TestOutagesAllowNothing(t *testing.T) {
	for _, u := range trespasses {
		for _, f := range faults {
			t.Run(u.name+"/a call "+f.name, func(t *testing.T) {
				for n := 1; ; n++ {
					st := &striking{Store: store.NewMemory(), fault: f}
					w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = st, aliceAlone{}, -1 })
					c := u.prepare(w)
					before := dump(t, st.Store)
					st.left = n
					a := w.do(c)
					st.left = 0
					require.GreaterOrEqual(t, a.Code, 400, "call %d: %s", n, a.Body)
					require.Empty(t, w.host.written(), "call %d", n)
					require.Empty(t, w.host.reads, "call %d", n)
					require.Empty(t, changes(before, dump(t, st.Store)), "call %d", n)
					if !st.struck {
						break
					}
				}
			})
		}
	}
}

// halves names the indexes that have another number of rows than there are records, of
// which every one must have one.
func halves(t *testing.T, s store.Store) (problems []string) {
	t.Helper()
	rows := map[string]int{}
	for key := range dump(t, s) {
		kind, _, _ := strings.Cut(key, "/") // a table's name, and an index's behind a dot
		rows[kind]++
	}
	for _, index := range []string{"token.id", "token.user", "session.id", "session.user"} {
		table, _, _ := strings.Cut(index, ".")
		if rows[index] != rows[table] {
			problems = append(problems, fmt.Sprintf("%d rows of %s for %d records", rows[index], index, rows[table]))
		}
	}
	return problems
}
