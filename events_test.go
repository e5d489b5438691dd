package npmauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

const ownEvents = "/-/auth/v1/events"

// withLog gives the registry a log of events, which it returns.
func withLog(t *testing.T) (change func(*npmauth.Config), log func() *audit.Log) {
	var made *audit.Log
	return func(cfg *npmauth.Config) {
		var err error
		made, err = audit.NewLog(audit.LogConfig{Store: cfg.Store, Now: cfg.Now})
		require.NoError(t, err)
		cfg.AuditLog = made
	}, func() *audit.Log { return made }
}

// happened returns a page of the events of bearer's account, and the path of the next one.
func (w *world) happened(bearer, path string) (list []wire.Event, next string) {
	w.t.Helper()
	a := w.do(call{method: "GET", path: path, bearer: bearer})
	require.Equal(w.t, 200, a.Code, a.Body.String())
	assert.Equal(w.t, "no-store", a.Header().Get("Cache-Control"))
	var body struct {
		Objects []wire.Event
		URLs    struct{ Next string }
	}
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &body))
	return body.Objects, strings.TrimPrefix(body.URLs.Next, base)
}

// People see what happened to their account, and not what happened to another one.
func TestEvents(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change)
	w.person("alice")
	w.person("bob")
	a := w.do(call{
		method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), addr: "[2001:db8::66]:1", header: map[string]string{"User-Agent": "curl/8"},
	})
	require.Equal(t, http.StatusCreated, a.Code)
	bearer := a.text("token")
	w.clock.Add(time.Minute)
	secret, made := w.token("alice", token.Spec{Name: "ci", Grants: grantAll(protocol.ReadOnly)})
	w.clock.Add(time.Minute)
	require.Equal(t, 204, w.do(call{method: "DELETE", path: ownTokens + "/token/" + made.ID, bearer: bearer}).Code)
	bob := w.login("bob")

	list, next := w.happened(bearer, ownEvents)
	assert.Empty(t, next)
	require.Len(t, list, 4)
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	assert.Equal(t, wire.Event{
		Time: start.Add(2 * time.Minute), Type: "token.revoked", Outcome: "done", By: "account", Addr: "192.0.2.1", Credential: made.ID,
	}, list[0])
	assert.Equal(t, []string{"token.created", "ci"}, []string{list[1].Type, list[1].Detail["name"]})
	assert.Equal(t, wire.Event{
		Time: start, Type: "login", Outcome: "done", By: "account", Addr: "2001:db8::66", Credential: w.sessionID(bearer),
		Detail: map[string]string{"via": "legacy", "agent": "curl/8"},
	}, list[2])
	assert.Equal(t, wire.Event{Time: start, Type: "account.created", Outcome: "done", By: "registry"}, list[3])
	for _, no := range []string{secret, bearer, string(w.ids["alice"])} {
		assert.NotContains(t, fmt.Sprint(list), no)
	}

	list, _ = w.happened(bob, ownEvents)
	assert.Len(t, list, 2)
	assert.NotContains(t, fmt.Sprint(list), "2001:db8::66")
}

// What a program or another account has in the log beside what happened is for operators.
func TestEventsLeaveOut(t *testing.T) {
	change, log := withLog(t)
	w := newWorld(t, change)
	alice, bob := w.person("alice"), w.person("bob")
	bearer := w.login("alice")
	w.clock.Add(time.Second)
	write := func(e audit.Event) {
		require.NoError(t, store.Transact(t.Context(), w.store, func(tx *store.Tx) error { return log().Write(t.Context(), tx, e) }))
	}
	write(audit.Event{Type: "acme:reviewed", Outcome: audit.Done, User: alice})
	write(audit.Event{
		Type: audit.PackageRules, Outcome: audit.Done, User: alice, By: bob, Credential: "c1", ByCredential: "bobs-credential", Addr: netip.MustParseAddr("192.0.2.9"),
		Package: protocol.PackageName{Name: "widget"}, Detail: map[string]string{"package_id": "41", "publish": "automation", "omitted": "1", "note": "of the operator"},
	})
	list, _ := w.happened(bearer, ownEvents)
	require.Len(t, list, 3)
	assert.Equal(t, wire.Event{
		Time: w.clock.Now(), Type: "package.settings", Outcome: "done", By: "other", Addr: "192.0.2.9", Credential: "c1", Package: "widget",
		Detail: map[string]string{"publish": "automation"},
	}, list[0])
}

// Only a session asks: a token that lies in a CI would otherwise tell where its owner works.
func TestEventsAreForSessions(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change)
	w.person("alice")
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	assert.Equal(t, 403, w.do(call{method: "GET", path: ownEvents, bearer: bearer}).Code)
	assert.Equal(t, 401, w.do(call{method: "GET", path: ownEvents}).Code)
	assert.Equal(t, 401, w.do(call{method: "GET", path: ownEvents, bearer: "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"}).Code)
}

// A page has a hundred, newest first.
func TestEventsPage(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change)
	w.person("alice")
	var bearer string
	for range 130 {
		bearer = w.login("alice")
		w.clock.Add(time.Second)
	}
	var all []wire.Event
	pages := 0
	for path := ownEvents; path != ""; pages++ {
		var list []wire.Event
		list, path = w.happened(bearer, path)
		require.LessOrEqual(t, len(list), 100)
		all = append(all, list...)
	}
	require.Len(t, all, 131)
	assert.Equal(t, 2, pages)
	for i := range all[1:] {
		assert.False(t, all[i].Time.Before(all[i+1].Time), i)
	}
}

// A registry that keeps no log says so, and has no page of it.
func TestEventsWithoutLog(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	bearer := w.login("alice")
	a := w.do(call{method: "GET", path: ownEvents, bearer: bearer})
	assert.Equal(t, 404, a.Code)
	assert.Equal(t, "no-audit-log", a.text("code"))
	assert.Equal(t, 401, w.do(call{method: "GET", path: ownEvents}).Code)
	b := w.tab()
	b.signIn("alice", "sessions")
	assert.NotContains(t, b.Body.String(), "Activity")
	b.open("/-/auth/activity").is(404, "")
}

// The page of activity says in words what the endpoint says.
func TestActivityPage(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	b := w.tab()
	b.open("/-/auth/activity").is(200, "Sign in to")
	for i := range 100 {
		a := w.do(call{
			method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), otp: w.code("alice"), header: map[string]string{"User-Agent": fmt.Sprintf("npm/<b>%d", i)},
		})
		require.Equal(t, http.StatusCreated, a.Code, a.Body.String())
		w.clock.Add(time.Minute)
	}
	b.signIn("alice", "activity")
	b.is(200, "Logged in")
	b.is(200, "these pages")
	b.is(200, "npm/&lt;b&gt;99")
	b.is(200, "a password at the command line")
	assert.NotContains(t, b.Body.String(), "<b>")
	assert.NotContains(t, b.Body.String(), "Account created")
	b.has(`<a href="/-/auth/activity" aria-current="page">Activity</a>`)
	for range 3 {
		if strings.Contains(b.Body.String(), "Account created") {
			break
		}
		b.open(strings.ReplaceAll(b.has(`<a href="(/-/auth/activity\?after=[^"]+)">Older</a>`), "&amp;", "&"))
	}
	b.is(200, "Account created")
	b.is(200, "Two-factor authentication turned on")
	assert.NotContains(t, b.Body.String(), ">Older<")
	b.open("/-/auth/activity?after=x").is(403, "after is not where a page of this list ended.")

	_, values := b.open("/-/auth/activity").form("")
	b.post("/-/auth/activity", values)
	b.is(403, "The form was not accepted")
}
