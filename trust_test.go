package npmauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

// refusals returns the events of exchanges that failed.
func (e *events) refusals() (list []audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Type == audit.TrustExchanged && ev.Outcome != audit.Done {
			list = append(list, ev)
		}
	}
	return list
}

// What npm trust sends and reads: an array of one, the list, and the removal, each with a second
// factor, and npm's sentences.
func TestTrustedPublishers(t *testing.T) {
	w := newWorld(t, trusts)
	s := w.alice(protocol.AuthAndWrites)
	const path = "/-/package/plain/trust"
	ask := func(method, path, body string) answer {
		t.Helper()
		w.clock.Add(time.Minute)
		c := call{method: method, path: path, bearer: s, otp: w.code("alice")}
		if body != "" {
			c.body = body
		}
		return w.do(c)
	}
	list := func() (all []map[string]any) {
		t.Helper()
		a := ask("GET", path, "")
		require.Equal(t, 200, a.Code, "%s", a.Body)
		require.NoError(t, json.Unmarshal(a.Body.Bytes(), &all))
		return all
	}
	require.Empty(t, list())
	isChallenge(t, w.do(call{method: "GET", path: path, bearer: s}))

	a := ask("POST", path, trustBody("createPackage", "setDistTag"))
	require.Equal(t, 201, a.Code, "%s", a.Body)
	listed := list()
	require.Len(t, listed, 1)
	id := listed[0]["id"].(string)
	assert.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, id)
	assert.Equal(t, []any{"createPackage", "setDistTag"}, listed[0]["permissions"])
	assert.NotEmpty(t, listed[0]["created_at"])
	assert.JSONEq(t, fmt.Sprintf(`{"repository":%q,"workflow_ref":{"file":%q}}`, issuertest.Repository, issuertest.Workflow), func() string {
		data, _ := json.Marshal(listed[0]["claims"])
		return string(data)
	}())

	for body, want := range map[string]struct {
		status int
		says   string
	}{
		trustBody("createPackage"): {409, "already exists.*delete and re-create"},
		trustBody():                {400, "permissions is required and must contain at least one valid route"},
		"{}":                       {400, "array"},
		strings.Replace(trustBody("createPackage"), "github", "circleci", 1):      {400, "."},
		`[{"type":"travis","claims":{},"permissions":["createPackage"]}]`:         {400, "type is not known here"},
		trustWith(`"issuer":"https://ci.evil.test"`):                              {400, "does not accept tokens of that issuer"},
		strings.Replace(trustBody("createPackage"), "acme/widget", "acme/w/x", 1): {400, "repository"},
	} {
		a := ask("POST", path, body)
		assert.Equal(t, want.status, a.Code, "%s: %s", body, a.Body)
		assert.Regexp(t, want.says, a.text("error"), body)
	}
	assert.Equal(t, 400, ask("DELETE", path+"/1", "").Code)
	assert.Equal(t, 404, ask("DELETE", path+"/"+uuid, "").Code)
	assert.Equal(t, 204, ask("DELETE", path+"/"+id, "").Code)
	assert.Empty(t, list())

	for i := range 10 {
		body := strings.Replace(trustBody("createPackage"), "release.yml", fmt.Sprintf("release-%d.yml", i), 1)
		require.Equal(t, 201, ask("POST", path, body).Code)
	}
	a = ask("POST", path, trustBody("createPackage"))
	assert.Equal(t, 409, a.Code)
	assert.Contains(t, a.text("error"), "as many trusted publishers")
}

