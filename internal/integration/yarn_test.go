package integration_test

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// Yarn 2 and later send the tarball before they say what it is, ask for a code at the
// terminal, and send everything again with it.
func TestYarn(t *testing.T) {
	t.Parallel()
	play(t, among("yarn2", "yarn3", "yarn4"), map[string]func(*scene){
		"prompt": (*scene).yarnPrompt, "machine": (*scene).yarnMachine, "visible": (*scene).yarnVisibility,
	})
	// Yarn 2 has no --otp, and does not say where the page is.
	play(t, among("yarn3", "yarn4"), map[string]func(*scene){"code": (*scene).yarnCode, "page": (*scene).yarnPage})
}

// AU-60: what yarn owner of Yarn 1 does: it reads the abbreviated document and sends back what that
// says of the owners.
func TestYarnOwners(t *testing.T) {
	t.Parallel()
	play(t, []string{"yarn1"}, map[string]func(*scene){"owner": (*scene).yarnOwner})
}

func (s *scene) yarnOwner() {
	alice, bob := s.person(s.name), s.person(s.name+"-other")
	pkg, scoped := s.name+"-widget", "@"+s.name+"/widget"
	code := alice.app.Lasting()
	alice.publishes(code, pkg, "public", "1.0.0")
	alice.publishes(code, scoped, "public", "1.0.0")
	owners := func(of string) []string {
		return regexp.MustCompile(`info .*<`).FindAllString(alice.home.OK("", "yarn", "owner", "list", of).Output(), -1)
	}

	p := alice.home.Terminal("", "yarn", "owner", "add", bob.name, pkg)
	p.Expect(`one-time password`)
	p.Type(alice.app.Fresh())
	assert.Contains(s.t, p.OK().Output(), "success Added owner")
	both := []string{"info " + alice.name + " <", "info " + bob.name + " <"}
	assert.Equal(s.t, both, owners(pkg))

	// Its own faults: it takes an owner whom it has found for an error and sends nothing, tells of
	// one whom it has not found and sends the same list, and knows no package with a scope.
	for _, name := range []string{bob.name, alice.name, "nobody"} {
		run := alice.home.Run("", "yarn", "owner", "remove", name, pkg)
		assert.NotZero(s.t, run.Code, run.Output())
	}
	assert.Equal(s.t, both, owners(pkg))
	run := alice.home.Run("", "yarn", "owner", "add", bob.name, scoped)
	assert.NotZero(s.t, run.Code)
	assert.Contains(s.t, run.Output(), "Invalid package name")
	assert.Equal(s.t, both[:1], owners(scoped))
}

// workspace makes a package as Yarn 2 and later publish it, and returns its folder.
func (a *actor) workspace(name, version string) string {
	a.t.Helper()
	dir := a.home.Project(filepath.Base(name)+"-"+version, map[string]string{
		"package.json": `{"name":"` + name + `","version":"` + version + `","license":"MIT","main":"index.js"}`,
		"index.js":     "module.exports = " + `"` + name + "@" + version + `"` + "\n",
		"yarn.lock":    "",
	})
	a.home.OK(dir, "yarn", "install")
	return dir
}

// A code in the command is asked for no more.
func (s *scene) yarnCode() {
	alice := s.person(s.name)
	for _, part := range []string{"one", "two"} { // and one code is good for both
		pkg := "@" + s.name + "/" + part
		alice.shows(alice.workspace(pkg, "1.0.0"), "yarn", "npm", "publish")
		assert.NotNil(s.t, alice.has(pkg, "1.0.0"))
	}
}

// yarnAsks waits until Yarn asks for a code: 3 and 4 do when nobody wants to have the page
// opened.
func (s *scene) yarnAsks(p *integration.Process) {
	if s.client != "yarn2" {
		p.Expect(`open this url now\?`)
		p.Type("n")
	}
	p.Expect(`One-time password:`)
}

func (s *scene) yarnPrompt() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	p := alice.home.Terminal(alice.workspace(pkg, "1.0.0"), "yarn", "npm", "publish", "--tag=next")
	s.yarnAsks(p)
	p.Type(alice.app.Fresh())
	p.OK()
	require.NotNil(s.t, alice.has(pkg, "1.0.0"))
	_, d := alice.doc(pkg)
	assert.Equal(s.t, "1.0.0", d.Tags["next"])
}

