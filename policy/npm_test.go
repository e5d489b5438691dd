package policy_test

import (
	"fmt"
	"iter"
	"net/netip"
	"os"
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

var (
	now     = policytest.Noon
	created = now.Add(-time.Hour)
	here    = policytest.Here
	widget  = protocol.PackageName{Scope: "acme", Name: "widget"}
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
		if effect := p.Decide(r).Effect; effect != policy.Allow {
			refused = append(refused, refusal{r, effect})
		}
	}
	nameless := request(protocol.ReadPackument, nil)
	nameless.Operation.Package = protocol.PackageName{}
	refused = append(refused, refusal{nameless, p.Decide(nameless).Effect})
	var got []string
	for _, rule := range p.Rules() {
		q := p.Without(rule.ID)
		if slices.ContainsFunc(refused, func(r refusal) bool {
			return rule.Concerns(r.Operation.Action, r.Kind()) && q.Decide(r.Request).Effect > r.effect
		}) {
			got = append(got, rule.ID)
		}
	}
	assert.Equal(t, []string{
		"unknown-operation", "unknown-credential", "account-mismatch", "account-disabled", "expired", "cidr",
		"unknown-factor-mode", "service-signs-in-never", "session-only", "bypass-manages-nothing", "service-manages-nothing", "publisher-only-publishes",
		"foreign-reads-only", "publishers-only", "package-disallows-tokens", "decision-takes-a-person", "approver-is-stager", "stage-required", "account-held", "mfa-none", "factor-required", "service-needs-bypass",
		"no-security-key", "security-key-only", "no-second-factor", "publish-needs-factor", "decision-needs-factor", "manage-needs-factor", "write-needs-factor", "account-needs-factor", "recovery-code",
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
		Operation:  protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Name: "plain"}},
		Credential: &policy.Credential{Kind: policy.KindSession, User: "u", Created: created, Expires: now.Add(1)},
		Account:    policy.Account{ID: "u", TwoFactor: protocol.TwoFactorOff},
		Package:    policy.Facts{ID: "p", Rights: policy.RightRead | policy.RightWrite},
		Now:        now,
	})
	require.Len(t, noFactor.Reasons, 1)
	assert.Contains(t, noFactor.Reasons[0].Remedy, "npm profile enable-2fa auth-and-writes")
}

// A host whose older tokens may write leaves one rule out; everything else holds.
func TestNPMForeignWrites(t *testing.T) {
	p := policy.NPM().Without("foreign-reads-only")
	r := request(protocol.Publish, &policy.Credential{Kind: policy.KindForeign, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}})
	r.Account.TwoFactor = protocol.AuthOnly
	assert.Equal(t, policy.Challenge, p.Decide(r).Effect)
	r.Proof = policy.ProofTOTP
	assert.Equal(t, policy.Allow, p.Decide(r).Effect)
	r.Settings.Publish = protocol.FactorOnly
	assert.Equal(t, policy.Deny, p.Decide(r).Effect)
	r.Settings, r.Credential.Grants = policy.Settings{}, nil
	assert.Equal(t, policy.Deny, p.Decide(r).Effect)
}

// A package's setting that is not known counts as the stricter one.
func TestNPMUnknownSetting(t *testing.T) {
	r := request(protocol.Publish, &policy.Credential{Kind: policy.KindToken, Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}})
	require.Equal(t, policy.Allow, policy.NPM().Decide(r).Effect)
	r.Settings.Publish = protocol.NoFactor + 1
	assert.True(t, policy.NPM().Decide(r).Has("package-disallows-tokens"))

	// Nor is one to be set, even where mfa=none is.
	r = request(protocol.SetAccess, &policy.Credential{Kind: policy.KindSession})
	r.Package.Rights |= policy.RightAdmin
	r.Proof = policy.ProofTOTP
	r.Change = newMode(protocol.NoFactor)
	p := policy.NPM().Without("mfa-none")
	require.Equal(t, policy.Allow, p.Decide(r).Effect)
	r.Change = newMode(protocol.NoFactor + 1)
	assert.Equal(t, policy.Deny, p.Decide(r).Effect)
	assert.True(t, policy.NPM().Decide(r).Has("mfa-none"))
}

