package policy

import (
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/protocol"
)

// A Proof is the kind of second factor that came with a request and was verified. The zero value is
// none.
type Proof uint8

// The proofs.
const (
	NoProof       Proof = iota
	ProofTOTP           // a code of an authenticator app
	ProofRecovery       // a recovery code
	ProofWeb            // collected from a challenge page that was approved by an app
	ProofKey            // a security key signed for this very change, here or on a challenge page
)

var proofWords = words.List{NoProof: "none", ProofTOTP: "totp", ProofRecovery: "recovery", ProofWeb: "web", ProofKey: "key"}

// String returns the proof's text: none, totp, recovery, web or key.
func (p Proof) String() string { return proofWords.Text(uint8(p), "Proof") }

// MarshalText returns the proof's text, or an error for a number that is no proof.
func (p Proof) MarshalText() ([]byte, error) { return proofWords.Marshal(uint8(p), "Proof") }

// UnmarshalText reads a proof's text. Any other text is an error.
func (p *Proof) UnmarshalText(text []byte) error {
	v, err := proofWords.Parse(text, "proof")
	*p = Proof(v)
	return err
}

// A Request has everything that a decision depends on. The zero value is denied.
//
// A rule must neither change the Request nor keep it after Judge returns.
type Request struct {
	Operation  protocol.Operation
	Credential *Credential // nil means anonymous. In a rule it is never nil: use Anonymous
	Account    Account     // of the credential's user; the zero Account with no credential
	Package    Facts       // for actions on a package, and for GrantTeam, whose package it is
	Settings   Settings    // of that package, and of the scope
	Org        OrgFacts    // for actions on an organization
	Staged     Staged      // for actions on a staged version, whose package is Package
	// Change is what a write would do. It is nil for a read and before the body of a write was
	// read. A rule that needs it returns Silent then: the decision is made once more when the body
	// was read, and that one counts. npmauth.Auth.Authorize reads no body and decides without.
	Change *protocol.Change
	// Administers reports whether the account administers the service account that a ReadService,
	// ManageService or RevokeService names. The host says so.
	Administers bool
	Proof       Proof
	Addr        netip.Addr // the client's; where a proxy reports it, only a trusted one. The zero Addr is in no range
	Now         time.Time

	// What rules ask for again and again, when ready.
	ready  bool
	grants reach // of Credential on Operation.Package
	rights Rights
	limits *Limits // of the policy that decides
}

// prepare makes r what rules may rely on: a credential that is not nil, grants and
// rights worked out once for all rules, the limits of p.
func (r *Request) prepare(p *Policy) {
	if r.Credential == nil {
		r.Credential = anonymous
	}
	r.ready, r.grants, r.rights, r.limits = false, 0, 0, &p.limits
	if r.Operation.Action.OfPackage() || !r.Operation.Package.IsZero() {
		r.grants = r.Credential.reach(r.Operation.Package, r.Operation.Action.Verb())
	}
	r.rights = r.workOutRights(r.grants)
	r.ready = true
}

// limitsOf returns the limits of the policy that decides about r, npm's outside of a decision.
func (r *Request) limitsOf() Limits {
	if r.limits == nil {
		return DefaultLimits()
	}
	return *r.limits
}

// newMode returns the second-factor setting that a SetAccess asks for, the zero mode where
// it asks for a visibility.
func (r *Request) newMode() protocol.PublishMode {
	if r.Change == nil || r.Change.PublishMode == nil {
		return protocol.FactorOrBypass
	}
	return *r.Change.PublishMode
}

// removesFactor reports whether a SetTwoFactor takes the second factor off. Forgetting an
// enrolment that was never confirmed takes nothing off.
func (r *Request) removesFactor() bool {
	return r.Change.RemovesFactor() && r.Account.TwoFactor != protocol.TwoFactorOff
}

