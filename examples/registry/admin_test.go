package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// Started with this variable the test's own program is the registry: a process of its own, with
// main as it is.
const asRegistry = "NPMAUTH_TEST_REGISTRY"

func TestMain(m *testing.M) {
	if os.Getenv(asRegistry) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// An operator types commands about the registry in a folder.
type operator struct {
	t       *testing.T
	dir     string
	secrets []string // which must not be printed
	printed strings.Builder
	used    map[string]bool // commands that ran
}

func newOperator(t *testing.T, dir string) *operator {
	o := &operator{t: t, dir: dir, used: map[string]bool{}}
	t.Cleanup(func() {
		for _, secret := range o.secrets {
			require.NotEmpty(t, secret)
			assert.NotContains(t, o.printed.String(), secret)
		}
	})
	return o
}

// typed runs a command, and requires its exit code.
func (o *operator) typed(code int, in string, args ...string) string {
	o.t.Helper()
	var out, stderr bytes.Buffer
	got := admin(o.t.Context(), append(args, "-data", o.dir), strings.NewReader(in), &out, &stderr)
	o.printed.WriteString(out.String() + stderr.String())
	require.Equal(o.t, code, got, "%q: %s%s", args, out.String(), stderr.String())
	assert.Equal(o.t, code == 0, stderr.Len() == 0, "%q: %s", args, stderr.String())
	if c, _ := findAdmin(args); c != nil && code == 0 {
		o.used[c.name] = true
	}
	if code != 0 {
		assert.Empty(o.t, out.String(), args)
		return stderr.String()
	}
	return out.String()
}

// rows runs a command with -json, and returns what it prints.
func (o *operator) rows(args ...string) (rows []map[string]any) {
	o.t.Helper()
	d := json.NewDecoder(strings.NewReader(o.typed(0, "", append(args, "-json")...)))
	for {
		var row map[string]any
		err := d.Decode(&row)
		if errors.Is(err, io.EOF) {
			return rows
		}
		require.NoError(o.t, err)
		rows = append(rows, row)
	}
}

// valuesOf returns one value of each row.
func valuesOf(rows []map[string]any, name string) (values []any) {
	for _, r := range rows {
		values = append(values, r[name])
	}
	return values
}

// with runs fn as a command is run.
func (o *operator) with(fn func(ctx context.Context, c *console) error) {
	o.t.Helper()
	f := adminFlags{options: options{data: o.dir}}
	require.NoError(o.t, f.setStores("", ""))
	require.NoError(o.t, f.run(o.t.Context(), nil, io.Discard, nil, func(ctx context.Context, c *console, _ []string) error { return fn(ctx, c) }))
}

// person makes an account.
func (o *operator) person(name string) {
	o.t.Helper()
	o.with(func(ctx context.Context, c *console) error {
		_, err := c.People().Create(ctx, audit.Actor{}, account.NewUser{Name: name, Password: credential.NewSecret("a-long-password")})
		return err
	})
}

// token makes a granular token of a user, and returns its secret and its ID.
func (o *operator) token(name string, spec token.Spec) (secret, id string) {
	o.t.Helper()
	o.with(func(ctx context.Context, c *console) error {
		u, err := c.user(ctx, name)
		if err != nil {
			return err
		}
		if spec.User = u.ID; spec.Grants == nil {
			spec.Grants = []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}
		}
		made, tok, err := c.Tokens().Create(ctx, audit.Actor{}, spec)
		secret, id = made.Reveal(), tok.ID
		return err
	})
	o.secrets = append(o.secrets, secret, secret[:8])
	return secret, id
}

