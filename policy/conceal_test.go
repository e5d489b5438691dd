package policy_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/policy/policytest"
	"github.com/npmauth/npmauth/protocol"
)

// curious forbids by whatever is known of a package or an organization, as a host's rule does that is about
// labels and names no actions.
var curious = policy.Rule{ID: "curious", Sentence: "It is a critical one.", Judge: func(r *policy.Request) policy.Verdict {
	if r.Package.ID != "" || r.Package.HasLabel("critical") || r.Org.ID != "" || r.Settings.Publish == protocol.FactorOnly {
		return policy.Forbid
	}
	return policy.Silent
}}

// A rule of the host's tells nobody that there is a package or an organization: what a sender may not see has the
// reasons, and the explanation, of what does not exist, whatever its rules read of it, and whether or not the host has labels
// for free names.
func TestOwnRulesHideLikeAbsent(t *testing.T) {
	p := policy.NPM().With(curious)
	hidden := map[protocol.Action]int{}
	try := func(r, absent policy.Request) {
		t.Helper()
		line, err := policytest.Format(r)
		require.NoError(t, err)
		require.Equal(t, p.Decide(absent), p.Decide(r), line)
		want, got := p.ExplainToSender(absent), p.ExplainToSender(r)
		require.Equal(t, want.Steps, got.Steps, line)
		hidden[r.Operation.Action]++
	}
	for r := range matrix() {
		a, c := r.Operation.Action, r.Credential
		switch {
		case a == protocol.GrantTeam && r.Package.Private && !r.Package.Rights.Has(policy.RightRead):
			r.Package.Labels = []string{"critical"}
			absent := r
			absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}
			try(r, absent)
		case a == protocol.ExchangeToken: // refused in one way, whatever the reason
			hidden[a]++
		case c != nil && c.Kind == policy.KindPublisher && c.Package == r.Package.ID: // it reads the package
		case a.OfPackage() && r.Package.ID != "" && r.Package.Private && (!r.Package.Rights.Has(policy.RightRead) || c == nil):
			r.Package.Labels, r.Settings.Publish = []string{"critical"}, protocol.FactorOnly
			absent := r
			absent.Package, absent.Settings = policy.Facts{}, policy.Settings{}
			try(r, absent)
			absent.Package.Labels = []string{"critical"} // of the scope: the host has them for every name
			try(r, absent)
		case a.OfOrg() && c != nil && (r.Org.Role == protocol.NoRole && !npmOwnScope(r) || c.Kind != policy.KindSession && !slices.ContainsFunc(c.Grants, func(g protocol.Grant) bool { return g.Target == protocol.OneOrg })):
			absent := r
			absent.Org, absent.Package, absent.Settings = policy.OrgFacts{}, policy.Facts{}, policy.Settings{}
			try(r, absent)
		}
	}
	for _, a := range protocol.Actions() {
		if a.OfPackage() || a.OfOrg() {
			require.NotZero(t, hidden[a], a.String())
		}
	}
}
