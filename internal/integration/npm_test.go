package integration_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// among returns the clients of a test that goes through several releases of one: all of them
// before a release, with NPMAUTH_REQUIRE=all,clients, and the newest otherwise.
func among(clients ...string) []string {
	if testing.Short() || !slices.Contains(strings.Split(os.Getenv("NPMAUTH_REQUIRE"), ","), "clients") {
		return clients[len(clients)-1:]
	}
	return clients
}

// What npm asks a second factor for, with a code in the command, with one that is typed when
// npm asks, and by a page.
func TestNPM(t *testing.T) {
	t.Parallel()
	play(t, among("npm8", "npm10", "npm11", "npm12"), map[string]func(*scene){
		"code": (*scene).npmCode, "page": (*scene).npmPage, "page-tag": (*scene).npmPageTag, "workspaces": (*scene).npmWorkspaces,
		"unpublish": (*scene).npmUnpublish, "page-unpublish": (*scene).npmPageUnpublish, "last": (*scene).npmUnpublishLast,
		"deprecate": (*scene).npmDeprecate, "revoke": (*scene).npmRevoke, "page-revoke": (*scene).npmPageRevoke, "visible": (*scene).npmVisibility,
		"owners": (*scene).owners,
	})
}

// What npm sends again since the answer to it was lost is done once, and needs no other code.
func TestNPMRetry(t *testing.T) {
	t.Parallel()
	play(t, among("npm8", "npm10", "npm11", "npm12"), map[string]func(*scene){
		"publish": (*scene).retriedPublish, "page": (*scene).retriedPage, "unpublish": (*scene).retriedUnpublish, "page-unpublish": (*scene).retriedPageUnpublish,
		"deprecate": (*scene).retriedDeprecate, "owner": (*scene).retriedOwner,
	})
}

// approve confirms what the page at address asks the person, whose name is there, and returns
// what the page said before and after.
func (a *actor) approve(address string) (before, after string) {
	a.t.Helper()
	browser := integration.NewBrowser(a.t)
	page := browser.Open(address)
	done := browser.Submit(page, "approve", map[string]string{"password": integration.Password, "code": a.app.Fresh()})
	require.Equal(a.t, http.StatusOK, done.Status, done.Text())
	return page.Text(), done.Text()
}

// atPage waits until a client at a terminal says at which page to confirm, does so there, and
// returns what the page said.
func (a *actor) atPage(p *integration.Process) string {
	a.t.Helper()
	before, _ := a.approve(p.Expect(`Authenticate your account at:\s+(http://\S+)`)[1])
	return before
}

// has returns what the registry has of a version of a package, as the actor sees it, or nil.
func (a *actor) has(name, version string) map[string]any {
	a.t.Helper()
	answer := a.registry.As(a.home.Token()).Do("GET", url.PathEscape(name)+"/"+version, nil)
	if answer.Status == http.StatusNotFound {
		return nil
	}
	require.Equal(a.t, http.StatusOK, answer.Status, answer.Body)
	var manifest map[string]any
	answer.JSON(a.t, &manifest)
	return manifest
}

// integrity returns that of a version of a package.
func (a *actor) integrity(name, version string) string {
	a.t.Helper()
	manifest := a.has(name, version)
	require.NotNil(a.t, manifest, "%s@%s is not published", name, version)
	return manifest["dist"].(map[string]any)["integrity"].(string)
}

// publishes publishes versions of a package with a code, which is good for others afterwards.
func (a *actor) publishes(code, name, access string, versions ...string) {
	a.t.Helper()
	for _, version := range versions {
		answer := a.tryPublish(name, access, version, "npm-otp", code)
		require.Equal(a.t, http.StatusCreated, answer.Status, answer.Body)
	}
}

// One code is good for publishing and for dist-tags, of several packages.
func (s *scene) npmCode() {
	alice := s.person(s.name)
	one, two := "@"+s.name+"/one", "@"+s.name+"/two"
	alice.fails("EOTP", "publish", alice.home.Package(one, "1.0.0"))
	alice.shows("", "npm", "publish", alice.home.Package(one, "1.0.0"))
	alice.shows("", "npm", "publish", alice.home.Package(two, "1.0.0"), "--tag=next")
	alice.shows("", "npm", "dist-tag", "add", one+"@1.0.0", "beta")
	alice.shows("", "npm", "dist-tag", "rm", two, "next")
	_, d := alice.doc(one)
	assert.Equal(s.t, map[string]string{"latest": "1.0.0", "beta": "1.0.0"}, d.Tags)
	_, d = alice.doc(two)
	assert.NotContains(s.t, d.Tags, "next")
	for _, other := range [][]string{{"deprecate", one, "old"}, {"unpublish", one, "--force"}, {"owner", "add", s.name + "-other", one}} {
		r := alice.home.Run("", "npm", append(other, "--otp="+alice.code)...)
		assert.NotZero(s.t, r.Code)
		assert.Contains(s.t, r.Output(), saysOTP)
		if !alice.app.Over() {
			assert.Contains(s.t, r.Output(), "That code was used already.")
		}
	}
}

