package policytest_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
)

// recorder is a T that keeps its failures and logs to itself.
type recorder struct {
	testing.TB
	failures, logs []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

// failures returns what Run says of a table of NPM's.
func failures(t *testing.T, table string) []string {
	t.Helper()
	r := &recorder{TB: t}
	policytest.Run(r, policy.NPM(), table)
	return r.failures
}

const fine = "session auth-only whoami - - => allow\n"

func TestRun(t *testing.T) {
	assert.Empty(t, failures(t, fine))

	got := failures(t, fine+"\nsession  auth-only  publish  plain=public:rw  -  =>  allow # no\n")
	require.Len(t, got, 1)
	assert.Contains(t, got[0], "table:3: session  auth-only  publish  plain=public:rw  -  =>  allow\n")
	assert.Contains(t, got[0], "got challenge publish-needs-factor\n")
	assert.Contains(t, got[0], "need-proof  publish-needs-factor  Publishing needs a one-time password.", "the trace")

	for name, line := range map[string]string{
		"effect":         "session auth-only publish plain=public:rw - => deny publish-needs-factor",
		"another reason": "session auth-only publish plain=public:rw - => challenge recovery-code",
		"one too few":    "session off publish plain=absent - => deny may-not-create",
		"one too many":   "session off publish plain=public:rw - => deny may-not-create no-second-factor",
		"the order":      "session off publish plain=absent - => deny no-second-factor may-not-create",
		"denied":         "session off publish plain=absent - => allow",
		"allowed":        "session off whoami - - => deny no-second-factor",
	} {
		assert.Len(t, failures(t, line), 1, name)
	}

	got = failures(t, "anonymous - whoami - - => deny log-in-required")
	require.Len(t, got, 2)
	assert.Contains(t, got[0], "table:1: the policy has no rule log-in-required")
}

// What is wrong in one line does not hide what is wrong in another.
func TestRunGoesOn(t *testing.T) {
	got := failures(t, "nonsense\n"+fine+"session off whoami - - => deny expired\nlet x = y\n")
	require.Len(t, got, 2)
	assert.Contains(t, got[0], "line 1:")
	assert.Contains(t, got[0], "line 4: not used: let x")
	assert.Contains(t, got[1], "table:3:")
}

func TestRunRefusesABrokenPolicy(t *testing.T) {
	r := &recorder{TB: t}
	policytest.Run(r, policy.NPM().Without("cdir"), fine)
	require.Len(t, r.failures, 1)
	assert.Contains(t, r.failures[0], "cdir")

	r = &recorder{TB: t}
	policytest.Snapshot(r, policy.NPM().Without("cdir"), filepath.Join(t.TempDir(), "matrix.txt"))
	assert.Len(t, r.failures, 1)
}

func TestRunFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.txt")
	r := &recorder{TB: t}
	policytest.RunFile(r, policy.NPM(), file)
	require.Len(t, r.failures, 1, "there is none")

	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(fine, "allow", "deny expired", 1)), 0o600))
	r = &recorder{TB: t}
	policytest.RunFile(r, policy.NPM(), file)
	require.Len(t, r.failures, 1)
	assert.Contains(t, r.failures[0], file+":1: session")
}

