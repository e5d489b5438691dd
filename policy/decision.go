package policy

import "github.com/npmauth/npmauth/internal/words"

// An Effect is what comes of a request. The zero value is Deny.
type Effect uint8

// The effects.
const (
	Deny      Effect = iota
	Challenge        // it would be allowed with a second factor
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

// A Decision is what a [Policy] says of a [Request]. The zero value denies.
type Decision struct {
	Effect Effect
	// Reasons are all that stands between the request and Allow, in the order of the
	// rules: what forbids it with Deny, what wants a factor with Challenge. Nil with
	// Allow, and never empty otherwise.
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

// Conceals reports whether the answer is to be that of an absent package.
func (d Decision) Conceals() bool {
	for i := range d.Reasons {
		if d.Reasons[i].Conceal {
			return true
		}
	}
	return false
}
