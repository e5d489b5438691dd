package npmauth_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
)

// aliceAlone is a host's table of people with one in it, whose password costs nothing.
type aliceAlone struct{}

func (aliceAlone) Lookup(ctx context.Context, name string) (host.User, error) {
	return aliceAlone{}.User(ctx, protocol.UserID(name))
}

func (aliceAlone) User(_ context.Context, id protocol.UserID) (host.User, error) {
	if id != "alice" {
		return host.User{}, host.ErrNoUser
	}
	return host.User{ID: "alice", Name: "alice"}, nil
}

func (aliceAlone) CheckPassword(_ context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
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
			bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
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
			bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
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
			sub, err := w.auth.Subjects().Get(w.t.Context(), "alice")
			require.NoError(w.t, err)
			status, err := w.auth.Factors().Status(w.t.Context(), w.store, "alice")
			require.NoError(w.t, err)
			require.Equal(w.t, sub.TwoFactor != protocol.TwoFactorOff, status.Enabled, "half of it")
			return !status.Enabled
		},
	},
}

// enrolled gives alice a second factor, a session and a package.
func (w *world) enrolled() (bearer string, recovery []string) {
	w.t.Helper()
	w.ids["alice"] = "alice"
	recovery = w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("plain", false, "alice")
	return w.login("alice"), recovery
}

// faults are what befalls one call of the store. Where the outcome of a commit is not
// known it may have happened.
var faults = []struct {
	name  string
	fault storetest.Fault
	may   bool
}{
	{name: "fails"},
	{name: "conflicts", fault: storetest.Fault{On: storetest.Commits, Err: store.ErrConflict}},
	{name: "panics", fault: storetest.Fault{Do: func() { panic("the store is beside itself") }}},
	{name: "is lost on its way", fault: storetest.Fault{Err: store.ErrUnknown}, may: true},
	{name: "is lost on its way back", fault: storetest.Fault{After: true}, may: true},
}

// eachCall runs fn once in a world where nothing fails, and then once for each call of
// the store that it made between begin and end, in a world where fault strikes that one.
// It says to fn which call that is, 0 at first, and returns how many there are.
func eachCall(t *testing.T, fault storetest.Fault, fn func(w *world, begin, end func(), call int)) (calls int) {
	for call := 0; call <= calls; call++ {
		st := storetest.NewFaulty(store.NewMemory())
		w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Users, cfg.Fresh = st, aliceAlone{}, -1 })
		count := func() int { return st.Count(cmp.Or(fault.On, storetest.All)) }
		before := 0
		begin := func() {
			before = count()
			if call > 0 {
				fault.Nth = call
				st.Inject(fault)
			}
		}
		end := func() {
			if call == 0 {
				calls = count() - before
			} else {
				require.True(t, st.Struck(), "call %d was not made", call)
			}
		}
		fn(w, begin, end, call)
	}
	return calls
}

