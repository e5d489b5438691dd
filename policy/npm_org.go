package policy

import (
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// orgRules refuse by the organization.
func orgRules() []Rule {
	all := join(orgReads, orgManagement)
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
		Doc:      "A token is for the organizations it names, and a grant on packages is none on the organization that owns them. Of the others it hears nothing else: not that its user is in one nor what that user administers.",
		Sentence: "This token is not for this organization.",
		Remedy:   "Create a token that names the organization.",
		Actions:  all,
		Kinds:    granted,
		Judge:    func(r *Request) Verdict { return forbid(r.orgReach()&reachRead == 0) },
	}, {
		ID:       "read-only-org-token",
		Doc:      "A grant that only reads changes no organization.",
		Sentence: "This token can only read this organization.",
		Remedy:   "Create a token with read-write permission on the organization.",
		Actions:  orgManagement,
		Kinds:    onlyTokens,
		Judge: func(r *Request) Verdict {
			return forbid(r.orgReach()&(reachRead|reachWrite) == reachRead)
		},
	}, {
		ID:       "hidden-org",
		Doc:      "An organization that the user is not in and one that does not exist get one answer.",
		Sentence: "There is no such organization or you are not in it.",
		Remedy:   "Check the name and ask an owner of the organization to add you.",
		Conceal:  true,
		Actions:  all,
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			return forbid((r.Org.ID == "" || r.Org.Role == protocol.NoRole || r.Org.Role > protocol.OrgOwner) && told(r))
		},
	}, {
		ID:       "org-requires-factor",
		Doc:      "An organization may demand a second factor of its members: who has none has no part in it nor rights on its packages, while that lasts. What is public stays so. It is said to those who would have them.",
		Sentence: "This organization requires a second factor of its members and your account has none.",
		Remedy:   "Run npm profile enable-2fa auth-and-writes and try again.",
		Actions:  join(all, packageWrites, packageManagement, reading),
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
		Doc:      "Members are the owners' business, and teams that of admins as well.",
		Sentence: "Your role in this organization does not allow this.",
		Remedy:   "Ask an owner of the organization.",
		Actions:  orgManagement,
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			least := protocol.OrgAdmin
			if r.Operation.Action == protocol.WriteOrg {
				least = protocol.OrgOwner
			}
			return forbid(r.Role() != protocol.NoRole && r.Role() < least && told(r))
		},
	}, {
		ID:       "grant-needs-admin",
		Doc:      "Nobody gives a team what they do not administer themselves. A package that is hidden and one that does not exist get the same answer.",
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
		Doc:      "After a recovery code was used or its address changed, an account that many depend on reads for a while and does nothing lasting: npm's guard of June 2026. It ends by itself. What protects the account is not held up: revoking its tokens and changing the password or the factor.",
		Sentence: "This account was recovered a short while ago and can only read for now.",
		Remedy:   "Wait until the hold ends or ask the people who run this registry.",
		Actions:  join(packageWrites, management(), []protocol.Action{protocol.CreateToken, protocol.ManageService}),
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			return forbid(r.Account.HighImpact && !r.Account.Recovered.IsZero() && r.Now.Before(r.Account.Recovered.Add(r.limitsOf().HighImpactHold)))
		},
	}, {
		ID:       "mfa-none",
		Doc:      "mfa=none was taken away in December 2025. A package that has it keeps it. A private registry may leave this rule out; a setting that is not known stays refused.",
		Sentence: "A package can no longer be set to need no second factor.",
		Remedy:   "Use npm access set mfa=automation or mfa=publish.",
		Actions:  []protocol.Action{protocol.SetAccess},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.newMode() >= protocol.NoFactor) },
	}, {
		ID:       "factor-required",
		Doc:      "While one of a member's organizations demands a second factor, it may be changed and not taken off.",
		Sentence: "An organization you are in requires a second factor so you cannot turn it off.",
		Remedy:   "Leave the organization first.",
		Actions:  []protocol.Action{protocol.SetTwoFactor},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.removesFactor() && r.Account.FactorRequired) },
	}, {
		ID:       "service-needs-bypass",
		Doc:      "Nobody can be asked for the second factor of a service account, so its tokens write only if those who made them said so with theirs.",
		Sentence: "This token of a service account cannot write.",
		Remedy:   "Create one with bypass_2fa.",
		Actions:  packageWrites,
		Kinds:    onlyTokens,
		Judge:    func(r *Request) Verdict { return forbid(r.Account.Service && !r.Bypasses()) },
	}, {
		ID:       "not-administrator",
		Doc:      "The tokens of a service account are seen by those who administer it, in a session. Another's and one that does not exist get the same answer.",
		Sentence: "There is no such service account or you do not administer it.",
		Conceal:  true,
		Actions:  serviceActions,
		Kinds:    onlySessions,
		Judge:    func(r *Request) Verdict { return forbid(!r.Administers) },
	}}
}

// BypassPublishEnds returns the rule that a token which bypasses the second factor publishes no
// more from an instant on, and only stages. npm has announced it for about January 2027 and named no
// day, so it is not among the rules of [NPM].
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
