package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
)

// What npmauth says to those whom it refuses.
const (
	saysWrite    = "You have no permission to write to this package."
	saysManage   = "You have no permission to manage this package."
	saysReadOnly = "This token can only read this package."
	saysOther    = "This token is not for this package."
	saysStage    = "This token can only stage versions of this package."
	saysToStage  = "E_STAGE_REQUIRED: this token can stage versions of this package but not publish them."
	saysBypass   = "A token that bypasses the second factor may not manage access."
	saysTokens   = "This package does not allow writing with tokens."
	saysNoOrg    = "404 Not Found"
	saysRole     = "Your role in this organization does not allow this."
	saysOrgRead  = "This token can only read this organization."
	saysOrgOther = "This token is not for this organization."
	saysOTP      = "OTP" // EOTP, but for npm owner, which has its own words for every error
)

// The commands that change what is published and who may do what, each by those who may
// and by those who may not. All share one registry, in which each has people of its own.
func TestProtocol(t *testing.T) {
	t.Parallel()
	var flags []string
	for _, npm := range integration.Releases() {
		flags = append(flags, "-org", "acme-"+npm+"=org-"+npm)
	}
	play(t, integration.Releases(), map[string]func(*scene){
		"documents": (*scene).documents, "staging": (*scene).staging, "owners": (*scene).owners, "access": (*scene).access,
		"org": (*scene).org, "search": (*scene).search, "restrictions": (*scene).restrictions,
	}, flags...)
	older := slices.DeleteFunc(slices.Clone(integration.Releases()), func(npm string) bool { return npm == "npm12" }) // which has no such commands
	play(t, older, map[string]func(*scene){"stars": (*scene).stars})
}

// play plays each scene with each client, all at a time and on one registry.
func play(t *testing.T, clients []string, scenes map[string]func(*scene), flags ...string) {
	for _, client := range clients {
		for name := range scenes {
			flags = append(flags, seed(name+"-"+client)...)
			flags = append(flags, seed(name+"-"+client+"-other")...)
			if name == "org" {
				flags = append(flags, seed(name+"-"+client+"-owner")...)
			}
		}
	}
	registry := integration.Start(t, flags...)
	for _, client := range clients {
		for name, scenario := range scenes {
			t.Run(client+"/"+name, func(t *testing.T) {
				integration.RequireClients(t, client)
				t.Parallel()
				scenario(&scene{t: t, registry: registry.For(t), client: client, name: name + "-" + client})
			})
		}
	}
}

// A scene is a part of the protocol with one client, of those that tests drive by name. Its
// people have its name.
type scene struct {
	t        *testing.T
	registry *integration.Registry
	client   string
	name     string
}

// An actor is a person, or a machine with a token of one, at a client.
type actor struct {
	*scene
	home *integration.Home
	name string
	app  *integration.Authenticator // nil of a machine
	code string                     // the last one of app
}

// person logs somebody in who has a second factor.
func (s *scene) person(name string) *actor {
	s.t.Helper()
	a := s.newcomer(name)
	a.app, _ = s.registry.Enrol(a.home.Token())
	return a
}

// newcomer logs somebody in who has none yet.
func (s *scene) newcomer(name string) *actor {
	s.t.Helper()
	a := s.machine(s.registry.SignIn(name, ""))
	a.name = name
	return a
}

// machine is where a token is used.
func (s *scene) machine(token string) *actor {
	s.t.Helper()
	home := integration.NewHome(s.t, s.registry.URL)
	home.Use(s.client)
	home.SetToken(token)
	return &actor{scene: s, home: home}
}

// token makes a token of the person. One that only reads takes no code of those who have
// no app yet.
func (a *actor) token(fields map[string]any) *actor {
	a.t.Helper()
	fields["name"], fields["password"] = "test", integration.Password
	var header []string
	if a.app != nil {
		header = []string{"npm-otp", a.app.Fresh()}
	}
	answer := a.registry.As(a.home.Token()).Do("POST", "-/npm/v1/tokens", fields, header...)
	require.Contains(a.t, []int{http.StatusOK, http.StatusCreated}, answer.Status, answer.Body)
	var made struct{ Token string }
	answer.JSON(a.t, &made)
	return a.machine(made.Token)
}

// may returns what a token is for: all packages, to that permission.
func may(permission string) map[string]any {
	return map[string]any{"packages_all": true, "packages_and_scopes_permission": permission}
}

// bypass returns what a token is for that writes all packages without a code.
func bypass() map[string]any {
	fields := may("read-write")
	fields["bypass_2fa"] = true
	return fields
}

