package policy

import (
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// The actions by what their rules have in common. An action that is in no list of a
// rule that permits is denied.
var (
	// openReads say nothing about people; what Search finds is only what may be read.
	openReads = []protocol.Action{protocol.Ping, protocol.Audit, protocol.ReadKeys, protocol.Search}
	// signIns are judged by the password, the factor, the page, the signature or the ID token, not here.
	signIns = []protocol.Action{protocol.Login, protocol.LegacyLogin, protocol.LegacyUpdate, protocol.AuthPage, protocol.ReportLeak, protocol.ExchangeToken}
	// selfReads are what any live credential may ask about itself, and its own end.
	selfReads = []protocol.Action{protocol.Whoami, protocol.ReadSelf, protocol.ReadUser, protocol.Logout}
	// listings show each what that one may see.
	listings = []protocol.Action{protocol.ListPackages, protocol.ListStars}
	// accountActions belong to the person and not to a token.
	accountActions = []protocol.Action{protocol.ListTokens, protocol.CreateToken, protocol.RevokeToken, protocol.ListSessions, protocol.EndSession, protocol.ListEvents, protocol.ListMemberships, protocol.ReadProfile, protocol.WriteProfile, protocol.SetTwoFactor, protocol.ListFactors, protocol.AddFactor, protocol.RemoveFactor, protocol.SetPassword}
	// accountWrites are those of them that change something.
	accountWrites = []protocol.Action{protocol.CreateToken, protocol.RevokeToken, protocol.EndSession, protocol.WriteProfile, protocol.SetTwoFactor, protocol.AddFactor, protocol.RemoveFactor, protocol.SetPassword}
	// serviceActions are about the tokens of a service account, for those who administer it.
	serviceActions = []protocol.Action{protocol.ReadService, protocol.ManageService, protocol.RevokeService}
	// packageReads are what a package shows to whoever may read it.
	packageReads = []protocol.Action{protocol.ReadPackument, protocol.ReadTarball, protocol.ReadAttestations, protocol.ReadDistTags, protocol.ReadAccess, protocol.ReadVisibility}
	// packageWrites need the right to write, and one rule serves them all.
	packageWrites = []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.Unpublish, protocol.UnpublishAll}
	// tagLike are those of them that auth-only accounts do without a factor.
	tagLike = packageWrites[1:]
	// packageManagement needs the right to administer.
	packageManagement = []protocol.Action{protocol.WriteOwners, protocol.SetAccess, protocol.WriteTrust}
	// trustReads show the trusted publishers to those who administer the package, and ask for a second
	// factor, too, as npm does.
	trustReads = []protocol.Action{protocol.ReadTrust, protocol.CheckTrust}
	// orgTrust are the trusted publishers of all packages of an organization's scope. To see them asks for a
	// second factor, too.
	orgTrust = []protocol.Action{protocol.ReadOrgTrust, protocol.WriteOrgTrust}
	// factorReads change nothing and ask for a second factor all the same.
	factorReads = join(trustReads, orgTrust[:1])
	// orgReads and the writes that admins and owners have.
	orgReads      = []protocol.Action{protocol.ReadOrg, protocol.ListTeams, protocol.ListOrgPackages, protocol.ReadTeam, protocol.ListTeamPackages}
	orgManagement = []protocol.Action{protocol.WriteOrg, protocol.SetOrgFactor, protocol.WriteOrgTrust, protocol.WriteTeam, protocol.WriteTeamMember, protocol.GrantTeam}
	// decisions are what a person says of a staged version, and stagedActions all that is about one.
	decisions     = []protocol.Action{protocol.ApproveStaged, protocol.RejectStaged}
	stagedActions = append([]protocol.Action{protocol.ReadStaged}, decisions...)
	// notOffered are npm's operations that nothing here serves.
	notOffered = []protocol.Action{protocol.WriteStars, protocol.ReadHooks, protocol.WriteHooks}
)

