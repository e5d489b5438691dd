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
		Doc:      "Publishing and managing need a second factor or a token that bypasses it, and so does making a token that writes, or any for a service account. An account without one is told so and not challenged: it could not answer. What a package with mfa=none takes, it takes without.",
		Sentence: "Your account has no second factor and this needs one.",
		Remedy:   "Run npm profile enable-2fa auth-and-writes and try again.",
		Actions:  join(packageWrites, management(), []protocol.Action{protocol.CreateToken, protocol.ManageService}),
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return forbid(r.Account.TwoFactor == protocol.TwoFactorOff && r.personal() && lasting(r) && (demanded(r) || !slices.Contains(packageWrites, r.Operation.Action)))
		},
	}, {
		ID:       "publish-needs-factor",
		Doc:      "Every publish by a person: in a session and with a token that does not bypass, whatever the mode of the account. The package's rule is stronger than auth-only; a package with mfa=none has none, and auth-and-writes asks all the same.",
		Sentence: "Publishing needs a one-time password.",
		Remedy:   remedy,
		Actions:  []protocol.Action{protocol.Publish},
		Kinds:    personal,
		Judge:    func(r *Request) Verdict { return needProof(r.personal() && factorDue(r) && !r.Proven()) },
	}, {
		ID:       "manage-needs-factor",
		Doc:      "Changing who may do what takes the factor in both modes: it outlasts a publish.",
		Sentence: "Changing access needs a one-time password.",
		Remedy:   remedy,
		Actions:  management(),
		Kinds:    personal,
		Judge:    func(r *Request) Verdict { return needProof(r.personal() && factorDue(r) && !r.Proven()) },
	}, {
		ID:       "write-needs-factor",
		Doc:      "Accounts in mode auth-and-writes are asked for every write to a package, those in auth-only for publishing alone. A document that changes nothing, as a retry of one that has happened, needs no factor.",
		Sentence: "Your account asks for a one-time password when it writes.",
		Remedy:   remedy,
		Actions:  tagLike,
		Kinds:    personal,
		Judge:    func(r *Request) Verdict { return needProof(r.personal() && factorDue(r) && !r.Proven()) },
	}, {
		ID:       "account-needs-factor",
		Doc:      "Whatever changes tokens, profile, password or the factor itself, in both modes. The first enrolment has no factor to show.",
		Sentence: "Changing your account or its tokens needs a one-time password.",
		Remedy:   remedy,
		Actions:  join(accountWrites, []protocol.Action{protocol.ManageService, protocol.RevokeService}),
		Judge:    func(r *Request) Verdict { return needProof(factorDue(r) && !r.Proven()) },
	}, {
		ID:       "recovery-code",
		Doc:      "A recovery code signs in and repairs an account. It publishes nothing, manages nothing and makes no token that could.",
		Sentence: "A recovery code repairs your account but cannot be used for this.",
		Remedy:   "Use a code of your authenticator app or reset it with npm profile disable-2fa.",
		Actions:  join(packageWrites, management(), []protocol.Action{protocol.CreateToken, protocol.ManageService}),
		Kinds:    personal,
		Judge: func(r *Request) Verdict {
			return needProof(r.Proof == ProofRecovery && r.personal() && factorDue(r) && lasting(r))
		},
	}}
}
