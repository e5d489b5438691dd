package policytest_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// AU-49: a line asks with => ?, and is answered with the line to paste. A question is no test.
func TestRunAnswers(t *testing.T) {
	lines := []string{
		"let hers = plain=public:rw",
		"session  auth-only  publish  $hers  -  =>  ?  # without a code?",
		fine,
		"\tsession  off        publish  plain=absent  -  =>?",
	}
	got := failures(t, strings.Join(lines, "\n"))
	require.Len(t, got, 1)
	title, rest, _ := strings.Cut(got[0], "\n")
	assert.Equal(t, "table: a question is no test. The policy answers, from the first to the last:", title)
	answers, traces, _ := strings.Cut(rest, "\n\ntable:")
	assert.Equal(t, "session  auth-only  publish  $hers  -  =>  challenge publish-needs-factor  # without a code?\n"+
		fine+"\n"+
		"\tsession  off        publish  plain=absent  -  =>deny may-not-create no-second-factor", answers)
	assert.Regexp(t, `^2: challenge: publish plain by session c1 of alice\n  need-proof  publish-needs-factor`, traces)
	assert.Contains(t, traces, "table:5: deny: publish plain")
	assert.Empty(t, failures(t, lines[0]+"\n"+answers), "what is pasted is right")

	row, err := policytest.Parse(lines[3])
	require.NoError(t, err)
	assert.True(t, row.Question)
}

// AU-49: the rule that was meant is among those that the failure names.
func TestRunKnowsTheRules(t *testing.T) {
	got := failures(t, "session+expired off whoami - - => deny expird\n")
	require.Len(t, got, 2)
	assert.Contains(t, got[0], "table:1: the policy has no rule expird: write expired, ")
	assert.Contains(t, got[0], "(Policy.Rules has them all)")
	assert.Contains(t, failures(t, "covers expird\n"+fine)[0], `"expird" is no rule: write expired, `)
}

