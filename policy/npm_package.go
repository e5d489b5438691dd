package policy

import (
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// packageRules refuse by the package: what of it may be seen, what the grants say
// and what the user may do now. Those on grants look at names only, so that they
// tell nothing about packages that are hidden.
func packageRules() []Rule {
	stages := []protocol.Action{protocol.Stage}
	writes := join(packageWrites, packageManagement, stages, []protocol.Action{protocol.Star})
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
		Doc:      "A private package that the request may not read and one that does not exist get the same answer. For a publish under a free name see may-not-create, for trusted publishers pending-publisher. An anonymous write gets login-required, whether the package exists or not.",
		Sentence: "There is no such package or you may not see it.",
		Remedy:   "Check the name and run npm whoami to see who you are.",
		Conceal:  true,
		Actions:  join(packageReads, packageWrites, packageManagement, trustReads, stages, []protocol.Action{protocol.ReadCollaborators, protocol.Star}),
		Judge: func(r *Request) Verdict {
			return forbid(!r.Rights().Has(RightRead) && !r.lost().Has(RightRead) && !r.Creates() && !r.mayPend() && (reading[r.Operation.Action] || !r.Anonymous()))
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
		Sentence: "E_STAGE_REQUIRED: this token can stage versions of this package but not publish them.",
		Remedy:   "Use npm stage publish and have a maintainer approve it.",
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    granted,
		Judge:    func(r *Request) Verdict { return forbid(r.onlyStages()) },
	}, {
		ID:       "token-only-stages",
		Doc:      "A token that may only stage does nothing else to a package. npm lets it move tags, deprecate and unpublish, which is as much as to publish: a tag says what people install.",
		Sentence: "This token can only stage versions of this package.",
		Remedy:   "Create a token with read-write permission.",
		Actions:  join(tagLike, packageManagement, []protocol.Action{protocol.Star}),
		Kinds:    granted,
		Judge:    func(r *Request) Verdict { return forbid(r.onlyStages()) },
	}, {
		ID:       "verb-not-granted",
		Doc:      "A grant with verbs allows what they say and no management of the package.",
		Sentence: "This token may write to this package but not do this.",
		Remedy:   "Create a token whose verbs include it.",
		Actions:  join(packageWrites, packageManagement, stages),
		Kinds:    []Kind{KindToken, KindForeign},
		Judge: func(r *Request) Verdict {
			if r.reach()&reachOther == 0 {
				return Silent
			}
			may := reachWrite
			switch {
			case r.Operation.Action == protocol.Stage && r.Creates():
				may = reachStageNew
			case r.Operation.Action == protocol.Stage:
				may = reachStage
			case r.Creates():
				may = reachCreate
			case slices.Contains(packageManagement, r.Operation.Action):
				may = reachAdmin
			}
			return forbid(r.reach()&may == 0)
		},
	}, {
		ID:       "publisher-permission",
		Doc:      "A trusted publisher does what its permissions say: createPackage publishes, createStagedPackage only stages, setDistTag sets dist-tags and deprecate deprecates. The first words are those of npmjs.com.",
		Sentence: "OIDC permission denied for this action. The trusted publisher of this package lacks the permission.",
		Remedy:   "Have a maintainer look at npm trust list and set up the publisher anew with the permission.",
		Actions:  join(packageWrites, stages),
		Kinds:    []Kind{KindPublisher},
		Judge: func(r *Request) Verdict {
			if r.Operation.Action == protocol.Stage {
				return forbid(r.reach()&(reaches|reachStage) == reaches && !r.Creates())
			}
			return forbid(r.reach()&(reachWrite|reachOther) == reachOther && !r.Creates())
		},
	}, {
		ID:       "pending-publisher-creates",
		Doc:      "A credential of a pending trusted publisher publishes the first version of its package, whose name no package has, and does nothing else. A package that has the name is not its own, whoever has created it.",
		Sentence: "This token may only publish the first version of a package that does not exist yet.",
		Remedy:   "Publish the package that the pending trusted publisher names or run npm trust for the one that exists.",
		Actions:  join(packageWrites, stages),
		Kinds:    []Kind{KindPublisher},
		Judge: func(r *Request) Verdict {
			return forbid(r.Credential.Creates.valid() && (!r.Creates() || r.reach()&reachCreate == 0))
		},
	}, {
		ID:       "create-needs-scope",
		Doc:      "A grant on one package does not allow to create it: see Request.MayCreate.",
		Sentence: "This token is for packages that exist and cannot create a new one.",
		Remedy:   "Publish the first version with npm login or with a token for the whole scope.",
		Actions:  []protocol.Action{protocol.Publish, protocol.Stage},
		Kinds:    granted,
		Judge: func(r *Request) Verdict {
			if r.Operation.Action == protocol.Stage {
				return forbid(r.Creates() && r.reach()&(reachStage|reachStageNew|reachOther) == reachStage)
			}
			return forbid(r.Creates() && r.reach()&(reachWrite|reachCreate|reachOther) == reachWrite)
		},
	}, {
		ID:       "may-not-manage",
		Doc:      "Managing a package takes the right to administer it.",
		Sentence: "You have no permission to manage this package.",
		Remedy:   "Ask a maintainer of the package.",
		Actions:  join(packageManagement, trustReads),
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(!r.held().Has(RightAdmin) && r.Package.ID != "") },
	}, {
		ID:       "may-not-create",
		Doc:      "The host does not allow this user to use the name. The name of a hidden package gets the same answer.",
		Sentence: "You may not publish a package under this name.",
		Remedy:   "Choose another name or ask the owner of the scope.",
		Actions:  []protocol.Action{protocol.Publish, protocol.Stage},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.Creates() && !r.Package.MayCreate) },
	}, {
		ID:       "may-not-write",
		Doc:      "The user has no right to write to the package now, whatever the credential's grants say.",
		Sentence: "You have no permission to write to this package.",
		Remedy:   "Ask a maintainer of the package to add you.",
		Actions:  join(packageWrites, stages),
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(!r.held().Has(RightWrite) && r.Package.ID != "") },
	}, {
		ID:       "publishers-only",
		Doc:      "Where only trusted publishers may publish, by the setting of the package or of its scope (Settings.PublishersOnly), neither a person nor a token publishes or stages a version, and what a person has staged is not approved. In such a scope only a pending trusted publisher creates a package. Dist-tags, deprecating and unpublishing stay with people. Those who may not write hear nothing of the setting.",
		Sentence: "Only trusted publishers may publish this package.",
		Remedy:   "Publish in a job that npm trust list shows. For a new package run npm trust with the IDs of the repository and its owner.",
		Actions:  []protocol.Action{protocol.Publish, protocol.Stage, protocol.ApproveStaged},
		Kinds:    ofUsers,
		Judge: func(r *Request) Verdict {
			told := r.Rights().Has(RightRead) && r.live().Has(RightWrite) || r.Creates() && r.MayCreate()
			switch r.Operation.Action {
			case protocol.Stage:
				told = told || r.mayStage()
			case protocol.ApproveStaged: // of what a person staged before
				told = r.Staged.By != "" && r.seesStaged()
			}
			return forbid(r.Settings.PublishersOnly && told)
		},
	}, {
		ID:       "package-disallows-tokens",
		Doc:      "With mfa=publish a package is written to and managed without tokens, with a second factor. Credentials of trusted publishers are no tokens. An unknown setting counts as mfa=publish.",
		Sentence: "This package does not allow writing with tokens.",
		Remedy:   "Run npm login and publish with your second factor or set up a trusted publisher.",
		Actions:  join(packageWrites, packageManagement, decisions, []protocol.Action{protocol.GrantTeam}),
		Kinds:    []Kind{KindToken, KindForeign},
		Judge: func(r *Request) Verdict {
			// Of a package that is not theirs to grant nobody hears the setting.
			told := true
			switch a := r.Operation.Action; {
			case a == protocol.GrantTeam:
				told = r.live().Has(RightRead|RightAdmin) && r.orgReach()&reachRead != 0
			case slices.Contains(decisions, a):
				told = r.seesStaged()
			}
			allowed := r.Settings.Publish == protocol.FactorOrBypass || r.Settings.Publish == protocol.NoFactor
			return forbid(!allowed && told)
		},
	}}
}
