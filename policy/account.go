package policy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/npmauth/npmauth/protocol"
)

// An Account is what is true of a user at the time of the request. The zero value is that of an
// anonymous request.
type Account struct {
	ID        protocol.UserID
	Name      string
	Disabled  bool
	TwoFactor protocol.TwoFactorMode
	// Keys reports whether a security key is among the account's second factors, and KeysOnly whether
	// its user wants nothing else to count: wherever the account is asked for a second factor. A
	// recovery code still repairs the account. KeysOnly does not count without a second factor.
	Keys, KeysOnly bool
	// CIDRs are the address ranges from which credentials of the account may be used, besides the
	// ranges of each credential. Empty means any address.
	CIDRs []netip.Prefix
	// Service reports whether the account is a service account: it has no password, no second
	// factor and no sessions. Its administrators create its tokens.
	Service bool
	// FactorRequired reports whether the user is in an organization that requires a second factor
	// of its members. The user may change the factor then and not remove it.
	FactorRequired bool
	// HighImpact reports whether many depend on the packages of the account. Such an account only
	// reads for [Limits].HighImpactHold after Recovered, the instant at which it was last recovered,
	// by a recovery code or an operator, or its e-mail address changed. A zero Recovered means never.
	HighImpact bool
	Recovered  time.Time
	// Groups are the host's groups that the user is in, from [host.User]. They are for rules of the
	// host's own: no rule of NPM reads them. They must not be changed.
	//
	// [host.User]: https://pkg.go.dev/github.com/npmauth/npmauth/host#User
	Groups []string
}

// InGroup reports whether name is one of Groups.
func (a *Account) InGroup(name string) bool { return slices.Contains(a.Groups, name) }

// HasFactor reports whether the account has a second factor: whether its mode is auth-only or
// auth-and-writes.
func (a *Account) HasFactor() bool {
	return a.TwoFactor == protocol.AuthOnly || a.TwoFactor == protocol.AuthAndWrites
}

// From reports whether addr is in the ranges of the account. The ranges of the credential count
// besides: see [Credential.From].
func (a *Account) From(addr netip.Addr) bool { return len(a.CIDRs) == 0 || within(a.CIDRs, addr) }