// C15: with either rule tokens stage and do not publish from an instant on: those that bypass the second factor, or
// all.
func TestPublishEnds(t *testing.T) {
	all := []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}
	token := &policy.Credential{Kind: policy.KindToken, Grants: all}
	bypass := &policy.Credential{Kind: policy.KindToken, Grants: all, Bypass: true}
	publisher := &policy.Credential{Kind: policy.KindPublisher, Package: "p-1", Grants: []protocol.Grant{{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish}}}
	for _, tt := range []struct {
		rule policy.Rule
		ends []*policy.Credential
		not  []*policy.Credential
	}{
		{policy.BypassPublishEnds(now), []*policy.Credential{bypass}, []*policy.Credential{token, publisher, {Kind: policy.KindSession}}},
		{policy.TokenPublishEnds(now), []*policy.Credential{bypass, token}, []*policy.Credential{publisher, {Kind: policy.KindSession}}},
	} {
		p := policy.NPM().With(tt.rule)
		require.NoError(t, p.Err())
		decide := func(action protocol.Action, c *policy.Credential, at time.Time) policy.Decision {
			r := request(action, c)
			r.Proof, r.Now = policy.ProofTOTP, at
			return p.Decide(r)
		}
		for _, c := range tt.ends {
			assert.Equal(t, policy.Allow, decide(protocol.Publish, c, now.Add(-1)).Effect)
			assert.Equal(t, []string{tt.rule.ID}, codes(decide(protocol.Publish, c, now)))
			assert.Equal(t, policy.Allow, decide(protocol.Stage, c, now).Effect)
			assert.Equal(t, policy.Allow, decide(protocol.SetDistTag, c, now).Effect, "tags are not versions")
		}
		for _, c := range tt.not {
			assert.Equal(t, policy.Allow, decide(protocol.Publish, c, now).Effect, "%s: %v", tt.rule.ID, c)
		}
	}
}

// A host that serves stars by the newer path says so in one place and adds the rule that permits it.
func TestNPMServingMore(t *testing.T) {
	p := policy.NPM()
	i := slices.IndexFunc(p.Rules(), func(r policy.Rule) bool { return r.ID == "not-offered" })
	rule := p.Rules()[i]
	rule.Actions = slices.DeleteFunc(rule.Actions, func(a protocol.Action) bool { return a == protocol.WriteStars })
	p = p.Replace(rule)
	require.NoError(t, p.Err())

	token := &policy.Credential{Kind: policy.KindToken, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.StageOnly}}}
	r := request(protocol.WriteStars, token)
	assert.Equal(t, []string{policy.CodeNotPermitted}, codes(p.Decide(r)))
	p = p.With(policy.Rule{ID: "stars", Sentence: "You may star.", Actions: []protocol.Action{protocol.WriteStars}, Judge: func(r *policy.Request) policy.Verdict {
		if !r.Anonymous() {
			return policy.Permit
		}
		return policy.Silent
	}})
	assert.Equal(t, policy.Allow, p.Decide(r).Effect)
	assert.Equal(t, policy.Deny, p.Decide(request(protocol.WriteStars, nil)).Effect)
	assert.Equal(t, policy.Deny, p.Decide(request(protocol.WriteTrust, token)).Effect)
}

