package clients_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
)

// How a person shows the second factor.
type how int

const (
	either how = iota // as the client would have it
	typed             // with a code of the app, whatever page the client names
	paged             // at the page that the client names
	denied            // refuses at that page
)

// A person has an account, and a home with a client.
type person struct {
	*cell
	name     string
	password string
	home     *integration.Home
	session  string
	app      *integration.Authenticator // nil without a second factor
	browser  *integration.Browser

	proxied   string  // by which name the proxy knows the home
	code      string  // good for publishing still
	places    int     // in which clients have the token of the home
	elsewhere string  // another session of the person
	ci        string  // a token that needs no second factor
	key       string  // of a token, or the ID of a staged version
	org       string  // that the person owns
	other     *person // whom the command is about, too
	about     string  // a package that is not called as the person's own
	folder    string  // of the program into which packages are installed
}

// newcomer makes an account without a second factor, whose session the home has.
func (c *cell) newcomer() *person {
	c.t.Helper()
	p := c.stranger()
	var a integration.Answer
	for range 10 {
		a = c.api("").FromElsewhere().Do("PUT", "-/user/org.couchdb.user:"+p.name, map[string]any{
			"_id": "org.couchdb.user:" + p.name, "name": p.name, "password": p.password, "email": p.name + "@acme.test", "type": "user", "roles": []string{},
		}, "Npm-Command", "adduser")
		if a.Status != http.StatusServiceUnavailable { // it checks many passwords, of all cells
			break
		}
		time.Sleep(time.Second)
	}
	require.Equal(c.t, http.StatusCreated, a.Status, a.Body)
	var out struct{ Token string }
	a.JSON(c.t, &out)
	p.useToken(out.Token)
	return p
}

// stranger has a home and no account.
func (c *cell) stranger() *person {
	c.t.Helper()
	c.people++
	name := fmt.Sprintf("%s-%d-%s", c.client, c.serial, string(rune('a'+c.people-1)))
	p := &person{cell: c, name: name, password: integration.Password, home: integration.NewHome(c.t, c.world.recorder.URL()), browser: integration.NewBrowser(c.t)}
	p.home.Use(programs(c.client)...)
	p.home.Set("NODE_COMPILE_CACHE", c.world.compiled) // a third of what a client computes is how it starts
	p.proxied = name
	p.home.Set("HTTPS_PROXY", c.world.recorder.proxyFor(name))
	p.home.Set("NO_PROXY", "127.0.0.1")
	// What opens a browser, for those who do not heed BROWSER.
	p.home.Project(".bin", map[string]string{"xdg-open": "#!/bin/sh\necho \"$1\" >>" + p.opened() + "\n"})
	require.NoError(c.t, os.Chmod(filepath.Join(p.home.Dir, ".bin", "xdg-open"), 0o755))
	c.hide[name] = "<" + string(rune('a'+c.people-1)) + ">"
	return p
}

func (p *person) opened() string { return filepath.Join(p.home.Dir, ".opened") }

// programs are what has to be installed for a client: pnpm 9 and 10 have npm do much of their work.
func programs(client string) []string {
	if client == "pnpm9" || client == "pnpm10" {
		return []string{client, "npm11"}
	}
	return []string{client}
}

// useToken makes a session the person's, and the client's.
func (p *person) useToken(session string) {
	p.t.Helper()
	require.NotEmpty(p.t, session)
	p.session = session
	p.has(session)
}

// has logs the home in with a token.
func (p *person) has(token string) {
	p.home.SetToken(token)
	p.tokens = append(p.tokens, token)
	p.places = p.home.Tokens()[token]
}

// member makes an account with a second factor, whose session the home has.
func (c *cell) member() *person {
	c.t.Helper()
	p := c.newcomer()
	p.app, _ = c.registry.Enrol(p.session)
	return p
}

// logsOut empties the home.
func (p *person) logsOut() { p.home.SetToken("") }

// api returns a way to the registry without any client.
func (c *cell) api(token string) integration.Client { return c.registry.As(token) }

