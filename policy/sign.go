package policy

import "github.com/npmauth/npmauth/protocol"

// A sign is what is seen of a request before any rule is asked. A rule may name the signs
// without which it is silent (Rule.silentWithout); where a request shows none of them the
// rule is not asked. That saves time and decides nothing: such a rule says Silent to
// the same request of its own accord, and whoever asks for reasons or for a trace gets
// them from all.
type sign uint16

const (
	signDoubt     sign = 1 << iota // see doubtful
	signAnonymous                  // no credential
	signPublisher                  // the credential's kind
	signForeign
	signService    // the account is a service account
	signHighImpact // many depend on the account
	signPerson     // there is a person to ask for a factor
	signFactorless // an organization demands a factor that the account does not have
	signUnread     // no right to read the package
	signUnwritten  // its user has no right to write the package
	signNoTokens   // its settings say that tokens do not write it
	signNarrow     // no grant says write, or one with verbs says less than all
	signNew        // the package would be new

	// everySign is for what is in doubt: about that, every rule is asked.
	everySign = ^sign(0)
)

// look returns the signs that r shows, which must be prepared.
func (r *Request) look() sign {
	if r.doubtful() { // a kind that is not known among it
		return everySign
	}
	var s sign
	if r.Anonymous() {
		s |= signAnonymous
	}
	switch r.Credential.Kind {
	case KindPublisher:
		s |= signPublisher
	case KindForeign:
		s |= signForeign
	}
	if r.Account.Service {
		s |= signService
	}
	if r.Account.HighImpact {
		s |= signHighImpact
	}
	if r.personal() {
		s |= signPerson
	}
	if r.factorless(r.Package.RequireFactor || r.Org.RequireFactor) {
		s |= signFactorless
	}
	if r.rights&RightRead == 0 {
		s |= signUnread
	}
	if r.Package.Rights&RightWrite == 0 {
		s |= signUnwritten
	}
	if r.disallowsTokens() {
		s |= signNoTokens
	}
	if r.grants&(reachWrite|reachOther) != reachWrite {
		s |= signNarrow
	}
	if r.Creates() {
		s |= signNew
	}
	return s
}

// doubtful reports whether one of the rules has something to say that are about every
// request, whatever it asks for: those whose silentWithout is signDoubt, and no others.
func (r *Request) doubtful() bool {
	return r.isNoOperation() || r.hasUnknownCredential() || r.isOfAnotherAccount() || r.isOfDisabledAccount() ||
		r.hasExpired() || r.isFromElsewhere() || r.hasUnknownFactorMode()
}

// disallowsTokens reports whether the package's setting is mfa=publish, or not known.
func (r *Request) disallowsTokens() bool {
	return r.Settings.Publish != protocol.FactorOrBypass && r.Settings.Publish != protocol.NoFactor
}

// isNoOperation reports whether the action is none, or names nothing to act on.
func (r *Request) isNoOperation() bool {
	a := r.action()
	return a == protocol.Unknown || a.OfPackage() && r.Operation.Package.IsZero() || a.OfOrg() && r.Operation.Org == ""
}

func (r *Request) hasUnknownCredential() bool {
	k := r.Credential.Kind
	return (k == KindUnknown || int(k) >= len(kindWords) || r.Credential.User == "") && !r.Anonymous()
}

func (r *Request) isOfAnotherAccount() bool { return r.Account.ID != r.Credential.User }

func (r *Request) isOfDisabledAccount() bool { return r.Account.Disabled && !r.Anonymous() }

func (r *Request) hasExpired() bool { return r.Credential.Dead(r.Now) && !r.Anonymous() }

func (r *Request) isFromElsewhere() bool {
	return (!r.Credential.From(r.Addr) || !r.Account.From(r.Addr)) && !r.Anonymous()
}

func (r *Request) hasUnknownFactorMode() bool {
	return r.Account.TwoFactor != protocol.TwoFactorOff && !r.Account.HasFactor() && !r.Anonymous()
}
