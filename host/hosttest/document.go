package hosttest

import (
	"net/http"
	"net/url"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// forge adds to a document changes that nobody was allowed to make.
func forge(d document) document {
	d = d.copy()
	d["readme"], d["users"] = "forged", map[string]any{"forged": true}
	d["time"] = map[string]any{"created": "1999-01-01T00:00:00.000Z"}
	d["_forged"] = map[string]any{"forged": true}
	for _, m := range d.versions() {
		m := m.(map[string]any)
		m["scripts"] = map[string]any{"install": "forged"}
		m["_npmUser"] = map[string]any{"name": "forged"}
		m["dist"] = map[string]any{"integrity": "sha512-forged", "tarball": "http://forged.example/x.tgz"}
	}
	return d
}

// deprecateAlone deprecates a version in a document with other, forged changes.
func deprecateAlone(t tb, x *rig) {
	x.published(t, first, "1.0.0", "2.0.0")
	before := x.read(t, first)
	d := forge(before)
	d.manifest("1.0.0")["deprecated"] = "do not use"
	status := x.sendBack(t.Context(), first, d)
	require.True(t, success(status), "a deprecation was answered %d", status)
	want := before.state()
	want.manifest("1.0.0")["deprecated"] = "do not use"
	assert.Equal(t, want, x.read(t, first).state(), "a deprecation changes the messages and nothing else")

	d = x.read(t, first)
	d.manifest("1.0.0")["deprecated"] = ""
	status = x.sendBack(t.Context(), first, d)
	require.True(t, success(status), "taking a deprecation away was answered %d", status)
	after := x.read(t, first).state()
	if m, _ := after.manifest("1.0.0")["deprecated"].(string); m == "" {
		delete(after.manifest("1.0.0"), "deprecated")
	}
	assert.Equal(t, before.state(), after, "an empty message takes a deprecation away")
}

// unpublishAlone removes a version in a document with other, forged changes.
func unpublishAlone(t tb, x *rig) {
	x.published(t, first, "1.0.0", "2.0.0")
	before := x.read(t, first)
	require.Equal(t, "2.0.0", before.tags()["latest"])
	d := without(before, "2.0.0", "1.0.0")
	status := x.sendBack(t.Context(), first, forge(d))
	require.True(t, success(status), "an unpublish was answered %d", status)
	assert.Equal(t, d.state(), x.read(t, first).state(), "an unpublish takes versions away, moves their tags, and changes nothing else")

	// The second of the two requests of npm unpublish, after the version has gone.
	name := x.Package.Name + "-2.0.0.tgz"
	w := x.send(t.Context(), first, http.MethodDelete, "/"+x.Package.String()+"/-/"+name+"/-rev/undefined")
	assert.True(t, success(w.Code), "DELETE of the tarball was answered %d: %s", w.Code, w.Body)
	assert.Equal(t, d.state(), x.read(t, first).state())
	w = x.send(t.Context(), first, http.MethodGet, "/"+x.Package.String()+"/-/"+name) // also where tarballs are elsewhere
	assert.Equal(t, http.StatusNotFound, w.Code, "the tarball is still there")
}

// starAlone stars a package in a document with the stars of others, too.
func starAlone(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	stars := func() map[string]any { users, _ := x.read(t, first)["users"].(map[string]any); return users }
	send := func(users map[string]any) {
		status := x.sendBack(t.Context(), second, document{"_id": x.Package.String(), "users": users})
		require.True(t, success(status), "a star was answered %d", status)
	}
	send(map[string]any{x.names[second]: true, x.names[first]: true, "forged": true})
	assert.Equal(t, map[string]any{x.names[second]: true}, stars(), "a star is the sender's own and nobody else's")
	send(map[string]any{})
	assert.Empty(t, stars(), "a user who is not in users removed their star")
}

// revisionsMatter changes a package from a document of no revision, and from an older one.
func revisionsMatter(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	old := x.read(t, first)
	served, has := old["_rev"].(string)
	now, err := x.Documents.Document(t.Context(), x.Package)
	require.NoError(t, err)
	if !has && now.Revision == "" {
		return // without revisions the last change wins
	}
	require.Equal(t, served, now.Revision, "the _rev of the document is Document.Revision, or no client can change it, or each undoes what others did")
	x.published(t, first, "2.0.0")
	before := x.read(t, first)
	assert.NotEqual(t, served, before["_rev"], "a publish makes another revision")
	conflict := func(what string, status int) {
		t.Helper()
		assert.Equal(t, http.StatusConflict, status, what)
		assert.Equal(t, before.state(), x.read(t, first).state(), what)
	}
	for _, rev := range []any{nil, old["_rev"]} {
		change := func(d document) document {
			if d["_rev"] = rev; rev == nil {
				delete(d, "_rev")
			}
			return d
		}
		if x.serves(protocol.Deprecate) {
			d := change(before.copy())
			d.manifest("1.0.0")["deprecated"] = "do not use"
			conflict("a deprecation", x.sendBack(t.Context(), first, d))
		}
		if x.serves(protocol.Unpublish) {
			conflict("an unpublish", x.sendBack(t.Context(), first, change(without(before, "2.0.0", "1.0.0"))))
		}
		if x.serves(protocol.WriteOwners) {
			d := change(document{"_id": x.Package.String(), "maintainers": []any{map[string]any{"name": x.names[second]}}})
			conflict("owners", x.sendBack(t.Context(), first, d))
			x.settled(t, first)
		}
		if x.serves(protocol.UnpublishAll) {
			conflict("an unpublish of all", x.removeAt(t.Context(), first, change(document{}).revision()).Code)
		}
	}
}

// removedMeanwhile publishes a version between the decision on the DELETE of the whole package and
// the host's write.
func removedMeanwhile(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	d := x.read(t, first)
	if _, has := d["_rev"]; !has {
		return // nothing says what the sender had read
	}
	x.once(func() { x.published(t, first, "2.0.0") })
	w := x.removeAt(t.Context(), first, d.revision())
	assert.False(t, success(w.Code), "a package was removed at a revision that it had no more")
	assert.Contains(t, x.read(t, first).versions(), "2.0.0", "a version is gone that was published meanwhile: compare op.Revision where you write")
}

// publishedMeanwhile publishes a version between the decision on a document and the host's
// write.
func publishedMeanwhile(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	d := x.read(t, first)
	d.manifest("1.0.0")["deprecated"] = "do not use"
	x.once(func() { x.published(t, first, "2.0.0") })
	x.sendBack(t.Context(), first, d) // it may succeed, or be a conflict
	after := x.read(t, first)
	assert.Contains(t, after.versions(), "2.0.0", "a version is gone that was published meanwhile")
	assert.Equal(t, "2.0.0", after.tags()["latest"], "a tag has moved back")
}

// ownerMeanwhile adds an owner between the decision on a document and the host's write.
func ownerMeanwhile(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	d := x.read(t, first)
	d.manifest("1.0.0")["deprecated"] = "do not use"
	x.once(func() {
		status := x.owners(t, first, x.names[first], x.names[second])
		require.True(t, success(status), "adding an owner was answered %d", status)
	})
	x.sendBack(t.Context(), first, d)
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[second])
	require.NoError(t, err)
	assert.NotZero(t, facts.Rights&policy.RightWrite, "an owner is gone who was added meanwhile")
}

