package policy_test

import (
	"github.com/npmauth/npmauth/protocol"
)

// newToken returns the change that makes a token which writes, or bypasses the second factor.
func newToken(writes, bypass bool) *protocol.Change {
	g := protocol.Grant{Target: protocol.AllPackages, Permission: protocol.ReadOnly}
	if writes {
		g.Permission = protocol.ReadWrite
	}
	return &protocol.Change{Token: &protocol.TokenSpec{Grants: []protocol.Grant{g}, Bypass: bypass}}
}

// newMode returns the change that sets the second-factor setting of a package.
func newMode(m protocol.PublishMode) *protocol.Change { return &protocol.Change{PublishMode: &m} }

// factorOff is the change that takes a second factor off.
var factorOff = &protocol.Change{TwoFactor: protocol.TwoFactorOff}

// also returns c with what more asks for besides.
func also(c *protocol.Change, more protocol.Change) *protocol.Change {
	var both protocol.Change
	if c != nil {
		both = *c
	}
	if more.PublishMode != nil {
		both.PublishMode = more.PublishMode
	}
	if more.TwoFactor != protocol.TwoFactorUnknown {
		both.TwoFactor = more.TwoFactor
	}
	return &both
}