// Every mistake in a table is an error that says where and what.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"session auth-only whoami - -", "no =>"},
		{"session auth-only whoami - allow", "no =>"},
		{"session auth-only whoami - => allow", "4 words before =>"},
		{"session auth-only whoami - - - => allow", `unknown word "-"`},
		{"session auth-only whoami - - => allow => allow", "allow with 2 reasons"},
		{"session auth-only whoami - - =>", "no effect"},
		{"session auth-only whoami - - => Allow", "no effect"},
		{"session auth-only whoami - - => permit", "no effect"},
		{"session auth-only whoami - - => allow cidr", "allow with 1 reasons"},
		{"session auth-only whoami - - => deny", "deny with 0 reasons"},
		{"session auth-only whoami - - => challenge", "challenge with 0 reasons"},

		{"Anonymous - whoami - - => allow", "no kind"},
		{"sesion auth-only whoami - - => allow", "no kind"},
		{"token auth-only whoami - - => allow", "token()"},
		{"publisher auth-only whoami - - => allow", "publisher()"},
		{"foreign auth-only whoami - - => allow", "foreign()"},
		{"anonymous+bypass - whoami - - => allow", "no kind"},
		{"token(ro:all auth-only whoami - - => allow", "bracket"},
		{"token(ro:all)) auth-only whoami - - => allow", "package name"},
		{"token(all) auth-only whoami - - => allow", `no permission "all"`},
		{"token(r:all) auth-only whoami - - => allow", `no permission "r"`},
		{"token(read-only:all) auth-only whoami - - => allow", "no permission"},
		{"token(ro:) auth-only whoami - - => allow", "package name"},
		{"token(ro:all,) auth-only whoami - - => allow", "no permission"},
		{"token(ro:*) auth-only whoami - - => allow", "package name"},
		{"token(ro:@) auth-only whoami - - => allow", "no scope"},
		{"token(ro:@acme/) auth-only whoami - - => allow", "package name"},
		{"token(stage:org=acme) auth-only whoami - - => allow", "no permission on an org"},
		{"session+bypas auth-only whoami - - => allow", "+bypas"},
		{"session+bypass=1 auth-only whoami - - => allow", "+bypass=1"},
		{"session+ auth-only whoami - - => allow", "unknown"},
		{"session+bypass+bypass auth-only whoami - - => allow", `"bypass" twice`},
		{"session+expired+expires=none auth-only whoami - - => allow", `"expires" twice`},
		{"session+expires auth-only whoami - - => allow", "+expires"},
		{"session+expires=tomorrow auth-only whoami - - => allow", "no time"},
		{"session+cidr=192.0.2.7 auth-only whoami - - => allow", "prefix"},
		{"session+cidr auth-only whoami - - => allow", "+cidr"},
		{"session+id=a:b auth-only whoami - - => allow", "percent"},
		{"session+id=%2 auth-only whoami - - => allow", "percent"},

		{"token(rw[]:all) auth-only whoami - - => allow", "no verb"},
		{"token(rw[all]:all) auth-only whoami - - => allow", "verbs in brackets"},
		{"token(rw[publish:all) auth-only whoami - - => allow", "verbs in brackets"},
		{"token(rw[publish]x:all) auth-only whoami - - => allow", "verbs in brackets"},
		{"token(rw[write]:all) auth-only whoami - - => allow", "no verb"},
		{"token(rw[publish+publish]:all) auth-only whoami - - => allow", "twice"},
		{"token(ro[publish]:all) auth-only whoami - - => allow", "verbs narrow"},
		{"token(rw[publish]:org=acme) auth-only whoami - - => allow", "verbs narrow"},
		{"token(rw[create]:plain) auth-only whoami - - => allow", "creates none"},
		{"token(rw:all)bypass auth-only whoami - - => allow", "unknown"},

		{"session auth-only,recover whoami - - => allow", ",recover"},
		{"session auth-only,recovered=soon whoami - - => allow", "no time"},
		{"session auth-only,recovered,recovered=none whoami - - => allow", "twice"},
		{"session auth-only,service,service whoami - - => allow", "twice"},
		{"session auth-only,service=1 whoami - - => allow", ",service=1"},
		{"session auth-only,cidr=192.0.2.7 whoami - - => allow", "prefix"},
		{"session auth-only,cidr whoami - - => allow", ",cidr"},

		{"session auth-only whoami/admin - - => allow", "/admin"},
		{"session auth-only read-service/write - - => allow", "/write"},
		{"session auth-only set-password/off - - => allow", "/off"},
		{"session auth-only set-access/mfa=automation plain=public - => allow", "/mfa=automation"},
		{"session auth-only publish/mfa=none plain=public - => allow", "/mfa=none"},
		{"session auth-only read-team/name=acme - - => allow", "/name=acme"},
		{"session auth-only read-team/team - - => allow", "/team"},
		{"session auth-only whoami/team=x - - => allow", "/team=x"},

		{"session auth-only read-org acme=owner - => allow", "want org="},
		{"session auth-only read-org org=acme - => allow", "no role"},
		{"session auth-only read-org org=:owner - => allow", "no name"},
		{"session auth-only read-org org=acme:boss - => allow", "no role"},
		{"session auth-only read-org org=acme:owner:owner - => allow", "twice"},
		{"session auth-only read-org org=acme:owner:admin - => allow", ":admin"},
		{"session auth-only read-org org=acme:absent:none - => allow", ":none"},
		{"session auth-only read-org org=acme:absent:id=o - => allow", ":id=o"},
		{"session auth-only read-org org=acme:requires-factor:owner - => allow", "no role"},
		{"session auth-only read-org org=acme:owner:id= - => allow", ":id="},
		{"session auth-only read-org org=a/b:owner - => allow", "percent"},
		{"session auth-only read-org org=acme:owner+plain=public - => allow", "no role"},
		{"session auth-only whoami org=acme:owner - => allow", "about no package"},
		{"session auth-only grant-team plain=public - => allow", "want org="},
		{"session auth-only grant-team org=acme:owner+ - => allow", "no facts"},
		{"session auth-only grant-team org=acme:owner+plain - => allow", "no facts"},
		{"session auth-only publish plain=public:mfa:none - => allow", "twice"},
		{"session auth-only publish plain=public:factor - => allow", ":factor"},

		{"session - whoami - - => allow", "only the anonymous"},
		{"session on whoami - - => allow", "mode"},
		{"session auth-only,disable whoami - - => allow", ",disable"},
		{"session auth-only publish plain=public:label=a:label=a - => allow", `"a" twice`},
		{"session auth-only publish plain=public:label= - => allow", ""},
		{"session auth-only,group=,disabled whoami - - => allow", "no name"},
		{"session+name= auth-only whoami - - => allow", ""},
		{"session auth-only,disabled,disabled whoami - - => allow", "twice"},
		{"session auth-only,expired whoami - - => allow", ",expired"},
		{"session auth-only,older whoami - - => allow", ",older"},
		{"session auth-only,not-before=none whoami - - => allow", ",not-before=none"},
		{"anonymous auth-only,other whoami - - => allow", "other than no account"},
		{"session+user=u-x auth-only,other whoami - - => allow", "other than no account"},
		{"session a/b:auth-only whoami - - => allow", "percent"},

		{"session auth-only who-am-i - - => allow", "no action"},
		{"session auth-only Whoami - - => allow", "no action"},
		{"session auth-only whoami/write - - => allow", "/write"},
		{"session auth-only create-token/writes - - => allow", "/writes"},
		{"session auth-only create-token/write/write - - => allow", "twice"},
		{"session auth-only logout/name - - => allow", "/name"},

		{"session auth-only publish plain - => allow", "no facts"},
		{"session auth-only publish plain= - => allow", "neither absent"},
		{"session auth-only publish plain=secret - => allow", "neither absent"},
		{"session auth-only publish Node_Modules=public - => allow", "package name"},
		{"session auth-only publish @acme=public - => allow", "package name"},
		{"session auth-only publish plain=public:wr - => allow", ":wr"},
		{"session auth-only publish plain=public:r:w - => allow", `"rights" twice`},
		{"session auth-only publish plain=public: - => allow", "unknown"},
		{"session auth-only publish plain=public:mfa:mfa - => allow", "twice"},
		{"session auth-only publish plain=public:private - => allow", ":private"},
		{"session auth-only publish plain=absent:id=p - => allow", ":id=p"},
		{"session auth-only publish plain=public:id= - => allow", ":id="},
		{"session auth-only whoami plain=public - => allow", "about no package"},

		{"session auth-only whoami - otp => allow", "no proof"},
		{"session auth-only whoami - none => allow", "written -"},

		{"session auth-only whoami - - now=noon => allow", "no time"},
		{"session auth-only whoami - - now=2026-03-06 => allow", "no time"},
		{"session auth-only whoami - - from=home => allow", "no address"},
		{"session auth-only whoami - - from=none from=none => allow", "twice"},
		{"session auth-only whoami - - at=none => allow", `unknown word "at=none"`},

		{"now", "no => and none of"},
		{"now 12:00", "no time"},
		{"now none none", "no => and none of"},
		{"from 192.0.2.0/24", "no address"},
		{"covers", "no => and none of"},
		{"cover all", "no => and none of"},
		{"let x", "no => and none of"},
		{"let X = session", "not lower-case"},
		{"let x = $y", "a let of a let"},
		{"$ci auth-only whoami - - => allow", "no let for $ci"},
		{"$ auth-only whoami - - => allow", "no let for $"},
	} {
		table, err := policytest.ParseTable("\n" + tt.line + "\n" + fine)
		var at *policytest.LineError
		if assert.ErrorAs(t, err, &at, tt.line) {
			assert.Equal(t, 2, at.Line)
			assert.ErrorContains(t, at.Err, tt.want, tt.line)
		}
		assert.Len(t, table.Rows, 1, "the other row is read")
		_, err = policytest.Parse(tt.line)
		assert.Error(t, err, tt.line)
		assert.Len(t, failures(t, tt.line+"\n"+fine), 1, "and Run fails: %s", tt.line)
	}
}