// Numbers other than npm's, to the instant.
func TestNPMWithLimits(t *testing.T) {
	p := policy.NPM().WithLimits(policy.Limits{HighImpactHold: time.Hour}).With(policy.BypassPublishEnds(now))
	require.NoError(t, p.Err())
	all := []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}

	r := request(protocol.Publish, &policy.Credential{Kind: policy.KindToken, Bypass: true, Grants: all})
	assert.Equal(t, []string{"bypass-publishes-no-more"}, codes(p.Decide(r)))
	assert.Equal(t, policy.Allow, policy.NPM().Decide(r).Effect, "npm has named no day")
	r.Now = now.Add(-1)
	assert.Equal(t, policy.Allow, p.Decide(r).Effect)
	r.Now = now
	for name, c := range map[string]*policy.Credential{
		"without bypass": {Kind: policy.KindToken, Grants: all}, "a session": {Kind: policy.KindSession},
	} {
		other := request(protocol.Publish, c)
		other.Proof = policy.ProofTOTP
		assert.Equal(t, policy.Allow, p.Decide(other).Effect, name)
	}
	r.Operation.Action = protocol.SetDistTag
	assert.Equal(t, policy.Allow, p.Decide(r).Effect, "tags are not versions")

	r = request(protocol.Publish, &policy.Credential{Kind: policy.KindSession})
	r.Proof, r.Account.HighImpact, r.Account.Recovered = policy.ProofTOTP, true, now.Add(-time.Hour)
	assert.Equal(t, policy.Allow, p.Decide(r).Effect, "over")
	assert.Equal(t, []string{"account-held"}, codes(policy.NPM().Decide(r)))
	r.Account.Recovered = now.Add(-time.Hour + 1)
	assert.Equal(t, []string{"account-held"}, codes(p.Decide(r)))
	r.Account.Recovered = now.Add(time.Hour)
	assert.Equal(t, []string{"account-held"}, codes(p.Decide(r)), "a clock that is ahead is no way out")

	p = policy.NPM().WithLimits(policy.Limits{Tokens: -1})
	assert.ErrorIs(t, p.Err(), policy.ErrLimits)
	assert.Equal(t, []string{policy.CodeBrokenPolicy}, codes(p.Decide(request(protocol.Ping, nil))))
	assert.ErrorIs(t, p.Without("cidr").Err(), policy.ErrLimits, "an error stays")
}

