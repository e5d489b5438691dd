package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// published reports whether a version of a package is there, as its owner sees it.
func published(registry *integration.Registry, home *integration.Home, name, version string) bool {
	return registry.As(home.Token()).Do("GET", url.PathEscape(name)+"/"+version, nil).Status == http.StatusOK
}

// From a printed secret to a package on the registry.
func TestEnrolAndPublish(t *testing.T) {
	t.Parallel()
	integration.Require(t, "npm")
	registry := integration.Start(t, seed("alice")...)
	home := integration.NewHome(t, registry.URL)
	home.SetToken(registry.SignIn("alice", ""))
	dir := home.Package("widget", "1.0.0")

	// Without a second factor there is no challenge that alice could answer.
	refused := home.Run(dir, "npm", "publish")
	assert.NotZero(t, refused.Code)
	assert.Contains(t, refused.Output(), "E403")
	assert.Contains(t, refused.Output(), "npm profile enable-2fa auth-and-writes")

	app := enable2FA(t, home)

	challenged := home.Run(dir, "npm", "publish")
	assert.NotZero(t, challenged.Code)
	assert.Contains(t, challenged.Output(), "EOTP")
	stale := home.Run(dir, "npm", "publish", "--otp="+app.Stale())
	assert.Contains(t, stale.Output(), "EOTP", "a code whose time is over")
	assert.False(t, published(registry, home, "widget", "1.0.0"))

	home.OK(dir, "npm", "publish", "--otp="+app.Fresh())
	assert.True(t, published(registry, home, "widget", "1.0.0"))
}

// A code is for what it was typed for.
func TestCodeIsForOneThing(t *testing.T) {
	registry, home, app := member(t)
	dir := home.Package("widget", "1.0.0")
	code := app.Fresh()
	home.OK(dir, "npm", "publish", "--otp="+code)

	t.Run("not for another session", func(t *testing.T) {
		other := integration.NewHome(t, registry.URL)
		other.SetToken(registry.SignIn("alice", app.Fresh()))
		result := other.Run(other.Package("gadget", "1.0.0"), "npm", "publish", "--otp="+code)
		assert.Contains(t, result.Output(), "EOTP")
		assert.False(t, published(registry, home, "gadget", "1.0.0"))
	})
	t.Run("not for another class of operation", func(t *testing.T) {
		result := home.Run("", "npm", "token", "create", "--name=ci", "--packages-all",
			"--packages-and-scopes-permission=read-write", "--password="+integration.Password, "--otp="+code)
		assert.Contains(t, result.Output(), "EOTP")
	})
}

// A recovery code is for a person who comes back without their phone, not for
// publishing, and it is not lost over the attempt.
func TestRecoveryCodeDoesNotPublish(t *testing.T) {
	t.Parallel()
	integration.Require(t, "npm")
	registry := integration.Start(t, seed("alice")...)
	home := integration.NewHome(t, registry.URL)
	home.SetToken(registry.SignIn("alice", ""))
	_, recovery := registry.Enrol(home.Token())
	result := home.Run(home.Package("widget", "1.0.0"), "npm", "publish", "--otp="+recovery[0])
	assert.Contains(t, result.Output(), "A recovery code repairs your account but cannot be used for this.")
	assert.False(t, published(registry, home, "widget", "1.0.0"))
	registry.SignIn("alice", recovery[0])
}

// One code is enough for a repository of many packages.
func TestPublishWorkspaces(t *testing.T) {
	registry, home, app := member(t)
	dir := home.Project("mono", map[string]string{
		"package.json":            `{"name":"mono","private":true,"workspaces":["packages/*"]}`,
		"packages/a/package.json": `{"name":"mono-a","version":"1.0.0"}`,
		"packages/b/package.json": `{"name":"mono-b","version":"1.0.0"}`,
		"packages/c/package.json": `{"name":"@alice/mono-c","version":"1.0.0"}`,
	})
	home.OK(dir, "npm", "publish", "--workspaces", "--otp="+app.Fresh())
	for _, name := range []string{"mono-a", "mono-b", "@alice/mono-c"} {
		assert.True(t, published(registry, home, name, "1.0.0"), name)
	}
}