func TestMistakesOfTables(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "comments": "# session\n\n", "no request": "now none\ncovers all\n"} {
		_, err := policytest.ParseTable(text)
		assert.ErrorIs(t, err, policytest.ErrEmpty, name)
		assert.NotEmpty(t, failures(t, text), name)
	}
	for text, want := range map[string]string{
		fine + strings.ReplaceAll(fine, " ", "  "):                      "line 2: line 1 asks the same",
		"let x = session\nlet x = session\n$x off ping - - => allow":    "line 2: line 1 lets it, too",
		"let x = session\n" + fine:                                      "line 1: not used",
		"session off ping - - => allow\nlet x = off\n$x off - => allow": "line 3: 3 words",
	} {
		_, err := policytest.ParseTable(text)
		assert.ErrorContains(t, err, want)
	}
}

func TestDefaults(t *testing.T) {
	row, err := policytest.Parse("  token(rw:@acme)+bypass  auth-only  publish  @acme/widget=private:rwa:mfa  totp  =>  deny  a  b  # why")
	require.NoError(t, err)
	noon := policytest.Noon
	assert.Equal(t, time.Wednesday, noon.Weekday())
	assert.Equal(t, policytest.Row{
		Line: 1,
		Text: "token(rw:@acme)+bypass  auth-only  publish  @acme/widget=private:rwa:mfa  totp  =>  deny  a  b",
		Request: policy.Request{
			Operation: protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Scope: "acme", Name: "widget"}},
			Credential: &policy.Credential{
				ID: "c1", Kind: policy.KindToken, User: "u-alice", Bypass: true,
				Grants:  []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}},
				Created: noon.Add(-time.Hour), Expires: noon.Add(time.Hour),
			},
			Account:  policy.Account{ID: "u-alice", Name: "alice", TwoFactor: protocol.AuthOnly},
			Package:  policy.Facts{ID: "p-1", Private: true, Rights: policy.RightRead | policy.RightWrite | policy.RightAdmin},
			Settings: policy.Settings{Publish: protocol.FactorOnly},
			Proof:    policy.ProofTOTP,
			Addr:     policytest.Here,
			Now:      noon,
		},
		Effect: policy.Deny,
		Codes:  []string{"a", "b"},
	}, row)
}

