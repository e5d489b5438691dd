package subject

import "github.com/npmauth/npmauth/policy"

// Account returns the subject as the Account of a [policy.Request]. name is the user's in the
// host's user table. The caller sets what else the table knows: whether the user is disabled there
// or is a service account, and its groups.
func (s Subject) Account(name string) policy.Account {
	return policy.Account{
		ID: s.ID, Name: name, Disabled: s.Disabled, TwoFactor: s.TwoFactor, Keys: s.Keys, KeysOnly: s.KeysOnly, CIDRs: s.CIDRs, HighImpact: s.HighImpact, Recovered: s.Recovered,
	}
}
