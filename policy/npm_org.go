package policy

import (
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// orgRules refuse by the organization.
func orgRules() []Rule {
	all := join(orgReads, orgTrust[:1], orgManagement)
	// administered reports whether the user administers the package and may see it, but
	// for the factor that its organization may demand.
	administered := func(r *Request) bool {
		return r.Package.ID != "" && r.Package.Rights.Has(RightAdmin) && (!r.Package.Private || r.Package.Rights.Has(RightRead))
	}
	// told reports whether the credential is for the organization, so that it may hear of it.
	told := func(r *Request) bool { return r.orgReach()&reachRead != 0 }
	reading := join(packageReads, []protocol.Action{protocol.ReadCollaborators, protocol.Star})
	return []Rule{{
		ID:       "no-org-grant",
		Doc:      "A token needs a grant on the organization; one on its packages does not count. The answer does not say whether the user is in the organization.",
		Sentence: "This token is not for this organization.",
		Remedy:   "Create a token that names the organization.",
		Actions:  all,
		Kinds:    granted,
		Judge:    func(r *Request) Verdict { return forbid(r.orgReach()&reachRead == 0) },
	}, {
		ID:       "read-only-org-token",
		Doc:      "The token's grant on the organization only reads.",
		Sentence: "This token can only read this organization.",
		Remedy:   "Create a token with read-write permission on the organization.",
		Actions:  orgManagement,
		Kinds:    onlyTokens,
		Judge: func(r *Request) Verdict {
			return forbid(r.orgReach()&(reachRead|reachWrite) == reachRead)
		},
	}, {
		ID:       "hidden-org",
		Doc:      "An organization that the user is not in and one that does not exist get the same answer.",
		Sentence: "There is no such organization or you are not in it.",
		Remedy:   "Check the name and ask an owner of the organization to add you.",
		Conceal:  true,
		Actions:  all,
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			return forbid(r.heldRole() == protocol.NoRole && told(r))
		},
	}, {
		ID:       "org-requires-factor",
		Doc:      "Where an organization requires a second factor of its members, a member without one has neither a role in it nor rights on its packages. Everybody still reads what is public.",
		Sentence: "This organization requires a second factor of its members and your account has none.",
		Remedy:   FactorRemedy,
		Actions:  join(all, packageWrites, packageManagement, []protocol.Action{protocol.Stage}, reading),
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			a, org, pkg := r.Operation.Action, r.factorless(r.Org.RequireFactor), r.factorless(r.Package.RequireFactor)
			switch {
			case !org && !pkg:
				return Silent
			case a.OfOrg():
				return forbid(told(r) && (org || a == protocol.GrantTeam && administered(r)))
			case r.Creates():
				return forbid(pkg && r.Package.MayCreate)
			case slices.Contains(reading, a):
				return forbid(r.lost().Has(RightRead))
			default:
				return forbid(r.lost() != 0)
			}
		},
	}, {
		ID:       "org-role",
		Doc:      "Owners manage members, what is required of them and the trusted publishers of the scope. Admins and owners manage teams. Users are the owners of the scope of their own name.",
		Sentence: "Your role in this organization does not allow this.",
		Remedy:   "Ask an owner of the organization.",
		Actions:  join(orgManagement, orgTrust[:1]),
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			least := protocol.OrgAdmin
			switch r.Operation.Action {
			case protocol.WriteOrg, protocol.SetOrgFactor, protocol.ReadOrgTrust, protocol.WriteOrgTrust:
				least = protocol.OrgOwner
			}
			return forbid(r.Role() != protocol.NoRole && r.Role() < least && told(r))
		},
	}, {
		ID:       "grant-needs-admin",
		Doc:      "Giving a team access to a package takes the right to administer that package. A hidden package and one that does not exist get the same answer.",
		Sentence: "You do not administer the package that the team would get.",
		Remedy:   "Ask a maintainer of the package.",
		Actions:  []protocol.Action{protocol.GrantTeam},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(told(r) && !administered(r)) },
	}}
}

