package policy

import (
	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/protocol"
)

// Evidence is what is known of how a version was published, beyond who may write to its package. A registry
// shows it as _npmUser of the version. The zero value is none: a person or a token published it directly. That there
// is a provenance attestation is no evidence here, since nobody has verified it.
type Evidence uint8

// The evidence. A version that a trusted publisher staged and a person approved has both.
const (
	EvidencePublisher Evidence = 1 << iota // a trusted publisher sent it: _npmUser.trustedPublisher
	EvidenceApproval                       // a person approved it with a second factor: _npmUser.approver
)

var evidenceWords = words.Set{Empty: "none", Bits: words.List{"publisher", "approval"}}

// String returns the evidence with plus signs between, "publisher+approval", or "none".
func (e Evidence) String() string { return evidenceWords.Text(uint8(e), "Evidence") }

// MarshalText returns String, or an error for bits that are no evidence.
func (e Evidence) MarshalText() ([]byte, error) { return evidenceWords.Marshal(uint8(e), "Evidence") }

// UnmarshalText reads what String writes. An unknown or repeated word is an error.
func (e *Evidence) UnmarshalText(text []byte) error {
	got, err := evidenceWords.Parse(text, "evidence")
	*e = Evidence(got)
	return err
}

// Evidence returns that of the version that the request publishes, or that it stages once it is approved; none
// with any other action.
func (r *Request) Evidence() Evidence {
	var e Evidence
	switch r.Operation.Action {
	case protocol.Publish:
		e = sentBy(r.Kind() == KindPublisher)
	case protocol.Stage:
		e = sentBy(r.Kind() == KindPublisher) | EvidenceApproval
	case protocol.ApproveStaged:
		if e = sentBy(r.Staged.By == ""); r.personal() {
			e |= EvidenceApproval
		}
	}
	return e
}

// sentBy returns the evidence of a version that a trusted publisher has sent, or somebody else.
func sentBy(publisher bool) Evidence {
	if publisher {
		return EvidencePublisher
	}
	return 0
}

// EvidenceStays returns the rule less-evidence: a version is not published without the evidence of the newest
// version before it ([Facts].Evidence), nor staged if it would not have it once it is approved. label is that of
// the packages which it applies to ([Facts].Labels), of one or of a whole scope; "" means all packages. Packages
// whose newest version has none go on as before.
//
// Each kind of evidence stays by itself, so what the trusted publisher has sent is not followed by what a person
// sent and another approved. The two say different things, where the bytes are from and that somebody wanted
// them published, and who has stolen one account must not get by with the other. Who installs with pnpm and
// trustPolicy no-downgrade ranks an approval above a trusted publisher; what this rule allows never falls there.
//
// npmjs.com has no such rule, so it is not one of the rules of [NPM]. A host that does not fill Facts.Evidence has
// it for nothing. It looks at the newest version alone: where versions are unpublished, what is newest then
// counts. To end a trusted publisher for good, take the label off for one version.
func EvidenceStays(label string) Rule {
	return Rule{
		ID:       "less-evidence",
		Doc:      "A version has the evidence that the newest one before it has: that a trusted publisher sent it, and that a person approved it. Those who may not publish hear nothing of it.",
		Sentence: "The newest version of this package has evidence that this one would not have.",
		Remedy:   "Publish it as the newest one was: from the trusted publisher or with npm stage publish and an approval.",
		Actions:  []protocol.Action{protocol.Publish, protocol.Stage, protocol.ApproveStaged},
		Kinds:    signedIn,
		Judge: func(r *Request) Verdict {
			if r.Package.ID == "" || label != "" && !r.Package.HasLabel(label) {
				return Silent
			}
			hears := r.mayApprove() || r.Operation.Action == protocol.Stage && r.mayStage()
			return forbid(r.Package.Evidence&^r.Evidence() != 0 && hears)
		},
	}
}
