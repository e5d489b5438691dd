package hosttest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// unhurried is how long an undisturbed publish may take. The decision at the end of its body
// gives the host 5 seconds, and a slower answer ran into that limit.
const unhurried, judging = 8 * time.Second, 5 * time.Second

// publishJudged publishes, for which the host's Facts are called while it reads the body, and
// publishes once more before the host has its end.
func publishJudged(t tb, x *rig) {
	const (
		facts  = "a lock or a transaction that Packages.Facts waits for is held while the body of a publish is read: read it first"
		others = "a lock that other publishes wait for is held while the body of a publish is read, whose sender may take their time: read it first"
	)
	read, answered, began := make(chan struct{}), make(chan int, 1), time.Now()
	x.once(func() {
		close(read)
		x.publish(t.Context(), first, "1.0.1")
	})
	go func() { answered <- x.publish(t.Context(), first, "1.0.0") }()
	timeout := time.After(unhurried)
	select {
	case <-read:
	case status := <-answered:
		select {
		case <-read: // before that, and only now seen
			return
		default:
		}
		require.Less(t, time.Since(began), judging, "%s (it was answered %d)", facts, status)
		require.Fail(t, "a publish was not read to its end", "it was answered %d", status)
	case <-timeout:
		require.Fail(t, facts, "a publish is not answered after %s", unhurried)
	}
	select {
	case <-answered: // the package was created meanwhile, so it may be refused
	case <-timeout:
		require.Fail(t, others, "two publishes are not answered after %s", unhurried)
	}
}

// tarballElsewhere publishes a version with the URL of its tarball, which clients would fetch.
func tarballElsewhere(t tb, x *rig) {
	body := string(PublishBody(x.Package, "1.0.0"))
	forged := strings.ReplaceAll(body, "http://registry.example/", "http://elsewhere.example/")
	require.NotEqual(t, body, forged)
	w := x.send(t.Context(), first, http.MethodPut, x.path(), forged)
	require.True(t, success(w.Code), "Yarn 1 publishes with another registry's address: %d %s", w.Code, w.Body)
	assert.NotContains(t, x.read(t, first).text(), "elsewhere.example", "the publisher's address of the tarball is served to others")
}

// publishedTwice publishes a version a second time with another tarball.
func publishedTwice(t tb, x *rig) {
	x.published(t, first, "1.0.0")
	before := x.read(t, first)
	tarball := func() string { return x.tarball(t, before.manifest("1.0.0")) }
	was := tarball()
	w := x.send(t.Context(), first, http.MethodPut, x.path(), x.otherBody("1.0.0"))
	assert.False(t, success(w.Code), "a version was published over, the status is %d", w.Code)
	assert.Equal(t, was, tarball())
	assert.Equal(t, before.state(), x.read(t, first).state())
}

// otherBody returns the body of another publish of a version: with another manifest.
func (x *rig) otherBody(version string) string {
	other := strings.Replace(string(PublishBody(x.Package, version)), `"a fixture"`, `"another"`, 1)
	return strings.Replace(other, `"readme":"# fixture`, `"scripts":{"install":"evil"},"readme":"# fixture`, 1)
}

// tarballPath returns the path at which the registry says that the tarball of a version is.
func (x *rig) tarballPath(t tb, manifest map[string]any) string {
	t.Helper()
	dist, _ := manifest["dist"].(map[string]any)
	address, _ := dist["tarball"].(string)
	u, err := url.Parse(address)
	require.NoError(t, err)
	require.NotEmpty(t, u.Path, "a version has no dist.tarball")
	path, below := strings.CutPrefix(u.EscapedPath(), x.base.Path+"/")
	require.True(t, below, "dist.tarball %s is not below Registry.BaseURL %s", address, x.BaseURL)
	return "/" + path
}

// tarball returns the tarball of a version; "" if the registry serves none.
func (x *rig) tarball(t tb, manifest map[string]any) string {
	t.Helper()
	if !x.serves(protocol.ReadTarball) {
		return ""
	}
	path := x.tarballPath(t, manifest)
	w := x.send(t.Context(), first, http.MethodGet, path)
	require.Equal(t, http.StatusOK, w.Code, "GET %s", path)
	return w.Body.String()
}

