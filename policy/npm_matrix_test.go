package policy_test

import (
	"fmt"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

var (
	widget = protocol.PackageName{Scope: "acme", Name: "widget"}

	openActions = []protocol.Action{
		protocol.Ping, protocol.Audit, protocol.ReadKeys, protocol.Search,
		protocol.Login, protocol.LegacyLogin, protocol.LegacyUpdate, protocol.AuthPage, protocol.ReportLeak,
	}
	readActions = []protocol.Action{
		protocol.ReadPackument, protocol.ReadTarball, protocol.ReadAttestations, protocol.ReadDistTags, protocol.ReadAccess, protocol.ReadVisibility,
	}
	lookActions    = []protocol.Action{protocol.ReadCollaborators, protocol.Star}
	writeActions   = []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.Unpublish, protocol.UnpublishAll}
	manageActions  = []protocol.Action{protocol.WriteOwners, protocol.SetAccess}
	selfActions    = []protocol.Action{protocol.Whoami, protocol.ReadSelf, protocol.ReadUser, protocol.Logout, protocol.ListPackages, protocol.ListStars}
	myActions      = []protocol.Action{protocol.ListTokens, protocol.CreateToken, protocol.RevokeToken, protocol.ReadProfile, protocol.WriteProfile, protocol.SetTwoFactor, protocol.SetPassword}
	serviceActions = []protocol.Action{protocol.ReadService, protocol.ManageService, protocol.RevokeService}
	orgReads       = []protocol.Action{protocol.ReadOrg, protocol.ListTeams, protocol.ListOrgPackages, protocol.ReadTeam, protocol.ListTeamPackages}
	orgWrites      = []protocol.Action{protocol.WriteOrg, protocol.WriteTeam, protocol.WriteTeamMember, protocol.GrantTeam}

	// verbs are what a narrowed grant must say for an action on a package that exists.
	verbs = map[protocol.Action]protocol.Verbs{
		protocol.Publish: protocol.VerbPublish, protocol.SetDistTag: protocol.VerbDistTag, protocol.RemoveDistTag: protocol.VerbDistTag,
		protocol.Deprecate: protocol.VerbDeprecate, protocol.Unpublish: protocol.VerbUnpublish, protocol.UnpublishAll: protocol.VerbUnpublish,
	}
)

func credentials() []*policy.Credential {
	grant := func(p protocol.Permission) []protocol.Grant {
		return []protocol.Grant{{Target: protocol.AllPackages, Permission: p}}
	}
	scope := []protocol.Grant{{Target: protocol.OneScope, Scope: "acme", Permission: protocol.ReadWrite}}
	one := []protocol.Grant{{Target: protocol.OnePackage, Package: widget, Permission: protocol.ReadWrite}}
	mixed := []protocol.Grant{
		{Target: protocol.AllPackages, Permission: protocol.ReadOnly},
		{Target: protocol.OneScope, Scope: "acme-evil", Permission: protocol.ReadWrite},
		{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite},
	}
	org := func(p protocol.Permission) []protocol.Grant {
		return []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: p}}
	}
	invalid := []protocol.Grant{{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish}}
	cs := []*policy.Credential{
		nil,
		{Kind: policy.KindUnknown, User: "u-alice"},
		{Kind: policy.KindSession},
		{Kind: policy.KindSession, Bypass: true, Grants: grant(protocol.ReadOnly)},
		{Kind: policy.KindSession, Expires: now},
		{Kind: policy.KindSession, CIDRs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
		{Kind: policy.KindPublisher, Grants: one},
		{Kind: policy.KindPublisher, Grants: scope, Bypass: true},
		{Kind: policy.KindForeign, Grants: grant(protocol.ReadWrite), Bypass: true},
		{Kind: policy.Kind(77), User: "u-alice", Grants: grant(protocol.ReadWrite), Bypass: true},
	}
	for _, grants := range [][]protocol.Grant{nil, grant(protocol.NoAccess), grant(protocol.ReadOnly), grant(protocol.StageOnly), grant(protocol.ReadWrite), grant(protocol.Permission(9)), scope, one, mixed,
		org(protocol.ReadOnly), org(protocol.ReadWrite), invalid,
		narrowed(scope, protocol.VerbPublish|protocol.VerbDeprecate), narrowed(scope, protocol.VerbCreate|protocol.VerbStage), narrowed(one, protocol.VerbDistTag|protocol.VerbUnpublish),
	} {
		for _, bypass := range []bool{false, true} {
			cs = append(cs, &policy.Credential{Kind: policy.KindToken, Grants: grants, Bypass: bypass})
		}
	}
	return cs
}

