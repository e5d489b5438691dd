package npmauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
)

const ofAcme = ownOrgs + "/acme/trust"

// scoped returns a world in which alice owns the organization acme, bob is a developer in it, and @acme has the packages widget
// and second. Alice is logged in.
func scoped(t *testing.T, change ...func(*npmauth.Config)) (w *world, alice string) {
	t.Helper()
	w = newWorld(t, append([]func(*npmauth.Config){trusts}, change...)...)
	w.acme()
	for _, name := range []string{"@acme/widget", "@acme/second", "@acme-labs/widget", "plain"} {
		w.host.add(name, false, w.ids["alice"])
	}
	return w, w.login("alice")
}

// asAlice sends a request of alice's with a new code.
func (w *world) asAlice(bearer, method, path, body string) answer {
	w.t.Helper()
	w.clock.Add(time.Minute)
	c := call{method: method, path: path, bearer: bearer, otp: w.code("alice")}
	if body != "" {
		c.body = body
	}
	return w.do(c)
}

// publishersAt returns the trusted publishers that a path lists.
func (w *world) publishersAt(bearer, path string) (all []map[string]any) {
	w.t.Helper()
	a := w.asAlice(bearer, "GET", path, "")
	require.Equal(w.t, 200, a.Code, "%s", a.Body)
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &all))
	return all
}

func (w *world) publishTo(escaped, version, bearer string) answer {
	w.t.Helper()
	pkg, err := protocol.ParsePackageName(strings.ReplaceAll(escaped, "%2f", "/"))
	require.NoError(w.t, err)
	c := publishOf(pkg.String(), version)
	c.path, c.bearer = "/"+escaped, bearer
	return w.do(c)
}