// OI-31, OI-32: who configures them administers the package, in a session, with a second factor; and a
// publisher belongs to the package, whoever made it.
func TestWhoConfiguresTrust(t *testing.T) {
	w := newWorld(t, trusts)
	alice := w.alice(protocol.AuthAndWrites)
	w.person("bob")
	w.enrol("bob", protocol.AuthAndWrites)
	bob := w.login("bob")
	w.person("carol")
	w.host.packages[protocol.PackageName{Name: "plain"}].rights[w.ids["bob"]] = policy.RightRead | policy.RightWrite
	w.host.packages[protocol.PackageName{Name: "plain"}].rights[w.ids["carol"]] = allRights
	carol := w.login("carol")
	bearers := map[string]string{"": "login-required", bob: "may-not-manage", carol: "no-second-factor"}
	for _, spec := range []token.Spec{
		{Grants: grantAll(protocol.ReadWrite), Bypass: true}, {Grants: grantAll(protocol.ReadWrite)}, {Grants: grantAll(protocol.ReadOnly)},
	} {
		secret, _ := w.token("alice", spec)
		bearers[secret] = "session-only"
	}
	id := w.trust("plain", "createPackage")
	bearers[w.exchanged("plain")] = "session-only"
	for bearer, code := range bearers {
		for path, method := range map[string]string{"/-/package/plain/trust": "GET", "/-/package/plain/trust?": "POST", "/-/package/plain/trust/" + id: "DELETE", "/-/auth/v1/trust/plain/check": "POST"} {
			c := call{method: method, path: path, bearer: bearer}
			if method == "POST" {
				c.body = trustBody("createPackage")
			}
			a := w.do(c)
			assert.Contains(t, []int{401, 403}, a.Code, "%s %s: %s", method, path, a.Body)
			assert.Equal(t, code, a.text("code"), "%s %s", method, path)
		}
	}
	// Who set it up leaves, and the publisher stays: it is listed, and the owners remove it.
	w.host.packages[protocol.PackageName{Name: "plain"}].rights[w.ids["alice"]] = 0
	w.host.packages[protocol.PackageName{Name: "plain"}].rights[w.ids["bob"]] = allRights
	assert.Equal(t, 200, w.publish("plain", "3.0.0", w.exchanged("plain"), "").Code)
	assert.Equal(t, 403, w.do(call{method: "GET", path: "/-/package/plain/trust", bearer: alice, otp: w.code("alice")}).Code)
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/package/plain/trust", bearer: bob, otp: w.code("bob")}).Code)
	assert.Equal(t, 204, w.do(call{method: "DELETE", path: "/-/package/plain/trust/" + id, bearer: bob, otp: w.codeAfter("bob")}).Code)
}

// codeAfter returns a code of a later step.
func (w *world) codeAfter(name string) string {
	w.clock.Add(time.Minute)
	return w.code(name)
}

// O-11, OI-39: what an ID token is exchanged for publishes its package and does nothing else, for 15
// minutes at most, and ends with its publisher.
func TestExchangedToken(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.host.add("private", true, w.ids["alice"])
	w.host.add("other", false, w.ids["alice"])
	id := w.trust("plain", "createPackage")
	a := w.do(exchangeOf("plain", w.idToken()))
	require.Equal(t, 201, a.Code, "%s", a.Body)
	assert.Equal(t, "oidc", a.text("token_type"))
	expires, err := time.Parse(time.RFC3339, a.text("expires"))
	require.NoError(t, err)
	assert.Equal(t, 15*time.Minute, expires.Sub(w.clock.Now()))
	secret := a.text("token")
	assert.Regexp(t, `^npm_`, secret)

	for request, want := range map[string]int{
		"GET /plain": 200, "GET /other": 200, "GET /private": 404, "GET /-/package/plain/visibility": 200,
		"GET /-/whoami": 403, "GET /-/npm/v1/user": 403, "GET /-/npm/v1/tokens": 403, "POST /-/npm/v1/tokens": 400,
		"PUT /-/package/plain/dist-tags/next": 403, "DELETE /plain/-rev/7-a": 403, "POST /-/package/plain/access": 403, "GET /-/package/plain/collaborators": 403,
		"GET /-/org/acme/user": 403, "GET /-/auth/v1/self": 200,
	} {
		method, path, _ := strings.Cut(request, " ")
		c := call{method: method, path: path, bearer: secret}
		switch path {
		case "/-/package/plain/dist-tags/next":
			c.body = `"1.0.0"`
		case "/-/package/plain/access":
			c.body = `{"access":"public"}`
		}
		a := w.do(c)
		assert.Equal(t, want, a.Code, "%s: %s", request, a.Body)
	}
	assert.Equal(t, 403, w.publish("other", "3.0.0", secret, "").Code)
	assert.Equal(t, 403, w.publish("new", "1.0.0", secret, "").Code)
	assert.Equal(t, 200, w.publish("plain", "3.0.0", secret, "").Code)
	done := w.events.last(audit.Access)
	assert.Equal(t, id, done.Detail["publisher"])
	assert.Equal(t, issuertest.Repository, done.Detail["repository"])

	self := w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: secret})
	assert.Contains(t, self.Body.String(), `"kind":"publisher"`)

	w.clock.Add(15 * time.Minute)
	assert.Equal(t, 401, w.publish("plain", "3.0.1", secret, "").Code)

	// It ends with its publisher, at once, and with everybody's credentials.
	secret = w.exchanged("plain")
	require.NoError(t, w.auth.Trust().Remove(t.Context(), audit.Actor{}, trust.Package{ID: "id-plain", Name: protocol.PackageName{Name: "plain"}}, id))
	assert.Equal(t, 401, w.publish("plain", "3.0.1", secret, "").Code)
	w.trust("plain", "createPackage")
	secret = w.exchanged("plain")
	require.NoError(t, w.auth.Restored(t.Context()))
	assert.Equal(t, 401, w.publish("plain", "3.0.1", secret, "").Code)

	// Another package of the name is not its package.
	secret = w.exchanged("plain")
	w.host.change(func(h *hosted) { h.id = "id-another" })
	assert.Equal(t, 403, w.publish("plain", "3.0.1", secret, "").Code)
	assert.Equal(t, 404, w.do(exchangeOf("plain", w.idToken())).Code)
}

