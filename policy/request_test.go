package policy_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Effective rights are grants ∩ live rights, and reading what is public.
func TestRequestRights(t *testing.T) {
	const r, w, a = policy.RightRead, policy.RightWrite, policy.RightAdmin
	grant := func(p protocol.Permission) []protocol.Grant {
		return []protocol.Grant{{Target: protocol.AllPackages, Permission: p}}
	}
	verbs := func(v protocol.Verbs) []protocol.Grant {
		return []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite, Verbs: v}}
	}
	token := func(gs []protocol.Grant) *policy.Credential {
		return &policy.Credential{Kind: policy.KindToken, Grants: gs}
	}
	session := &policy.Credential{Kind: policy.KindSession}
	for name, tt := range map[string]struct {
		cred  *policy.Credential
		facts policy.Facts
		want  policy.Rights
	}{
		"absent":                              {session, policy.Facts{Rights: r | w | a}, 0},
		"session":                             {session, policy.Facts{ID: "p", Private: true, Rights: r | w | a}, r | w | a},
		"session without":                     {session, policy.Facts{ID: "p", Private: true}, 0},
		"session, public":                     {session, policy.Facts{ID: "p"}, r},
		"anonymous, public":                   {nil, policy.Facts{ID: "p", Rights: w | a}, r},
		"anonymous, private":                  {nil, policy.Facts{ID: "p", Private: true, Rights: r | w | a}, 0},
		"reading token":                       {token(grant(protocol.ReadOnly)), policy.Facts{ID: "p", Private: true, Rights: r | w | a}, r},
		"writing token":                       {token(grant(protocol.ReadWrite)), policy.Facts{ID: "p", Private: true, Rights: r | w | a}, r | w | a},
		"writing token, no admin":             {token(grant(protocol.ReadWrite)), policy.Facts{ID: "p", Private: true, Rights: r | w}, r | w},
		"its verbs":                           {token(verbs(protocol.VerbPublish | protocol.VerbDistTag)), policy.Facts{ID: "p", Private: true, Rights: r | w | a}, r | w},
		"other verbs":                         {token(verbs(protocol.VerbDistTag)), policy.Facts{ID: "p", Private: true, Rights: r | w | a}, r},
		"verbs of tomorrow":                   {token(verbs(1 << 7)), policy.Facts{ID: "p", Private: true, Rights: r | w | a}, r},
		"publisher":                           {&policy.Credential{Kind: policy.KindPublisher, Package: "p", Grants: grant(protocol.ReadWrite)}, policy.Facts{ID: "p", Private: true}, r | w},
		"publisher of another":                {&policy.Credential{Kind: policy.KindPublisher, Package: "q", Grants: grant(protocol.ReadWrite)}, policy.Facts{ID: "p", Private: true, Rights: r | w | a}, 0},
		"publisher of none":                   {&policy.Credential{Kind: policy.KindPublisher, Grants: grant(protocol.ReadWrite)}, policy.Facts{Private: true, Rights: r | w | a}, 0},
		"publisher, factor demanded":          {&policy.Credential{Kind: policy.KindPublisher, Package: "p", Grants: grant(protocol.ReadWrite)}, policy.Facts{ID: "p", Private: true, RequireFactor: true}, r | w},
		"factor demanded":                     {session, policy.Facts{ID: "p", Private: true, Rights: r | w | a, RequireFactor: true}, 0},
		"factor demanded, public":             {session, policy.Facts{ID: "p", Rights: r | w | a, RequireFactor: true}, r},
		"writing token, reader":               {token(grant(protocol.ReadWrite)), policy.Facts{ID: "p", Private: true, Rights: r}, r},
		"staging token":                       {token(grant(protocol.StageOnly)), policy.Facts{ID: "p", Private: true, Rights: r | w}, r},
		"token with nothing":                  {token(nil), policy.Facts{ID: "p", Private: true, Rights: r | w}, 0},
		"token with nothing, public":          {token(nil), policy.Facts{ID: "p", Rights: r | w}, r},
		"token with a permission of tomorrow": {token(grant(9)), policy.Facts{ID: "p", Private: true, Rights: r | w}, 0},
		"unknown kind":                        {&policy.Credential{Kind: 9, Grants: grant(protocol.ReadWrite)}, policy.Facts{ID: "p", Private: true, Rights: r | w}, 0},
	} {
		req := policy.Request{Operation: protocol.Operation{Action: protocol.Publish, Package: widget}, Credential: tt.cred, Package: tt.facts}
		assert.Equal(t, tt.want, req.Rights(), name)
		if tt.cred != nil && tt.cred.Kind == policy.KindToken && len(tt.cred.Grants) > 0 && tt.cred.Grants[0].Verbs != 0 {
			req.Operation.Action = 200
			assert.Equal(t, tt.want&r, req.Rights(), "%s: what is no action takes no verb", name)
		}
	}
}