// asks sends a request of the person's own, with a code unless code is "".
func (p *person) asks(code, method, path string, body any) integration.Answer {
	p.t.Helper()
	var header []string
	if code != "" {
		header = []string{"npm-otp", code}
	}
	return p.api(p.session).Do(method, path, body, header...)
}

// must is asks for what has to succeed.
func (p *person) must(code, method, path string, body any) integration.Answer {
	p.t.Helper()
	a := p.asks(code, method, path, body)
	require.Less(p.t, a.Status, 300, "%s %s: %s", method, path, a.Body)
	return a
}

// publishes publishes versions of the person's package.
func (p *person) publishes(access string, versions ...string) {
	p.t.Helper()
	p.publishesAs(p.pkg(), access, versions...)
}

func (p *person) publishesAs(name, access string, versions ...string) {
	p.t.Helper()
	pkg, err := protocol.ParsePackageName(name)
	require.NoError(p.t, err)
	p.code = p.app.Fresh()
	for _, version := range versions {
		p.must(p.code, "PUT", url.PathEscape(name), document(pkg, access, version))
	}
}

func document(pkg protocol.PackageName, access, version string) (body map[string]any) {
	if err := json.Unmarshal(hosttest.PublishBody(pkg, version), &body); err != nil {
		panic(err) // it is ours
	}
	body["access"] = access
	return body
}

// tryPublish publishes a version of the person's package with a token.
func (p *person) tryPublish(version, token string) integration.Answer {
	p.t.Helper()
	pkg, err := protocol.ParsePackageName(p.pkg())
	require.NoError(p.t, err)
	return p.api(token).Do("PUT", url.PathEscape(p.pkg()), document(pkg, "public", version))
}

// pkg is the name of the package that the command is about.
func (p *person) pkg() string { return cmp.Or(p.about, "@"+p.name+"/widget") }

// gets reads what the person may read into v, and returns the status.
func (p *person) gets(path string, v any) int {
	p.t.Helper()
	a := p.asks("", "GET", path, nil)
	if a.Status == http.StatusOK {
		a.JSON(p.t, v)
	}
	return a.Status
}

// A doc is what a package's document says, as far as commands change it.
type doc struct {
	Tags        map[string]string `json:"dist-tags"`
	Versions    map[string]struct{ Deprecated string }
	Maintainers []struct{ Name string }
}

// doc returns that of the person's package, an empty one if there is no such package.
func (p *person) doc() (d doc) {
	p.t.Helper()
	p.gets(url.PathEscape(p.pkg()), &d)
	return d
}

// source makes the folder of a version of the person's package, as the client publishes it.
func (p *person) source(version string) string {
	p.t.Helper()
	dir := p.home.Package(p.pkg(), version)
	if p.family == "berry" {
		p.home.Project("widget", map[string]string{"yarn.lock": ""})
		p.home.OK(dir, "yarn", "install")
	}
	return dir
}

// sourceOf is source for a client that logs in when it publishes.
func (p *person) sourceOf(client string) string {
	if p.client == client {
		return p.source("1.0.0")
	}
	return p.here()
}

// A prompt is what a client asks at the terminal, and stands at the end of what it has printed.
type prompt struct{ name, pattern string }

// prompts in the order in which they are looked for at one place.
var prompts = []prompt{
	{"secret", `(?i)enter code: ([A-Z2-7]{16,})`},
	{"open", `(?i)open this url now\?[^\n]*\s*\z|open your browser now\?[^\n]*\s*\z`},
	{"code", `(?i)(?:enter otp|one-time pass(?:word|code)|otp|code from your authenticator(?: app)?)[^\n:]*:[^\n]{0,8}\s*\z`},
	{"current", `(?i)current password:[^\n]{0,8}\s*\z`},
	{"new", `(?i)new password:[^\n]{0,8}\s*\z`},
	{"again", `(?i)\bagain:[^\n]{0,8}\s*\z`},
	{"user", `(?i)\busername:[^\n]{0,8}\s*\z`},
	{"email", `(?i)\be-?mail\b[^\n:]*:[^\n]{0,24}\s*\z`},
	{"password", `(?i)password:[^\n]{0,8}\s*\z`},
	{"sure", `(?i)\(y/n\)[^\n]{0,8}\s*\z`},
}