// The hold of a recovered account that many depend on, action by action: it denies every change of a
// package or of who may do what, and every new token, with each kind of credential that could do it.
// It denies no read, and nothing that protects the account.
func TestNPMHoldByAction(t *testing.T) {
	// One request for each action that npm's rules can allow at all, with what allows it.
	denied := map[protocol.Action][]string{
		protocol.Publish:         {"session %s publish plain=public:rw totp", "token(rw:all)+bypass %s publish plain=public:rw -", "session %s publish new=absent:create totp"},
		protocol.SetDistTag:      {"session %s set-dist-tag plain=public:rw totp", "token(rw:plain)+bypass %s set-dist-tag plain=public:rw -"},
		protocol.RemoveDistTag:   {"session %s remove-dist-tag plain=public:rw totp", "token(rw:plain)+bypass %s remove-dist-tag plain=public:rw -"},
		protocol.Deprecate:       {"session %s deprecate plain=public:rw totp", "token(rw:plain)+bypass %s deprecate plain=public:rw -"},
		protocol.Unpublish:       {"session %s unpublish plain=public:rw totp", "token(rw:plain)+bypass %s unpublish plain=public:rw -"},
		protocol.UnpublishAll:    {"session %s unpublish-all plain=public:rw totp", "token(rw:plain)+bypass %s unpublish-all plain=public:rw -"},
		protocol.WriteOwners:     {"session %s write-owners plain=public:rwa totp", "token(rw:plain) %s write-owners plain=public:rwa totp"},
		protocol.SetAccess:       {"session %s set-access plain=public:rwa totp", "token(rw:plain) %s set-access plain=public:rwa totp"},
		protocol.WriteOrg:        {"session %s write-org org=acme:owner totp", "token(rw:org=acme) %s write-org org=acme:owner totp"},
		protocol.SetOrgFactor:    {"session %s set-org-factor org=acme:owner totp"},
		protocol.WriteOrgTrust:   {"session %s write-org-trust org=acme:owner totp"},
		protocol.WriteTeam:       {"session %s write-team org=acme:owner totp"},
		protocol.WriteTeamMember: {"session %s write-team-member org=acme:owner totp"},
		protocol.GrantTeam:       {"session %s grant-team org=acme:owner+plain=public:rwa totp"},
		protocol.Stage:           {"session %s stage plain=public:rw -", "token(stage:plain) %s stage plain=public:rw -"},
		protocol.ApproveStaged:   {"session %s approve-staged plain=public:rw totp"},
		protocol.WriteTrust:      {"session %s write-trust plain=public:rwa totp"},
		protocol.CreateToken:     {"session %s create-token/write - totp", "session %s create-token/write/bypass - totp", "session %s create-token - totp"},
		protocol.ManageService:   {"session %s manage-service/admin/write/bypass - totp"},
	}
	free := map[protocol.Action]string{
		protocol.Star:         "session %s star plain=public totp", // changes no package
		protocol.Login:        "anonymous - login - -",
		protocol.LegacyLogin:  "anonymous - legacy-login - -",
		protocol.LegacyUpdate: "anonymous - legacy-update - -",
		protocol.AuthPage:     "anonymous - auth-page - -",
		protocol.ReportLeak:   "anonymous - report-leak - -",
		protocol.Logout:       "session %s logout - -",
		protocol.RevokeToken:  "session %s revoke-token - totp",
		protocol.EndSession:   "session %s end-session - totp",
		protocol.WriteProfile: "session %s write-profile - totp",
		protocol.SetTwoFactor: "session %s set-two-factor - totp",
		protocol.AddFactor:    "session %s add-factor - totp", protocol.RemoveFactor: "session %s remove-factor - totp",
		protocol.SetPassword:   "session %s set-password - totp",
		protocol.RevokeService: "session %s revoke-service/admin - totp",
		protocol.RejectStaged:  "session %s reject-staged plain=public:rw totp",
		protocol.ExchangeToken: "anonymous - exchange-token plain=public -", // a publisher is no account
	}
	reads := map[protocol.Action]string{
		protocol.ReadPackument: "token(ro:all) %s read-packument plain=private:r -",
		protocol.ReadTarball:   "token(ro:all) %s read-tarball plain=private:r -",
		protocol.ReadTrust:     "session %s read-trust plain=public:rwa totp",
		protocol.ReadOrgTrust:  "session %s read-org-trust org=acme:owner totp",
		protocol.CheckTrust:    "session %s check-trust plain=public:rwa totp",
		protocol.Whoami:        "token(ro:all) %s whoami - -",
		protocol.ListTokens:    "session %s list-tokens - -",
	}
	npm := policy.NPM()
	decide := func(line, account string) policy.Decision {
		if strings.Contains(line, "%s") {
			line = fmt.Sprintf(line, account)
		}
		row, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, line)
		return npm.Decide(row.Request)
	}
	for _, action := range protocol.Actions() {
		for _, line := range denied[action] {
			require.Equal(t, policy.Allow, decide(line, "auth-and-writes,high-impact").Effect, "%s: otherwise it shows nothing", line)
			assert.Equal(t, policy.Allow, decide(line, "auth-and-writes,recovered").Effect, line)
			d := decide(line, "auth-and-writes,high-impact,recovered")
			assert.Equal(t, policy.Deny, d.Effect, line)
			assert.Equal(t, []string{"account-held"}, codes(d), line)
		}
		for _, lines := range []map[protocol.Action]string{free, reads} {
			if line, ok := lines[action]; ok {
				assert.Equal(t, policy.Allow, decide(line, "auth-and-writes,high-impact,recovered").Effect, line)
			}
		}
		_, other := free[action]
		off := slices.Equal(codes(npm.Decide(request(action, &policy.Credential{Kind: policy.KindSession}))), []string{"not-offered"})
		if action.Write() && !other && !off && action != protocol.WritePackument {
			assert.NotEmpty(t, denied[action], "%v changes something: is it denied after a recovery?", action)
		}
	}
}