func TestRequestMayCreate(t *testing.T) {
	one := []protocol.Grant{{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite}}
	scope := []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}}
	read := []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}}
	for name, tt := range map[string]struct {
		cred  *policy.Credential
		facts policy.Facts
		want  bool
	}{
		"session":           {&policy.Credential{Kind: policy.KindSession}, policy.Facts{MayCreate: true}, true},
		"not allowed":       {&policy.Credential{Kind: policy.KindSession}, policy.Facts{}, false},
		"exists":            {&policy.Credential{Kind: policy.KindSession}, policy.Facts{ID: "p", MayCreate: true}, false},
		"scope":             {&policy.Credential{Kind: policy.KindToken, Grants: scope}, policy.Facts{MayCreate: true}, true},
		"one package":       {&policy.Credential{Kind: policy.KindToken, Grants: one}, policy.Facts{MayCreate: true}, false},
		"one and all reads": {&policy.Credential{Kind: policy.KindToken, Grants: append(read, one...)}, policy.Facts{MayCreate: true}, false},
		"anonymous":         {nil, policy.Facts{MayCreate: true}, false},
		"factor demanded":   {&policy.Credential{Kind: policy.KindSession}, policy.Facts{MayCreate: true, RequireFactor: true}, false},
		"verb":              {&policy.Credential{Kind: policy.KindToken, Grants: narrowed(scope, protocol.VerbCreate)}, policy.Facts{MayCreate: true}, true},
		"other verb":        {&policy.Credential{Kind: policy.KindToken, Grants: narrowed(scope, protocol.VerbPublish)}, policy.Facts{MayCreate: true}, false},
		"verb on one":       {&policy.Credential{Kind: policy.KindToken, Grants: narrowed(one, protocol.VerbCreate)}, policy.Facts{MayCreate: true}, false},
	} {
		req := policy.Request{Operation: protocol.Operation{Action: protocol.Publish, Package: widget}, Credential: tt.cred, Package: tt.facts}
		assert.Equal(t, tt.want, req.MayCreate(), name)
	}
}

func TestRequestAnonymous(t *testing.T) {
	var r policy.Request
	assert.True(t, r.Anonymous())
	assert.Equal(t, policy.KindUnknown, r.Kind())
	assert.False(t, r.Bypasses())
	r.Credential = &policy.Credential{}
	assert.False(t, r.Anonymous())
	r.Credential = &policy.Credential{Kind: policy.KindSession, Bypass: true}
	assert.False(t, r.Bypasses(), "only tokens do")
	r.Credential = &policy.Credential{Kind: policy.KindToken, Bypass: true}
	assert.True(t, r.Bypasses())
}

// Expiry is half-open: one before, at, one after.
func TestCredentialDead(t *testing.T) {
	c := policy.Credential{Kind: policy.KindToken, Expires: now}
	assert.False(t, c.Dead(now.Add(-1)))
	assert.True(t, c.Dead(now))
	assert.True(t, c.Dead(now.Add(1)))
	assert.True(t, c.Dead(time.Time{}), "no clock")
	c.Expires = time.Time{}
	assert.True(t, c.Dead(now), "a token without an end does not exist")
	c.Kind = policy.KindForeign
	assert.False(t, c.Dead(now), "an older one may")
	assert.True(t, c.Dead(time.Time{}))
}