func TestSettings(t *testing.T) {
	table, err := policytest.ParseTable(`
		session+expired    auth-only        whoami  -  -  =>  allow
		now 2026-03-09T10:00:00+01:00
		from 2001:db8::1
		let ci = token(rw:@acme)
		let core = @acme/core=private:rw
		let bob = bob:off
		$ci+expired  $bob,recovered  publish  $core:mfa  -  =>  allow
		session      off,other   create-token/write  -  -  now=none  from=none  =>  allow
		session      off         set-dist-tag/tag=next%2F1  $core  -  =>  allow
	`)
	require.NoError(t, err)
	require.Len(t, table.Rows, 4)
	first, second, third := table.Rows[0].Request, table.Rows[1].Request, table.Rows[2].Request
	assert.Equal(t, policytest.Noon, first.Credential.Expires)

	monday := time.Date(2026, 3, 9, 9, 0, 0, 0, time.UTC)
	assert.Equal(t, monday, second.Now)
	assert.Equal(t, monday, second.Credential.Expires)
	assert.Equal(t, monday.Add(-time.Hour), second.Account.Recovered)
	assert.Equal(t, netip.MustParseAddr("2001:db8::1"), second.Addr)
	assert.Equal(t, "bob", second.Account.Name)
	assert.Equal(t, protocol.UserID("u-bob"), second.Credential.User)
	assert.Equal(t, protocol.FactorOnly, second.Settings.Publish)
	assert.Equal(t, "@acme/core", second.Operation.Package.String())

	assert.True(t, third.Now.IsZero())
	assert.False(t, third.Addr.IsValid())
	assert.True(t, third.Change.NewToken().Writes())
	assert.NotEqual(t, third.Account.ID, third.Credential.User)
	assert.Equal(t, "next/1", table.Rows[3].Request.Operation.Tag)
}

