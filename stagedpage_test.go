package npmauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A maintainer approves several versions on the page with one second factor, and rejects others.
func TestStagedPage(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("@acme/widget", false, w.ids["alice"])
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-@acme/widget", policy.Settings{Approvals: 2}))
	b := w.tab()
	b.signIn("alice", "staged")
	b.is(200, "There are none that you may see.")
	b.has(`<a href="/-/auth/staged" aria-current="page">Staged versions</a>`)
	var ids []string
	for i, name := range []string{"plain", "@acme/widget", "plain", "plain"} {
		w.clock.Add(time.Second)
		ids = append(ids, w.staged(name, fmt.Sprintf("3.%d.0", i), s))
	}
	w.host.writes = nil

	b.open("/-/auth/staged").is(200, "<dt>Approvals</dt><dd>0 of 2</dd>")
	assert.Less(t, strings.Index(b.Body.String(), "plain@3.3.0"), strings.Index(b.Body.String(), "plain@3.0.0"), "newest first")
	assert.NotContains(t, b.Body.String(), " checked")
	tick := func(ids ...string) (fields []string) {
		for _, id := range ids {
			fields = append(fields, "version."+id, "yes")
		}
		return fields
	}
	b.submit("approve", "code", w.codeAfter("alice")).is(422, "Tick the versions first.")
	b.submit("approve", tick(ids[0], ids[1])...).is(403, "one-time pass")
	b.has(`name="version.` + ids[0] + `" value="yes" checked`)
	assert.Equal(t, 2, strings.Count(b.Body.String(), " checked"))
	b.submit("approve", append(tick(ids[0], ids[1]), "code", "000000")...).is(403, "wrong")
	assert.Empty(t, w.host.written())
	code := w.codeAfter("alice")
	b.submit("approve", append(tick(ids[0], ids[1], ids[2]), "code", code)...).is(200, "<bdi>plain@3.0.0</bdi> is published.")
	b.is(200, "<bdi>plain@3.2.0</bdi> is published.")
	b.is(200, "<bdi>@acme/widget@3.1.0</bdi> is approved. It needs 2 approvals and has 1.")
	b.is(200, "<dt>Approvals</dt><dd>1 of 2</dd>")
	assert.Len(t, w.host.written(), 2)
	b.open("/-/auth/staged")
	assert.NotContains(t, b.Body.String(), "is published", "it is said once")
	b.submit("reject", append(tick(ids[1], ids[3]), "code", code)...).is(403, "")
	b.submit("reject", append(tick(ids[1], ids[3]), "code", w.codeAfter("alice"))...).is(200, "<bdi>plain@3.3.0</bdi> is rejected.")
	b.is(200, "There are none that you may see.")
	assert.Empty(t, w.host.kept)
}

// One version has a page of its own, and what is listed may be of one package.
func TestStagedVersionPage(t *testing.T) {
	w := newWorld(t, stages, trusts)
	s := w.alice(protocol.AuthAndWrites)
	w.trust("plain", "createStagedPackage")
	w.host.add("@acme/widget", false, w.ids["alice"])
	byJob, widget := w.staged("plain", "3.0.0", w.exchanged("plain")), w.staged("@acme/widget", "3.0.0", s)
	b := w.tab()
	b.signIn("alice", "staged")
	b.open("/-/auth/staged?package=@acme/widget").is(200, "@acme/widget@3.0.0")
	assert.NotContains(t, b.Body.String(), "plain@3.0.0")
	b.open("/-/auth/staged?package=../x").is(200, "not the name of a package")
	b.open("/-/auth/staged?page=-7").is(200, "plain@3.0.0")
	b.open("/-/auth/staged?page=7").is(200, `<a href="/-/auth/staged?page=6">Newer</a>`)

	b.open("/-/auth/staged").open(b.has(`<a href="([^"]+)"><bdi>plain@3.0.0`)).is(200, "<h1>Staged version plain@3.0.0</h1>")
	b.is(200, "<bdi>a job of GitHub Actions</bdi>")
	b.is(200, "<dt><bdi>repository</bdi></dt><dd><bdi>acme/widget</bdi></dd>")
	b.submit("approve").is(403, "one-time pass")
	b.is(403, "<h1>Staged version plain@3.0.0</h1>")
	b.submit("approve", "code", w.codeAfter("alice")).is(200, "<bdi>plain@3.0.0</bdi> is published.")
	b.is(200, "<h1>Staged versions</h1>")
	b.open("/-/auth/staged/"+byJob).is(404, "")
	b.open("/-/auth/staged/"+widget).submit("reject", "code", w.codeAfter("alice")).is(200, "is rejected.")
	b.open("/-/auth/staged/"+uuid).is(404, "")
	b.open("/-/auth/staged/x").is(404, "")
}

