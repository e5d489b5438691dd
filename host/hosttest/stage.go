package hosttest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// noStaging is missing of the cases about staged versions.
func noStaging(reg Registry) string {
	if !reg.Staging {
		return "Staging"
	}
	return ""
}

// stageAs sends the body of a publish with a token, to be staged.
func (x *rig) stageAs(ctx context.Context, bearer, body string) *httptest.ResponseRecorder {
	return x.present(ctx, bearer, http.MethodPost, "/-/stage/package/"+url.PathEscape(x.Package.String()), body)
}

// stagedAs stages the body of a publish with a token, and returns the ID of the staged version.
func (x *rig) stagedAs(t tb, bearer, body string) (id string) {
	t.Helper()
	w := x.stageAs(t.Context(), bearer, body)
	var answer struct{ StageID string }
	require.True(t, success(w.Code), "Stage was answered %d: %s", w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s", w.Body)
	require.NotEmpty(t, answer.StageID, "%s", w.Body)
	return answer.StageID
}

// staged stages a version as one of the two.
func (x *rig) staged(t tb, who int, version string) (id string) {
	t.Helper()
	return x.stagedAs(t, x.tokens[who], string(PublishBody(x.Package, version)))
}

// approve approves a staged version as one of the two and returns the status.
func (x *rig) approve(ctx context.Context, who int, id string) int {
	return x.send(ctx, who, http.MethodPost, "/-/stage/"+id+"/approve").Code
}

// approved approves a staged version as one of the two, undisturbed.
func (x *rig) approved(t tb, who int, id string) {
	t.Helper()
	status := x.approve(t.Context(), who, id)
	require.True(t, success(status), "ApproveStaged, undisturbed, was answered %d", status)
}

// reject rejects a staged version as the first.
func (x *rig) reject(t tb, id string) {
	t.Helper()
	w := x.send(t.Context(), first, http.MethodDelete, "/-/stage/"+id)
	require.True(t, success(w.Code), "RejectStaged was answered %d: %s", w.Code, w.Body)
}

// keeps checks that the tarball of a staged version is the one that was sent.
func (x *rig) keeps(t tb, id, version string) {
	t.Helper()
	w := x.send(t.Context(), first, http.MethodGet, "/-/stage/"+id+"/tarball")
	require.Equal(t, http.StatusOK, w.Code, "ReadStaged was answered %d: %s", w.Code, w.Body)
	assert.Equal(t, string(Tarball(x.Package, version)), w.Body.String(), "the tarball of a staged version is not the one that was sent")
}

// forgotten checks that the registry keeps nothing of a staged version. npmauth passes nothing more about it, so
// the request goes to the registry as npmauth would pass it.
func (x *rig) forgotten(t tb, id, version string) {
	t.Helper()
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
	require.NoError(t, err)
	op := host.Operation{
		Operation: protocol.Operation{Action: protocol.ReadStaged, Package: x.Package, ID: id}, PackageID: facts.ID,
		Staged: &host.Staged{ID: id, Version: version, By: host.Identity{User: x.Creators[first], Name: x.names[first]}},
	}
	c := host.NewContext(t.Context(), op.Staged.By, op, nil)
	w := httptest.NewRecorder()
	x.serve(w, x.request(&c, http.MethodGet, "/-/stage/"+id+"/tarball", nil))
	assert.Equal(t, http.StatusNotFound, w.Code, "ReadStaged of a version that is staged no more")
}

// publishes checks that the package has a version with the tarball that was staged, under the tag.
func (x *rig) publishes(t tb, version, tag string) {
	t.Helper()
	d := x.read(t, first)
	require.Contains(t, d.versions(), version, "an approved version is not there")
	assert.Equal(t, version, d.tags()[tag], "an approved version has not got its dist-tag")
	if x.serves(protocol.ReadTarball) {
		assert.Equal(t, string(Tarball(x.Package, version)), x.tarball(t, d.manifest(version)), "the tarball of an approved version is not the one that was staged")
	}
}

// stagedUnpublished stages a version of a package that is not there, and of one that is.
func stagedUnpublished(t tb, x *rig) {
	x.staged(t, first, "0.1.0")
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
	require.NoError(t, err)
	require.Empty(t, facts.ID, "a package was made of a version that is only staged")
	assert.False(t, success(x.send(t.Context(), first, http.MethodGet, x.path()).Code), "a package is read of which a version is only staged")

	x.published(t, first, "1.0.0")
	before := x.read(t, first)
	x.staged(t, first, "2.0.0")
	assert.Equal(t, before.state(), x.read(t, first).state(), "a version that is only staged changed the package")
	if !x.serves(protocol.ReadTarball) {
		return
	}
	path := strings.ReplaceAll(x.tarballPath(t, before.manifest("1.0.0")), "1.0.0", "2.0.0")
	assert.False(t, success(x.send(t.Context(), first, http.MethodGet, path).Code), "GET %s returns the tarball of a version that is only staged", path)
}

// stagedTarball reads the tarballs of staged versions.
func stagedTarball(t tb, x *rig) {
	x.keeps(t, x.staged(t, first, "1.0.0"), "1.0.0")
	x.published(t, first, "0.1.0")
	x.keeps(t, x.staged(t, first, "1.1.0"), "1.1.0")
}

// approvedAsStaged approves a version under a tag of its own, whose publisher says that its tarball is elsewhere.
func approvedAsStaged(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	body := strings.ReplaceAll(string(PublishBody(x.Package, "2.0.0")), "http://registry.example/", "http://elsewhere.example/")
	tagged := strings.Replace(body, `"latest":`, `"next":`, 1)
	require.NotEqual(t, body, tagged)
	x.approved(t, first, x.stagedAs(t, x.tokens[first], tagged))
	d := x.read(t, first)
	assert.NotContains(t, d.text(), "elsewhere.example", "the stager's address of the tarball is served to others")
	assert.Equal(t, map[string]any{"latest": "1.0.0", "next": "2.0.0"}, d.tags(), "the dist-tags after an approval")
	x.publishes(t, "2.0.0", "next")
}

// approvedByRequest approves a version in a request that names another one, and others who have a part in it.
func approvedByRequest(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	id, other := x.staged(t, first, "2.0.0"), x.staged(t, first, "3.0.0")
	body, err := json.Marshal(map[string]any{
		"id": other, "stageId": other, "version": "3.0.0", "tag": "forged", "dist-tags": map[string]string{"forged": "2.0.0"},
		"by": "forged", "approvers": []any{map[string]string{"name": "forged"}}, "_npmUser": map[string]string{"name": "forged"},
	})
	require.NoError(t, err)
	query := url.Values{"id": {other}, "stageId": {other}, "version": {"3.0.0"}, "tag": {"forged"}, "by": {"forged"}, "approver": {"forged"}}
	w := x.send(t.Context(), first, http.MethodPost, "/-/stage/"+id+"/approve?"+query.Encode(), string(body))
	require.True(t, success(w.Code), "ApproveStaged was answered %d: %s", w.Code, w.Body)
	assert.NotContains(t, x.read(t, first).versions(), "3.0.0", "a version was published that nobody approved: op.ID and op.Staged say which it is, and the request does not")
	assert.NotContains(t, x.read(t, first).text(), "forged", "what a request says beyond its op was published")
	x.publishes(t, "2.0.0", "latest")
}

// approvedTwice approves a version twice at once, and one that is published directly meanwhile.
func approvedTwice(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	id := x.staged(t, first, "2.0.0")
	x.once(func() { x.approved(t, first, id) })
	assert.False(t, success(x.approve(t.Context(), first, id)), "a version was published a second time")
	x.publishes(t, "2.0.0", "latest")
	x.forgotten(t, id, "2.0.0")

	id = x.staged(t, first, "3.0.0")
	var before document
	x.once(func() {
		w := x.send(t.Context(), first, http.MethodPut, x.path(), x.otherBody("3.0.0"))
		require.True(t, success(w.Code), "a publish of a version that is staged was answered %d: %s", w.Code, w.Body)
		before = x.read(t, first)
	})
	assert.False(t, success(x.approve(t.Context(), first, id)), "a version was approved that was published meanwhile")
	assert.Equal(t, before.state(), x.read(t, first).state(), "a version was published over by an approval")
}

// stagedOver stages a version that is published, with another manifest.
func stagedOver(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	before := x.read(t, first)
	w := x.stageAs(t.Context(), x.tokens[first], x.otherBody("1.0.0"))
	if success(w.Code) { // it is refused when it is approved
		var answer struct{ StageID string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s", w.Body)
		assert.False(t, success(x.approve(t.Context(), first, answer.StageID)), "a published version was staged and approved")
	}
	assert.Equal(t, before.state(), x.read(t, first).state(), "a published version was changed by staging it")
}

// rejected rejects a version, and one between the decision on its approval and the host's write.
func rejected(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	id := x.staged(t, first, "2.0.0")
	x.reject(t, id)
	x.forgotten(t, id, "2.0.0")

	id = x.staged(t, first, "3.0.0")
	x.once(func() { x.reject(t, id) })
	assert.False(t, success(x.approve(t.Context(), first, id)), "a version was approved that was rejected meanwhile")
	assert.NotContains(t, x.read(t, first).versions(), "3.0.0", "a rejected version was published")
}

// stagedApart decides about some of the staged versions of a package.
func stagedApart(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	ids := map[string]string{}
	for _, version := range []string{"2.0.0", "3.0.0", "4.0.0"} {
		ids[version] = x.staged(t, first, version)
	}
	x.keeps(t, ids["2.0.0"], "2.0.0")
	x.reject(t, ids["4.0.0"])
	x.keeps(t, ids["3.0.0"], "3.0.0")
	x.approved(t, first, ids["2.0.0"])
	x.publishes(t, "2.0.0", "latest")
	assert.NotContains(t, x.read(t, first).versions(), "3.0.0", "the approval of one version published another")
	x.keeps(t, ids["3.0.0"], "3.0.0")
	x.approved(t, first, ids["3.0.0"])
	x.publishes(t, "3.0.0", "latest")
}

// stagedFirst has the second approve the first version of a package, which the first has staged.
func stagedFirst(t tb, x *rig) {
	x.approved(t, second, x.staged(t, first, "1.0.0"))
	x.settled(t, first)
	x.publishes(t, "1.0.0", "latest")
	if by, ok := x.read(t, first).manifest("1.0.0")["_npmUser"].(map[string]any); ok {
		assert.Equal(t, x.names[first], by["name"], "_npmUser of a staged version is who staged it: see host.Staged.NPMUser")
		if approver, ok := by["approver"].(map[string]any); ok {
			assert.Equal(t, x.names[second], approver["name"], "_npmUser.approver")
		}
	}
	if x.Private.IsZero() {
		return
	}
	x.Package = x.Private
	body := strings.Replace(string(PublishBody(x.Package, "1.0.0")), `"access":null`, `"access":"restricted"`, 1)
	x.approved(t, first, x.stagedAs(t, x.tokens[first], body))
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
	require.NoError(t, err)
	assert.True(t, facts.Private, "a package was staged with access restricted, and Facts do not say that it is private")
}

// approvalOvertaken lets an approval through while the package does not exist, and the second create it before the
// host publishes the version.
func approvalOvertaken(t tb, x *rig) {
	id := x.staged(t, first, "1.0.0")
	x.once(func() { x.published(t, second, "1.0.1") })
	assert.False(t, success(x.approve(t.Context(), first, id)), "who staged a first version must not write to a package that another created meanwhile")
	x.settled(t, second)
	assert.NotContains(t, x.read(t, second).versions(), "1.0.0", "a version was published in a package that another created meanwhile")
}

// approvalKeepsVisibility approves what was staged with another visibility, before its package was there.
func approvalKeepsVisibility(t tb, x *rig) {
	access := "restricted"
	if !x.Private.IsZero() {
		x.Package, access = x.Private, "public"
	}
	private := func() bool {
		facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
		require.NoError(t, err)
		require.NotEmpty(t, facts.ID)
		return facts.Private
	}
	body := strings.Replace(string(PublishBody(x.Package, "1.1.0")), `"access":null`, `"access":"`+access+`"`, 1)
	id := x.stagedAs(t, x.tokens[first], body)
	if x.Private.IsZero() {
		x.published(t, first, "1.0.0")
	} else {
		x.publishPrivate(t)
	}
	was := private()
	x.approve(t.Context(), first, id) // it may be refused
	assert.Equal(t, was, private(), "an approval of a version with access %s changed the visibility of a package that was there", access)
}

// trustedStage stages as a trusted publisher, and approves as the first: the evidence stays what it is of a version
// that the publisher publishes itself, and the package belongs to whom it has belonged to.
func trustedStage(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	owners := func() any { return x.read(t, first)["maintainers"] }
	by := func(version string) map[string]any {
		user, _ := x.read(t, first).manifest(version)["_npmUser"].(map[string]any)
		return user
	}
	before, bearer := owners(), x.exchanged(t)
	w := x.present(t.Context(), bearer, http.MethodPut, x.path(), string(PublishBody(x.Package, "1.1.0")))
	require.True(t, success(w.Code), "the publish of a trusted publisher was answered %d: %s", w.Code, w.Body)
	x.approved(t, first, x.stagedAs(t, bearer, string(PublishBody(x.Package, "1.2.0"))))
	x.publishes(t, "1.2.0", "latest")
	assert.Equal(t, before, owners(), "the approval of a version of a trusted publisher changed the maintainers")
	x.settled(t, first)
	want, got := by("1.1.0"), by("1.2.0")
	for _, field := range []string{"name", "trustedPublisher"} {
		assert.Equal(t, want[field], got[field], "_npmUser.%s of a version of a trusted publisher that was approved is that of one it published: see host.Staged.NPMUser", field)
	}
	if approver, ok := got["approver"].(map[string]any); ok {
		assert.Equal(t, x.names[first], approver["name"], "_npmUser.approver")
	}
}

// evidenceOfNewest publishes versions in each way, the last of them with the lowest number.
func evidenceOfNewest(t tb, x *rig) {
	is := func(want policy.Evidence, after string) {
		t.Helper()
		for who := range x.Creators {
			facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[who])
			require.NoError(t, err)
			assert.Equal(t, want, facts.Evidence, "Facts.Evidence after %s: see host.NPMUser.Evidence", after)
		}
	}
	x.published(t, first, "1.0.0")
	is(0, "a publish")
	bearer := x.exchanged(t)
	x.approved(t, first, x.stagedAs(t, bearer, string(PublishBody(x.Package, "1.1.0"))))
	is(policy.EvidencePublisher|policy.EvidenceApproval, "the approval of a version of a trusted publisher")
	x.approved(t, first, x.staged(t, first, "1.2.0"))
	is(policy.EvidenceApproval, "the approval of a version of a person")
	w := x.present(t.Context(), bearer, http.MethodPut, x.path(), string(PublishBody(x.Package, "0.1.0")))
	require.True(t, success(w.Code), "the publish of a trusted publisher was answered %d: %s", w.Code, w.Body)
	is(policy.EvidencePublisher, "the publish of a trusted publisher, of a lower version")
}
