package npmauth_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/internal/keystest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

const trustPage = "/-/auth/trust?package="

// fact asserts what a page says of a term.
func (b *tab) fact(term, text string) {
	b.w.t.Helper()
	b.is(200, "<dt>"+term+"</dt><dd><bdi>"+text+"</bdi></dd>")
}

// A maintainer lists, adds and removes trusted publishers on their page, each with a second factor, as with npm
// trust.
func TestTrustPage(t *testing.T) {
	w := newWorld(t, trusts)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	w.host.add("@acme/widget", false, w.ids["alice"])
	b := w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=@acme/widget")
	b.open(b.has(`<a href="([^"]+)">Trusted publishers of @acme/widget</a>`)).is(200, "<h2>@acme/widget</h2>")
	b.has(`<a href="/-/auth/packages\?package=%40acme%2Fwidget">Publishing access of @acme/widget</a>`)
	b.has(`<a href="/-/auth/trust" aria-current="page">Trusted publishers</a>`)
	b.has(`name="permission.createStagedPackage" value="yes" checked`)
	assert.Equal(t, 1, strings.Count(b.Body.String(), " checked"), "publishing is not chosen beforehand")
	b.is(200, "Publish versions, which is not recommended")

	b.submit("list").is(403, "one-time pass")
	b.submit("list", "code", "000000").is(403, "wrong")
	b.submit("list", "code", w.codeAfter("alice")).is(200, "There are none yet.")

	fields := []string{
		"claims.repository", "acme", "claims.workflow_ref.file", "release.yml", "claims.environment", "prod <1>", "allow_events", "push, release",
		"ref_protected", "yes", "permission.createStagedPackage", "yes", "permission.setDistTag", "yes",
	}
	b.submit("add", append(fields, "code", w.codeAfter("alice"))...).is(400, "Repository must be owner/repository, as in acme/widget.")
	b.is(400, `value="prod &lt;1&gt;"`)
	b.is(400, "<details open>")
	b.has(`name="permission.setDistTag" value="yes" checked`)
	assert.Less(t, strings.Index(b.Body.String(), `id="problem"`), strings.Index(b.Body.String(), `name="claims.repository"`), "the sentence is at the form")
	b.submit("add", "claims.repository", "acme/widget", "code", w.code("alice")).is(422, "Choose what the publisher may do.")
	fields[1] = "acme/widget"
	b.submit("add", fields...).is(403, "one-time pass")
	b.submit("add", append(fields, "code", w.codeAfter("alice"))...).is(200, "GitHub Actions: acme/widget is a trusted publisher of @acme/widget now.")
	b.is(200, "<h2>@acme/widget</h2>")
	assert.NotContains(t, b.Body.String(), "prod", "the form is a new one")
	b.submit("add", append(fields, "code", w.codeAfter("alice"))...).is(409, "already exists")

	b.submit("list", "code", w.codeAfter("alice")).is(200, "<h4><bdi>GitHub Actions: acme/widget</bdi></h4>")
	b.fact("Workflow file", "release.yml")
	b.fact("Environment", "prod &lt;1&gt;")
	b.fact("Branches and tags", "only protected ones")
	b.fact("Events", "push, release")
	b.fact("Repository ID", "that of the first job that matches")
	b.fact("May", "stage versions, set dist-tags")
	b.is(200, "the tokens that its running jobs have are dead at once")
	remove := b.has(`value="(remove:[^"]+)"`)
	b.submit(remove, "code", "000000").is(403, "wrong")
	b.is(403, "Remove <bdi>GitHub Actions: acme/widget</bdi>?")
	b.submit(remove, "code", w.codeAfter("alice")).is(200, "The trusted publisher of @acme/widget is removed, and the tokens that its jobs had are dead.")
	b.submit("list", "code", w.codeAfter("alice")).is(200, "There are none yet.")

	b.open(html.UnescapeString(b.has(`<a href="([^"]+)">GitLab</a>`))).is(200, `name="claims.ci_config_ref_uri.file" value=".gitlab-ci.yml"`)
	b.submit("add", "claims.project_path", "acme/tools/widget", "permission.createPackage", "yes", "claims.ci_config_ref_uri.file", "ci/npm.yml", "allow_events", "merge_request_event", "code", w.codeAfter("alice"))
	b.is(400, "Pipeline sources must not have merge_request_event")
	b.submit("add", "claims.project_path", "acme/tools/widget", "claims.ci_config_ref_uri.file", "ci/npm.yml", "permission.createPackage", "yes", "code", w.codeAfter("alice"))
	b.is(200, "GitLab: acme/tools/widget is a trusted publisher")
	b.submit("list", "code", w.codeAfter("alice"))
	b.fact("Pipeline file", "ci/npm.yml")
	b.fact("Environment", "any, or none")
	b.fact("Branches and tags", "all")
	b.fact("May", "publish versions")
}

