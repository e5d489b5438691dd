package integration_test

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/legacy"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// The dates of a login with a password that ends.
var (
	legacyEnds    = time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	legacyBrowned = legacy.Window{From: time.Date(2027, 5, 4, 8, 0, 0, 0, time.UTC), Until: time.Date(2027, 5, 4, 12, 0, 0, 0, time.UTC)}
)

// ending serves a registry at which the login with a password ends, as it is at now. It has an
// account of alice's and no packages.
func ending(t *testing.T, now time.Time) (*npmauth.Auth, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + listener.Addr().String() + "/"
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: base, Store: store.NewMemory(), Packages: empty{}, OpenSignUp: true, Now: func() time.Time { return now },
		Legacy: npmauth.Legacy{Deprecated: legacyEnds.AddDate(0, -6, 0), BrownOuts: []legacy.Window{legacyBrowned}, Sunset: legacyEnds},
	})
	require.NoError(t, err)
	_, err = auth.People().Create(t.Context(), audit.Actor{}, account.NewUser{Name: "alice", Password: credential.NewSecret(integration.Password)})
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: auth.Handler()}}
	server.Start()
	t.Cleanup(server.Close)
	return auth, base
}

type empty struct{}

func (empty) Facts(context.Context, protocol.PackageName, protocol.UserID) (policy.Facts, error) {
	return policy.Facts{}, nil
}

// legacyDocument is docs/legacy.md.
func legacyDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/legacy.md")
	require.NoError(t, err)
	return string(text)
}

// LG-14, LG-15: what each client sees of the login with a password before a brown-out and in one, as
// docs/legacy.md says, and who used it.
func TestLegacyPhases(t *testing.T) {
	t.Parallel()
	const sentence = "Logging in with a password at this address"
	const notice = "npm notice " + sentence + " is deprecated."
	const visit, authenticate = "to complete your login please visit:", "Authenticate your account at:"
	for _, tt := range []struct {
		client, agent string
		announced     string // what is printed with a login, "" if nothing of it is
		ended         string // what is printed in a brown-out
		page          bool   // and then a browser logs in
	}{
		{"npm6", "npm/6.14.18", notice, visit, true},
		{"npm7", "npm/7.24.2", "", visit, true},
		{"npm8", "npm/8.19.4", notice, authenticate, true},
		{"npm10", "npm/10.9.9", notice, "npm error 410 Gone", false},
		{"npm11", "npm/11.21.2", notice, "npm error 410 Gone", false},
		{"npm12", "npm/12.2.2", notice, "npm error 410 Gone", false},
		{"yarn1", "yarn/1.22.22", "", sentence, false},
		{"yarn3", "got", "", "YN0035: " + sentence, false},
		{"yarn4", "got", "", "YN0035: " + sentence, false},
	} {
		t.Run(tt.client, func(t *testing.T) {
			integration.RequireClients(t, tt.client)
			t.Parallel()
			for _, said := range []string{tt.announced, tt.ended} {
				assert.Contains(t, legacyDocument(t), "`"+said+"`")
			}
			logIn := func(base string) *integration.Process {
				home := integration.NewHome(t, base)
				home.Use(tt.client)
				switch {
				case strings.HasPrefix(tt.client, "npm"):
					return passwordLogin(home, "login", "alice", integration.Password, tt.page)
				case tt.client == "yarn1": // which logs in when it publishes
					return answer(home.Terminal(home.Package("widget", "1.0.0"), "yarn", "publish", "--new-version", "1.0.1"),
						`npm username: `, "alice", `npm email: `, "alice@acme.test", `npm password: `, integration.Password)
				default:
					return answer(home.Terminal("", "yarn", "npm", "login"), `Username:`, "alice", `Password:`, integration.Password)
				}
			}
			auth, base := ending(t, legacyBrowned.From.Add(-time.Second))
			r := logIn(base).Wait()
			assert.Contains(t, strings.ToLower(r.Output()), "logged in")
			if tt.announced == "" {
				assert.NotContains(t, r.Output(), sentence)
			} else {
				assert.Contains(t, r.Output(), tt.announced+" It is off from 2027-05-04 08:00 UTC until 2027-05-04 12:00 UTC. It ends on 2027-06-01 12:00 UTC.")
			}
			var clients []string
			for use, err := range auth.LegacyUse(t.Context()) {
				require.NoError(t, err)
				clients = append(clients, use.Name, use.Clients[0].Client)
			}
			assert.Equal(t, []string{"alice", tt.agent}, clients)

			for now, until := range map[time.Time]string{legacyBrowned.From: " is off until 2027-05-04 12:00 UTC, as announced. It ends on 2027-06-01 12:00 UTC.", legacyEnds: " has ended."} {
				_, base := ending(t, now)
				if !tt.page {
					r := logIn(base).Wait()
					assert.Contains(t, r.Output(), tt.ended)
					assert.Contains(t, r.Output(), sentence+until)
					assert.NotZero(t, r.Code)
					continue
				}
				home := integration.NewHome(t, base)
				home.Use(tt.client)
				browser := "false"
				if tt.client == "npm6" { // which knows no false, and prints the address where there is no such browser
					browser = "no-such-browser"
				}
				p := home.Start("", "npm", "login", "--auth-type=legacy", "--browser="+browser)
				address := p.Expect(regexp.QuoteMeta(tt.ended) + `\s+(http://\S+)`)[1]
				integration.NewBrowser(t).Approve(address, map[string]string{"name": "alice", "password": integration.Password})
				p.OK()
			}
		})
	}
}