// A page says what is published, and that is published.
func (s *scene) npmPage() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	p := alice.home.Terminal(alice.home.Package(pkg, "1.0.0"), "npm", "publish", "--tag=next", "--auth-type=web")
	page := alice.atPage(p)
	p.OK()
	for _, said := range []string{pkg, "1.0.0", "next", alice.integrity(pkg, "1.0.0")} {
		assert.Contains(s.t, page, said)
	}
}

// npm polls with the method and the body of what it asks for.
func (s *scene) npmPageTag() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "restricted", "1.0.0")
	p := alice.home.Terminal("", "npm", "dist-tag", "add", pkg+"@1.0.0", "beta", "--auth-type=web")
	page := alice.atPage(p)
	assert.Contains(s.t, page, "beta")
	p.OK()
	p = alice.home.Terminal("", "npm", "dist-tag", "rm", pkg, "beta", "--auth-type=web")
	alice.atPage(p)
	p.OK()
	_, d := alice.doc(pkg)
	assert.Equal(s.t, map[string]string{"latest": "1.0.0"}, d.Tags)
}

func (s *scene) npmWorkspaces() {
	alice := s.person(s.name)
	names, dir := alice.monorepo("1.0.0", nil)
	alice.shows(dir, "npm", "publish", "--workspaces")
	for _, name := range names {
		assert.NotNil(s.t, alice.has(name, "1.0.0"), name)
	}
}

// monorepo makes a repository of three packages of the person's, and of further files.
func (a *actor) monorepo(version string, files map[string]string) (names []string, dir string) {
	a.t.Helper()
	return a.monorepoOf(a.scene.name, version, files)
}

// monorepoOf is monorepo in a scope.
func (a *actor) monorepoOf(scope, version string, files map[string]string) (names []string, dir string) {
	a.t.Helper()
	all := map[string]string{"package.json": `{"name":"mono","version":"1.0.0","private":true,"workspaces":["packages/*"],"license":"MIT"}`}
	for _, part := range []string{"a", "b", "c"} {
		name := "@" + scope + "/" + part
		names = append(names, name)
		all["packages/"+part+"/package.json"] = `{"name":"` + name + `","version":"` + version + `","license":"MIT","repository":"https://git.example/mono"}`
		all["packages/"+part+"/index.js"] = "module.exports = " + `"` + name + "@" + version + `"` + "\n"
	}
	for name, content := range files {
		all[name] = content
	}
	return names, a.home.Project("mono", all)
}

// unpublished checks that version is gone with its tarball, and that others are not.
func (a *actor) unpublished(pkg, version string, others ...string) {
	a.t.Helper()
	_, d := a.doc(pkg)
	assert.NotContains(a.t, d.Versions, version)
	c := a.registry.As(a.home.Token())
	file := pkg[strings.Index(pkg, "/")+1:]
	assert.Equal(a.t, http.StatusNotFound, c.Do("GET", pkg+"/-/"+file+"-"+version+".tgz", nil).Status)
	for _, other := range others {
		assert.Contains(a.t, d.Versions, other)
		assert.Equal(a.t, http.StatusOK, c.Do("GET", pkg+"/-/"+file+"-"+other+".tgz", nil).Status)
	}
}

// It takes two requests, and one code.
func (s *scene) npmUnpublish() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0", "1.1.0")
	out := alice.home.OK("", "npm", "unpublish", pkg+"@1.1.0", "--otp="+alice.app.Fresh())
	assert.Contains(s.t, out.Stdout, "- "+pkg+"@1.1.0")
	alice.unpublished(pkg, "1.1.0", "1.0.0")
}

// Or one page.
func (s *scene) npmPageUnpublish() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0", "1.1.0")
	p := alice.home.Terminal("", "npm", "unpublish", pkg+"@1.1.0", "--auth-type=web")
	page := alice.atPage(p)
	p.OK()
	assert.Contains(s.t, page, pkg)
	assert.Contains(s.t, page, "1.1.0")
	alice.unpublished(pkg, "1.1.0", "1.0.0")
}