func facts() []policy.Facts {
	const r, w, a = policy.RightRead, policy.RightWrite, policy.RightAdmin
	return []policy.Facts{
		{}, {MayCreate: true}, {Private: true, Rights: r | w | a}, {MayCreate: true, RequireFactor: true},
		{ID: "p"}, {ID: "p", Rights: r}, {ID: "p", Rights: w}, {ID: "p", Rights: r | w}, {ID: "p", MayCreate: true},
		{ID: "p", Rights: r | w | a}, {ID: "p", Rights: r | w | a, RequireFactor: true},
		{ID: "p", Private: true}, {ID: "p", Private: true, Rights: r}, {ID: "p", Private: true, Rights: w | a},
		{ID: "p", Private: true, Rights: r | w | a}, {ID: "p", Private: true, MayCreate: true},
		{ID: "p", Private: true, RequireFactor: true}, {ID: "p", Private: true, Rights: r | w | a, RequireFactor: true},
	}
}

func orgs() []policy.OrgFacts {
	return []policy.OrgFacts{
		{}, {Role: protocol.OrgOwner}, {ID: "o"}, {ID: "o", Role: protocol.OrgMember}, {ID: "o", Role: protocol.OrgAdmin}, {ID: "o", Role: protocol.OrgOwner},
		{ID: "o", Role: protocol.OrgOwner + 1}, {ID: "o", RequireFactor: true}, {ID: "o", Role: protocol.OrgOwner, RequireFactor: true},
	}
}

