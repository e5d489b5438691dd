package policy

import (
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// packageRules refuse by the package: what of it may be seen, what the grants say
// and what the user may do now. Those on grants look at names only, so that they
// tell nothing about packages that are hidden.
func packageRules() []Rule {
	writes := join(packageWrites, packageManagement, []protocol.Action{protocol.Star})
	reading := map[protocol.Action]bool{}
	for _, a := range join(packageReads, []protocol.Action{protocol.ReadCollaborators}) {
		reading[a] = true
	}
	return []Rule{{
		ID:       "unread-body",
		Doc:      "PUT /<pkg> is five operations, and only the body says which. A program must read it before it decides; WritePackument itself is denied.",
		Sentence: "This registry cannot tell what this would change.",
		Actions:  []protocol.Action{protocol.WritePackument},
		Judge:    func(*Request) Verdict { return Forbid },
	}, {
		ID:       "hidden-package",
		Doc:      "A private package that the request may not read and one that does not exist get the same answer. For a publish under a free name see may-not-create. An anonymous write gets login-required, whether the package exists or not.",
		Sentence: "There is no such package or you may not see it.",
		Remedy:   "Check the name and run npm whoami to see who you are.",
		Conceal:  true,
		Actions:  join(packageReads, packageWrites, packageManagement, []protocol.Action{protocol.ReadCollaborators, protocol.Star}),
		Judge: func(r *Request) Verdict {
			return forbid(!r.Rights().Has(RightRead) && !r.lost().Has(RightRead) && !r.Creates() && (reading[r.Operation.Action] || !r.Anonymous()))
		},
	}, {
		ID:       "no-grant",
		Doc:      "No grant covers the package. A grant on @acme does not cover @acme-labs, and one on an organization covers none of its packages.",
		Sentence: "This token is not for this package.",
		Remedy:   "Create a token that names this package or its scope.",
		Actions:  writes,
		Kinds:    granted,
		Judge:    func(r *Request) Verdict { return forbid(r.reach()&reaches == 0) },
	}, {
		ID:       "read-only-token",
		Doc:      "The grants that cover the package only read it. A grant to write to another package does not help.",
		Sentence: "This token can only read this package.",
		Remedy:   "Create a token with read-write permission.",
		Actions:  writes,
		Kinds:    granted,
		Judge: func(r *Request) Verdict {
			return forbid(r.reach()&(reaches|reachWrite|reachStage|reachOther|reachCreate) == reaches)
		},
	}, {
		ID:       "stage-only-token",
		Doc:      "A token that may only stage does not publish, also with a second factor or if it bypasses it.",
		Sentence: "This token can stage versions of this package but not publish them.",
		Remedy:   "Use npm stage publish and have a maintainer approve it.",
		Actions:  writes,
		Kinds:    granted,
		Judge: func(r *Request) Verdict {
			return forbid(r.reach()&(reachWrite|reachStage|reachOther) == reachStage)
		},
	}, {
		ID:       "verb-not-granted",
		Doc:      "A grant with verbs allows what they say and no management of the package.",
		Sentence: "This token may write to this package but not do this.",
		Remedy:   "Create a token whose verbs include it.",
		Actions:  join(packageWrites, packageManagement),
		Kinds:    granted,
		Judge: func(r *Request) Verdict {
			if r.reach()&reachOther == 0 {
				return Silent
			}
			may := reachWrite
			switch {
			case r.Creates():
				may = reachCreate
			case slices.Contains(packageManagement, r.Operation.Action):
				may = reachAdmin
			}
			return forbid(r.reach()&may == 0)
		},
	}, {
		ID:       "create-needs-scope",
		Doc:      "A grant on one package does not allow to create it: see Request.MayCreate.",
		Sentence: "This token is for packages that exist and cannot create a new one.",
		Remedy:   "Publish the first version with npm login or with a token for the whole scope.",
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    granted,
		Judge: func(r *Request) Verdict {
			return forbid(r.Creates() && r.reach()&(reachWrite|reachCreate|reachOther) == reachWrite)
		},
	}, {
		ID:       "may-not-manage",
		Doc:      "Managing a package takes the right to administer it.",
		Sentence: "You have no permission to manage this package.",
		Remedy:   "Ask a maintainer of the package.",
		Actions:  packageManagement,
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(!r.Package.Rights.Has(RightAdmin) && r.Package.ID != "") },
	}, {
		ID:       "may-not-create",
		Doc:      "The host does not allow this user to use the name. The name of a hidden package gets the same answer.",
		Sentence: "You may not publish a package under this name.",
		Remedy:   "Choose another name or ask the owner of the scope.",
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.Creates() && !r.Package.MayCreate) },
	}, {
		ID:       "may-not-write",
		Doc:      "The user has no right to write to the package now, whatever the credential's grants say.",
		Sentence: "You have no permission to write to this package.",
		Remedy:   "Ask a maintainer of the package to add you.",
		Actions:  packageWrites,
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(!r.Package.Rights.Has(RightWrite) && r.Package.ID != "") },
	}, {
		ID:       "package-disallows-tokens",
		Doc:      "With mfa=publish a package is written to and managed without tokens, with a second factor. Credentials of trusted publishers are no tokens. An unknown setting counts as mfa=publish.",
		Sentence: "This package does not allow writing with tokens.",
		Remedy:   "Run npm login and publish with your second factor or set up a trusted publisher.",
		Actions:  join(packageWrites, packageManagement, []protocol.Action{protocol.GrantTeam}),
		Kinds:    []Kind{KindToken, KindForeign},
		Judge: func(r *Request) Verdict {
			// Of a package that is not theirs to grant nobody hears the setting.
			told := r.Operation.Action != protocol.GrantTeam || r.live().Has(RightRead|RightAdmin) && r.orgReach()&reachRead != 0
			allowed := r.Settings.Publish == protocol.FactorOrBypass || r.Settings.Publish == protocol.NoFactor
			return forbid(!allowed && told)
		},
	}}
}