// last returns the last event of a type that tells of something done.
func (e *events) last(of audit.Type) audit.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range slices.Backward(e.all) {
		if ev.Type == of && ev.Outcome == audit.Done {
			return ev
		}
	}
	return audit.Event{}
}

// A publisher has the permissions that it was given, and no more.
func TestPublisherPermissions(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	id := w.trust("plain", "createStagedPackage")
	a := w.publish("plain", "3.0.0", w.exchanged("plain"), "")
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "OIDC permission denied for this action")
	require.NoError(t, w.auth.Trust().Remove(t.Context(), audit.Actor{}, trust.Package{ID: "id-plain", Name: protocol.PackageName{Name: "plain"}}, id))
	w.trust("plain", "setDistTag")
	secret := w.exchanged("plain")
	assert.Equal(t, 403, w.publish("plain", "3.0.0", secret, "").Code)
	for range 2 { // npm's dist-tag may be several calls
		assert.Equal(t, 200, w.do(call{method: "PUT", path: "/-/package/plain/dist-tags/next", bearer: secret, body: `"1.0.0"`}).Code)
	}
}

// Who may deprecate sends the document back with messages and with nothing else.
func TestPublisherDeprecates(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.host.change(func(h *hosted) { h.private, h.rights = true, nil })
	put := func(bearer, document string) answer {
		c := putDocument("/plain", document)
		c.bearer = bearer
		return w.do(c)
	}
	deprecated := fmt.Sprintf(whole, tagsAsTheyAre, bothMaintain, one+`,"2.0.0":{"version":"2.0.0","deprecated":"no"}`)
	id := w.trust("plain", "createPackage", "setDistTag")
	a := put(w.exchanged("plain"), deprecated)
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "publisher-permission", a.text("code"))
	require.NoError(t, w.auth.Trust().Remove(t.Context(), audit.Actor{}, trust.Package{ID: "id-plain", Name: protocol.PackageName{Name: "plain"}}, id))

	w.trust("plain", "deprecate")
	secret := w.exchanged("plain")
	assert.Equal(t, 200, w.do(call{method: "GET", path: "/plain?write=true", bearer: secret}).Code)
	for what, document := range map[string]string{
		"an owner":          fmt.Sprintf(whole, tagsAsTheyAre, `{"name":"alice"}`, one+","+two),
		"a version removed": fmt.Sprintf(whole, `"latest":"1.0.0","old":"1.0.0"`, bothMaintain, one),
		"a star":            `{"_id":"plain","_rev":"7-a","users":{"bob":true,"alice":true}}`,
		"a star of nobody":  `{"_id":"plain","_rev":"7-a","users":{"bob":true,"":true}}`,
	} {
		a := put(secret, document)
		assert.Equal(t, 403, a.Code, "%s: %s", what, a.Body)
	}
	assert.Equal(t, 403, w.publish("plain", "3.0.0", secret, "").Code)
	assert.Empty(t, w.host.written())
	require.Equal(t, 200, put(secret, deprecated).Code)
	assert.Equal(t, []string{`deprecate plain  {"Deprecated":{"2.0.0":"no"},"Revision":"7-a"}`}, w.host.written())
	assert.Equal(t, issuertest.Repository, w.events.last(audit.Access).Detail["repository"])
}

