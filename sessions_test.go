package npmauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

const ownSessionsPath = "/-/auth/v1/sessions"

// listed returns the sessions that bearer's account has according to it.
func (w *world) listed(bearer, path string) (list []wire.Session, next string) {
	w.t.Helper()
	a := w.do(call{method: "GET", path: path, bearer: bearer})
	require.Equal(w.t, 200, a.Code, a.Body.String())
	assert.Equal(w.t, "no-store", a.Header().Get("Cache-Control"))
	var body struct {
		Objects []wire.Session
		URLs    struct{ Next string }
	}
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &body))
	return body.Objects, body.URLs.Next
}

// People see where they are logged in, and end what they do not know.
func TestSessions(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.person("bob")
	bob := w.login("bob")
	logIn := func(agent, addr string) string {
		a := w.do(call{
			method: "PUT", path: "/-/user/org.couchdb.user:alice", body: couch("alice", password), addr: addr, header: map[string]string{"User-Agent": agent},
		})
		require.Equal(t, http.StatusCreated, a.Code, a.Body.String())
		w.clock.Add(time.Second)
		return a.text("token")
	}
	laptop, phone, thief := logIn("npm/12.2.2 laptop", "192.0.2.7:1"), logIn("npm/12.2.2 phone", "192.0.2.8:1"), logIn("curl/8", "[2001:db8::66]:1")
	list, next := w.listed(laptop, ownSessionsPath)
	require.Len(t, list, 3)
	assert.Empty(t, next)
	ids := map[string]string{}
	for _, s := range list {
		ids[s.UserAgent] = s.Key
		assert.Equal(t, s.UserAgent == "npm/12.2.2 laptop", s.Current, s.UserAgent)
		assert.Equal(t, "legacy", s.Via)
		assert.Equal(t, 2*time.Hour, s.Expires.Sub(s.Created))
		if s.UserAgent == "curl/8" {
			assert.Equal(t, "2001:db8::66", s.Addr)
		}
	}
	for _, secret := range []string{laptop, phone, thief} {
		assert.NotContains(t, fmt.Sprint(list), secret)
	}
	end := func(bearer, id, otp string) answer {
		return w.do(call{method: "DELETE", path: ownSessionsPath + "/" + id, bearer: bearer, otp: otp})
	}

	// Nobody else's, and nobody learns that there is one.
	for _, id := range []string{ids["curl/8"], "5c2f-none"} {
		a := end(bob, id, "")
		assert.Equal(t, 404, a.Code)
		assert.Equal(t, "no-such-session", a.text("code"))
	}
	assert.Equal(t, 200, whoami(w, thief))
	w.events.all = nil
	require.Equal(t, 204, end(laptop, ids["curl/8"], "").Code)
	assert.Equal(t, 401, whoami(w, thief))
	assert.Equal(t, 200, whoami(w, phone))
	require.True(t, w.events.has(audit.SessionEnded))
	require.Equal(t, 404, end(laptop, ids["curl/8"], "").Code, "it has ended")
	list, _ = w.listed(phone, ownSessionsPath)
	assert.Len(t, list, 2)

	// With a second factor it takes that, as a token's end does.
	w.enrol("alice", protocol.AuthAndWrites)
	laptop = w.login("alice")
	other := w.login("alice")
	isChallenge(t, end(laptop, w.sessionID(other), ""))
	assert.Equal(t, 404, end(laptop, "5c2f-none", "").Code, "nobody spends a code on what is not there")
	require.Equal(t, 204, end(laptop, w.sessionID(other), w.code("alice")).Code)
	assert.Equal(t, 401, whoami(w, other))
	isChallenge(t, end(laptop, w.sessionID(laptop), ""))
	require.Equal(t, 204, end(laptop, w.sessionID(laptop), w.code("alice")).Code)
	assert.Equal(t, 401, whoami(w, laptop))

	// All others.
	laptop, phone, other = w.login("alice"), w.login("alice"), w.login("alice")
	isChallenge(t, w.do(call{method: "DELETE", path: ownSessionsPath, bearer: laptop}))
	require.Equal(t, 204, w.do(call{method: "DELETE", path: ownSessionsPath, bearer: laptop, otp: w.code("alice")}).Code)
	assert.Equal(t, []int{200, 401, 401, 200}, []int{whoami(w, laptop), whoami(w, phone), whoami(w, other), whoami(w, bob)})
}

// Only a session asks: a token that lies in a CI would otherwise tell where its owner works.
func TestSessionsAreForSessions(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	w.login("alice")
	bearer, _ := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	for method, action := range map[string]protocol.Action{"GET": protocol.ListSessions, "DELETE": protocol.EndSession} {
		assert.Equal(t, 403, w.do(call{method: method, path: ownSessionsPath, bearer: bearer}).Code, action)
		assert.Equal(t, 401, w.do(call{method: method, path: ownSessionsPath}).Code, action)
	}
	assert.Equal(t, 1, w.sessions("alice"))
}

// A cursor that no answer has named is the client's fault, and no outage.
func TestCursors(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, change)
	w.person("alice")
	bearer := w.login("alice")
	for _, path := range []string{ownSessionsPath, ownEvents} {
		for _, after := range []string{"x", "%ff", "%00", "%2e%2e%2f", strings.Repeat("a", 5000)} {
			a := w.do(call{method: "GET", path: path + "?after=" + after, bearer: bearer})
			assert.Equal(t, 400, a.Code, "%s %.20s", path, after)
			assert.Equal(t, "bad-cursor", a.text("code"))
		}
	}
}

// A page has a hundred.
func TestSessionsPage(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	var bearer string
	for range 130 {
		bearer = w.login("alice")
	}
	seen := map[string]bool{}
	path, pages := ownSessionsPath, 0
	for path != "" {
		list, next := w.listed(bearer, path)
		for _, s := range list {
			seen[s.Key] = true
		}
		pages++
		path = ""
		if next != "" {
			path = next[len(base):]
		}
	}
	assert.Len(t, seen, 130)
	assert.Equal(t, 2, pages)
}