// OI-40: an owner of the organization sets a trusted publisher once for all packages of the scope, as those of a package are set, and
// it ends for all of them at once.
func TestScopePublishers(t *testing.T) {
	w, alice := scoped(t)
	require.Empty(t, w.publishersAt(alice, ofAcme))
	isChallenge(t, w.do(call{method: "GET", path: ofAcme, bearer: alice}))
	isChallenge(t, w.do(call{method: "POST", path: ofAcme, bearer: alice, body: trustBody("createPackage")}))
	proof := w.approve(w.do(call{method: "POST", path: ofAcme, bearer: alice, body: trustBody("createPackage")}), "alice",
		"Lets jobs without a token of yours use all packages of the scope", issuertest.Repository)
	w.events.all = nil
	a := w.do(call{method: "POST", path: ofAcme, bearer: alice, otp: proof, body: trustBody("createPackage")})
	require.Equal(t, 201, a.Code, "%s", a.Body)
	told := w.events.last(audit.TrustAdded)
	assert.Equal(t, []any{w.ids["alice"], "acme", protocol.PackageName{}}, []any{told.User, told.Detail["scope"], told.Package})
	listed := w.publishersAt(alice, ofAcme)
	require.Len(t, listed, 1)
	id := listed[0]["id"].(string)
	assert.Equal(t, "acme", listed[0]["scope"])
	assert.Equal(t, listed, w.publishersAt(alice, ownOrgs+"/@acme/trust"))

	for body, want := range map[string]struct {
		status int
		says   string
	}{
		trustBody("createPackage"): {409, "already exists for the scope"},
		trustBody():                {400, "permissions is required and must contain at least one valid route"},
		"{}":                       {400, "array"},
		trustWith(`"issuer":"https://ci.evil.test"`):                                {400, "does not accept tokens of that issuer"},
		trustWith(`"scope":"acme"`):                                                 {400, "scope"},
		strings.Replace(trustBody("createPackage"), `"type"`, `"id":"1","type"`, 1): {400, "id"},
	} {
		a := w.asAlice(alice, "POST", ofAcme, body)
		assert.Equal(t, want.status, a.Code, "%s: %s", body, a.Body)
		assert.Contains(t, a.text("error"), want.says, body)
	}

	// Those who administer a package see who publishes it, and remove what is theirs alone.
	own := w.trust("@acme/second", "setDistTag")
	require.Len(t, w.publishersAt(alice, "/-/package/@acme%2fwidget/trust"), 1)
	ofSecond := w.publishersAt(alice, "/-/package/@acme%2fsecond/trust")
	require.Len(t, ofSecond, 2)
	assert.Equal(t, []any{id, "acme", own, nil}, []any{ofSecond[0]["id"], ofSecond[0]["scope"], ofSecond[1]["id"], ofSecond[1]["scope"]})
	a = w.asAlice(alice, "DELETE", "/-/package/@acme%2fwidget/trust/"+id, "")
	assert.Equal(t, 409, a.Code)
	assert.Equal(t, "publisher-of-scope", a.text("code"))
	assert.Contains(t, a.text("error"), "all packages in the scope @acme")
	assert.Equal(t, 404, w.asAlice(alice, "DELETE", "/-/package/@acme-labs%2fwidget/trust/"+id, "").Code)
	assert.Equal(t, 404, w.asAlice(alice, "DELETE", "/-/package/plain/trust/"+id, "").Code)
	assert.Equal(t, 404, w.asAlice(alice, "DELETE", ofAcme+"/"+own, "").Code, "it is not of the scope")
	assert.Equal(t, 400, w.asAlice(alice, "DELETE", ofAcme+"/1", "").Code)
	assert.Equal(t, "The scope has no such trusted publisher.", w.asAlice(alice, "DELETE", ofAcme+"/"+uuid, "").text("error"))

	// One ID token serves for each package once. The token is for the one package.
	bearer := w.idToken()
	tokens := map[string]string{}
	for _, name := range []string{"@acme%2fwidget", "@acme%2fsecond"} {
		a := w.do(exchangeOf(name, bearer))
		require.Equal(t, 201, a.Code, "%s", a.Body)
		tokens[name] = a.text("token")
		assert.Equal(t, 401, w.do(exchangeOf(name, bearer)).Code)
		exchanged := w.events.last(audit.TrustExchanged)
		assert.Equal(t, []string{"acme", id}, []string{exchanged.Detail["scope"], exchanged.Detail["publisher"]})
	}
	for _, name := range []string{"@acme-labs%2fwidget", "plain", "@acme%2fabsent"} {
		assert.Equal(t, 404, w.do(exchangeOf(name, bearer)).Code, name)
	}
	assert.Equal(t, 200, w.publishTo("@acme%2fwidget", "1.0.0", tokens["@acme%2fwidget"]).Code)
	assert.Equal(t, "acme", w.events.last(audit.Access).Detail["scope"])
	assert.Equal(t, 403, w.publishTo("@acme%2fsecond", "1.0.0", tokens["@acme%2fwidget"]).Code)
	assert.Equal(t, 403, w.publishTo("@acme%2fabsent", "1.0.0", tokens["@acme%2fwidget"]).Code)

	// What is pinned holds for all packages.
	assert.Equal(t, "731", w.publishersAt(alice, ofAcme)[0]["claims"].(map[string]any)["repository_id"])
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fwidget", w.idToken(map[string]any{"repository_id": "999"}))).Code)

	w.events.all = nil
	secret := w.exchanged("@acme%2fwidget")
	require.Equal(t, 204, w.asAlice(alice, "DELETE", ofAcme+"/"+id, "").Code)
	assert.Equal(t, "acme", w.events.last(audit.TrustRemoved).Detail["scope"])
	for _, name := range []string{"@acme%2fwidget", "@acme%2fsecond"} {
		assert.Equal(t, 401, w.publishTo(name, "1.0.1", map[string]string{"@acme%2fwidget": secret, "@acme%2fsecond": tokens["@acme%2fsecond"]}[name]).Code)
		assert.Equal(t, name == "@acme%2fsecond", w.do(exchangeOf(name, w.idToken())).Code == 201, "what is its own stays")
	}
	assert.Empty(t, w.publishersAt(alice, ofAcme))

	for i := range 10 {
		require.Equal(t, 201, w.asAlice(alice, "POST", ofAcme, strings.Replace(trustBody("createPackage"), "release.yml", fmt.Sprintf("release-%d.yml", i), 1)).Code)
	}
	a = w.asAlice(alice, "POST", ofAcme, trustBody("createPackage"))
	assert.Equal(t, 409, a.Code)
	assert.Contains(t, a.text("error"), "The scope has as many trusted publishers")
	assert.Equal(t, 201, w.asAlice(alice, "POST", "/-/package/@acme%2fwidget/trust", trustBody("createPackage")).Code, "they do not count together")
}

