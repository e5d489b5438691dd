package trust

import (
	"fmt"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/words"
)

// A Reason says in what way a claim differs from what a publisher expects.
type Reason uint8

// The reasons.
const (
	_         Reason = iota
	Missing          // the token does not have the claim
	Malformed        // it is of another type, or is no value that the claim can have
	Different        // it has another value
	Refused          // it has a value that the publisher does not admit, though no other is expected
)

var reasonWords = words.List{"unknown", Missing: "missing", Malformed: "malformed", Different: "different", Refused: "refused"}

// String returns the reason's text: unknown, missing, malformed, different or refused.
func (r Reason) String() string { return reasonWords.Text(uint8(r), "Reason") }

// MarshalText returns String, or an error for a value that is no reason.
func (r Reason) MarshalText() ([]byte, error) { return reasonWords.Marshal(uint8(r), "trust: Reason") }

// A Difference is a claim in which a token is not what a publisher expects. It is for the operator's log and for
// the package's owners, and not for who presents the token.
type Difference struct {
	Claim     string `json:"claim"`
	Reason    Reason `json:"reason"`
	Expected  string `json:"expected"`            // a value, or several with commas, or in words what it is
	Presented string `json:"presented,omitempty"` // a string's text, another type's JSON; at most 256 bytes. Empty if missing
}

// String returns the difference in one line, in which what was presented is quoted.
func (d Difference) String() string {
	if d.Reason == Missing {
		return fmt.Sprintf("%s is missing, expected %q", d.Claim, d.Expected)
	}
	return fmt.Sprintf("%s is %v: %q, expected %q", d.Claim, d.Reason, d.Presented, d.Expected)
}

// maxPresented bounds what a Difference repeats of a token, in bytes.
const maxPresented = 256

// Match compares what a token says with what a publisher expects, and returns in what they differ. If that is
// nothing, the token's job may do what p.Permissions permit. Match does not look at the time: what it is given
// was verified.
//
// If the issuers differ, that is all it returns, since the claims of another issuer mean something else.
func Match(p Publisher, token IDToken) []Difference {
	m := &matcher{claims: token.Claims}
	if err := p.Validate(); err != nil {
		m.add("type", Refused, "a valid publisher", p.Kind.String())
		return m.differences
	}
	issuer := token.Issuer
	if issuer.Validate() != nil || p.Issuer != issuer.URL || p.Kind != issuer.Kind {
		m.different("iss", fmt.Sprintf("%s (%v)", p.Issuer, p.Kind), fmt.Sprintf("%s (%v)", issuer.URL, issuer.Kind))
		return m.differences
	}
	switch p.Kind {
	case KindGitHub:
		p.GitHub.match(m)
	case KindGitLab:
		p.GitLab.match(m, issuer)
	case KindCircleCI:
		p.CircleCI.match(m)
		if p.CircleCI.OrgID != issuer.org() {
			m.different("iss", circleOrg+p.CircleCI.OrgID, circleOrg+issuer.org())
		}
	case KindOIDC, KindCustom:
		if issuer.checkPublisher(p.Claims) != nil {
			m.add("type", Refused, "the claims that this issuer's publishers name", p.Kind.String())
		}
		issuer.match(m, p.Claims)
	default:
		m.add("type", Refused, "a valid publisher", p.Kind.String())
	}
	return m.differences
}

// A matcher collects differences.
type matcher struct {
	claims      Claims
	differences []Difference
}

func (m *matcher) add(claim string, r Reason, expected, presented string) {
	if len(presented) > maxPresented {
		presented = strings.ToValidUTF8(presented[:maxPresented], "")
	}
	m.differences = append(m.differences, Difference{claim, r, expected, presented})
}

func (m *matcher) different(claim, expected, presented string) {
	m.add(claim, Different, expected, presented)
}

// text returns a claim that must be there and be a string.
func (m *matcher) text(claim, expected string) (string, bool) {
	if !m.claims.has(claim) {
		m.add(claim, Missing, expected, "")
		return "", false
	}
	s, ok := m.claims.Text(claim)
	if !ok {
		m.add(claim, Malformed, expected, string(m.claims[claim]))
	}
	return s, ok
}

// exact compares a claim.
func (m *matcher) exact(claim, want string) {
	if s, ok := m.text(claim, want); ok && s != want {
		m.different(claim, want, s)
	}
}

// folded compares a claim without regard to the case of ASCII letters.
func (m *matcher) folded(claim, want string) {
	if s, ok := m.text(claim, want); ok && fold(s) != fold(want) {
		m.different(claim, want, s)
	}
}

// id compares a numeric ID. Without one to compare with, it must be one that can be pinned.
func (m *matcher) id(claim, want string) {
	if want != "" {
		m.exact(claim, want)
		return
	}
	const expected = "a number, in quotes"
	if s, ok := m.text(claim, expected); ok && !isNumericID(s) {
		m.add(claim, Malformed, expected, s)
	}
}

// pin demands a claim that can be pinned.
func (m *matcher) pin(claim string) {
	const expected = "a value"
	if s, ok := m.text(claim, expected); ok && !plain(s, maxValue) {
		m.add(claim, Malformed, expected, s)
	}
}

// oneOf demands one of several values.
func (m *matcher) oneOf(claim string, list []string) {
	expected := strings.Join(list, ", ")
	if s, ok := m.text(claim, expected); ok && !slices.Contains(list, s) {
		m.add(claim, Refused, expected, s)
	}
}

// event demands an event that may start a job. A publisher that lists one that never may is not valid, and is not
// compared.
func (m *matcher) event(claim string, e events, own []string) {
	expected := strings.Join(e.allowed(own), ", ")
	if s, ok := m.text(claim, expected); ok && !slices.Contains(e.allowed(own), s) {
		m.add(claim, Refused, expected, s)
	}
}

// contains demands a list that has each of want.
func (m *matcher) contains(claim string, want []string) {
	expected := strings.Join(want, ", ")
	if !m.claims.has(claim) {
		m.add(claim, Missing, expected, "")
		return
	}
	list, ok := m.claims.texts(claim)
	if !ok {
		m.add(claim, Malformed, expected, string(m.claims[claim]))
		return
	}
	for _, w := range want {
		if !slices.Contains(list, w) {
			m.different(claim, expected, strings.Join(list, ", "))
			return
		}
	}
}