// If one is refused none is approved, and the page says which and why. What the host refuses is said, too.
func TestStagedPageRefused(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	w.host.add("other", false, w.ids["alice"])
	require.NoError(t, w.auth.SetPackage(t.Context(), "id-other", policy.Settings{OtherApprover: true}))
	first, second := w.staged("plain", "3.0.0", s), w.staged("other", "3.0.0", s)
	w.host.writes = nil
	b := w.tab()
	b.signIn("alice", "staged")
	b.submit("approve", "version."+first, "yes", "version."+second, "yes", "code", w.codeAfter("alice"))
	b.is(403, "other@3.0.0: You staged this version and somebody else must approve it.")
	assert.Empty(t, w.host.written())
	assert.Empty(t, w.events.of("version.approved"))
	b.submit("approve", "version."+first, "yes", "version."+uuid, "yes", "code", w.codeAfter("alice")).is(404, uuid+": There is no such staged version")
	assert.Empty(t, w.host.written())

	w.host.change(func(p *hosted) { p.versions = append(p.versions, "3.0.0") })
	b.submit("approve", "version."+first, "yes", "code", w.codeAfter("alice"))
	b.is(200, "<bdi>plain@3.0.0</bdi> is approved, and the registry has not published it. Approve it once more to try again. The registry says: <bdi>changed</bdi>")
	b.is(200, "<dt>Approvals</dt><dd>1 of 1, and not published yet</dd>")
}

// Whoever ticks more than one commit can decide about is told so, with nothing done: the versions stay ticked, and the
// code is good for fewer of them.
func TestStagedPageTooMany(t *testing.T) {
	change, _ := withLog(t)
	w := newWorld(t, stages, change)
	s := w.alice(protocol.AuthAndWrites)
	var fields []string
	for i := range 11 {
		name := fmt.Sprintf("@scope%d/widget", i)
		w.host.add(name, false, w.ids["alice"])
		fields = append(fields, "version."+w.staged(name, "3.0.0", s), "yes")
	}
	w.host.writes = nil
	b := w.tab()
	b.signIn("alice", "staged")
	code := w.codeAfter("alice")
	for decision, fit := range map[string]int{"approve": 10, "reject": 5} {
		b.submit(decision, append(fields, "code", code)...)
		b.is(409, fmt.Sprintf("These are too many staged versions to decide about at once. Choose fewer, such as %d.", fit))
		assert.Equal(t, 11, strings.Count(b.Body.String(), " checked"), decision)
		assert.Equal(t, 11, strings.Count(b.Body.String(), "<dd>0 of 1</dd>"), decision)
	}
	assert.Empty(t, w.host.written())
	assert.Empty(t, w.events.of("version.approved"))
	assert.Empty(t, w.events.of("version.rejected"))
	b.open("/-/auth/staged").submit("approve", append(fields[:20:20], "code", code)...).is(200, "is published.")
	assert.Len(t, w.host.written(), 10)
}

// What was shown is what is decided about: not another version that has taken its place since, and nothing that has expired.
func TestStagedPageIsOld(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	shown := w.staged("plain", "3.0.0", s)
	b := w.tab()
	b.signIn("alice", "staged")
	path, values := b.form("approve")
	values.Set("version."+shown, "yes")
	require.Equal(t, 204, w.do(call{method: "DELETE", path: "/-/stage/" + shown, bearer: s, otp: w.codeAfter("alice")}).Code)
	other := w.staged("plain", "3.0.0", s)
	w.host.writes = nil
	values.Set("code", w.codeAfter("alice"))
	b.post(path, values)
	b.is(404, shown+": There is no such staged version")

	b.open("/-/auth/staged/" + other)
	path, values = b.form("approve")
	w.clock.Add(14 * 24 * time.Hour)
	b.signIn("alice", "staged")
	b.open("/-/auth/staged/"+other).is(404, "")
	assert.Empty(t, w.host.written())
	assert.Empty(t, w.events.of("version.approved"))
	values.Set("code", w.codeAfter("alice"))
	b.post(path, values)
	assert.NotEqual(t, 200, b.Code)
	assert.Empty(t, w.host.written())
	assert.Empty(t, w.events.of("version.approved"))
}