// Whichever call of the store fails on the way, what people do is either done, wholly,
// or refused, and what was refused has not happened. Only where the outcome of a commit
// cannot be known may something have happened that nobody was told of; then, too, it
// is all of it or nothing. Afterwards it can be done again.
//
// ST-01, ST-02, ST-03, ST-04, ST-17, P-03.
func TestOutages(t *testing.T) {
	for _, u := range undertakings {
		for _, f := range faults {
			t.Run(u.name+"/a call "+f.name, func(t *testing.T) {
				calls := eachCall(t, f.fault, func(w *world, begin, end func(), call int) {
					prepared := u.prepare(w)
					begin()
					got := u.do(w, prepared)
					end()
					done := u.done(w, prepared, got)
					switch {
					case call == 0:
						require.NotEmpty(t, got, "without a fault it works")
						require.True(t, done)
					case got != "":
						require.True(t, done, "call %d: said to be done, and is not", call)
					case !f.may:
						require.False(t, done, "call %d: refused, and yet done", call)
					}
					require.Empty(t, halves(t, w.store), "call %d", call)
					if !done {
						w.clock.Add(time.Minute)
						got = u.do(w, prepared)
						require.NotEmpty(t, got, "call %d: it cannot be done again", call)
						require.True(t, u.done(w, prepared, got), "call %d: done again, and is not", call)
					}
				})
				require.True(t, calls > 0 || f.fault.On == storetest.Commits, "it makes no call") // not everything commits
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
	return call{method: "PUT", path: "/plain", body: hosttest.PublishBody(protocol.PackageName{Name: "plain"}, "1.0.0"), bearer: bearer, otp: otp}
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
	{"publish to another package", func(w *world) call {
		s, _ := w.enrolled()
		w.host.add("plain", false, "bob")
		return publishCall(s, w.code("alice"))
	}},
	{"publish with a session that was ended", func(w *world) call {
		s, _ := w.enrolled()
		require.NoError(w.t, w.auth.Subjects().EndSessions(w.t.Context(), audit.Actor{}, "alice"))
		return publishCall(s, w.code("alice"))
	}},
	{"publish for a disabled account", func(w *world) call {
		_, _ = w.enrolled()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		require.NoError(w.t, w.auth.Subjects().Disable(w.t.Context(), audit.Actor{}, "alice"))
		return publishCall(bearer, "")
	}},
	{"publish where tokens are not welcome", func(w *world) call {
		_, _ = w.enrolled()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		require.NoError(w.t, w.auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{Publish: protocol.FactorOnly}))
		return publishCall(bearer, "")
	}},
	{"publish where only security keys count", func(w *world) call {
		s, _ := w.enrolled()
		require.NoError(w.t, w.auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{KeysOnly: true}))
		return publishCall(s, w.code("alice"))
	}},
	{"publish where only trusted publishers may", func(w *world) call {
		s, _ := w.enrolled()
		require.NoError(w.t, w.auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{PublishersOnly: true}))
		return publishCall(s, w.code("alice"))
	}},
	{"publish where versions are staged", func(w *world) call {
		s, _ := w.enrolled()
		require.NoError(w.t, w.auth.SetPackage(w.t.Context(), "id-plain", policy.Settings{StageOnly: true}))
		return publishCall(s, w.code("alice"))
	}},
	{"publish a new package of a scope where only security keys count", func(w *world) call {
		s, _ := w.enrolled()
		require.NoError(w.t, w.auth.SetScope(w.t.Context(), "acme", settings.Scope{KeysOnly: true}))
		c := publishCall(s, w.code("alice"))
		c.path, c.body = "/@acme%2fnew", hosttest.PublishBody(protocol.PackageName{Scope: "acme", Name: "new"}, "1.0.0")
		return c
	}},
	{"publish without a second factor after the date", func(w *world) call {
		w.ids["alice"] = "alice"
		w.host.add("plain", false, "alice")
		require.NoError(w.t, w.auth.SetPolicy(w.auth.Policy().WithFactorFrom(w.clock.Now())))
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		return publishCall(bearer, "")
	}},
	{"publish with a read-only token", func(w *world) call {
		_, _ = w.enrolled()
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
		return publishCall(bearer, "")
	}},
	{"publish with a token that was revoked", func(w *world) call {
		_, _ = w.enrolled()
		bearer, tok := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		require.NoError(w.t, w.auth.Tokens().Revoke(w.t.Context(), audit.Actor{}, "alice", tok.ID, ""))
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
		bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
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
				eachCall(t, f.fault, func(w *world, begin, end func(), call int) {
					c := u.prepare(w)
					before := dump(t, w.store)
					begin()
					a := w.do(c)
					end()
					require.GreaterOrEqual(t, a.Code, 400, "call %d: %s", call, a.Body)
					require.Empty(t, w.host.written(), "call %d", call)
					require.Empty(t, w.host.reads, "call %d", call)
					require.Empty(t, changes(before, dump(t, w.store)), "call %d", call)
				})
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
	for _, index := range []string{"token.list", "session.id", "session.user"} {
		table, _, _ := strings.Cut(index, ".")
		if rows[index] != rows[table] {
			problems = append(problems, fmt.Sprintf("%d rows of %s for %d records", rows[index], index, rows[table]))
		}
	}
	return problems
}
