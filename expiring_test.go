package npmauth_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// Whoever uses a token in its last days hears of it, where it is heard once.
func TestExpiryNotice(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	ci := w.service("ci", alice)
	w.host.add("plain", false, alice)
	w.host.add("@acme/private", true, alice)
	secret, tok := w.token("alice", token.Spec{Name: "ci – nightly", Grants: grantAll(protocol.ReadWrite), Bypass: true, Days: 30})
	bare, bareTok := w.token("alice", token.Spec{Name: "\u00e9", Grants: grantAll(protocol.ReadOnly), Days: 30})
	service, _ := w.token("ci", token.Spec{Name: "build", Grants: grantAll(protocol.ReadOnly), Days: 30})
	require.NotEmpty(t, ci)
	notice := func(method, path, bearer string) string {
		return w.do(call{method: method, path: path, bearer: bearer}).Header().Get("Npm-Notice")
	}
	w.clock.Add(23*token.Day - time.Microsecond)
	assert.Empty(t, notice("GET", "/-/whoami", secret))
	assert.Empty(t, w.publish("plain", "1.0.0", secret, "").Header().Get("Npm-Notice"))

	w.clock.Add(time.Microsecond)
	want := "Your token ci ? nightly expires on " + tok.Expires.Format(time.DateOnly) + ". Rotate it or make another with npm token create."
	assert.Equal(t, want, notice("GET", "/-/whoami", secret))
	assert.Equal(t, want, notice("GET", "/-/auth/v1/self", secret))
	published := w.publish("plain", "1.0.1", secret, "")
	assert.Equal(t, 200, published.Code)
	assert.Equal(t, want, published.Header().Get("Npm-Notice"))
	assert.Equal(t, want, notice("DELETE", "/-/package/plain/dist-tags/next", secret))
	for _, path := range []string{"/plain", "/@acme%2fprivate", "/plain/-/plain-1.0.0.tgz", "/-/package/plain/dist-tags", "/-/ping"} {
		assert.Empty(t, notice("GET", path, secret), path)
	}
	assert.Empty(t, notice("DELETE", "/-/package/plain/dist-tags/next", bare), "what is refused says why it is")
	assert.Contains(t, notice("GET", "/-/whoami", bare), "Your token ? expires")
	assert.Contains(t, notice("GET", "/-/whoami", service), "those who administer")
	assert.Empty(t, notice("GET", "/-/whoami", w.login("alice")), "a session")

	nameless, namelessTok, err := w.auth.Tokens().Create(t.Context(), audit.Actor{}, token.Spec{User: alice, Grants: grantAll(protocol.ReadOnly), Days: 1})
	require.NoError(t, err)
	w.clock.Add(token.Day / 2)
	assert.Contains(t, notice("GET", "/-/whoami", nameless.Reveal()), "Your token "+namelessTok.ID+" expires")

	w.clock.Add(7 * token.Day)
	assert.Empty(t, notice("GET", "/-/whoami", bare), "it is over: %s", bareTok.Expires)
}

// The event comes once, from one of the nodes that run, and not while a clock is wrong.
func TestTokenExpiringEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, recorded := store.NewMemory(), &events{}
		var ahead atomic.Int64
		var first *world
		for i := range 2 {
			w := newWorld(t, func(cfg *npmauth.Config) {
				cfg.Store, cfg.Users, cfg.Audit, cfg.Fresh = s, &people{}, recorded, -1
				cfg.Now = time.Now
				if i == 0 { // the clock of one of them will be set
					cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
				}
			})
			if first == nil {
				first = w
			}
			run(t, w)
		}
		first.ids["alice"] = "1"
		_, tok := first.token("alice", token.Spec{Name: "ci", Grants: grantAll(protocol.ReadOnly), Days: 6})
		count := func() (n int) {
			recorded.mu.Lock()
			defer recorded.mu.Unlock()
			for _, e := range recorded.all {
				if e.Type == audit.TokenExpiring {
					n++
					assert.Equal(t, protocol.UserID("1"), e.User)
					assert.Equal(t, tok.ID, e.Credential)
					assert.Equal(t, map[string]string{"name": "ci", "expires": tok.Expires.Format(time.RFC3339)}, e.Detail)
				}
			}
			return n
		}
		ahead.Store(int64(4 * token.Day))
		time.Sleep(2*token.Day + time.Hour)
		assert.Zero(t, count(), "only a clock that leapt says that it is near its end")
		ahead.Store(0)
		time.Sleep(2 * token.Day)
		synctest.Wait()
		assert.Equal(t, 1, count())
		time.Sleep(2 * token.Day)
		synctest.Wait()
		assert.Equal(t, 1, count())
	})
}

// Before everybody has to have a second factor, those who have none hear of it with what will be refused,
// and when they log in. From that instant on it is refused, with every credential of a person.
func TestFactorFromNotice(t *testing.T) {
	from := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Policy = policy.NPM().WithFactorFrom(from) })
	alice, bob := w.person("alice"), w.person("bob")
	ci := w.service("ci", alice)
	w.enrol("bob", protocol.AuthOnly)
	w.host.add("plain", false, alice)
	plain := w.host.packages[protocol.PackageName{Name: "plain"}]
	plain.rights[bob], plain.rights[ci] = allRights, allRights
	spec := token.Spec{Name: "ci", Grants: grantAll(protocol.ReadWrite), Bypass: true, Days: 30}
	hers, _ := w.token("alice", spec)
	his, _ := w.token("bob", spec)
	services, _ := w.token("ci", spec)
	want := "From 2026-03-03 12:00 UTC on this registry requires a second factor of everybody who writes, and your account has none. Run npm profile enable-2fa auth-and-writes."
	said := func(a answer) string {
		require.Less(t, a.Code, 300, a.Body)
		return a.Header().Get("Npm-Notice")
	}
	assert.Equal(t, want, said(w.publish("plain", "1.0.0", hers, "")))
	assert.Equal(t, want, said(w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: hers, body: `"1.0.0"`})))
	assert.Empty(t, said(w.publish("plain", "1.0.1", his, "")), "who has one")
	assert.Empty(t, said(w.publish("plain", "1.0.2", services, "")), "a service account")
	for _, path := range []string{"/plain", "/-/whoami", "/-/auth/v1/self", "/-/package/plain/dist-tags"} {
		assert.Empty(t, said(w.do(call{method: "GET", path: path, bearer: hers})), path)
	}
	couchdb := call{method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password)}
	assert.Equal(t, want, said(w.do(couchdb)))
	loginURL, doneURL, _ := w.start("")
	require.Contains(t, []int{200, 303}, w.submit(loginURL, map[string]string{"name": "alice", "password": password}).Code)
	assert.Equal(t, want, said(w.poll(doneURL, "GET")))

	w.clock.Add(48*time.Hour - time.Microsecond)
	assert.Equal(t, want, said(w.publish("plain", "1.0.3", hers, "")))
	w.clock.Add(time.Microsecond)
	a := w.publish("plain", "1.0.4", hers, "")
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "factor-demanded", a.text("code"))
	assert.Empty(t, said(w.publish("plain", "1.0.5", his, "")))
	assert.Empty(t, said(w.publish("plain", "1.0.6", services, "")))
	a = w.do(couchdb)
	assert.Equal(t, 201, a.Code, "who has none still logs in, and enrols")
	assert.Empty(t, a.Header().Get("Npm-Notice"))
}