func TestCovers(t *testing.T) {
	two := policy.Rule{ID: "two", Sentence: "Two.", Actions: []protocol.Action{protocol.Publish}, Judge: func(r *policy.Request) policy.Verdict {
		switch {
		case r.Anonymous():
			return policy.Forbid
		case !r.Proven():
			return policy.NeedProof
		default:
			return policy.Silent
		}
	}}
	mute := policy.Rule{ID: "mute", Sentence: "Nothing.", Judge: func(r *policy.Request) policy.Verdict {
		if r.Account.Name == "mallory" {
			return policy.Forbid
		}
		return policy.Silent
	}}
	p := policy.NPM().With(two, mute)
	run := func(table string) *recorder {
		r := &recorder{TB: t}
		policytest.Run(r, p, table)
		return r
	}
	const asked = "session auth-only publish plain=public:rw - => challenge publish-needs-factor two\n"
	const anonymous = "anonymous - publish plain=public - => deny login-required two\n"
	const mallory = "session mallory:off ping - - => deny mute\n"

	r := run(asked)
	assert.Empty(t, r.failures, "without covers a table may be as small as it likes")
	require.Len(t, r.logs, 1)
	assert.Contains(t, r.logs[0], "silent on every line:")
	assert.Contains(t, r.logs[0], " cidr ")
	assert.NotContains(t, r.logs[0], " two")

	assert.Equal(t, []string{"table: no line makes two say forbid, which the table is to cover"}, run("covers two\n"+asked).failures)
	assert.Empty(t, run("covers two\n"+asked+anonymous).failures)
	assert.Equal(t, []string{"table: no line makes mute speak, which the table is to cover"}, run("covers two mute\n"+asked+anonymous).failures)
	assert.Empty(t, run("covers two mute\n"+asked+anonymous+mallory).failures)
	require.Len(t, run("covers tow\n"+asked).failures, 1)
	assert.Greater(t, len(run("covers all\n"+asked+anonymous+mallory).failures), 20)

	table, err := policytest.ParseTable(asked)
	require.NoError(t, err)
	gaps := policytest.Uncovered(p, table.Rows)
	assert.Contains(t, gaps, "two say forbid")
	assert.Contains(t, gaps, "cidr say forbid")
	assert.NotContains(t, gaps, "two say need-proof")
}