// The page lists what npm stage list does: nothing of a package that one may not write to.
func TestStagedPageOfOthers(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	id := w.staged("plain", "3.0.0", s)
	w.person("bob")
	w.enrol("bob", protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("bob", "staged")
	for _, path := range []string{"", "?package=plain"} {
		b.open("/-/auth/staged"+path).is(200, "There are none that you may see.")
		assert.NotContains(t, b.Body.String(), "3.0.0")
	}
	b.open("/-/auth/staged/"+id).is(404, "")
	w.host.add("own", false, w.ids["bob"])
	w.staged("own", "1.1.0", w.login("bob"))
	b.open("/-/auth/staged")
	b.submit("approve", "version."+id, "yes", "code", w.codeAfter("bob")).is(404, id+": There is no such staged version")
	assert.NotContains(t, b.Body.String(), "plain")

	w.person("carol")
	w.host.change(func(p *hosted) { p.rights[w.ids["carol"]] = policy.RightRead | policy.RightWrite })
	b = w.tab()
	b.signIn("carol", "staged")
	b.open("/-/auth/staged").is(200, `<a href="/-/auth/security">Turn on two-factor authentication</a>`)
	assert.NotContains(t, b.Body.String(), `value="approve"`)
}

// Nothing is decided but by a form of the page, and whoever is not signed in sees nothing.
func TestStagedPageForgery(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	id := w.staged("plain", "3.0.0", s)
	b := w.tab()
	for _, path := range []string{"/-/auth/staged", "/-/auth/staged/" + id} {
		b.open(path).is(200, "Sign in to")
		assert.NotContains(t, b.Body.String(), "plain")
	}
	b.signIn("alice", "staged")
	path, values := b.form("approve")
	values.Set("version."+id, "yes")
	values.Set("code", w.codeAfter("alice"))
	b.open(path+"?"+values.Encode()).is(200, "0 of 1")
	for name, value := range map[string]string{"token": "", "decision": "publish"} {
		changed := url.Values{}
		for field := range values {
			changed.Set(field, values.Get(field))
		}
		changed.Set(name, value)
		b.post(path, changed)
		assert.Contains(t, []int{400, 403}, b.Code, name)
	}
	b.send(call{method: "POST", path: path, body: values.Encode(), header: map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site",
	}})
	b.is(403, "not sent by the page")
	b.open("/-/auth/staged/" + id)
	b.post("/-/auth/staged", values) // a form of the list, whose token is not that of the version's page
	assert.Empty(t, w.stagedVersions(s), "the form itself is good")
	b.send(call{method: "DELETE", path: "/-/auth/staged"})
	assert.Equal(t, http.StatusMethodNotAllowed, b.Code)
}

// With a security key it takes no code, and what it signs is for these versions and for no others.
func TestStagedPageWithKeys(t *testing.T) {
	w := newWorld(t, stages)
	s := w.alice(protocol.AuthAndWrites)
	w.key("alice", "blue")
	first, second, third := w.staged("plain", "3.0.0", s), w.staged("plain", "3.1.0", s), w.staged("plain", "3.2.0", s)
	b := w.tab()
	b.signIn("alice", "staged")
	b.open("/-/auth/staged").is(200, "keys.js")
	code, options := b.ask("approve", "key", "version."+first, "yes", "version."+second, "yes")
	require.Equal(t, 200, code, options)
	signed := signedWith(options, "blue")
	b.submit("approve", "version."+first, "yes", "version."+third, "yes", "by", "key", "key", signed).is(403, "")
	b.submit("reject", "version."+first, "yes", "version."+second, "yes", "by", "key", "key", signed).is(403, "")
	assert.Len(t, w.stagedVersions(s), 3)
	b.signWith("blue", "approve", "key", "version."+first, "yes", "version."+second, "yes").is(200, "<bdi>plain@3.1.0</bdi> is published.")
	assert.Equal(t, []string{"3.2.0"}, w.stagedVersions(s))
}

// Where nothing is staged there is no page about it, and no link to it.
func TestNoStagedPage(t *testing.T) {
	w := newWorld(t)
	w.alice(protocol.AuthAndWrites)
	b := w.tab()
	b.signIn("alice", "packages")
	assert.NotContains(t, strings.ToLower(b.Body.String()), "staged")
	b.open("/-/auth/staged").is(404, "")
	b.open("/-/auth/staged/"+uuid).is(404, "")
}