// Owners of the organization alone, in a session and with a second factor. Who is not in it hears the same as of one that does
// not exist, and a scope without an organization has nobody who administers it.
func TestWhoConfiguresScopeTrust(t *testing.T) {
	w, alice := scoped(t)
	id := w.trustScope("createPackage")
	w.person("carol")
	w.host.orgs["acme "+string(w.ids["carol"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner}
	w.person("dave")
	w.enrol("dave", protocol.AuthAndWrites)
	w.host.packages[acmeWidget.Name].rights[w.ids["dave"]] = allRights
	w.person("erin")
	w.enrol("erin", protocol.AuthAndWrites)
	w.host.orgs["acme "+string(w.ids["erin"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgAdmin}
	bearers := map[string]string{"": "login-required", w.login("bob"): "org-role", w.login("carol"): "no-second-factor", w.login("dave"): "not-found", w.login("erin"): "org-role"}
	for _, grants := range [][]protocol.Grant{grantAll(protocol.ReadWrite), {{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite}}} {
		secret, _ := w.token("alice", token.Spec{Grants: grants})
		bearers[secret] = "session-only"
	}
	bearers[w.exchanged("@acme%2fwidget")] = "session-only"
	requests := map[string]string{ofAcme: "GET", ofAcme + "?": "POST", ofAcme + "/" + id: "DELETE"}
	for bearer, code := range bearers {
		for path, method := range requests {
			send := func(path string) answer {
				c := call{method: method, path: path, bearer: bearer}
				if method == "POST" {
					c.body = trustBody("setDistTag")
				}
				return w.do(c)
			}
			a := send(path)
			assert.Contains(t, []int{401, 403, 404}, a.Code, "%s %s: %s", method, path, a.Body)
			assert.Equal(t, code, a.text("code"), "%s %s", method, path)
			if code == "not-found" {
				absent := send(strings.Replace(path, "acme", "absent", 1))
				assert.Equal(t, absent.Code, a.Code)
				assert.Equal(t, absent.Body.String(), a.Body.String())
			}
		}
	}
	for _, name := range []string{"alice", "absent"} { // a user's own scope has no organization
		for path, method := range requests {
			body := ""
			if method == "POST" {
				body = trustBody("setDistTag")
			}
			a := w.asAlice(alice, method, strings.Replace(path, "acme", name, 1), body)
			assert.Equal(t, "not-found", a.text("code"), "%s %s", method, path)
		}
	}
	list, err := w.auth.Trust().ScopePublishers(t.Context(), nil, acmeScope)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, id, list[0].ID)

	without := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Packages, cfg.Now = w.store, w.host, w.clock.Now })
	for path, method := range requests {
		a := without.do(call{method: method, path: path, bearer: alice})
		assert.Equal(t, 403, a.Code)
		assert.Contains(t, a.text("error"), "does not offer trusted publishing")
	}
}

// The rules of packages and scopes hold for it as for a trusted publisher of the package.
func TestScopePublisherAndRules(t *testing.T) {
	w, _ := scoped(t, stages)
	id := w.trustScope("createStagedPackage")
	secret := w.exchanged("@acme%2fwidget")
	a := w.publishTo("@acme%2fwidget", "1.0.0", secret)
	assert.Equal(t, 403, a.Code)
	assert.Equal(t, "publisher-permission", a.text("code"))
	c := stageOf("@acme/widget", "1.0.0")
	c.path, c.bearer = "/-/stage/package/@acme%2fwidget", secret
	require.Equal(t, 201, w.do(c).Code)
	staged := w.do(call{method: "GET", path: "/-/stage", bearer: w.login("alice")})
	assert.Contains(t, staged.Body.String(), "trusted automation")
	require.NoError(t, w.auth.Trust().Remove(t.Context(), audit.Actor{}, acmeScope, id))

	w.trustScope("createPackage")
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{StageOnly: true}))
	a = w.publishTo("@acme%2fwidget", "1.0.1", w.exchanged("@acme%2fwidget"))
	assert.Equal(t, 403, a.Code)
	assert.Contains(t, a.text("error"), "E_STAGE_REQUIRED")
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{PublishersOnly: true, KeysOnly: true}))
	assert.Equal(t, 200, w.publishTo("@acme%2fwidget", "1.0.2", w.exchanged("@acme%2fwidget")).Code)
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fnew", w.idToken())).Code, "it creates none")

	// A package whose only publisher is that of its scope has one.
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{}))
	alice := w.login("alice")
	for name, told := range map[string]bool{"@acme%2fwidget": false, "plain": true} {
		a := w.asAlice(alice, "POST", "/-/package/"+name+"/access", `{"publishers_only":true}`)
		require.Equal(t, 200, a.Code, "%s", a.Body)
		assert.Equal(t, told, strings.Contains(a.Header().Get("npm-notice"), "no trusted publisher"), name)
	}
}

