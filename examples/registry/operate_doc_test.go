package main

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/token"
)

// operatorsDocument returns a document of docs and the lines of its commands.
func operatorsDocument(t *testing.T, name string) (text string, commands []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(data), -1) {
		require.Equal(t, "sh", block[1])
		for line := range strings.Lines(block[2]) {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	return string(data), commands
}

// TestOperateDocument types the commands of docs/operate.md as they stand there, beside a registry
// that runs, from the first to the last.
func TestOperateDocument(t *testing.T) {
	dir := t.TempDir()
	p, o := start(t, dir, "-org", "acme=alice"), newOperator(t, dir)
	o.person("bob")
	o.owns("alice", "@acme/widget")
	_, commands := operatorsDocument(t, "operate.md")
	ran := map[string]int{}
	for _, line := range commands {
		args := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "registry admin "):
			ran["admin"]++
			o.operates(p, args[2:])
		case args[0] == "registry":
			ran["registry"]++
			_, err := parseOptions(args[1:], t.Output())
			require.NoError(t, err, line)
		case args[0] == "sqlite3":
			ran["sqlite3"]++
			o.saves(line)
		default:
			ran["keys"]++
			var known []string // TestRotateTheKey runs them
			for _, text := range []string{"/dev/urandom", "head -c 32 auth.key"} {
				known = append(known, strings.TrimSpace(documented(t, text)))
			}
			assert.Contains(t, known, line)
		}
	}
	assert.Equal(t, map[string]int{"admin": 41, "registry": 3, "sqlite3": 2, "keys": 2}, ran)
}

// TestRecoveryDocument types the commands of docs/recovery.md as they stand there, and the account is
// then as the document says: it only reads, whatever it has.
func TestRecoveryDocument(t *testing.T) {
	dir := t.TempDir()
	p, o := start(t, dir), newOperator(t, dir)
	o.owns("alice", "widget")
	text, commands := operatorsDocument(t, "recovery.md")
	ran := map[string]int{}
	for _, line := range commands {
		require.True(t, strings.HasPrefix(line, "registry admin "), line)
		args := strings.Fields(line)[2:]
		command, _ := findAdmin(args)
		require.NotNil(t, command, line)
		ran[command.name]++
		bearer, id := o.token("alice", token.Spec{Name: "ci", Bypass: true})
		for i := range args {
			args[i] = strings.Replace(args[i], "TOKEN-ID", id, 1)
		}
		o.operates(p, args)
		show := o.rows("users", "show", "alice")[0]
		switch command.name {
		case "high-impact":
			assert.Equal(t, !slices.Contains(args, "-off"), show["high_impact"], line)
		case "reset-factor":
			assert.Equal(t, true, show["high_impact"], "it is said before")
			assert.NotNil(t, show["recovered"])
			var refused struct{ Code string }
			require.Eventually(t, func() bool {
				return p.do(http.MethodPut, "-/package/widget/dist-tags/next", bearer, `"1.0.0"`, &refused) == http.StatusForbidden
			}, patience, tick)
			assert.Equal(t, "account-held", refused.Code)
			status, _ := p.whoami(bearer)
			assert.Equal(t, http.StatusOK, status, "tokens stay")
		case "tokens revoke":
			p.ends(bearer)
		}
	}
	for name, n := range map[string]int{"high-impact": 2, "reset-factor": 1, "reset-password": 1, "tokens revoke": 1, "revoke": 1, "users show": 2, "audit": 3} {
		assert.Equal(t, n, ran[name], name)
	}
	for _, says := range []string{"`account-held`", "72 hours"} {
		assert.Contains(t, text, says)
	}
	assert.Equal(t, 72*time.Hour, policy.DefaultLimits().HighImpactHold)
}

