package subject

import "github.com/npmauth/npmauth/policy"

// Account returns what is recorded of the account as a policy takes it. name is the user's in
// the user table; what else the table knows (that the user is disabled there too, or is a
// service account) the caller adds.
func (s Subject) Account(name string) policy.Account {
	return policy.Account{
		ID: s.ID, Name: name, Disabled: s.Disabled, TwoFactor: s.TwoFactor, CIDRs: s.CIDRs, HighImpact: s.HighImpact, Recovered: s.Recovered,
	}
}
