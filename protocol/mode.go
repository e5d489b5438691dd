package protocol

import "github.com/npmauth/npmauth/internal/words"

// A TwoFactorMode says what needs an account's second factor. The zero value is unknown and
// denies.
type TwoFactorMode uint8

// The modes, with npm's names.
const (
	TwoFactorUnknown TwoFactorMode = iota
	TwoFactorOff                   // the account has no second factor
	AuthOnly                       // auth-only: login, profile, tokens; and publishing, by the package's setting
	AuthAndWrites                  // auth-and-writes: every write
)

var modeWords = words.List{TwoFactorUnknown: "unknown", TwoFactorOff: "off", AuthOnly: "auth-only", AuthAndWrites: "auth-and-writes"}

// String returns the mode's text: unknown, off, auth-only or auth-and-writes.
func (m TwoFactorMode) String() string { return modeWords.Text(uint8(m), "TwoFactorMode") }

// MarshalText returns the mode's text, or an error for a number that is no mode.
func (m TwoFactorMode) MarshalText() ([]byte, error) {
	return modeWords.Marshal(uint8(m), "TwoFactorMode")
}

// UnmarshalText reads a mode's text. Any other text is an error.
func (m *TwoFactorMode) UnmarshalText(text []byte) error {
	v, err := modeWords.Parse(text, "second-factor mode")
	*m = TwoFactorMode(v)
	return err
}

// A PublishMode is a package's second-factor setting, npm's mfa. The zero value
// is npm's default for new packages since December 2025.
type PublishMode uint8

// The modes.
const (
	FactorOrBypass PublishMode = iota // a second factor, or a token that bypasses it (mfa=automation)
	FactorOnly                        // a second factor and no tokens (mfa=publish)
	// NoFactor is mfa=none: the package needs no second factor, though accounts in mode
	// auth-and-writes still do. npm removed it in December 2025, and packages that had it keep
	// it; policy NPM does not let anyone choose it.
	NoFactor
)

var publishWords = words.List{FactorOrBypass: "automation", FactorOnly: "publish", NoFactor: "none"}

// String returns npm's word, as npm access set mfa= takes it: automation, publish or none.
func (m PublishMode) String() string { return publishWords.Text(uint8(m), "PublishMode") }

// MarshalText returns npm's word, or an error for a number that is no mode.
func (m PublishMode) MarshalText() ([]byte, error) {
	return publishWords.Marshal(uint8(m), "PublishMode")
}

// UnmarshalText reads npm's word. Any other text is an error.
func (m *PublishMode) UnmarshalText(text []byte) error {
	v, err := publishWords.Parse(text, "publish mode")
	*m = PublishMode(v)
	if err != nil {
		*m = FactorOnly // the zero mode is not the strictest
	}
	return err
}
