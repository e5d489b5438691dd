// Package npmauthtest proves that a host keeps its side of the contract with
// npmauth. A registry calls [Host] from a test of its own:
//
//	func TestHost(t *testing.T) {
//		npmauthtest.Host(t, func(t *testing.T) npmauthtest.Registry {
//			db := newDatabase(t)
//			return npmauthtest.Registry{
//				Handler: registry.New(db), Packages: packages{db}, Documents: documents{db},
//				Without: []policy.Action{policy.Star, policy.Search},
//			}
//		})
//	}
//
// npmauth decides about a request before the host writes, and another request
// may come in between. So each decision is handed over with what it rests on,
// [npmauth.Operation], and the host must make its write conditional on that. Host
// forces such races, sends bodies that say more than was allowed, and fails a registry
// that is taken in.
package npmauthtest

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
)

// A Registry is a fresh and empty host under test.
type Registry struct {
	// Handler is the registry's, not wrapped by npmauth. Required.
	Handler http.Handler
	// Packages is its table of packages. Required.
	Packages npmauth.Packages
	// Documents is its table of package documents; nil where documents are not sent back
	// to it, and Deprecate and Unpublish are in Without.
	Documents npmauth.Documents
	// Users is its table of people; nil where it leaves them to npmauth.
	Users npmauth.Users
	// Creators are two of Users who may create Package. Needed where Users is set.
	Creators [2]policy.UserID
	// Package is a name that both creators may create, and that does not exist.
	// The zero name means npmauth-host-test.
	Package policy.PackageName
	// Private is a scoped name that the first of the creators may create for none but
	// themselves to read. The zero name means that whoever is signed in reads everything.
	Private policy.PackageName
	// Remove takes Package away as if it had never been. Needed where UnpublishAll is in
	// Without: the name must be free for another.
	Remove func(ctx context.Context, pkg policy.PackageName) error
	// Without are actions that the registry does not serve, of those that Host tests:
	// ReadTarball, SetDistTag, RemoveDistTag, Deprecate, Unpublish, UnpublishAll,
	// WriteOwners, Star, Search, ListPackages. Host tests that it refuses them. An action that is neither
	// served nor named here fails.
	Without []policy.Action
}

// serves reports whether the registry is to serve the action.
func (reg Registry) serves(a policy.Action) bool { return !slices.Contains(reg.Without, a) }

// Host tests the registry that open returns, a new one for each case.
func Host(t *testing.T, open func(t *testing.T) Registry) {
	without := open(t).Without
	for _, c := range cases {
		if slices.ContainsFunc(c.needs, func(a policy.Action) bool { return slices.Contains(without, a) }) {
			continue // the last case asks for it
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, newRig(t, open(t))) })
	}
}

// tb is the part of testing.T that cases use, so that the tests of this package can
// watch them fail.
type tb interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// A testCase is one promise of a host's.
type testCase struct {
	name  string
	needs []policy.Action
	run   func(t tb, x *rig)
}

var cases = []testCase{
	{"two creators race for one name", nil, creatorsRace},
	{"a creation is not overtaken", nil, creatorOvertaken},
	{"a publish waits for the end of its body", nil, publishCutShort},
	{"a publisher does not say where tarballs are", nil, tarballElsewhere},
	{"a version is published once", nil, publishedTwice},
	{"a version belongs to the package that was judged", nil, replacedUnder(policy.Publish)},
	{"a tag belongs to the package that was judged", []policy.Action{policy.SetDistTag}, replacedUnder(policy.SetDistTag)},
	{"a tag is taken from the package that was judged", []policy.Action{policy.RemoveDistTag}, replacedUnder(policy.RemoveDistTag)},
	{"a deprecation belongs to the package that was judged", []policy.Action{policy.Deprecate}, replacedUnder(policy.Deprecate)},
	{"a version is taken from the package that was judged", []policy.Action{policy.Unpublish}, replacedUnder(policy.Unpublish)},
	{"a package is taken away that was judged", []policy.Action{policy.UnpublishAll}, replacedUnder(policy.UnpublishAll)},
	{"owners are of the package that was judged", []policy.Action{policy.WriteOwners}, replacedUnder(policy.WriteOwners)},
	{"a deprecation changes nothing else", []policy.Action{policy.Deprecate}, deprecateAlone},
	{"an unpublish changes nothing else", []policy.Action{policy.Unpublish}, unpublishAlone},
	{"a star changes nothing else", []policy.Action{policy.Star}, starAlone},
	{"what was published meanwhile stays", []policy.Action{policy.Deprecate}, publishedMeanwhile},
	{"who was added meanwhile stays", []policy.Action{policy.Deprecate, policy.WriteOwners}, ownerMeanwhile},
	{"who was removed writes no more", []policy.Action{policy.WriteOwners}, ownerRemoved},
	{"private packages are hidden", nil, hidden},
	{"what is not served is refused", nil, notServed},
}