// does runs a command that must succeed, with a code where there is an app, and returns
// what it prints. A code is shown until it is refused, as a person does who types fast.
func (a *actor) does(args ...string) string {
	a.t.Helper()
	if a.app == nil {
		return a.home.OK("", "npm", args...).Output()
	}
	if a.code != "" {
		r := a.home.Run("", "npm", append(args, "--otp="+a.code)...)
		if r.Code == 0 {
			return r.Output()
		}
		require.Contains(a.t, r.Output(), saysOTP, "%s", strings.Join(args, " "))
		a.code = ""
	}
	return a.shows("", "npm", args...)
}

// shows runs a command in dir that must succeed with the code that the actor has shown before,
// if there is one, and returns what it prints.
func (a *actor) shows(dir, command string, args ...string) string {
	a.t.Helper()
	r := a.showing(dir, command, args...)
	require.Zero(a.t, r.Code, "%s %s\n%s", command, strings.Join(args, " "), r.Output())
	return r.Output()
}

// showing is shows for a command that may fail. It shows another code where the time of the first was over
// before the command ended: on a busy machine clients start late.
func (a *actor) showing(dir, command string, args ...string) (r integration.Result) {
	a.t.Helper()
	for range 3 {
		if a.code == "" {
			a.code = a.app.Lasting()
		}
		if r = a.home.Run(dir, command, append(slices.Clone(args), a.flag(a.code)...)...); r.Code == 0 || !a.app.Over() {
			break
		}
		a.code = ""
	}
	return r
}

// asks runs a command that must succeed without a code.
func (a *actor) asks(args ...string) string {
	a.t.Helper()
	return a.home.OK("", "npm", args...).Stdout
}

// fails runs a command, without a code, that must end in words.
func (a *actor) fails(words string, args ...string) {
	a.t.Helper()
	r := a.home.Run("", "npm", args...)
	assert.NotZero(a.t, r.Code, strings.Join(args, " "))
	assert.Contains(a.t, r.Output(), words, strings.Join(args, " "))
}

// publish publishes versions of a package with the token of the actor.
func (a *actor) publish(name, access string, versions ...string) {
	a.t.Helper()
	for _, version := range versions {
		answer := a.tryPublish(name, access, version)
		require.Equal(a.t, http.StatusCreated, answer.Status, answer.Body)
	}
}

func (a *actor) tryPublish(name, access, version string, header ...string) integration.Answer {
	a.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(a.t, err)
	var body map[string]any
	require.NoError(a.t, json.Unmarshal(hosttest.PublishBody(pkg, version), &body))
	body["access"] = access
	return a.registry.As(a.home.Token()).Do("PUT", url.PathEscape(name), body, header...)
}

// doc is a package's document as the actor gets it.
type doc struct {
	Tags     map[string]string `json:"dist-tags"`
	Versions map[string]struct{ Deprecated string }
}

func (a *actor) doc(name string) (status int, d doc) {
	a.t.Helper()
	answer := a.registry.As(a.home.Token()).Do("GET", url.PathEscape(name), nil)
	answer.JSON(a.t, &d)
	return answer.Status, d
}

