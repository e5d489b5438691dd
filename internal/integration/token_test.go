package integration_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// createToken runs npm token create and returns the token.
func createToken(t *testing.T, home *integration.Home, flags ...string) string {
	t.Helper()
	args := append([]string{"token", "create", "--password=" + integration.Password}, flags...)
	out := home.OK("", "npm", args...).Stdout
	m := regexp.MustCompile(`Created token (npm_[A-Za-z0-9]{36})\b`).FindStringSubmatch(out)
	require.NotNil(t, m, out)
	return m[1]
}

// machine is a home without a person: what CI has.
func machine(t *testing.T, registry *integration.Registry, token string) *integration.Home {
	t.Helper()
	home := integration.NewHome(t, registry.URL)
	home.SetToken(token)
	return home
}

func TestTokenPublishesFromCI(t *testing.T) {
	registry, home, app := member(t)
	ci := machine(t, registry, createToken(t, home, "--name=ci", "--scopes=@alice", "--bypass-2fa", "--expires=7",
		"--packages-and-scopes-permission=read-write", "--otp="+app.Fresh()))
	assert.Equal(t, "alice", strings.TrimSpace(ci.OK("", "npm", "whoami").Stdout))

	ci.OK(ci.Package("@alice/widget", "1.0.0"), "npm", "publish")
	assert.True(t, published(registry, home, "@alice/widget", "1.0.0"))

	// Its scope is all that it has, although alice may publish more.
	outside := ci.Run(ci.Package("widget", "1.0.0"), "npm", "publish")
	assert.Contains(t, outside.Output(), "E403")
	assert.False(t, published(registry, home, "widget", "1.0.0"))
	for _, args := range [][]string{{"token", "list"}, {"profile", "get"}} {
		assert.NotZero(t, ci.Run("", "npm", args...).Code, "%s is for people", args)
	}
}

func TestTokenWithoutBypassIsChallenged(t *testing.T) {
	registry, home, app := member(t)
	ci := machine(t, registry, createToken(t, home, "--name=laptop", "--packages-all",
		"--packages-and-scopes-permission=read-write", "--otp="+app.Fresh()))
	dir := ci.Package("widget", "1.0.0")
	assert.Contains(t, ci.Run(dir, "npm", "publish").Output(), "EOTP")
	ci.OK(dir, "npm", "publish", "--otp="+app.Fresh())
}

func TestReadOnlyToken(t *testing.T) {
	registry, home, app := member(t)
	code := app.Fresh()
	home.OK(home.Package("@alice/secret", "1.0.0"), "npm", "publish", "--otp="+code)
	reader := machine(t, registry, createToken(t, home, "--name=deploy", "--packages=@alice/secret",
		"--packages-and-scopes-permission=read-only", "--otp="+app.Fresh()))

	project := reader.Project("app", map[string]string{"package.json": `{"name":"app","version":"1.0.0"}`})
	reader.OK(project, "npm", "install", "@alice/secret")
	refused := reader.Run(reader.Package("@alice/secret", "1.0.1"), "npm", "publish")
	assert.Contains(t, refused.Output(), "E403")
	assert.False(t, published(registry, home, "@alice/secret", "1.0.1"))
}

// A token restricted to addresses elsewhere is good for nothing here.
func TestTokenAddresses(t *testing.T) {
	registry, home, app := member(t)
	flags := []string{"--packages-all", "--packages-and-scopes-permission=read-only"}
	code := app.Fresh()
	here := createToken(t, home, append(flags, "--name=here", "--cidr=127.0.0.0/8", "--otp="+code)...)
	there := createToken(t, home, append(flags, "--name=there", "--cidr=192.0.2.0/24", "--otp="+app.Fresh())...)
	machine(t, registry, here).OK("", "npm", "whoami")
	result := machine(t, registry, there).Run("", "npm", "whoami")
	assert.NotZero(t, result.Code)
	assert.Contains(t, result.Output(), "EAUTHIP")
}

