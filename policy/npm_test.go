package policy_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
)

var (
	now     = policytest.Noon
	created = now.Add(-time.Hour)
	here    = policytest.Here
)

const decisionsFile = "testdata/decisions.txt"

// decisionRows returns the requests of testdata/decisions.txt.
func decisionRows(t testing.TB) []policytest.Row {
	t.Helper()
	text, err := os.ReadFile(decisionsFile)
	require.NoError(t, err)
	table, err := policytest.ParseTable(string(text))
	require.NoError(t, err)
	require.Greater(t, len(table.Rows), 200, "the table was not read")
	return table.Rows
}

func codes(d policy.Decision) []string {
	var cs []string
	for _, r := range d.Reasons {
		cs = append(cs, r.Code)
	}
	return cs
}

// The table is the specification. Its lines name the cases they stand for: PC-14,
// PC-18 to PC-20, PR-01 to PR-03, PR-07, PR-09, PR-11 to PR-17, PR-19, PR-20, PR-26.
func TestNPM(t *testing.T) {
	policytest.RunFile(t, policy.NPM(), decisionsFile)
}

// Whoever takes a rule away sees the table change: no rule is there for nothing.
func TestNPMEveryRuleMatters(t *testing.T) {
	p := policy.NPM()
	rows := decisionRows(t)
	for _, rule := range p.Rules() {
		q := p.Without(rule.ID)
		require.NoError(t, q.Err())
		changed := slices.ContainsFunc(rows, func(row policytest.Row) bool {
			a, b := p.Decide(row.Request), q.Decide(row.Request)
			return a.Effect != b.Effect || !slices.Equal(codes(a), codes(b))
		})
		assert.True(t, changed, "nothing changes without %s", rule.ID)
	}
}

// Some rules only put into words what no rule permits anyway. The others are all
// that stands in the way of something; this is the list of them, and whoever changes
// it should know.
func TestNPMLoadBearingRules(t *testing.T) {
	p := policy.NPM()
	type refusal struct {
		policy.Request
		effect policy.Effect
	}
	var refused []refusal
	for r := range matrix() {
		for _, r.Proof = range []policy.Proof{policy.NoProof, policy.ProofRecovery} {
			if effect := p.Decide(r).Effect; effect != policy.Allow {
				refused = append(refused, refusal{r, effect})
			}
		}
	}
	nameless := request(policy.ReadPackument, nil)
	nameless.Operation.Package = policy.PackageName{}
	refused = append(refused, refusal{nameless, p.Decide(nameless).Effect})
	var got []string
	for _, rule := range p.Rules() {
		q := p.Without(rule.ID)
		if slices.ContainsFunc(refused, func(r refusal) bool {
			return rule.Concerns(r.Operation.Action) && q.Decide(r.Request).Effect > r.effect
		}) {
			got = append(got, rule.ID)
		}
	}
	assert.Equal(t, []string{
		"unknown-operation", "not-offered", "unknown-credential", "account-mismatch", "account-disabled", "expired", "revoked", "cidr",
		"unknown-factor-mode", "publisher-only-publishes", "foreign-reads-only", "package-disallows-tokens",
		"no-second-factor", "publish-needs-factor", "write-needs-factor", "account-needs-factor", "recovery-code",
	}, got)
}

func TestNPMTexts(t *testing.T) {
	for _, r := range policy.NPM().Rules() {
		assert.NotEmpty(t, r.Doc, r.ID)
		assert.True(t, strings.HasSuffix(r.Sentence, "."), "%s: a sentence", r.ID)
		// npm splits www-authenticate at commas and other clients at spaces too.
		assert.NotContains(t, r.Sentence+r.Remedy, ",", r.ID)
		assert.NotContains(t, r.Sentence+r.Remedy, `"`, r.ID)
	}
	noFactor := policy.NPM().Decide(policy.Request{
		Operation:  policy.Operation{Action: policy.Publish, Package: policy.PackageName{Name: "plain"}},
		Credential: &policy.Credential{Kind: policy.KindSession, User: "u", Created: created, Expires: now.Add(1)},
		Account:    policy.Account{ID: "u", TwoFactor: policy.TwoFactorOff},
		Package:    policy.Facts{ID: "p", Rights: policy.RightRead | policy.RightWrite},
		Now:        now,
	})
	require.Len(t, noFactor.Reasons, 1)
	assert.Contains(t, noFactor.Reasons[0].Remedy, "npm profile enable-2fa auth-and-writes")
}

