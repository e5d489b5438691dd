package policytest_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
)

// What is written is read as the same request.
func TestFormatReadsBack(t *testing.T) {
	text, err := os.ReadFile("../testdata/decisions.txt")
	require.NoError(t, err)
	table, err := policytest.ParseTable(string(text))
	require.NoError(t, err)
	for _, row := range table.Rows {
		line, err := policytest.Format(row.Request)
		require.NoError(t, err, row.Text)
		again, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, line)
		assert.Equal(t, row.Request, again.Request, line)
		question, _, _ := strings.Cut(row.Text, "=>")
		if !strings.Contains(question, "other") {
			assert.Equal(t, strings.Fields(question), strings.Fields(line), "what people write is what is written")
		}
	}
}

// elsewhere is a request that no table was the source of.
func elsewhere() policy.Request {
	at := time.Date(2027, 1, 2, 3, 4, 5, 6, time.FixedZone("here", 3600))
	return policy.Request{
		Operation: protocol.Operation{Action: protocol.SetDistTag, Package: protocol.PackageName{Name: "Plain_.x"}, Tag: "beta + 1/#=>"},
		Credential: &policy.Credential{
			ID: "5d1e é", Name: "ci + more", Kind: policy.KindToken, User: "17", Bypass: true, Created: at.Add(-time.Minute),
			Grants: []protocol.Grant{
				{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadOnly},
				{Target: protocol.OnePackage, Package: protocol.PackageName{Name: "Plain_.x"}, Permission: protocol.NoAccess},
				{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbCreate},
			},
			CIDRs: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.0/24")},
		},
		Account: policy.Account{
			ID: "18", Name: "Bob, the:second", Disabled: true, TwoFactor: protocol.AuthAndWrites,
			CIDRs:   []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
			Service: true, FactorRequired: true, HighImpact: true, Recovered: at.Add(-time.Minute),
			Groups: []string{"ops", "a,b"},
		},
		Package:  policy.Facts{ID: "p/4", Private: true, Rights: policy.RightWrite | policy.RightAdmin, MayCreate: true, RequireFactor: true, Labels: []string{"critical", "a:b"}, Evidence: policy.EvidencePublisher | policy.EvidenceApproval},
		Settings: policy.Settings{Publish: protocol.NoFactor},
		Proof:    policy.ProofRecovery,
		Addr:     netip.MustParseAddr("2001:db8::7"),
		Now:      at,
	}
}

func ofOrg(a protocol.Action, name string, facts policy.OrgFacts) policy.Request {
	org, team, _ := strings.Cut(name, ":")
	return policy.Request{Operation: protocol.Operation{Action: a, Org: org, Team: team}, Org: facts}
}

func newMode(m protocol.PublishMode) *protocol.Change { return &protocol.Change{PublishMode: &m} }

var writingToken = &protocol.Change{Token: &protocol.TokenSpec{
	Name: "ci", Days: 30, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
}}