func TestTokenListAndRevoke(t *testing.T) {
	registry, home, app := member(t)
	flags := []string{"--packages-all", "--packages-and-scopes-permission=read-only"}
	byID := createToken(t, home, append(flags, "--name=first", "--otp="+app.Fresh())...)
	byValue := createToken(t, home, append(flags, "--name=second", "--otp="+app.Fresh())...)

	list := home.OK("", "npm", "token", "list").Stdout
	lines := regexp.MustCompile(`Token (\S+)… with id (\S+) name (\S+) created`).FindAllStringSubmatch(list, -1)
	require.Len(t, lines, 2, "tokens and no sessions:\n%s", list)
	var key string
	for _, m := range lines {
		assert.True(t, strings.HasPrefix(byID, m[1]) || strings.HasPrefix(byValue, m[1]), "shows its beginning: %s", m[1])
		assert.Less(t, len(m[1]), 12, "and no more: %s", m[1])
		if m[3] == "first" {
			key = m[2]
		}
	}
	require.NotEmpty(t, key)
	assert.NotContains(t, list, "npms_")

	home.OK("", "npm", "token", "revoke", key, "--otp="+app.Fresh())
	assert.Equal(t, http.StatusUnauthorized, registry.As(byID).Do("GET", "-/whoami", nil).Status)
	assert.Equal(t, http.StatusOK, registry.As(byValue).Do("GET", "-/whoami", nil).Status)
	home.OK("", "npm", "token", "revoke", byValue, "--otp="+app.Fresh())
	assert.Equal(t, http.StatusUnauthorized, registry.As(byValue).Do("GET", "-/whoami", nil).Status)
	assert.NotContains(t, home.OK("", "npm", "token", "list").Stdout, "npm_")
}

// AU-40, AU-70, AU-71: what npm token list prints of a token, in each of its formats, can be given to
// npm token revoke, and a token without ranges is shown without them.
func TestTokenRevokeAsListed(t *testing.T) {
	t.Parallel()
	for _, client := range []string{"npm8", "npm10", "npm11", "npm12", "pnpm12"} {
		t.Run(client, func(t *testing.T) {
			integration.RequireClients(t, client)
			t.Parallel()
			registry := integration.Start(t, seed("alice")...)
			home := integration.NewHome(t, registry.URL)
			home.Use(client)
			home.SetToken(registry.SignIn("alice", ""))
			npm := strings.TrimRight(client, "0123456789")
			create := func(name string, cidrs ...string) string {
				a := registry.As(home.Token()).Do("POST", "-/npm/v1/tokens", map[string]any{"name": name, "password": integration.Password, "packages_all": true, "cidr_whitelist": append([]string{}, cidrs...)})
				require.Equal(t, http.StatusCreated, a.Status, a.Body)
				var out struct{ Token string }
				a.JSON(t, &out)
				return out.Token
			}
			secret := map[string]string{}
			for _, name := range []string{"by-json", "by-columns", "by-beginning"} {
				secret[name] = create(name)
			}

			assert.NotContains(t, home.OK("", npm, "token", "list").Stdout, "with IP whitelist")
			var listed []struct{ Key, Token string }
			require.NoError(t, json.Unmarshal([]byte(home.OK("", npm, "token", "list", "--json").Stdout), &listed))
			columns := strings.Split(strings.TrimSpace(home.OK("", npm, "token", "list", "--parseable").Stdout), "\n")
			for name, revoke := range map[string]func(i int) string{
				"by-json":      func(i int) string { return listed[i].Key },
				"by-columns":   func(i int) string { return strings.Split(columns[i+1], "\t")[0] }, // after the header
				"by-beginning": func(i int) string { return listed[i].Token },
			} {
				i := slices.IndexFunc(listed, func(o struct{ Key, Token string }) bool { return strings.HasPrefix(secret[name], o.Token) })
				require.GreaterOrEqual(t, i, 0, name)
				what := revoke(i)
				if name != "by-beginning" {
					assert.Regexp(t, `^[a-z2-7]{26}$`, what, "the whole key, and no stars")
				}
				require.Equal(t, http.StatusOK, registry.As(secret[name]).Do("GET", "-/whoami", nil).Status, name)
				home.OK("", npm, "token", "revoke", what)
				assert.Equal(t, http.StatusUnauthorized, registry.As(secret[name]).Do("GET", "-/whoami", nil).Status, name)
			}
			more := home.Run("", npm, "token", "revoke", create("another")[:12])
			assert.NotZero(t, more.Code)
			assert.Contains(t, more.Output(), "no fewer and no more")
			assert.NotContains(t, registry.Log(), listed[0].Token, "no beginning of a token is in the log")

			if client == "npm11" || client == "npm12" { // docs/tokens.md says so
				masked := home.OK("", npm, "token", "create", "--name=masked", "--packages-all", "--json", "--password="+integration.Password).Stdout
				assert.Contains(t, masked, "npm_***")
			}
			create("ranged", "192.0.2.0/24")
			assert.Contains(t, home.OK("", npm, "token", "list").Stdout, "192.0.2.0/24")
		})
	}
}