// Leaving out a rule opens what that rule closed and nothing behind it.
func TestNPMWithoutARule(t *testing.T) {
	for _, tt := range []struct{ rule, line string }{
		{"service-signs-in-never", "session off,service publish plain=public:rw - => deny no-second-factor"},
		{"service-signs-in-never", "session off,service manage-service/admin - - => deny no-second-factor"},
		{"bypass-manages-nothing", "token(rw:all)+bypass off,service write-owners plain=public:rwa - => deny service-manages-nothing"},
		{"service-manages-nothing", "token(rw:org=acme)+bypass off,service write-org org=acme:owner - => deny bypass-manages-nothing"},
		{"service-needs-bypass", "token(rw:plain) off,service publish plain=public:rw:mfa - => deny package-disallows-tokens"},
		{"hidden-org", "session auth-only write-org org=acme:none totp => deny not-permitted"},
		{"no-org-grant", "token(rw:all) auth-only write-org org=acme:owner totp => deny not-permitted"},
		{"read-only-org-token", "token(ro:org=acme) auth-only write-org org=acme:owner totp => deny not-permitted"},
		{"org-role", "session auth-only write-team org=acme:member totp => deny not-permitted"},
		{"grant-needs-admin", "session auth-only grant-team org=acme:owner+plain=private:a totp => deny not-permitted"},
		{"org-requires-factor", "token(rw:@acme)+bypass off publish @acme/new=absent:create:requires-factor - => deny not-permitted"},
		{"org-requires-factor", "token(rw:@acme)+bypass off set-dist-tag @acme/widget=public:rw:requires-factor - => deny not-permitted"},
		{"org-requires-factor", "session off read-packument @acme/widget=private:r:requires-factor - => deny not-permitted"},
		{"org-requires-factor", "session off read-org org=acme:owner:requires-factor - => deny not-permitted"},
		{"may-not-manage", "session auth-only write-owners plain=public:rw totp => deny not-permitted"},
		{"verb-not-granted", "token(rw[publish]:plain) auth-only set-access plain=public:rwa totp => deny not-permitted"},
		{"no-security-key", "session auth-only publish plain=public:rw:keys-only totp => challenge security-key-only"},
		{"no-security-key", "session off publish plain=public:rw:keys-only - => deny no-second-factor"},
		{"security-key-only", "session auth-only,keys publish plain=public:rw:none:keys-only - => challenge publish-needs-factor"},
		{"security-key-only", "session auth-only,keys,keys-only create-token/write - recovery => challenge recovery-code"},
		{"not-administrator", "session auth-only manage-service - totp => deny not-permitted"},
		{"session-only", "token(rw:all) auth-only manage-service/admin - totp => deny not-permitted"},
	} {
		row, err := policytest.Parse(tt.line)
		require.NoError(t, err, tt.line)
		d := policy.NPM().Without(tt.rule).Decide(row.Request)
		assert.Equal(t, row.Effect, d.Effect, tt.line)
		assert.Equal(t, row.Codes, codes(d), tt.line)
	}
}

// What a person reads first is what helps: the rules are in that order.
func TestNPMFirstReason(t *testing.T) {
	for line, want := range map[string]string{
		"token(ro:plain) auth-only write-owners plain=public:r -":                          "read-only-token",
		"token(rw:all)+bypass auth-only set-access plain=public:rw -":                      "bypass-manages-nothing",
		"token(rw:all)+bypass auth-only write-org org=acme:owner -":                        "bypass-manages-nothing",
		"session auth-only write-org org=acme:member -":                                    "org-role",
		"session off write-org org=acme:member -":                                          "org-role",
		"token(rw:@acme) auth-only read-org org=acme:owner -":                              "no-org-grant",
		"session off write-team org=acme:owner:requires-factor -":                          "org-requires-factor",
		"session off publish @acme/widget=private:rw:requires-factor -":                    "org-requires-factor",
		"session off read-tarball @acme/widget=private:r:requires-factor -":                "org-requires-factor",
		"token(rw[publish]:@acme)+bypass auth-only unpublish @acme/widget=public:rw:mfa -": "verb-not-granted",
		"token(rw[publish]:@acme)+bypass auth-only publish @acme/new=absent -":             "verb-not-granted",
		"token(rw[publish]:@acme/new)+bypass auth-only publish @acme/new=absent:create -":  "create-needs-scope",
		"session off,service publish plain=public:rw -":                                    "service-signs-in-never",
		"token(rw:all) auth-only,high-impact,recovered publish plain=public:rw -":          "account-held",
		"session auth-only,factor-required set-two-factor/off - totp":                      "factor-required",
		"session off set-access/mfa=none plain=public:rwa -":                               "mfa-none",
		"token(rw:all) auth-only manage-service - -":                                       "session-only",
		"session auth-only grant-team org=acme:admin+plain=public:rw -":                    "grant-needs-admin",
		"session off publish plain=public:rw:keys-only -":                                  "no-security-key",
		"token(rw:all) auth-only publish plain=public:rw:mfa:publishers-only -":            "publishers-only",
		"anonymous - star plain=public -":                                                  "login-required",
	} {
		row, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, line)
		d := policy.NPM().Decide(row.Request)
		require.Equal(t, policy.Deny, d.Effect, line)
		assert.Equal(t, want, d.Reasons[0].Code, line)
	}
}