// The dry run compares with those of the scope, too.
func TestCheckScopeTrust(t *testing.T) {
	w, alice := scoped(t)
	id := w.trustScope("createPackage")
	for claims, matches := range map[string]bool{"acme/widget": true, "acme/other": false} {
		data, err := json.Marshal(map[string]any{"claims": issuertest.GitHub(map[string]any{"iss": trust.GitHubURL, "repository": claims, "workflow_ref": claims + "/.github/workflows/release.yml@refs/heads/main", "job_workflow_ref": claims + "/.github/workflows/release.yml@refs/heads/main"})})
		require.NoError(t, err)
		a := w.asAlice(alice, "POST", "/-/auth/v1/trust/@acme%2fwidget/check", string(data))
		require.Equal(t, 200, a.Code, "%s", a.Body)
		var c struct {
			Publishers []struct {
				Publisher struct{ ID, Scope string }
				Matches   bool
			}
		}
		require.NoError(t, json.Unmarshal(a.Body.Bytes(), &c))
		require.Len(t, c.Publishers, 1)
		assert.Equal(t, []any{id, "acme", matches}, []any{c.Publishers[0].Publisher.ID, c.Publishers[0].Publisher.Scope, c.Publishers[0].Matches})
	}
	require.Equal(t, 404, w.do(exchangeOf("@acme%2fwidget", w.idToken(map[string]any{"repository": "acme/other"}))).Code)
	assert.Contains(t, w.events.refusals()[0].Detail["publisher "+id], "repository is different")
}

// OI-40: where there is no organization of that name any more, or another, its publishers count for nothing.
func TestScopeTrustOfAnotherOrganization(t *testing.T) {
	w, alice := scoped(t)
	w.trustScope("createPackage")
	require.Equal(t, 201, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)
	org := func(facts policy.OrgFacts) {
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		for _, name := range []string{"alice", "bob"} {
			w.host.orgs["acme "+string(w.ids[name])] = facts
		}
	}
	org(policy.OrgFacts{})
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)
	org(policy.OrgFacts{ID: "o-9", Role: protocol.OrgOwner})
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)
	assert.Empty(t, w.publishersAt(alice, ofAcme))
	assert.Empty(t, w.publishersAt(alice, "/-/package/@acme%2fwidget/trust"))
	assert.Equal(t, 201, w.asAlice(alice, "POST", ofAcme, trustBody("createPackage")).Code)
	require.Len(t, w.publishersAt(alice, ofAcme), 1)
	assert.Equal(t, 201, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)
	org(policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner})
	assert.Empty(t, w.publishersAt(alice, ofAcme))

	// An outage of the host's is none of the job's.
	w.host.mu.Lock()
	w.host.fail = assert.AnError
	w.host.mu.Unlock()
	assert.Equal(t, 503, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)
}

