package integration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// What publishes a repository of packages shows one code for all of them.
func TestMonorepo(t *testing.T) {
	t.Parallel()
	play(t, []string{"lerna"}, map[string]func(*scene){"code": (*scene).lernaCode, "temporary": (*scene).lernaTemporaryTag, "machine": (*scene).lernaMachine,
		"public": (*scene).lernaPublic, "restricted": (*scene).lernaRestricted})
	play(t, []string{"changesets"}, map[string]func(*scene){"code": (*scene).changesetsCode, "page": (*scene).changesetsPage, "machine": (*scene).changesetsMachine})
	play(t, among("pnpm10", "pnpm12"), map[string]func(*scene){"code": (*scene).pnpmCode, "page": (*scene).pnpmPage, "machine": (*scene).pnpmMachine, "visible": (*scene).pnpmVisibility})
	play(t, []string{"bun"}, map[string]func(*scene){"code": (*scene).bunCode, "page": (*scene).bunPage, "visible": (*scene).bunVisibility})
}

// repository makes a repository of three packages under git, with further files.
func (a *actor) repository(version string, files map[string]string) (names []string, dir string) {
	a.t.Helper()
	integration.Require(a.t, "git")
	names, dir = a.monorepo(version, files)
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"config", "user.name", "Alice"}, {"config", "user.email", "alice@acme.test"}, {"add", "."}, {"commit", "-q", "-m", "first"},
	} {
		a.home.OK(dir, "git", args...)
	}
	return names, dir
}

// all checks that all packages have the version, and the tags of it.
func (a *actor) all(names []string, version string, tags ...string) {
	a.t.Helper()
	for _, name := range names {
		require.NotNil(a.t, a.has(name, version), name)
		_, d := a.doc(name)
		want := map[string]string{}
		for _, tag := range tags {
			want[tag] = version
		}
		assert.Equal(a.t, want, d.Tags, name)
	}
}

func (a *actor) lerna(version string, flags ...string) (names []string, run integration.Result) {
	a.t.Helper()
	a.home.Use("npm12") // which it asks for the files of a package
	names, dir := a.repository(version, map[string]string{
		"lerna.json": `{"version":"` + version + `","npmClient":"npm","packages":["packages/*"]}`,
		".gitignore": "node_modules\n.nx\n",
		"nx.json":    `{"analytics":false,"neverConnectToCloud":true,"useDaemonProcess":false}`,
	})
	return names, a.home.Run(dir, "lerna", append([]string{"publish", "from-package", "--yes", "--no-verify-access", "--registry", a.home.Registry}, flags...)...)
}

func (s *scene) lernaCode() {
	alice := s.person(s.name)
	names, run := alice.lerna("1.0.0", "--otp", alice.app.Lasting())
	require.Zero(s.t, run.Code, run.Output())
	alice.all(names, "1.0.0", "latest")
}

// With a temporary tag it publishes and then moves dist-tags.
func (s *scene) lernaTemporaryTag() {
	alice := s.person(s.name)
	names, run := alice.lerna("1.0.0", "--temp-tag", "--dist-tag", "next", "--otp", alice.app.Lasting())
	require.Zero(s.t, run.Code, run.Output())
	for _, name := range names {
		_, d := alice.doc(name)
		assert.Equal(s.t, "1.0.0", d.Tags["next"], name)
		assert.NotContains(s.t, d.Tags, "lerna-temp", name)
	}
}

func (s *scene) lernaMachine() {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	names, run := ci.lerna("1.0.0", "--temp-tag")
	require.Zero(s.t, run.Code, run.Output())
	alice.all(names, "1.0.0", "latest")
}

func (s *scene) lernaPublic() { s.lernaVisibility("public") }

func (s *scene) lernaRestricted() { s.lernaVisibility("restricted") }

// A new version goes on with who may see the package, without a word of it.
func (s *scene) lernaVisibility(access string) {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	for _, part := range []string{"a", "b", "c"} {
		ci.publish("@"+s.name+"/"+part, access, "1.0.0")
	}
	names, run := ci.lerna("1.1.0")
	require.Zero(s.t, run.Code, run.Output())
	alice.all(names, "1.1.0", "latest")
}