// Neither the setting that a package takes no tokens, nor an organization that requires a second factor,
// nor keys only, is about a trusted publisher.
func TestPublisherIsNoToken(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	w.host.demand("plain")
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-plain", policy.Settings{Publish: protocol.FactorOnly, KeysOnly: true}))
	assert.Equal(t, 200, w.publish("plain", "3.0.0", w.exchanged("plain"), "").Code)
	w.host.change(func(h *hosted) { h.private, h.rights = true, nil })
	assert.Equal(t, 200, w.publish("plain", "3.0.1", w.exchanged("plain"), "").Code, "also of a private package")
	// A rule of the host's may forbid it, and cannot ask it for a factor.
	w.auth.SetPolicy(policy.NPM().With(policy.Rule{
		ID: "always", Sentence: "Every publish takes a person.", Actions: []protocol.Action{protocol.Publish},
		Judge: func(*policy.Request) policy.Verdict { return policy.NeedProof },
	}))
	a := w.publish("plain", "3.0.2", w.exchanged("plain"), "")
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "Every publish takes a person.")
}

// OI-30: whatever is not there, or does not match, is answered alike. The operator hears which claim
// differs, and who presents the token only that it does not match.
func TestExchangeRefused(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.host.add("without", false, w.ids["alice"])
	w.host.add("hidden", true, w.ids["alice"])
	id := w.trust("plain", "createPackage")
	other := map[string]any{"repository": "acme/other"}
	var first answer
	for i, a := range []answer{ // PC-35
		w.do(exchangeOf("absent", w.idToken())), w.do(exchangeOf("without", w.idToken())), w.do(exchangeOf("hidden", w.idToken())), w.do(exchangeOf("plain", w.idToken(other))),
	} {
		if i == 0 {
			first = a
		}
		assert.Equal(t, 404, a.Code)
		assert.Equal(t, first.Body.String(), a.Body.String())
		assert.Equal(t, first.Header(), a.Header())
	}
	assert.Contains(t, first.text("message"), "OIDC token exchange error - package not found")
	var pnpm struct{ Body struct{ Message string } }
	require.NoError(t, json.Unmarshal(first.Body.Bytes(), &pnpm))
	assert.Equal(t, first.text("message"), pnpm.Body.Message, "where pnpm looks for it")
	assert.Contains(t, first.Header().Get("npm-notice"), "none of its trusted publishers matches this job")
	told := w.events.refusals()
	require.Len(t, told, 4)
	assert.Equal(t, []string{"no-trusted-publisher"}, told[3].Reasons)
	assert.Equal(t, `repository is different: "acme/other", expected "acme/widget"`, strings.Split(told[3].Detail["publisher "+id], ";")[0])
	assert.Equal(t, trust.GitHubURL, told[0].Detail["issuer"])

	// G-08: what is no ID token of a configured issuer for this registry is exchanged for nothing, a token of ours neither.
	ours, _ := w.token("alice", token.Spec{Grants: grantsOn("plain")})
	ofJob := w.exchanged("plain")
	issued := w.exchanges()
	for _, bearer := range []string{ours, ofJob, "x", "eyJhbGciOiJSUzI1NiJ9.e30.eA", w.idToken(map[string]any{"aud": "npm:registry.other.test"}), w.idToken(map[string]any{"iss": "https://ci.evil.test"}), w.login("alice")} {
		a := w.do(exchangeOf("plain", bearer))
		assert.Equal(t, 401, a.Code, "%s: %s", bearer, a.Body)
		assert.Contains(t, a.text("message"), "OIDC token exchange error - ")
	}
	a := w.do(exchangeOf("plain", ""))
	assert.Equal(t, 400, a.Code)
	a = w.do(call{method: "POST", path: "/-/npm/v1/oidc/token/exchange/package/plain", header: map[string]string{"Authorization": "Basic YTpi"}})
	assert.Contains(t, []int{400, 401}, a.Code)
	assert.Equal(t, issued, w.exchanges())

	// A rule of the host's that reads the package reveals nothing of it.
	w.auth.SetPolicy(policy.NPM().With(policy.Rule{
		ID: "curious", Sentence: "It is there.", Judge: func(r *policy.Request) policy.Verdict {
			if r.Operation.Action == protocol.ExchangeToken && r.Package.ID != "" {
				return policy.Forbid
			}
			return policy.Silent
		},
	}))
	a = w.do(exchangeOf("plain", w.idToken()))
	assert.Equal(t, first.Body.String(), a.Body.String())
}

