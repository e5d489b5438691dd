package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
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

// npmSays decides as npm's documentation reads, one operation after the other and
// without a rule of [policy.NPM] or a method that its rules share. It is slow, repeats
// itself and has no reasons: what it is for is to disagree.
//
// Where npm is silent or says two things, what this module has chosen stands here
// as a sentence.
func npmSays(r policy.Request) policy.Effect {
	c := r.Credential
	if c == nil {
		// An account comes with a credential. One without is a mix-up.
		if r.Account.ID != "" {
			return policy.Deny
		}
	} else if !npmKnows(r) {
		return policy.Deny
	}

	held := r.Account.HighImpact && !r.Account.Recovered.IsZero() && r.Now.Sub(r.Account.Recovered) < 72*time.Hour
	shown := r.Proof == policy.ProofTOTP || r.Proof == policy.ProofWeb || r.Proof == policy.ProofKey
	restores := r.Proof == policy.ProofRecovery
	if r.Account.KeysOnly && r.Account.TwoFactor != protocol.TwoFactorOff {
		// npm lets people choose at each prompt. Here who has said so is asked for a key and
		// nothing else, but for the code that is for a lost one.
		shown = r.Proof == policy.ProofKey
	}

	switch a := r.Operation.Action; a {
	case protocol.Ping, protocol.Audit, protocol.ReadKeys, protocol.Search, protocol.Login, protocol.LegacyLogin, protocol.LegacyUpdate, protocol.AuthPage, protocol.ReportLeak:
		return policy.Allow
	case protocol.ExchangeToken:
		// The ID token is what counts, whatever comes besides.
		if r.Operation.Package.Name == "" {
			return policy.Deny
		}
		return policy.Allow

	case protocol.Whoami, protocol.ReadUser, protocol.ListPackages, protocol.ListStars:
		// npm whoami never shows the identity of a trusted publisher.
		if c == nil || c.Kind == policy.KindPublisher {
			return policy.Deny
		}
		return policy.Allow
	case protocol.ReadSelf, protocol.Logout:
		if c == nil {
			return policy.Deny
		}
		return policy.Allow

	// Sessions are the only credential for the account and its tokens.
	case protocol.ListTokens, protocol.ListSessions, protocol.ListEvents, protocol.ListMemberships, protocol.ReadProfile, protocol.ListFactors:
		if c == nil || c.Kind != policy.KindSession {
			return policy.Deny
		}
		return policy.Allow
	// Both modes ask for a change of the mode, for revoking and for creating tokens.
	case protocol.RevokeToken, protocol.EndSession, protocol.SetTwoFactor, protocol.AddFactor, protocol.RemoveFactor, protocol.WriteProfile, protocol.SetPassword:
		if c == nil || c.Kind != policy.KindSession {
			return policy.Deny
		}
		// Members of an organization that enforces it cannot switch it off while in.
		if a == protocol.SetTwoFactor && r.Change != nil && r.Change.TwoFactor == protocol.TwoFactorOff && r.Account.TwoFactor != protocol.TwoFactorOff && r.Account.FactorRequired {
			return policy.Deny
		}
		// Who wants only keys to count shows that theirs works.
		if a == protocol.SetTwoFactor && r.Change != nil && r.Change.KeysOnly != nil && *r.Change.KeysOnly && r.Account.TwoFactor != protocol.TwoFactorOff && r.Proof != policy.ProofKey {
			return policy.Challenge
		}
		if r.Account.TwoFactor != protocol.TwoFactorOff && !shown && !restores {
			return policy.Challenge
		}
		return policy.Allow
	case protocol.CreateToken:
		// An account of high impact makes none for three days after it was recovered.
		if c == nil || c.Kind != policy.KindSession || held {
			return policy.Deny
		}
		lasting := r.Change != nil && r.Change.Token != nil && (r.Change.Token.Bypass ||
			slices.ContainsFunc(r.Change.Token.Grants, func(g protocol.Grant) bool { return g.Permission != protocol.ReadOnly }))
		switch r.Account.TwoFactor {
		case protocol.TwoFactorOff:
			// npm mails a code here. Without mail a password is worth a token that reads.
			if lasting {
				return policy.Deny
			}
			return policy.Allow
		default:
			switch {
			case lasting && npmKeyless(r):
				return policy.Deny
			case shown:
				return policy.Allow
			case restores && !lasting:
				// npm takes a recovery code wherever it takes a one-time password. Here it
				// repairs an account and makes nothing that outlasts that.
				return policy.Allow
			}
			return policy.Challenge
		}
	// npm has no service accounts. Their tokens are handled by a person who administers
	// them, in a session, and changed with a second factor whatever they can do.
	case protocol.ReadService:
		if c == nil || c.Kind != policy.KindSession || !r.Administers {
			return policy.Deny
		}
		return policy.Allow
	case protocol.RevokeService:
		// Ending a token is never held up.
		if c == nil || c.Kind != policy.KindSession || !r.Administers {
			return policy.Deny
		}
		if r.Account.TwoFactor != protocol.TwoFactorOff && !shown && !restores {
			return policy.Challenge
		}
		return policy.Allow
	case protocol.ManageService:
		if c == nil || c.Kind != policy.KindSession || !r.Administers || held || r.Account.TwoFactor == protocol.TwoFactorOff || npmKeyless(r) {
			return policy.Deny
		}
		if !shown {
			return policy.Challenge
		}
		return policy.Allow

	case protocol.ReadPackument, protocol.ReadTarball, protocol.ReadAttestations, protocol.ReadDistTags, protocol.ReadAccess, protocol.ReadVisibility:
		if !npmReads(r) {
			return policy.Deny
		}
		return policy.Allow
	case protocol.ReadCollaborators:
		if c == nil || c.Kind == policy.KindPublisher || !npmReads(r) {
			return policy.Deny
		}
		return policy.Allow
	case protocol.Star:
		// The only write of which no mode asks anything.
		if c == nil || !npmReads(r) {
			return policy.Deny
		}
		switch {
		case c.Kind == policy.KindSession:
			return policy.Allow
		case c.Kind == policy.KindToken && npmGrants(r, func(g protocol.Grant) bool { return g.Permission == protocol.ReadWrite }):
			return policy.Allow
		}
		return policy.Deny

	case protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.Unpublish, protocol.UnpublishAll:
		if c == nil || held || r.Operation.Package.Name == "" {
			return policy.Deny
		}
		exists := r.Package.ID != ""
		switch {
		case exists && !npmWrites(r):
			return policy.Deny
		case !exists && a != protocol.Publish:
			return policy.Deny
		case !exists && (!r.Package.MayCreate || npmShutsOut(r, r.Package.RequireFactor)):
			return policy.Deny
		case !exists && !npmCreates(r):
			return policy.Deny
		}
		if a == protocol.Publish && r.Settings.StageOnly {
			// E_STAGE_REQUIRED, for everybody.
			return policy.Deny
		}
		if a == protocol.Publish && r.Settings.PublishersOnly && c.Kind != policy.KindPublisher {
			// npm has no such setting.
			return policy.Deny
		}
		none := exists && r.Settings.Publish == protocol.NoFactor
		switch c.Kind {
		case policy.KindPublisher:
			// Neither a second factor nor the setting of the package is for them.
			if a == protocol.Publish || a == protocol.SetDistTag || a == protocol.RemoveDistTag || a == protocol.Deprecate {
				return policy.Allow
			}
			return policy.Deny
		case policy.KindForeign:
			return policy.Deny
		case policy.KindToken:
			// Of two pages of npm's the one that refuses every token stands, even with bypass. npm
			// speaks of publishing; it is the same for every write to the package.
			if r.Settings.Publish != protocol.FactorOrBypass && r.Settings.Publish != protocol.NoFactor {
				return policy.Deny
			}
			if c.Bypass {
				return policy.Allow
			}
			if r.Account.Service {
				return policy.Deny
			}
		}
		if a == protocol.Deprecate && r.Change != nil && len(r.Change.Deprecated) == 0 && r.Account.TwoFactor != protocol.TwoFactorOff {
			// npm deprecate with the message that is there already: nothing is written.
			return policy.Allow
		}
		if r.Settings.KeysOnly {
			// npm has no such setting. Where it is made every write takes a key, in both modes, and
			// mfa=none does not take that back.
			switch {
			case !r.Account.Keys || r.Account.TwoFactor == protocol.TwoFactorOff:
				return policy.Deny
			case r.Proof != policy.ProofKey:
				return policy.Challenge
			}
			return policy.Allow
		}
		switch {
		case r.Account.TwoFactor == protocol.TwoFactorOff && none:
			return policy.Allow
		case r.Account.TwoFactor == protocol.TwoFactorOff:
			return policy.Deny
		case r.Account.TwoFactor == protocol.AuthOnly && (none || a != protocol.Publish):
			// The page on two-factor authentication lists no write under auth-only. For
			// publishing the package's rule wins.
			return policy.Allow
		case npmKeyless(r):
			return policy.Deny
		case shown:
			return policy.Allow
		}
		return policy.Challenge

	case protocol.WriteOwners, protocol.SetAccess:
		switch {
		case !npmManages(r, held) || r.Operation.Package.Name == "" || !npmAdministers(r):
			return policy.Deny
		case c.Kind == policy.KindToken && !npmGrants(r, func(g protocol.Grant) bool { return g.Permission == protocol.ReadWrite && g.Verbs == 0 }):
			return policy.Deny
		case c.Kind == policy.KindToken && r.Settings.Publish != protocol.FactorOrBypass && r.Settings.Publish != protocol.NoFactor:
			return policy.Deny
		case a == protocol.SetAccess && r.Change != nil && r.Change.PublishMode != nil && *r.Change.PublishMode != protocol.FactorOrBypass && *r.Change.PublishMode != protocol.FactorOnly:
			// mfa=none was taken away.
			return policy.Deny
		}
		return npmManagement(r, shown)

	// Any write credential stages, and nobody is asked for a factor.
	case protocol.Stage:
		if c == nil || c.Kind == policy.KindForeign || held || r.Operation.Package.Name == "" || !npmStages(r) {
			return policy.Deny
		}
		if r.Settings.PublishersOnly && c.Kind != policy.KindPublisher {
			return policy.Deny
		}
		return policy.Allow
	case protocol.ListStaged:
		if c == nil || c.Kind != policy.KindSession && c.Kind != policy.KindToken {
			return policy.Deny
		}
		return policy.Allow
	case protocol.ReadStaged:
		if c == nil || c.Kind != policy.KindSession && c.Kind != policy.KindToken || r.Operation.Package.Name == "" || !npmStages(r) || npmStagedByOther(r) {
			return policy.Deny
		}
		return policy.Allow
	// Approving and rejecting ask for one, in both modes. npm is silent on tokens that bypass it.
	case protocol.ApproveStaged, protocol.RejectStaged:
		approves := a == protocol.ApproveStaged
		switch {
		case !npmManages(r, held && approves) || r.Operation.Package.Name == "" || npmStagedByOther(r):
			return policy.Deny
		case !approves && !npmStages(r):
			return policy.Deny
		case approves && r.Package.ID != "" && !npmWrites(r):
			return policy.Deny
		case approves && r.Package.ID == "" && (!r.Package.MayCreate || npmShutsOut(r, r.Package.RequireFactor) || !npmCreates(r)):
			return policy.Deny
		case c.Kind == policy.KindToken && r.Settings.Publish != protocol.FactorOrBypass && r.Settings.Publish != protocol.NoFactor:
			return policy.Deny
		case approves && r.Settings.PublishersOnly && r.Staged.By != "":
			return policy.Deny
		case approves && r.Settings.OtherApprover && r.Staged.By == r.Account.ID:
			return policy.Deny
		}
		return npmManagement(r, shown)

	// Tokens are not accepted, and npm asks for a second factor to show them, too. Here they may be pending for a
	// name that somebody may create.
	case protocol.ReadTrust, protocol.CheckTrust, protocol.WriteTrust:
		switch {
		case !npmManages(r, held && a == protocol.WriteTrust) || c.Kind != policy.KindSession || r.Operation.Package.Name == "" ||
			!npmAdministers(r) && (r.Package.ID != "" || !r.Package.MayCreate || npmShutsOut(r, r.Package.RequireFactor)):
			return policy.Deny
		case a == protocol.WriteTrust:
			return npmManagement(r, shown)
		case shown || restores:
			// Nothing is changed, so that a recovery code will do.
			return policy.Allow
		}
		return policy.Challenge

	case protocol.ReadOrg, protocol.ListTeams, protocol.ListOrgPackages, protocol.ReadTeam, protocol.ListTeamPackages:
		if !npmIn(r, protocol.OrgMember, protocol.OrgAdmin, protocol.OrgOwner) || !npmOrgGrant(r, protocol.ReadOnly, protocol.ReadWrite) {
			return policy.Deny
		}
		return policy.Allow
	// Owners have members and billing, admins teams and grants.
	// npmjs.com has an owner enforce a second factor who has one, on its page.
	case protocol.WriteOrg, protocol.SetOrgFactor:
		if !npmManages(r, held) || !npmIn(r, protocol.OrgOwner) || !npmOrgGrant(r, protocol.ReadWrite) {
			return policy.Deny
		}
		return npmManagement(r, shown)
	// npm has no trusted publishers of a scope. Here they are for those who set its rules, as those of a package are.
	case protocol.ReadOrgTrust, protocol.WriteOrgTrust:
		switch {
		case !npmManages(r, held && a == protocol.WriteOrgTrust) || c.Kind != policy.KindSession || !npmIn(r, protocol.OrgOwner) || !npmOrgGrant(r, protocol.ReadWrite):
			return policy.Deny
		case a == protocol.WriteOrgTrust:
			return npmManagement(r, shown)
		case shown || restores:
			return policy.Allow
		}
		return policy.Challenge
	case protocol.WriteTeam, protocol.WriteTeamMember, protocol.GrantTeam:
		if !npmManages(r, held) || !npmIn(r, protocol.OrgAdmin, protocol.OrgOwner) || !npmOrgGrant(r, protocol.ReadWrite) {
			return policy.Deny
		}
		if a == protocol.GrantTeam {
			// npm is silent on whose packages a team may be given. Here it is one's own.
			if r.Operation.Package.Name == "" || !npmAdministers(r) {
				return policy.Deny
			}
			if c.Kind == policy.KindToken && r.Settings.Publish != protocol.FactorOrBypass && r.Settings.Publish != protocol.NoFactor {
				return policy.Deny
			}
		}
		return npmManagement(r, shown)
	}
	// What is not served, and what is not known.
	return policy.Deny
}