var anyPrompt = func() *regexp.Regexp {
	var all []string
	for _, p := range prompts {
		all = append(all, "(?P<"+p.name+">"+p.pattern+")")
	}
	return regexp.MustCompile(strings.Join(all, "|"))
}()

// pages are the addresses that a person is sent to.
var pages = regexp.MustCompile(`http://[^\s"'<>]+/-/auth/(?:login|challenge|signup)/[A-Za-z0-9_-]+`)

// types runs the client in dir with a terminal in front of it, and answers what it asks; how says with
// what, where a second factor is asked for.
func (p *person) types(by how, dir string, args ...string) {
	p.t.Helper()
	p.attend(p.home.Terminal(dir, p.command, args...), by, true)
}

// runs runs the client in dir as a script does, without a terminal and with nobody who would go to a
// page.
func (p *person) runs(dir string, args ...string) {
	p.t.Helper()
	p.attend(p.home.Start(dir, p.command, args...), typed, false)
}

// attend does what the client asks for until it ends: nothing where there is no terminal.
func (p *person) attend(client *integration.Process, by how, terminal bool) {
	p.t.Helper()
	answered := map[string]bool{}
	visited := map[string]string{} // what a page said
	watch := quiet{since: time.Now()}
	for !client.Ended() && p.stuck == "" {
		if m := client.Match(anyPrompt); m != nil && terminal {
			p.answer(client, by, m, answered, visited)
			continue
		}
		time.Sleep(20 * time.Millisecond)
		printed := client.Printed()
		page := p.page(printed)
		if waits, ends := p.world.recorder.polled(page); page != "" {
			switch _, seen := visited[page]; {
			case ends > 2:
				p.stuck = "polls although it is over"
			case by == typed && waits > 2:
				p.stuck = "waits for the page"
			case by != typed && waits > 0 && !seen:
				p.visit(page, by, visited)
			}
		}
		if watch.longer(patience, len(printed), func() int { return len(p.world.recorder.requests(p.name, p.tokens)) }) {
			p.stuck = "hangs"
		}
	}
	if p.stuck != "" {
		client.Kill()
	}
	p.result = client.Wait()
	p.printed += p.result.Output() + "\n"
}

// A quiet is for how long a client has neither printed nor sent anything.
type quiet struct {
	since, counted    time.Time
	printed, requests int
}

// longer reports whether that is long, by how much was printed and how many requests there were.
func (q *quiet) longer(than time.Duration, printed int, requests func() int) bool {
	now := time.Now()
	if now.Sub(q.counted) > time.Second {
		q.counted = now
		if n := requests(); n != q.requests {
			q.since, q.requests = now, n
		}
	}
	if printed != q.printed {
		q.since, q.printed = now, printed
	}
	return now.Sub(q.since) > than
}

// patience is how long that may be. It is there for what hangs: some start slowly.
const patience = 90 * time.Second

// page returns the last page that the client has printed or opened, "" if there is none.
func (p *person) page(printed string) string {
	opened, err := os.ReadFile(p.opened())
	if err == nil {
		printed += string(opened)
	}
	if all := pages.FindAllString(printed, -1); all != nil {
		return all[len(all)-1]
	}
	return ""
}

// visit goes to a page and does there what a person does.
func (p *person) visit(address string, by how, visited map[string]string) {
	p.t.Helper()
	page := p.browser.Open(address)
	if by == denied {
		visited[address] = p.browser.Submit(page, "deny", nil).Text()
		return
	}
	if p.signsUp {
		if strings.Contains(page.HTML, ">Create one</a>") {
			page = p.browser.Follow(page, "Create one")
		}
		page = p.browser.Submit(page, "approve", map[string]string{"name": p.name, "email": p.name + "@acme.test", "password": p.password})
		page = p.browser.Follow(page, "Log in")
	}
	fields := map[string]string{"password": p.password}
	if strings.Contains(page.HTML, `name="name"`) {
		fields["name"] = p.name
	}
	if p.app != nil {
		fields["code"] = p.app.Fresh()
	}
	page = p.browser.Submit(page, "approve", fields)
	require.Equal(p.t, http.StatusOK, page.Status, page.Text())
	visited[address] = page.Text()
}