func (s *scene) documents() {
	alice, eve := s.newcomer(s.name), s.person(s.name+"-other")
	reader := alice.token(may("read-only"))
	elsewhere := alice.token(map[string]any{"scopes": []string{"elsewhere"}})
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	ci := alice.token(bypass())
	pkg := "@" + s.name + "/widget"
	ci.publish(pkg, "public", "1.0.0", "1.1.0", "1.2.0")

	deprecate := []string{"deprecate", pkg + "@1.0.0", "use 1.1.0"}
	alice.fails(saysOTP, deprecate...)
	eve.fails(saysWrite, deprecate...)
	reader.fails(saysReadOnly, deprecate...)
	elsewhere.fails(saysOther, deprecate...)
	_, d := alice.doc(pkg)
	assert.Empty(s.t, d.Versions["1.0.0"].Deprecated)
	alice.does(deprecate...)
	_, d = alice.doc(pkg)
	assert.Equal(s.t, "use 1.1.0", d.Versions["1.0.0"].Deprecated)
	assert.Empty(s.t, d.Versions["1.1.0"].Deprecated)
	alice.does("undeprecate", pkg+"@1.0.0")
	_, d = alice.doc(pkg)
	assert.Empty(s.t, d.Versions["1.0.0"].Deprecated)

	unpublish := []string{"unpublish", pkg + "@1.2.0"}
	alice.fails(saysOTP, unpublish...)
	eve.fails(saysWrite, unpublish...)
	reader.fails(saysReadOnly, unpublish...)
	elsewhere.fails(saysOther, unpublish...)
	assert.Contains(s.t, ci.does(unpublish...), "- "+pkg+"@1.2.0")
	_, d = alice.doc(pkg)
	assert.Len(s.t, d.Versions, 2)
	assert.Equal(s.t, map[string]string{"latest": "1.1.0"}, d.Tags)
	tarball := "@" + s.name + "/widget/-/widget-"
	assert.Equal(s.t, http.StatusNotFound, s.registry.As("").Do("GET", tarball+"1.2.0.tgz", nil).Status)
	assert.Equal(s.t, http.StatusOK, s.registry.As("").Do("GET", tarball+"1.1.0.tgz", nil).Status)
	again := ci.tryPublish(pkg, "public", "1.2.0")
	assert.Equal(s.t, http.StatusForbidden, again.Status)
	assert.Contains(s.t, again.Body, "was unpublished")

	eve.fails(saysWrite, "unpublish", pkg, "--force")
	alice.fails(saysOTP, "unpublish", pkg, "--force")
	assert.Contains(s.t, ci.does("unpublish", pkg, "--force"), "- "+pkg)
	status, _ := alice.doc(pkg)
	assert.Equal(s.t, http.StatusNotFound, status)
	ci.publish(pkg, "public", "2.0.0")
}

// What narrows a token, tried on what every token is for.
func (s *scene) restrictions() {
	alice := s.newcomer(s.name)
	scope := "@" + s.name
	pkg := scope + "/secret" // which is private
	reader := alice.token(map[string]any{"packages": []string{pkg}})
	other := alice.token(map[string]any{"packages": []string{scope + "/other"}})
	away := alice.token(map[string]any{"packages_all": true, "cidr_whitelist": []string{"192.0.2.0/24"}})
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	writer := alice.token(map[string]any{"scopes": []string{scope}, "packages_and_scopes_permission": "read-write"})
	ci := alice.token(bypass())
	publish := func(a *actor, version string, flags ...string) integration.Result {
		return a.home.Run(a.home.Package(pkg, version), "npm", append([]string{"publish"}, flags...)...)
	}
	install := func(a *actor) integration.Result {
		project := a.home.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
		return a.home.Run(project, "npm", "install", pkg)
	}
	tag := func(a *actor, flags ...string) integration.Result {
		return a.home.Run("", "npm", append([]string{"dist-tag", "add", pkg + "@1.0.0", "next"}, flags...)...)
	}
	ends := func(r integration.Result, words string) {
		s.t.Helper()
		assert.Equal(s.t, words != "", r.Code != 0, r.Output())
		assert.Contains(s.t, r.Output(), words)
	}
	ends(publish(ci, "1.0.0"), "")
	for words, refused := range map[string]*actor{saysReadOnly: reader, "EAUTHIP": away, "EOTP": writer} {
		ends(publish(refused, "1.0.1"), words)
		ends(tag(refused), words)
	}
	ends(publish(other, "1.0.1"), saysOther) // as under a name that is free
	ends(tag(other), "E404")
	assert.Equal(s.t, http.StatusNotFound, s.registry.As(alice.home.Token()).Do("GET", url.PathEscape(pkg)+"/1.0.1", nil).Status)
	code := alice.app.Fresh()
	ends(publish(writer, "1.0.1", "--otp="+code), "")
	ends(tag(ci), "")
	ends(install(reader), "")
	ends(install(writer), "")
	ends(install(other), "E404")
	ends(install(away), "EAUTHIP")
}

// A token that stages does nothing else.
func (s *scene) staging() {
	alice := s.person(s.name)
	stager := alice.token(may("read-write-stage-only"))
	pkg := "@" + s.name + "/widget"
	answer := alice.tryPublish(pkg, "public", "1.0.0", "npm-otp", alice.app.Fresh())
	require.Equal(s.t, http.StatusCreated, answer.Status, answer.Body)
	stager.fails(saysToStage, "publish", stager.home.Package(pkg, "1.1.0"))
	stager.fails(saysStage, "deprecate", pkg, "old")
	stager.fails(saysStage, "unpublish", pkg, "--force")
	stager.fails(saysStage, "owner", "add", s.name+"-other", pkg)
	stager.fails(saysStage, "access", "set", "mfa=publish", pkg)
}

