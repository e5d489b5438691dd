package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// AU-67: who has no account makes one in the browser that npm opens, and is logged in with it:
// with npm adduser, and with npm login, which is all that npm 12 has.
func TestSignUpInTheBrowser(t *testing.T) {
	t.Parallel()
	for _, npm := range integration.Releases() {
		for _, command := range []string{"login", "adduser"} {
			if npm == "npm12" && command == "adduser" {
				continue
			}
			t.Run(npm+"/"+command, func(t *testing.T) {
				integration.RequireClients(t, npm)
				t.Parallel()
				registry := integration.Start(t)
				home := integration.NewHome(t, registry.URL)
				home.Use(npm)
				p := home.Start("", "npm", command)
				browser := integration.NewBrowser(t)
				page := browser.Open(p.Expect(`(http://\S+/-/auth/\S+)`)[1])
				if command == "login" {
					page = browser.Follow(page, "Create one")
				}
				require.Contains(t, page.Text(), "Create an account at")
				fields := map[string]string{"name": "npm", "email": "alice@acme.test", "password": integration.Password}
				page = browser.Submit(page, "approve", fields)
				require.Contains(t, page.Text(), "not a reserved word")
				fields["name"] = "alice"
				page = browser.Submit(page, "approve", fields)
				require.Contains(t, page.Text(), "The account alice is yours.")
				page = browser.Follow(page, "Log in")
				page = browser.Submit(page, "approve", map[string]string{"name": "alice", "password": integration.Password})
				require.Contains(t, page.Text(), "Login approved")
				p.OK()
				assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))
			})
		}
	}
}

// passwordLogin starts an npm that asks for the password, and answers what it asks; npm 6 to 8, and
// npm adduser, ask for an e-mail address, too.
func passwordLogin(home *integration.Home, command, name, password string, email bool) *integration.Process {
	p := home.Terminal("", "npm", command, "--auth-type=legacy")
	p.Expect(`Username:`)
	p.Type(name)
	p.Expect(`Password:`)
	p.Type(password)
	if email {
		p.Expect(`Email[^\n]*: `)
		p.Type(name + "@acme.test")
	}
	return p
}

// AU-68, AU-72: npm login of a name that nobody has creates no account, and npm prints where people
// get one; what is wrong with a new account it prints, too.
func TestMistypedName(t *testing.T) {
	t.Parallel()
	for _, npm := range among("npm10", "npm11", "npm12") {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			t.Parallel()
			registry := integration.Start(t, seed("alice")...)
			home := integration.NewHome(t, registry.URL)
			home.Use(npm)
			for _, name := range []string{"alcie", "alice"} { // a name of nobody, and a wrong password
				r := passwordLogin(home, "login", name, "something else than that", false).Wait()
				assert.NotZero(t, r.Code)
				assert.Contains(t, r.Output(), "create one at "+registry.URL+"-/auth/signup and log in again")
			}
			assert.Empty(t, home.Token())
			assert.Equal(t, http.StatusNotFound, registry.As(registry.SignIn("alice", "")).Do("GET", "-/user/org.couchdb.user:alcie", nil).Status)
			if npm == "npm12" {
				return // which has no adduser
			}
			r := passwordLogin(home, "adduser", "bob", "short", true).Wait()
			assert.NotZero(t, r.Code)
			assert.Contains(t, r.Output(), "Choose another password: it has fewer than 11 characters.")
		})
	}
}

// AU-68: Yarn creates no account either, although Yarn 1 sends an e-mail address at a login.
func TestYarnSignsNobodyUp(t *testing.T) {
	t.Parallel()
	registry := integration.Start(t, seed("alice")...)
	for client, answers := range map[string][][2]string{
		"yarn1": {{`npm username: `, "nobody"}, {`npm email: `, "nobody@acme.test"}, {`npm password: `, integration.Password}},
		"yarn4": {{`Username:`, "nobody"}, {`Password:`, integration.Password}},
	} {
		t.Run(client, func(t *testing.T) {
			integration.RequireClients(t, client)
			t.Parallel()
			home := integration.NewHome(t, registry.URL)
			home.Use(client)
			command := []string{"npm", "login"}
			if client == "yarn1" { // which logs in when it publishes
				command = []string{"publish", "--new-version", "1.0.1"}
			}
			p := home.Terminal(home.Package("widget", "1.0.0"), "yarn", command...)
			for _, answer := range answers {
				p.Expect(answer[0])
				p.Type(answer[1])
			}
			r := p.Wait()
			assert.NotZero(t, r.Code)
			if client == "yarn1" { // Yarn 2 to 4 have a sentence of their own
				assert.Contains(t, r.Output(), "create one at "+registry.URL+"-/auth/signup and log in again")
			}
			assert.Equal(t, http.StatusNotFound, registry.As(registry.SignIn("alice", "")).Do("GET", "-/user/org.couchdb.user:nobody", nil).Status)
		})
	}
}