// answer types an answer to each question that a client asks.
func answer(p *integration.Process, questions ...string) *integration.Process {
	for i := 0; i < len(questions); i += 2 {
		p.Expect(questions[i])
		p.Type(questions[i+1])
	}
	return p
}

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// Every command of docs/legacy.md does what the document says, and those of the e-mail are among them.
func TestLegacyDocument(t *testing.T) {
	t.Parallel()
	integration.RequireClients(t, "npm11", "npm12", "pnpm12", "yarn4")
	registry := integration.Start(t, seed("alice")...)
	alice := map[string]string{"name": "alice", "password": integration.Password}
	var app *integration.Authenticator
	with := func(client string) *integration.Home {
		home := integration.NewHome(t, registry.URL)
		home.Use(client)
		return home
	}
	// inBrowser answers the page that a client names.
	inBrowser := func(p *integration.Process) {
		browser := integration.NewBrowser(t)
		page := browser.Submit(browser.Open(p.Expect(`(http://\S+/-/auth/login/[\w-]+)`)[1]), "approve", alice)
		require.Contains(t, page.Text(), "Login approved")
		p.OK()
	}
	commands := map[string]func(args []string){
		"npm login --auth-type=web": func(args []string) {
			for _, npm := range []string{"npm11", "npm12"} {
				inBrowser(with(npm).Start("", "npm", args...))
			}
		},
		"pnpm login": func(args []string) { inBrowser(with("pnpm12").Start("", "pnpm", args...)) },
		"yarn npm login --web-login": func(args []string) {
			p := with("yarn4").Terminal("", "yarn", args...)
			p.Expect(`open your browser now\?`)
			p.Type("n")
			inBrowser(p)
		},
		"npm login --auth-type=legacy": func(args []string) {
			home := with("npm12")
			answer(home.Terminal("", "npm", args...), `Username:`, "alice", `Password:`, integration.Password).OK()
			assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))
			r := answer(home.Terminal("", "npm", args...), `Username:`, "alcie", `Password:`, integration.Password).Wait()
			assert.Contains(t, r.Output(), registry.URL+"-/auth/signup")
		},
		"npm adduser": func(args []string) {
			home := with("npm11")
			answer(home.Terminal("", "npm", args...), `Username:`, "carol", `Password:`, integration.Password, `Email[^\n]*: `, "carol@acme.test").OK()
			assert.Equal(t, "carol", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout))
		},
		"npm token create": func(args []string) {
			home := with("npm12")
			home.SetToken(registry.SignIn("alice", ""))
			app, _ = registry.Enrol(home.Token())
			p := home.Terminal("", "npm", append(args, "--auth-type=legacy")...)
			p.Expect(`password:`)
			p.Type(integration.Password)
			p.Expect(`Enter OTP:`)
			p.Type(app.Fresh())
			p.Expect(`Created token (npm_\w{36})`)
			p.OK()
		},
		"go run ./examples/registry": func(args []string) {
			announced := integration.Start(t, args[2:]...)
			a := announced.As("").Do("PUT", "-/user/org.couchdb.user:alice", map[string]string{})
			assert.Equal(t, "Tue, 01 Jun 2027 12:00:00 GMT", a.Header.Get("Sunset"))
		},
	}
	used, lines := map[string]bool{}, []string{}
	for _, block := range shellBlock.FindAllStringSubmatch(legacyDocument(t), -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	slices.SortFunc(lines, func(a, b string) int { // a second factor comes last
		return cmp.Compare(strings.Count(a, "token create"), strings.Count(b, "token create"))
	})
	for _, line := range lines {
		t.Log(line)
		for command, run := range commands {
			if strings.HasPrefix(line, command) {
				assert.False(t, used[command], "%s is there twice", command)
				used[command] = true
				run(strings.Fields(strings.ReplaceAll(line, "https://registry.example/", registry.URL))[1:])
			}
		}
	}
	assert.Len(t, lines, len(commands), "each line is one of the commands")
	assert.Len(t, used, len(commands))

	auth, base := ending(t, legacyEnds)
	mail := strings.ReplaceAll(auth.LegacyMail(npmauth.LegacyUse{}), base, "https://registry.example/")
	found := regexp.MustCompile(`(?m)^  (p?npm |yarn )(\S.*?)(   \(.*\))?$`).FindAllStringSubmatch(mail, -1)
	require.Len(t, found, 4)
	for _, line := range found {
		assert.Contains(t, lines, line[1]+line[2])
	}
}

// -require-2fa: from the date on who has no second factor writes nothing, and npm says so at a login before.
func TestRequiredFactorIsAnnounced(t *testing.T) {
	integration.RequireClients(t, "npm12")
	t.Parallel()
	registry := integration.Start(t, append(seed("alice"), "-require-2fa", "2099-06-01T12:00:00Z")...)
	home := integration.NewHome(t, registry.URL)
	home.Use("npm12")
	r := passwordLogin(home, "login", "alice", integration.Password, false).Wait()
	require.Zero(t, r.Code, r.Output())
	assert.Contains(t, r.Output(), "npm notice From 2099-06-01 12:00 UTC on this registry requires a second factor of everybody who writes, and your account has none. Run npm profile enable-2fa auth-and-writes.")
}
