package policy_test

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
)

var (
	now     = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC) // a Friday
	created = now.Add(-time.Hour)
	here    = netip.MustParseAddr("192.0.2.7")
)

// A decisionRow is a line of testdata/decisions.txt.
type decisionRow struct {
	name  string
	req   policy.Request
	want  policy.Effect
	codes []string
}

func decisionRows(t testing.TB) []decisionRow {
	t.Helper()
	f, err := os.Open("testdata/decisions.txt")
	require.NoError(t, err)
	defer f.Close()
	var rows []decisionRow
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line, _, _ := strings.Cut(s.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		question, answer, ok := strings.Cut(line, "=>")
		require.True(t, ok, "line %d has no =>", n)
		col := strings.Fields(question)
		require.Len(t, col, 5, "line %d", n)
		row := decisionRow{name: fmt.Sprintf("%d %s", n, strings.Join(col, " "))}
		row.req.Now, row.req.Addr = now, here
		readCredential(t, &row.req, col[0])
		readAccount(t, &row.req, col[1])
		readOperation(t, &row.req, col[2])
		readPackage(t, &row.req, col[3])
		if col[4] != "-" {
			require.NoError(t, row.req.Proof.UnmarshalText([]byte(col[4])), row.name)
		}
		words := strings.Fields(answer)
		require.NotEmpty(t, words, row.name)
		require.NoError(t, row.want.UnmarshalText([]byte(words[0])), row.name)
		if len(words) > 1 {
			row.codes = words[1:]
		}
		rows = append(rows, row)
	}
	require.Greater(t, len(rows), 200, "the table was not read")
	return rows
}

func readCredential(t testing.TB, r *policy.Request, text string) {
	if text == "anonymous" {
		return
	}
	parts := strings.Split(text, "+")
	kind, grants, _ := strings.Cut(parts[0], "(")
	c := &policy.Credential{ID: "c1", User: "u-alice", Created: created, Expires: now.Add(time.Hour)}
	require.NoError(t, c.Kind.UnmarshalText([]byte(kind)), text)
	if grants = strings.TrimSuffix(grants, ")"); grants != "" {
		for g := range strings.SplitSeq(grants, ",") {
			c.Grants = append(c.Grants, readGrant(t, g))
		}
	}
	for _, p := range parts[1:] {
		if prefix, ok := strings.CutPrefix(p, "from="); ok {
			c.CIDRs = append(c.CIDRs, netip.MustParsePrefix(prefix))
			continue
		}
		require.Equal(t, "bypass", p, text)
		c.Bypass = true
	}
	r.Credential = c
	r.Account = policy.Account{ID: "u-alice", Name: "alice"}
}

func readGrant(t testing.TB, text string) policy.Grant {
	permission, target, ok := strings.Cut(text, ":")
	require.True(t, ok, text)
	g := policy.Grant{Permission: map[string]policy.Permission{
		"ro": policy.ReadOnly, "rw": policy.ReadWrite, "stage": policy.StageOnly, "none": policy.NoAccess,
	}[permission]}
	switch {
	case target == "all":
		g.Target = policy.AllPackages
	case strings.HasPrefix(target, "org="):
		g.Target, g.Scope = policy.OneOrg, target[len("org="):]
	case strings.HasPrefix(target, "@") && !strings.Contains(target, "/"):
		g.Target, g.Scope = policy.OneScope, target[1:]
	default:
		n, err := policy.ParsePackageName(target)
		require.NoError(t, err, text)
		g.Target, g.Package = policy.OnePackage, n
	}
	require.NoError(t, g.Validate(), text)
	return g
}

func readAccount(t testing.TB, r *policy.Request, text string) {
	if text == "-" {
		require.Nil(t, r.Credential, "an account without a mode")
		return
	}
	flags := strings.Split(text, ",")
	require.NoError(t, r.Account.TwoFactor.UnmarshalText([]byte(flags[0])))
	for _, f := range flags[1:] {
		switch f {
		case "disabled":
			r.Account.Disabled = true
		case "older":
			r.Account.NotBefore = created.Add(time.Microsecond)
		case "expired":
			r.Credential.Expires = now
			if r.Credential.Kind == policy.KindForeign {
				r.Credential.Expires = time.Time{} // never, for these
			}
		case "other":
			r.Account.ID = "u-bob"
		default:
			t.Fatalf("account %q", text)
		}
	}
}

func readOperation(t testing.TB, r *policy.Request, text string) {
	action, extra, _ := strings.Cut(text, "/")
	require.NoError(t, r.Operation.Action.UnmarshalText([]byte(action)))
	switch extra {
	case "":
	case "write":
		r.NewToken.Write = true
	case "bypass":
		r.NewToken.Bypass = true
	default:
		t.Fatalf("operation %q", text)
	}
}

func readPackage(t testing.TB, r *policy.Request, text string) {
	if text == "-" {
		return
	}
	name, facts, ok := strings.Cut(text, "=")
	require.True(t, ok, text)
	var err error
	r.Operation.Package, err = policy.ParsePackageName(name)
	require.NoError(t, err, text)
	flags := strings.Split(facts, ":")
	switch flags[0] {
	case "absent":
	case "public":
		r.Package.ID = "p-1"
	case "private":
		r.Package.ID, r.Package.Private = "p-1", true
	default:
		t.Fatalf("package %q", text)
	}
	for _, f := range flags[1:] {
		switch f {
		case "r":
			r.Package.Rights = policy.RightRead
		case "w":
			r.Package.Rights = policy.RightWrite
		case "rw":
			r.Package.Rights = policy.RightRead | policy.RightWrite
		case "create":
			r.Package.MayCreate = true
		case "mfa":
			r.Settings.Publish = policy.FactorOnly
		default:
			t.Fatalf("package %q", text)
		}
	}
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
	p := policy.NPM()
	require.NoError(t, p.Err())
	for _, row := range decisionRows(t) {
		t.Run(row.name, func(t *testing.T) {
			d := p.Decide(row.req)
			assert.Equal(t, row.want.String(), d.Effect.String())
			assert.Equal(t, row.codes, codes(d))
		})
	}
}

// Whoever takes a rule away sees the table change: no rule is there for nothing.
func TestNPMEveryRuleMatters(t *testing.T) {
	p := policy.NPM()
	rows := decisionRows(t)
	for _, rule := range p.Rules() {
		q := p.Without(rule.ID)
		require.NoError(t, q.Err())
		changed := slices.ContainsFunc(rows, func(row decisionRow) bool {
			a, b := p.Decide(row.req), q.Decide(row.req)
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
		"not-offered", "unknown-credential", "account-mismatch", "account-disabled", "expired", "revoked", "cidr",
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