// npmManagement decides about a change of who may do what, by one who may make it. Where only keys
// count it takes one, and so does saying that only keys count.
func npmManagement(r policy.Request, shown bool) policy.Effect {
	sets := r.Operation.Action == protocol.SetAccess || r.Operation.Action == protocol.SetOrgFactor
	if r.Settings.KeysOnly || sets && r.Change != nil && r.Change.KeysOnly != nil && *r.Change.KeysOnly {
		if !r.Account.Keys {
			return policy.Deny
		}
		shown = r.Proof == policy.ProofKey
	}
	switch {
	case npmKeyless(r):
		return policy.Deny
	case !shown:
		return policy.Challenge
	}
	return policy.Allow
}

// npmKeyless reports whether the account is to be asked for a key alone and has none.
func npmKeyless(r policy.Request) bool {
	return r.Account.KeysOnly && !r.Account.Keys && r.Account.TwoFactor != protocol.TwoFactorOff
}

// npmKnows reports whether the credential is good at all, whatever is asked with it.
func npmKnows(r policy.Request) bool {
	c := r.Credential
	switch c.Kind {
	case policy.KindSession, policy.KindToken, policy.KindPublisher:
		if c.Expires.IsZero() {
			return false
		}
	case policy.KindForeign:
	default:
		return false
	}
	if r.Now.IsZero() || !c.Expires.IsZero() && r.Now.Compare(c.Expires) >= 0 {
		return false
	}
	if c.Kind == policy.KindPublisher {
		// It is the package's and nobody's, or there is none yet, and then it is for a name and a user.
		isNew := c.Creates.Package.Name != "" && c.Creates.Owner != ""
		none := c.Creates.Package.Name == "" && c.Creates.Package.Scope == "" && c.Creates.Owner == ""
		if c.Package == "" && !isNew || c.Package != "" && !none || c.User != "" || r.Account.ID != "" {
			return false
		}
	} else if c.Creates.Package.Name != "" || c.Creates.Package.Scope != "" || c.Creates.Owner != "" {
		return false
	} else if c.Package != "" || c.User == "" || c.User != r.Account.ID || !npmKnowsMode(r) {
		return false
	}
	if r.Account.Disabled {
		return false
	}
	// What is no person signs in nowhere.
	if r.Account.Service && c.Kind == policy.KindSession {
		return false
	}
	// An old text of npm's lets either list do. Here both must hold.
	for _, list := range [][]netip.Prefix{c.CIDRs, r.Account.CIDRs} {
		in := len(list) == 0
		for _, want := range list {
			if got, err := r.Addr.Unmap().Prefix(want.Bits()); err == nil && got == want.Masked() {
				in = true
			}
		}
		if !in {
			return false
		}
	}
	return true
}