func TestFormat(t *testing.T) {
	r := elsewhere()
	line, err := policytest.Format(r)
	require.NoError(t, err)
	assert.Equal(t, "token(ro:org=acme,none:Plain_.x,rw[publish+create]:@acme)+bypass+cidr=2001:db8::/32+cidr=192.0.2.0/24+expires=none+created=2027-01-02T02:03:05.000000006Z+id=5d1e%20%C3%A9+name=ci%20%2B%20more+user=17"+
		"  Bob%2C%20the%3Asecond:auth-and-writes,id=18,disabled,service,factor-required,high-impact,recovered=2027-01-02T02:03:05.000000006Z,cidr=192.0.2.0/24,cidr=2001:db8::/32,group=ops,group=a%2Cb"+
		"  set-dist-tag/tag=beta%20%2B%201%2F%23%3D%3E  Plain_.x=private:id=p%2F4:wa:create:none:requires-factor:evidence=publisher+approval:label=critical:label=a%3Ab"+
		"  recovery  now=2027-01-02T02:04:05.000000006Z  from=2001:db8::7", line)
	row, err := policytest.Parse(line + "  =>  " + policytest.Answer(policy.NPM().Decide(r)))
	require.NoError(t, err)
	assert.Equal(t, policy.NPM().Decide(r), policy.NPM().Decide(row.Request))
	assert.Equal(t, "Bob, the:second", row.Request.Account.Name)
	assert.Equal(t, r.Operation, row.Request.Operation)

	for name, change := range map[string]func(r *policy.Request){
		"nothing at all":         func(r *policy.Request) { *r = policy.Request{} },
		"the zero credential":    func(r *policy.Request) { r.Credential, r.Account = &policy.Credential{}, policy.Account{} },
		"no credential":          func(r *policy.Request) { r.Credential = nil },
		"no name":                func(r *policy.Request) { r.Account.Name = "" },
		"no user":                func(r *policy.Request) { r.Credential.User = "" },
		"a package and no facts": func(r *policy.Request) { r.Package = policy.Facts{} },
		"facts and no package":   func(r *policy.Request) { r.Operation.Package = protocol.PackageName{} },
		"facts of the absent":    func(r *policy.Request) { r.Package.ID = "" },
		"facts of no package":    func(r *policy.Request) { r.Operation = protocol.Operation{Action: protocol.Whoami} },
		"expired now":            func(r *policy.Request) { r.Credential.Expires = r.Now },
		"recovered":              func(r *policy.Request) { r.Account.Recovered = r.Now.Add(-time.Hour) },
		"a setting to be":        func(r *policy.Request) { r.Operation.Action, r.Change = protocol.SetAccess, newMode(protocol.NoFactor) },
		"a stricter one": func(r *policy.Request) {
			r.Operation.Action, r.Change = protocol.SetAccess, newMode(protocol.FactorOnly)
		},
		"no factor to be": func(r *policy.Request) {
			*r = policy.Request{Operation: protocol.Operation{Action: protocol.SetTwoFactor}, Change: &protocol.Change{TwoFactor: protocol.TwoFactorOff}}
		},
		"a service account's token": func(r *policy.Request) {
			*r = policy.Request{Operation: protocol.Operation{Action: protocol.ManageService, Service: "ci", Token: "t1"}, Administers: true, Change: writingToken}
		},
		"an organization": func(r *policy.Request) {
			*r = ofOrg(protocol.ReadOrg, "acme", policy.OrgFacts{ID: "o-1", Role: protocol.OrgOwner})
		},
		"one with another ID": func(r *policy.Request) {
			*r = ofOrg(protocol.ReadOrg, "acme", policy.OrgFacts{ID: "o:2", RequireFactor: true})
		},
		"a team": func(r *policy.Request) {
			*r = ofOrg(protocol.ReadTeam, "acme:a/b", policy.OrgFacts{Role: protocol.OrgMember})
		},
		"a team of none":            func(r *policy.Request) { *r = ofOrg(protocol.ReadTeam, ":devs", policy.OrgFacts{RequireFactor: true}) },
		"a team without a name":     func(r *policy.Request) { *r = ofOrg(protocol.ReadTeam, "acme:", policy.OrgFacts{}) },
		"an organization called -":  func(r *policy.Request) { *r = ofOrg(protocol.ReadTeam, "-:-", policy.OrgFacts{}) },
		"an odd one":                func(r *policy.Request) { *r = ofOrg(protocol.WriteOrg, "a+b=c d", policy.OrgFacts{ID: "o-1"}) },
		"no organization":           func(r *policy.Request) { *r = ofOrg(protocol.WriteOrg, "", policy.OrgFacts{}) },
		"facts and no organization": func(r *policy.Request) { *r = ofOrg(protocol.WriteOrg, "", policy.OrgFacts{ID: "o-1"}) },
		"a package for a team": func(r *policy.Request) {
			op, pkg, settings := r.Operation.Package, r.Package, r.Settings
			*r = ofOrg(protocol.GrantTeam, "acme:devs", policy.OrgFacts{ID: "o-1", Role: protocol.OrgAdmin})
			r.Operation.Package, r.Package, r.Settings = op, pkg, settings
		},
		"a package for no team": func(r *policy.Request) {
			*r = ofOrg(protocol.GrantTeam, "", policy.OrgFacts{})
			r.Operation.Package.Name = "plain"
		},
		"facts for a team": func(r *policy.Request) {
			*r = ofOrg(protocol.GrantTeam, "acme", policy.OrgFacts{ID: "o-1"})
			r.Package.ID = "p-1"
		},
		"a year before the year": func(r *policy.Request) { r.Now = time.Time{} },
	} {
		r := elsewhere()
		change(&r)
		line, err := policytest.Format(r)
		require.NoError(t, err, name)
		row, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, name)
		again, err := policytest.Format(row.Request)
		require.NoError(t, err, name)
		assert.Equal(t, line, again, name)
		assert.Equal(t, policy.NPM().Decide(r), policy.NPM().Decide(row.Request), name)
	}
}

