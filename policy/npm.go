package policy

import "slices"

// The actions by what their rules have in common. An action that is in no list of a
// rule that permits is denied.
var (
	// openReads say nothing about packages or people.
	openReads = []Action{Ping, Audit, ReadKeys}
	// signIns are judged by the password, the factor, the page or the signature, not here.
	signIns = []Action{Login, LegacyLogin, LegacyUpdate, AuthPage, ReportLeak}
	// selfReads are what any live credential may ask about itself, and its own end.
	selfReads = []Action{Whoami, ReadSelf, ReadUser, Logout}
	// accountActions belong to the person and not to a token.
	accountActions = []Action{ListTokens, CreateToken, RevokeToken, ReadProfile, WriteProfile, SetTwoFactor, SetPassword}
	// accountWrites are those of them that change something.
	accountWrites = []Action{CreateToken, RevokeToken, WriteProfile, SetTwoFactor, SetPassword}
	// packageReads are what a package shows to whoever may read it.
	packageReads = []Action{ReadPackument, ReadTarball, ReadAttestations, ReadDistTags, ReadAccess, ReadVisibility}
	// packageWrites need the right to write, and one rule serves them all.
	packageWrites = []Action{Publish, SetDistTag, RemoveDistTag, Deprecate, Unpublish, UnpublishAll}
	// tagLike are those of them that auth-only accounts do without a factor.
	tagLike = packageWrites[1:]
	// notOffered are npm's operations that nothing here serves.
	notOffered = []Action{
		Search, WriteProfile, SetPassword, ListStars, Star, ReadHooks, WriteHooks, ReadOrg, WriteOrg, ReadTeam, WriteTeam, GrantTeam,
		ListPackages, ListStaged, ReadStaged, ApproveStaged, RejectStaged,
		Deprecate, Unpublish, UnpublishAll, WriteOwners, SetAccess, ReadCollaborators, Stage, ReadTrust, WriteTrust, ExchangeToken,
	}
)

func join(lists ...[]Action) []Action { return slices.Concat(lists...) }

// NPM returns npmjs.com's rules as they are since December 2025, for the operations
// that this module serves; the rest of npm's are denied by the rule not-offered. It
// is built anew at each call, so keep the result.
//
// Sources are npm's documentation of access tokens, of two-factor authentication
// and of requiring it for publishing, and the announcement of 2025-12-09. Where they
// disagree the stricter reading stands: a package that disallows tokens disallows
// those that bypass a second factor, and an account in auth-only mode is asked for
// its factor on publishing.
func NPM() *Policy {
	return New(slices.Concat(operationRules(), credentialRules(), packageRules(), factorRules(), permitRules())...)
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

// operationRules refuse what nobody may do.
func operationRules() []Rule {
	return []Rule{{
		ID:       "unknown-operation",
		Doc:      "What Classify does not know is denied, and so is an action of one package that names none.",
		Sentence: "This is no operation of an npm registry.",
		Judge: func(r *Request) Verdict {
			a := r.action()
			return forbid(a == Unknown || a.OfPackage() && r.Operation.Package.IsZero())
		},
	}, {
		ID:       "not-offered",
		Doc:      "Operations of npm that nothing here serves. To serve one, replace this rule by one with fewer Actions and add a rule that permits it; deprecate, unpublish and the changes of profile and password have theirs.",
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
		Doc:      "Reads that say nothing about packages or people are for everybody.",
		Sentence: "Everybody may ask this.",
		Actions:  openReads,
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "sign-in",
		Doc:      "Signing in is for everybody: the password, the factor and the page decide there. So is reporting a leak, where the signature does.",
		Sentence: "Everybody may try to sign in.",
		Actions:  signIns,
		Judge:    func(*Request) Verdict { return Permit },
	}, {
		ID:       "signed-in",
		Doc:      "Any live credential may ask who it is and look up another user's public name and address, as npm owner does, and end itself.",
		Sentence: "Whoever is signed in may do this.",
		Actions:  selfReads,
		Judge:    func(r *Request) Verdict { return permit(!r.Anonymous()) },
	}, {
		ID:       "own-account",
		Doc:      "A session manages its own account and tokens.",
		Sentence: "Your session may manage your own account.",
		Actions:  accountActions,
		Judge:    func(r *Request) Verdict { return permit(r.Kind() == KindSession) },
	}, {
		ID:       "read-package",
		Doc:      "A package that is not private is for everybody, a private one for those whose live rights and whose credential's grants both say read.",
		Sentence: "You may read this package.",
		Actions:  packageReads,
		Judge:    func(r *Request) Verdict { return permit(r.Rights().Has(RightRead)) },
	}, {
		ID:       "write-package",
		Doc:      "Live rights and one grant of the credential both say write, and the package may be read: nobody writes blind.",
		Sentence: "You may write to this package.",
		Actions:  packageWrites,
		Judge:    func(r *Request) Verdict { return permit(r.Rights().Has(RightRead | RightWrite)) },
	}, {
		ID:       "create-package",
		Doc:      "The first version needs the host's word that this user may take the name, and a session or a grant on the scope or on all packages.",
		Sentence: "You may create this package.",
		Actions:  []Action{Publish},
		Judge:    func(r *Request) Verdict { return permit(r.Creates() && r.MayCreate()) },
	}}
}