// Without a terminal npm prints where to approve and where to collect the proof.
func TestWebChallengeWithoutTerminal(t *testing.T) {
	registry, home, app := member(t)
	dir := home.Package("widget", "1.0.0")

	var printed struct {
		Error struct{ Code, AuthURL, DoneURL string }
	}
	challenged := home.Run(dir, "npm", "publish", "--json")
	require.NotZero(t, challenged.Code)
	require.NoError(t, json.Unmarshal([]byte(challenged.Stdout), &printed), challenged.Output())
	require.Equal(t, "EOTP", printed.Error.Code)
	plain := home.Run(dir, "npm", "publish").Output()
	assert.Contains(t, plain, registry.URL+"-/auth/challenge/")
	assert.Contains(t, plain, registry.URL+"-/auth/proof/", "not masked")

	collect := func() integration.Answer {
		return registry.As("").Do("GET", strings.TrimPrefix(printed.Error.DoneURL, registry.URL), nil)
	}
	waiting := collect()
	assert.Equal(t, http.StatusAccepted, waiting.Status)
	assert.NotEmpty(t, waiting.Header.Get("Retry-After"))

	browser := integration.NewBrowser(t)
	page := browser.Open(printed.Error.AuthURL)
	assert.Contains(t, page.Text(), "widget", "what is asked for")
	browser.Approve(printed.Error.AuthURL, map[string]string{"password": integration.Password, "code": app.Fresh()})

	answer := collect()
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	var done struct{ Token string }
	answer.JSON(t, &done)
	require.NotEmpty(t, done.Token)

	other := home.Run(home.Package("gadget", "1.0.0"), "npm", "publish", "--otp="+done.Token)
	assert.Contains(t, other.Output(), "EOTP", "the page named one package")
	changed := filepath.Join(dir, "index.js")
	was, err := os.ReadFile(changed)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(changed, []byte("module.exports = 'something else'\n"), 0o644))
	assert.Contains(t, home.Run(dir, "npm", "publish", "--otp="+done.Token).Output(), "EOTP", "the page said what is in it")
	require.NoError(t, os.WriteFile(changed, was, 0o644))
	home.OK(dir, "npm", "publish", "--otp="+done.Token)
	assert.True(t, published(registry, home, "widget", "1.0.0"))
	assert.False(t, published(registry, home, "gadget", "1.0.0"))
}

// With a terminal npm waits for the page by itself.
func TestWebChallengeAtTheTerminal(t *testing.T) {
	registry, home, app := member(t)
	publish := home.Terminal(home.Package("widget", "1.0.0"), "npm", "publish")
	address := publish.Expect(`Authenticate your account at:\s+(http://\S+)`)[1]
	integration.NewBrowser(t).Approve(address, map[string]string{"password": integration.Password, "code": app.Fresh()})
	publish.OK()
	assert.True(t, published(registry, home, "widget", "1.0.0"))
}

