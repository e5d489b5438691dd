package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
)

func TestEvidenceText(t *testing.T) {
	both := policy.EvidencePublisher | policy.EvidenceApproval
	sets(t, both, both, "publisher+approval", "publisher+", "approval+approval", "Publisher", "none+approval")
}

// anything is what no evidence is missing of, because the rule is not about it.
const anything policy.Evidence = 255

// releases are requests, most of a new version, and the evidence that it has or will have.
var releases = map[string]policy.Evidence{
	"session                        auth-only  publish  @acme/widget=public:rw  totp":                         0,
	"token(rw:all)+bypass           auth-only  publish  @acme/widget=public:rw  -":                            0,
	"publisher(rw:@acme/widget)     -          publish  @acme/widget=public:rw  -":                            policy.EvidencePublisher,
	"session                        auth-only  stage    @acme/widget=public:rw  -":                            policy.EvidenceApproval,
	"token(stage:all)               auth-only  stage    @acme/widget=public:rw  -":                            policy.EvidenceApproval,
	"publisher(stage:@acme/widget)  -          stage    @acme/widget=public:rw  -":                            policy.EvidencePublisher | policy.EvidenceApproval,
	"session                        auth-only  approve-staged  @acme/widget=public:rw:stager=u-bob  totp":     policy.EvidenceApproval,
	"token(rw:all)                  auth-only  approve-staged  @acme/widget=public:rw:stager=u-bob  web":      policy.EvidenceApproval,
	"session                        auth-only  approve-staged  @acme/widget=public:rw  key":                   policy.EvidencePublisher | policy.EvidenceApproval,
	"session                        auth-only  reject-staged   @acme/widget=public:rw:stager=u-bob  totp":     anything, // is of no version
	"token(rw:all)+bypass           auth-only  set-dist-tag    @acme/widget=public:rw  -":                     anything, // likewise
	"session                        auth-only  publish         @acme/widget=absent:create  totp":              anything, // there is none before it
	"session                        auth-only  approve-staged  @acme/widget=absent:create:stager=u-bob  totp": anything, // likewise
}

// A version has what the newest one has, and may have more.
func TestEvidenceStays(t *testing.T) {
	p := policy.NPM().With(policy.EvidenceStays(""))
	require.NoError(t, p.Err())
	for line, has := range releases {
		row, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, line)
		require.Equal(t, policy.Allow, policy.NPM().Decide(row.Request).Effect, line)
		for newest := range policy.Evidence(8) { // 4 is unknown, and no version has it
			r := row.Request
			r.Package.Evidence = newest
			falls := newest&policy.EvidencePublisher != 0 && has&policy.EvidencePublisher == 0 ||
				newest&policy.EvidenceApproval != 0 && has&policy.EvidenceApproval == 0 || newest >= 4 && has != anything
			d := p.Decide(r)
			if !falls {
				assert.Equal(t, policy.Allow, d.Effect, "%s after %v", line, newest)
				continue
			}
			assert.Equal(t, policy.Deny, d.Effect, "%s after %v", line, newest)
			assert.Equal(t, []string{"less-evidence"}, codes(d), "%s after %v", line, newest)
		}
	}
}

// Before the second factor was shown, and to those who may not publish, the rule says the same as without evidence.
func TestEvidenceStaysSilent(t *testing.T) {
	npm := policy.NPM()
	p := npm.With(policy.EvidenceStays(""))
	for _, line := range []string{
		"anonymous             -          publish         @acme/widget=public      -",
		"session               auth-only  publish         @acme/widget=public:r    totp",
		"session               auth-only  publish         @acme/widget=private     totp",
		"token(ro:all)+bypass  auth-only  publish         @acme/widget=public:rw   -",
		"session               auth-only  stage           @acme/widget=public:r    -",
		"session               auth-only  approve-staged  @acme/widget=public:r    totp",
		"token(stage:all)      auth-only  approve-staged  @acme/widget=public:rw   totp",
		"token(stage:all)      auth-only  publish         @acme/widget=public:rw   -",
	} {
		row, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, line)
		row.Request.Package.Evidence = policy.EvidencePublisher | policy.EvidenceApproval
		assert.Equal(t, npm.Decide(row.Request), p.Decide(row.Request), line)
		assert.NotContains(t, codes(p.Decide(row.Request)), "less-evidence", line)
	}
	row, err := policytest.Parse("session auth-only approve-staged @acme/widget=public:rw:stager=u-bob:evidence=approval - => challenge decision-needs-factor")
	require.NoError(t, err)
	assert.Equal(t, policy.Challenge, p.Decide(row.Request).Effect)

	// Where tokens that bypass the second factor approve, it is no approval by a person.
	row, err = policytest.Parse("token(rw:all)+bypass auth-only approve-staged @acme/widget=public:rw:stager=u-bob:evidence=approval - => allow")
	require.NoError(t, err)
	lax := npm.Without("decision-takes-a-person")
	assert.Equal(t, policy.Allow, lax.Decide(row.Request).Effect)
	assert.Equal(t, []string{"less-evidence"}, codes(lax.With(policy.EvidenceStays("")).Decide(row.Request)))
}

// A label says of which packages it is. It is in the boxes of an Own, and a table covers it.
func TestEvidenceStaysOfALabel(t *testing.T) {
	p := policy.NPM().With(policy.EvidenceStays("critical"))
	own := policytest.Own{Actions: []string{"publish", "stage", "approve-staged"}, Labels: []string{"critical"}, Evidence: []string{"publisher", "approval"}}
	policytest.Run(t, p, `
		covers own

		let newest = @acme/widget=public:rw:evidence=publisher

		session  auth-only  publish  $newest  totp  =>  allow
		session  auth-only  publish  $newest:label=other  totp  =>  allow
		session  auth-only  publish  $newest:label=critical  totp  =>  deny  less-evidence
		session  auth-only  publish  @acme/widget=public:rw:label=critical  totp  =>  allow
	`, own.Box())
	assert.Empty(t, policytest.Dead(p, nil, own.Box()))
}