// With a security key it takes no code.
func TestTrustPageWithKeys(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	b := w.tab()
	b.signIn("alice", "trust")
	b.open(trustPage+"plain").is(200, "keys.js")
	b.signWith("blue", "add", "key", "claims.repository", "acme/widget", "claims.workflow_ref.file", "release.yml", "permission.createPackage", "yes")
	b.is(200, "is a trusted publisher of plain now")
	b.signWith("blue", "list", "key").is(200, "<bdi>GitHub Actions: acme/widget</bdi>")
	code, options := b.ask("check", "key", "presented", w.idToken())
	require.Equal(t, 200, code, options)
	b.submit("check", "presented", w.idToken(), "by", "key", "key", string(keystest.Sign([]byte(options), "blue"))).is(200, "It matches.")
}

// A check says in which claims an ID token differs from each publisher, and keeps nothing of it: it is a
// secret, and is used up by nothing but the exchange.
func TestTrustPageChecks(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	b := w.tab()
	b.signIn("alice", "trust")
	b.open(trustPage + "plain")
	var presented []string
	check := func(text string) *tab {
		t.Helper()
		b.submit("check", "presented", text, "code", w.codeAfter("alice"))
		for _, part := range strings.Split(text, ".") {
			if len(part) > 40 {
				presented = append(presented, part)
				assert.NotContains(t, b.Body.String(), part)
			}
		}
		return b
	}
	token := w.idToken()
	check(token[:30]+"\r\n  "+token[30:]+"\n").is(200, "It matches.")
	b.is(200, "It is a secret until it expires")
	assert.Empty(t, b.Header().Get("Location"))
	check(token)
	require.NotContains(t, b.Body.String(), "exchanged for this package")
	require.Equal(t, 201, w.do(exchangeOf("plain", token)).Code, "it was not used up")
	check(token).is(200, "This ID token was exchanged for this package before")

	check(w.idToken(map[string]any{"repository": "acme/<b>", "event_name": "pull_request", "repository_owner_id": nil})).is(200, "It does not match")
	for claim, values := range map[string][2]string{
		"repository": {issuertest.Repository, "acme/&lt;b&gt;"}, "event_name": {"push, release, workflow_dispatch, schedule, repository_dispatch", "pull_request"},
		"repository_owner_id": {issuertest.OwnerID, "null, which is malformed"},
	} {
		b.is(200, `<th scope="row"><bdi>`+claim+`</bdi></th><td><bdi>`+values[0]+`</bdi></td><td><bdi>`+values[1]+`</bdi></td>`)
	}
	forged := w.idToken()
	check(forged[:len(forged)-4]+"AAAA").is(200, "The ID token is not valid here: <bdi>its signature is wrong</bdi>")
	b.is(200, "It matches.")
	check(`{"iss":"https://token.actions.githubusercontent.com","repository":"acme/other"}`).is(200, "<bdi>acme/other</bdi>")
	assert.NotContains(t, b.Body.String(), "was not used up", "there is none")
	check(`{"iss":"https://ci.evil.test"}`).is(400, "does not accept ID tokens of that issuer")
	for _, text := range []string{"", "x", "{", `{"iss":1,"iss":2}`, `{"value":"` + token + `"}`, strings.Repeat(token, 20)} {
		check(text)
		assert.Contains(t, []int{400, 422}, b.Code, text)
	}
	b.is(400, "neither an ID token nor")
	for _, e := range w.events.all {
		for _, value := range e.Detail {
			assert.NotContains(t, presented, value)
		}
	}
}