// orgsOutage is a table of organizations that is out while err is set. It counts how often it is asked.
type orgsOutage struct {
	host.Orgs
	err   error
	asked int
}

func (o *orgsOutage) OrgFacts(ctx context.Context, org string, user protocol.UserID) (policy.OrgFacts, error) {
	o.asked++
	if o.err != nil {
		return policy.OrgFacts{}, o.err
	}
	return o.Orgs.OrgFacts(ctx, org, user)
}

// OI-30: what the host says of the organization, or does not, tells no stranger whether there is a package. And the maintainers
// remove a publisher of the package's own whatever it says.
func TestScopeTrustOfUnknownOrganization(t *testing.T) {
	orgs := &orgsOutage{}
	w, alice := scoped(t, func(cfg *npmauth.Config) { orgs.Orgs, cfg.Orgs = cfg.Orgs, orgs })
	w.host.add("@acme/hidden", true, w.ids["alice"])
	id := w.trust("@acme/widget", "createPackage")
	exchange := func(path string) (a answer, asked int) {
		before := orgs.asked
		a = w.do(exchangeOf(path, w.idToken()))
		return a, orgs.asked - before
	}
	for code, err := range map[int]error{404: nil, 503: assert.AnError} {
		orgs.err = err
		hidden, times := exchange("@acme%2fhidden")
		absent, others := exchange("@acme%2fabsent")
		assert.Equal(t, code, hidden.Code)
		assert.Equal(t, code, absent.Code)
		assert.Equal(t, hidden.Body.String(), absent.Body.String())
		assert.Equal(t, times, others, code)
	}
	orgs.err = assert.AnError
	assert.Equal(t, 204, w.asAlice(alice, "DELETE", "/-/package/@acme%2fwidget/trust/"+id, "").Code)
	assert.Equal(t, 503, w.asAlice(alice, "DELETE", "/-/package/@acme%2fwidget/trust/"+id, "").Code, "it may be of the scope")
}

// A class of credentials has the tokens of a scope's publishers, by the package that each is for.
func TestRevokeClassOfScopePublishers(t *testing.T) {
	w, _ := scoped(t)
	w.trustScope("createPackage")
	widget, second := w.exchanged("@acme%2fwidget"), w.exchanged("@acme%2fsecond")
	count := func(c npmauth.CredentialClass) (n int) {
		for _, err := range w.auth.CredentialsOf(t.Context(), c) {
			require.NoError(t, err)
			n++
		}
		return n
	}
	ofScope := npmauth.CredentialClass{Kind: policy.KindPublisher, Scope: "acme"}
	require.Equal(t, 2, count(ofScope))
	_, err := w.auth.RevokeClass(t.Context(), npmauth.CredentialClass{Kind: policy.KindPublisher, Package: acmeWidget.Name}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, count(ofScope))
	assert.Equal(t, 401, w.publishTo("@acme%2fwidget", "1.0.0", widget).Code)
	assert.Equal(t, 200, w.publishTo("@acme%2fsecond", "1.0.0", second).Code)
}

