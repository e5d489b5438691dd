package hosttest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// orgs returns the table of organizations, without what watches it, as what else it may be.
func (reg Registry) orgs() (all host.Memberships, rules host.FactorRules) {
	table := reg.tableOfOrgs()
	all, _ = table.(host.Memberships)
	rules, _ = table.(host.FactorRules)
	return all, rules
}

// userScopes is orgs for the scopes of users.
func (reg Registry) userScopes() host.UserScopes {
	scopes, _ := reg.tableOfOrgs().(host.UserScopes)
	return scopes
}

func (reg Registry) tableOfOrgs() host.Orgs {
	if w, ok := reg.Orgs.(watchedOrgs); ok {
		return w.Orgs
	}
	return reg.Orgs
}

// scopesAreTheirs tests that nobody but a user creates packages in the scope of their own name.
func scopesAreTheirs(t tb, x *rig) {
	scopes, found := x.userScopes(), 0
	for who, user := range x.Creators {
		own, err := scopes.OwnScope(t.Context(), user)
		require.NoError(t, err)
		if own == "" {
			continue
		}
		org, err := x.Orgs.OrgFacts(t.Context(), own, "")
		require.NoError(t, err)
		if org.ID != "" { // which has it
			continue
		}
		found++
		pkg := protocol.PackageName{Scope: own, Name: "npmauth-host-test-own"}
		for other, creator := range x.Creators {
			facts, err := x.Packages.Facts(t.Context(), pkg, creator)
			require.NoError(t, err)
			assert.Equal(t, who == other, facts.MayCreate, "OwnScope says that %q is the scope of the user %q; whether the user %q may create %s", own, user, creator, pkg)
		}
	}
	assert.Positive(t, found, "none of the Creators has a scope of their own")
	own, err := scopes.OwnScope(t.Context(), "npmauth-host-test-nobody")
	require.NoError(t, err)
	assert.Empty(t, own, "OwnScope of a user who does not exist")
}

// ownOrg returns the organization that the first creator is in.
func (x *rig) ownOrg(t tb) (name string, id protocol.OrgID) {
	t.Helper()
	name = x.Private.Scope
	facts, err := x.Orgs.OrgFacts(t.Context(), name, x.Creators[first])
	require.NoError(t, err)
	require.True(t, facts.ID != "" && facts.Role != protocol.NoRole,
		"the first creator is in no organization %q: let Registry.Private be of the scope of one that they are in", name)
	return name, facts.ID
}

// existsForNobody tests that an organization has the same ID without a user, and no role: the trusted publishers of its scope
// belong to it.
func existsForNobody(t tb, x *rig) {
	name, id := x.ownOrg(t)
	facts, err := x.Orgs.OrgFacts(t.Context(), name, "")
	require.NoError(t, err)
	assert.Equal(t, id, facts.ID, "OrgFacts without a user has another ID of %q", name)
	assert.Equal(t, protocol.NoRole, facts.Role, "OrgFacts without a user has a role in %q", name)
	facts, err = x.Orgs.OrgFacts(t.Context(), "npmauth-host-test-nobody", "")
	require.NoError(t, err)
	assert.Empty(t, facts.ID, "OrgFacts has an organization that does not exist")
}

// membershipsAgree tests that a list of organizations says what OrgFacts says.
func membershipsAgree(t tb, x *rig) {
	all, _ := x.orgs()
	own, _ := x.ownOrg(t)
	for who, user := range x.Creators {
		list, err := all.Memberships(t.Context(), user)
		require.NoError(t, err)
		found := false
		for _, in := range list {
			facts, err := x.Orgs.OrgFacts(t.Context(), in.Org, user)
			require.NoError(t, err)
			assert.NotEmpty(t, facts.ID, "Memberships has %q, which does not exist by OrgFacts", in.Org)
			assert.Equal(t, facts.Role, in.Role, "Memberships has another role in %q than OrgFacts", in.Org)
			assert.Equal(t, facts.RequireFactor, in.RequireFactor, "Memberships has another rule of %q than OrgFacts", in.Org)
			assert.NotEqual(t, protocol.NoRole, in.Role, "Memberships has %q, which the user is not in", in.Org)
			found = found || in.Org == own
		}
		assert.True(t, found || who != first, "Memberships lacks %q, which the first creator is in", own)
	}
	list, err := all.Memberships(t.Context(), "npmauth-host-test-nobody")
	require.NoError(t, err)
	assert.Empty(t, list, "Memberships of a user who does not exist")
}

// ruleIsWritten tests that the rule of an organization changes when it is written, wherever it is
// read.
func ruleIsWritten(t tb, x *rig) {
	_, rules := x.orgs()
	name, id := x.ownOrg(t)
	x.publishPrivate(t)
	is := func(want bool, when string) {
		t.Helper()
		facts, err := x.Orgs.OrgFacts(t.Context(), name, x.Creators[first])
		require.NoError(t, err)
		assert.Equal(t, want, facts.RequireFactor, "OrgFacts, %s", when)
		pkg, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[first])
		require.NoError(t, err)
		assert.Equal(t, want, pkg.RequireFactor, "Facts of a package in the organization, %s", when)
		if want {
			required, err := x.Orgs.FactorRequired(t.Context(), x.Creators[first])
			require.NoError(t, err)
			assert.True(t, required, "FactorRequired, %s", when)
		}
	}
	before, err := x.Orgs.OrgFacts(t.Context(), name, x.Creators[first])
	require.NoError(t, err)
	now := before.RequireFactor
	for _, want := range []bool{!now, now} {
		write, err := rules.SetRequireFactor(t.Context(), id, want)
		require.NoError(t, err)
		is(!want, "before the Write")
		require.NoError(t, write(t.Context()))
		is(want, "after the Write")
	}
	write, err := rules.SetRequireFactor(t.Context(), id+"-npmauth-host-test", !now)
	if err == nil {
		err = write(t.Context())
	}
	assert.Error(t, err, "the rule of an organization that does not exist was set")
	is(now, "after that of another organization was set")
}
