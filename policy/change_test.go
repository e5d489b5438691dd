package policy_test

import (
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// newToken returns the change that makes a token which writes, or bypasses the second factor.
func newToken(writes, bypass bool) *protocol.Change {
	g := policy.Grant{Target: policy.AllPackages, Permission: policy.ReadOnly}
	if writes {
		g.Permission = policy.ReadWrite
	}
	return &protocol.Change{Token: &protocol.TokenSpec{Grants: []policy.Grant{g}, Bypass: bypass}}
}

// newMode returns the change that sets the second-factor setting of a package.
func newMode(m policy.PublishMode) *protocol.Change { return &protocol.Change{PublishMode: &m} }

// factorOff is the change that takes a second factor off.
var factorOff = &protocol.Change{TwoFactor: policy.TwoFactorOff}

// also returns c with what more asks for besides.
func also(c *protocol.Change, more protocol.Change) *protocol.Change {
	var both protocol.Change
	if c != nil {
		both = *c
	}
	if more.PublishMode != nil {
		both.PublishMode = more.PublishMode
	}
	if more.TwoFactor != policy.TwoFactorUnknown {
		both.TwoFactor = more.TwoFactor
	}
	return &both
}