// An outage of who verifies is none of the token's fault.
func TestExchangeOutage(t *testing.T) {
	for name, verifier := range map[string]trust.TokenVerifier{"an error": broken{}, "a panic": broken{panics: true}} {
		w := newWorld(t, trusts, func(cfg *npmauth.Config) {
			cfg.Trust.Verifier = func(trust.VerifierConfig) (trust.TokenVerifier, error) { return verifier, nil }
		})
		w.alice(protocol.AuthAndWrites)
		w.trust("plain", "createPackage")
		a := w.do(exchangeOf("plain", w.idToken()))
		assert.Equal(t, 503, a.Code, name)
		assert.Empty(t, w.events.refusals(), name)
	}
}

// OI-14, OI-15, O-04: an ID token counts once for each package, on whichever node, until the leeway is over.
func TestExchangeOnce(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.host.add("second", false, w.ids["alice"])
	w.trust("plain", "createPackage")
	w.trust("second", "createPackage")
	other := newWorld(t, trusts, func(cfg *npmauth.Config) {
		cfg.Store, cfg.Packages, cfg.Now = w.store, w.host, w.clock.Now
	})
	bearer := w.idToken()
	var wg sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		wg.Go(func() { codes[i] = []*world{w, other}[i%2].do(exchangeOf("plain", bearer)).Code })
	}
	wg.Wait()
	slices.Sort(codes)
	assert.Equal(t, []int{201, 401, 401, 401, 401, 401, 401, 401}, codes)
	a := w.do(exchangeOf("plain", bearer))
	assert.Contains(t, a.text("message"), "exchanged for this package before")
	assert.Equal(t, 201, w.do(exchangeOf("second", bearer)).Code, "npm publish --workspaces has one for all")
	w.clock.Add(5*time.Minute + leeway - time.Second)
	assert.Equal(t, 401, w.do(exchangeOf("plain", bearer)).Code)
	w.clock.Add(time.Second)
	assert.Equal(t, 401, w.do(exchangeOf("second", bearer)).Code)
	assert.Equal(t, 2, w.exchanges())
}

// The dry run: owners see for each publisher which claim differs, of a token that nobody else has used
// up by it, of one that has expired, and of claims alone.
func TestCheckTrust(t *testing.T) {
	w := newWorld(t, trusts)
	s := w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	check := func(body any) (a answer, c struct {
		Problem    string
		Used       bool
		Publishers []struct {
			Publisher   map[string]any
			Matches     bool
			Differences []trust.Difference
		}
	}) {
		t.Helper()
		w.clock.Add(time.Minute)
		a = w.do(call{method: "POST", path: "/-/auth/v1/trust/plain/check", bearer: s, otp: w.code("alice"), body: body})
		if a.Code == 200 {
			require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(a.Body.String(), `"reason":"different"`, `"reason":3`)), &c))
		}
		return a, c
	}
	w.clock.Add(time.Minute)
	right := w.idToken()
	_, c := check(map[string]string{"id_token": right})
	require.Len(t, c.Publishers, 1)
	assert.True(t, c.Publishers[0].Matches)
	assert.Empty(t, c.Problem)
	assert.False(t, c.Used)
	require.Equal(t, 201, w.do(exchangeOf("plain", right)).Code, "it is not used up")
	_, c = check(map[string]string{"id_token": right})
	assert.True(t, c.Used)

	_, c = check(map[string]string{"id_token": w.idToken(map[string]any{"repository": "acme/other"})})
	assert.False(t, c.Publishers[0].Matches)
	assert.Equal(t, trust.Difference{Claim: "repository", Reason: trust.Different, Expected: "acme/widget", Presented: "acme/other"}, c.Publishers[0].Differences[0])
	_, c = check(map[string]string{"id_token": w.idToken(map[string]any{"aud": "npm:registry.other.test"})})
	assert.NotEmpty(t, c.Problem)
	assert.True(t, c.Publishers[0].Matches, "its claims are compared all the same")
	_, c = check(map[string]any{"claims": issuertest.GitHub(map[string]any{"iss": trust.GitHubURL})})
	assert.True(t, c.Publishers[0].Matches)

	for _, body := range []any{map[string]any{}, map[string]any{"id_token": right, "claims": map[string]any{}}, map[string]any{"id_token": "x"}, map[string]any{"claims": "x"}, map[string]any{"claims": map[string]any{"iss": "https://ci.evil.test"}}} {
		a, _ := check(body)
		assert.Equal(t, 400, a.Code, "%v: %s", body, a.Body)
	}
	assert.Equal(t, 1, w.exchanges())
	isChallenge(t, w.do(call{method: "POST", path: "/-/auth/v1/trust/plain/check", bearer: s, body: checkBody}))
}

