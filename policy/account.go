package policy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// An Account is what is true of a user at the moment of the request. The zero
// value goes with a request that has no credential.
type Account struct {
	ID        protocol.UserID
	Name      string
	Disabled  bool
	TwoFactor protocol.TwoFactorMode
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
	// Groups are the host's own for its own rules, as [host.User] has them; no rule of NPM reads
	// them. They must not be changed.
	//
	// [host.User]: https://pkg.go.dev/github.com/npmauth/npmauth/host#User
	Groups []string
}

// InGroup reports whether the account is in the host's group of that name.
func (a *Account) InGroup(name string) bool { return slices.Contains(a.Groups, name) }

// HasFactor reports whether the account has a second factor that can be asked for.
func (a *Account) HasFactor() bool {
	return a.TwoFactor == protocol.AuthOnly || a.TwoFactor == protocol.AuthAndWrites
}

// From reports whether the account's credentials may be used from addr, as far as the
// account itself is asked.
func (a *Account) From(addr netip.Addr) bool { return len(a.CIDRs) == 0 || within(a.CIDRs, addr) }