// enrol turns on the second factor of a user.
func (o *operator) enrol(name string) {
	o.t.Helper()
	o.with(func(ctx context.Context, c *console) error {
		u, err := c.user(ctx, name)
		if err != nil {
			return err
		}
		uri, err := c.Factors().Enrol(ctx, audit.Actor{}, u.ID, name, protocol.AuthAndWrites)
		if err != nil {
			return err
		}
		key, err := url.Parse(uri.Reveal())
		if err != nil {
			return err
		}
		code, err := totp.GenerateCode(key.Query().Get("secret"), time.Now())
		if err != nil {
			return err
		}
		codes, err := c.Factors().Confirm(ctx, audit.Actor{}, u.ID, credential.NewSecret(code))
		for _, code := range codes {
			o.secrets = append(o.secrets, code.Reveal())
		}
		o.secrets = append(o.secrets, key.Query().Get("secret"))
		return err
	})
}

// owns makes a package of a user's.
func (o *operator) owns(name, pkg string) {
	o.t.Helper()
	o.with(func(ctx context.Context, c *console) error {
		u, err := c.user(ctx, name)
		if err != nil {
			return err
		}
		p := publicationOf(pkg, "1.0.0")
		p.Owner = u.ID
		return c.facts.db.publish(ctx, p)
	})
}

// A node sees within Config.Fresh what another one did: patience is for a busy machine.
const (
	patience = time.Minute
	tick     = 10 * time.Millisecond
)

// ends waits until a bearer is refused.
func (p *process) ends(bearer string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { status, _ := p.whoami(bearer); return status == http.StatusUnauthorized }, patience, tick)
}

