package clients_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/issuertest"
	"github.com/npmauth/npmauth/protocol"
)

// A command is a row of the table.
type command struct {
	name    string
	lines   lines
	prepare func(c *cell) *person // who types; nil is somebody with a second factor, whom the client knows
	run     func(p *person)       // nil types the line, and shows the second factor as the client would have it
	done    func(p *person) bool  // whether the registry, or the folder, is now as it should be
	fails   bool                  // it should be refused, and done says that it was
	lacks   map[string]string     // what else a client prints, by name, that does not have it; or how it ends
}

// lines say what is typed after npm, yarn, pnpm, bun or vlt, by the name of a client or of its
// family. All others type what npm wants.
type lines map[string]string

func (l lines) of(c *cell) string {
	for _, name := range []string{c.client, c.family} {
		if line, ok := l[name]; ok {
			return line
		}
	}
	switch c.family {
	case "berry":
		return "npm " + l["npm"]
	case "bun":
		return "pm " + l["npm"]
	}
	return l["npm"]
}

// line returns the words of what the person types.
func (p *person) line(l lines) []string {
	words := strings.Fields(l.of(p.cell))
	named := map[string]string{"{pkg}": p.pkg(), "{you}": p.name, "{org}": p.org, "{key}": p.key}
	if p.other != nil {
		named["{other}"] = p.other.name
	}
	for i := range words {
		for name, value := range named {
			words[i] = strings.ReplaceAll(words[i], name, value)
		}
	}
	return words
}

// otp is the flag for a code; none where the client has none.
func (p *person) otp(code string) []string {
	switch p.client {
	case "yarn1":
		return []string{"--otp", code}
	case "yarn2":
		return nil
	}
	return []string{"--otp=" + code}
}

// write types a line that takes a second factor. Where the client fails over that, it is given a
// code from the start.
func (p *person) write(dir string, line []string) {
	p.t.Helper()
	p.types(either, dir, line...)
	if p.result.Code == 0 && p.stuck == "" || p.otp("") == nil || !p.challenged() {
		return
	}
	p.stuck, p.flagged = "", true
	p.types(typed, dir, append(line, p.otp(p.app.Fresh())...)...)
}

// here is the folder of a project, where a command is typed that is about no folder: Yarn 2 and
// later want to be in one, and some clients look there for what they do not know.
func (p *person) here() string {
	files := map[string]string{"package.json": `{"name":"here","version":"1.0.0","private":true}`}
	if p.family == "berry" {
		files["yarn.lock"] = ""
	}
	return p.home.Project("here", files)
}

var publishing = lines{"npm": "publish", "yarn1": "publish --new-version 1.0.0", "berry": "npm publish", "pnpm": "publish --no-git-checks", "bun": "publish"}

var installing = lines{"npm": "install", "berry": "install", "bun": "install"}

// publishesTyped publishes with a code that is typed at the terminal.
func (p *person) publishesTyped() {
	p.t.Helper()
	p.home.Set("npm_config_auth_type", "legacy") // which npm has a flag for, and pnpm 9 and 10 have not
	p.types(typed, p.source("1.0.0"), p.line(p.lines)...)
}

// with returns the lines with more words where the client is npm or is named.
func (l lines) with(more lines) lines {
	all := maps.Clone(l)
	for name, words := range more {
		line, ok := l[name]
		if !ok {
			line = l[strings.TrimRight(name, "0123456789")]
		}
		all[name] = line + " " + words
	}
	return all
}

func loggedOut(p *person) *person {
	p.logsOut()
	return p
}

func (p *person) hasPublished(version string) bool { _, ok := p.doc().Versions[version]; return ok }

func author(access string, versions ...string) func(c *cell) *person {
	return func(c *cell) *person {
		p := c.member()
		p.publishes(access, versions...)
		return p
	}
}

// gitlabJob is author where a job of GitLab is a trusted publisher, and what is typed is typed in that job, which has no
// token of the registry's.
func gitlabJob(c *cell) *person {
	p := author("restricted", "1.0.0")(c)
	p.must(p.app.Fresh(), "POST", "-/package/"+url.PathEscape(p.pkg())+"/trust", []any{map[string]any{
		"type":        "gitlab",
		"claims":      map[string]any{"project_path": issuertest.Repository, "ci_config_ref_uri": map[string]string{"file": ".gitlab-ci.yml"}},
		"permissions": []string{"createPackage"},
	}})
	p.logsOut()
	u, err := url.Parse(c.world.recorder.URL())
	require.NoError(p.t, err)
	audience := u.Hostname()
	if c.command == "yarn" {
		audience = u.Host
	}
	p.home.Set("CI", "true")
	p.home.Set("GITLAB_CI", "true")
	p.home.Set("NPM_ID_TOKEN", c.world.gitlab.GitLab("npm:"+audience))
	return p
}

