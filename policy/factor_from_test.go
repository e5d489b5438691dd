package policy_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
)

// The date changes what these requests get, to the instant, and nothing else.
func TestFactorFrom(t *testing.T) {
	from := policytest.Noon
	p := policy.NPM().WithFactorFrom(from)
	require.NoError(t, p.Err())
	assert.Equal(t, from, p.FactorFrom())
	assert.Empty(t, p.Own(), "the rule is npmauth's")
	for line, refused := range map[string]bool{
		"token(rw:all)+bypass  off  publish       plain=public:rw       -":   true,
		"token(rw:all)+bypass  off  publish       @acme/new=absent:create -": true,
		"token(rw:all)+bypass  off  set-dist-tag  plain=public:rw       -":   true,
		"session               off  publish       plain=public:rw:none  -":   true,
		"token(rw:all)         off  unpublish     plain=public:rw:none  -":   true,
		"token(rw:all)+bypass  off,keys  publish  plain=public:rw       -":   true, // a mode says whether there is a factor

		"session               off  create-token    -                  -":   false,
		"session               off  revoke-token    -                  -":   false,
		"session               off  set-two-factor/mode=auth-only -    -":   false,
		"session               off  star            plain=public:r     -":   false,
		"session               off  read-packument  plain=private:r    -":   false,
		"token(rw:all)+bypass  off,service publish  plain=public:rw    -":   false,
		"publisher(rw:@acme/widget) - publish     @acme/widget=public:rw -": false,
		"token(rw:all)+bypass  auth-only publish    plain=public:rw    -":   false,
		"session               auth-only publish    plain=public:rw:none -": false,
		"session               off  read-org        org=acme:member    -":   false,
		"session               off  revoke-service/admin -             -":   false,
		"session               off  read-packument  plain=public       -":   false,
	} {
		row, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, line)
		for _, at := range []time.Time{from.Add(-1), from, from.Add(time.Hour - 1)} {
			r := row.Request
			r.Now = at
			c := *r.Credential
			c.Expires = at.Add(time.Hour)
			r.Credential = &c
			require.Equal(t, policy.Allow, policy.NPM().Decide(r).Effect, line)
			assert.Equal(t, refused && at.Before(from), p.FactorMissing(r), "%s at %v", line, at)
			d := p.Decide(r)
			if !refused || at.Before(from) {
				assert.Equal(t, policy.Allow, d.Effect, "%s at %v", line, at)
				continue
			}
			assert.Equal(t, []string{"factor-demanded"}, codes(d), "%s at %v", line, at)
		}
	}

	// What is denied without a factor anyway is early as well, and says both when it is time.
	row, err := policytest.Parse("session  off  create-token/write  -  -  =>  deny no-second-factor factor-demanded")
	require.NoError(t, err)
	assert.Equal(t, row.Codes, codes(p.Decide(row.Request)))
	row.Request.Now = from.Add(-1)
	assert.True(t, p.FactorMissing(row.Request))
	anonymous, err := policytest.Parse("anonymous  -  publish  plain=public  -  =>  deny login-required")
	require.NoError(t, err)
	assert.Equal(t, anonymous.Codes, codes(p.Decide(anonymous.Request)))
	anonymous.Request.Now = from.Add(-1)
	assert.False(t, p.FactorMissing(anonymous.Request))
}

// The date can be moved and taken away, and goes where the rule goes.
func TestFactorFromMoves(t *testing.T) {
	r := request(protocol.Publish, &policy.Credential{Kind: policy.KindToken, Bypass: true, Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}}})
	r.Account.TwoFactor = protocol.TwoFactorOff
	p := policy.NPM().WithFactorFrom(now)
	for name, tt := range map[string]struct {
		p      *policy.Policy
		from   time.Time
		denies bool
	}{
		"never":          {policy.NPM(), time.Time{}, false},
		"the nil policy": {nil, time.Time{}, true},
		"now":            {p, now, true},
		"later":          {p.WithFactorFrom(now.Add(1)), now.Add(1), false},
		"no more":        {p.WithFactorFrom(time.Time{}), time.Time{}, false},
		"taken out":      {p.Without("factor-demanded"), time.Time{}, false},
		"with limits":    {p.WithLimits(policy.Limits{Tokens: 5}).With(says("freeze", policy.Silent)), now, true},
		"replaced":       {p.Replace(says("factor-demanded", policy.Silent)), time.Time{}, false},
		"copied":         {policy.New(p.Rules()...), now, true},
	} {
		assert.Equal(t, tt.from, tt.p.FactorFrom(), name)
		assert.Equal(t, tt.denies, tt.p.Decide(r).Effect == policy.Deny, name)
		if tt.p == nil {
			assert.False(t, tt.p.FactorMissing(r), name)
			continue
		}
		require.NoError(t, tt.p.Err(), name)
		ids := 0
		for _, rule := range tt.p.Rules() {
			if rule.ID == "factor-demanded" {
				ids++
			}
		}
		assert.LessOrEqual(t, ids, 1, name)
		early := r
		early.Now = now.Add(-1)
		assert.Equal(t, !tt.from.IsZero(), tt.p.FactorMissing(early), name)
	}
	assert.Error(t, policy.NPM().With(says("factor-demanded", policy.Silent)).WithFactorFrom(now).Err(), "an ID of its own")
	assert.False(t, p.WithLimits(policy.Limits{Tokens: -1}).FactorMissing(r), "a policy with an error")
}

// All that the date changes in the matrix, for review.
func TestFactorFromDifference(t *testing.T) {
	policytest.SnapshotDifference(t, policy.NPM().WithFactorFrom(policytest.Noon), policy.NPM(), "testdata/factor_from.txt")
}

// npmSaysFrom is npmSays from a date on which everybody has to have a second factor.
func npmSaysFrom(r policy.Request, from time.Time) policy.Effect {
	person := r.Credential != nil && r.Credential.Kind != policy.KindPublisher && !r.Account.Service
	if person && r.Account.TwoFactor == protocol.TwoFactorOff && r.Now.Compare(from) >= 0 {
		switch r.Operation.Action {
		case protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.Unpublish, protocol.UnpublishAll,
			protocol.WriteOwners, protocol.SetAccess, protocol.ManageService,
			protocol.WriteOrg, protocol.SetOrgFactor, protocol.WriteOrgTrust, protocol.WriteTeam, protocol.WriteTeamMember, protocol.GrantTeam:
			return policy.Deny
		case protocol.CreateToken:
			if r.Change != nil && r.Change.Token != nil && (r.Change.Token.Bypass ||
				slices.ContainsFunc(r.Change.Token.Grants, func(g protocol.Grant) bool { return g.Permission != protocol.ReadOnly })) {
				return policy.Deny
			}
		}
	}
	return npmSays(r)
}

// TestOracleFactorFrom holds a policy with a date to the second reading, before it and from then on.
func TestOracleFactorFrom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, from := range []time.Time{now.Add(-1), now, now.Add(1)} {
		p := policy.NPM().WithFactorFrom(from)
		check := func(r policy.Request) {
			if want, got := npmSaysFrom(r, from), p.Decide(r); want != got.Effect {
				t.Fatalf("from %v npm says %v: %+v by %+v\n%v", from, want, r, r.Credential, p.Explain(r))
			}
		}
		for r := range matrix() {
			check(r)
		}
		for range 100_000 {
			check(randomRequest(rnd))
		}
	}
}