// Every command does what it says to a registry that is running, and prints no secret.
func TestAdmin(t *testing.T) {
	dir := t.TempDir()
	p, o := start(t, dir), newOperator(t, dir)
	session := p.login()
	o.secrets = append(o.secrets, session, "a-long-password", "another long password")
	ci, id := o.token("alice", token.Spec{Name: "ci", Bypass: true})
	laptop, other := o.token("alice", token.Spec{Name: "laptop", Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}}})
	o.person("bob")
	o.owns("alice", "widget")

	// Who is there.
	users := o.rows("users", "list")
	assert.ElementsMatch(t, []any{"alice", "bob"}, valuesOf(users, "name"))
	assert.Equal(t, []any{false, false}, valuesOf(users, "disabled"))
	assert.Regexp(t, `(?m)^NAME +ID +EMAIL +CREATED +SERVICE +DISABLED +SECOND FACTOR$`, o.typed(0, "", "users", "list"))
	o.enrol("bob")
	show := o.rows("users", "show", "bob")[0]
	assert.Equal(t, "auth-and-writes", show["second_factor"])
	show = o.rows("users", "show", "alice")[0]
	assert.EqualValues(t, 2, show["tokens"])
	assert.EqualValues(t, 1, show["sessions"])
	assert.Equal(t, []any{}, show["ranges"])
	assert.Nil(t, show["recovered"])
	assert.Regexp(t, `(?m)^tokens: +2$`, o.typed(0, "", "users", "show", "alice"))

	// What they have.
	assert.ElementsMatch(t, []any{id, other}, valuesOf(o.rows("tokens", "list"), "id"))
	assert.ElementsMatch(t, []any{id, other}, valuesOf(o.rows("tokens", "list", "alice"), "id"))
	assert.Empty(t, o.rows("tokens", "list", "bob"))
	assert.Contains(t, o.typed(0, "", "tokens", "list"), "read-write on all packages")
	assert.Equal(t, "laptop", o.rows("tokens", "show", other)[0]["name"])
	assert.Contains(t, o.typed(0, ci+"\n", "tokens", "show", "-"), id)
	assert.Contains(t, o.typed(1, "npm_unknown", "tokens", "show", "-"), "no such token")
	assert.Contains(t, o.typed(2, "\n", "tokens", "show", "-"), "standard input is empty")
	sessions := o.rows("sessions", "list")
	require.Equal(t, []any{"alice"}, valuesOf(sessions, "user"))
	assert.Equal(t, sessions, o.rows("sessions", "list", "alice"))
	assert.Empty(t, o.rows("sessions", "list", "bob"))

	// Who reaches a package.
	reach := o.rows("reach", "widget")
	assert.Equal(t, []any{"user", "token"}, valuesOf(reach, "kind"))
	assert.Equal(t, id, reach[1]["id"])
	assert.Len(t, o.rows("reach", "widget", "-right", "read"), 4, "two people, for it is public, and two tokens")
	assert.Len(t, o.rows("reach", "widget", "-right", "admin"), 2)
	assert.Contains(t, o.typed(1, "", "reach", "absent"), "there is no package absent")
	assert.Contains(t, o.typed(2, "", "reach", "../x"), "wrong arguments")

	// A class is counted first, and is never everything.
	assert.Contains(t, o.typed(2, "", "revoke"), "no class")
	assert.Regexp(t, `^KIND .*\nCredentials that would be revoked: 0\n$`, o.typed(0, "", "revoke", "-dry-run", "-scope", "nothing", "-user", "bob"))
	assert.Contains(t, o.typed(2, "", "revoke", "-dry-run", "-kind", "token"), "no class")
	assert.Contains(t, o.typed(2, "", "revoke", "-dry-run", "-kind", "publisher", "-user", "alice"), "no class")
	assert.Empty(t, o.rows("revoke", "-dry-run", "-kind", "publisher", "-before", "0s"), "no job has a token")
	assert.Contains(t, o.typed(1, "", "revoke", "-user", "nobody"), `no user "nobody"`)
	assert.Contains(t, o.typed(2, "", "revoke", "-user", "alice", "-kind", "password"), "-kind")
	for _, args := range [][]string{
		{"-bypass"}, {"-package", "widget", "-kind", "token"}, {"-user", "alice", "-bypass", "-before", "0s"}, {"-scope", "@any", "-bypass"},
	} {
		assert.Equal(t, []any{id}, valuesOf(o.rows(append([]string{"revoke", "-dry-run"}, args...)...), "id"), args)
	}
	assert.Empty(t, o.rows("revoke", "-dry-run", "-bypass", "-before", "1h"))
	assert.Regexp(t, `(?m)^Credentials that would be revoked: 1$`, o.typed(0, "", "revoke", "-dry-run", "-bypass"))
	status, _ := p.whoami(ci)
	require.Equal(t, http.StatusOK, status, "dry")
	assert.Regexp(t, `(?ms)^token +alice +`+id+`.*^Credentials that were revoked: 1$`, o.typed(0, "", "revoke", "-bypass"))
	p.ends(ci)
	assert.Empty(t, o.rows("revoke", "-bypass"))

	// One by one.
	o.typed(0, laptop, "tokens", "revoke", "-")
	p.ends(laptop)
	assert.Contains(t, o.typed(1, "", "tokens", "revoke", other), "no such token")
	assert.Contains(t, o.typed(1, "", "sessions", "end", "bob", sessions[0]["id"].(string)), "no such session", "another's")
	o.typed(0, "", "sessions", "end", "alice", sessions[0]["id"].(string))
	p.ends(session)
	session = p.login()
	o.typed(0, "", "sessions", "end", "alice")
	p.ends(session)

	// An account.
	session = p.login()
	assert.Equal(t, "disabled", o.rows("disable", "alice")[0]["done"])
	require.Eventually(t, func() bool { status, _ := p.whoami(session); return status != http.StatusOK }, patience, tick)
	assert.Len(t, o.rows("revoke", "-dry-run", "-user", "alice"), 1, "it would work again")
	o.typed(0, "", "enable", "alice")
	require.Eventually(t, func() bool { status, _ := p.whoami(session); return status == http.StatusOK }, patience, tick)
	assert.Contains(t, o.typed(1, "short", "reset-password", "alice"), "password")
	o.typed(0, "another long password\n", "reset-password", "alice")
	p.ends(session)
	status, _ = p.signIn("a-long-password")
	assert.Equal(t, http.StatusUnauthorized, status)
	o.secrets = append(o.secrets, p.sessionOf("another long password"))
	assert.Contains(t, o.typed(1, "", "reset-factor", "alice"), "no second factor")
	o.typed(0, "", "reset-factor", "bob")
	show = o.rows("users", "show", "bob")[0]
	assert.Equal(t, "off", show["second_factor"])
	assert.NotNil(t, show["recovered"])
	assert.NotNil(t, o.rows("users", "show", "alice")[0]["recovered"], "by the new password")
	for _, args := range [][]string{{"bob"}, {"bob", "-off"}} {
		o.typed(0, "", append([]string{"high-impact"}, args...)...)
		assert.Equal(t, len(args) == 1, o.rows("users", "show", "bob")[0]["high_impact"])
	}

	// What was done is on record, the operator's and the registry's.
	types := func(args ...string) []any { return valuesOf(o.rows(append([]string{"audit"}, args...)...), "type") }
	assert.Equal(t, []any{"login"}, types("-limit", "1", "-type", "login"))
	assert.Subset(t, types(), []any{"account.disabled", "account.enabled", "account.password", "factor.disabled", "token.revoked", "session.ended", "login"})
	assert.Equal(t, []any{"account.disabled"}, types("-type", "account.disabled", "-user", "alice"))
	assert.Equal(t, []any{"token.revoked", "token.revoked", "token.created", "token.created"}, types("-type", "token.", "-user", "alice"))
	assert.Empty(t, types("-type", "account.disabled", "-user", "bob"))
	assert.Empty(t, types("-since", time.Now().Add(time.Hour).Format(time.RFC3339)))
	assert.NotEmpty(t, types("-since", "1h"))
	assert.Contains(t, o.typed(0, "", "audit", "-limit", "2"), "There may be more")
	assert.Contains(t, o.typed(0, "", "audit", "-type", "token.revoked"), "bulk")
	o.typed(2, "", "audit", "-limit", "0")

	legacy := o.rows("legacy")
	require.Len(t, legacy, 1)
	assert.Equal(t, "alice", legacy[0]["user"])

	assert.Contains(t, o.typed(2, "", "revoke-everything"), "-yes")
	session = p.sessionOf("another long password")
	o.typed(0, "", "revoke-everything", "-yes")
	p.ends(session)

	for _, c := range adminCommands {
		assert.True(t, o.used[c.name], "no test of %s", c.name)
	}
}