// npmKnowsMode reports whether it is known what the account is asked for.
func npmKnowsMode(r policy.Request) bool {
	return r.Account.TwoFactor == protocol.TwoFactorOff || r.Account.TwoFactor == protocol.AuthOnly || r.Account.TwoFactor == protocol.AuthAndWrites
}

// npmHolds returns the rights of who the credential is of. A publisher has those to read and write,
// on its own package.
func npmHolds(r policy.Request) policy.Rights {
	if r.Credential == nil || r.Credential.Kind != policy.KindPublisher {
		return r.Package.Rights
	}
	if r.Credential.Package != r.Package.ID {
		return 0
	}
	return policy.RightRead | policy.RightWrite
}

// npmShutsOut reports whether an organization that enforces a second factor has put the
// user out for having none.
func npmShutsOut(r policy.Request, enforced bool) bool {
	person := !r.Account.Service && r.Credential.Kind != policy.KindPublisher
	return enforced && person && r.Account.TwoFactor == protocol.TwoFactorOff
}

// npmReads reports whether the package is there and may be read.
func npmReads(r policy.Request) bool {
	if r.Operation.Package.Name == "" || r.Package.ID == "" {
		return false
	}
	if !r.Package.Private {
		return true
	}
	// A token is at most its user, at every request, and at most its grants.
	if r.Credential == nil || npmHolds(r)&policy.RightRead == 0 || npmShutsOut(r, r.Package.RequireFactor) {
		return false
	}
	return r.Credential.Kind == policy.KindSession || npmGrants(r, func(g protocol.Grant) bool {
		return g.Permission == protocol.ReadOnly || g.Permission == protocol.ReadWrite || g.Permission == protocol.StageOnly
	})
}