// What former owners of a scope have set up for all of it ends, and nothing else: what belongs to a package stays, as what
// belongs to the scope stays when a package changes hands.
func TestTransferredScope(t *testing.T) {
	w, _ := scoped(t)
	w.trustScope("createPackage")
	w.trust("@acme/second", "createPackage")
	_, err := w.auth.Trust().Add(t.Context(), audit.Actor{}, trust.Scope{Name: "other", Org: "o-2"}, pendingPublisher(t))
	require.NoError(t, err)
	ends := []string{w.exchanged("@acme%2fwidget")}
	scope := func(target protocol.Target, name string) []protocol.Grant {
		return []protocol.Grant{{Target: target, Scope: name, Permission: protocol.ReadWrite}}
	}
	inScope := []protocol.Grant{{Target: protocol.OnePackage, Package: acmeWidget.Name, Permission: protocol.ReadWrite}}
	for _, grants := range [][]protocol.Grant{scope(protocol.OneScope, "acme"), scope(protocol.OneOrg, "acme"), inScope, append(scope(protocol.OneScope, "acme"), inScope...)} {
		secret, _ := w.token("alice", token.Spec{Grants: grants})
		ends = append(ends, secret)
	}
	stays := []string{w.exchanged("@acme%2fsecond"), w.login("alice")}
	for _, grants := range [][]protocol.Grant{grantAll(protocol.ReadWrite), scope(protocol.OneScope, "acme-labs"), scope(protocol.OneOrg, "other"), append(grantsOn("plain"), inScope...)} {
		secret, _ := w.token("alice", token.Spec{Grants: grants})
		stays = append(stays, secret)
	}
	require.NoError(t, w.auth.SetScope(t.Context(), "acme", settings.Scope{KeysOnly: true}))
	require.NoError(t, w.auth.Transferred(t.Context(), acmeWidget.Name, acmeWidget.ID))
	assert.Equal(t, 200, w.publishTo("@acme%2fwidget", "1.0.0", ends[0]).Code, "of the scope, which has its owners")
	ends = append(ends[:3:3], ends[4:]...) // that for the package alone ended with its owners

	w.events.all = nil
	require.NoError(t, w.auth.TransferredScope(t.Context(), "acme"))
	assert.Equal(t, map[string]string{"scope": "acme"}, w.events.last(audit.ScopeTransferred).Detail)
	assert.Equal(t, map[string]string{"scope": "acme", "publishers": "1"}, w.events.last(audit.TrustRemoved).Detail)
	assert.Equal(t, []string{"transferred"}, w.events.last(audit.TrustRemoved).Reasons)
	for i, bearer := range ends {
		assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: bearer}).Code, i)
	}
	for i, bearer := range stays {
		assert.Equal(t, 200, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: bearer}).Code, i)
	}
	assert.Equal(t, 404, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)
	assert.Equal(t, 201, w.do(exchangeOf("@acme%2fsecond", w.idToken())).Code)
	list, err := w.auth.Trust().ScopePublishers(t.Context(), nil, trust.Scope{Name: "other", Org: "o-2"})
	require.NoError(t, err)
	assert.Len(t, list, 1)
	is, err := w.auth.Scope(t.Context(), "acme")
	require.NoError(t, err)
	assert.Equal(t, settings.Scope{KeysOnly: true}, is, "settings forbid, and stay")

	w.events.all = nil
	require.NoError(t, w.auth.TransferredScope(t.Context(), "nobodys"))
	require.Len(t, w.events.all, 1)
	for _, name := range []string{"", "@acme", "a/b"} {
		assert.Error(t, w.auth.TransferredScope(t.Context(), name), name)
	}
}