// stager is author with a version that is staged, whose ID is the key.
func stager(c *cell) *person {
	p := author("restricted", "1.0.0")(c)
	pkg, err := protocol.ParsePackageName(p.pkg())
	require.NoError(p.t, err)
	p.must("", "POST", "-/stage/package/"+url.PathEscape(p.pkg()), document(pkg, "restricted", "1.1.0"))
	ids := p.staged()
	require.Len(p.t, ids, 1)
	p.key = ids[0]
	return p
}

// staged returns the IDs of what is staged of the person's package.
func (p *person) staged() (ids []string) {
	p.t.Helper()
	var list struct{ Items []struct{ ID string } }
	p.gets("-/stage?package="+url.QueryEscape(p.pkg()), &list)
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

// withOther is author with somebody else who has an account.
func withOther(access string, versions ...string) func(c *cell) *person {
	return func(c *cell) *person {
		p := author(access, versions...)(c)
		p.other = c.newcomer()
		return p
	}
}

// unscoped is withOther with a package that has no scope.
func unscoped(c *cell) *person {
	p := c.member()
	p.about = "widget-of-" + p.name
	p.publishes("public", "1.0.0")
	p.other = c.newcomer()
	return p
}

// visitor is somebody without an account, and the author of a package.
func visitor(access string) func(c *cell) *person {
	return func(c *cell) *person {
		author := author(access, "1.0.0")(c)
		p := c.stranger()
		p.other = author
		return p
	}
}

func (p *person) owners() (names []string) {
	for _, m := range p.doc().Maintainers {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

func (p *person) setOwners(names ...string) {
	p.t.Helper()
	var doc struct {
		Rev string `json:"_rev"`
	}
	p.gets(url.PathEscape(p.pkg())+"?write=true", &doc)
	owners := []map[string]string{}
	for _, name := range names {
		owners = append(owners, map[string]string{"name": name, "email": name + "@acme.test"})
	}
	p.must(p.app.Fresh(), "PUT", url.PathEscape(p.pkg())+"/-rev/"+doc.Rev, map[string]any{"_id": p.pkg(), "_rev": doc.Rev, "maintainers": owners})
}

// says reports whether the client has printed something.
func (p *person) says(pattern string) bool {
	return regexp.MustCompile(pattern).MatchString(p.result.Output())
}

// public reports whether everybody may read the person's package.
func (p *person) public() bool {
	return p.api("").Do("GET", url.PathEscape(p.pkg()), nil).Status == http.StatusOK
}

// What clients do that do not have a page, or have nothing else.
const (
	asksForName = `\[asks for a (user|code)`
	asksForCode = `\[asks for a code`
	onlyPage    = `\[waits for the page\]`
)

var (
	noBrowser  = map[string]string{"npm6": asksForName, "npm7": asksForName, "yarn1": asksForName, "yarn2": asksForName, "yarn3": asksForName}
	noTerminal = map[string]string{"pnpm11": onlyPage, "pnpm12": onlyPage, "vlt": onlyPage}
	noPage     = map[string]string{"npm6": asksForCode, "npm7": asksForCode, "yarn1": asksForCode, "berry": asksForCode}
	noStar     = map[string]string{"npm12": `Missing script: "start"`} // which it takes star for
	// who has no token is to log in
	noTrust = map[string]string{"npm6": `code E401`, "npm": `ENEEDAUTH`, "yarn1": `No token found`, "berry": `No authentication configured`, "bun": `missing authentication`}
	noStage = map[string]string{"npm8": `Unknown command: "stage"`} // with exit status 0
)

type tableGroup struct {
	title    string
	commands []command
}

var table = []tableGroup{
	{"Logging in", []command{
		{name: "login in the browser", lacks: noBrowser, lines: lines{"npm": "login", "npm6": "login --auth-type=web", "npm7": "login --auth-type=web", "npm8": "login --auth-type=web", "yarn4": "npm login --web-login", "bun": "login"},
			prepare: func(c *cell) *person { return loggedOut(c.newcomer()) },
			run:     func(p *person) { p.refusesPrompts = true; p.types(paged, p.here(), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.stored() != "" }},
		{name: "login refused in the browser", lacks: noBrowser, lines: lines{"npm": "login", "npm6": "login --auth-type=web", "npm7": "login --auth-type=web", "npm8": "login --auth-type=web", "yarn4": "npm login --web-login", "bun": "login"},
			prepare: func(c *cell) *person { return loggedOut(c.newcomer()) },
			run:     func(p *person) { p.refusesPrompts = true; p.types(denied, p.here(), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.stored() == "" }, fails: true}, // AU-69
		{name: "login with a password", lacks: noTerminal, lines: lines{"npm": "login --auth-type=legacy", "yarn1": "publish --new-version 1.0.0", "berry": "npm login", "pnpm11": "login", "pnpm12": "login", "bun": "login", "vlt": "login"},
			prepare: func(c *cell) *person { return loggedOut(c.newcomer()) },
			run:     func(p *person) { p.types(typed, p.sourceOf("yarn1"), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.stored() != "" }},
		// AU-61: npm 6 to 8 are asked for a password, too, and sign up.
		{name: "login with a password and a code", lacks: noTerminal, lines: lines{"npm": "login --auth-type=legacy", "yarn1": "publish --new-version 1.0.0", "berry": "npm login", "pnpm11": "login", "pnpm12": "login", "bun": "login", "vlt": "login"},
			prepare: func(c *cell) *person { return loggedOut(c.member()) },
			run:     func(p *person) { p.types(typed, p.sourceOf("yarn1"), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.stored() != "" || p.family == "yarn1" && p.hasPublished("1.0.0") }},
		{name: "login with a wrong password", lacks: noTerminal, lines: lines{"npm": "login --auth-type=legacy", "yarn1": "publish --new-version 1.0.0", "berry": "npm login", "pnpm11": "login", "pnpm12": "login", "bun": "login", "vlt": "login"},
			prepare: func(c *cell) *person { p := loggedOut(c.newcomer()); p.password = "something else than that"; return p },
			run:     func(p *person) { p.types(typed, p.sourceOf("yarn1"), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.stored() != "" }},
		{name: "sign up in the browser", lacks: noBrowser, lines: lines{"npm": "adduser", "npm6": "adduser --auth-type=web", "npm7": "adduser --auth-type=web", "npm8": "adduser --auth-type=web", "npm12": "login", "yarn1": "login", "berry": "npm login", "yarn4": "npm login --web-login", "pnpm": "login", "bun": "login", "vlt": "login"},
			prepare: func(c *cell) *person { return c.stranger() },
			run: func(p *person) {
				p.refusesPrompts, p.signsUp = true, true
				p.types(paged, p.here(), p.line(p.lines)...)
			},
			done: func(p *person) bool { return p.stored() != "" }},
		{name: "sign up at the terminal", lacks: noTerminal, lines: lines{"npm": "adduser --auth-type=legacy", "yarn1": "adduser", "pnpm11": "adduser", "pnpm12": "adduser", "bun": "adduser", "vlt": "adduser"},
			prepare: func(c *cell) *person { return c.stranger() },
			run:     func(p *person) { p.types(typed, p.here(), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.stored() != "" }},
		// AU-72
		{name: "sign up with a password that is too short", lacks: noTerminal, lines: lines{"npm": "adduser --auth-type=legacy", "yarn1": "adduser", "pnpm11": "adduser", "pnpm12": "adduser", "bun": "adduser", "vlt": "adduser"},
			prepare: func(c *cell) *person { p := c.stranger(); p.password = "short"; return p },
			run:     func(p *person) { p.types(typed, p.here(), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.stored() != "" }},
		{name: "whoami", lines: lines{"npm": "whoami"},
			prepare: func(c *cell) *person { return c.newcomer() },
			run:     func(p *person) { p.runs(p.here(), p.line(p.lines)...) },
			done:    func(p *person) bool { return strings.Contains(p.result.Stdout, p.name) }},
		{name: "logout", lines: lines{"npm": "logout", "bun": "logout"}, // AU-64
			prepare: func(c *cell) *person {
				p := c.newcomer()
				p.elsewhere = c.registry.SignIn(p.name, "")
				return p
			},
			run: func(p *person) { p.runs(p.here(), p.line(p.lines)...) },
			done: func(p *person) bool {
				return !p.valid(p.session) && p.valid(p.elsewhere) && p.home.Tokens()[p.session] < p.places
			}},
	}},
	{"Publishing", []command{
		{name: "publish without a second factor", lines: publishing,
			prepare: func(c *cell) *person { return c.newcomer() },
			run:     func(p *person) { p.types(either, p.source("1.0.0"), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.hasPublished("1.0.0") }},
		{name: "publish --otp", lines: publishing,
			run: func(p *person) {
				p.runs(p.source("1.0.0"), append(p.line(p.lines), p.otp(p.app.Fresh())...)...)
			},
			done: func(p *person) bool { return p.hasPublished("1.0.0") }},
		// AU-63
		{name: "publish --otp with a wrong code", lines: publishing,
			run: func(p *person) {
				p.runs(p.source("1.0.0"), append(p.line(p.lines), p.otp(p.app.Stale())...)...)
			},
			done: func(p *person) bool { return p.hasPublished("1.0.0") }},
		{name: "publish with a code at the terminal", lacks: noTerminal, lines: publishing.with(lines{"npm": "--auth-type=legacy", "bun": "--auth-type=legacy"}),
			run:  func(p *person) { p.publishesTyped() },
			done: func(p *person) bool { return p.hasPublished("1.0.0") }},
		{name: "publish with a wrong code at the terminal", lacks: noTerminal, lines: publishing.with(lines{"npm": "--auth-type=legacy", "bun": "--auth-type=legacy"}),
			run:  func(p *person) { p.wrong = p.app.Stale(); p.publishesTyped() },
			done: func(p *person) bool { return p.hasPublished("1.0.0") }},
		{name: "publish at a page", lacks: noPage, lines: publishing.with(lines{"npm8": "--auth-type=web"}),
			run:  func(p *person) { p.types(paged, p.source("1.0.0"), p.line(p.lines)...) },
			done: func(p *person) bool { return p.hasPublished("1.0.0") }},
		{name: "publish refused at the page", lacks: noPage, lines: publishing.with(lines{"npm8": "--auth-type=web"}),
			run:  func(p *person) { p.types(denied, p.source("1.0.0"), p.line(p.lines)...) },
			done: func(p *person) bool { return !p.hasPublished("1.0.0") }, fails: true}, // AU-69
		{name: "publish with a token for CI", lines: publishing,
			prepare: func(c *cell) *person { p := c.member(); p.bypass(); return p },
			run:     func(p *person) { p.runs(p.source("1.0.0"), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.hasPublished("1.0.0") }},
	}},
	{"Trusted publishing", []command{
		{name: "publish with NPM_ID_TOKEN", lacks: noTrust, lines: publishing, prepare: gitlabJob,
			run:  func(p *person) { p.runs(p.source("1.1.0"), p.line(p.lines)...) },
			done: func(p *person) bool { return p.hasPublished("1.1.0") }},
	}},
	{"Staging", []command{
		{name: "stage a version", lacks: noStage, lines: lines{"npm": "stage publish", "yarn2": "npm stage publish", "yarn3": "npm stage publish", "yarn4": "npm publish --staged", "bun": "stage publish"},
			prepare: author("restricted", "1.0.0"),
			run:     func(p *person) { p.runs(p.source("1.1.0"), p.line(p.lines)...) },
			done:    func(p *person) bool { return len(p.staged()) == 1 && !p.hasPublished("1.1.0") }},
		{name: "stage list", lacks: noStage, lines: lines{"npm": "stage list", "bun": "stage list"}, prepare: stager,
			run:  func(p *person) { p.runs(p.here(), p.line(p.lines)...) },
			done: func(p *person) bool { return p.says(p.key) }},
		{name: "stage approve", lacks: noStage, lines: lines{"npm": "stage approve {key}", "bun": "stage approve {key}"}, prepare: stager,
			done: func(p *person) bool { return p.hasPublished("1.1.0") }},
		{name: "stage reject", lacks: noStage, lines: lines{"npm": "stage reject {key}", "bun": "stage reject {key}"}, prepare: stager,
			done: func(p *person) bool { return len(p.staged()) == 0 && !p.hasPublished("1.1.0") }},
	}},
	{"Installing", []command{
		{name: "install a public package without an account", lines: installing, prepare: visitor("public"),
			run:  func(p *person) { p.install(p.other.pkg()) },
			done: func(p *person) bool { return p.installed(p.other.pkg()) }},
		{name: "install one's private package", lines: installing, prepare: author("restricted", "1.0.0"),
			run:  func(p *person) { p.install(p.pkg()) },
			done: func(p *person) bool { return p.installed(p.pkg()) }},
		{name: "install a private package of others", lines: installing, prepare: visitor("restricted"),
			run:  func(p *person) { p.install(p.other.pkg()) },
			done: func(p *person) bool { return !p.installed(p.other.pkg()) }, fails: true},
	}},
	{"Dist-tags and versions", []command{
		{name: "dist-tag add", lines: lines{"npm": "dist-tag add {pkg}@1.0.0 beta", "yarn1": "tag add {pkg}@1.0.0 beta", "berry": "npm tag add {pkg}@1.0.0 beta"},
			prepare: author("public", "1.0.0"), done: func(p *person) bool { return p.doc().Tags["beta"] == "1.0.0" }},
		{name: "dist-tag ls", lines: lines{"npm": "dist-tag ls {pkg}", "yarn1": "tag list {pkg}", "berry": "npm tag list {pkg}"},
			prepare: author("public", "1.0.0"), done: func(p *person) bool { return p.says(`latest: *1\.0\.0|latest.*1\.0\.0`) }},
		{name: "dist-tag rm", lines: lines{"npm": "dist-tag rm {pkg} beta", "yarn1": "tag remove {pkg} beta", "berry": "npm tag remove {pkg} beta"},
			prepare: func(c *cell) *person {
				p := author("public", "1.0.0")(c)
				p.must(p.code, "PUT", "-/package/"+url.PathEscape(p.pkg())+"/dist-tags/beta", "1.0.0")
				return p
			},
			done: func(p *person) bool { return len(p.doc().Tags) == 1 }},
		{name: "deprecate", lines: lines{"npm": "deprecate {pkg}@1.0.0 old"},
			prepare: author("public", "1.0.0", "1.1.0"), done: func(p *person) bool { return p.doc().Versions["1.0.0"].Deprecated == "old" }},
		{name: "unpublish a version", lines: lines{"npm": "unpublish {pkg}@1.1.0"},
			prepare: author("public", "1.0.0", "1.1.0"), done: func(p *person) bool { return p.hasPublished("1.0.0") && !p.hasPublished("1.1.0") }},
		{name: "unpublish a package", lines: lines{"npm": "unpublish {pkg} --force"},
			prepare: author("public", "1.0.0"), done: func(p *person) bool { return len(p.doc().Versions) == 0 }},
	}},
	{"Owners and access", []command{
		{name: "owner add", lines: lines{"npm": "owner add {other} {pkg}", "pnpm11": "owner add {pkg} {other}", "pnpm12": "owner add {pkg} {other}", "yarn1": "owner add {other} {pkg}"},
			prepare: withOther("public", "1.0.0"), done: func(p *person) bool { return slices.Equal(p.owners(), []string{p.name, p.other.name}) }},
		// AU-60: which is all that Yarn 1 knows.
		{name: "owner add to an unscoped package", lines: lines{"npm": "owner add {other} {pkg}", "pnpm11": "owner add {pkg} {other}", "pnpm12": "owner add {pkg} {other}"},
			prepare: unscoped, done: func(p *person) bool { return slices.Equal(p.owners(), []string{p.name, p.other.name}) }},
		{name: "owner ls", lines: lines{"npm": "owner ls {pkg}", "yarn1": "owner list {pkg}"},
			prepare: author("public", "1.0.0"), done: func(p *person) bool { return p.says(`(?m)^[^/\n]*` + p.name + `( |$)`) }},
		{name: "owner rm", lines: lines{"npm": "owner rm {other} {pkg}", "pnpm11": "owner rm {pkg} {other}", "pnpm12": "owner rm {pkg} {other}", "yarn1": "owner remove {other} {pkg}"},
			prepare: func(c *cell) *person {
				author, p := author("public", "1.0.0")(c), c.member()
				author.setOwners(author.name, p.name)
				p.other, p.about = author, author.pkg()
				return p
			},
			done: func(p *person) bool { return slices.Equal(p.owners(), []string{p.name}) }},
		{name: "access public", lines: lines{"npm": "access set status=public {pkg}", "npm6": "access public {pkg}", "npm7": "access public {pkg}", "npm8": "access public {pkg}", "yarn1": "access public {pkg}"},
			prepare: author("restricted", "1.0.0"), done: (*person).public},
		{name: "access restricted", lines: lines{"npm": "access set status=private {pkg}", "npm6": "access restricted {pkg}", "npm7": "access restricted {pkg}", "npm8": "access restricted {pkg}", "yarn1": "access restricted {pkg}", "pnpm11": "access set status=restricted {pkg}", "pnpm12": "access set status=restricted {pkg}"},
			prepare: author("public", "1.0.0"), done: func(p *person) bool { return !p.public() }},
		{name: "access list packages", lines: lines{"npm": "access list packages", "npm6": "access ls-packages", "npm7": "access ls-packages", "npm8": "access ls-packages", "yarn1": "access ls-packages"},
			prepare: author("public", "1.0.0"), done: func(p *person) bool { return p.says(p.pkg() + `\W+(read-)?write`) }},
		{name: "access list collaborators", lines: lines{"npm": "access list collaborators {pkg}", "npm6": "access ls-collaborators {pkg}", "npm7": "access ls-collaborators {pkg}", "npm8": "access ls-collaborators {pkg}", "yarn1": "access ls-collaborators {pkg}"},
			prepare: author("public", "1.0.0"), done: func(p *person) bool { return p.says(p.name + `\W+(read-)?write`) }},
		{name: "access mfa", lines: lines{"npm": "access set mfa=publish {pkg}", "npm6": "access 2fa-required {pkg}", "npm7": "access 2fa-required {pkg}", "npm8": "access 2fa-required {pkg}", "yarn1": "access 2fa-required {pkg}"},
			prepare: func(c *cell) *person {
				p := c.member()
				p.bypass()
				p.publishes("public", "1.0.0")
				p.has(p.session)
				return p
			},
			done: func(p *person) bool { return p.tryPublish("1.1.0", p.ci).Status == http.StatusForbidden }},
	}},
	{"Organizations and teams", []command{
		{name: "org set", lines: lines{"npm": "org set {org} {other} developer"}, prepare: org(true),
			done: func(p *person) bool { return p.members()[p.other.name] == "developer" }},
		{name: "org ls", lines: lines{"npm": "org ls {org}"}, prepare: org(false),
			done: func(p *person) bool { return p.says(p.name + `\W+owner`) }},
		{name: "org rm", lines: lines{"npm": "org rm {org} {other}"},
			prepare: func(c *cell) *person { p := org(true)(c); p.sets(p.other.name, "developer"); return p },
			done:    func(p *person) bool { return len(p.members()) == 1 }},
		{name: "team create", lines: lines{"npm": "team create {org}:devs", "pnpm11": "team create @{org}:devs", "pnpm12": "team create @{org}:devs"}, prepare: org(false),
			done: func(p *person) bool { return slices.Contains(p.teams(), "devs") }},
		{name: "team ls", lines: lines{"npm": "team ls {org}", "pnpm11": "team ls @{org}", "pnpm12": "team ls @{org}"}, prepare: org(false),
			done: func(p *person) bool { return p.says(`developers`) }},
		{name: "team add", lines: lines{"npm": "team add {org}:devs {you}", "pnpm11": "team add @{org}:devs {you}", "pnpm12": "team add @{org}:devs {you}", "yarn1": "team add {org}:devs {you}"},
			prepare: func(c *cell) *person { p := org(false)(c); p.creates("devs"); return p },
			done:    func(p *person) bool { return slices.Contains(p.team("devs"), p.name) }},
		{name: "team rm", lines: lines{"npm": "team rm {org}:devs {you}", "pnpm11": "team rm @{org}:devs {you}", "pnpm12": "team rm @{org}:devs {you}"},
			prepare: func(c *cell) *person {
				p := org(false)(c)
				second := c.member()
				p.sets(second.name, "owner")
				second.org = p.org
				second.creates("devs")
				second.must(second.app.Fresh(), "PUT", "-/team/"+p.org+"/devs/user", map[string]string{"user": p.name})
				return p
			},
			done: func(p *person) bool { return len(p.team("devs")) == 0 }},
		{name: "team destroy", lines: lines{"npm": "team destroy {org}:devs", "pnpm11": "team destroy @{org}:devs", "pnpm12": "team destroy @{org}:devs"},
			prepare: func(c *cell) *person { p := org(false)(c); p.creates("devs"); return p },
			done:    func(p *person) bool { return !slices.Contains(p.teams(), "devs") }},
		{name: "access grant", lines: lines{"npm": "access grant read-only {org}:developers @{org}/widget"}, prepare: orgPackage,
			done: func(p *person) bool { return p.rights("developers") == "read" }},
		{name: "access revoke", lines: lines{"npm": "access revoke {org}:developers @{org}/widget"}, prepare: orgPackage,
			done: func(p *person) bool { return p.rights("developers") == "" }},
	}},
	{"Profile and tokens", []command{
		{name: "profile get", lines: lines{"npm": "profile get"}, done: func(p *person) bool { return p.says(`name\W+` + p.name) }},
		{name: "profile set", lines: lines{"npm": "profile set fullname Ada"}, done: func(p *person) bool { return p.profile().FullName == "Ada" }},
		{name: "profile set password", lines: lines{"npm": "profile set password"},
			done: func(p *person) bool {
				return p.api("").Do("PUT", "-/user/org.couchdb.user:"+p.name, map[string]any{"name": p.name, "password": newPassword, "type": "user"}).Header.Get("Www-Authenticate") != ""
			}},
		{name: "profile enable-2fa", lines: lines{"npm": "profile enable-2fa auth-and-writes"},
			prepare: func(c *cell) *person { return c.newcomer() },
			run:     func(p *person) { p.types(either, p.here(), p.line(p.lines)...) },
			done:    func(p *person) bool { return p.profile().TFA.Mode == "auth-and-writes" && !p.profile().TFA.Pending }},
		{name: "profile disable-2fa", lines: lines{"npm": "profile disable-2fa"}, done: func(p *person) bool { return p.profile().TFA.Mode == "" }},
		{name: "token create", lines: lines{"npm": "token create --name=ci --packages-all --packages-and-scopes-permission=read-only", "npm6": "token create --read-only", "npm7": "token create --read-only", "npm8": "token create --read-only", "npm9": "token create --read-only", "npm10": "token create --read-only", "pnpm11": "token create --read-only", "pnpm12": "token create --read-only"},
			done: func(p *person) bool {
				made := regexp.MustCompile(`npm_[A-Za-z0-9]{36}`).FindString(p.result.Output())
				return made != "" && p.api(made).Do("GET", "-/whoami", nil).Status == http.StatusOK
			}},
		{name: "token list", lines: lines{"npm": "token list"}, prepare: (*cell).tokenHolder, done: func(p *person) bool { return p.says(p.key[:6]) }},
		{name: "token revoke", lines: lines{"npm": "token revoke {key}"}, prepare: (*cell).tokenHolder, done: func(p *person) bool { return len(p.keys()) == 0 }},
	}},
	{"Finding and checking", []command{
		{name: "star", lacks: noStar, lines: lines{"npm": "star {pkg}"}, prepare: author("public", "1.0.0"), done: func(p *person) bool { return len(p.stars()) == 1 }},
		{name: "stars", lacks: noStar, lines: lines{"npm": "stars"},
			prepare: func(c *cell) *person { p := author("public", "1.0.0")(c); p.star(); return p },
			done:    func(p *person) bool { return p.says(p.pkg()) }},
		{name: "unstar", lacks: noStar, lines: lines{"npm": "unstar {pkg}"},
			prepare: func(c *cell) *person { p := author("public", "1.0.0")(c); p.star(); return p },
			done:    func(p *person) bool { return len(p.stars()) == 0 }},
		{name: "search", lines: lines{"npm": "search {you}"}, prepare: author("restricted", "1.0.0"), done: func(p *person) bool { return p.says(p.pkg()) }},
		// AU-65
		{name: "audit", lines: lines{"npm": "audit", "bun": "audit"}, prepare: author("public", "1.0.0"),
			run: func(p *person) {
				p.install(p.pkg())
				p.printed = ""
				p.runs(p.folder, p.line(p.lines)...)
			},
			done: func(p *person) bool {
				return !p.says(`(?i)no (known )?vulnerabilit|\b0 vulnerabilities|No audit suggestions`)
			}, fails: true},
	}},
}