// signIn logs alice in, and returns the status and the token of her session.
func (p *process) signIn(password string) (status int, session string) {
	p.t.Helper()
	var answer struct{ Token string }
	status = p.do(http.MethodPut, "-/user/org.couchdb.user:alice", "",
		fmt.Sprintf(`{"_id":"org.couchdb.user:alice","name":"alice","password":%q,"type":"user","roles":[]}`, password), &answer)
	return status, answer.Token
}

// sessionOf logs alice in with a password.
func (p *process) sessionOf(password string) string {
	p.t.Helper()
	status, session := p.signIn(password)
	require.Equal(p.t, http.StatusCreated, status)
	return session
}

// A wrong command line is 2 and changes nothing, help is 0, and a folder without a registry does
// not become one.
func TestAdminUsage(t *testing.T) {
	dir := t.TempDir()
	o := newOperator(t, dir)
	run := func(args ...string) (int, string, string) {
		var out, stderr bytes.Buffer
		code := admin(t.Context(), args, strings.NewReader(""), &out, &stderr)
		return code, out.String(), stderr.String()
	}
	for _, args := range [][]string{
		nil, {"users"}, {"user", "list"}, {"disable"}, {"disable", "a", "b"}, {"sessions", "end"}, {"users", "list", "-nope"},
		{"users", "list", "-store", "mysql://x"}, {"revoke", "-before", "yesterday", "-bypass"}, {"revoke", "-before", "-1h", "-bypass"},
		{"revoke", "-bypass", "-user", ""}, {"revoke", "-bypass", "-scope="}, {"revoke", "-user", "a", "-package", ""}, {"revoke", "-user", "a", "-before", ""},
		{"users", "list", "-data", ""}, {"revoke", "-user", "a", "-kind", ""}, {"audit", "-user", ""}, {"reach", "widget", "-right", "own"}, {"audit", "-since", "soon"},
	} {
		code, out, stderr := run(args...)
		assert.Equal(t, 2, code, args)
		assert.Empty(t, out, args)
		assert.NotEmpty(t, stderr, args)
	}
	for _, c := range adminCommands {
		code, out, stderr := run(append(strings.Fields(c.name), "-h")...)
		assert.Zero(t, code, c.name)
		assert.Empty(t, stderr, c.name)
		assert.Contains(t, out, c.does, c.name)
		assert.Contains(t, out, "-data", c.name)
		code, out, _ = run("-h")
		assert.Zero(t, code)
		assert.Contains(t, out, c.name)
	}
	code, _, stderr := run("users", "list", "-store", "memory:")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "no other process can see")
	assert.Contains(t, o.typed(1, "", "users", "list"), "there is no registry here")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, files)

	start(t, dir).end()
	o.typed(0, "", "users", "list")
	code, _, stderr = run("users", "list", "-data", dir, "-store", "sqlite:"+filepath.Join(dir, "absent.db"))
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "absent.db is missing")
	require.NoError(t, os.Remove(filepath.Join(dir, keyFile)))
	assert.Contains(t, o.typed(1, "", "users", "list"), keyFile+" is missing")
}

