package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/npmauth/npmauth/internal/words"
	"github.com/npmauth/npmauth/protocol"
)

// A Verdict is what one [Rule] says of a request. The zero value is nothing. A
// number that is none of the four counts as Forbid.
type Verdict uint8

// The verdicts, each stronger than the one before it.
const (
	Silent    Verdict = iota // the rule has nothing to say
	Permit                   // allowed, as far as this rule can see
	NeedProof                // a second factor is missing
	Forbid                   // never, whatever else is said
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

// A Rule is one sentence of a [Policy], as data: who reads the list of rules reads
// the policy.
type Rule struct {
	// ID is the rule's name in its policy and the code of its [Reason]: lower-case
	// letters, digits and single hyphens, at most 64 bytes.
	ID string

	// Doc says what the rule is for, to those who keep the policy.
	Doc string

	// Sentence says to the person at the terminal why the request is refused or
	// challenged. One printable line. Required. Without commas it may go into any
	// header: npm splits WWW-Authenticate at them.
	Sentence string

	// Remedy says what that person can do. One printable line; may be empty.
	Remedy string

	// Conceal makes the refusal an answer as if the package were absent. See
	// [Reason].
	Conceal bool

	// Actions are those the rule is about: for any other it is not asked and counts
	// as Silent. Empty means all, which is right for a rule that forbids whatever
	// it is that is done, and rarely for one that permits.
	Actions []protocol.Action

	// Kinds are the kinds of credential that the rule is about. For a credential of another kind
	// it is not asked and counts as Silent. Empty means every request, with and without a
	// credential; [KindUnknown] stands for those without one, and for credentials of no known
	// kind.
	Kinds []Kind

	// Judge is asked about every request with one of the Actions and of the Kinds. It must be
	// a pure function, must not change or keep the Request, and may be called more
	// than once for a decision. If it panics, that counts as Forbid. Required.
	Judge func(*Request) Verdict

	npm bool // it is as NPM made it. Rules does not hand it out: who changes a rule makes it their own
}

// Concerns reports whether the rule is asked about requests with action a and a credential of
// kind k, which is [KindUnknown] for the anonymous.
func (r Rule) Concerns(a protocol.Action, k Kind) bool {
	return (len(r.Actions) == 0 || slices.Contains(r.Actions, a)) && (len(r.Kinds) == 0 || slices.Contains(r.Kinds, k))
}

// A Reason is why a decision is not Allow: one rule, in words.
type Reason struct {
	Code     string // the rule's ID, or one of the codes of the policy itself
	Sentence string
	Remedy   string
	// Conceal asks for the answer that an absent package gets (404). The reasons
	// beside it are then those that an absent package would have, so that all of
	// them may be shown.
	Conceal bool
}

// Codes that a program may want to branch on. The first two belong to no rule.
const (
	CodeNotPermitted  = "not-permitted"  // no rule forbids it and none permits it
	CodeBrokenPolicy  = "broken-policy"  // the policy has an error: see [Policy.Err]
	CodeLoginRequired = "login-required" // the anonymous may not: 401
	CodeExpired       = "expired"        // the credential's time is over: 401
	CodeCIDR          = "cidr"           // the credential may not be used from there: 401 with npm's ipaddress
)

// ErrRule is wrapped by the errors of [Policy.Err].
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