// matrix yields the requests of the matrix of decisions, with a proof where those differ. Under the race
// detector, which has nothing to see here and makes all of it ten times slower, it yields every seventh of those
// that are about a package.
func matrix() iter.Seq[policy.Request] {
	return func(yield func(policy.Request) bool) {
		n := 0
		for r := range policytest.Requests() {
			if n++; raceEnabled && n%7 != 0 && !r.Operation.Package.IsZero() {
				continue
			}
			if !yield(r) {
				return
			}
		}
	}
}

// A package that one may not see is as good as absent, and so is an organization that one is not in: in the
// effect and in every reason. What would be seen with the factor that is demanded is no secret.
func TestNPMHidesLikeAbsent(t *testing.T) {
	p := policy.NPM()
	hidden := 0
	for r := range matrix() {
		a, c := r.Operation.Action, r.Credential
		seen := r
		seen.Package.RequireFactor = false
		absent := r
		switch {
		case a.OfPackage() && r.Package.ID != "" && !seen.Rights().Has(policy.RightRead):
			absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}
		case a.OfOrg() && c != nil && (r.Org.Role == protocol.NoRole && !npmOwnScope(r) || c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g protocol.Grant) bool { return g.Target == protocol.OneOrg })):
			absent.Org, absent.Package, absent.Settings = policy.OrgFacts{}, policy.Facts{}, policy.Settings{}
		case a == protocol.GrantTeam && r.Package.Private && (!r.Package.Rights.Has(policy.RightAdmin) || !r.Package.Rights.Has(policy.RightRead)):
			absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}
		default:
			continue
		}
		hidden++
		line, err := policytest.Format(r)
		require.NoError(t, err)
		require.Equal(t, p.Decide(absent), p.Decide(r), line)
		absent.Settings.KeysOnly, absent.Settings.PublishersOnly = true, true // of the scope, which what is absent is in as well
		require.Equal(t, p.Decide(absent), p.Decide(r), line)
	}
	require.Greater(t, hidden, 1000)
}