// digits finds the code that a page shows for those whose client asks for one.
var digits = regexp.MustCompile(`\b\d{4} \d{4} \d{4} \d{4}\b`)

func (p *person) answer(client *integration.Process, by how, match []string, answered map[string]bool, visited map[string]string) {
	p.t.Helper()
	kind := ""
	for i, name := range anyPrompt.SubexpNames() {
		if name != "" && match[i] != "" {
			kind = name
			break
		}
	}
	if kind == "secret" {
		secret := regexp.MustCompile(prompts[0].pattern).FindStringSubmatch(match[0])[1]
		p.app = integration.NewAuthenticator(p.t, secret)
		return
	}
	if answered[kind] { // it paints what it asks once more
		return
	}
	answered[kind] = true
	p.prompts = append(p.prompts, kind)
	if p.refusesPrompts && kind != "open" {
		p.stuck = "asks for a " + kind
		return
	}
	switch kind {
	case "open":
		client.Type("n")
	case "code":
		page := p.page(client.Printed())
		switch {
		case p.wrong != "":
			client.Type(p.wrong)
		case by == paged && page == "":
			p.stuck = "asks for a code and names no page"
		case by == paged:
			p.visit(page, by, visited)
			client.Type(digits.FindString(visited[page]))
		case by == denied:
			p.stuck = "asks for a code"
		case p.app == nil:
			p.t.Errorf("the client asks for a code of somebody who has none:\n%s", client.Printed())
			p.stuck = "asks for a code"
		default:
			client.Type(p.app.Fresh())
		}
	case "current", "password":
		client.Type(p.password)
	case "new", "again":
		client.Type(newPassword)
	case "user":
		client.Type(p.name)
	case "email":
		client.Type(p.name + "@acme.test")
	case "sure":
		client.Type("y")
	}
}

// newPassword is what a person changes the password to.
const newPassword = "another horse battery"

// stored returns a session of the person that the client has made and stored, "" if there is none.
func (p *person) stored() string {
	p.t.Helper()
	for token := range p.home.Tokens() {
		var who struct{ Username string }
		if a := p.api(token).Do("GET", "-/whoami", nil); token != p.session && a.Status == http.StatusOK {
			a.JSON(p.t, &who)
			if who.Username == p.name {
				return token
			}
		}
	}
	return ""
}

// valid reports whether a token is good for anything.
func (c *cell) valid(token string) bool {
	return c.api(token).Do("GET", "-/whoami", nil).Status == http.StatusOK
}

// installed reports whether the client has put a package into the program.
func (p *person) installed(pkg string) bool {
	_, err := os.Stat(filepath.Join(p.folder, "node_modules", filepath.FromSlash(pkg), "package.json"))
	return err == nil
}

// install runs the client's install in the folder of a program that needs a package.
func (p *person) install(pkg string) {
	p.t.Helper()
	p.folder = p.home.Project("program", map[string]string{
		"package.json": `{"name":"program","version":"1.0.0","private":true,"license":"MIT","dependencies":{"` + pkg + `":"1.0.0"}}`,
		".yarnrc.yml":  "npmAlwaysAuth: true\n" + map[string]string{"yarn4": "npmMinimalAgeGate: 0\n"}[p.client],
		"yarn.lock":    "",
	})
	p.runs(p.folder, p.line(installing)...)
}

// keys returns those of the person's tokens, sorted.
func (p *person) keys() []string {
	var list struct{ Objects []struct{ Key string } }
	p.must("", "GET", "-/npm/v1/tokens", nil).JSON(p.t, &list)
	keys := map[string]bool{}
	for _, token := range list.Objects {
		keys[token.Key] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// bypass makes a token that needs no second factor, with which the home is then logged in.
func (p *person) bypass() {
	p.t.Helper()
	var made struct{ Token string }
	p.must(p.app.Fresh(), "POST", "-/npm/v1/tokens", map[string]any{
		"name": "ci", "password": p.password, "packages_all": true, "packages_and_scopes_permission": "read-write", "bypass_2fa": true,
	}).JSON(p.t, &made)
	p.ci = made.Token
	p.has(made.Token)
}