// ownerRemoved removes an owner, who has a token, and sends a request with it at once.
func ownerRemoved(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	x.settled(t, first)
	status := x.publish(t.Context(), second, "1.1.0")
	assert.False(t, success(status), "a user who is no owner published, the status is %d", status)
	status = x.owners(t, first, x.names[first], x.names[second])
	require.True(t, success(status), "adding an owner was answered %d", status)
	x.published(t, second, "1.1.0")
	status = x.owners(t, first, x.names[first])
	require.True(t, success(status), "removing an owner was answered %d", status)
	status = x.publish(t.Context(), second, "1.2.0")
	assert.False(t, success(status), "a former owner published, the status is %d", status)
	x.settled(t, first)
	assert.NotContains(t, x.read(t, first).versions(), "1.2.0")
}

// hidden publishes a package that only the first may read, and requests it, and the lists that
// it could be in, as the second, anonymously, and with a token of the first for another
// package.
func hidden(t tb, x *rig) {
	if x.Private.IsZero() {
		x.published(t, first, "1.0.0")
		facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[second])
		require.NoError(t, err)
		assert.True(t, !facts.Private || facts.Rights.Has(policy.RightRead), "%s is private, and its owner alone reads it; %s", x.Package, add(linePrivate))
		return
	}
	x.publishPrivate(t)
	listings := []string{"/-/package/" + url.PathEscape(x.Package.String()) + "/collaborators", x.path()}
	if x.serves(protocol.Search) {
		listings = append(listings, "/-/v1/search?text="+url.QueryEscape(x.Package.Name), "/-/all")
	}
	if x.serves(protocol.ListPackages) {
		listings = append(listings, "/-/user/"+x.names[first]+"/package", "/-/-/package")
	}
	for _, path := range listings {
		for _, who := range []int{nobody, second, narrow} {
			x.notListed(t, who, path)
		}
	}
	for _, who := range []int{nobody, second, narrow} {
		assert.False(t, success(x.send(t.Context(), who, http.MethodGet, x.path()).Code), "a private package was read")
	}
}

// hiddenInOrg is hidden for the packages of an organization, which a token of the first may
// list and not read.
func hiddenInOrg(t tb, x *rig) {
	org, _ := x.ownOrg(t)
	x.publishPrivate(t)
	path := "/-/org/" + org + "/package"
	w := x.send(t.Context(), inOrg, http.MethodGet, path)
	require.True(t, success(w.Code), "GET %s was answered %d: %s", path, w.Code, w.Body)
	x.notListed(t, inOrg, path)
	x.notListed(t, second, path)
}

// publishPrivate makes Package the private one, and publishes it as the first.
func (x *rig) publishPrivate(t tb) {
	t.Helper()
	x.Package = x.Private
	status := x.publishAs(t.Context(), first, "1.0.0", "restricted")
	require.True(t, success(status), "a publish of the private package was answered %d", status)
	x.read(t, first)
}

// notListed requests a list in which Package must not be.
func (x *rig) notListed(t tb, who int, path string) {
	t.Helper()
	w := x.send(t.Context(), who, http.MethodGet, path)
	if success(w.Code) {
		as := "a token of its owner that is for another package: ask host.Readable about each"
		switch who {
		case nobody:
			as = "the anonymous"
		case second:
			as = "another user"
		}
		assert.NotContains(t, w.Body.String(), x.Package.String(), "GET %s shows a private package to %s", path, as)
	}
}