// operates types a command, when there is something for it to do, and checks that it is done.
func (o *operator) operates(p *process, args []string) {
	o.t.Helper()
	const password = "another long password"
	in := ""
	if i := slices.Index(args, "<"); i >= 0 {
		require.Len(o.t, args, i+2)
		switch args[i+1] {
		case "token.txt":
			in, _ = o.token("alice", token.Spec{Name: "leaked", Bypass: true})
		case "password.txt":
			in = password + "\n"
		}
		args = args[:i]
	}
	if args[0] == "-h" {
		assert.NotEmpty(o.t, o.typed(0, "", args...))
		return
	}
	command, _ := findAdmin(args)
	require.NotNil(o.t, command, args)
	var bearer string
	alice := !o.disabled("alice")
	dry := slices.Contains(args, "-dry-run")
	switch command.name {
	case "disable":
		bearer, _ = o.token(args[1], token.Spec{Bypass: true})
	case "reset-factor":
		o.enrol(args[1])
	case "revoke", "revoke-everything":
		if !alice {
			break // she has one of before
		}
		bearer, _ = o.token("alice", token.Spec{Bypass: true})
		if slices.Contains(args, "session") {
			bearer = p.sessionOf(password) // it was reset by then
		}
	}
	class := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-dry-run" })
	var before []map[string]any
	if command.name == "revoke" {
		before = o.rows(append(class, "-dry-run")...)
	}

	assert.NotEmpty(o.t, o.typed(0, in, args...), args)

	switch command.name {
	case "tokens revoke":
		p.ends(in)
	case "disable":
		assert.True(o.t, o.disabled(args[1]))
		require.Eventually(o.t, func() bool { status, _ := p.whoami(bearer); return status != http.StatusOK }, patience, tick)
	case "enable":
		assert.False(o.t, o.disabled(args[1]))
	case "sessions end":
		assert.Empty(o.t, o.rows("sessions", "list", args[2]))
	case "reset-factor":
		show := o.rows("users", "show", args[1])[0]
		assert.Equal(o.t, "off", show["second_factor"])
		assert.NotNil(o.t, show["recovered"])
	case "reset-password":
		o.with(func(ctx context.Context, c *console) error {
			u, err := c.user(ctx, args[1])
			if err != nil {
				return err
			}
			ok, err := c.People().CheckPassword(ctx, u.ID, credential.NewSecret(password))
			assert.True(o.t, ok, args)
			return err
		})
	case "revoke-everything":
		p.ends(bearer)
		assert.Empty(o.t, o.rows("tokens", "list"))
		assert.Empty(o.t, o.rows("sessions", "list"))
	case "revoke":
		after := o.rows(append(class, "-dry-run")...)
		if dry {
			assert.Equal(o.t, before, after, args)
			break
		}
		assert.NotEmpty(o.t, before, args)
		assert.Empty(o.t, after, args)
		if alice {
			p.ends(bearer)
		}
	}
}

func (o *operator) disabled(name string) bool {
	o.t.Helper()
	return o.rows("users", "show", name)[0]["disabled"].(bool)
}

// saves runs the SQL of a sqlite3 command on the database that it names.
func (o *operator) saves(line string) {
	o.t.Helper()
	m := regexp.MustCompile(`^sqlite3 npm-data/(\S+) "(VACUUM INTO ')(\S+)'"$`).FindStringSubmatch(line)
	require.NotNil(o.t, m, line)
	to := filepath.Join(o.t.TempDir(), m[3])
	db, err := sql.Open("sqlite", filepath.Join(o.dir, m[1]))
	require.NoError(o.t, err)
	defer db.Close()
	_, err = db.Exec(m[2] + to + "'")
	require.NoError(o.t, err)
	info, err := os.Stat(to)
	require.NoError(o.t, err)
	assert.NotZero(o.t, info.Size())
}

// What docs/operate.md says to watch exists, and it names every command.
func TestOperateDocumentNames(t *testing.T) {
	text, _ := operatorsDocument(t, "operate.md")
	registered := prometheus.NewRegistry()
	newMetrics(registered).Observe(anObservation)
	families, err := registered.Gather()
	require.NoError(t, err)
	var metrics []string
	for _, f := range families {
		metrics = append(metrics, f.GetName())
	}
	named := regexp.MustCompile("`(npmauth_\\w+)").FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, named)
	for _, m := range named {
		assert.Contains(t, metrics, m[1])
	}

	source, err := os.ReadFile(filepath.Join("..", "..", "audit", "audit.go"))
	require.NoError(t, err)
	_, table, _ := strings.Cut(text, "These are worth an alarm:")
	table, _, _ = strings.Cut(table, "\n## ")
	types := regexp.MustCompile("`([a-z_]+\\.[a-z_]+)`").FindAllStringSubmatch(table, -1)
	require.Len(t, types, 12)
	for _, m := range types {
		assert.Contains(t, string(source), `Type = "`+m[1]+`"`)
	}

	for _, c := range adminCommands {
		assert.Contains(t, text, "`"+strings.Fields(c.name)[0], c.name)
	}
}