func (s *scene) npmUnpublishLast() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0")
	alice.home.OK("", "npm", "unpublish", pkg+"@1.0.0", "--force", "--otp="+alice.app.Fresh())
	status, _ := alice.doc(pkg)
	assert.Equal(s.t, http.StatusNotFound, status)
}

// What is deprecated already is deprecated without a code.
func (s *scene) npmDeprecate() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0", "1.1.0")
	deprecate := func(message string, flags ...string) integration.Result {
		return alice.home.Run("", "npm", append([]string{"deprecate", pkg + "@1.0.0", message}, flags...)...)
	}
	require.Zero(s.t, deprecate("use 1.1.0", "--otp="+alice.app.Fresh()).Code)
	again := deprecate("use 1.1.0")
	assert.Zero(s.t, again.Code, again.Output())
	other := deprecate("use 1.1.0 or later")
	assert.Contains(s.t, other.Output(), "EOTP")
	_, d := alice.doc(pkg)
	assert.Equal(s.t, "use 1.1.0", d.Versions["1.0.0"].Deprecated)
	require.Zero(s.t, deprecate("", "--otp="+alice.app.Fresh()).Code)
	assert.Zero(s.t, deprecate("").Code)
	_, d = alice.doc(pkg)
	assert.Empty(s.t, d.Versions["1.0.0"].Deprecated)
}

// tokens makes tokens of somebody who has no second factor yet, and returns their keys.
func (a *actor) tokens(n int) (keys []string) {
	a.t.Helper()
	for range n {
		a.token(may("read-only"))
	}
	return a.keys()
}

// keys returns those of all tokens of the person.
func (a *actor) keys() (keys []string) {
	a.t.Helper()
	var list struct{ Objects []struct{ Key string } }
	a.registry.As(a.home.Token()).Do("GET", "-/npm/v1/tokens", nil).JSON(a.t, &list)
	for _, token := range list.Objects {
		keys = append(keys, token.Key)
	}
	return keys
}

// Each token takes a code of its own: the one of the first is not for the second.
func (s *scene) npmRevoke() {
	alice := s.newcomer(s.name)
	keys := alice.tokens(4)
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	slices.Sort(keys)
	args := []string{"token", "revoke", keys[0], keys[1], "--otp=" + alice.app.Fresh()}
	refused := alice.home.Run("", "npm", args...)
	assert.NotZero(s.t, refused.Code)
	assert.Contains(s.t, refused.Output(), "EOTP")
	require.Len(s.t, alice.keys(), 3, "the first is revoked")

	left := alice.keys()
	p := alice.home.Terminal("", "npm", "token", "revoke", left[0], left[1], "--otp="+alice.app.Fresh())
	p.Expect(`Enter OTP:`)
	p.Type(alice.app.Fresh())
	assert.Contains(s.t, p.OK().Output(), "Removed 2 tokens")
	assert.Len(s.t, alice.keys(), 1)
}

// Or a page of its own.
func (s *scene) npmPageRevoke() {
	alice := s.newcomer(s.name)
	keys := alice.tokens(2)
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	p := alice.home.Terminal("", "npm", "token", "revoke", keys[0], keys[1], "--auth-type=web")
	pages := alice.atPage(p) + alice.atPage(p) // npm 8 and 10 send both requests at once, in any order
	for _, key := range keys {
		assert.Contains(s.t, pages, key)
	}
	p.OK()
	assert.Empty(s.t, alice.keys())
}

// A publish does not change who may see a package: one without --access goes on as it was, and
// one with another is refused in words.
func (s *scene) npmVisibility() {
	alice := s.person(s.name)
	for access, other := range map[string]string{"public": "restricted", "restricted": "public"} {
		pkg := "@" + s.name + "/" + access
		alice.shows("", "npm", "publish", alice.home.Package(pkg, "1.0.0"), "--access="+access)
		alice.shows("", "npm", "publish", alice.home.Package(pkg, "1.1.0"))
		alice.shows("", "npm", "publish", alice.home.Package(pkg, "1.2.0"), "--access="+access)
		r := alice.showing("", "npm", "publish", alice.home.Package(pkg, "1.3.0"), "--access="+other)
		assert.NotZero(s.t, r.Code)
		assert.Contains(s.t, r.Output(), "The package is "+access+" and a publish does not change that.")
		assert.Nil(s.t, alice.has(pkg, "1.3.0"))
	}
}

