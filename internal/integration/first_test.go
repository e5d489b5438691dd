package integration_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// A newcomer has the README and what the first start prints, types that line by line, and it
// works; whatever npm asks was announced in the line before. With the newest npm they begin with a clone of the
// checkout that the test is of, with what is committed there; the others have the program that was built from it.
func TestGreeting(t *testing.T) {
	t.Parallel()
	releases := []string{"npm8", "npm10", "npm11", "npm12"}
	if testing.Short() {
		releases = integration.Releases()
	}
	for _, npm := range releases {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			t.Parallel()
			newNewcomer(t, npm).follow()
		})
	}
}

// The README sends a newcomer to the greeting, and its page in a browser to the pages about logins.
func TestFirstPage(t *testing.T) {
	t.Parallel()
	readme, _ := document(t, "README.md")
	_, try, _ := strings.Cut(readme, "## Try it")
	assert.Contains(t, try[:strings.Index(try, "## ")], "go run ./examples/registry\n")
	registry := integration.Start(t)
	browser := integration.NewBrowser(t)
	front := browser.Open(registry.URL)
	require.Equal(t, 200, front.Status, front.HTML)
	host := strings.TrimSuffix(strings.TrimPrefix(registry.URL, "http://"), "/")
	assert.Contains(t, front.HTML, "<title>"+host+": ", "with its port")
	link := regexp.MustCompile(`<a href="([^"]+)">`).FindStringSubmatch(front.HTML)
	require.NotNil(t, link, front.HTML)
	next, err := front.URL.Parse(link[1])
	require.NoError(t, err)
	logins := browser.Open(next.String())
	assert.Equal(t, 200, logins.Status)
	assert.Contains(t, logins.HTML, "<title>Logins of "+host)
	assert.Contains(t, logins.Text(), "npm login --registry="+registry.URL)
}

// A newcomer is somebody who has the README, what the first start prints, and npm.
type newcomer struct {
	t        *testing.T
	registry *integration.Registry
	home     *integration.Home
	npm      string
	dir      string // where they are
	app      *integration.Authenticator
	tokens   []string
	began    time.Time
	from     string // what began then
	done     int    // steps before the greeting
}

func newNewcomer(t *testing.T, npm string) *newcomer {
	n := &newcomer{t: t, npm: npm, began: time.Now()}
	readme, _ := document(t, "README.md")
	before, _, _ := strings.Cut(readme, "\nIt prints what to type next")
	blocks := shellBlock.FindAllStringSubmatch(before, -1)
	require.Len(t, blocks, 2, before)
	n.done = len(blocks)
	if newest := integration.NPMs[len(integration.NPMs)-1]; npm == newest {
		n.from = "git clone"
		n.registry = fromClone(t, strings.TrimSpace(blocks[0][1]), strings.TrimSpace(blocks[1][1]))
	} else {
		n.from = "the first start of a program that was built before"
		n.registry = integration.Start(t)
	}
	// Nothing on their machine knows of the registry yet.
	n.home = integration.NewHome(t, "http://127.0.0.1:1/")
	n.home.Use(npm)
	n.dir = n.home.Dir
	return n
}