// npmWrites reports whether the user may write to the package that there is, and a grant
// of the credential's says so, too. Nobody writes to what they may not read.
func npmWrites(r policy.Request) bool {
	if npmHolds(r)&policy.RightWrite == 0 || r.Package.Private && npmHolds(r)&policy.RightRead == 0 || npmShutsOut(r, r.Package.RequireFactor) {
		return false
	}
	verb := map[protocol.Action]protocol.Verbs{
		protocol.Publish: protocol.VerbPublish, protocol.SetDistTag: protocol.VerbDistTag, protocol.RemoveDistTag: protocol.VerbDistTag,
		protocol.Deprecate: protocol.VerbDeprecate, protocol.Unpublish: protocol.VerbUnpublish, protocol.UnpublishAll: protocol.VerbUnpublish,
		protocol.ApproveStaged: protocol.VerbPublish,
	}[r.Operation.Action]
	return r.Credential.Kind == policy.KindSession || npmGrants(r, func(g protocol.Grant) bool {
		return g.Permission == protocol.ReadWrite && (g.Verbs == 0 || g.Verbs&verb == verb)
	})
}

// npmCreates reports whether the credential is good for a new package, which is a matter of its scope, or
// of all packages. npm has no pending trusted publishers: the credential of one is for its name.
func npmCreates(r policy.Request) bool {
	if r.Credential.Creates.Owner != "" {
		return r.Operation.Action == protocol.Publish && r.Credential.Creates.Package == r.Operation.Package && npmGrants(r, func(g protocol.Grant) bool {
			return g.Permission == protocol.ReadWrite && (g.Verbs == 0 || g.Verbs&protocol.VerbPublish != 0)
		})
	}
	return r.Credential.Kind == policy.KindSession || npmGrants(r, func(g protocol.Grant) bool {
		return g.Permission == protocol.ReadWrite && g.Target != protocol.OnePackage && (g.Verbs == 0 || g.Verbs&protocol.VerbCreate == protocol.VerbCreate)
	})
}

