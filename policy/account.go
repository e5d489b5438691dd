package policy

import (
	"net/netip"
	"time"
)

// A UserID identifies an account for ever. It is never given to another account,
// not even when the name is; rights hang on it and not on the name. A host whose
// users have no such ID must make one (a row number, a UUID).
type UserID string

// A TwoFactorMode says for what an account's second factor is asked. The zero
// value is unknown and denies.
type TwoFactorMode uint8

// The modes, with npm's names.
const (
	TwoFactorUnknown TwoFactorMode = iota
	TwoFactorOff                   // the account has no second factor
	AuthOnly                       // auth-only: login, profile, tokens; and publishing, whose rule is the package's
	AuthAndWrites                  // auth-and-writes: every write
)

var modeWords = words{TwoFactorUnknown: "unknown", TwoFactorOff: "off", AuthOnly: "auth-only", AuthAndWrites: "auth-and-writes"}

// String returns the mode's text: unknown, off, auth-only or auth-and-writes.
func (m TwoFactorMode) String() string { return modeWords.text(uint8(m), "TwoFactorMode") }

// MarshalText returns the mode's text, or an error for a number that is no mode.
func (m TwoFactorMode) MarshalText() ([]byte, error) {
	return modeWords.marshal(uint8(m), "TwoFactorMode")
}

// UnmarshalText reads a mode's text. Any other text is an error.
func (m *TwoFactorMode) UnmarshalText(text []byte) error {
	v, err := modeWords.parse(text, "second-factor mode")
	*m = TwoFactorMode(v)
	return err
}

// An Account is what is true of a user at the moment of the request. The zero
// value goes with a request that has no credential.
type Account struct {
	ID        UserID
	Name      string
	Disabled  bool
	TwoFactor TwoFactorMode
	// CIDRs are the ranges that all of the account's credentials may be used from, each
	// in its own ranges as well. Empty: from anywhere.
	CIDRs []netip.Prefix
	// Service is an account that is no person: it has no password and no factor, and
	// signs in nowhere. Its tokens are made by those who administer it.
	Service bool
	// FactorRequired is true while the user is in an organization that demands a second
	// factor of its members: it may be changed and not taken off.
	FactorRequired bool
	// HighImpact is an account that many depend on. After Recovered, the instant at which
	// a recovery code was last used or its address changed, it is held for a while
	// ([Limits].HighImpactHold). Zero: never.
	HighImpact bool
	Recovered  time.Time
}

// HasFactor reports whether the account has a second factor that can be asked for.
func (a *Account) HasFactor() bool { return a.TwoFactor == AuthOnly || a.TwoFactor == AuthAndWrites }

// From reports whether the account's credentials may be used from addr, as far as the
// account itself is asked.
func (a *Account) From(addr netip.Addr) bool { return len(a.CIDRs) == 0 || within(a.CIDRs, addr) }
