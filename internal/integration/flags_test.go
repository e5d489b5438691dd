package integration_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// eachNPM runs fn with each release of npm that is named, on a registry of its own on
// which alice is logged in, with a second factor.
func eachNPM(t *testing.T, fn func(t *testing.T, registry *integration.Registry, home *integration.Home, app *integration.Authenticator), flags ...string) {
	for _, npm := range integration.Releases() {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			registry, home, app := member(t, flags...)
			home.Use(npm)
			fn(t, registry, home, app)
		})
	}
}

// A listed token is one of npm token list --json.
type listed struct {
	Name, Description, Token string   // npm does not print the key in JSON
	ReadOnly                 bool     `json:"readonly"`
	Bypass                   bool     `json:"bypass_2fa"`
	CIDR                     []string `json:"cidr_whitelist"`
	Expires, Created         time.Time
	Accessed                 *time.Time
	Permissions              []struct{ Name, Action string }
	Scopes                   []struct{ Type, Name string }
}

func list(t *testing.T, home *integration.Home) map[string]listed {
	t.Helper()
	var all []listed
	require.NoError(t, json.Unmarshal([]byte(home.OK("", "npm", "token", "list", "--json").Stdout), &all))
	byName := map[string]listed{}
	for _, l := range all {
		byName[l.Name] = l
	}
	require.Len(t, byName, len(all))
	return byName
}

// Every flag of npm token create arrives, and is listed.
func TestTokenFlags(t *testing.T) {
	t.Parallel()
	eachNPM(t, func(t *testing.T, registry *integration.Registry, home *integration.Home, app *integration.Authenticator) {
		wide := createToken(t, home, "--name=wide", "--token-description=for CI", "--packages=@alice/a,@alice/b", "--packages=c", "--scopes=@alice", "--orgs=acme",
			"--packages-and-scopes-permission=read-write", "--orgs-permission=read-only", "--expires=30", "--cidr=127.0.0.0/8", "--cidr=192.0.2.0/24",
			"--bypass-2fa", "--otp="+app.Fresh())
		createToken(t, home, "--name=narrow", "--packages-all", "--packages-and-scopes-permission=read-write-stage-only", "--otp="+app.Fresh())
		assert.Equal(t, "alice", strings.TrimSpace(machine(t, registry, wide).OK("", "npm", "whoami").Stdout))

		all := list(t, home)
		require.Len(t, all, 2)
		w, n := all["wide"], all["narrow"]
		assert.Equal(t, "for CI", w.Description)
		assert.True(t, strings.HasPrefix(wide, w.Token))
		assert.Equal(t, []string{"127.0.0.0/8", "192.0.2.0/24"}, w.CIDR)
		assert.Equal(t, w.Created.AddDate(0, 0, 30), w.Expires)
		assert.True(t, w.Bypass)
		assert.False(t, w.ReadOnly)
		assert.NotNil(t, w.Accessed, "whoami was the last use")
		assert.Equal(t, []struct{ Name, Action string }{{"package", "read-write"}, {"org", "read-only"}}, w.Permissions)
		assert.ElementsMatch(t, []struct{ Type, Name string }{{"package", "@alice/a"}, {"package", "@alice/b"}, {"package", "c"}, {"scope", "@alice"}, {"org", "acme"}}, w.Scopes)
		assert.Equal(t, []struct{ Name, Action string }{{"package", "read-write-stage-only"}, {"org", "no-access"}}, n.Permissions)
		assert.Equal(t, []struct{ Type, Name string }{{"package", "*"}}, n.Scopes)
		assert.Equal(t, n.Created.AddDate(0, 0, 7), n.Expires, "npm's default for a token that writes")
		assert.Nil(t, n.Accessed)

		// By the beginning of an id, as the list shows it, and by the token.
		id := regexp.MustCompile(`with id (\S+) name narrow`).FindStringSubmatch(home.OK("", "npm", "token", "list").Stdout)
		require.NotNil(t, id)
		home.OK("", "npm", "token", "revoke", id[1], "--otp="+app.Fresh())
		home.OK("", "npm", "token", "revoke", wide, "--otp="+app.Fresh())
		assert.Empty(t, list(t, home))
		assert.Equal(t, http.StatusUnauthorized, registry.As(wide).Do("GET", "-/whoami", nil).Status)
	})
}

