package policy_test

import (
	"iter"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
)

var (
	widget = policy.PackageName{Scope: "acme", Name: "widget"}

	openActions = []policy.Action{
		policy.Ping, policy.Audit, policy.ReadKeys, policy.Login, policy.LegacyLogin, policy.LegacyUpdate, policy.AuthPage, policy.ReportLeak,
	}
	readActions = []policy.Action{
		policy.ReadPackument, policy.ReadTarball, policy.ReadAttestations, policy.ReadDistTags, policy.ReadAccess, policy.ReadVisibility,
	}
	writeActions = []policy.Action{policy.Publish, policy.SetDistTag, policy.RemoveDistTag}
	selfActions  = []policy.Action{policy.Whoami, policy.ReadSelf, policy.ReadUser, policy.Logout}
	myActions    = []policy.Action{policy.ListTokens, policy.CreateToken, policy.RevokeToken, policy.ReadProfile, policy.SetTwoFactor}
)

func credentials() []*policy.Credential {
	grant := func(p policy.Permission) []policy.Grant {
		return []policy.Grant{{Target: policy.AllPackages, Permission: p}}
	}
	scope := []policy.Grant{{Target: policy.OneScope, Scope: "acme", Permission: policy.ReadWrite}}
	one := []policy.Grant{{Target: policy.OnePackage, Package: widget, Permission: policy.ReadWrite}}
	mixed := []policy.Grant{
		{Target: policy.AllPackages, Permission: policy.ReadOnly},
		{Target: policy.OneScope, Scope: "acme-evil", Permission: policy.ReadWrite},
		{Target: policy.OneOrg, Scope: "acme", Permission: policy.ReadWrite},
	}
	cs := []*policy.Credential{
		nil,
		{Kind: policy.KindUnknown, User: "u-alice"},
		{Kind: policy.KindSession},
		{Kind: policy.KindSession, Bypass: true, Grants: grant(policy.ReadOnly)},
		{Kind: policy.KindSession, Expires: now},
		{Kind: policy.KindSession, CIDRs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
		{Kind: policy.KindPublisher, Grants: one},
		{Kind: policy.KindPublisher, Grants: scope, Bypass: true},
		{Kind: policy.KindForeign, Grants: grant(policy.ReadWrite), Bypass: true},
		{Kind: policy.Kind(77), User: "u-alice", Grants: grant(policy.ReadWrite), Bypass: true},
	}
	for _, grants := range [][]policy.Grant{nil, grant(policy.NoAccess), grant(policy.ReadOnly), grant(policy.StageOnly), grant(policy.ReadWrite), grant(policy.Permission(9)), scope, one, mixed} {
		for _, bypass := range []bool{false, true} {
			cs = append(cs, &policy.Credential{Kind: policy.KindToken, Grants: grants, Bypass: bypass})
		}
	}
	return cs
}

func facts() []policy.Facts {
	const r, w = policy.RightRead, policy.RightWrite
	return []policy.Facts{
		{}, {MayCreate: true}, {Private: true, Rights: r | w},
		{ID: "p"}, {ID: "p", Rights: r}, {ID: "p", Rights: w}, {ID: "p", Rights: r | w}, {ID: "p", MayCreate: true},
		{ID: "p", Private: true}, {ID: "p", Private: true, Rights: r}, {ID: "p", Private: true, Rights: w},
		{ID: "p", Private: true, Rights: r | w}, {ID: "p", Private: true, MayCreate: true},
	}
}

// matrix yields every combination of what the rules of NPM look at, without a proof.
// Under the race detector, which has nothing to see here and makes all of it ten
// times slower, it yields every seventh.
func matrix() iter.Seq[policy.Request] {
	return func(yield func(policy.Request) bool) {
		n := 0
		for r := range wholeMatrix() {
			if n++; raceEnabled && n%7 != 0 {
				continue
			}
			if !yield(r) {
				return
			}
		}
	}
}

func wholeMatrix() iter.Seq[policy.Request] {
	actions := append(policy.Actions(), policy.Unknown, policy.Action(200))
	return func(yield func(policy.Request) bool) {
		for _, c := range credentials() {
			for _, a := range actions {
				r := request(a, c)
				accounts := []policy.Account{{}}
				if c != nil {
					accounts = nil
					for m := policy.TwoFactorUnknown; m <= policy.AuthAndWrites+1; m++ {
						accounts = append(accounts, policy.Account{ID: c.User, TwoFactor: m})
					}
					accounts = append(accounts,
						policy.Account{ID: c.User, TwoFactor: policy.AuthOnly, Disabled: true},
						policy.Account{ID: c.User, TwoFactor: policy.AuthOnly, NotBefore: now},
						policy.Account{ID: "u-bob", TwoFactor: policy.AuthOnly})
				}
				for _, r.Account = range accounts {
					switch {
					case a == policy.CreateToken:
						for _, r.NewToken = range []policy.NewToken{{}, {Write: true}, {Bypass: true}} {
							if !yield(r) {
								return
							}
						}
					case !a.OfPackage():
						if !yield(r) {
							return
						}
					default:
						for _, r.Package = range facts() {
							for r.Settings.Publish = range policy.FactorOnly + 1 {
								if !yield(r) {
									return
								}
							}
						}
					}
				}
			}
		}
	}
}

// What must hold of every decision, whatever the rules say in detail.
func TestNPMInvariants(t *testing.T) {
	p := policy.NPM()
	n := 0
	for r := range matrix() {
		n++
		d := p.Decide(r)
		a, c := r.Operation.Action, r.Credential
		may := d.Effect != policy.Deny
		fail := func(what string) { t.Errorf("%s: %v by %+v of %+v, %+v", what, r.Operation, c, r.Account, r.Package) }

		if (d.Effect == policy.Allow) != (d.Reasons == nil) || (d.Effect != policy.Allow) != (len(d.Reasons) > 0) {
			fail("reasons are for those refused and challenged")
		}
		if may && !slices.Contains(slices.Concat(openActions, readActions, writeActions, selfActions, myActions), a) {
			fail("not served")
		}
		if c == nil {
			if may && !slices.Contains(openActions, a) && !(slices.Contains(readActions, a) && r.Package.ID != "" && !r.Package.Private) {
				fail("anonymous")
			}
			if d.Effect == policy.Challenge {
				fail("nobody to challenge")
			}
		} else if may {
			switch {
			case c.Kind == policy.KindUnknown || c.Kind > policy.KindForeign:
				fail("kind")
			case r.Account.ID != c.User || r.Account.Disabled || c.Created.Before(r.Account.NotBefore) || !now.Before(c.Expires) || !c.From(here):
				fail("dead")
			case r.Account.TwoFactor < policy.TwoFactorOff || r.Account.TwoFactor > policy.AuthAndWrites:
				fail("mode")
			}
		}
		if may && slices.Contains(myActions, a) && c.Kind != policy.KindSession {
			fail("account by token")
		}
		if may && slices.Contains(writeActions, a) {
			creates := a == policy.Publish && r.Package.ID == "" && r.Package.MayCreate
			writes := r.Package.ID != "" && r.Package.Rights.Has(policy.RightWrite)
			if !creates && !writes {
				fail("live rights")
			}
			if c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g policy.Grant) bool {
				return g.Permission == policy.ReadWrite && g.Covers(widget) && (!creates || g.Target != policy.OnePackage)
			}) {
				fail("grants")
			}
			if c.Kind == policy.KindForeign || c.Kind == policy.KindPublisher && a != policy.Publish {
				fail("kind that does not write this")
			}
			if c.Kind == policy.KindToken && r.Settings.Publish != policy.FactorOrBypass {
				fail("token where the package disallows them")
			}
			if a == policy.Publish && d.Effect == policy.Allow && (c.Kind == policy.KindSession || c.Kind == policy.KindToken && !c.Bypass) {
				fail("published without a factor")
			}
		}
		if may && slices.Contains(readActions, a) && r.Package.Private {
			if c == nil || !r.Package.Rights.Has(policy.RightRead) || c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g policy.Grant) bool {
				return g.Covers(widget) && g.Permission >= policy.ReadOnly && g.Permission <= policy.StageOnly
			}) {
				fail("private read")
			}
		}
		if d.Effect == policy.Challenge && !(&r.Account).HasFactor() {
			fail("challenged without a factor")
		}

		// A package one may not see is as good as absent.
		if a.OfPackage() && r.Package.ID != "" && !r.Rights().Has(policy.RightRead) {
			absent := r
			absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}
			if !assert.Equal(t, p.Decide(absent), d) {
				fail("hidden and absent differ")
			}
		}

		// A proof turns a challenge into an allow or leaves it, and does nothing else.
		for proof := policy.ProofTOTP; proof <= policy.ProofWeb+1; proof++ {
			with := r
			with.Proof = proof
			e := p.Decide(with)
			switch {
			case d.Effect != policy.Challenge:
				if e.Effect != d.Effect {
					fail("a proof changed what was not a challenge")
				}
			case proof == policy.ProofTOTP || proof == policy.ProofWeb:
				if e.Effect != policy.Allow {
					fail("a proof was not enough")
				}
			case proof > policy.ProofWeb || slices.Contains(writeActions, a) || r.NewToken != policy.NewToken{}:
				if e.Effect != policy.Challenge {
					fail("recovery code")
				}
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	require.Greater(t, n, 10_000, "the matrix has shrunk")
}

// Taking something from a request never makes it do more.
func TestNPMMonotone(t *testing.T) {
	p := policy.NPM()
	for r := range matrix() {
		less := []policy.Request{}
		for _, right := range []policy.Rights{policy.RightRead, policy.RightWrite} {
			q := r
			q.Package.Rights &^= right
			less = append(less, q)
		}
		q := r
		q.Package.MayCreate = false
		less = append(less, q)
		q = r
		q.Settings.Publish = policy.FactorOnly
		less = append(less, q)
		q = r
		q.Now = time.Time{}
		if r.Credential != nil {
			less = append(less, q)
			c := *r.Credential
			c.Bypass = false
			q = r
			q.Credential = &c
			less = append(less, q)
			if c.Kind != policy.KindSession && len(c.Grants) > 0 {
				d := c
				d.Grants = c.Grants[1:]
				q.Credential = &d
				less = append(less, q)
			}
		}
		had := p.Decide(r).Effect
		for _, q := range less {
			if got := p.Decide(q).Effect; got > had {
				t.Fatalf("%v became %v: %+v", had, got, q)
			}
		}
	}
}