func TestInstall(t *testing.T) {
	registry, home, app := member(t)
	dir := home.Package("widget", "1.0.0")
	home.OK(dir, "npm", "publish", "--otp="+app.Fresh())
	pack := home.OK(dir, "npm", "pack", "--json")
	var packed []struct{ Integrity string }
	require.NoError(t, json.Unmarshal([]byte(pack.Stdout), &packed))

	stranger := integration.NewHome(t, registry.URL)
	project := stranger.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
	stranger.OK(project, "npm", "install", "widget")
	code, err := os.ReadFile(filepath.Join(project, "node_modules", "widget", "index.js"))
	require.NoError(t, err)
	assert.Equal(t, "module.exports = \"widget@1.0.0\"\n", string(code))

	type locked struct{ Version, Resolved, Integrity string }
	var lock struct{ Packages map[string]locked }
	data, err := os.ReadFile(filepath.Join(project, "package-lock.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &lock))
	assert.Equal(t, locked{"1.0.0", registry.URL + "widget/-/widget-1.0.0.tgz", packed[0].Integrity}, lock.Packages["node_modules/widget"])

	stranger.DropCache()
	stranger.OK(project, "npm", "ci")
}

// A registry may live below a path of its host.
func TestPrefix(t *testing.T) {
	addr := integration.FreeAddr(t)
	registry, home, app := member(t, "-addr", addr, "-url", "http://"+addr+"/npm/")
	require.Equal(t, "http://"+addr+"/npm/", registry.URL)

	login := home.Start("", "npm", "login")
	address := login.Expect(`Login at:\s+(http://\S+)`)[1]
	integration.NewBrowser(t).Approve(address, map[string]string{"name": "alice", "password": integration.Password, "code": app.Fresh()})
	login.OK()
	home.OK(home.Package("@alice/widget", "1.0.0"), "npm", "publish", "--otp="+app.Fresh())
	project := home.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
	home.OK(project, "npm", "install", "@alice/widget")
	lock, err := os.ReadFile(filepath.Join(project, "package-lock.json"))
	require.NoError(t, err)
	assert.Contains(t, string(lock), registry.URL+"@alice/widget/-/widget-1.0.0.tgz")
	home.OK("", "npm", "logout")
	assert.Empty(t, home.Token())
}

// A scope is its user's own, and private unless its owner says otherwise.
func TestScopes(t *testing.T) {
	registry, home, app := member(t, seed("mallory")...)
	code := app.Lasting() // one for all
	home.OK(home.Package("@alice/secret", "1.0.0"), "npm", "publish", "--otp="+code)
	home.OK(home.Package("@alice/open", "1.0.0"), "npm", "publish", "--access=public", "--otp="+code)
	assert.True(t, published(registry, home, "@alice/secret", "1.0.0"))

	foreign := home.Run(home.Package("@acme/widget", "1.0.0"), "npm", "publish", "--otp="+code)
	assert.Contains(t, foreign.Output(), "E403")

	mallory := integration.NewHome(t, registry.URL)
	mallory.SetToken(registry.SignIn("mallory", ""))
	for name, token := range map[string]string{"anonymous": "", "another user": mallory.Token()} {
		t.Run(name, func(t *testing.T) {
			c := registry.As(token)
			hidden, missing := c.Do("GET", "@alice%2fsecret", nil), c.Do("GET", "@alice%2fnothing", nil)
			assert.Equal(t, http.StatusNotFound, hidden.Status)
			assert.Equal(t, missing, clearDate(hidden, missing), "as if it were not there")
			for _, path := range []string{
				"@alice/secret/-/secret-1.0.0.tgz", "@alice%2fsecret/latest", "-/package/@alice%2fsecret/dist-tags", "-/package/@alice%2fsecret/visibility",
			} {
				assert.NotEqual(t, http.StatusOK, c.Do("GET", path, nil).Status, path)
			}
			assert.Equal(t, http.StatusOK, c.Do("GET", "@alice%2fopen", nil).Status)
			assert.Equal(t, http.StatusOK, c.Do("GET", "@alice/open/-/open-1.0.0.tgz", nil).Status)
		})
	}

	project := home.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
	home.OK(project, "npm", "install", "@alice/secret", "@alice/open")
	theirs := mallory.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
	assert.Contains(t, mallory.Run(theirs, "npm", "install", "@alice/secret").Output(), "E404")
}

// clearDate makes two answers comparable that were given at different times.
func clearDate(a, like integration.Answer) integration.Answer {
	a.Header = a.Header.Clone()
	a.Header["Date"] = like.Header["Date"]
	return a
}

func TestDistTags(t *testing.T) {
	registry, home, app := member(t)
	code := app.Lasting()
	home.OK(home.Package("widget", "1.0.0"), "npm", "publish", "--otp="+code)
	home.OK(home.Package("widget", "2.0.0-rc.1"), "npm", "publish", "--tag=next", "--otp="+code)
	again := home.Run(home.Package("widget", "1.0.0"), "npm", "publish", "--otp="+code)
	assert.NotZero(t, again.Code, "a version is published once")

	code = app.Lasting()
	home.OK("", "npm", "dist-tag", "add", "widget@2.0.0-rc.1", "beta", "--otp="+code)
	home.OK("", "npm", "dist-tag", "rm", "widget", "next", "--otp="+code)
	list := home.OK("", "npm", "dist-tag", "ls", "widget")
	assert.Equal(t, []string{"beta: 2.0.0-rc.1", "latest: 1.0.0"}, strings.Split(strings.TrimSpace(list.Stdout), "\n"))
	assert.Equal(t, "2.0.0-rc.1", strings.TrimSpace(home.OK("", "npm", "view", "widget@beta", "version").Stdout))

	answer := registry.As("").Do("PUT", "-/package/widget/dist-tags/latest", "2.0.0-rc.1")
	assert.Equal(t, http.StatusUnauthorized, answer.Status)
}