// fromClone types what the README says: clone, in which only the address is another, and start, at a port of its own.
func fromClone(t *testing.T, clone, start string) *integration.Registry {
	checkout := integration.RequireCheckout(t)
	command, then, _ := strings.Cut(clone, " && ")
	args := strings.Fields(command)
	require.Equal(t, []string{"git", "clone"}, args[:2], clone)
	require.Len(t, args, 3, clone)
	name := path.Base(args[2])
	require.Equal(t, "cd "+name, then)
	dir := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("git", "clone", "--no-hardlinks", "--quiet", checkout, dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return integration.RunClone(t, dir, "127.0.0.1:0", strings.Fields(start)...)
}

// follow types what the greeting says.
func (n *newcomer) follow() {
	until(n.t, func() bool { return strings.Contains(n.registry.Greeting(), "in a browser") }) // it comes last
	steps := regexp.MustCompile(`(?m)((?:^  #.*\n)+)  (\S.*)$`).FindAllStringSubmatch(n.registry.Greeting(), -1)
	require.Len(n.t, steps, 7, n.registry.Greeting())
	done := n.done // clone, start
	n.signUp(steps[0][1], steps[0][2])
	for i, step := range steps[1:] {
		for command := range strings.SplitSeq(step[2], " && ") {
			n.typed(step[1], command)
			if strings.HasPrefix(command, "npm publish") {
				done += i + 2
				n.t.Logf("published with a second factor in step %d, %v after %s", done, time.Since(n.began).Round(time.Second), n.from)
				assert.LessOrEqual(n.t, done, 10)
			}
		}
	}
	assert.Greater(n.t, done, 2, "nothing is published")
	assert.FileExists(n.t, filepath.Join(n.home.Dir, "app", "node_modules", "hello-registry", "package.json"))
	require.Len(n.t, n.tokens, 1)
	ci := machine(n.t, n.registry, n.tokens[0])
	ci.Use(n.npm)
	published := ci.Run(ci.Package("gadget", "1.0.0"), "npm", "publish")
	if n.npm == "npm8" || n.npm == "npm10" { // as announced
		assert.Contains(n.t, published.Output(), "EOTP")
	} else {
		assert.Zero(n.t, published.Code, published.Output())
	}
}

// signUp does the first step, which is a page.
func (n *newcomer) signUp(comment, page string) {
	assert.Contains(n.t, comment, "sign up, in a browser")
	integration.NewBrowser(n.t).Approve(page, map[string]string{"name": "alice", "email": "alice@acme.test", "password": integration.Password})
}

// questions are what npm asks for, each with the word of the comment that announces it.
var questions = []struct {
	pattern, announced string
	answer             func(n *newcomer, p *integration.Process, m []string)
}{
	{`(?:Login|Authenticate your account) at:\s+(http://\S+/login/\S+)`, "page", func(n *newcomer, p *integration.Process, m []string) {
		integration.NewBrowser(n.t).Approve(m[1], map[string]string{"name": "alice", "password": integration.Password})
	}},
	{`Authenticate your account at:\s+(http://\S+/challenge/\S+)`, "page", func(n *newcomer, p *integration.Process, m []string) {
		browser := integration.NewBrowser(n.t)
		assert.Regexp(n.t, `session \S+, a login of \d+ \w+ \d{4}, \d\d:\d\d UTC, from 127\.0\.0\.1 `, browser.Open(m[1]).Text())
		browser.Approve(m[1], map[string]string{"password": integration.Password, "code": n.app.Fresh()})
	}},
	{`[Uu]sername: `, "name", func(n *newcomer, p *integration.Process, _ []string) { p.Type("alice") }},
	{`Email[^\n]*: `, "e-mail address", func(n *newcomer, p *integration.Process, _ []string) { p.Type("alice@acme.test") }},
	{`[Pp]assword: `, "password", func(n *newcomer, p *integration.Process, _ []string) { p.Type(integration.Password) }},
	{`[Oo]r enter code:\s+(\S+)`, "authenticator app", func(n *newcomer, _ *integration.Process, m []string) {
		n.app = integration.NewAuthenticator(n.t, m[1])
	}},
	{`(?:authenticator|OTP|one-time password)[^\n]*: `, "code", func(n *newcomer, p *integration.Process, _ []string) { p.Type(n.app.Fresh()) }},
	{`Created (?:publish )?token (npm_\w{36})`, "token", func(n *newcomer, _ *integration.Process, m []string) { n.tokens = append(n.tokens, m[1]) }},
	{`(?m)token\W+(npm_\w{36})`, "token", func(n *newcomer, _ *integration.Process, m []string) { n.tokens = append(n.tokens, m[1]) }}, // npm 8's table
}

// typed types a command below its comment, and answers what npm asks.
func (n *newcomer) typed(comment, command string) {
	n.t.Helper()
	args := strings.Fields(command)
	switch args[0] {
	case "cd":
		n.dir = filepath.Join(n.dir, args[1])
		return
	case "mkdir":
		require.NoError(n.t, os.Mkdir(filepath.Join(n.dir, args[1]), 0o755))
		return
	}
	require.Equal(n.t, "npm", args[0], command)
	p := n.home.Terminal(n.dir, "npm", args[1:]...)
	var all []string
	for _, q := range questions {
		all = append(all, q.pattern)
	}
	for {
		m := p.Next(strings.Join(all, "|"))
		if m == nil {
			break
		}
		for _, q := range questions {
			if own := regexp.MustCompile("^(?:" + q.pattern + ")$").FindStringSubmatch(m[0]); own != nil {
				assert.Contains(n.t, comment, q.announced, "%s asks: %s", command, m[0])
				q.answer(n, p, own)
				break
			}
		}
	}
	p.OK()
}
