package authz

import (
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/settings"
)

// CheckRules refuses a change that demands trusted publishers or staging, where there is none: nobody could
// publish any more. What was demanded before can be taken back.
func (a *Authorizer) CheckRules(c *protocol.Change) error {
	if c.DemandsPublishers() && a.Trust == nil {
		return errNoTrust
	}
	if c.DemandsStaging() && a.Stage == nil {
		return errNoStaging
	}
	return nil
}

// PackageRules returns the settings s of a package as c leaves them.
func PackageRules(s policy.Settings, c *protocol.Change) policy.Settings {
	set(&s.Publish, c.PublishMode)
	set(&s.KeysOnly, c.KeysOnly)
	set(&s.PublishersOnly, c.PublishersOnly)
	set(&s.StageOnly, c.StageOnly)
	set(&s.Approvals, c.Approvals)
	set(&s.OtherApprover, c.OtherApprover)
	return s
}

// ScopeRules returns the settings s of a scope as c leaves them.
func ScopeRules(s settings.Scope, c *protocol.Change) settings.Scope {
	set(&s.KeysOnly, c.KeysOnly)
	set(&s.PublishersOnly, c.PublishersOnly)
	set(&s.StageOnly, c.StageOnly)
	set(&s.Approvals, c.Approvals)
	set(&s.OtherApprover, c.OtherApprover)
	return s
}

// set sets the field to a value, unless there is none.
func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}