// Taking something from a request never makes it do more.
func TestNPMMonotone(t *testing.T) {
	p := policy.NPM()
	n := 0
	for r := range matrix() {
		n++
		had := p.Decide(r).Effect
		if had == policy.Deny && n%5 != 0 { // most of them are, and few of these show anything
			continue
		}
		try := func(what string, change func(q *policy.Request)) {
			q := r
			change(&q)
			if got := p.Decide(q).Effect; got > had {
				t.Fatalf("%s: %v became %v: %+v by %+v", what, had, got, q, q.Credential)
			}
		}
		for _, right := range []policy.Rights{policy.RightRead, policy.RightWrite, policy.RightAdmin} {
			try("a right", func(q *policy.Request) { q.Package.Rights &^= right })
		}
		try("creating", func(q *policy.Request) { q.Package.MayCreate = false })
		try("mfa=publish", func(q *policy.Request) { q.Settings.Publish = protocol.FactorOnly })
		if r.Settings.Publish == protocol.NoFactor {
			try("mfa=automation", func(q *policy.Request) { q.Settings.Publish = protocol.FactorOrBypass })
		}
		try("only keys, by the package", func(q *policy.Request) { q.Settings.KeysOnly = true })
		try("only trusted publishers", func(q *policy.Request) { q.Settings.PublishersOnly = true })
		try("only keys, by the account", func(q *policy.Request) { q.Account.KeysOnly = true })
		try("a key", func(q *policy.Request) { q.Account.Keys = false })
		try("a factor demanded of the package's", func(q *policy.Request) { q.Package.RequireFactor = true })
		try("a factor demanded of the organization's", func(q *policy.Request) { q.Org.RequireFactor = true })
		if r.Org.Role > protocol.NoRole && r.Org.Role <= protocol.OrgOwner {
			try("a role", func(q *policy.Request) { q.Org.Role-- })
		}
		try("the organization", func(q *policy.Request) { q.Org.ID, q.Org.Own = "", false }) // without it the scope may be the user's own
		try("the scope of their own", func(q *policy.Request) { q.Org.Own = false })
		try("mfa=none", func(q *policy.Request) { q.Change = also(q.Change, *newMode(protocol.NoFactor)) })
		try("administering", func(q *policy.Request) { q.Administers = false })
		if r.Credential == nil {
			continue
		}
		try("the clock", func(q *policy.Request) { q.Now = time.Time{} })
		try("the address", func(q *policy.Request) { q.Account.CIDRs = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
		try("taking the factor off", func(q *policy.Request) { q.Change = also(q.Change, *factorOff) })
		try("a factor demanded of the account", func(q *policy.Request) { q.Account.FactorRequired = true })
		try("the account held", func(q *policy.Request) { q.Account.HighImpact, q.Account.Recovered = true, now })
		credential := func(what string, change func(c *policy.Credential)) {
			c := *r.Credential
			c.Grants = slices.Clone(c.Grants)
			change(&c)
			try(what, func(q *policy.Request) { q.Credential = &c })
		}
		if a := r.Operation.Action; a != protocol.WriteOwners && a != protocol.SetAccess && a != protocol.ApproveStaged && a != protocol.RejectStaged && (!a.OfOrg() || !a.Write()) { // which bypass is in the way of
			credential("bypass", func(c *policy.Credential) { c.Bypass = false })
		}
		if r.Credential.Kind == policy.KindSession {
			continue
		}
		for i, g := range r.Credential.Grants {
			credential("a grant", func(c *policy.Credential) { c.Grants = slices.Delete(c.Grants, i, i+1) })
			if g.Permission <= protocol.StageOnly {
				credential("writing", func(c *policy.Credential) { c.Grants[i].Permission = min(g.Permission, protocol.ReadOnly) })
			}
			for verb := protocol.VerbPublish; verb <= protocol.VerbCreate; verb <<= 1 {
				switch {
				case g.Verbs == 0:
					credential("all verbs but one", func(c *policy.Credential) { c.Grants[i].Verbs = verb })
				case g.Verbs&^verb != 0:
					credential("a verb", func(c *policy.Credential) { c.Grants[i].Verbs &^= verb })
				}
			}
		}
	}
}

// request returns a request by c about a public package that its user may write to.
func request(a protocol.Action, c *policy.Credential) policy.Request {
	r := policy.Request{
		Operation: protocol.Operation{Action: a},
		Package:   policy.Facts{ID: "p-1", Rights: policy.RightRead | policy.RightWrite},
		Addr:      here,
		Now:       now,
	}
	if a.OfPackage() || a == protocol.GrantTeam {
		r.Operation.Package = protocol.PackageName{Scope: "acme", Name: "widget"}
	}
	if a.OfOrg() {
		r.Operation.Org = "acme"
	}
	if c != nil {
		if c.User == "" && c.Kind != policy.KindUnknown && c.Kind != policy.KindPublisher {
			c.User = "u-alice"
		}
		if c.Expires.IsZero() {
			c.Created, c.Expires = created, now.Add(time.Hour)
		}
		r.Credential = c
		if c.User != "" {
			r.Account = policy.Account{ID: c.User, Name: "alice", TwoFactor: protocol.AuthOnly}
		}
	}
	return r
}
