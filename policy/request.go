package policy

import (
	"net/netip"
	"time"
)

// A Proof is the kind of second factor that was shown with a request, and was
// found good. The zero value is none.
type Proof uint8

// The proofs.
const (
	NoProof       Proof = iota
	ProofTOTP           // a code of an authenticator app
	ProofRecovery       // a recovery code
	ProofWeb            // collected from an approved challenge page
)

var proofWords = words{NoProof: "none", ProofTOTP: "totp", ProofRecovery: "recovery", ProofWeb: "web"}

// String returns the proof's text: none, totp, recovery or web.
func (p Proof) String() string { return proofWords.text(uint8(p), "Proof") }

// MarshalText returns the proof's text, or an error for a number that is no proof.
func (p Proof) MarshalText() ([]byte, error) { return proofWords.marshal(uint8(p), "Proof") }

// UnmarshalText reads a proof's text. Any other text is an error.
func (p *Proof) UnmarshalText(text []byte) error {
	v, err := proofWords.parse(text, "proof")
	*p = Proof(v)
	return err
}

// NewToken is what a token that a [CreateToken] asks for could do.
type NewToken struct {
	Write  bool // any permission beyond reading, on packages or orgs
	Bypass bool // stands in for a second factor
}

// A Request is everything that a decision may consult. The zero value is denied.
//
// Rules see it through a pointer that is theirs only while they run; they must
// neither change nor keep it.
type Request struct {
	Operation  Operation
	Credential *Credential // nil: anonymous. Rules never see nil; they ask Anonymous
	Account    Account     // of the credential's user; the zero Account with no credential
	Package    Facts       // with an action of one package
	Settings   Settings    // of that package
	NewToken   NewToken    // with CreateToken
	Proof      Proof
	Addr       netip.Addr // the client's, from a hop that is trusted
	Now        time.Time

	// What rules ask for again and again, when ready.
	ready  bool
	grants reach // of Credential on Operation.Package
	rights Rights
}

// prepare makes r what rules may rely on: a credential that is not nil, grants and
// rights worked out once for all rules.
func (r *Request) prepare() {
	if r.Credential == nil {
		r.Credential = anonymous
	}
	r.ready, r.grants, r.rights = false, 0, 0
	if r.Operation.Action.OfPackage() {
		r.grants = r.Credential.reach(r.Operation.Package)
	}
	r.rights = r.workOutRights(r.grants)
	r.ready = true
}

// restore undoes prepare.
func (r *Request) restore() {
	if r.Credential == anonymous {
		r.Credential = nil
	}
	r.ready, r.grants, r.rights = false, 0, 0
}

func (r *Request) reach() reach {
	switch {
	case r.ready:
		return r.grants
	case r.Credential == nil:
		return 0
	default:
		return r.Credential.reach(r.Operation.Package)
	}
}

// Anonymous reports whether the request came without a credential.
func (r *Request) Anonymous() bool { return r.Credential == nil || r.Credential == anonymous }

// Kind returns the credential's kind, KindUnknown for the anonymous.
func (r *Request) Kind() Kind {
	if r.Credential == nil {
		return KindUnknown
	}
	return r.Credential.Kind
}

// Rights returns what the request may do with the package it names: what the
// credential's grants allow and the user may do now, both. Anyone may read a
// package that is not private. On a package that does not exist there are none.
//
// No grant reaches as far as RightAdmin; only a session has it.
func (r *Request) Rights() Rights {
	if r.ready {
		return r.rights
	}
	return r.workOutRights(r.reach())
}

func (r *Request) workOutRights(reach reach) Rights {
	if r.Package.ID == "" {
		return 0
	}
	var allowed Rights
	if reach&reachRead != 0 {
		allowed |= RightRead
	}
	if reach&reachWrite != 0 {
		allowed |= RightWrite
	}
	if r.Kind() == KindSession {
		allowed |= RightAdmin
	}
	allowed &= r.Package.Rights
	if !r.Package.Private {
		allowed |= RightRead
	}
	return allowed
}

// Creates reports whether the request would make a new package.
func (r *Request) Creates() bool { return r.Operation.Action == Publish && r.Package.ID == "" }

// MayCreate reports whether the request may make a new package of the name it
// gives: its user may now, and the credential writes to a whole scope or to all
// packages. A grant on one package is for a package that exists: whoever listed
// a name that was free did not hand out the right to take it.
func (r *Request) MayCreate() bool {
	return r.Package.ID == "" && r.Package.MayCreate && r.reach()&reachCreate != 0
}

// Bypasses reports whether the credential is a token that stands in for a second
// factor.
func (r *Request) Bypasses() bool { return r.Kind() == KindToken && r.Credential.Bypass }

// Proven reports whether a second factor was shown, of whatever kind.
func (r *Request) Proven() bool {
	return r.Proof == ProofTOTP || r.Proof == ProofRecovery || r.Proof == ProofWeb
}

// personal reports whether a person is behind the credential who can be asked for
// a factor: not behind one that bypasses it, nor behind a publisher, whose proof is
// the identity it was minted for.
func (r *Request) personal() bool {
	return !r.Anonymous() && !r.Bypasses() && r.Kind() != KindPublisher
}