// What is wrong in one line does not hide what is wrong in another.
func TestRunGoesOn(t *testing.T) {
	got := failures(t, "nonsense\n"+fine+"session off whoami - - => deny expired\nlet x = y\n")
	require.Len(t, got, 2)
	assert.Contains(t, got[0], "line 1:")
	assert.Contains(t, got[0], "line 4: let x: not used")
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

// AU-49: every mistake in a table is an error that says where and what, and what is right.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"session auth-only whoami - -", "no =>: write session auth-only publish plain=public:rw - => allow"},
		{"session auth-only whoami - allow", "no =>: write"},
		{"session auth-only whoami - => allow", "4 words before =>: write credential, account, action, package and proof, as in session"},
		{"session auth-only whoami - - - => allow", `"-" does not go here: write now=2026-03-04T12:00:00Z or from=192.0.2.7`},
		{"session auth-only whoami - - => allow => allow", "allow with 2 reasons: write allow alone"},
		{"session auth-only whoami - - =>", "no effect after =>: write allow, challenge, deny or ?"},
		{"session auth-only whoami - - => alow", `"alow" is no effect: write deny, challenge, allow or ?`},
		{"session auth-only whoami - - => Allow", "write deny, challenge, allow or ?"},
		{"session auth-only whoami - - => permit", "write deny, challenge, allow or ?"},
		{"session auth-only whoami - - => allow cidr", "allow with 1 reasons: write allow alone"},
		{"session auth-only whoami - - => deny", "deny with 0 reasons: write the IDs"},
		{"session auth-only whoami - - => challenge", "challenge with 0 reasons: write the IDs"},
		{"session auth-only whoami - - => ? cidr", "write ? alone"},

		{"Anonymous - whoami - - => allow", `"Anonymous" is no kind: write anonymous, session, token(rw:all),`},
		{"sesion auth-only whoami - - => allow", `"sesion" is no kind: write anonymous, session,`},
		{"tokn(rw:all) auth-only whoami - - => allow", `"tokn" is no kind: write unknown, session, token, publisher or foreign`},
		{"token auth-only whoami - - => allow", "write token() if it has none, or token(rw:all)"},
		{"publisher auth-only whoami - - => allow", "write publisher()"},
		{"foreign auth-only whoami - - => allow", "write foreign()"},
		{"anonymous+bypass - whoami - - => allow", "write anonymous alone"},
		{"token(ro:all auth-only whoami - - => allow", "no closing bracket: write token(rw:all)"},
		{"token(ro:all)) auth-only whoami - - => allow", "write all, @acme, @acme/widget, plain or org=acme"},
		{"token(all) auth-only whoami - - => allow", `"all" is no permission: write none, ro, rw or stage`},
		{"token(r:all) auth-only whoami - - => allow", `"r" is no permission: write none, ro, rw or stage`},
		{"token(read-only:all) auth-only whoami - - => allow", "write none, ro, rw or stage"},
		{"token(ro:) auth-only whoami - - => allow", "write all, @acme"},
		{"token(ro:all,) auth-only whoami - - => allow", "write none, ro, rw or stage"},
		{"token(ro:*) auth-only whoami - - => allow", "write all, @acme"},
		{"token(ro:@) auth-only whoami - - => allow", "no scope: write a grant as rw:all, ro:@acme, rw[publish+dist-tag]:@acme/widget or rw:org=acme"},
		{"token(ro:@acme/) auth-only whoami - - => allow", "write all, @acme"},
		{"token(stage:org=acme) auth-only whoami - - => allow", "no permission on an org: write a grant as"},
		{"session+bypas auth-only whoami - - => allow", `"+bypas" does not go here: write +bypass, +cidr=192.0.2.0/24, +expired,`},
		{"session+bypass=1 auth-only whoami - - => allow", `"+bypass=1" does not go here: write +bypass,`},
		{"session+ auth-only whoami - - => allow", "write +bypass,"},
		{"session+bypass+bypass auth-only whoami - - => allow", `"bypass" twice`},
		{"session+expired+expires=none auth-only whoami - - => allow", `"expires" twice`},
		{"session+expires auth-only whoami - - => allow", "+expires=2026-03-04T12:00:00Z"},
		{"session+expires=tomorrow auth-only whoami - - => allow", "no time: write one as 2026-03-04T12:00:00Z, or none"},
		{"session+cidr=192.0.2.7 auth-only whoami - - => allow", "no prefix: write one as 192.0.2.0/24"},
		{"session+cidr auth-only whoami - - => allow", "+cidr=192.0.2.0/24"},
		{"session+cidr= auth-only whoami - - => allow", "has no value: write +cidr=192.0.2.0/24"},
		{"session+id=a:b auth-only whoami - - => allow", "percent-encoded: write a%3Ab"},
		{"session+id=%2 auth-only whoami - - => allow", "percent-encoded: write %252"},

		{"token(rw[]:all) auth-only whoami - - => allow", "no verb: write some of publish, stage, dist-tag, deprecate, unpublish or create"},
		{"token(rw[all]:all) auth-only whoami - - => allow", "no verbs in brackets: write rw, or rw[publish+dist-tag]"},
		{"token(rw[publish:all) auth-only whoami - - => allow", "verbs in brackets: write"},
		{"token(rw[publish]x:all) auth-only whoami - - => allow", "verbs in brackets: write"},
		{"token(rw[write]:all) auth-only whoami - - => allow", "no verb: write some of"},
		{"token(rw[publish+publish]:all) auth-only whoami - - => allow", "twice"},
		{"token(ro[publish]:all) auth-only whoami - - => allow", "verbs narrow"},
		{"token(rw[publish]:org=acme) auth-only whoami - - => allow", "verbs narrow"},
		{"token(rw[create]:plain) auth-only whoami - - => allow", "creates none: write a grant as"},
		{"token(rw:all)bypass auth-only whoami - - => allow", "write +bypass"},

		{"session auth-only,recover whoami - - => allow", `",recover" does not go here: write ,disabled ,other ,id=u-alice`},
		{"session auth-only,recovered=soon whoami - - => allow", "no time: write"},
		{"session auth-only,recovered,recovered=none whoami - - => allow", "twice"},
		{"session auth-only,service,service whoami - - => allow", "twice"},
		{"session auth-only,service=1 whoami - - => allow", `",service=1" does not go here: write`},
		{"session auth-only,cidr=192.0.2.7 whoami - - => allow", "no prefix: write"},
		{"session auth-only,cidr whoami - - => allow", ",cidr=192.0.2.0/24"},

		{"session auth-only whoami/admin - - => allow", `"/admin" does not go here: write`},
		{"session auth-only read-service/write - - => allow", `"/write" does not go here: write /admin,`},
		{"session auth-only set-password/off - - => allow", `"/off" does not go here`},
		{"session auth-only set-access/mfa=automation plain=public - => allow", `"/mfa=automation" does not go here: write /mfa=publish, /mfa=none,`},
		{"session auth-only publish/mfa=none plain=public - => allow", `"/mfa=none" does not go here: write /version=1.0.0,`},
		{"session auth-only set-dist-tag/version= plain=public - => allow", "write /version=1.0.0"},
		{"session auth-only read-team/name=acme - - => allow", "/team=devs"},
		{"session auth-only read-team/team - - => allow", "/team=devs"},
		{"session auth-only whoami/team=x - - => allow", "/user=bob"},

		{"session auth-only read-org acme=owner - => allow", "write org=acme:member, org=acme:absent or -"},
		{"session auth-only read-org org=acme - => allow", "no role: write org=acme:none, member, admin, owner or absent"},
		{"session auth-only read-org org=:owner - => allow", "no name: write"},
		{"session auth-only read-org org=acme:boss - => allow", `"boss" is no role: write none, member, admin, owner or absent`},
		{"session auth-only read-org org=acme:owner:owner - => allow", `":owner" does not go here: write :requires-factor, :own, :keys-only or :id=o-1`},
		{"session auth-only read-org org=acme:owner:admin - => allow", `":admin" does not go here`},
		{"session auth-only read-org org=acme:absent:member:member - => allow", "twice"},
		{"session auth-only read-org org=acme:absent:none - => allow", `":none" does not go here: write :requires-factor, :own, :keys-only, :member,`},
		{"session auth-only read-org org=acme:absent:id=o - => allow", `":id=o" does not go here`},
		{"session auth-only read-org org=acme:requires-factor:owner - => allow", "no role: write"},
		{"session auth-only read-org org=acme:owner:id= - => allow", "write :id=o-1"},
		{"session auth-only read-org org=a/b:owner - => allow", "write a%2Fb"},
		{"session auth-only read-org org=acme:owner+plain=public - => allow", "no role: write"},
		{"session auth-only whoami org=acme:owner - => allow", "about no package: write -"},
		{"session auth-only grant-team plain=public - => allow", "write org="},
		{"session auth-only grant-team org=acme:owner+ - => allow", "no facts: write"},
		{"session auth-only grant-team org=acme:owner+plain - => allow", "no facts: write plain=absent, plain=public, plain=private or -"},
		{"session auth-only publish plain=public:mfa:none - => allow", "twice"},
		{"session auth-only publish plain=public:factor - => allow", `":factor" does not go here: write :r, :w, :rw,`},

		{"session - whoami - - => allow", "only the anonymous and publishers have none: write unknown, off, auth-only or auth-and-writes"},
		{"session on whoami - - => allow", `"on" is no second-factor mode: write unknown, off, auth-only or auth-and-writes`},
		{"session auth-only,disable whoami - - => allow", ",disabled"},
		{"session auth-only publish plain=public:label=a:label=a - => allow", `"a" twice`},
		{"session auth-only publish plain=public:label= - => allow", "write :label=critical"},
		{"session auth-only,group=,disabled whoami - - => allow", "write ,group=ops"},
		{"session+name= auth-only whoami - - => allow", "write +name=ci"},
		{"session auth-only,disabled,disabled whoami - - => allow", "twice"},
		{"session auth-only,expired whoami - - => allow", `",expired" does not go here`},
		{"session auth-only,older whoami - - => allow", ",other"},
		{"session auth-only,not-before=none whoami - - => allow", `",not-before=none" does not go here`},
		{"anonymous auth-only,other whoami - - => allow", `",other" does not go here: write ,disabled ,id=u-alice`},
		{"session+user=u-x auth-only,other whoami - - => allow", `",other" does not go here: write ,disabled ,id=u-alice`},
		{"session a/b:auth-only whoami - - => allow", "write a%2Fb"},

		{"session auth-only who-am-i - - => allow", `"who-am-i" is no action: write whoami, `},
		{"session auth-only publsh plain=public - => allow", `"publsh" is no action: write publish, unpublish or ping (protocol.Actions has them all)`},
		{"session auth-only Whoami - - => allow", "no action: write whoami,"},
		{"session auth-only whoami/write - - => allow", `"/write" does not go here`},
		{"session auth-only create-token/writes - - => allow", `"/writes" does not go here: write /write, /bypass,`},
		{"session auth-only create-token/write/write - - => allow", "twice"},
		{"session auth-only logout/name - - => allow", `"/name" does not go here`},

		{"session auth-only publish plain - => allow", "no facts: write plain=absent, plain=public, plain=private or -"},
		{"session auth-only publish plain= - => allow", "write absent, public or private"},
		{"session auth-only publish plain=secret - => allow", `"secret" says not whether there is one: write absent, public or private`},
		{"session auth-only publish Node_Modules=public - => allow", "write plain, @acme/widget or - for the name"},
		{"session auth-only publish @acme=public - => allow", "write plain, @acme/widget or - for the name"},
		{"session auth-only publish plain=public:wr - => allow", `":wr" does not go here: write :r, :w, :rw,`},
		{"session auth-only publish plain=public:r:w - => allow", `"rights" twice`},
		{"session auth-only publish plain=public: - => allow", "write :r, :w,"},
		{"session auth-only publish plain=public:mfa:mfa - => allow", "twice"},
		{"session auth-only publish plain=public:private - => allow", `":private" does not go here`},
		{"session auth-only publish plain=absent:id=p - => allow", `":id=p" does not go here`},
		{"session auth-only publish plain=public:id= - => allow", "write :id=p-1"},
		{"session auth-only whoami plain=public - => allow", "about no package: write -"},

		{"session auth-only whoami - otp => allow", `"otp" is no proof: write -, totp, recovery, web or key`},
		{"session auth-only whoami - none => allow", `"none" is no proof: write -, totp`},

		{"session auth-only whoami - - now=noon => allow", "no time: write one as 2026-03-04T12:00:00Z, or none"},
		{"session auth-only whoami - - now=2026-03-06 => allow", "no time: write"},
		{"session auth-only whoami - - from=home => allow", "no address: write one as 192.0.2.7, or none"},
		{"session auth-only whoami - - from=none from=none => allow", "twice"},
		{"session auth-only whoami - - at=none => allow", `"at=none" does not go here: write now=2026-03-04T12:00:00Z or from=192.0.2.7`},

		{"now", "write now 2026-03-04T12:00:00Z"},
		{"now 12:00", "no time: write"},
		{"now none none", "write now 2026-03-04T12:00:00Z"},
		{"from 192.0.2.0/24", "no address: write"},
		{"covers", "write covers own"},
		{"cover all", "covers own"},
		{"always", "write always no-unpublish"},
		{"let x", "write let ci = token(rw:all)+bypass"},
		{"let X = session", "write it as let ci = word"},
		{"let x = $y", "write what $y is"},
		{"$ci auth-only whoami - - => allow", "no let for $ci above: write let ci = word above"},
		{"$ auth-only whoami - - => allow", "no let for $ above: write let ci = word above"},
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

// AU-49: wherever a letter of a line is wrong, one of the words that the error offers is right there.
func TestMistakesOfferWhatIsRight(t *testing.T) {
	text, err := os.ReadFile("../testdata/decisions.txt")
	require.NoError(t, err)
	table, err := policytest.ParseTable(string(text))
	require.NoError(t, err)
	lines := []string{
		"session  off  set-dist-tag/tag=latest/version=1.0.0  plain=public:label=critical  -  now=none  from=none  =>  allow",
		"token(rw:all)+name=ci+created=none  bob:off,group=ops,recovered=none,cidr=192.0.2.0/24  publish/version=1.0.0/tag=latest  -=absent:private  -  =>  allow",
	}
	for _, row := range table.Rows {
		lines = append(lines, row.Text)
	}
	known := map[string]bool{} // the words that were tried, by their columns
	mistakes := 0
	for _, line := range lines {
		question, _, _ := strings.Cut(line, "=>")
		words := append(strings.Fields(question), "=>", "allow")
		for column, word := range words {
			if key := fmt.Sprint(column, word); known[key] || word == "=>" {
				continue
			} else {
				known[key] = true
			}
			with := func(other string) string {
				changed := slices.Clone(words)
				changed[column] = other
				return strings.Join(changed, " ")
			}
			ends := piece.FindAllStringIndex(word, -1)
			for _, at := range ends {
				wrongs := []string{word[at[0]:at[1]] + "x", word[at[0]+1 : at[1]], "zz"}
				if column == 2 { // of the many actions the closest are offered, and zz is close to none
					wrongs = wrongs[:2]
				}
				for _, wrong := range wrongs {
					_, err := policytest.Parse(with(word[:at[0]] + wrong + word[at[1]:]))
					if err == nil {
						continue
					}
					mistakes++
					_, offer, found := strings.Cut(err.Error(), "write ")
					require.True(t, found, "%v", err)
					// What is offered stands for the piece, for more of the word around it, or for all of it.
					right := slices.ContainsFunc(strings.Fields(offer), func(offered string) bool {
						offered = strings.TrimSuffix(offered, ",")
						for _, from := range ends {
							for _, to := range ends {
								for _, start := range []int{from[0], max(0, from[0]-1)} {
									if start > at[0] || to[1] < at[1] {
										continue
									}
									if _, err := policytest.Parse(with(word[:start] + offered + word[to[1]:])); err == nil {
										return true
									}
								}
							}
						}
						return false
					})
					assert.True(t, right, "%s for %s in %s: %v", wrong, word[at[0]:at[1]], line, err)
				}
			}
		}
	}
	assert.Greater(t, mistakes, 300)
}

// piece is what stands between the signs of a word.
var piece = regexp.MustCompile(`[^][(),:+=/]+`)

func TestMistakesOfTables(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "comments": "# session\n\n", "no request": "now none\ncovers all\n"} {
		_, err := policytest.ParseTable(text)
		assert.ErrorIs(t, err, policytest.ErrEmpty, name)
		assert.NotEmpty(t, failures(t, text), name)
	}
	for text, want := range map[string]string{
		fine + strings.ReplaceAll(fine, " ", "  "):                      "allow: line 1 asks the same: take one of them out",
		"let x = session\nlet x = session\n$x off ping - - => allow":    "let x = session: line 1 lets it, too: write another name than x",
		"let x = session\n" + fine:                                      "line 1: let x: not used: write $x below it, or take the let out",
		"session off ping - - => allow\nlet x = off\n$x off - => allow": "$x off - => allow: 3 words",
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

// One's own rules are those that were added, and those that were replaced.
func TestCoversOwn(t *testing.T) {
	never := policy.Rule{ID: "no-star", Sentence: "No.", Actions: []protocol.Action{protocol.Star}, Judge: func(*policy.Request) policy.Verdict { return policy.Forbid }}
	freeze := policy.Rule{ID: "freeze", Sentence: "Not now.", Actions: []protocol.Action{protocol.Publish}, Judge: func(r *policy.Request) policy.Verdict {
		if r.Now.Weekday() == time.Friday {
			return policy.Forbid
		}
		return policy.Silent
	}}
	gaps := func(p *policy.Policy, table string, boxes ...policytest.Box) []string {
		r := &recorder{TB: t}
		policytest.Run(r, p, table, boxes...)
		for i := range r.failures {
			r.failures[i] = strings.TrimSuffix(strings.TrimPrefix(r.failures[i], "table: no line makes "), ", which the table is to cover")
		}
		return r.failures
	}
	const (
		star     = "session off star plain=public - => deny no-star\n"
		friday   = "session auth-only publish plain=public:rw totp now=2026-03-06T12:00:00Z => deny freeze\n"
		thursday = "session auth-only publish plain=public:rw totp now=2026-03-05T12:00:00Z => allow\n"
	)
	assert.Empty(t, gaps(policy.NPM().WithLimits(policy.Limits{HighImpactHold: time.Hour}), "covers own\n"+fine), "other numbers are no other rules")

	p := policy.NPM().With(never, freeze)
	assert.Equal(t, []string{"no-star say forbid", "no-star silent about a request with one of its actions", "freeze speak", "freeze silent about a request with one of its actions"},
		gaps(p, "covers own\n"+fine))
	assert.Equal(t, []string{"no-star silent about a request with one of its actions", "freeze silent about a request with one of its actions"},
		gaps(p, "covers own\n"+star+friday), "when it does not forbid is half of the rule")
	assert.Equal(t, []string{"no-star silent about a request with one of its actions"}, gaps(p, "covers own\n"+star+friday+thursday))
	assert.Empty(t, gaps(p, "covers own\nalways no-star\n"+star+friday+thursday), "which one that always forbids does not have")
	assert.Empty(t, gaps(p, "covers no-star freeze\n"+star+friday))
	assert.Equal(t, []string{"freeze speak always (it is silent on one that it is about)"}, gaps(p, "always freeze\n"+friday+thursday))
	assert.Len(t, gaps(p, "always frieze\n"+friday), 1)

	// What is replaced under NPM's ID is one's own.
	i := slices.IndexFunc(policy.NPM().Rules(), func(r policy.Rule) bool { return r.ID == "recovery-code" })
	for name, change := range map[string]func(r *policy.Rule){
		"Doc":      func(r *policy.Rule) { r.Doc = "Ours." },
		"Sentence": func(r *policy.Rule) { r.Sentence = "Ours." },
		"Remedy":   func(r *policy.Rule) { r.Remedy = "Ours." },
		"Actions":  func(r *policy.Rule) { r.Actions = r.Actions[1:] },
		"Judge": func(r *policy.Rule) {
			was := r.Judge
			r.Judge = func(r *policy.Request) policy.Verdict { return was(r) }
		},
	} {
		rule := policy.NPM().Rules()[i]
		change(&rule)
		assert.Len(t, gaps(policy.NPM().Replace(rule), "covers own\n"+fine), 2, name)
	}
	assert.Contains(t, policytest.Uncovered(p, nil), "freeze speak")
}

func TestDead(t *testing.T) {
	assert.Empty(t, policytest.Dead(policy.NPM(), nil))

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
	assert.Equal(t, []string{"again", "night"}, policytest.Dead(p, nil))
	late, err := policytest.Parse("anonymous - ping - - now=2026-03-06T04:59:59Z => deny night")
	require.NoError(t, err)
	assert.Equal(t, []string{"again"}, policytest.Dead(p, []policytest.Row{late}))
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

// friday forbids an operator's publishes on Fridays.
var friday = policy.Rule{ID: "friday", Sentence: "Not today.", Actions: []protocol.Action{protocol.Publish, protocol.SetDistTag}, Judge: func(r *policy.Request) policy.Verdict {
	if r.Now.Weekday() == time.Friday && !r.Account.InGroup("operators") {
		return policy.Forbid
	}
	return policy.Silent
}}

func TestDifference(t *testing.T) {
	box := policytest.Box{
		Actions:     []string{"ping", "publish", "set-dist-tag"},
		Credentials: []string{"anonymous", "session"},
		Accounts:    []string{"off", "auth-only", "auth-only,group=operators"},
		Packages:    []string{"plain=public", "plain=public:rw"},
		Settings:    []string{"-", "now=2026-03-06T12:00:00Z"},
	}
	p := policy.NPM().With(friday)
	want := `# What the policy decides differently. Written by policytest.SnapshotDifference and not by hand.

# Credentials: anonymous session
# Accounts: off auth-only auth-only,group=operators
# Packages: plain=public plain=public:rw
# Proofs: -
# Settings: - now=2026-03-06T12:00:00Z

publish
  session
    auth-only        public:rw                                   -         now=2026-03-06T12:00:00Z  =>  deny friday  instead of  challenge publish-needs-factor

set-dist-tag
  session
    auth-only        public:rw                                   -         now=2026-03-06T12:00:00Z  =>  deny friday  instead of  allow
`
	assert.Equal(t, want, policytest.Difference(p, policy.NPM(), box), "what is refused anyway is left out")
	assert.Equal(t, want, policytest.Difference(p, policy.NPM(), box, policytest.Box{Credentials: []string{"anonymous"}}), "and so are boxes without a difference")
	assert.Contains(t, policytest.Difference(policy.NPM(), p, box), "=>  allow  instead of  deny friday\n", "the other way round")
	assert.Contains(t, policytest.Difference(policy.NPM(), policy.NPM(), box), "\n# Nothing.\n")
	private := policytest.Box{Actions: []string{"read-tarball"}, Credentials: []string{"anonymous"}, Packages: []string{"plain=private"}}
	assert.Contains(t, policytest.Difference(policy.NPM().Without("hidden-package"), policy.NPM(), private), "=>  deny not-permitted  instead of  deny/absent hidden-package\n",
		"who sees that there is a package is a difference")

	file := filepath.Join(t.TempDir(), "difference.txt")
	snapshot := func(p, from *policy.Policy) []string {
		r := &recorder{TB: t}
		policytest.SnapshotDifference(r, p, from, file, box)
		return r.failures
	}
	t.Setenv(policytest.UpdateEnv, "1")
	require.Empty(t, snapshot(p, policy.NPM()))
	t.Setenv(policytest.UpdateEnv, "")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, want, string(text))
	assert.Empty(t, snapshot(p, policy.NPM()))
	got := snapshot(policy.NPM(), policy.NPM())
	require.Len(t, got, 1)
	assert.Contains(t, got[0], "\n-set-dist-tag\n")
	assert.Len(t, snapshot(p.Without("fryday"), policy.NPM()), 1, "a policy with an error")
	assert.Len(t, snapshot(p, p.Without("fryday")), 1)
}

// An Own varies what the boxes of NPM's do not, for coverage, for dead rules and for a snapshot.
func TestOwn(t *testing.T) {
	own := policytest.Own{
		Actions:  []string{"publish", "set-dist-tag", "remove-dist-tag", "grant-team"},
		Versions: []string{"1.0.0", "2.0.0-rc.1"},
		Tags:     []string{"latest"},
		Names:    []string{"release"},
		Groups:   []string{"operators"},
		Labels:   []string{"critical"},
		Evidence: []string{"approval"},
		Packages: []string{"plain", "@acme/widget"},
		Times:    []string{"2026-03-06T12:00:00Z"},
		Addrs:    []string{"198.51.100.9"},
	}
	assert.Equal(t, policytest.Box{
		Actions: []string{
			"publish", "publish/version=1.0.0", "publish/version=2.0.0-rc.1", "publish/version=1.0.0/tag=latest", "publish/version=2.0.0-rc.1/tag=latest",
			"set-dist-tag", "set-dist-tag/tag=latest", "set-dist-tag/tag=latest/version=1.0.0", "set-dist-tag/tag=latest/version=2.0.0-rc.1",
			"remove-dist-tag", "remove-dist-tag/tag=latest", "grant-team",
		},
		Credentials: []string{"anonymous", "session", "publisher(rw:all)", "token(rw:all,rw:org=acme)+bypass", "token(rw:all,rw:org=acme)+bypass+name=release"},
		Accounts:    []string{"auth-only", "auth-only,group=operators"},
		Packages: []string{
			"plain=public:rwa", "plain=public:rwa:label=critical", "plain=public:rwa:evidence=approval", "plain=public:rwa:evidence=approval:label=critical",
			"plain=absent:create", "plain=absent:create:label=critical",
			"@acme/widget=public:rwa", "@acme/widget=public:rwa:label=critical", "@acme/widget=public:rwa:evidence=approval", "@acme/widget=public:rwa:evidence=approval:label=critical",
			"@acme/widget=absent:create", "@acme/widget=absent:create:label=critical",
		},
		Orgs: []string{
			"org=acme:owner", "org=acme:owner+plain=public:rwa", "org=acme:owner+plain=public:rwa:label=critical",
			"org=acme:owner+plain=public:rwa:evidence=approval", "org=acme:owner+plain=public:rwa:evidence=approval:label=critical",
			"org=acme:owner+plain=absent:create", "org=acme:owner+plain=absent:create:label=critical",
			"org=acme:owner+@acme/widget=public:rwa", "org=acme:owner+@acme/widget=public:rwa:label=critical",
			"org=acme:owner+@acme/widget=public:rwa:evidence=approval", "org=acme:owner+@acme/widget=public:rwa:evidence=approval:label=critical",
			"org=acme:owner+@acme/widget=absent:create", "org=acme:owner+@acme/widget=absent:create:label=critical", "org=acme:absent",
		},
		Proofs:   []string{"-", "totp"},
		Settings: []string{"-", "from=198.51.100.9", "now=2026-03-06T12:00:00Z", "now=2026-03-06T12:00:00Z from=198.51.100.9"},
	}, own.Box())

	// A rule about each of them is silent in Boxes and not in the box.
	for name, judge := range map[string]func(r *policy.Request) bool{
		"version":  func(r *policy.Request) bool { return r.Change != nil && r.Change.Version == "2.0.0-rc.1" },
		"tag":      func(r *policy.Request) bool { return r.Change != nil && r.Change.Tags["latest"] == "2.0.0-rc.1" },
		"name":     func(r *policy.Request) bool { return r.Credential.Name == "release" },
		"group":    func(r *policy.Request) bool { return r.Account.InGroup("operators") },
		"label":    func(r *policy.Request) bool { return r.Package.HasLabel("critical") },
		"evidence": func(r *policy.Request) bool { return r.Package.Evidence == policy.EvidenceApproval },
		"package":  func(r *policy.Request) bool { return r.Operation.Package.Name == "plain" },
		"time":     func(r *policy.Request) bool { return r.Now.Weekday() == time.Friday },
		"addr":     func(r *policy.Request) bool { return r.Addr.String() == "198.51.100.9" },
	} {
		tags := []protocol.Action{protocol.Publish, protocol.SetDistTag}
		p := policy.New(policy.Rule{ID: "own", Sentence: "No.", Actions: tags, Judge: func(r *policy.Request) policy.Verdict {
			if judge(r) {
				return policy.Forbid
			}
			return policy.Silent
		}}, policy.Rule{ID: "all", Sentence: "Yes.", Actions: tags, Judge: func(*policy.Request) policy.Verdict { return policy.Permit }})
		assert.Equal(t, []string{"own"}, policytest.Dead(p, nil), name)
		assert.Empty(t, policytest.Dead(p, nil, own.Box()), name)
		assert.Contains(t, policytest.Uncovered(p, nil), "own speak", name)
		assert.Contains(t, policytest.Uncovered(p, nil, own.Box()), "own say forbid", name)
	}
	r := &recorder{TB: t}
	policytest.Run(r, policy.NPM().With(friday), "covers own\n"+fine, own.Box())
	assert.Equal(t, "table: no line makes friday say forbid, which the table is to cover", r.failures[0])
	assert.Panics(t, func() { policytest.Own{Times: own.Times}.Box() })
	assert.Panics(t, func() { policytest.Own{Actions: []string{"publsh"}}.Box() })
	small := policytest.Own{Actions: []string{"publish"}}.Box()
	assert.Equal(t, []string{"@acme/widget=public:rwa", "@acme/widget=absent:create"}, small.Packages)
	assert.Empty(t, small.Orgs)
	assert.Empty(t, small.Settings)
}

// Requests has each request of the boxes, as a table says it.
func TestRequests(t *testing.T) {
	box := policytest.Box{Actions: []string{"publish/version=1.0.0"}, Credentials: []string{"anonymous", "session"}, Accounts: []string{"off", "auth-only"}, Packages: []string{"plain=public"}}
	var lines []string
	for r := range policytest.Requests(box) {
		line, err := policytest.Format(r)
		require.NoError(t, err)
		lines = append(lines, line)
	}
	assert.Equal(t, []string{
		"anonymous  -  publish/version=1.0.0  plain=public  -", "anonymous  -  publish/version=1.0.0  plain=public  -",
		"session  off  publish/version=1.0.0  plain=public  -", "session  auth-only  publish/version=1.0.0  plain=public  -",
	}, lines, "the anonymous once for each account")
	n := 0
	for range policytest.Requests() {
		n++
	}
	assert.Greater(t, n, 10_000, "those of Boxes")
}
