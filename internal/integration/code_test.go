package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/integration"
)

// AU-63: What each client says of a code that is wrong, and how it asks for another: npm and Bun
// print the notice, Yarn 3 and 4 do where the code came with the command, and the others have words
// of their own in place of the registry's.
func TestWrongCode(t *testing.T) {
	t.Parallel()
	play(t, among("npm6", "npm7", "yarn1", "yarn3", "npm8", "npm10", "npm11", "pnpm10", "pnpm12", "bun", "yarn4", "npm12"), map[string]func(*scene){"wrong": (*scene).wrongCode})
}

// AU-63: npm, pnpm 10 and Bun ask for a code where they are told to (--auth-type=legacy), and end
// at once in CI, where nobody could type one.
func TestAskedCode(t *testing.T) {
	t.Parallel()
	play(t, among("npm8", "npm10", "npm11", "pnpm10", "bun", "npm12"), map[string]func(*scene){"asked": (*scene).askedCode})
}

// AU-38, AU-62: The page shows a code in groups. Yarn sends it as it was typed, and npm's prompt
// takes blanks.
func TestCodeInGroups(t *testing.T) {
	t.Parallel()
	play(t, among("npm6", "npm8", "yarn1", "yarn3", "yarn4", "npm12"), map[string]func(*scene){"groups": (*scene).codeInGroups})
}

// publishing is a version of a package on the actor's disk, and the command that publishes it.
func (a *actor) publishing(pkg string, flags ...string) (dir, command string, args []string) {
	a.t.Helper()
	dir, command, args = a.home.Package(pkg, "1.0.0"), "npm", []string{"publish"}
	switch {
	case a.client == "yarn1":
		command, args = "yarn", []string{"publish", "--new-version", "1.0.0"}
	case strings.HasPrefix(a.client, "yarn"):
		dir, command, args = a.workspace(pkg, "1.0.0"), "yarn", []string{"npm", "publish"}
	case a.client == "bun":
		command = "bun"
	case a.client == "pnpm10":
		a.home.Use("npm12") // which publishes for it
		fallthrough
	case a.client == "pnpm12":
		command, args = "pnpm", []string{"publish", "--no-git-checks"}
	}
	return dir, command, append(args, flags...)
}

// legacy is publishing where the client is told to ask for a code.
func (a *actor) legacy(pkg string) (dir, command string, args []string) {
	a.t.Helper()
	switch a.client {
	case "npm6", "npm7", "yarn1", "yarn3", "yarn4": // which never do anything else
		return a.publishing(pkg)
	case "pnpm10": // which has no flag
		dir, command, args = a.publishing(pkg)
		require.NoError(a.t, os.WriteFile(filepath.Join(dir, ".npmrc"), []byte("auth-type=legacy\n"), 0o600))
		return dir, command, args
	}
	return a.publishing(pkg, "--auth-type=legacy")
}

const (
	saysWrong    = "The one-time password is wrong or too old."
	saysRecovery = "A recovery code repairs your account but cannot be used for this."
)

// printed is what was printed, without the frames and line breaks that pnpm 12 adds.
func printed(r integration.Result) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(r.Output(), "│", " ")), " ")
}

// flag is that of a code in the command.
func (s *scene) flag(code string) []string {
	if s.client == "yarn1" {
		return []string{"--otp", code}
	}
	return []string{"--otp=" + code}
}

func (s *scene) wrongCode() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	dir, command, args := alice.publishing(pkg, s.flag(alice.app.Stale())...)
	r := alice.home.Run(dir, command, args...)
	says := map[string]string{
		"npm7": "it is likely that you either typoed", "yarn1": "Incorrect one-time password.", "pnpm12": "ERR_PNPM_OTP_NON_INTERACTIVE",
	}[s.client]
	if says == "" {
		says = saysWrong
	}
	assert.Contains(s.t, printed(r), says)
	if s.client != "yarn3" { // which fails to ask, and calls that a success
		assert.NotZero(s.t, r.Code)
	}
	assert.Nil(s.t, alice.has(pkg, "1.0.0"))

	// AU-39: what no right code would change is refused in words that every client prints.
	dir, command, args = alice.publishing(pkg, s.flag(strings.Repeat("0", 64))...)
	r = alice.home.Run(dir, command, args...)
	assert.NotZero(s.t, r.Code)
	assert.Contains(s.t, printed(r), saysRecovery)
	assert.Nil(s.t, alice.has(pkg, "1.0.0"))
}

func (s *scene) askedCode() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	dir, command, args := alice.legacy(pkg)
	r := alice.home.Run(dir, command, args...) // Bun waits for a page for five minutes, which is longer than a process may take here
	assert.NotZero(s.t, r.Code)
	assert.Contains(s.t, printed(r), "one-time password")
	assert.Nil(s.t, alice.has(pkg, "1.0.0"))

	p := alice.home.Terminal(dir, command, args...)
	p.Expect(`Enter the code that your authenticator app shows, or open http://\S+, whose check code must be [B-Z]{4}-[B-Z]{4}, and enter`)
	p.Expect(`Enter OTP:`)
	p.Type(alice.app.Stale())
	r = p.Wait()
	assert.NotZero(s.t, r.Code)
	assert.Contains(s.t, printed(r), saysWrong)

	// With a code in the command they ask for another.
	if s.client != "pnpm10" {
		args = args[:len(args)-1] // --otp says legacy
	}
	p = alice.home.Terminal(dir, command, append(args, s.flag(alice.app.Stale())...)...)
	p.Expect(regexp.QuoteMeta(saysWrong))
	p.Expect(`Enter OTP:`)
	p.Type(alice.app.Fresh())
	p.OK()
	assert.NotNil(s.t, alice.has(pkg, "1.0.0"))
}

func (s *scene) codeInGroups() {
	alice := s.person(s.name)
	pkg := "@" + s.name + "/widget"
	dir, command, args := alice.legacy(pkg)
	p := alice.home.Terminal(dir, command, args...)
	address := p.Expect(`[Oo]pen (http://[^\s,]+)`)[1]
	if s.client == "yarn3" || s.client == "yarn4" {
		s.yarnAsks(p)
	} else {
		p.Expect(`Enter OTP:|npm one-time password:`)
	}
	_, after := alice.approve(address)
	code := typed.FindString(after)
	require.NotEmpty(s.t, code, after)
	p.Type(code)
	p.OK()
	assert.NotNil(s.t, alice.has(pkg, "1.0.0"))
}