// accounts are those that go with c. Of the last, with which next to nothing may be done,
// the matrix has less.
func accounts(c *policy.Credential) (whole, dead []policy.Account) {
	if c == nil {
		return []policy.Account{{}}, nil
	}
	for m := protocol.TwoFactorOff; m <= protocol.AuthAndWrites; m++ {
		whole = append(whole, policy.Account{ID: c.User, TwoFactor: m})
	}
	whole = append(whole,
		policy.Account{ID: c.User, TwoFactor: protocol.TwoFactorOff, Service: true},
		policy.Account{ID: c.User, TwoFactor: protocol.AuthOnly, HighImpact: true, Recovered: created, FactorRequired: true})
	return whole, []policy.Account{
		{ID: c.User},
		{ID: c.User, TwoFactor: protocol.AuthAndWrites + 1},
		{ID: c.User, TwoFactor: protocol.AuthOnly, Disabled: true},
		{ID: "u-bob", TwoFactor: protocol.AuthOnly},
		{ID: c.User, TwoFactor: protocol.AuthOnly, CIDRs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
	}
}

// matrix yields every combination of what the rules of NPM look at, without a proof.
// Under the race detector, which has nothing to see here and makes all of it ten
// times slower, it yields every seventh of those that are about a package.
func matrix() iter.Seq[policy.Request] {
	return func(yield func(policy.Request) bool) {
		n := 0
		for r := range wholeMatrix() {
			if n++; raceEnabled && n%7 != 0 && many(r) {
				continue
			}
			if !yield(r) {
				return
			}
		}
	}
}

// many reports whether the matrix has so many requests with r's action that some of them
// do as well as all.
func many(r policy.Request) bool { return !r.Operation.Package.IsZero() }

func wholeMatrix() iter.Seq[policy.Request] {
	actions := append(protocol.Actions(), protocol.Unknown, protocol.Action(200))
	return func(yield func(policy.Request) bool) {
		for _, c := range credentials() {
			request(protocol.Ping, c) // fills c in
			whole, dead := accounts(c)
			for _, a := range actions {
				r := request(a, c)
				for _, r.Account = range whole {
					for r := range about(r) {
						if !yield(r) {
							return
						}
					}
				}
				n := 0
				for _, r.Account = range dead {
					for r := range about(r) {
						if n++; n%11 == 1 && !yield(r) {
							return
						}
					}
				}
			}
		}
	}
}

// about yields r with all that its action may be about.
func about(r policy.Request) iter.Seq[policy.Request] {
	settings := func(yield func(policy.Request) bool) {
		r := r
		for _, r.Package = range facts() {
			for r.Settings.Publish = range protocol.NoFactor + 2 {
				if !yield(r) {
					return
				}
			}
		}
	}
	return func(yield func(policy.Request) bool) {
		r := r
		switch a := r.Operation.Action; {
		case a == protocol.CreateToken || a == protocol.ManageService:
			for _, r.Change = range []*protocol.Change{newToken(false, false), newToken(true, false), newToken(false, true)} {
				for _, r.Administers = range []bool{false, true} {
					if !yield(r) {
						return
					}
				}
			}
		case a == protocol.ReadService || a == protocol.SetTwoFactor:
			for _, r.Administers = range []bool{false, true} {
				if r.Change = nil; r.Administers {
					r.Change = factorOff
				}
				if !yield(r) {
					return
				}
			}
		case a == protocol.GrantTeam:
			for _, org := range orgs() {
				for r := range settings {
					if r.Org = org; r.Settings.Publish == protocol.FactorOrBypass || org.Role == protocol.OrgAdmin {
						if !yield(r) {
							return
						}
					}
				}
			}
		case a.OfOrg():
			for _, r.Org = range orgs() {
				if !yield(r) {
					return
				}
			}
		case slices.Contains(writeActions, a) || a == protocol.WriteOwners:
			settings(yield)
		case a == protocol.SetAccess:
			for r := range settings {
				for mode := range protocol.NoFactor + 2 {
					r.Change = newMode(mode)
					if !yield(r) {
						return
					}
				}
			}
		case a.OfPackage():
			for _, r.Package = range facts() {
				if !yield(r) {
					return
				}
			}
		default:
			yield(r)
		}
	}
}

// What must hold of every decision, whatever the rules say in detail.
func TestNPMInvariants(t *testing.T) {
	p := policy.NPM()
	n := 0
	var effects [3]int
	served := slices.Concat(openActions, readActions, lookActions, writeActions, manageActions, selfActions, myActions, serviceActions, orgReads, orgWrites)
	for r := range matrix() {
		n++
		d := p.Decide(r)
		effects[d.Effect]++
		a, c := r.Operation.Action, r.Credential
		may := d.Effect != policy.Deny
		fail := func(what string) {
			t.Errorf("%s: %v by %+v of %+v, %+v, %+v, %+v", what, r.Operation, c, r.Account, r.Package, r.Settings, r.Org)
		}

		if (d.Effect == policy.Allow) != (d.Reasons == nil) || (d.Effect != policy.Allow) != (len(d.Reasons) > 0) {
			fail("reasons are for those refused and challenged")
		}
		if may && !slices.Contains(served, a) {
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
			case r.Account.ID != c.User || r.Account.Disabled || !now.Before(c.Expires) || !c.From(here) || !(&r.Account).From(here):
				fail("dead")
			case r.Account.TwoFactor < protocol.TwoFactorOff || r.Account.TwoFactor > protocol.AuthAndWrites:
				fail("mode")
			case r.Account.Service && c.Kind == policy.KindSession:
				fail("a service account's session")
			}
		}
		mine, service := slices.Contains(myActions, a), slices.Contains(serviceActions, a)
		if may && (mine || service) && c.Kind != policy.KindSession {
			fail("account by token")
		}
		if may && service && !r.Administers {
			fail("another's service account")
		}
		if may && a == protocol.SetTwoFactor && r.Change.RemovesFactor() && r.Account.TwoFactor != protocol.TwoFactorOff && r.Account.FactorRequired {
			fail("the factor that is demanded")
		}
		writes, manages, ofOrg := slices.Contains(writeActions, a), slices.Contains(manageActions, a), slices.Contains(orgWrites, a)
		if may && r.Account.HighImpact && (writes || manages || ofOrg || a == protocol.CreateToken || a == protocol.ManageService) {
			fail("held")
		}
		factorless := c != nil && !(&r.Account).HasFactor() && !r.Account.Service && c.Kind != policy.KindPublisher
		if may && factorless && (r.Package.RequireFactor && (writes || manages || a == protocol.GrantTeam) || r.Org.RequireFactor && a.OfOrg()) {
			fail("no factor where an organization demands one")
		}
		if may && writes {
			creates := a == protocol.Publish && r.Package.ID == "" && r.Package.MayCreate
			if !creates && (r.Package.ID == "" || !r.Package.Rights.Has(policy.RightWrite)) {
				fail("live rights")
			}
			if c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g protocol.Grant) bool {
				verb := verbs[a]
				if creates {
					verb = protocol.VerbCreate
				}
				return g.Permission == protocol.ReadWrite && g.Covers(widget) && (!creates || g.Target != protocol.OnePackage) && (g.Verbs == 0 || g.Verbs&verb != 0)
			}) {
				fail("grants")
			}
			if c.Kind == policy.KindForeign || c.Kind == policy.KindPublisher && a != protocol.Publish {
				fail("kind that does not write this")
			}
			if c.Kind == policy.KindToken && r.Settings.Publish != protocol.FactorOrBypass && r.Settings.Publish != protocol.NoFactor {
				fail("token where the package disallows them")
			}
			personal := c.Kind == policy.KindSession || c.Kind == policy.KindToken && !c.Bypass
			if personal && d.Effect == policy.Allow {
				if a == protocol.Publish && (creates || r.Settings.Publish != protocol.NoFactor || r.Account.TwoFactor == protocol.AuthAndWrites) {
					fail("published without a factor")
				}
				if r.Account.TwoFactor == protocol.AuthAndWrites {
					fail("written without a factor")
				}
				if r.Account.Service {
					fail("a service account's token that does not bypass")
				}
			}
		}
		if may && manages {
			if r.Package.ID == "" || !r.Package.Rights.Has(policy.RightAdmin) || c.Kind == policy.KindToken && !slices.ContainsFunc(c.Grants, func(g protocol.Grant) bool {
				return g.Permission == protocol.ReadWrite && g.Covers(widget) && g.Verbs == 0
			}) {
				fail("no administrator")
			}
			if a == protocol.SetAccess && *r.Change.PublishMode > protocol.FactorOnly {
				fail("a setting that nobody may choose")
			}
		}
		if may && a.OfOrg() {
			want := protocol.OrgMember
			switch {
			case a == protocol.WriteOrg:
				want = protocol.OrgOwner
			case ofOrg:
				want = protocol.OrgAdmin
			}
			if r.Org.ID == "" || r.Org.Role < want || r.Org.Role > protocol.OrgOwner || c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g protocol.Grant) bool {
				return g.Target == protocol.OneOrg && g.Scope == "acme" && g.Verbs == 0 && (g.Permission == protocol.ReadWrite || !ofOrg && g.Permission == protocol.ReadOnly)
			}) {
				fail("organization")
			}
			if a == protocol.GrantTeam && (r.Package.ID == "" || !r.Package.Rights.Has(policy.RightAdmin) || r.Package.Private && !r.Package.Rights.Has(policy.RightRead)) {
				fail("granted what is not theirs")
			}
		}
		if manages || ofOrg {
			if d.Effect == policy.Allow {
				fail("managed without a factor")
			}
			if may && (c.Bypass && c.Kind == policy.KindToken || r.Account.Service || c.Kind > policy.KindToken) {
				fail("managed by what is no person")
			}
		}
		reads := slices.Contains(readActions, a) || slices.Contains(lookActions, a)
		if may && reads && r.Package.Private {
			if c == nil || !r.Package.Rights.Has(policy.RightRead) || factorless && r.Package.RequireFactor || c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g protocol.Grant) bool {
				return g.Covers(widget) && g.Permission >= protocol.ReadOnly && g.Permission <= protocol.StageOnly
			}) {
				fail("private read")
			}
		}
		if d.Effect == policy.Challenge && !(&r.Account).HasFactor() {
			fail("challenged without a factor")
		}

		// A package one may not see is as good as absent, and an organization one is not in. What
		// would be seen with the factor that is demanded is no secret.
		seen := r
		seen.Package.RequireFactor = false
		absent := r
		switch {
		case a.OfPackage() && r.Package.ID != "" && !seen.Rights().Has(policy.RightRead):
			absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}
		case a.OfOrg() && c != nil && (r.Org.Role == protocol.NoRole || c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g protocol.Grant) bool { return g.Target == protocol.OneOrg })):
			absent.Org, absent.Package, absent.Settings = policy.OrgFacts{}, policy.Facts{}, policy.Settings{}
		case a == protocol.GrantTeam && r.Package.Private && (!r.Package.Rights.Has(policy.RightAdmin) || !r.Package.Rights.Has(policy.RightRead)):
			absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}
		}
		if want := p.Decide(absent); !reflect.DeepEqual(want, d) {
			fail(fmt.Sprintf("hidden %v and absent %v differ", codes(d), codes(want)))
		}

		// A proof turns a challenge into an allow or leaves it, and does nothing else.
		for proof := policy.ProofTOTP; proof <= policy.ProofWeb+1; proof++ {
			if d.Effect == policy.Deny && int(proof) != n%5 { // one of them, or none
				continue
			}
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
			case proof > policy.ProofWeb || writes || manages || ofOrg || service || r.Change.NewToken().Writes() || r.Change.NewToken() != nil && r.Change.NewToken().Bypass:
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
	for effect, times := range effects {
		require.Greater(t, times, n/500, "%v", policy.Effect(effect))
	}
}

// Taking something from a request never makes it do more.
func TestNPMMonotone(t *testing.T) {
	p := policy.NPM()
	n := 0
	for r := range matrix() {
		if n++; n%3 != 0 { // all of it takes long and shows no more
			continue
		}
		had := p.Decide(r).Effect
		if had == policy.Deny && n%5 != 0 {
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
		try("a factor demanded of the package's", func(q *policy.Request) { q.Package.RequireFactor = true })
		try("a factor demanded of the organization's", func(q *policy.Request) { q.Org.RequireFactor = true })
		if r.Org.Role > protocol.NoRole && r.Org.Role <= protocol.OrgOwner {
			try("a role", func(q *policy.Request) { q.Org.Role-- })
		}
		try("the organization", func(q *policy.Request) { q.Org.ID = "" })
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
		if a := r.Operation.Action; !slices.Contains(manageActions, a) && !slices.Contains(orgWrites, a) { // which bypass is in the way of
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