// npmStages reports whether versions may be staged with the credential, of a package that is there or of a
// new one.
func npmStages(r policy.Request) bool {
	isNew := r.Package.ID == ""
	switch {
	case npmShutsOut(r, r.Package.RequireFactor),
		isNew && !r.Package.MayCreate, r.Credential.Creates.Owner != "",
		!isNew && (npmHolds(r)&policy.RightWrite == 0 || r.Package.Private && npmHolds(r)&policy.RightRead == 0):
		return false
	}
	return r.Credential.Kind == policy.KindSession || npmGrants(r, func(g protocol.Grant) bool {
		if isNew && (g.Target == protocol.OnePackage || g.Verbs != 0 && g.Verbs&protocol.VerbCreate == 0) {
			return false
		}
		return g.Permission == protocol.StageOnly && g.Verbs == 0 || g.Permission == protocol.ReadWrite && (g.Verbs == 0 || g.Verbs&protocol.VerbStage != 0)
	})
}

// npmStagedByOther reports whether the staged version is of somebody else's package to be: npm makes a placeholder at once,
// which who stages a first version owns. In a scope it is the organization's.
func npmStagedByOther(r policy.Request) bool {
	return r.Package.ID == "" && r.Operation.Package.Scope == "" && r.Staged.By != r.Account.ID
}

// npmManages reports whether the credential is one that changes who may do what: a
// person's, with a factor to ask for and not bypassing it.
func npmManages(r policy.Request, held bool) bool {
	c := r.Credential
	return c != nil && (c.Kind == policy.KindSession || c.Kind == policy.KindToken && !c.Bypass) &&
		!r.Account.Service && !held && r.Account.TwoFactor != protocol.TwoFactorOff
}

// npmAdministers reports whether the user administers the package that there is.
func npmAdministers(r policy.Request) bool {
	return r.Package.ID != "" && r.Package.Rights&policy.RightAdmin != 0 && !npmShutsOut(r, r.Package.RequireFactor) &&
		(!r.Package.Private || r.Package.Rights&policy.RightRead != 0)
}

// npmIn reports whether the user has one of the roles in the organization that there is.
func npmIn(r policy.Request, roles ...protocol.OrgRole) bool {
	if npmOwnScope(r) {
		return r.Credential != nil && slices.Contains(roles, protocol.OrgOwner) && !npmShutsOut(r, r.Org.RequireFactor)
	}
	return r.Credential != nil && r.Org.ID != "" && slices.Contains(roles, r.Org.Role) && !npmShutsOut(r, r.Org.RequireFactor)
}

// npmOwnScope reports whether the request sets the rules of the scope @name of the user of that name. On npmjs.com a user's
// scope is theirs alone (docs: about scopes), and there is no page of its members.
func npmOwnScope(r policy.Request) bool {
	sets := r.Operation.Action == protocol.SetOrgFactor
	members := r.Change != nil && r.Change.RequireFactor != nil
	return sets && !members && r.Org.ID == "" && r.Org.Own
}

// npmOrgGrant reports whether the credential is good for the organization.
func npmOrgGrant(r policy.Request, permissions ...protocol.Permission) bool {
	name := r.Operation.Org
	switch {
	case name == "":
		return false
	case r.Credential.Kind == policy.KindSession:
		return true
	case r.Credential.Kind != policy.KindToken:
		return false
	}
	return slices.ContainsFunc(r.Credential.Grants, func(g protocol.Grant) bool {
		return g == protocol.Grant{Target: protocol.OneOrg, Scope: name, Permission: g.Permission} && slices.Contains(permissions, g.Permission)
	})
}

// npmGrants reports whether a grant is about the package, which it is by its name as
// text, and is one of those wanted.
func npmGrants(r policy.Request, wanted func(protocol.Grant) bool) bool {
	name := r.Operation.Package.Name
	if r.Operation.Package.Scope != "" {
		name = "@" + r.Operation.Package.Scope + "/" + name
	}
	for _, g := range r.Credential.Grants {
		named := g.Package.Name
		if g.Package.Scope != "" {
			named = "@" + g.Package.Scope + "/" + named
		}
		about := false
		switch g.Target {
		case protocol.AllPackages:
			about = named == "" && g.Scope == ""
		case protocol.OnePackage:
			about = named == name && g.Scope == ""
		case protocol.OneScope:
			about = g.Scope != "" && named == "" && strings.HasPrefix(name, "@"+g.Scope+"/")
		}
		if about && wanted(g) {
			return true
		}
	}
	return false
}

