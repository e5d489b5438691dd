package npmauth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// A route is one request of the protocol.
type route struct {
	method, path string
	body         string
}

// placeholders has what stands in the routes of this test for those of the protocol's.
var placeholders = strings.NewReplacer(
	"{any...}", "nothing", "{id}", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "{key}", "TOKENID", "{opaque id}", "x", "{org}", "acme", "{package@version}", "plain@1.0.0",
	"{package}", "plain", "{revision}", "1-0", "{service}", "ci", "{tag}", "next", "{tarball}", "plain-1.0.0.tgz", "{team}", "devs",
	"{token...}", "TOKENID", "{user or package}", "alice", "{user}", "alice", "{version or tag}", "1.0.0",
)

const tokenBody = `{"name":"x","password":"` + password + `","packages_all":true}`

// bodies are sent to each route of their action that is no read.
var bodies = map[protocol.Action][]string{
	protocol.Audit: {"{}"}, protocol.Login: {"{}"},
	protocol.LegacyLogin:  {`{"_id":"org.couchdb.user:alice","name":"alice","password":"short","type":"user","roles":[],"date":"2026-01-01T00:00:00.000Z"}`},
	protocol.LegacyUpdate: {`{"name":"alice","password":"another password of mine"}`},
	protocol.CreateToken:  {tokenBody, `{"name":"x","password":"` + password + `","packages_all":true,"packages_and_scopes_permission":"read-write"}`},
	protocol.WriteProfile: {
		`{"fullname":"Mallory"}`, `{"password":{"old":"` + password + `","new":"another password of mine"}}`,
		`{"tfa":{"mode":"disable","password":"` + password + `"}}`, `{"tfa":["123456"]}`,
	},
	protocol.ManageService: {tokenBody}, protocol.ReportLeak: {"[]"}, protocol.WriteStars: {`{"name":"plain"}`}, protocol.WriteHooks: {"{}"},
	protocol.WriteOrg: {`{"user":"mallory","role":"owner"}`}, protocol.WriteTeam: {`{"name":"devs"}`}, protocol.WriteTeamMember: {`{"user":"mallory"}`},
	protocol.SetOrgFactor: {`{"require_2fa":true}`, `{"keys_only":true}`, `{"keys_only":false}`, `{"publishers_only":true}`, `{"stage_only":true,"approvals":2,"other_approver":true}`},
	protocol.SetTwoFactor: {`{"keys_only":true}`},
	protocol.AddFactor: {
		`{"type":"app","password":"` + password + `"}`,
		`{"type":"key","name":"blue","password":"` + password + `","response":{"kind":"register","key":"blue"}}`,
	},
	protocol.GrantTeam: {`{"package":"plain","permissions":"read-write"}`}, protocol.SetDistTag: {`"1.0.0"`}, protocol.Stage: {"{}"}, protocol.WriteTrust: {"[]"},
	protocol.WritePackument: slices.Sorted(maps.Keys(documents)),
	protocol.WriteOwners:    {`{"user":"mallory"}`}, protocol.SetAccess: {`{"publish_requires_tfa":true}`, `{"access":"restricted"}`, `{"keys_only":true}`, `{"keys_only":false}`, `{"publishers_only":true}`, `{"stage_only":true,"approvals":2,"other_approver":true}`},
}

// documents are bodies of PUT /plain, and what each makes of it.
var documents = map[string]protocol.Action{
	"PUBLISH plain": protocol.Publish,
	`{"_id":"plain","name":"plain","versions":{"1.0.0":{"name":"plain","version":"1.0.0","deprecated":"no"}}}`: protocol.Deprecate,
	`{"_id":"plain","users":{"alice":true}}`:             protocol.Star,
	`{"_id":"plain","maintainers":[{"name":"mallory"}]}`: protocol.WriteOwners,
	`{"_id":"plain","versions":{}}`:                      protocol.Unpublish,
	`{"_id":"plain","versions":{"1.1.0":{}}}`:            protocol.Unpublish,
}