func (r *Request) reach() reach {
	switch {
	case r.ready:
		return r.grants
	case r.Credential == nil:
		return 0
	default:
		return r.Credential.reach(r.Operation.Package, r.Operation.Action.Verb())
	}
}

// Anonymous reports whether the request has no credential.
func (r *Request) Anonymous() bool { return r.Credential == nil || r.Credential == anonymous }

// Kind returns the credential's kind: KindUnknown for an anonymous request and for a number that is
// no kind.
func (r *Request) Kind() Kind {
	if r.Credential == nil || r.Credential.Kind >= kinds {
		return KindUnknown
	}
	return r.Credential.Kind
}

// Rights returns the rights of the request on the package that it names: those that the user has
// now, or a publisher's credential on its own package, and a grant of the credential allows, and
// RightRead on a package that is not private. There
// are none on a package that does not exist. Where the package's organization requires a second
// factor that the user does not have, only RightRead on a public package is left.
//
// A token has [RightAdmin] if its grant is read-write and has no verbs. [NPM] denies management to
// tokens that bypass the second factor all the same.
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
	var rights Rights
	if !r.factorless(r.Package.RequireFactor) {
		rights = r.granted(reach)
	}
	if !r.Package.Private {
		rights |= RightRead
	}
	return rights
}

// held returns the rights of whom the credential belongs to: those of its user, or for a publisher's the
// rights to read and write the package that it was issued for. Another package of that name is not that one.
func (r *Request) held() Rights {
	switch {
	case r.Kind() != KindPublisher:
		return r.Package.Rights
	case r.Package.ID != "" && r.Package.ID == r.Credential.Package:
		return RightRead | RightWrite
	}
	return 0
}

// granted returns which of these rights the credential carries.
func (r *Request) granted(reach reach) Rights {
	var allowed Rights
	if reach&reachRead != 0 {
		allowed |= RightRead
	}
	if reach&reachWrite != 0 {
		allowed |= RightWrite
	}
	if reach&reachAdmin != 0 && (r.Kind() == KindSession || r.Kind() == KindToken) {
		allowed |= RightAdmin
	}
	return allowed & r.held()
}

// lost returns the rights that the request would have if its user had the second factor
// that the package's organization demands.
func (r *Request) lost() Rights {
	if r.Package.ID == "" || !r.factorless(r.Package.RequireFactor) {
		return 0
	}
	return r.granted(r.reach()) &^ r.Rights()
}

// concealed reports what the sender of r, which is denied for these reasons, may not know of: the
// package, the organization. A rule with Conceal says so of both. Whatever the rules say it is so of
// what does not exist for the sender, since a rule of the host's may be about all that the host knows of it.
func (r *Request) concealed(reasons []Reason) (pkg, org bool) {
	if (Decision{Reasons: reasons}).Conceals() {
		return true, true
	}
	if r.Operation.Action.OfOrg() && (r.heldRole() == protocol.NoRole || r.orgReach()&reachRead == 0) {
		return true, true
	}
	switch {
	case r.Package.ID == "": // a name that the sender may take is free, and that is no secret
		pkg = len(r.Package.Labels) > 0 && !((r.Creates() || r.mayPend()) && r.Package.MayCreate)
	case r.Operation.Action.OfOrg():
		pkg = r.Package.Private && !r.Package.Rights.Has(RightRead)
	default:
		pkg = !r.Rights().Has(RightRead) && !r.lost().Has(RightRead)
	}
	return pkg, false
}

// conceal makes of r a request about what does not exist.
func (r *Request) conceal(pkg, org bool) {
	if pkg {
		r.Package, r.Settings = Facts{}, Settings{}
	}
	if org {
		r.Org = OrgFacts{}
	}
}

// live returns the user's own rights on the package, whatever the credential.
func (r *Request) live() Rights {
	switch {
	case r.Package.ID == "" || r.Anonymous() || r.factorless(r.Package.RequireFactor):
		return 0
	case r.Package.Private:
		return r.Package.Rights
	default:
		return r.Package.Rights | RightRead
	}
}