// The page shows of a package what the API says of it to who asks: that of another is like one that does
// not exist.
func TestTrustPageOfOthers(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createPackage")
	w.host.add("hidden", true, w.ids["alice"])
	w.host.add("@evil/hidden", true, w.ids["alice"]) // in whose scope bob creates nothing
	for _, name := range []string{"bob", "carol"} {
		w.person(name)
	}
	w.enrol("bob", protocol.AuthAndWrites)
	plain := w.host.packages[protocol.PackageName{Name: "plain"}]
	plain.rights[w.ids["bob"]], plain.rights[w.ids["carol"]] = policy.RightRead|policy.RightWrite, allRights

	b := w.tab()
	b.signIn("bob", "trust")
	hidden := strings.ReplaceAll(b.open(trustPage+"@evil/hidden").has(`role="alert">([^<]+)<`), "hidden", "absent")
	assert.Equal(t, hidden, b.open(trustPage+"@evil/absent").has(`role="alert">([^<]+)<`))
	for name, text := range map[string]string{"plain": "no permission to manage", "no such name": "not the name of a package"} {
		b.open(trustPage+url.QueryEscape(name)).is(200, text)
		assert.NotContains(t, b.Body.String(), `value="list"`, name)
		assert.NotContains(t, b.Body.String(), "acme/widget", name)
	}
	// The forms are another package's, and the API refuses them.
	w.host.add("own", false, w.ids["bob"])
	b.open(trustPage + "own")
	for _, decision := range []string{"list", "add", "check", "remove:" + uuid} {
		b.open(trustPage + "own")
		path, values := b.form("list")
		values.Set("decision", decision)
		values.Set("permission.createPackage", "yes")
		values.Set("system", "github")
		values.Set("presented", `{"iss":"x"}`)
		values.Set("code", w.codeAfter("bob"))
		values.Set("package", "plain")
		b.post(path, values)
		b.is(403, "no permission to manage")
		assert.NotContains(t, b.Body.String(), issuertest.Repository, decision)
		values.Set("package", "hidden")
		b.post(path, values)
		assert.Equal(t, 404, b.Code, decision)
	}

	b = w.tab()
	b.signIn("carol", "trust")
	b.open(trustPage+"plain").is(200, "Your account has no second factor")
	b.is(200, `<a href="/-/auth/security">Turn on two-factor authentication</a>`)
}

// Nothing is done but for a form of the page, and whoever is not signed in sees nothing.
func TestTrustPageForgery(t *testing.T) {
	w := newWorld(t, trusts)
	w.alice(protocol.AuthAndWrites)
	id := w.trust("plain", "createPackage")
	b := w.tab()
	b.open(trustPage+"plain").is(200, "Sign in to")
	b.signIn("alice", "trust")
	b.open(trustPage + "plain")
	path, values := b.form("list")
	values.Set("decision", "remove:"+id)
	values.Set("code", w.codeAfter("alice"))
	before := w.keys("trust")
	b.open(path+"?"+values.Encode()).is(200, "plain")
	for name, value := range map[string]string{"token": "", "package": "../plain", "decision": "remove:../" + id, "system": "x"} {
		changed := url.Values{}
		for field := range values {
			changed.Set(field, values.Get(field))
		}
		if name == "system" {
			changed.Set("decision", "add")
		}
		changed.Set(name, value)
		b.post(path, changed)
		assert.Contains(t, []int{400, 403, 422}, b.Code, name)
	}
	assert.Equal(t, before, w.keys("trust"))
	b.send(call{method: "DELETE", path: "/-/auth/trust"})
	assert.Equal(t, http.StatusMethodNotAllowed, b.Code)
	b.open("/-/auth/trust/plain").is(404, "")
}

// Where there are no trusted publishers there is no page about them, and no link to it.
func TestNoTrustPage(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "packages")
	b.open("/-/auth/packages?package=plain").is(200, "Publishing access")
	assert.NotContains(t, strings.ToLower(b.Body.String()), "trust")
	b.open("/-/auth/trust").is(404, "")
}

// The page of what happened to an account says which trusted publishers its user added and removed.
func TestTrustActivity(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, trusts, change)
	w.alice(protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "trust")
	b.open(trustPage+"plain").submit("add", "claims.repository", "acme/widget", "claims.workflow_ref.file", "release.yml",
		"permission.createStagedPackage", "yes", "permission.setDistTag", "yes", "code", w.codeAfter("alice"))
	b.submit("list", "code", w.codeAfter("alice"))
	b.submit(b.has(`value="(remove:[^"]+)"`), "code", w.codeAfter("alice")).is(200, "is removed")
	b.open("/-/auth/activity").is(200, "Trusted publisher removed from a package")
	for _, fact := range [][2]string{
		{"CI system", "GitHub Actions"}, {"Repository", "acme/widget"}, {"Workflow file", "release.yml"}, {"May", "stage versions, set dist-tags"},
	} {
		b.fact(fact[0], fact[1])
		assert.Equal(t, 2, strings.Count(b.Body.String(), "<dt>"+fact[0]+"</dt><dd><bdi>"+fact[1]+"</bdi></dd>"), fact[0])
	}
}

// For a name that no package has the page adds what is pending, and says so.
func TestTrustPagePending(t *testing.T) {
	w := newWorld(t, trusts)
	w.person("alice")
	w.enrol("alice", protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "trust")
	b.open(trustPage+"@acme/new").is(200, "<h2>@acme/new</h2>")
	fields := []string{"claims.repository", "acme/widget", "claims.workflow_ref.file", "release.yml", "permission.createPackage", "yes"}
	b.submit("add", append(fields, "code", w.codeAfter("alice"))...).is(400, "There is no package of that name yet.")
	b.submit("add", append(fields, "claims.repository_id", "731", "claims.repository_owner_id", "42", "code", w.codeAfter("alice"))...)
	b.is(200, "GitHub Actions: acme/widget is a pending trusted publisher of @acme/new now")
	b.submit("list", "code", w.codeAfter("alice")).is(200, "<dt>Pending</dt><dd><bdi>until a job creates the package, or 31 March 2026</bdi></dd>")
	b.submit(b.has(`value="(remove:[^"]+)"`), "code", w.codeAfter("alice")).is(200, "is removed")
	b.submit("list", "code", w.codeAfter("alice")).is(200, "There are none yet.")
}