// A request that no line says is an error and not the line of another request.
func TestFormatRefuses(t *testing.T) {
	for name, change := range map[string]func(r *policy.Request){
		"action":       func(r *policy.Request) { r.Operation.Action = 200 },
		"kind":         func(r *policy.Request) { r.Credential.Kind = 9 },
		"mode":         func(r *policy.Request) { r.Account.TwoFactor = 9 },
		"proof":        func(r *policy.Request) { r.Proof = 9 },
		"setting":      func(r *policy.Request) { r.Settings.Publish = 9 },
		"right":        func(r *policy.Request) { r.Package.Rights = 1 << 5 },
		"grant":        func(r *policy.Request) { r.Credential.Grants[0].Permission = 9 },
		"target":       func(r *policy.Request) { r.Credential.Grants[0].Target = protocol.NoTarget },
		"package":      func(r *policy.Request) { r.Operation.Package.Name = "a b" },
		"package none": func(r *policy.Request) { r.Operation.Action = protocol.Whoami },
		"new token":    func(r *policy.Request) { r.Change = writingToken },
		"new setting":  func(r *policy.Request) { r.Change = newMode(protocol.NoFactor) },
		"no setting":   func(r *policy.Request) { r.Operation.Action, r.Change = protocol.SetAccess, newMode(9) },
		"factor":       func(r *policy.Request) { r.Change = &protocol.Change{TwoFactor: protocol.TwoFactorOff} },
		"administers":  func(r *policy.Request) { r.Administers = true },
		"organization": func(r *policy.Request) { r.Org.ID = "o-1" },
		"role":         func(r *policy.Request) { *r = ofOrg(protocol.ReadOrg, "acme", policy.OrgFacts{ID: "o-1", Role: 9}) },
		"verb":         func(r *policy.Request) { r.Credential.Grants[2].Verbs = 1 << 7 },
		"package of an organization": func(r *policy.Request) {
			*r = ofOrg(protocol.ReadOrg, "acme", policy.OrgFacts{ID: "o-1"})
			r.Package.ID = "p-1"
		},
		"grant on all": func(r *policy.Request) {
			r.Credential.Grants[1].Package = protocol.PackageName{Name: "all"}
		},
		"zone": func(r *policy.Request) { r.Addr = r.Addr.WithZone("a b") },
	} {
		r := elsewhere()
		change(&r)
		line, err := policytest.Format(r)
		assert.ErrorIs(t, err, policytest.ErrFormat, name)
		assert.Empty(t, line, name)
	}
}

// A table is no place for a token that npm put into a path.
func TestFormatKeepsTokensOut(t *testing.T) {
	for _, a := range []protocol.Action{protocol.Logout, protocol.RevokeToken} {
		r := policy.Request{Operation: protocol.Operation{Action: a, Token: "npm_secret"}}
		line, err := policytest.Format(r)
		require.NoError(t, err)
		assert.NotContains(t, line, "secret")
		assert.Equal(t, "npm_secret", r.Operation.Token)
	}
}

// Whatever is read as a request is written as one line, which is read as the same.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("../testdata/decisions.txt")
	require.NoError(f, err)
	for line := range strings.Lines(string(text)) {
		f.Add(strings.TrimSpace(line))
	}
	line, err := policytest.Format(elsewhere())
	require.NoError(f, err)
	f.Add(line + " => allow")
	f.Fuzz(func(t *testing.T, line string) {
		row, err := policytest.Parse(line)
		if err != nil {
			return
		}
		written, err := policytest.Format(row.Request)
		require.NoError(t, err, line)
		again, err := policytest.Parse(written + " => allow")
		require.NoError(t, err, written)
		p := policy.NPM()
		require.Equal(t, p.Decide(row.Request), p.Decide(again.Request), written)
		twice, err := policytest.Format(again.Request)
		require.NoError(t, err, written)
		require.Equal(t, written, twice)
	})
}