func TestDead(t *testing.T) {
	assert.Empty(t, policytest.Dead(policy.NPM()))

	// Says again what another rule has said, and is a reason: not dead.
	spoken := policy.Rule{ID: "spoken", Sentence: "No.", Actions: []protocol.Action{protocol.Search}, Judge: func(*policy.Request) policy.Verdict { return policy.Forbid }}
	// Permits what is permitted anyway.
	again := policy.Rule{ID: "again", Sentence: "Yes.", Actions: []protocol.Action{protocol.Ping}, Judge: func(*policy.Request) policy.Verdict { return policy.Permit }}
	// The boxes do not vary the hour.
	night := policy.Rule{ID: "night", Sentence: "It is late.", Judge: func(r *policy.Request) policy.Verdict {
		if r.Now.Hour() < 5 {
			return policy.Forbid
		}
		return policy.Silent
	}}
	p := policy.NPM().With(spoken, again, night)
	assert.Equal(t, []string{"again", "night"}, policytest.Dead(p))
	late, err := policytest.Parse("anonymous - ping - - now=2026-03-06T04:59:59Z => deny night")
	require.NoError(t, err)
	assert.Equal(t, []string{"again"}, policytest.Dead(p, late))
}

// The smallest policy that does something.
func pings(v policy.Verdict) policy.Rule {
	return policy.Rule{ID: "pings", Sentence: "Ping.", Actions: []protocol.Action{protocol.Ping}, Judge: func(*policy.Request) policy.Verdict { return v }}
}

func TestSnapshot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "matrix.txt")
	box := policytest.Box{
		Actions:     []string{"ping", "whoami", "publish", "read-packument"},
		Credentials: []string{"anonymous", "session"},
		Accounts:    []string{"off", "auth-only"},
		Packages:    []string{"a=public", "b=public"},
		Settings:    []string{"from=192.0.2.7", "from=none"},
	}
	snapshot := func(p *policy.Policy) []string {
		r := &recorder{TB: t}
		policytest.Snapshot(r, p, file, box)
		return r.failures
	}
	away := policy.Rule{ID: "away", Sentence: "Where are you?", Actions: []protocol.Action{protocol.Publish}, Judge: func(r *policy.Request) policy.Verdict {
		if !r.Addr.IsValid() && r.Operation.Package.Name == "b" {
			return policy.Forbid
		}
		return policy.Silent
	}}

	t.Setenv(policytest.UpdateEnv, "")
	require.Len(t, snapshot(policy.New(pings(policy.Permit))), 1, "there is no file")
	require.NoFileExists(t, file)
	t.Setenv(policytest.UpdateEnv, "1")
	require.Empty(t, snapshot(policy.New(pings(policy.Permit), away)))
	t.Setenv(policytest.UpdateEnv, "")
	require.Empty(t, snapshot(policy.New(pings(policy.Permit), away)))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, `# What the policy decides. Written by policytest.Snapshot and not by hand.

# Credentials: anonymous session
# Accounts: off auth-only
# Packages: a=public b=public
# Proofs: -
# Settings: from=192.0.2.7 from=none

ping
  *
    *                -                                           -         *  =>  allow

whoami
  *
    *                -                                           -         *  =>  deny not-permitted

publish
  *
    *                *                                           -         from=192.0.2.7  =>  deny not-permitted
    *                a=public                                    -         from=none  =>  deny not-permitted
    *                b=public                                    -         from=none  =>  deny away

read-packument
  *
    *                *                                           -         *  =>  deny not-permitted
`, string(text))

	got := snapshot(policy.New(pings(policy.NeedProof), away))
	require.Len(t, got, 1)
	_, lines, _ := strings.Cut(got[0], "=1:\n")
	assert.Equal(t, `-ping
-  *
-    *                -                                           -         *  =>  allow
-
-whoami
+ping whoami`, lines, "ping is now what whoami is")
}