// every returns all known actions but those given.
func every(but ...protocol.Action) []protocol.Action {
	return slices.DeleteFunc(protocol.Actions(), func(a protocol.Action) bool { return slices.Contains(but, a) })
}

// management changes who may do what, and lasts longer than what it was done with.
func management() []protocol.Action { return join(packageManagement, orgManagement) }

func join(lists ...[]protocol.Action) []protocol.Action { return slices.Concat(lists...) }

// Kinds of credential.
var (
	// signedIn are all known kinds: every request with a credential that may count for something.
	signedIn = []Kind{KindSession, KindToken, KindPublisher, KindForeign}
	// ofUsers are those that belong to a user. A publisher's belongs to a package, or to the name of one.
	ofUsers = []Kind{KindSession, KindToken, KindForeign}
	// granted are those that are judged by a list of grants.
	granted = []Kind{KindToken, KindPublisher, KindForeign}
	// personal are those that a person can be behind who can be asked for a second factor. A
	// publisher's proof is the identity that it was created for.
	personal     = []Kind{KindSession, KindToken, KindForeign}
	onlySessions = []Kind{KindSession}
	onlyTokens   = []Kind{KindToken}
)

// NPM returns npmjs.com's rules as of November 2026, with [DefaultLimits]. The rule not-offered
// denies the operations of npm that this module does not serve. Each call builds a new policy, so
// keep the result.
//
// Sources are npm's documentation of access tokens, of two-factor authentication and of requiring
// it for publishing, and its announcements from December 2025 to November 2026. Where they
// disagree the stricter one applies: a package that disallows tokens disallows those that bypass a
// second factor, and an account in auth-only mode is challenged when it publishes and when it
// changes who may publish. The rules no-security-key, security-key-only and publishers-only are about
// settings that npmjs.com does not have, and silent where they are not made.
func NPM() *Policy {
	rules := slices.Concat(operationRules(), credentialRules(), packageRules(), stageRules(), orgRules(), guardRules(), factorRules(), permitRules())
	for i := range rules {
		rules[i].npm = true
	}
	return New(rules...)
}

// sayIf returns v if the condition holds.
func sayIf(v Verdict, holds bool) Verdict {
	if holds {
		return v
	}
	return Silent
}

func forbid(when bool) Verdict    { return sayIf(Forbid, when) }
func needProof(when bool) Verdict { return sayIf(NeedProof, when) }
func permit(when bool) Verdict    { return sayIf(Permit, when) }

const ruleUnknown = "unknown-operation"

// operationRules refuse what nobody may do.
func operationRules() []Rule {
	return []Rule{{
		ID:       ruleUnknown,
		Doc:      "Denies what Classify does not know, and an action on a package or an organization that names none.",
		Sentence: "This is no operation of an npm registry.",
		Judge: func(r *Request) Verdict {
			a := r.action()
			return forbid(a == protocol.Unknown || a.OfPackage() && r.Operation.Package.IsZero() || a.OfOrg() && r.Operation.Org == "")
		},
	}, {
		ID:       CodeNotOffered,
		Doc:      "Operations of npm that this module does not serve. To serve one, replace this rule by one with fewer Actions and add a rule that permits it.",
		Sentence: "This registry does not offer this operation.",
		Actions:  notOffered,
		Judge:    func(*Request) Verdict { return Forbid },
	}}
}