// visibilityKept publishes further versions with a visibility, which is for a new package: a
// publisher must not make a private package public that way, nor hide one.
func visibilityKept(t tb, x *rig) {
	private := func() bool {
		facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
		require.NoError(t, err)
		require.NotEmpty(t, facts.ID)
		return facts.Private
	}
	x.published(t, first, "1.0.0")
	was := private()
	x.publishAs(t.Context(), first, "1.1.0", "restricted") // it may be refused
	assert.Equal(t, was, private(), "a publish with access restricted changed the visibility of a package that was there")
	x.publishAs(t.Context(), first, "1.2.0", "public")
	assert.Equal(t, was, private(), "a publish with access public changed the visibility of a package that was there")
	if x.Private.IsZero() {
		return
	}
	x.publishPrivate(t)
	require.True(t, private(), "Registry.Private was published with access restricted, and Facts do not say that it is private")
	x.publishAs(t.Context(), first, "1.1.0", "public")
	assert.True(t, private(), "a publish with access public made a private package public")
	x.publish(t.Context(), first, "1.2.0")
	assert.True(t, private(), "a publish that says nothing of access made a private package public")
}

// replacedUnder returns the case in which the package is removed after the decision, and the
// second creates a new one under its name before the host writes.
func replacedUnder(action protocol.Action) func(t tb, x *rig) {
	return func(t tb, x *rig) {
		low, high, round := "", "", 0
		// stock publishes two versions. A registry may refuse to publish a removed version
		// anew; otherwise they are those of the request.
		stock := func(who int) {
			if low == "" || !success(x.publish(t.Context(), who, low)) || !success(x.publish(t.Context(), who, high)) {
				low, high = fmt.Sprintf("1.%d.0", round), fmt.Sprintf("2.%d.0", round)
				round++
				x.published(t, who, low, high)
			}
			if action == protocol.RemoveDistTag {
				w := x.send(t.Context(), who, http.MethodPut, x.tagPath(), `"`+low+`"`)
				require.True(t, success(w.Code), "the registry serves remove-dist-tag and no set-dist-tag: %d", w.Code)
			}
		}
		write := func() int {
			switch action {
			case protocol.Publish:
				return x.publish(t.Context(), first, fmt.Sprintf("3.%d.0", round))
			case protocol.ApproveStaged:
				return x.approve(t.Context(), first, x.staged(t, first, fmt.Sprintf("3.%d.0", round)))
			case protocol.SetDistTag:
				return x.send(t.Context(), first, http.MethodPut, x.tagPath(), `"`+low+`"`).Code
			case protocol.RemoveDistTag:
				return x.send(t.Context(), first, http.MethodDelete, x.tagPath()).Code
			case protocol.Deprecate:
				d := x.read(t, first)
				d.manifest(low)["deprecated"] = "do not use"
				return x.sendBack(t.Context(), first, d)
			case protocol.Unpublish:
				return x.sendBack(t.Context(), first, without(x.read(t, first), high, low))
			case protocol.UnpublishAll:
				return x.removeAt(t.Context(), first, x.read(t, first).revision()).Code
			case protocol.WriteOwners:
				return x.owners(t, first, x.names[first])
			}
			panic(fmt.Sprintf("hosttest: %v is not written here", action))
		}
		stock(first)
		status := write()
		require.True(t, success(status), "%v, undisturbed, was answered %d", action, status)
		x.takeAway(t)
		stock(first)
		var theirs document
		x.once(func() {
			x.takeAway(t)
			stock(second)
			theirs = x.read(t, second)
		})
		status = write()
		require.NotNil(t, theirs, "%v did not reach the host, the status is %d", action, status)
		assert.False(t, success(status), "%v on a package that is gone was answered %d", action, status)
		assert.Equal(t, theirs.state(), x.read(t, second).state(), "%v changed another package of the name", action)
		x.settled(t, second)
	}
}

// tagPath returns the path of a dist-tag.
func (x *rig) tagPath() string {
	return "/-/package/" + url.PathEscape(x.Package.String()) + "/dist-tags/next"
}

// takeAway removes Package if it exists: first owns it.
func (x *rig) takeAway(t tb) {
	t.Helper()
	facts, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
	require.NoError(t, err)
	if facts.ID != "" {
		x.remove(t, first)
	}
}

// without returns d without a version, its tags on another.
func without(d document, version, to string) document {
	d = d.copy()
	delete(d.versions(), version)
	for tag, v := range d.tags() {
		if v == version {
			d.tags()[tag] = to
		}
	}
	return d
}
