package policy

import (
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// factorRules ask for a second factor, and refuse where there is none to ask for.
func factorRules() []Rule {
	const remedy = "Add --otp with a code of your authenticator app or open the link that npm shows."
	// demanded reports whether the package's setting is a reason to ask for a factor. What
	// does not exist yet has none of its own.
	demanded := func(r *Request) bool {
		return r.Settings.Publish != protocol.NoFactor || r.Settings.KeysOnly || r.Package.ID == ""
	}
	// factorDue reports whether the account has a factor that the action asks for.
	factorDue := func(r *Request) bool {
		if r.Operation.Action == protocol.Deprecate && r.Change.Empty() {
			return false
		}
		if slices.Contains(tagLike, r.Operation.Action) || r.Operation.Action == protocol.Publish && !demanded(r) {
			return r.Account.TwoFactor == protocol.AuthAndWrites
		}
		return r.Account.HasFactor()
	}
	outlasting := join(packageWrites, management(), decisions, []protocol.Action{protocol.CreateToken, protocol.ManageService})
	// repairing reports whether a recovery code may count.
	repairing := func(r *Request) bool { return !slices.Contains(outlasting, r.Operation.Action) || !r.lasting() }
	// keyDue reports whether the action asks for a second factor and only a security key counts: by the
	// setting of the package, the scope or the organization, or by the account's. Who makes it such
	// a setting shows that they can meet it.
	keyDue := func(r *Request) bool {
		a := r.Operation.Action
		switch {
		case a == protocol.Deprecate && r.Change.Empty():
			return false
		case a.Write() && a != protocol.Stage && (r.ofOnePackage() || a.OfOrg()) && r.Settings.KeysOnly, (a == protocol.SetAccess || a == protocol.SetOrgFactor || a == protocol.SetTwoFactor && r.Account.HasFactor()) && r.Change.DemandsKeys():
			return true
		}
		return r.Account.KeysOnly && factorDue(r)
	}
	// toldOfKeys reports whether the sender may hear of that setting: who has no right to
	// write, or no part in the organization, does not.
	toldOfKeys := func(r *Request) bool {
		switch a := r.Operation.Action; {
		case a == protocol.GrantTeam:
			return r.live().Has(RightRead|RightAdmin) && r.orgReach()&reachRead != 0
		case a.OfOrg():
			return r.Role() != protocol.NoRole && r.orgReach()&reachRead != 0
		case slices.Contains(decisions, a):
			return r.seesStaged()
		case r.Creates():
			return r.MayCreate()
		case r.mayPend():
			return true
		case a.OfPackage():
			return r.Rights()&(RightWrite|RightAdmin) != 0
		}
		return true
	}
	return []Rule{{
		ID:       "no-security-key",
		Doc:      "Denies what takes a security key, where the account has none: a challenge could not be met. A package, a scope or an organization demands one where that is its setting (Settings.KeysOnly), and so does setting it. Those who may not write hear nothing of the setting.",
		Sentence: "This needs a security key and your account has none.",
		Remedy:   "Add one at /-/auth/security of this registry and try again.",
		Actions:  outlasting,
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return forbid(!r.Account.Keys && r.personal() && keyDue(r) && !repairing(r) && toldOfKeys(r))
		},
	}, {
		ID:       "security-key-only",
		Doc:      "Where only security keys count no other second factor does, in both modes of the account: by the setting of the package, of its scope or of the organization for what changes them, with mfa=none too, or by that of the account for all that it is asked for. A recovery code still repairs an account. Tokens that bypass the second factor are not asked for one: mfa=publish disallows them.",
		Sentence: "Only a security key counts here.",
		Remedy:   "Open the link that npm shows and use your security key.",
		Actions:  join(packageWrites, management(), decisions, factorReads, accountWrites, []protocol.Action{protocol.ManageService, protocol.RevokeService}),
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return needProof(r.personal() && keyDue(r) && r.Proof != ProofKey && (r.Proof != ProofRecovery || !repairing(r) || r.Operation.Action == protocol.SetTwoFactor && r.Change.DemandsKeys()))
		},
	}, {
		ID:       "no-second-factor",
		Doc:      "Denies what needs a second factor, where the account has none and no token bypasses it: a challenge could not be met. A token that only reads can be created without one, and a package with mfa=none can be written to.",
		Sentence: "Your account has no second factor and this needs one.",
		Remedy:   FactorRemedy,
		Actions:  join(outlasting, factorReads),
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return forbid(r.Account.TwoFactor == protocol.TwoFactorOff && r.personal() && r.lasting() && (demanded(r) || !slices.Contains(packageWrites, r.Operation.Action)))
		},
	}, {
		ID:       "publish-needs-factor",
		Doc:      "A publish needs a second factor in both modes of the account, in a session and with a token that does not bypass it. With mfa=none on the package it does in mode auth-and-writes alone.",
		Sentence: "Publishing needs a one-time password.",
		Remedy:   remedy,
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    personal,
		Judge:    func(r *Request) Verdict { return needProof(r.personal() && factorDue(r) && !r.Proven()) },
	}, {
		ID:       "decision-needs-factor",
		Doc:      "Approving and rejecting a staged version needs a second factor in both modes of the account, whatever the setting of the package. Staging needs none.",
		Sentence: "This needs a one-time password.",
		Remedy:   remedy,
		Actions:  decisions,
		Kinds:    personal,
		Judge:    func(r *Request) Verdict { return needProof(r.personal() && factorDue(r) && !r.Proven()) },
	}, {
		ID:       "manage-needs-factor",
		Doc:      "Changing who may do what needs a second factor in both modes of the account, and so does reading the trusted publishers of a package or a scope.",
		Sentence: "This needs a one-time password.",
		Remedy:   remedy,
		Actions:  join(management(), factorReads),
		Kinds:    personal,
		Judge:    func(r *Request) Verdict { return needProof(r.personal() && factorDue(r) && !r.Proven()) },
	}, {
		ID:       "write-needs-factor",
		Doc:      "Writes other than a publish need a second factor in mode auth-and-writes alone. A deprecation that changes nothing, such as a retry of one that succeeded, needs none.",
		Sentence: "Your account asks for a one-time password when it writes.",
		Remedy:   remedy,
		Actions:  tagLike,
		Kinds:    personal,
		Judge:    func(r *Request) Verdict { return needProof(r.personal() && factorDue(r) && !r.Proven()) },
	}, {
		ID:       "account-needs-factor",
		Doc:      "Changing the account or its tokens needs a second factor in both modes. An account that has none enrols without.",
		Sentence: "Changing your account or its tokens needs a one-time password.",
		Remedy:   remedy,
		Actions:  join(accountWrites, []protocol.Action{protocol.ManageService, protocol.RevokeService}),
		Judge:    func(r *Request) Verdict { return needProof(factorDue(r) && !r.Proven()) },
	}, {
		ID:       "recovery-code",
		Doc:      "A recovery code is for signing in and repairing the account. It does not count for what outlasts it, such as a publish or a token that writes.",
		Sentence: "A recovery code repairs your account but cannot be used for this.",
		Remedy:   "Use a code of your authenticator app or reset it with npm profile disable-2fa.",
		Actions:  outlasting,
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return needProof(r.Proof == ProofRecovery && r.personal() && factorDue(r) && r.lasting())
		},
	}}
}

// lasting reports, of a write, what a recovery code must not do: it restores an account, and is worth no
// more than that to whoever finds it in a drawer. A new token that only reads does not last.
func (r *Request) lasting() bool {
	token := r.Change.NewToken()
	return r.Operation.Action != protocol.CreateToken || token.Writes() || token != nil && token.Bypass
}