// changesets makes a repository whose packages are not published yet, and returns where it is.
func (a *actor) changesets() (names []string, dir string) {
	a.t.Helper()
	a.home.Use("npm12")
	return a.repository("1.0.0", map[string]string{
		".changeset/config.json": `{"access":"restricted","baseBranch":"main","changelog":false,"commit":false}`,
		"package-lock.json":      `{"name":"mono","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{}}`,
	})
}

func (s *scene) changesetsCode() {
	alice := s.person(s.name)
	names, dir := alice.changesets()
	code := alice.app.Lasting()
	for strings.HasPrefix(code, "0") { // which Changesets loses: it takes a code for a number
		code = alice.app.Fresh()
	}
	alice.home.OK(dir, "changeset", "publish", "--otp", code)
	alice.all(names, "1.0.0", "latest")
}

func (s *scene) changesetsMachine() {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	names, dir := ci.changesets()
	ci.home.OK(dir, "changeset", "publish")
	alice.all(names, "1.0.0", "latest")
}

// Without a code it has npm ask for each package, which takes a page for each.
func (s *scene) changesetsPage() {
	alice := s.person(s.name)
	names, dir := alice.changesets()
	p := alice.home.Terminal(dir, "changeset", "publish")
	for range names {
		alice.atPage(p)
	}
	p.OK()
	alice.all(names, "1.0.0", "latest")
}

func (a *actor) pnpmWorkspace(version string) (names []string, dir string) {
	a.t.Helper()
	if a.client == "pnpm10" {
		a.home.Use("npm12") // which publishes for it
	}
	return a.monorepo(version, map[string]string{"pnpm-workspace.yaml": "packages:\n  - packages/*\n"})
}

func (s *scene) pnpmCode() {
	alice := s.person(s.name)
	names, dir := alice.pnpmWorkspace("1.0.0")
	alice.shows(dir, "pnpm", "publish", "-r", "--no-git-checks")
	alice.all(names, "1.0.0", "latest")
}

func (s *scene) pnpmMachine() {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	names, dir := ci.pnpmWorkspace("1.0.0")
	ci.home.OK(dir, "pnpm", "publish", "-r", "--no-git-checks")
	alice.all(names, "1.0.0", "latest")
}

func (s *scene) pnpmPage() {
	alice := s.person(s.name)
	names, dir := alice.pnpmWorkspace("1.0.0")
	p := alice.home.Terminal(dir+"/packages/a", "pnpm", "publish", "--no-git-checks", "--tag=next")
	page := alice.atPage(p)
	p.OK()
	for _, said := range []string{names[0], "1.0.0", "next", alice.integrity(names[0], "1.0.0")} {
		assert.Contains(s.t, page, said)
	}
}

func (s *scene) pnpmVisibility() {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	names, dir := ci.pnpmWorkspace("1.0.0")
	ci.home.OK(dir, "pnpm", "publish", "-r", "--no-git-checks", "--access=public")
	_, dir = ci.pnpmWorkspace("1.1.0")
	ci.home.OK(dir, "pnpm", "publish", "-r", "--no-git-checks")
	alice.all(names, "1.1.0", "latest")
}

func (s *scene) bunCode() {
	alice := s.person(s.name)
	names, dir := alice.monorepo("1.0.0", nil)
	for _, part := range []string{"a", "b", "c"} {
		alice.shows(dir+"/packages/"+part, "bun", "publish")
	}
	alice.all(names, "1.0.0", "latest")
}

func (s *scene) bunPage() {
	alice := s.person(s.name)
	names, dir := alice.monorepo("1.0.0", nil)
	p := alice.home.Start(dir+"/packages/a", "bun", "publish", "--tag=next") // it needs no terminal
	page, _ := alice.approve(p.Expect(`(http://\S+/-/auth/challenge/\S+)`)[1])
	p.OK()
	for _, said := range []string{names[0], "1.0.0", "next", alice.integrity(names[0], "1.0.0")} {
		assert.Contains(s.t, page, said)
	}
}

func (s *scene) bunVisibility() {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	names, dir := ci.monorepo("1.0.0", nil)
	ci.home.OK(dir+"/packages/a", "bun", "publish", "--access=public")
	_, dir = ci.monorepo("1.1.0", nil)
	ci.home.OK(dir+"/packages/a", "bun", "publish")
	assert.NotNil(s.t, alice.has(names[0], "1.1.0"))
}
