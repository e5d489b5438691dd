package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/protocol"
)

// A Verdict is what the Judge of one [Rule] returns about a request. The zero value is Silent. A
// number that is none of the four counts as Forbid.
type Verdict uint8

// The verdicts. The strongest verdict of all rules decides: Forbid before NeedProof before Permit.
// NeedProof without a Permit denies.
const (
	Silent    Verdict = iota // the rule does not apply
	Permit                   // allowed, unless another rule forbids it or needs a proof
	NeedProof                // a second factor is missing
	Forbid                   // denied, whatever the other rules return
)

var verdictWords = words.List{Silent: "silent", Permit: "permit", NeedProof: "need-proof", Forbid: "forbid"}

// String returns the verdict's text.
func (v Verdict) String() string { return verdictWords.Text(uint8(v), "Verdict") }

// MarshalText returns the verdict's text, or an error for a number that is no verdict.
func (v Verdict) MarshalText() ([]byte, error) { return verdictWords.Marshal(uint8(v), "Verdict") }

// UnmarshalText reads a verdict's text. Any other text is an error.
func (v *Verdict) UnmarshalText(text []byte) error {
	n, err := verdictWords.Parse(text, "verdict")
	*v = Verdict(n)
	if err != nil {
		*v = Forbid
	}
	return err
}

// A Rule is one of the rules of a [Policy]: a function that returns a verdict, and the texts about
// it.
type Rule struct {
	// ID is the rule's name in its policy and the code of its [Reason]: lower-case
	// letters, digits and single hyphens, at most 64 bytes.
	ID string

	// Doc says to those who maintain the policy what the rule is for. May be empty.
	Doc string

	// Sentence says to the person at the terminal why the request is denied or challenged. One
	// printable line. Required. Write it without commas if it goes into a WWW-Authenticate header:
	// npm splits that at commas.
	Sentence string

	// Remedy says what that person can do. One printable line. May be empty.
	Remedy string

	// Conceal makes a denial by this rule look as if the package, organization or service account
	// did not exist. See [Reason].
	Conceal bool

	// Actions are those that the rule applies to: for any other, Judge is not called and the
	// verdict is Silent. Empty means all actions, which suits a rule that forbids and rarely one
	// that permits.
	Actions []protocol.Action

	// Kinds are the kinds of credential that the rule applies to: for any other, Judge is not
	// called and the verdict is Silent. Empty means every request, with and without a credential.
	// [KindUnknown] stands for requests without one, and for credentials of no known kind.
	Kinds []Kind

	// Judge returns the rule's verdict about a request with one of the Actions and one of the
	// Kinds. It must be a pure function and must not change or keep the Request. It may be called
	// more than once for a decision, and concurrently. A panic counts as Forbid. Required.
	Judge func(*Request) Verdict

	npm  bool      // it is as NPM made it. Rules does not hand it out: who changes a rule makes it their own
	from time.Time // that of WithFactorFrom, zero for every other rule
}

// Concerns reports whether the rule applies to requests with action a and a credential of kind k,
// which is [KindUnknown] for anonymous requests.
func (r Rule) Concerns(a protocol.Action, k Kind) bool {
	return (len(r.Actions) == 0 || slices.Contains(r.Actions, a)) && (len(r.Kinds) == 0 || slices.Contains(r.Kinds, k))
}

// A Reason is the part of one rule in a decision that is not Allow.
type Reason struct {
	Code     string // the rule's ID, or one of the codes of the policy itself
	Sentence string
	Remedy   string
	// Conceal means that the answer must be that of a package, organization or service account that
	// does not exist (404). All reasons of the decision are then those that one would have that
	// does not exist, so they may be shown.
	Conceal bool
}

// Codes that a program may want to branch on. The first two are the policy's own; the others are
// the IDs of rules of [NPM]. The Refusal of package wire returns the HTTP answer.
const (
	CodeNotPermitted  = "not-permitted"  // no rule forbids it and none permits it
	CodeBrokenPolicy  = "broken-policy"  // the policy has an error: see [Policy.Err]
	CodeNotOffered    = "not-offered"    // nothing here serves the operation: see [Policy.Unoffered]
	CodeLoginRequired = "login-required" // an anonymous request for what needs a credential: 401
	CodeExpired       = "expired"        // the credential has expired; authentication refuses it before a policy does
	CodeCIDR          = "cidr"           // the credential or its account may not be used from that address: 401 with npm's ipaddress
)

// ErrRule is wrapped by errors of [Policy.Err] about rules.
var ErrRule = errors.New("policy: invalid rule")

func (r Rule) validate() error {
	switch {
	case !validID(r.ID):
		return fmt.Errorf("%w: ID %q is not lower-case words with hyphens", ErrRule, r.ID)
	case r.ID == CodeNotPermitted || r.ID == CodeBrokenPolicy:
		return fmt.Errorf("%w: ID %q is taken", ErrRule, r.ID)
	case strings.TrimSpace(r.Sentence) == "" || !oneLine(r.Sentence):
		return fmt.Errorf("%w: %s: the sentence is not one printable line", ErrRule, r.ID)
	case !oneLine(r.Remedy):
		return fmt.Errorf("%w: %s: the remedy is not one printable line", ErrRule, r.ID)
	case r.Judge == nil:
		return fmt.Errorf("%w: %s: no Judge", ErrRule, r.ID)
	}
	for _, a := range r.Actions {
		if a >= protocol.ActionCount {
			return fmt.Errorf("%w: %s: %v is no action", ErrRule, r.ID, a)
		}
	}
	for _, k := range r.Kinds {
		if k >= kinds {
			return fmt.Errorf("%w: %s: %v is no kind of credential", ErrRule, r.ID, k)
		}
	}
	return nil
}

func validID(id string) bool {
	if id == "" || len(id) > 64 || id[0] < 'a' || id[0] > 'z' || strings.Contains(id, "--") || strings.HasSuffix(id, "-") {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func oneLine(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func (r *Rule) reason() Reason {
	return Reason{Code: r.ID, Sentence: r.Sentence, Remedy: r.Remedy, Conceal: r.Conceal}
}