// guardRules refuse for a time, or from a date on.
func guardRules() []Rule {
	return []Rule{{
		ID:       "account-held",
		Doc:      "For Limits.HighImpactHold after its recovery a high-impact account only reads and protects itself: it may revoke tokens and change its password and second factor (npm, June 2026).",
		Sentence: "This account was recovered a short while ago and can only read for now.",
		Remedy:   "Wait until the hold ends or ask the people who run this registry.",
		Actions:  join(packageWrites, management(), []protocol.Action{protocol.Stage, protocol.ApproveStaged, protocol.CreateToken, protocol.ManageService}),
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			return forbid(r.Account.HighImpact && !r.Account.Recovered.IsZero() && r.Now.Before(r.Account.Recovered.Add(r.limitsOf().HighImpactHold)))
		},
	}, {
		ID:       "mfa-none",
		Doc:      "npm removed mfa=none in December 2025. A package that has it keeps it. A private registry may leave this rule out; manage-package still denies an unknown setting.",
		Sentence: "A package can no longer be set to need no second factor.",
		Remedy:   "Use npm access set mfa=automation or mfa=publish.",
		Actions:  []protocol.Action{protocol.SetAccess},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.newMode() >= protocol.NoFactor) },
	}, {
		ID:       "factor-required",
		Doc:      "While one of the user's organizations requires a second factor, the user may change it and not remove it.",
		Sentence: "An organization you are in requires a second factor so you cannot turn it off.",
		Remedy:   "Leave the organization first.",
		Actions:  []protocol.Action{protocol.SetTwoFactor},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.removesFactor() && r.Account.FactorRequired) },
	}, {
		ID:       "service-needs-bypass",
		Doc:      "A service account has no second factor, so its tokens write only if they bypass it.",
		Sentence: "This token of a service account cannot write.",
		Remedy:   "Create one with bypass_2fa.",
		Actions:  packageWrites,
		Kinds:    onlyTokens,
		Judge:    func(r *Request) Verdict { return forbid(r.Account.Service && !r.Bypasses()) },
	}, {
		ID:       "not-administrator",
		Doc:      "Only administrators of a service account handle its tokens. Another's service account and one that does not exist get the same answer.",
		Sentence: "There is no such service account or you do not administer it.",
		Conceal:  true,
		Actions:  serviceActions,
		Kinds:    onlySessions,
		Judge:    func(r *Request) Verdict { return forbid(!r.Administers) },
	}}
}

// BypassPublishEnds returns the rule bypass-publishes-no-more: from the instant at on, a token that
// bypasses the second factor may stage and not publish. The zero time means always. npm announced
// it for about January 2027 without a date, so it is not one of the rules of [NPM]. See [TokenPublishEnds] for
// all tokens.
func BypassPublishEnds(at time.Time) Rule {
	return Rule{
		ID:       "bypass-publishes-no-more",
		Doc:      "From " + at.UTC().Format(time.RFC3339) + " on a token that bypasses the second factor only stages.",
		Sentence: "Tokens that bypass the second factor do not publish any more.",
		Remedy:   "Set up a trusted publisher or stage the version and have a maintainer approve it.",
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    onlyTokens,
		Judge:    func(r *Request) Verdict { return forbid(r.Bypasses() && !r.Now.Before(at)) },
	}
}

// TokenPublishEnds returns the rule tokens-publish-no-more: from the instant at on, no granular token publishes,
// also with a second factor. Sessions and trusted publishers do, and tokens stage. The zero time means
// always. It is the wider reading of what npm announced, as a draft of its documentation has it
// (npm/documentation#2036); the announcement itself speaks of what [BypassPublishEnds] ends.
func TokenPublishEnds(at time.Time) Rule {
	return Rule{
		ID:       "tokens-publish-no-more",
		Doc:      "From " + at.UTC().Format(time.RFC3339) + " on a granular token only stages.",
		Sentence: "Tokens do not publish any more.",
		Remedy:   "Set up a trusted publisher or stage the version and have a maintainer approve it or publish in a session.",
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    []Kind{KindToken, KindForeign},
		Judge:    func(r *Request) Verdict { return forbid(!r.Now.Before(at)) },
	}
}