func TestCredentialFrom(t *testing.T) {
	prefixes := func(texts ...string) (ps []netip.Prefix) {
		for _, text := range texts {
			ps = append(ps, netip.MustParsePrefix(text))
		}
		return ps
	}
	for name, tt := range map[string]struct {
		cidrs []netip.Prefix
		addr  string
		want  bool
	}{
		"none":             {nil, "192.0.2.7", true},
		"empty":            {[]netip.Prefix{}, "192.0.2.7", true},
		"in":               {prefixes("192.0.2.0/24"), "192.0.2.255", true},
		"just out":         {prefixes("192.0.2.0/24"), "192.0.3.0", false},
		"in the second":    {prefixes("198.51.100.0/24", "192.0.2.0/24"), "192.0.2.7", true},
		"mapped":           {prefixes("192.0.2.0/24"), "::ffff:192.0.2.7", true},
		"IPv6":             {prefixes("2001:db8::/32"), "2001:db8::1", true},
		"other family":     {prefixes("::/0"), "192.0.2.7", false},
		"other family too": {prefixes("0.0.0.0/0"), "2001:db8::1", false},
		"a zone":           {prefixes("fe80::/10"), "fe80::1%eth0", false},
	} {
		c := policy.Credential{CIDRs: tt.cidrs}
		assert.Equal(t, tt.want, c.From(netip.MustParseAddr(tt.addr)), name)
	}
	c := policy.Credential{CIDRs: prefixes("0.0.0.0/0", "::/0")}
	assert.False(t, c.From(netip.Addr{}), "an address nobody knows is in no range")
	c.CIDRs = []netip.Prefix{{}}
	assert.False(t, c.From(here), "nor is any in a range that is none")
}

// narrowed returns the grants with verbs.
func narrowed(grants []protocol.Grant, v protocol.Verbs) []protocol.Grant {
	grants = slices.Clone(grants)
	for i := range grants {
		grants[i].Verbs = v
	}
	return grants
}

// In an organization that demands a second factor, who has none has no part.
func TestRequestRole(t *testing.T) {
	session := &policy.Credential{Kind: policy.KindSession}
	for name, tt := range map[string]struct {
		cred    *policy.Credential
		account policy.Account
		org     policy.OrgFacts
		want    protocol.OrgRole
	}{
		"owner":               {session, policy.Account{TwoFactor: protocol.TwoFactorOff}, policy.OrgFacts{ID: "o", Role: protocol.OrgOwner}, protocol.OrgOwner},
		"none":                {session, policy.Account{}, policy.OrgFacts{ID: "o"}, protocol.NoRole},
		"of no organization":  {session, policy.Account{}, policy.OrgFacts{Role: protocol.OrgOwner}, protocol.NoRole},
		"a role of tomorrow":  {session, policy.Account{}, policy.OrgFacts{ID: "o", Role: protocol.OrgOwner + 1}, protocol.NoRole},
		"anonymous":           {nil, policy.Account{}, policy.OrgFacts{ID: "o", Role: protocol.OrgOwner}, protocol.NoRole},
		"factor demanded":     {session, policy.Account{TwoFactor: protocol.TwoFactorOff}, policy.OrgFacts{ID: "o", Role: protocol.OrgOwner, RequireFactor: true}, protocol.NoRole},
		"factor unknown":      {session, policy.Account{}, policy.OrgFacts{ID: "o", Role: protocol.OrgOwner, RequireFactor: true}, protocol.NoRole},
		"factor there":        {session, policy.Account{TwoFactor: protocol.AuthOnly}, policy.OrgFacts{ID: "o", Role: protocol.OrgAdmin, RequireFactor: true}, protocol.OrgAdmin},
		"no person's to have": {session, policy.Account{Service: true}, policy.OrgFacts{ID: "o", Role: protocol.OrgMember, RequireFactor: true}, protocol.OrgMember},
	} {
		req := policy.Request{Operation: protocol.Operation{Action: protocol.ReadOrg, Org: "acme"}, Credential: tt.cred, Account: tt.account, Org: tt.org}
		assert.Equal(t, tt.want, req.Role(), name)
	}
}
