package policy

import (
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// seesStaged reports whether the request may know of the staged version that it is about. Of a name without a scope that
// no package has, who staged it alone may: everybody may create that package, and it will be theirs.
func (r *Request) seesStaged() bool {
	name := r.Operation.Package
	if name.IsZero() || name.Scope == "" && r.Package.ID == "" && r.Staged.By != r.Account.ID {
		return false
	}
	return r.mayStage() || r.Operation.Action == protocol.ApproveStaged && r.mayApprove()
}

// stageRules are about staged versions: who decides about them, and where nothing is published without.
func stageRules() []Rule {
	return []Rule{{
		ID:       "hidden-staged",
		Doc:      "A staged version is seen by those who may stage or publish versions of its package; where no package has the name yet, and it is in no scope, by who staged it alone. One that does not exist gets the same answer.",
		Sentence: "There is no such staged version or you may not see it.",
		Remedy:   "Run npm stage list with --registry of this registry.",
		Conceal:  true,
		Actions:  stagedActions,
		Kinds:    []Kind{KindSession, KindToken, KindForeign},
		Judge:    func(r *Request) Verdict { return forbid(!r.seesStaged()) },
	}, {
		ID:       "decision-takes-a-person",
		Doc:      "Approving and rejecting a staged version is for a person with a second factor: not for a token that bypasses it, nor for a service account.",
		Sentence: "Only a person approves or rejects a staged version.",
		Remedy:   "Run npm login and npm stage approve with your second factor.",
		Actions:  decisions,
		Kinds:    onlyTokens,
		Judge:    func(r *Request) Verdict { return forbid((r.Bypasses() || r.Account.Service) && r.seesStaged()) },
	}, {
		ID:       "approver-is-stager",
		Doc:      "Where the package or its scope wants another approver (Settings.OtherApprover), who staged a version does not approve it.",
		Sentence: "You staged this version and somebody else must approve it.",
		Remedy:   "Ask another maintainer of the package.",
		Actions:  []protocol.Action{protocol.ApproveStaged},
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return forbid(r.Settings.OtherApprover && r.Staged.By != "" && r.Staged.By == r.Account.ID && r.seesStaged())
		},
	}, {
		ID:       "stage-required",
		Doc:      "Where the package or its scope wants staging (Settings.StageOnly), nothing is published directly, by nobody. Those who may not publish hear nothing of the setting.",
		Sentence: "E_STAGE_REQUIRED: versions of this package are staged and then approved.",
		Remedy:   "Run npm stage publish and have a maintainer approve it.",
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.Settings.StageOnly && r.mayApprove()) },
	}}
}

// onlyStages reports whether the grants that cover the package stage its versions and do nothing else.
func (r *Request) onlyStages() bool {
	return r.reach()&(reachWrite|reachStage|reachOther) == reachStage
}

// ofOnePackage reports whether the request is about a package: one that it names, or that of a staged version.
func (r *Request) ofOnePackage() bool {
	return r.action().OfPackage() || slices.Contains(stagedActions, r.Operation.Action) && !r.Operation.Package.IsZero()
}