// What clients chose is quoted where people read it, and makes neither columns nor lines.
func TestAdminTable(t *testing.T) {
	var out bytes.Buffer
	tab := newTable(&out, false)
	tab.head("one_two", "b")
	tab.add("x\ty\x1b[2J\n", true)
	tab.add("", []string{"a", "b"})
	tab.add(time.Time{}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)))
	require.NoError(t, tab.flush())
	assert.Equal(t, "ONE TWO          B\n\"x\\ty\\x1b[2J\\n\"  yes\n-                a b\n-                2026-01-02T02:04:05Z\n", out.String())
	out.Reset()
	tab = newTable(&out, true)
	tab.head("a", "b", "c", "d")
	tab.add("<x\n", time.Time{}, []string(nil), 7)
	tab.say("for people")
	require.NoError(t, tab.flush())
	assert.Equal(t, `{"a":"<x\n","b":null,"c":[],"d":7}`+"\n", out.String())

	broken := newTable(&fullDisk{}, true)
	broken.head("a")
	broken.add(1)
	assert.ErrorIs(t, broken.flush(), errFull)
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (*fullDisk) Write([]byte) (int, error) { return 0, errFull }

// The command works beside a registry that is a process of its own, on the same SQLite file, and is
// seen there.
func TestAdminBesideAProcess(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	p := &process{t: t, stop: stop, stopped: make(chan error, 1)}
	registry := exec.CommandContext(ctx, os.Args[0], "-addr", "127.0.0.1:0", "-data", dir, "-seed", "alice:a-long-password")
	registry.Env = append(os.Environ(), asRegistry+"=1")
	registry.Stdout, registry.Stderr = &p.out, &p.out
	registry.Cancel = func() error { return registry.Process.Signal(os.Interrupt) }
	require.NoError(t, registry.Start())
	t.Cleanup(func() {
		stop()
		_ = registry.Wait()
	})
	require.Eventually(t, func() bool { return announced.MatchString(p.out.String()) }, patience, tick, p.out.String())
	p.base = announced.FindStringSubmatch(p.out.String())[1]

	session := p.login()
	var out, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), os.Args[0], "admin", "revoke", "-user", "alice", "-json", "-data", dir)
	command.Env, command.Stdout, command.Stderr = registry.Env, &out, &stderr
	require.NoError(t, command.Run(), stderr.String())
	assert.Contains(t, out.String(), `"kind":"session","user":"alice"`)
	p.ends(session)
	session = p.login()
	status, name := p.whoami(session)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "alice", name)

	var exit *exec.ExitError
	command = exec.CommandContext(t.Context(), os.Args[0], "admin", "revoke", "-data", dir)
	command.Env = registry.Env
	require.ErrorAs(t, command.Run(), &exit)
	assert.Equal(t, 2, exit.ExitCode())
}