// routes holds every request of every action, some on other packages and accounts, and some of no action.
var routes = func() (all []route) {
	var last []route
	for _, a := range protocol.Actions() {
		for _, r := range a.Routes() {
			method, path, _ := strings.Cut(r, " ")
			methods := []string{method}
			if method == "*" {
				methods = []string{"GET", "POST"}
			}
			for _, method := range methods {
				with := bodies[a]
				if len(with) == 0 || method == "GET" || method == "DELETE" && !a.OfOrg() {
					with = []string{""}
				}
				if strings.HasSuffix(path, "/rotate") { // which shares its action with what creates a token
					with = []string{`{"password":"` + password + `"}`}
				}
				for _, body := range with {
					if rt := (route{method, placeholders.Replace(path), body}); rt.path != "/-/auth/v1/tokens" {
						all = append(all, rt)
					} else { // it ends some of the test's own
						last = append(last, rt)
					}
				}
			}
		}
	}
	all = append(all, []route{
		{"PUT", "/-/user/org.couchdb.user:mallory2", `{"_id":"org.couchdb.user:mallory2","name":"mallory2","password":"short","type":"user","roles":[],"date":"2026-01-01T00:00:00.000Z"}`},
		{"DELETE", "/-/user/token/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", ""}, {"DELETE", "/-/auth/v1/services/ci/tokens/CIKEY", ""},
		{"POST", "/-/auth/v1/services/ci/tokens/CIKEY/rotate", `{"password":"` + password + `"}`},
		{"GET", "/-/auth/login/nothing", ""}, {"GET", "/-/auth/done/nothing", ""}, {"GET", "/-/_view/starredByUser?key=%22alice%22", ""}, {"GET", "/-/v1/search?text=x", ""},
		{"DELETE", "/-/org/acme/user", `{"user":"alice"}`}, {"GET", "/@acme%2fprivate", ""}, {"GET", "/@acme/private/-/private-1.0.0.tgz", ""},
		{"PUT", "/@acme%2fprivate", "PUBLISH @acme/private"}, {"PUT", "/@acme/new", "PUBLISH @acme/new"}, {"PUT", "/brand-new", "PUBLISH brand-new"},
		{"PUT", "/-/whatever/new", "{}"}, {"POST", "/plain", "{}"}, {"PATCH", "/plain", "{}"}, {"DELETE", "/plain", ""}, {"GET", "/-/nothing", ""},
	}...)
	return append(all, last...)
}()

// carriers are ways to show a credential, of which one is a way.
var carriers = map[string]func(*call, string){
	"bearer": func(c *call, secret string) { c.bearer = secret },
	"basic": func(c *call, secret string) {
		c.header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+secret))
	},
	"raw header": func(c *call, secret string) { c.header["Authorization"] = secret },
	"query": func(c *call, secret string) {
		c.path += map[bool]string{true: "&", false: "?"}[strings.Contains(c.path, "?")] + "access_token=" + secret + "&token=" + secret
	},
	"cookie":  func(c *call, secret string) { c.header["Cookie"] = "npmauth=" + secret + "; token=" + secret },
	"npm-otp": func(c *call, secret string) { c.otp = secret },
	"other header": func(c *call, secret string) {
		c.header["X-Npm-Auth"], c.header["Proxy-Authorization"] = secret, "Bearer "+secret
	},
	"in the path": func(c *call, secret string) { c.header["Referer"] = "https://npm.acme.test/?token=" + secret },
}

// dump is all that the store holds, but for what a refused request may leave: a
// challenge that was opened, a login page's key, an attempt that was reserved.
func dump(t *testing.T, s store.Store) map[string]store.Revision {
	t.Helper()
	all, after := map[string]store.Revision{}, ""
	for {
		items, err := s.List(context.Background(), "", after, 100)
		require.NoError(t, err)
		for _, it := range items {
			after = it.Key
			if !mayRemain(it.Key) {
				all[it.Key] = it.Revision
			}
		}
		if len(items) < 100 {
			return all
		}
	}
}

// mayRemain is no regular expression: the race detector makes one thirty times as slow.
func mayRemain(key string) bool {
	kind := key[:max(0, strings.IndexAny(key, "./"))]
	return slices.Contains([]string{"twofactor-challenge", "twofactor-asked", "twofactor-tries", "twofactor-failures", "serverkey", "password-guesses", "password-place", "password-own"}, kind)
}

// changes names the keys in which two dumps differ.
func changes(before, after map[string]store.Revision) (keys []string) {
	for k, rev := range after {
		if before[k] != rev {
			keys = append(keys, k)
		}
	}
	for k := range before {
		if after[k] == 0 {
			keys = append(keys, k)
		}
	}
	return keys
}