// A host whose older tokens may write leaves one rule out; everything else holds.
func TestNPMForeignWrites(t *testing.T) {
	p := policy.NPM().Without("foreign-reads-only")
	r := request(policy.Publish, &policy.Credential{Kind: policy.KindForeign, Grants: []policy.Grant{{Target: policy.AllPackages, Permission: policy.ReadWrite}}})
	r.Account.TwoFactor = policy.AuthOnly
	assert.Equal(t, policy.Challenge, p.Decide(r).Effect)
	r.Proof = policy.ProofTOTP
	assert.Equal(t, policy.Allow, p.Decide(r).Effect)
	r.Settings.Publish = policy.FactorOnly
	assert.Equal(t, policy.Deny, p.Decide(r).Effect)
	r.Settings, r.Credential.Grants = policy.Settings{}, nil
	assert.Equal(t, policy.Deny, p.Decide(r).Effect)
}

// A package's setting that is not known counts as the stricter one.
func TestNPMUnknownSetting(t *testing.T) {
	r := request(policy.Publish, &policy.Credential{Kind: policy.KindToken, Bypass: true, Grants: []policy.Grant{{Target: policy.AllPackages, Permission: policy.ReadWrite}}})
	require.Equal(t, policy.Allow, policy.NPM().Decide(r).Effect)
	r.Settings.Publish = policy.FactorOnly + 1
	assert.True(t, policy.NPM().Decide(r).Has("package-disallows-tokens"))
}

// A host that serves deprecate says so in one place, and its rules are there.
func TestNPMServingMore(t *testing.T) {
	p := policy.NPM()
	i := slices.IndexFunc(p.Rules(), func(r policy.Rule) bool { return r.ID == "not-offered" })
	rule := p.Rules()[i]
	rule.Actions = slices.DeleteFunc(rule.Actions, func(a policy.Action) bool { return a == policy.Deprecate })
	p = p.Replace(rule)
	require.NoError(t, p.Err())

	session := &policy.Credential{Kind: policy.KindSession}
	r := request(policy.Deprecate, session)
	r.Account.TwoFactor = policy.AuthAndWrites
	assert.Equal(t, policy.Challenge, p.Decide(r).Effect)
	r.Account.TwoFactor = policy.AuthOnly
	assert.Equal(t, policy.Allow, p.Decide(r).Effect)
	r.Package.Rights = policy.RightRead
	assert.Equal(t, policy.Deny, p.Decide(r).Effect)
	assert.Equal(t, policy.Deny, p.Decide(request(policy.Unpublish, session)).Effect)
}

// request returns a request by c about a public package that its user may write to.
func request(a policy.Action, c *policy.Credential) policy.Request {
	r := policy.Request{
		Operation: policy.Operation{Action: a},
		Package:   policy.Facts{ID: "p-1", Rights: policy.RightRead | policy.RightWrite},
		Addr:      here,
		Now:       now,
	}
	if a.OfPackage() {
		r.Operation.Package = policy.PackageName{Scope: "acme", Name: "widget"}
	}
	if c != nil {
		if c.User == "" && c.Kind != policy.KindUnknown {
			c.User = "u-alice"
		}
		if c.Expires.IsZero() {
			c.Created, c.Expires = created, now.Add(time.Hour)
		}
		r.Credential = c
		r.Account = policy.Account{ID: c.User, Name: "alice", TwoFactor: policy.AuthOnly}
	}
	return r
}