// typed finds the code that a page shows once it was confirmed.
var typed = regexp.MustCompile(`\b\d{4} \d{4} \d{4} \d{4}\b`)

// Yarn 3 and 4 say at which page to confirm, which says what is published and shows a code.
func (s *scene) yarnPage() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	p := alice.home.Terminal(alice.workspace(pkg, "1.0.0"), "yarn", "npm", "publish", "--tag=next")
	address := p.Expect(`Open (http://\S+) to confirm this`)[1]
	s.yarnAsks(p)
	before, after := alice.approve(address)
	code := typed.FindString(after)
	require.NotEmpty(s.t, code, after)
	p.Type(code)
	p.OK()
	for _, said := range []string{pkg, "1.0.0", "next", alice.integrity(pkg, "1.0.0")} {
		assert.Contains(s.t, before, said)
	}
}

// A machine with a token that stands in for a second factor is asked for none.
func (s *scene) yarnMachine() {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	pkg := "@" + s.name + "/widget"
	ci.home.OK(ci.workspace(pkg, "1.0.0"), "yarn", "npm", "publish")
	require.NotNil(s.t, alice.has(pkg, "1.0.0"))
	ci.home.OK(ci.workspace(pkg, "1.1.0"), "yarn", "npm", "publish")
	ci.home.OK(ci.workspace(pkg, "1.1.0"), "yarn", "npm", "tag", "add", pkg+"@1.0.0", "old")
	_, d := alice.doc(pkg)
	assert.Equal(s.t, map[string]string{"latest": "1.1.0", "old": "1.0.0"}, d.Tags)
}

// Yarn says restricted of a scoped package where it is not told otherwise, and is refused in
// words that say what to do.
func (s *scene) yarnVisibility() {
	alice := s.person(s.name)
	ci := alice.token(bypass())
	pkg := "@" + s.name + "/widget"
	ci.home.OK(ci.workspace(pkg, "1.0.0"), "yarn", "npm", "publish", "--access=public")
	dir := ci.workspace(pkg, "1.1.0")
	refused := ci.home.Run(dir, "yarn", "npm", "publish")
	assert.NotZero(s.t, refused.Code)
	assert.Contains(s.t, strings.Join(strings.Fields(refused.Output()), " "), "The package is public and a publish does not change that. Publish with --access=public")
	assert.Nil(s.t, alice.has(pkg, "1.1.0"))
	ci.home.OK(dir, "yarn", "npm", "publish", "--access=public")
	assert.NotNil(s.t, alice.has(pkg, "1.1.0"))
}

// Yarn 1 asks for a password and a code when it publishes, and uses the one code for the
// login, the publish and the logout.
func TestYarn1(t *testing.T) {
	t.Parallel()
	play(t, []string{"yarn1"}, map[string]func(*scene){"login": (*scene).yarn1Login, "code": (*scene).yarn1Code})
}

func (s *scene) yarn1Login() {
	alice := s.person(s.name)
	session := alice.home.Token()
	pkg := "@" + s.name + "/widget"
	nobody := s.machine("")
	p := nobody.home.Terminal(nobody.home.Package(pkg, "1.0.0"), "yarn", "publish", "--new-version", "1.0.0")
	p.Expect(`npm username:`)
	p.Type(s.name)
	p.Expect(`npm email:`)
	p.Type(s.name + "@acme.test")
	p.Expect(`npm password:`)
	p.Type(integration.Password)
	p.Expect(`npm one-time password:`)
	p.Type(alice.app.Fresh())
	out := p.OK().Output()
	assert.Contains(s.t, out, "Published")
	assert.Contains(s.t, out, "Revoked login token")
	assert.NotNil(s.t, alice.has(pkg, "1.0.0"))
	assert.Equal(s.t, http.StatusOK, s.registry.As(session).Do("GET", "-/whoami", nil).Status, "her other login goes on")
}

func (s *scene) yarn1Code() {
	alice := s.person(s.name)
	for _, part := range []string{"one", "two"} {
		pkg := "@" + s.name + "/" + part
		alice.shows(alice.home.Package(pkg, "1.0.0"), "yarn", "publish", "--new-version", "1.0.0", "--non-interactive")
		assert.NotNil(s.t, alice.has(pkg, "1.0.0"))
	}
}