// An unreliable is a way to the registry on which the first answer to each write that was done
// is lost: with its connection, or with a 503 in its place.
type unreliable struct {
	mu   sync.Mutex
	seen map[string]int // writes that were done, by method and path; guarded by mu
}

// overLoss returns the actor as one who reaches the registry over such a way.
func (a *actor) overLoss(cut bool) (*actor, *unreliable) {
	a.t.Helper()
	base, err := url.Parse(a.registry.URL)
	require.NoError(a.t, err)
	way := &unreliable{seen: map[string]int{}}
	errLost := errors.New("lost")
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) },
		ModifyResponse: func(res *http.Response) error {
			if res.Request.Method == http.MethodGet || res.StatusCode >= 300 {
				return nil
			}
			way.mu.Lock()
			defer way.mu.Unlock()
			write := res.Request.Method + " " + res.Request.URL.EscapedPath()
			way.seen[write]++
			if way.seen[write] > 1 {
				return nil
			}
			if cut {
				return errLost
			}
			res.StatusCode, res.Status = http.StatusServiceUnavailable, "503 Service Unavailable"
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	a.t.Cleanup(proxy.Close)
	home := integration.NewHome(a.t, proxy.URL+"/")
	home.Use(a.client)
	home.SetToken(a.home.Token())
	far := *a
	far.home = home
	return &far, way
}

// twice checks that n writes were done, and each was sent twice.
func (w *unreliable) twice(t *testing.T, n int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	assert.Len(t, w.seen, n)
	for write, times := range w.seen {
		assert.Equal(t, 2, times, write)
	}
}

func (s *scene) retriedPublish() {
	alice := s.person(s.name)
	for i, version := range []string{"1.0.0", "1.1.0"} { // npm refuses latest for one that is not the highest
		pkg, cut := "@"+s.name+"/widget", i == 1
		far, way := alice.overLoss(cut)
		far.shows(far.home.Package(pkg, version), "npm", "publish")
		far.shows("", "npm", "dist-tag", "add", pkg+"@"+version, "beta")
		far.shows("", "npm", "dist-tag", "rm", pkg, "beta")
		alice.code = far.code
		way.twice(s.t, 3)
		assert.NotNil(s.t, alice.has(pkg, version))
	}
}

func (s *scene) retriedPage() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	far, way := alice.overLoss(true)
	p := far.home.Terminal(far.home.Package(pkg, "1.0.0"), "npm", "publish", "--auth-type=web")
	far.atPage(p)
	p.OK()
	way.twice(s.t, 1)
	assert.NotNil(s.t, alice.has(pkg, "1.0.0"))
}

func (s *scene) retriedUnpublish() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0", "1.1.0")
	far, way := alice.overLoss(false)
	far.home.OK("", "npm", "unpublish", pkg+"@1.1.0", "--otp="+far.app.Fresh())
	way.twice(s.t, 2)
	alice.unpublished(pkg, "1.1.0", "1.0.0")
}

func (s *scene) retriedPageUnpublish() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0", "1.1.0")
	far, way := alice.overLoss(true)
	p := far.home.Terminal("", "npm", "unpublish", pkg+"@1.1.0", "--auth-type=web")
	far.atPage(p)
	p.OK()
	way.twice(s.t, 2)
	alice.unpublished(pkg, "1.1.0", "1.0.0")
}

func (s *scene) retriedDeprecate() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0")
	far, way := alice.overLoss(true)
	far.home.OK("", "npm", "deprecate", pkg, "old", "--otp="+far.app.Fresh())
	way.twice(s.t, 1)
	_, d := alice.doc(pkg)
	assert.Equal(s.t, "old", d.Versions["1.0.0"].Deprecated)
}

func (s *scene) retriedOwner() {
	alice, other := s.person(s.name), s.name+"-other"
	pkg := "@" + s.name + "/widget"
	alice.publishes(alice.app.Fresh(), pkg, "public", "1.0.0")
	far, way := alice.overLoss(true)
	far.home.OK("", "npm", "owner", "add", other, pkg, "--otp="+far.app.Fresh())
	way.twice(s.t, 1)
	assert.Contains(s.t, alice.asks("owner", "ls", pkg), other+" <")
	far, way = alice.overLoss(false)
	far.home.OK("", "npm", "owner", "rm", other, pkg, "--otp="+far.app.Fresh())
	way.twice(s.t, 1)
	assert.NotContains(s.t, alice.asks("owner", "ls", pkg), other+" <")
}