// TestNothingIsWrittenWithoutAllow sends every route with every kind of
// credential in every carrier. What the policy does not allow for exactly that
// credential changes nothing, at the host or in the store, and is never a 2xx.
//
// PC-18, HS-04, HS-05, TK-06, TK-14, PR-01, PR-02, PR-09, PR-28, G-06.
func TestNothingIsWrittenWithoutAllow(t *testing.T) {
	foreign := "older-token-of-the-host"
	var w *world
	w = newWorld(t, func(cfg *npmauth.Config) {
		cfg.Foreign = func(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
			if bearer.Reveal() != foreign {
				return host.ForeignToken{}, host.ErrInvalidToken
			}
			return host.ForeignToken{ID: "foreign-1", User: w.ids["alice"], Grants: grantAll(protocol.ReadWrite), Created: w.clock.Now()}, nil
		}
	})
	alice := w.person("alice")
	w.person("bob")
	mallory := w.person("mallory")
	w.host.addWith("plain", alice, "1.0.0")
	w.host.add("@acme/private", true, alice)
	w.enrol("alice", protocol.AuthAndWrites)

	write := func(name string, bypass bool, g ...protocol.Grant) string {
		secret, _ := w.token(name, token.Spec{Grants: g, Bypass: bypass})
		return secret
	}
	rw := protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadWrite}
	_, spare := w.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	w.service("ci", alice)
	build, ofService := w.token("ci", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
	ids := strings.NewReplacer("TOKENID", spare.ID, "CIKEY", ofService.ID)
	creds := map[string]string{
		"nothing":         "",
		"garbage":         "npm_garbage",
		"unknown token":   "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",
		"jwt":             "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln", // TK-05
		"public id":       spare.ID,                                    // TK-06
		"digest":          spare.Digest.String(),                       // TK-07
		"session":         w.login("alice"),
		"session, no 2fa": w.login("bob"),
		"other's session": w.login("mallory"),
		"read-only":       write("alice", false, protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadOnly}),
		"read-write":      write("alice", false, rw),
		"bypass":          write("alice", true, rw),
		"bypass, scope":   write("alice", true, protocol.Grant{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}),
		"bypass, package": write("alice", true, protocol.Grant{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "plain"}, Permission: protocol.ReadWrite}),
		"org":             write("alice", false, protocol.Grant{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}),
		"stage only":      write("alice", false, protocol.Grant{Target: protocol.AllPackages, Permission: protocol.StageOnly}),
		"foreign":         foreign,
		"other's bypass":  write("mallory", true, rw),
		"service":         build,
	}
	gone := write("mallory", true, rw)
	d, _ := credential.Parse(gone)
	require.NoError(t, w.auth.Tokens().Revoke(t.Context(), audit.Actor{}, mallory, token.IDOf(d), ""))
	creds["revoked"] = gone

	allowed := map[string]int{}
	before := dump(t, w.store)
	for _, rt := range routes {
		path, _, _ := strings.Cut(rt.path, "?")
		op, err := protocol.Classify(rt.method, ids.Replace(path))
		require.NoError(t, err, rt.path)
		if strings.HasPrefix(rt.body, "PUBLISH ") {
			op.Action = protocol.Publish
		}
		if a, told := documents[rt.body]; told {
			op.Action = a
		}
		for kind, secret := range creds {
			for carrier, carry := range carriers {
				if secret == "" && carrier != "bearer" {
					continue
				}
				name := fmt.Sprintf("%s %s as %s by %s", rt.method, rt.path, kind, carrier)
				c := call{method: rt.method, path: ids.Replace(rt.path), header: map[string]string{}}
				if rt.body != "" {
					c.body = body(t, rt.body)
				}
				if secret != "" {
					carry(&c, secret)
				}
				header := http.Header{}
				if carrier == "bearer" && secret != "" {
					header.Set("Authorization", "Bearer "+secret)
				}
				_, decision, err := w.auth.Authorize(t.Context(), op, header, netip.MustParseAddr("192.0.2.1"))
				allow := err == nil && decision.Effect == policy.Allow
				writes := len(w.host.written())
				a := w.do(c)
				was := before
				before = dump(t, w.store)
				if allow {
					allowed[kind]++
					if len(w.host.written()) > writes {
						if op.Action != protocol.Star { // which no client answers a challenge for
							allowed[kind+" write"]++
						}
						w.host.addWith("plain", alice, "1.0.0") // as it was
						delete(w.host.packages, protocol.PackageName{Scope: "acme", Name: "new"})
						delete(w.host.packages, protocol.PackageName{Name: "brand-new"})
					}
					continue
				}
				assert.Len(t, w.host.written(), writes, "%s: written to the host", name)
				assert.Empty(t, changes(was, before), "%s: changed the store", name)
				holder := op.Action == protocol.Logout && carrier == "bearer" && strings.HasSuffix(c.path, secret) // 2xx, or npm keeps it
				if op.Action.Write() && !open(op.Action) && !holder {
					assert.GreaterOrEqual(t, a.Code, 400, name)
					assert.Less(t, a.Code, 500, name)
				}
				if t.Failed() {
					return
				}
			}
		}
	}
	for _, kind := range []string{"session", "read-only", "bypass", "bypass write", "bypass, scope write", "bypass, package write", "foreign"} {
		assert.NotZero(t, allowed[kind], "%s was allowed nothing: the test proves nothing", kind)
	}
	for _, kind := range []string{"nothing", "garbage", "unknown token", "jwt", "public id", "digest", "revoked", "read-only", "org", "stage only", "session", "foreign", "other's session"} {
		assert.Zero(t, allowed[kind+" write"], kind)
	}
}

// open reports whether an action takes no credential: what it carries of its own
// is judged instead, and other tests are about that.
func open(a protocol.Action) bool {
	return a == protocol.Login || a == protocol.LegacyLogin || a == protocol.AuthPage
}

func body(t *testing.T, text string) []byte {
	t.Helper()
	name, ok := strings.CutPrefix(text, "PUBLISH ")
	if !ok {
		return []byte(text)
	}
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(t, err)
	return hosttest.PublishBody(pkg, "2.0.0")
}
