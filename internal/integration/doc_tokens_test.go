package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// A block is a block of code of a document.
type block struct{ language, text string }

// document returns a document and its blocks of code.
func document(t *testing.T, name string) (text string, blocks []block) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", name))
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(data), -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	require.NotEmpty(t, blocks, name)
	return string(data), blocks
}

// words splits a command as a shell does whose only quotes are double ones.
func words(line string) (args []string) {
	for _, m := range regexp.MustCompile(`(?:[^\s"]|"[^"]*")+`).FindAllString(line, -1) {
		args = append(args, strings.ReplaceAll(m, `"`, ""))
	}
	return args
}

// TestTokensDocument types the commands of docs/tokens.md as they stand there, from the first to
// the last, and runs the jobs of its CI systems.
func TestTokensDocument(t *testing.T) {
	t.Parallel()
	text, blocks := document(t, "docs/tokens.md")
	for _, npm := range integration.Releases() {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			t.Parallel()
			registry := integration.Start(t, append(seed("alice"), "-org", "acme=alice")...)
			home := integration.NewHome(t, registry.URL)
			home.Use(npm)
			app, _ := registry.Enrol(registry.SignIn("alice", ""))
			d := &tokensDocument{t, registry, home, app, integration.NewBrowser(t), map[string]string{}, filepath.Join(home.Dir, "widget"), 0}
			d.flags(text)
			kinds := map[string]int{}
			for _, b := range blocks {
				kinds[b.language]++
				switch b.language {
				case "sh":
					for line := range strings.Lines(b.text) {
						d.typed(strings.TrimSpace(line))
					}
				case "ini":
					d.npmrc(b.text)
				case "yaml", "groovy":
					d.job(b.text)
				}
			}
			assert.Equal(t, map[string]int{"sh": 4, "ini": 1, "yaml": 3, "groovy": 1}, kinds)
		})
	}
}

type tokensDocument struct {
	t        *testing.T
	registry *integration.Registry
	home     *integration.Home
	app      *integration.Authenticator
	browser  *integration.Browser
	tokens   map[string]string // by name
	project  string
	releases int
}

// flags holds the table to what npm token create says of itself.
func (d *tokensDocument) flags(text string) {
	help := d.home.OK("", "npm", "token", "create", "--help").Stdout
	set := func(pattern, text string) (names []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	shown := set(`--([a-z0-9-]+)`, help)
	require.Contains(d.t, shown, "bypass-2fa", help)
	assert.Equal(d.t, shown, set("(?m)^\\| `--([a-z0-9-]+)`", text))
}

// here makes an address of the document that of the registry.
func (d *tokensDocument) here(text string) string {
	host := strings.TrimSuffix(strings.TrimPrefix(d.registry.URL, "http://"), "/")
	return strings.NewReplacer("https://registry.example/", d.registry.URL, "//registry.example/", "//"+host+"/").Replace(text)
}

// typed types a command, and answers what npm asks.
func (d *tokensDocument) typed(line string) {
	d.t.Helper()
	args := words(d.here(line))
	require.Equal(d.t, "npm", args[0], line)
	switch strings.Join(args[1:min(3, len(args))], " ") {
	case "login":
		p := d.home.Terminal("", "npm", args[1:]...)
		d.browser.Approve(p.Expect(`Login at:\s+(http://\S+)`)[1], map[string]string{"name": "alice", "password": integration.Password, "code": d.app.Fresh()})
		p.OK()
	case "token create":
		p := d.home.Terminal("", "npm", args[1:]...)
		p.Expect(`password:`)
		p.Type(integration.Password)
		d.confirm(p)
		d.tokens[strings.TrimPrefix(args[3], "--name=")] = p.Expect(`Created token (npm_\w{36})`)[1]
		p.OK()
	case "token revoke":
		var name, what string
		switch args[3] {
		case "<id>":
			name, what = "deploy", d.listed("deploy")
		case "<token>":
			name, what = "laptop", d.tokens["laptop"][:8]
		}
		require.NotEmpty(d.t, what, line)
		p := d.home.Terminal("", "npm", "token", "revoke", what)
		d.confirm(p)
		p.OK()
		assert.Equal(d.t, http.StatusUnauthorized, d.registry.As(d.tokens[name]).Do("GET", "-/whoami", nil).Status, line)
	case "access set":
		d.home.Package("@acme/widget", "1.0.0")
		d.home.OK(d.project, "npm", "publish", "--otp="+d.app.Fresh())
		p := d.home.Terminal("", "npm", args[1:]...)
		d.confirm(p)
		p.OK()
	default:
		d.home.OK("", "npm", args[1:]...)
	}
}

// confirm answers the challenge of a command at its page.
func (d *tokensDocument) confirm(p *integration.Process) {
	d.t.Helper()
	d.browser.Approve(p.Expect(`Authenticate your account at:\s+(http://\S+)`)[1], map[string]string{"password": integration.Password, "code": d.app.Fresh()})
}

// listed returns the id that npm token list prints of a token.
func (d *tokensDocument) listed(name string) string {
	d.t.Helper()
	m := regexp.MustCompile(`with id (\S+) name ` + name).FindStringSubmatch(d.home.OK("", "npm", "token", "list").Stdout)
	require.NotNil(d.t, m)
	return m[1]
}

// npmrc makes the project one of a CI system.
func (d *tokensDocument) npmrc(text string) {
	require.NoError(d.t, os.WriteFile(filepath.Join(d.project, ".npmrc"), []byte(d.here(text)), 0o600))
}

// job runs the commands of a job, in a home that has nothing but the environment, for a release of its own.
func (d *tokensDocument) job(text string) {
	d.t.Helper()
	require.FileExists(d.t, filepath.Join(d.project, ".npmrc"))
	version := d.next()
	runner := integration.NewHome(d.t, "http://127.0.0.1:1/") // the project's file names the registry
	runner.Use(strings.TrimPrefix(d.t.Name(), "TestTokensDocument/"))
	commands := regexp.MustCompile(`(?m)^\s*(?:- |- run: |sh ')(npm [^'\n]*)'?$`).FindAllStringSubmatch(text, -1)
	require.Len(d.t, commands, 2, text)
	for _, c := range commands {
		runner.OK(d.project, "env", append([]string{"NPM_TOKEN=" + d.tokens["ci"]}, words(c[1])...)...)
	}
	assert.True(d.t, published(d.registry, d.home, "@acme/widget", version), text)
}

// next makes the project one of the next version, which is locked, and returns it.
func (d *tokensDocument) next() (version string) {
	d.t.Helper()
	d.releases++
	version = fmt.Sprintf("1.%d.0", d.releases)
	about := map[string]any{"name": "@acme/widget", "version": version}
	for name, content := range map[string]any{
		"package.json":      about,
		"package-lock.json": map[string]any{"name": "@acme/widget", "version": version, "lockfileVersion": 3, "packages": map[string]any{"": about}},
	} {
		data, err := json.Marshal(content)
		require.NoError(d.t, err)
		require.NoError(d.t, os.WriteFile(filepath.Join(d.project, name), data, 0o644))
	}
	return version
}