func (s *scene) owners() {
	alice, bob := s.newcomer(s.name), s.person(s.name+"-other")
	reader := alice.token(may("read-only"))
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	ci := alice.token(bypass())
	pkg := "@" + s.name + "/widget"
	ci.publish(pkg, "public", "1.0.0")

	add := []string{"owner", "add", bob.name, pkg}
	alice.fails(saysOTP, add...)
	bob.fails(saysManage, add...)
	reader.fails(saysReadOnly, add...)
	ci.fails(saysBypass, add...)
	alice.fails("There is no such user.", "owner", "add", "nobody", pkg)
	alice.fails("Cannot remove all owners", "owner", "rm", alice.name, pkg)
	assert.NotContains(s.t, alice.asks("owner", "ls", pkg), bob.name)
	assert.Contains(s.t, alice.does(add...), "+ "+bob.name+" ("+pkg+")")
	assert.Contains(s.t, alice.asks("owner", "ls", pkg), bob.name+" <")
	bob.fails(saysOTP, "owner", "rm", alice.name, pkg) // not: no permission
	assert.Contains(s.t, alice.does("owner", "rm", bob.name, pkg), "- "+bob.name+" ("+pkg+")")
	bob.fails(saysManage, add...)
}

func (s *scene) access() {
	alice, eve := s.newcomer(s.name), s.person(s.name+"-other")
	reader := alice.token(may("read-only"))
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	ci := alice.token(bypass())
	pkg := "@" + s.name + "/widget"
	ci.publish(pkg, "restricted", "1.0.0")

	assert.Contains(s.t, alice.asks("access", "get", "status", pkg), pkg+": private")
	eve.fails("E404", "access", "get", "status", pkg)
	assert.Contains(s.t, alice.asks("access", "list", "packages"), pkg+": read-write")
	assert.NotContains(s.t, eve.asks("access", "list", "packages", alice.name), pkg, "it is private")

	public := []string{"access", "set", "status=public", pkg}
	alice.fails(saysOTP, public...)
	eve.fails("E404", public...)
	reader.fails(saysReadOnly, public...)
	ci.fails(saysBypass, public...)
	assert.Contains(s.t, alice.does(public...), pkg+": public")
	eve.fails(saysManage, public...)
	assert.Contains(s.t, eve.asks("access", "list", "packages", alice.name), pkg+": read-write")
	assert.Equal(s.t, alice.name+": read-write", strings.TrimSpace(eve.asks("access", "list", "collaborators", pkg)))

	ci.fails(saysBypass, "access", "set", "mfa=automation", pkg)
	eve.fails(saysManage, "access", "set", "mfa=automation", pkg)
	alice.fails("can no longer be set to need no second factor", "access", "set", "mfa=none", pkg)
	alice.fails(saysOTP, "access", "set", "mfa=publish", pkg)
	alice.does("access", "set", "mfa=publish", pkg)
	answer := ci.tryPublish(pkg, "public", "1.0.1")
	assert.Equal(s.t, http.StatusForbidden, answer.Status)
	assert.Contains(s.t, answer.Body, saysTokens)
	ci.fails(saysBypass, "access", "set", "mfa=automation", pkg)
}