// factorless reports whether an organization that demands a second factor, if this one
// does, does not find one. What is no person has none to show.
func (r *Request) factorless(required bool) bool {
	return required && !r.Account.HasFactor() && !r.Account.Service && r.Kind() != KindPublisher
}

// Role returns the role of the user in the organization that the request names: none where the
// organization requires a second factor that the user does not have.
func (r *Request) Role() protocol.OrgRole {
	if r.Anonymous() || r.factorless(r.Org.RequireFactor) {
		return protocol.NoRole
	}
	return r.heldRole()
}

// heldRole is Role whatever the organization requires. Users own the scope of their own name: they set its rules, but
// not one about members, which it does not have.
func (r *Request) heldRole() protocol.OrgRole {
	switch {
	case r.Org.ID == "" && r.Org.Own:
		if r.Operation.Action == protocol.SetOrgFactor && (r.Change == nil || r.Change.RequireFactor == nil) {
			return protocol.OrgOwner
		}
		return protocol.NoRole
	case r.Org.ID == "" || r.Org.Role > protocol.OrgOwner:
		return protocol.NoRole
	}
	return r.Org.Role
}

// orgReach returns what the credential's grants allow on the organization that the
// request is about.
func (r *Request) orgReach() reach { return r.Credential.orgReach(r.Operation.Org) }

// Creates reports whether the request publishes a package that does not exist, or stages or approves its
// first version.
func (r *Request) Creates() bool {
	switch r.Operation.Action {
	case protocol.Publish, protocol.Stage, protocol.ApproveStaged:
		return r.Package.ID == ""
	}
	return false
}

// mayPend reports whether the request is about trusted publishers that create the package which it names, and its user
// may create that.
func (r *Request) mayPend() bool {
	switch r.Operation.Action {
	case protocol.ReadTrust, protocol.CheckTrust, protocol.WriteTrust:
		return r.MayCreate()
	}
	return false
}

// mayStage reports whether the request may stage versions of the package that it names, and see those that
// are staged: the user may write to it and a grant stages for it, or it is new and the user may create it.
func (r *Request) mayStage() bool {
	switch {
	case r.factorless(r.Package.RequireFactor):
		return false
	case r.Package.ID == "":
		return r.Package.MayCreate && r.reach()&reachStageNew != 0
	}
	return r.reach()&reachStage != 0 && r.held().Has(RightWrite) && r.Rights().Has(RightRead)
}

// mayApprove reports whether the request may publish the package that it names, as [Request.Rights] and
// [Request.MayCreate] say.
func (r *Request) mayApprove() bool {
	return r.Rights().Has(RightRead|RightWrite) || r.MayCreate()
}

// MayCreate reports whether the request may create the package that it names: its user may
// ([Facts].MayCreate), and the credential is a session or has a grant to write on the scope or on
// all packages. A grant on one package does not count, since that package did not exist when the
// token was created. The credential of a pending trusted publisher creates the package that it is for.
func (r *Request) MayCreate() bool {
	return r.Package.ID == "" && r.Package.MayCreate && r.reach()&reachCreate != 0 && !r.factorless(r.Package.RequireFactor)
}

// Bypasses reports whether the credential is a token that bypasses the second factor.
func (r *Request) Bypasses() bool { return r.Kind() == KindToken && r.Credential.Bypass }

// Proven reports whether Proof is a second factor, of any kind.
func (r *Request) Proven() bool {
	return r.Proof == ProofTOTP || r.Proof == ProofRecovery || r.Proof == ProofWeb || r.Proof == ProofKey
}

// personal reports whether a person is behind the credential who can be challenged for a factor:
// not behind one that bypasses it, nor behind a publisher, whose proof is the identity it was
// issued for, nor behind a token of a service account.
func (r *Request) personal() bool {
	return !r.Anonymous() && !r.Bypasses() && r.Kind() != KindPublisher && !(r.Account.Service && r.Kind() == KindToken)
}