// What the host is told of who publishes.
func TestPublisherIdentity(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	id := w.trust("plain", "createPackage")
	var who host.Identity
	known := false
	h := w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who, known = host.IdentityFrom(r.Context()) }))
	w.send(h, call{method: "GET", path: "/plain", bearer: w.exchanged("plain")})
	require.True(t, known)
	assert.Empty(t, who.User)
	assert.Equal(t, policy.KindPublisher, who.Kind)
	require.NotNil(t, who.Publisher)
	assert.Equal(t, id, who.Publisher.ID)
	assert.Equal(t, "github", who.Publisher.Type)
	assert.Equal(t, issuertest.Repository, who.Publisher.Run["repository"])
	data, err := json.Marshal(who.NPMUser("not used"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"name":"GitHub Actions","email":"","trustedPublisher":{"id":"github","oidcConfigId":"oidc:`+id+`"}}`, string(data))
}

// A leak report ends one, and tells which package it was for.
func TestLeakedPublisherToken(t *testing.T) {
	scanner := leakScanner()
	w := newWorld(t, trusts, scanner.keys)
	w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	secret := w.exchanged("plain")
	a := scanner.report(w, []find{{Token: secret, Type: "npm_token"}})
	require.Equal(t, 200, a.Code, "%s", a.Body)
	assert.Contains(t, a.Body.String(), "true_positive")
	assert.Equal(t, 401, w.publish("plain", "3.0.0", secret, "").Code)
	assert.Equal(t, "plain", w.events.last(audit.Leaked).Package.String())
}

// Where trusted publishers are taken out of the configuration, their tokens are no credentials any more.
func TestTrustTakenAway(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	secret := w.exchanged("plain")
	without := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Packages, cfg.Now = w.store, w.host, w.clock.Now })
	assert.Nil(t, without.auth.Trust())
	assert.Equal(t, 401, without.publish("plain", "3.0.0", secret, "").Code)
	assert.Equal(t, 403, without.do(exchangeOf("plain", w.idToken())).Code)
}

// npm resolves the address of the exchange from the root of the host, whatever the prefix.
func TestExchangeAtTheRoot(t *testing.T) {
	w := newWorld(t, trusts, func(cfg *npmauth.Config) { cfg.BaseURL = "https://npm.acme.test/npm/" })
	w.person("alice")
	w.host.add("plain", false, w.ids["alice"])
	w.trust("plain", "createPackage")
	for _, path := range []string{"/-/npm/v1/oidc/token/exchange/package/plain", "/npm/-/npm/v1/oidc/token/exchange/package/plain"} {
		assert.Equal(t, 201, w.do(call{method: "POST", path: path, bearer: w.idToken()}).Code, path)
	}
}

func TestTrustConfig(t *testing.T) {
	verifier := func(v trust.VerifierConfig) (trust.TokenVerifier, error) { return unsigned(v), nil }
	github := []trust.Issuer{{Kind: trust.KindGitHub, URL: trust.GitHubURL}}
	for says, cfg := range map[string]npmauth.Trust{
		"Config.Trust.Issuers is missing":           {Verifier: verifier},
		"Config.Trust.Verifier is missing":          {Issuers: github},
		"Config.Trust: trust: ManagerConfig.Pub":    {Issuers: github, Verifier: verifier, Publishers: 51},
		"Config.Trust: trust: ManagerConfig.TokenT": {Issuers: github, Verifier: verifier, TokenTTL: 2 * time.Hour},
		"is there twice":                            {Issuers: append(github, github...), Verifier: verifier},
		"returns no verifier":                       {Issuers: github, Verifier: func(trust.VerifierConfig) (trust.TokenVerifier, error) { return nil, nil }},
		"Config.Trust.Verifier: out of order":       {Issuers: github, Verifier: func(trust.VerifierConfig) (trust.TokenVerifier, error) { return nil, fmt.Errorf("out of order") }},
	} {
		_, err := npmauth.New(npmauth.Config{BaseURL: "https://npm.acme.test/", Store: store.NewMemory(), Packages: newBackend(), Hasher: quickHasher(t), Trust: cfg})
		assert.ErrorContains(t, err, says)
	}
}

// broken is a verifier that cannot fetch keys.
type broken struct{ panics bool }

func (b broken) Verify(context.Context, credential.Secret, time.Time) (trust.IDToken, error) {
	if b.panics {
		panic("verifier")
	}
	return trust.IDToken{}, fmt.Errorf("no route to host")
}