// What a former owner was about to commit is decided on once more.
func TestTransferredScopeMeanwhile(t *testing.T) {
	for strikes := 0; ; {
		st := storetest.NewFaulty(store.NewMemory())
		w := newWorld(t, trusts, func(cfg *npmauth.Config) { cfg.Store = st })
		c := call{method: "POST", path: ofAcme, body: trustBody("createPackage"), bearer: w.alice(protocol.AuthAndWrites)}
		c.otp = w.code("alice")
		other := newWorld(t, trusts, func(cfg *npmauth.Config) { cfg.Store, cfg.Packages, cfg.Now = st, w.host, w.clock.Now })
		n := 0
		st.Inject(storetest.Fault{
			If: func(c storetest.Call) bool {
				if c.Kind == storetest.Commits {
					n++
				}
				return c.Kind == storetest.Commits && n == strikes
			},
			Do: func() {
				w.host.mu.Lock()
				w.host.orgs["acme "+string(w.ids["alice"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgMember}
				w.host.mu.Unlock()
				require.NoError(t, other.auth.TransferredScope(t.Context(), "acme"))
			},
		})
		a := w.do(c)
		if strikes == 0 { // the last commit, once it is known which that is
			require.Equal(t, 201, a.Code, "%s", a.Body)
			strikes = n
			continue
		}
		require.True(t, st.Struck())
		assert.Equal(t, 403, a.Code, "%s", a.Body)
		assert.False(t, w.stored(trust.ScopeKey("acme")))
		return
	}
}

// Wherever the store fails, the error says to call it once more, and that ends the rest.
func TestTransferredScopeAfterAnOutage(t *testing.T) {
	prepare := func() (w *world, st *storetest.Faulty, ends []string) {
		st = storetest.NewFaulty(store.NewMemory())
		w = newWorld(t, trusts, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh = st, -1 })
		w.alice(protocol.AuthAndWrites)
		w.trustScope("createPackage")
		ends = append(ends, w.exchanged("@acme%2fwidget"))
		for range 2 {
			secret, _ := w.token("alice", token.Spec{Grants: []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}}, Bypass: true})
			ends = append(ends, secret)
		}
		return w, st, ends
	}
	w, st, _ := prepare()
	calls := 0
	st.Inject(storetest.Fault{If: func(storetest.Call) bool { calls++; return false }})
	require.NoError(t, w.auth.TransferredScope(t.Context(), "acme"))
	require.Greater(t, calls, 5)
	for nth := 1; nth <= calls; nth++ {
		w, st, ends := prepare()
		n := 0
		st.Inject(storetest.Fault{If: func(storetest.Call) bool { n++; return n == nth }})
		err := w.auth.TransferredScope(t.Context(), "acme")
		require.ErrorIs(t, err, storetest.ErrFault, nth)
		assert.ErrorContains(t, err, "call it once more", nth)
		st.Mend()
		require.NoError(t, w.auth.TransferredScope(t.Context(), "acme"), nth)
		for i, bearer := range ends {
			assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: bearer}).Code, "%d, %d", nth, i)
		}
	}
}

// ST-08: what one node has read of a scope is true there from then on, also of the tokens that it remembers, of each package.
func TestScopeTrustOnAnotherNode(t *testing.T) {
	w, alice := scoped(t, func(cfg *npmauth.Config) { cfg.Fresh = time.Hour })
	id := w.trustScope("createPackage")
	other := newWorld(t, trusts, func(cfg *npmauth.Config) {
		cfg.Store, cfg.Packages, cfg.Orgs, cfg.Now = w.store, w.host, w.host, w.clock.Now
	})
	var secrets []string
	for _, name := range []string{"@acme%2fwidget", "@acme%2fsecond"} {
		secrets = append(secrets, w.exchanged(name))
	}
	self := func(secret string) int {
		return w.do(call{method: "GET", path: "/-/auth/v1/self", bearer: secret}).Code
	}
	for _, secret := range secrets {
		require.Equal(t, 200, self(secret))
	}
	require.NoError(t, other.auth.Trust().Remove(t.Context(), audit.Actor{}, acmeScope, id))
	for _, secret := range secrets {
		require.Equal(t, 200, self(secret), "it is remembered")
	}
	assert.Empty(t, w.publishersAt(alice, "/-/package/@acme%2fwidget/trust"))
	for _, secret := range secrets {
		assert.Equal(t, 401, self(secret))
	}
}