// permitRules are the only ways to be allowed. Each asks for the whole of what it
// needs, so that leaving out a rule that forbids opens no more than that rule closed.
func permitRules() []Rule {
	return []Rule{{
		ID:       "open",
		Doc:      "Everybody may send reads that say nothing about people. The host leaves out of a search what its sender may not read.",
		Sentence: "Everybody may ask this.",
		Actions:  openReads,
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "sign-in",
		Doc:      "Everybody may try to sign in, exchange an ID token or report a leak. Whether that succeeds depends on the password, the second factor, the page, the ID token or the signature and not on the policy.",
		Sentence: "Everybody may try to sign in.",
		Actions:  signIns,
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "signed-in",
		Doc:      "Any live credential may read who it is, look up another user's public name and e-mail address, as npm owner does, and revoke itself.",
		Sentence: "Whoever is signed in may do this.",
		Actions:  selfReads,
		Kinds:    signedIn,
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "listing",
		Doc:      "Whoever is signed in may list a user's packages and stars. The host leaves out the packages that the sender may not read.",
		Sentence: "Whoever is signed in may list this.",
		Actions:  listings,
		Kinds:    signedIn,
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "own-account",
		Doc:      "A session manages its own account and tokens, and reads what happened to the account and which organizations it is in.",
		Sentence: "Your session may manage your own account.",
		Actions:  accountActions,
		Kinds:    onlySessions,
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "service-account",
		Doc:      "The session of a person whom the host calls an administrator of the service account handles that account's tokens.",
		Sentence: "You administer this service account.",
		Actions:  serviceActions,
		Kinds:    onlySessions,
		Judge:    func(r *Request) Verdict { return permit(r.Administers) },
	}, {
		ID:       "read-package",
		Doc:      "Everybody may read a package that is not private. A private one takes the user's right to read and a grant of the credential.",
		Sentence: "You may read this package.",
		Actions:  packageReads,
		Judge:    func(r *Request) Verdict { return permit(r.Rights().Has(RightRead)) },
	}, {
		ID:       "read-collaborators",
		Doc:      "Whoever is signed in and may read a package may see its collaborators.",
		Sentence: "You may see who works on this package.",
		Actions:  []protocol.Action{protocol.ReadCollaborators},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return permit(r.Rights().Has(RightRead)) },
	}, {
		ID:       "star",
		Doc:      "Whoever may read a package may star it, with a session or a token that has any grant to write to it. npm needs no second factor for it.",
		Sentence: "You may star this package.",
		Actions:  []protocol.Action{protocol.Star},
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			return permit(r.Rights().Has(RightRead) && r.reach()&(reachWrite|reachOther) != 0)
		},
	}, {
		ID:       "write-package",
		Doc:      "The user's rights and one grant of the credential both include writing, and the request may also read the package. A publisher's credential has the rights of its grants on the package that it belongs to.",
		Sentence: "You may write to this package.",
		Actions:  packageWrites,
		Judge:    func(r *Request) Verdict { return permit(r.Rights().Has(RightRead | RightWrite)) },
	}, {
		ID:       "create-package",
		Doc:      "The first version takes the host's permission to use the name (Facts.MayCreate), and a session or a grant on the scope or on all packages.",
		Sentence: "You may create this package.",
		Actions:  []protocol.Action{protocol.Publish},
		Judge:    func(r *Request) Verdict { return permit(r.Creates() && r.MayCreate()) },
	}, {
		ID:       "stage",
		Doc:      "Whoever may write to a package may stage versions of it, with a session, or a token or a trusted publisher that may stage. So may who may create it, and so a package begins with a staged version.",
		Sentence: "You may stage versions of this package.",
		Actions:  []protocol.Action{protocol.Stage},
		Judge:    func(r *Request) Verdict { return permit(r.mayStage()) },
	}, {
		ID:       "list-staged",
		Doc:      "A session or a token lists staged versions. Those that it may not read are left out.",
		Sentence: "You may list staged versions.",
		Actions:  []protocol.Action{protocol.ListStaged},
		Kinds:    []Kind{KindSession, KindToken},
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "read-staged",
		Doc:      "Those who may stage versions of a package read those that are staged, and so do those who may publish it.",
		Sentence: "You may see this staged version.",
		Actions:  []protocol.Action{protocol.ReadStaged},
		Kinds:    []Kind{KindSession, KindToken},
		Judge:    func(r *Request) Verdict { return permit(!r.Operation.Package.IsZero() && r.mayStage()) },
	}, {
		ID:       "approve-staged",
		Doc:      "Who may publish the package may approve a staged version of it.",
		Sentence: "You may approve this staged version.",
		Actions:  []protocol.Action{protocol.ApproveStaged},
		Kinds:    []Kind{KindSession, KindToken},
		Judge:    func(r *Request) Verdict { return permit(!r.Operation.Package.IsZero() && r.mayApprove()) },
	}, {
		ID:       "reject-staged",
		Doc:      "Who may stage versions of the package may reject a staged one.",
		Sentence: "You may reject this staged version.",
		Actions:  []protocol.Action{protocol.RejectStaged},
		Kinds:    []Kind{KindSession, KindToken},
		Judge:    func(r *Request) Verdict { return permit(!r.Operation.Package.IsZero() && r.mayStage()) },
	}, {
		ID:       "manage-package",
		Doc:      "For those who administer the package, with a session or a token whose grant to write to it has no verbs. Trusted publishers are managed in a session.",
		Sentence: "You may manage this package.",
		Actions:  join(packageManagement, trustReads),
		Judge: func(r *Request) Verdict {
			known := r.Operation.Action != protocol.SetAccess || r.newMode() <= protocol.NoFactor
			return permit(known && r.Rights().Has(RightRead|RightAdmin))
		},
	}, {
		ID:       "pending-publisher",
		Doc:      "For a name that no package has, who may create the package manages in a session what they have pending there themselves: trusted publishers whose job creates it.",
		Sentence: "You may manage your pending trusted publishers of this name.",
		Actions:  join([]protocol.Action{protocol.WriteTrust}, trustReads),
		Kinds:    onlySessions,
		Judge:    func(r *Request) Verdict { return permit(r.mayPend()) },
	}, {
		ID:       "read-org",
		Doc:      "For members of the organization, and their tokens that have a grant on it.",
		Sentence: "You may see this organization.",
		Actions:  orgReads,
		Judge:    func(r *Request) Verdict { return permit(r.Role() >= protocol.OrgMember && r.orgReach()&reachRead != 0) },
	}, {
		ID:       "manage-members",
		Doc:      "Owners of the organization decide who is in it and in which role, whether its members must have a second factor and whether only security keys count.",
		Sentence: "You may manage the members of this organization.",
		Actions:  []protocol.Action{protocol.WriteOrg, protocol.SetOrgFactor},
		Judge:    func(r *Request) Verdict { return permit(r.Role() >= protocol.OrgOwner && r.orgReach()&reachWrite != 0) },
	}, {
		ID:       "manage-org-trust",
		Doc:      "Owners of the organization decide in a session which trusted publishers all packages of its scope have, besides their own.",
		Sentence: "You may manage the trusted publishers of this organization's scope.",
		Actions:  orgTrust,
		Kinds:    onlySessions,
		Judge:    func(r *Request) Verdict { return permit(r.Role() >= protocol.OrgOwner && r.orgReach()&reachWrite != 0) },
	}, {
		ID:       "manage-teams",
		Doc:      "Admins and owners of the organization create teams and decide who is in them.",
		Sentence: "You may manage the teams of this organization.",
		Actions:  []protocol.Action{protocol.WriteTeam, protocol.WriteTeamMember},
		Judge:    func(r *Request) Verdict { return permit(r.Role() >= protocol.OrgAdmin && r.orgReach()&reachWrite != 0) },
	}, {
		ID:       "grant-team",
		Doc:      "Admins and owners of the organization give a team access to packages that they administer themselves. A token needs a grant on the organization and none on the package.",
		Sentence: "You may give this team access to this package.",
		Actions:  []protocol.Action{protocol.GrantTeam},
		Judge: func(r *Request) Verdict {
			return permit(r.Role() >= protocol.OrgAdmin && r.orgReach()&reachWrite != 0 && !r.Operation.Package.IsZero() && r.live().Has(RightRead|RightAdmin))
		},
	}}
}