// An owner of an organization does the same for all packages of its scope, on the page that the organization leads to. The page
// of a package shows what its scope trusts, and leads there.
func TestScopeTrustPage(t *testing.T) {
	logs, _ := withLog(t)
	w := newWorld(t, trusts, logs)
	w.acme()
	w.host.add("@acme/widget", false, w.ids["alice"])
	w.host.add("plain", false, w.ids["alice"])
	w.host.orgs["acme "+string(w.ids["bob"])] = policy.OrgFacts{ID: "o-1", Role: protocol.OrgAdmin}
	b := w.tab()
	b.signIn("alice", "orgs")
	b.open("/-/auth/orgs")
	assert.Equal(t, 1, strings.Count(b.Body.String(), "Trusted publishers of all packages"), "not of the organization that alice is an admin of")
	b.open(b.has(`<a href="([^"]+)">Trusted publishers of all packages in the scope @acme</a>`)).is(200, "<h2>@acme</h2>")
	b.has(`<a href="/-/auth/orgs">Organizations</a>`)
	assert.NotContains(t, b.Body.String(), "Check a job")
	b.submit("list").is(403, "one-time pass")
	b.submit("list", "code", w.codeAfter("alice")).is(200, "There are none yet.")
	fields := []string{"claims.repository", "acme/widget", "claims.workflow_ref.file", "release.yml", "permission.createPackage", "yes"}
	b.submit("add", append(fields, "code", w.codeAfter("alice"))...).is(200, "GitHub Actions: acme/widget is a trusted publisher of @acme now.")
	b.is(200, "<h2>@acme</h2>")
	b.submit("add", append(fields, "code", w.codeAfter("alice"))...).is(409, "already exists for the scope")
	b.open(html.UnescapeString(b.has(`<a href="([^"]+)">GitLab</a>`))).is(200, "<h2>@acme</h2>")
	require.Equal(t, 201, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)

	b.open(trustPage+"@acme/widget").is(200, "<h2>@acme/widget</h2>")
	b.submit("list", "code", w.codeAfter("alice")).is(200, "<h4><bdi>GitHub Actions: acme/widget</bdi></h4>")
	b.is(200, "It publishes all packages in the scope @acme.")
	assert.NotContains(t, b.Body.String(), `value="remove:`)
	b.open(b.has(`<a href="([^"]+)">Trusted publishers of @acme</a>`))
	b.submit("list", "code", w.codeAfter("alice")).is(200, "<h2>@acme</h2>")
	b.fact("Repository ID", "731")
	remove := b.has(`value="(remove:[^"]+)"`)
	b.submit(remove, "code", "000000").is(403, "Remove <bdi>GitHub Actions: acme/widget</bdi>?")
	b.submit(remove, "code", w.codeAfter("alice")).is(200, "The trusted publisher of @acme is removed, and the tokens that its jobs had are dead.")
	b.submit("list", "code", w.codeAfter("alice")).is(200, "There are none yet.")
	require.Equal(t, 404, w.do(exchangeOf("@acme%2fwidget", w.idToken())).Code)

	// What was done last does not say what the page is about.
	b.open(trustPage+"plain").is(200, "<h2>plain</h2>")
	b.submit("check", "org", "acme", "presented", w.idToken(), "code", w.codeAfter("alice"))
	assert.GreaterOrEqual(t, b.Code, 400, "a job is checked against a package")
	for org, says := range map[string]string{"absent": "There is no such organization", "other": "Your role in this organization does not allow this.", "a/b": "That is not the name of an organization."} {
		b.open("/-/auth/trust?org="+url.QueryEscape(org)).is(200, says)
		assert.NotContains(t, b.Body.String(), "List them")
	}

	other := w.tab()
	w.enrol("bob", protocol.AuthAndWrites)
	other.signIn("bob", "orgs")
	other.open("/-/auth/orgs")
	assert.NotContains(t, other.Body.String(), "Trusted publishers of all packages")
	other.open("/-/auth/trust?org=acme").is(200, "Your role in this organization does not allow this.")

	b.open("/-/auth/activity").is(200, "Trusted publisher added to a scope")
	b.is(200, "Trusted publisher removed from a scope")
}
