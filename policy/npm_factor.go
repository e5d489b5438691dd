package policy

import (
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// factorRules ask for a second factor, and refuse where there is none to ask for.
func factorRules() []Rule {
	const remedy = "Add --otp with a code of your authenticator app or open the link that npm shows."
	// demanded reports whether the package's setting is a reason to ask for a factor. What
	// does not exist yet has no setting.
	demanded := func(r *Request) bool { return r.Settings.Publish != protocol.NoFactor || r.Package.ID == "" }
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
	// lasting reports what a recovery code must not do: it restores an account, and
	// is worth no more than that to whoever finds it in a drawer.
	lasting := func(r *Request) bool {
		token := r.Change.NewToken()
		return r.Operation.Action != protocol.CreateToken || token.Writes() || token != nil && token.Bypass
	}
	return []Rule{{
		ID:       "no-second-factor",
		Doc:      "Denies what needs a second factor, where the account has none and no token bypasses it: a challenge could not be met. A token that only reads can be created without one, and a package with mfa=none can be written to.",
		Sentence: "Your account has no second factor and this needs one.",
		Remedy:   "Run npm profile enable-2fa auth-and-writes and try again.",
		Actions:  join(packageWrites, management(), []protocol.Action{protocol.CreateToken, protocol.ManageService}),
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return forbid(r.Account.TwoFactor == protocol.TwoFactorOff && r.personal() && lasting(r) && (demanded(r) || !slices.Contains(packageWrites, r.Operation.Action)))
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
		ID:       "manage-needs-factor",
		Doc:      "Changing who may do what needs a second factor in both modes of the account.",
		Sentence: "Changing access needs a one-time password.",
		Remedy:   remedy,
		Actions:  management(),
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
		Actions:  join(packageWrites, management(), []protocol.Action{protocol.CreateToken, protocol.ManageService}),
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return needProof(r.Proof == ProofRecovery && r.personal() && factorDue(r) && lasting(r))
		},
	}}
}