// A dissent is what the two decide differently.
func dissent(p *policy.Policy, r policy.Request) string {
	want, got := npmSays(r), p.Decide(r)
	if want == got.Effect {
		return ""
	}
	line, err := policytest.Format(r)
	if err != nil { // with a number that has no name
		line = fmt.Sprintf("%+v by %+v", r, r.Credential)
	}
	return fmt.Sprintf("npm says %v:\n%s  =>  %s\n%v", want, line, policytest.Answer(got), p.Explain(r))
}

// TestOracleMatrix holds NPM to a second reading of npm's rules on the matrix of decisions, with
// every proof.
func TestOracleMatrix(t *testing.T) {
	p := policy.NPM()
	var effects [3]int
	for r := range matrix() {
		if r.Proof != policy.NoProof {
			continue // it comes with every request
		}
		for r.Proof = range policy.ProofKey + 2 {
			if d := dissent(p, r); d != "" {
				t.Fatal(d)
			}
			effects[npmSays(r)]++
		}
	}
	for effect, n := range effects {
		require.NotZero(t, n, "%v", policy.Effect(effect))
	}
}

// Whatever is found here can be pasted into a table and is decided there as here.
func TestRandomRequestsCanBePasted(t *testing.T) {
	p := policy.NPM()
	rnd := rand.New(rand.NewPCG(3, 4))
	pasted := 0
	for range 5000 {
		r := randomRequest(rnd)
		line, err := policytest.Format(r)
		if err != nil {
			continue
		}
		pasted++
		row, err := policytest.Parse(line + " => allow")
		require.NoError(t, err, line)
		require.Equal(t, p.Decide(r), p.Decide(row.Request), line)
	}
	assert.Greater(t, pasted, 3000)
}

// The oracle notices the loss of every rule that changes what comes of a request. Those
// that are missing here only put into words what no rule permits anyway.
func TestOracleNoticesEveryLoss(t *testing.T) {
	p := policy.NPM()
	rnd := rand.New(rand.NewPCG(1, 2))
	var requests []policy.Request
	for range 50_000 {
		requests = append(requests, randomRequest(rnd))
	}
	var noticed []string
	for _, rule := range p.Rules() {
		without := p.Without(rule.ID)
		if slices.ContainsFunc(requests, func(r policy.Request) bool {
			return rule.Concerns(r.Operation.Action, r.Kind()) && npmSays(r) != without.Decide(r).Effect
		}) {
			noticed = append(noticed, rule.ID)
		}
	}
	assert.Equal(t, []string{
		"unknown-operation", "unknown-credential", "account-mismatch", "account-disabled", "expired", "cidr",
		"unknown-factor-mode", "service-signs-in-never", "session-only", "bypass-manages-nothing", "service-manages-nothing", "publisher-only-publishes",
		"foreign-reads-only", "publishers-only", "package-disallows-tokens", "hidden-staged", "decision-takes-a-person", "approver-is-stager", "stage-required", "account-held", "mfa-none", "factor-required", "service-needs-bypass",
		"no-security-key", "security-key-only", "no-second-factor", "publish-needs-factor", "decision-needs-factor", "manage-needs-factor", "write-needs-factor", "account-needs-factor", "recovery-code",
		"open", "sign-in", "signed-in", "listing", "own-account", "service-account", "read-package", "read-collaborators", "star",
		"write-package", "create-package", "stage", "list-staged", "read-staged", "approve-staged", "reject-staged", "manage-package", "pending-publisher", "read-org", "manage-members", "manage-org-trust", "manage-teams", "grant-team",
	}, noticed)

	session := policy.Request{Now: now, Addr: here, Operation: protocol.Operation{Action: protocol.Whoami}}
	session.Credential = &policy.Credential{ID: "c1", Kind: policy.KindSession, User: "u-alice", Created: created, Expires: now.Add(time.Hour)}
	session.Account = policy.Account{ID: "u-alice", Name: "alice", TwoFactor: protocol.AuthOnly}
	require.Empty(t, dissent(p, session))
	assert.Contains(t, dissent(p.Without("signed-in"), session),
		"npm says allow:\nsession  auth-only  whoami  -  -  =>  deny not-permitted\n", "as a line of a table")
}

// TestOracleRandom does so on requests that nobody has thought of.
func TestOracleRandom(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 10_000
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	p := policy.NPM()
	var effects [3]int
	for range n {
		r := randomRequest(rnd)
		if d := dissent(p, r); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		effects[npmSays(r)]++
	}
	for effect, times := range effects {
		require.Greater(t, times, n/200, "%v", policy.Effect(effect))
	}
}

