package policy

import (
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// credentialRules refuse by who asks, whatever the package.
func credentialRules() []Rule {
	again := "Run npm login for a new session or create a new token."
	return []Rule{{
		ID:       "unknown-credential",
		Doc:      "Denies a credential of no known kind, and one without a user. One of a trusted publisher has a package instead, or the name of one that it creates and for whom.",
		Sentence: "This registry does not know this kind of credential.",
		Remedy:   again,
		Judge: func(r *Request) Verdict {
			c := r.Credential
			belongs := c.User != "" && c.Package == "" && c.Creates == Creation{}
			if r.Kind() == KindPublisher {
				belongs = c.User == "" && (c.Package != "" && c.Creates == Creation{} || c.Package == "" && c.Creates.valid())
			}
			return forbid(!r.Anonymous() && (r.Kind() == KindUnknown || !belongs))
		},
	}, {
		ID:       "account-mismatch",
		Doc:      "The account must be that of the credential's user, and an anonymous request must have none. Anything else is a mistake of the program.",
		Sentence: "This credential belongs to another account.",
		Remedy:   again,
		Judge:    func(r *Request) Verdict { return forbid(r.Account.ID != r.Credential.User) },
	}, {
		ID:       "account-disabled",
		Doc:      "A disabled account can do nothing, with no credential.",
		Sentence: "This account is disabled.",
		Remedy:   "Ask the people who run this registry.",
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.Account.Disabled) },
	}, {
		ID:       CodeExpired,
		Doc:      "A credential is expired at the instant Expires. Without a time in the request every credential is expired.",
		Sentence: "This session or token has expired.",
		Remedy:   again,
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(r.Credential.Dead(r.Now)) },
	}, {
		ID:       CodeCIDR,
		Doc:      "The address must be in the ranges of the credential and in those of its account. An unknown address is in none.",
		Sentence: "This token or account may not be used from your address.",
		Remedy:   "Use it from an address in its list or create another token.",
		Kinds:    signedIn,
		Judge:    func(r *Request) Verdict { return forbid(!r.Credential.From(r.Addr) || !r.Account.From(r.Addr)) },
	}, {
		ID:       "unknown-factor-mode",
		Doc:      "Denies where it is not known whether the account has a second factor.",
		Sentence: "This registry cannot tell whether your account has a second factor.",
		Remedy:   "Try again and then ask the people who run this registry.",
		Kinds:    ofUsers,
		Judge: func(r *Request) Verdict {
			return forbid(r.Account.TwoFactor != protocol.TwoFactorOff && !r.Account.HasFactor())
		},
	}, {
		ID:       CodeLoginRequired,
		Doc:      "Without a credential a request may read what is public and sign in. npm 6 and pnpm send a publish without a token.",
		Sentence: "You must be signed in to do this.",
		Remedy:   "Run npm login and try again.",
		Actions:  every(join(openReads, signIns, packageReads)...),
		Kinds:    []Kind{KindUnknown},
		Judge:    func(r *Request) Verdict { return forbid(r.Anonymous()) },
	}, {
		ID:       "service-signs-in-never",
		Doc:      "A service account is no person and has no sessions.",
		Sentence: "A service account has no login.",
		Remedy:   "Use a token that its administrators made for it.",
		Kinds:    onlySessions,
		Judge:    func(r *Request) Verdict { return forbid(r.Account.Service) },
	}, {
		ID:       "session-only",
		Doc:      "Tokens manage neither tokens nor accounts nor trusted publishers, also if they bypass the second factor.",
		Sentence: "Only a login session may manage this. A token may not.",
		Remedy:   "Run npm login and try again.",
		Actions:  join(accountActions, serviceActions, trustReads, orgTrust, []protocol.Action{protocol.WriteTrust}),
		Kinds:    granted,
		Judge:    func(*Request) Verdict { return Forbid },
	}, {
		ID:       "bypass-manages-nothing",
		Doc:      "A token that bypasses the second factor does not change who may do what (npm, August 2026).",
		Sentence: "A token that bypasses the second factor may not manage access.",
		Remedy:   "Run npm login or use a token without bypass_2fa and your second factor.",
		Actions:  management(),
		Kinds:    onlyTokens,
		Judge:    func(r *Request) Verdict { return forbid(r.Bypasses()) },
	}, {
		ID:       "service-manages-nothing",
		Doc:      "Changing who may do what takes a person's second factor, and a service account has none.",
		Sentence: "A service account may not manage access.",
		Remedy:   "Have a person do it.",
		Actions:  management(),
		Judge:    func(r *Request) Verdict { return forbid(r.Account.Service) },
	}, {
		ID:       "publisher-only-publishes",
		Doc:      "A credential of a trusted publisher publishes, stages, sets dist-tags, deprecates, reads packages, reads itself and revokes itself. What of it, publisher-permission says. It has no user name for whoami.",
		Sentence: "A credential of a trusted publisher may only publish and read its package.",
		Remedy:   "Run npm login or use a token.",
		Actions:  every(join([]protocol.Action{protocol.Publish, protocol.Stage, protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.ReadSelf, protocol.Logout}, openReads, signIns, packageReads)...),
		Kinds:    []Kind{KindPublisher},
		Judge:    func(*Request) Verdict { return Forbid },
	}, {
		ID:       "foreign-reads-only",
		Doc:      "Older tokens of the host's own only read. A host whose older tokens may do more leaves this rule out: their grants decide then, and they need a second factor as granular tokens do.",
		Sentence: "This older kind of token can only read.",
		Remedy:   "Run npm login or create a new token.",
		Actions:  writesBut(join(signIns, []protocol.Action{protocol.Logout})),
		Kinds:    []Kind{KindForeign},
		Judge:    func(*Request) Verdict { return Forbid },
	}}
}

// writesBut returns the actions that change something without those given.
func writesBut(but []protocol.Action) []protocol.Action {
	return slices.DeleteFunc(every(but...), func(a protocol.Action) bool { return !a.Write() })
}