// A box that says nothing, or what it does not mean, is a mistake of whoever wrote it.
func TestBoxMistakes(t *testing.T) {
	p := policy.New(pings(policy.Permit))
	for name, box := range map[string]policytest.Box{
		"no credentials":      {Accounts: []string{"off"}},
		"a credential":        {Credentials: []string{"sesion"}, Accounts: []string{"off"}},
		"no account":          {Credentials: []string{"session"}},
		"an account":          {Credentials: []string{"session"}, Accounts: []string{"on"}},
		"a package":           {Credentials: []string{"anonymous"}, Packages: []string{"plain"}},
		"a proof":             {Credentials: []string{"anonymous"}, Proofs: []string{"otp"}},
		"an action":           {Credentials: []string{"anonymous"}, Actions: []string{"pong"}},
		"a setting":           {Credentials: []string{"anonymous"}, Settings: []string{"at=none"}},
		"an organization":     {Credentials: []string{"anonymous"}, Orgs: []string{"acme"}},
		"an action's setting": {Credentials: []string{"anonymous"}, Actions: []string{"ping/write"}},
	} {
		assert.Panics(t, func() { policytest.Matrix(p, box) }, name)
	}
	assert.Contains(t, policytest.Matrix(p, policytest.Box{Credentials: []string{"anonymous"}, Actions: []string{"ping"}}),
		"ping\n  anonymous\n    -                -                                           -         =>  allow\n")
}

// A rule that is gone shows as the lines that it stood in.
func TestSnapshotOfNPM(t *testing.T) {
	t.Setenv(policytest.UpdateEnv, "")
	r := &recorder{TB: t}
	policytest.Snapshot(r, policy.NPM(), "../testdata/matrix.txt")
	require.Empty(t, r.failures)
	policytest.Snapshot(r, policy.NPM().Without("hidden-package"), "../testdata/matrix.txt")
	require.Len(t, r.failures, 1)
	assert.Contains(t, r.failures[0], `
@read-packument read-tarball read-attestations read-dist-tags read-access read-visibility
@  anonymous|token(rw:other)+bypass|token(rw:org=acme)+bypass|token()+bypass
-    *                !public|public:r|public:rw|public:rwa|public:rwa:mfa|public:rwa:none  *         =>  deny/absent hidden-package
+    *                !public|public:r|public:rw|public:rwa|public:rwa:mfa|public:rwa:none  *         =>  deny not-permitted
`)
	assert.Contains(t, r.failures[0], " lines more", "a great change is cut short")
}

// What an action is about is what the box has of it: organizations, one with a package
// where a team gets it, and nothing at all.
func TestBoxOrgs(t *testing.T) {
	p := policy.New(policy.Rule{ID: "all", Sentence: "Yes.", Judge: func(r *policy.Request) policy.Verdict {
		if r.Org.Role == protocol.OrgOwner || r.Package.ID != "" {
			return policy.Permit
		}
		return policy.Silent
	}})
	box := policytest.Box{
		Actions:     []string{"ping", "read-org", "grant-team/team=devs", "star"},
		Credentials: []string{"anonymous"},
		Packages:    []string{"plain=public"},
		Orgs:        []string{"org=acme:owner", "org=acme:member", "org=acme:owner+plain=absent", "org=acme:member+plain=public", "org=acme:member+plain=absent"},
	}
	assert.Equal(t, `# What the policy decides. Written by policytest.Snapshot and not by hand.

# Credentials: anonymous
# Accounts: -
# Packages: plain=public
# Organizations: org=acme:owner org=acme:member org=acme:owner+plain=absent org=acme:member+plain=public org=acme:member+plain=absent
# Proofs: -

ping
  anonymous
    -                -                                           -         =>  deny not-permitted

read-org
  anonymous
    -                acme:owner                                  -         =>  allow
    -                acme:member                                 -         =>  deny not-permitted

grant-team/team=devs
  anonymous
    -                !acme:member+plain=absent                   -         =>  allow
    -                acme:member+plain=absent                    -         =>  deny not-permitted

star
  anonymous
    -                public                                      -         =>  allow
`, policytest.Matrix(p, box))

	box.Actions = nil
	assert.Contains(t, policytest.Matrix(p, box), "grant-team")
	box.Orgs = nil
	assert.NotContains(t, policytest.Matrix(p, box), "grant-team", "there is nothing to combine it with")
}