// randomRequest returns a request that is now and then wrong in each of its parts, and
// mostly about what is served.
func randomRequest(rnd *rand.Rand) policy.Request {
	one := func(in int) bool { return rnd.IntN(in) == 0 }
	instants := []time.Time{now.Add(-time.Hour), now.Add(-1), now, now.Add(1), now.Add(time.Hour)}
	r := policy.Request{Now: now, Addr: here}
	if one(30) {
		r.Now = time.Time{}
	}
	if one(10) {
		r.Addr = []netip.Addr{{}, netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.3.7")}[rnd.IntN(4)]
	}
	switch {
	case one(5):
		r.Operation.Action = protocol.Action(rnd.IntN(len(protocol.Actions()) + 5))
	case one(5):
		r.Operation.Action = pick(rnd, func(a protocol.Action) bool { return a.OfPackage() && !a.Write() })
	case one(12):
		r.Operation.Action = []protocol.Action{protocol.ReadStaged, protocol.ApproveStaged, protocol.ApproveStaged, protocol.RejectStaged}[rnd.IntN(4)]
	case one(3):
		r.Operation.Action = pick(rnd, func(a protocol.Action) bool { return !a.OfPackage() && !a.OfOrg() })
	case one(2):
		r.Operation.Action = pick(rnd, protocol.Action.OfOrg)
	default:
		r.Operation.Action = pick(rnd, func(a protocol.Action) bool { return a.OfPackage() && a.Write() })
	}
	a := r.Operation.Action
	if !one(10) {
		r.Change = newToken(one(3), one(3))
		if a != protocol.CreateToken && a != protocol.ManageService && !one(20) || one(10) {
			r.Change.Token = nil
		}
		if a == protocol.SetAccess && one(2) || one(100) {
			r.Change.PublishMode = newMode(protocol.PublishMode(rnd.IntN(4))).PublishMode
		}
		if (a == protocol.SetAccess || a == protocol.SetOrgFactor) && one(2) || one(100) {
			r.Change.KeysOnly = new(one(2))
		}
		if (a == protocol.SetAccess || a == protocol.SetOrgFactor) && one(4) || one(100) {
			r.Change.PublishersOnly = new(one(2))
		}
		if (a == protocol.SetAccess || a == protocol.SetOrgFactor) && one(4) || one(100) {
			r.Change.StageOnly, r.Change.Approvals, r.Change.OtherApprover = new(one(2)), new(uint8(rnd.IntN(4))), new(one(2))
		}
		if a == protocol.SetTwoFactor && one(2) || one(100) {
			r.Change.TwoFactor = protocol.TwoFactorOff
		}
		if a == protocol.Deprecate {
			if r.Change = new(protocol.Change); !one(4) {
				r.Change.Deprecated = map[string]string{"1.0.0": "no"}
			}
		}
	}
	r.Administers = a.OfService() && !one(4) || one(100)
	if a.OfOrg() && !one(50) {
		r.Operation.Org = []string{"acme", "acme", "acme", "acme-evil", "", "acme"}[rnd.IntN(6)]
	}
	if a.OfOrg() || one(100) {
		r.Org = policy.OrgFacts{ID: "o-1", Role: protocol.OrgRole(rnd.IntN(4)), RequireFactor: one(4), Own: one(2)}
		switch {
		case one(10):
			r.Org.ID = ""
		case one(20):
			r.Org.Role = protocol.OrgOwner + 1
		case one(2):
			r.Org.Role = protocol.OrgOwner
		}
	}
	staged := a == protocol.ReadStaged || a == protocol.ApproveStaged || a == protocol.RejectStaged
	if (a.OfPackage() || a == protocol.GrantTeam || staged) && !one(50) {
		r.Operation.Package = randomName(rnd)
	}
	if staged && one(2) || one(100) {
		r.Staged.By = []protocol.UserID{"u-alice", "u-bob"}[rnd.IntN(2)]
	}
	if one(4) {
		r.Staged.Approvals = []protocol.UserID{"u-bob"}
	}
	if !one(5) {
		r.Package.ID = "p-1"
	}
	r.Package.RequireFactor = one(6)
	r.Package.Private, r.Package.MayCreate = one(2), one(2)
	r.Package.Rights = policy.Rights(rnd.IntN(8))
	if one(2) {
		r.Package.Rights |= policy.RightRead | policy.RightWrite
	}
	if a == protocol.GrantTeam || a == protocol.WriteOwners || a == protocol.SetAccess || a == protocol.ReadTrust || a == protocol.CheckTrust || a == protocol.WriteTrust {
		r.Package.Rights |= policy.RightAdmin * policy.Rights(rnd.IntN(2))
	}
	if one(4) {
		r.Settings.Publish = protocol.PublishMode(rnd.IntN(4))
	}
	r.Settings.KeysOnly, r.Settings.PublishersOnly, r.Settings.StageOnly, r.Settings.OtherApprover = one(4), one(6), one(6), one(3)
	if one(5) {
		r.Settings.Approvals = uint8(rnd.IntN(4))
	}
	if !a.OfPackage() && a != protocol.GrantTeam && !staged && !one(50) {
		r.Package, r.Settings, r.Staged = policy.Facts{}, policy.Settings{}, policy.Staged{}
	}
	if one(2) {
		r.Proof = policy.Proof(rnd.IntN(int(policy.ProofKey) + 2))
	}
	if one(8) {
		if one(10) {
			r.Account = policy.Account{ID: "u-alice", TwoFactor: protocol.AuthOnly}
		}
		return r
	}

	c := &policy.Credential{
		ID: "c1", Kind: policy.Kind(1 + rnd.IntN(4)), User: "u-alice", Bypass: one(2), Created: created, Expires: now.Add(time.Hour),
	}
	if one(20) {
		c.Kind = policy.Kind(rnd.IntN(7))
	}
	if one(15) {
		c.Expires = append(instants, time.Time{})[rnd.IntN(len(instants)+1)]
	}
	for range rnd.IntN(4) {
		g := randomGrant(rnd)
		if a.OfOrg() && one(2) {
			g = protocol.Grant{Target: protocol.OneOrg, Scope: "acme", Permission: g.Permission}
		}
		c.Grants = append(c.Grants, g)
	}
	cidrs := func() (ps []netip.Prefix) {
		for range 1 + rnd.IntN(2) {
			ps = append(ps, netip.MustParsePrefix([]string{"192.0.2.0/24", "192.0.2.8/29", "192.0.2.7/32", "0.0.0.0/0", "::/0", "2001:db8::/32"}[rnd.IntN(6)]))
		}
		return ps
	}
	if one(10) {
		c.CIDRs = cidrs()
	}
	r.Credential = c
	r.Account = policy.Account{ID: "u-alice", Name: "alice", Disabled: one(40), TwoFactor: protocol.TwoFactorMode(1 + rnd.IntN(3))}
	r.Account.Service, r.Account.FactorRequired, r.Account.HighImpact = one(8), one(4), one(4)
	r.Account.Keys, r.Account.KeysOnly = one(2), one(4)
	if one(4) {
		hold := now.Add(-72 * time.Hour)
		r.Account.Recovered = []time.Time{hold.Add(-time.Hour), hold.Add(-1), hold, hold.Add(1), now.Add(-time.Hour), now, now.Add(time.Hour)}[rnd.IntN(7)]
	}
	if one(20) {
		r.Account.CIDRs = cidrs()
	}
	switch {
	case one(40):
		r.Account.TwoFactor = protocol.TwoFactorMode(rnd.IntN(6))
	case one(40):
		r.Account.ID = []protocol.UserID{"", "u-bob", "u-Alice"}[rnd.IntN(3)]
	case one(80):
		r.Account.ID, c.User = "", ""
	}
	if c.Kind == policy.KindPublisher != one(80) {
		c.Package = "p-1"
		if !one(20) {
			c.User, r.Account = "", policy.Account{}
		}
	}
	switch {
	case one(40):
		c.Package = []protocol.PackageID{"", "p-2"}[rnd.IntN(2)]
	case !r.Operation.Package.IsZero() && (c.Kind == policy.KindPublisher && one(3) || one(80)):
		c.Creates = policy.Creation{Package: r.Operation.Package, Owner: "u-alice"}
		if !one(10) {
			c.Package = ""
		}
		if one(10) {
			c.Creates.Package = randomName(rnd)
		}
		if one(20) {
			c.Creates.Owner = ""
		}
		if !one(4) {
			r.Package.ID = ""
		}
		c.Grants = append(c.Grants, protocol.Grant{Target: protocol.OnePackage, Package: r.Operation.Package, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish})
	case c.Kind == policy.KindPublisher && !r.Operation.Package.IsZero() && one(2):
		c.Grants = append(c.Grants, protocol.Grant{Target: protocol.OnePackage, Package: r.Operation.Package, Permission: protocol.ReadWrite, Verbs: protocol.VerbPublish | protocol.VerbStage | protocol.VerbDeprecate*protocol.Verbs(rnd.IntN(2))})
	}
	return r
}

// actionsOf returns the actions of which it holds.
func actionsOf(holds func(protocol.Action) bool) []protocol.Action {
	return slices.DeleteFunc(protocol.Actions(), func(a protocol.Action) bool { return !holds(a) })
}

// pick returns one of them.
func pick(rnd *rand.Rand, holds func(protocol.Action) bool) protocol.Action {
	all := actionsOf(holds)
	return all[rnd.IntN(len(all))]
}

func randomName(rnd *rand.Rand) protocol.PackageName {
	return protocol.PackageName{
		Scope: []string{"", "acme", "acme", "acme-evil", "Acme"}[rnd.IntN(5)],
		Name:  []string{"widget", "widget", "widget", "widget2", "acme"}[rnd.IntN(5)],
	}
}

func randomGrant(rnd *rand.Rand) protocol.Grant {
	g := protocol.Grant{Target: protocol.Target(1 + rnd.IntN(4)), Permission: protocol.Permission(rnd.IntN(4))}
	if rnd.IntN(30) == 0 {
		g.Target, g.Permission = protocol.Target(rnd.IntN(6)), protocol.Permission(rnd.IntN(6))
	}
	if rnd.IntN(2) == 0 {
		g.Permission = protocol.ReadWrite
	}
	name := randomName(rnd)
	if g.Target == protocol.OnePackage || rnd.IntN(50) == 0 {
		g.Package = name
	}
	if g.Target == protocol.OneScope || g.Target == protocol.OneOrg || rnd.IntN(50) == 0 {
		g.Scope = name.Scope
	}
	if g.Permission == protocol.ReadWrite && g.Target != protocol.OneOrg && rnd.IntN(3) == 0 || rnd.IntN(100) == 0 {
		g.Verbs = protocol.Verbs(rnd.IntN(1 << 6))
		if rnd.IntN(20) == 0 {
			g.Verbs = protocol.Verbs(rnd.IntN(1 << 8))
		}
	}
	return g
}