// What npm's rules do not allow is refused before a code is asked for, in a sentence that
// npm prints.
func TestTokenFlagsRefused(t *testing.T) {
	t.Parallel()
	eachNPM(t, func(t *testing.T, _ *integration.Registry, home *integration.Home, app *integration.Authenticator) {
		const rw = "--packages-and-scopes-permission=read-write"
		for says, flags := range map[string][]string{
			"lives 90 days at most":            {"--packages-all", rw, "--expires=91"},
			"needs permission to write":        {"--packages-all", "--bypass-2fa"},
			"Say what the token is for":        {"--read-only"},
			"needs packages, scopes":           {"--orgs=acme", rw},
			"A permission for orgs needs orgs": {"--packages-all", "--orgs-permission=read-write"},
			"not both":                         {"--packages-all", "--scopes=@alice", rw},
			"is not a package name":            {"--packages=*", rw},
			"does not begin with its first":    {"--packages-all", "--cidr=10.1.2.3/8"},
			"one-time password":                {"--packages-all"},
			"would have access to nothing":     {"--packages-all", "--packages-and-scopes-permission=no-access"},
			"name more than 50 packages":       {rw, "--packages=" + strings.Join(many(51), ",")},
		} {
			args := append([]string{"token", "create", "--name=x", "--password=" + integration.Password}, flags...)
			refused := home.Run("", "npm", args...)
			assert.NotZero(t, refused.Code, says)
			assert.Contains(t, refused.Output(), says, "%s", flags)
		}
		wrong := home.Run("", "npm", "token", "create", "--name=x", "--password=wrong", "--packages-all", "--otp="+app.Fresh())
		assert.Contains(t, wrong.Output(), "The password is wrong")
		assert.Empty(t, list(t, home))
	})
}

func many(n int) (names []string) {
	for i := range n {
		names = append(names, "p"+strings.Repeat("x", i))
	}
	return names
}

// People change what they say of themselves, and their password. A password that changes ends
// their other sessions, as a second factor that is turned on did, and no token.
func TestProfileSet(t *testing.T) {
	t.Parallel()
	for _, npm := range integration.Releases() {
		t.Run(npm, func(t *testing.T) {
			integration.RequireClients(t, npm)
			t.Parallel()
			registry := integration.Start(t, seed("alice")...)
			home := integration.NewHome(t, registry.URL)
			home.Use(npm)
			home.SetToken(registry.SignIn("alice", ""))
			// Before there are codes, which take time.
			other := registry.SignIn("alice", "")
			reader := machine(t, registry, createToken(t, home, "--name=reader", "--packages-all"))
			app, recovery := registry.Enrol(home.Token())
			require.Equal(t, http.StatusUnauthorized, registry.As(other).Do("GET", "-/whoami", nil).Status)
			other = registry.SignIn("alice", recovery[0])

			refused := home.Run("", "npm", "profile", "set", "fullname", "Alice A")
			assert.Contains(t, refused.Output(), "EOTP")
			home.OK("", "npm", "profile", "set", "fullname", "Alice A", "--otp="+app.Fresh())
			assert.Equal(t, "Alice A", strings.TrimSpace(home.OK("", "npm", "profile", "get", "fullname").Stdout))
			require.Equal(t, http.StatusOK, registry.As(other).Do("GET", "-/whoami", nil).Status)

			const fresh = "a better horse battery"
			change := home.Terminal("", "npm", "profile", "set", "password", "--otp="+app.Fresh())
			for _, said := range [][2]string{{`[Cc]urrent password:`, integration.Password}, {`[Nn]ew password:`, fresh}, {`[Aa]gain:`, fresh}} {
				change.Expect(said[0])
				change.Type(said[1])
			}
			change.OK()
			assert.Equal(t, http.StatusUnauthorized, registry.As(other).Do("GET", "-/whoami", nil).Status)
			assert.Equal(t, "alice", strings.TrimSpace(home.OK("", "npm", "whoami").Stdout), "but not the one that asked")
			assert.Equal(t, "alice", strings.TrimSpace(reader.OK("", "npm", "whoami").Stdout))
		})
	}
}