func (s *scene) org() {
	acme := "acme-" + s.client
	pkg, devs := "@"+acme+"/widget", acme+":devs"
	alice, bob := s.newcomer(s.name), s.person(s.name+"-other")
	reader := alice.token(map[string]any{"orgs": []string{acme}, "orgs_permission": "read-only"})
	packages := alice.token(may("read-only"))
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	carol := s.person(s.name + "-owner") // in turn with alice: an app has a code in 30 seconds
	all := bypass()
	all["orgs"], all["orgs_permission"] = []string{acme}, "read-write"
	ci := alice.token(all)
	ci.publish(pkg, "restricted", "1.0.0")

	// Members.
	assert.Contains(s.t, alice.asks("org", "ls", acme), alice.name+" - owner")
	set := []string{"org", "set", acme, bob.name, "developer"}
	bob.fails(saysNoOrg, "org", "ls", acme)
	bob.fails(saysNoOrg, set...)
	alice.fails(saysOTP, set...)
	ci.fails(saysBypass, set...)
	reader.fails(saysOrgRead, set...)
	packages.fails(saysOrgOther, set...)
	assert.Contains(s.t, alice.does(set...), "Added "+bob.name+" as developer to "+acme+". You now have 2 members in this org.")
	alice.does("org", "set", acme, carol.name, "owner")
	bob.fails(saysRole, "org", "set", acme, bob.name, "owner")
	assert.Regexp(s.t, `(?s)`+regexp.QuoteMeta(bob.name)+` - developer`, bob.asks("org", "ls", acme))
	alice.fails(saysOTP, "org", "rm", acme, bob.name)

	// Teams.
	create := []string{"team", "create", devs}
	bob.fails(saysRole, create...)
	ci.fails(saysBypass, create...)
	reader.fails(saysOrgRead, create...)
	assert.Contains(s.t, carol.does(create...), "+@"+devs)
	assert.Contains(s.t, alice.does("team", "add", devs, bob.name), bob.name+" added to @"+devs)
	assert.Contains(s.t, bob.asks("team", "ls", acme), "@"+devs)
	assert.Contains(s.t, reader.asks("team", "ls", devs), bob.name)
	packages.fails(saysOrgOther, "team", "ls", devs)
	bob.fails(saysRole, "team", "rm", devs, bob.name)

	// What they may do.
	assert.Contains(s.t, bob.asks("access", "list", "packages", acme+":developers"), pkg+": read-write")
	grant := []string{"access", "grant", "read-only", devs, pkg}
	bob.fails(saysRole, grant...)
	ci.fails(saysBypass, grant...)
	alice.fails(saysOTP, grant...)
	carol.does(grant...)
	assert.Contains(s.t, bob.asks("access", "list", "packages", devs), pkg+": read-only")
	assert.Contains(s.t, bob.asks("access", "list", "packages", acme), pkg+": read-write")
	assert.Contains(s.t, bob.asks("access", "list", "collaborators", pkg), bob.name+": read-write")
	alice.does("access", "revoke", devs, pkg)
	assert.NotContains(s.t, bob.asks("access", "list", "packages", devs), pkg)

	// And all of it taken back.
	assert.Contains(s.t, carol.does("team", "rm", devs, bob.name), bob.name+" removed from @"+devs)
	assert.Contains(s.t, alice.does("team", "destroy", devs), "-@"+devs)
	assert.NotContains(s.t, bob.asks("team", "ls", acme), devs)
	assert.Contains(s.t, carol.does("org", "rm", acme, bob.name), "Successfully removed "+bob.name+" from "+acme)
	bob.fails(saysNoOrg, "org", "ls", acme)
	bob.fails("E404", "deprecate", pkg, "mine") // a read might still be answered by what was true a moment ago
}

func (s *scene) stars() {
	alice, eve := s.newcomer(s.name), s.newcomer(s.name+"-other")
	reader := alice.token(may("read-only"))
	alice.app, _ = s.registry.Enrol(alice.home.Token())
	ci := alice.token(bypass())
	secret, pkg := "@"+s.name+"/secret", "@"+s.name+"/widget"
	ci.publish(secret, "restricted", "1.0.0")
	ci.publish(pkg, "public", "1.0.0")

	reader.fails(saysReadOnly, "star", pkg)
	eve.fails("E404", "star", secret)
	for _, name := range []string{secret, pkg} {
		alice.asks("star", name) // no code
	}
	eve.asks("star", pkg)
	assert.Equal(s.t, []string{secret, pkg}, strings.Fields(alice.asks("stars")))
	assert.Equal(s.t, []string{pkg}, strings.Fields(eve.asks("stars", alice.name)), "what others may not read is not shown to them")
	alice.asks("unstar", pkg)
	assert.Equal(s.t, []string{secret}, strings.Fields(alice.asks("stars")))
	assert.Equal(s.t, []string{pkg}, strings.Fields(eve.asks("stars")), "the stars of others stay")
}

func (s *scene) search() {
	alice, eve := s.person(s.name), s.newcomer(s.name+"-other")
	ci := alice.token(bypass())
	secret, pkg := "@"+s.name+"/secret", "@"+s.name+"/widget"
	ci.publish(secret, "restricted", "1.0.0")
	ci.publish(pkg, "public", "1.0.0")
	nobody := s.machine("")
	for who, want := range map[*actor][]string{alice: {secret, pkg}, ci: {secret, pkg}, eve: {pkg}, nobody: {pkg}} {
		var found []struct{ Name, Version string }
		require.NoError(s.t, json.Unmarshal([]byte(who.asks("search", s.name, "--json")), &found))
		var names []string
		for _, f := range found {
			names = append(names, f.Name)
		}
		assert.Equal(s.t, want, names)
	}
	plain := eve.asks("search", s.name)
	assert.Contains(s.t, plain, pkg)
	assert.Contains(s.t, plain, "Maintainers: "+alice.name)
	assert.Contains(s.t, eve.asks("search", s.name, "secret"), "No matches found")
}
