package policy

import "github.com/npmauth/npmauth/internal/words"

// An Effect is the outcome of a decision. The zero value is Deny.
type Effect uint8

// The effects.
const (
	Deny      Effect = iota
	Challenge        // allowed with a second factor
	Allow
)

var effectWords = words.List{Deny: "deny", Challenge: "challenge", Allow: "allow"}

// String returns the effect's text.
func (e Effect) String() string { return effectWords.Text(uint8(e), "Effect") }

// MarshalText returns the effect's text, or an error for a number that is no effect.
func (e Effect) MarshalText() ([]byte, error) { return effectWords.Marshal(uint8(e), "Effect") }

// UnmarshalText reads an effect's text. Any other text is an error.
func (e *Effect) UnmarshalText(text []byte) error {
	v, err := effectWords.Parse(text, "effect")
	*e = Effect(v)
	return err
}

// A Decision is what a [Policy] decides about a [Request]. The zero value denies.
type Decision struct {
	Effect Effect
	// Reasons are, in the order of the rules, those of all rules that forbid the request with Deny,
	// and of all that need a proof with Challenge. Deny has [CodeNotPermitted] alone if no rule
	// forbids and none permits. Nil with Allow, and never empty otherwise.
	Reasons []Reason
}

// Has reports whether one of the reasons has the code.
func (d Decision) Has(code string) bool {
	for i := range d.Reasons {
		if d.Reasons[i].Code == code {
			return true
		}
	}
	return false
}

// Conceals reports whether one of the reasons has Conceal: whether the answer must be that of a
// package, organization or service account that does not exist.
func (d Decision) Conceals() bool {
	for i := range d.Reasons {
		if d.Reasons[i].Conceal {
			return true
		}
	}
	return false
}
