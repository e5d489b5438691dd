// Package hosttest tests that a host fulfils its contract with npmauth. A registry calls [Run]
// from a test of its own:
//
//	func TestHost(t *testing.T) {
//		hosttest.Run(t, func(t *testing.T) hosttest.Registry {
//			db := newDatabase(t)
//			return hosttest.Registry{
//				Handler: registry.New(db), Packages: packages{db}, Documents: documents{db},
//				Without: []protocol.Action{protocol.Star, protocol.Search},
//			}
//		})
//	}
//
// npmauth decides on a request before the host writes, and another request may come in between.
// So each decision comes with its preconditions, [host.Operation], and the host must make its
// write conditional on them. Run forces such races, sends bodies that contain more than was
// allowed, and fails a registry that writes more.
package hosttest

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// A Registry is a fresh and empty host under test.
type Registry struct {
	// Handler is the registry's, not wrapped by npmauth. Required.
	Handler http.Handler
	// BaseURL is the URL that Handler is served at: requests are sent to its host and below its
	// path, and dist.tarball is below it. As in [npmauth.Config]; empty means
	// http://registry.example/.
	BaseURL string
	// Packages is its table of packages. Required. If it is a [host.Tarballs], that is tested where Staging is set.
	Packages host.Packages
	// Documents is its table of package documents; nil if it serves no changed documents, and
	// Deprecate and Unpublish are in Without.
	Documents host.Documents
	// Orgs is its table of organizations; nil if there are none. The first of the Creators must
	// be in the organization that has the name of Private's scope.
	Orgs host.Orgs
	// Users is its table of people; nil if package account keeps them.
	Users host.Users
	// ChangePassword changes the password of a user as the registry does when its user has
	// chosen another one, and reports it to auth. Needed if Users is set and the registry lets
	// people change their passwords; nil is not tested.
	ChangePassword func(ctx context.Context, auth *npmauth.Auth, user protocol.UserID, password credential.Secret) error
	// Creators are two of Users who may create Package. Needed if Users is set.
	Creators [2]protocol.UserID
	// Package is a name that both creators may create, and that does not exist. The zero name
	// means npmauth-host-test.
	Package protocol.PackageName
	// Private is a scoped name that the first of the creators may create and only they may
	// read. The zero name means that every signed-in user reads everything.
	Private protocol.PackageName
	// Staging reports whether the registry keeps staged versions, which npmauth.Config.Staging offers.
	// False is not tested.
	Staging bool
	// Evidence reports whether Facts say how the newest version was published, which
	// policy.EvidenceStays goes by. False is not tested.
	Evidence bool
	// Remove removes Package completely. Needed if UnpublishAll is in Without: the name must be
	// free for another user.
	Remove func(ctx context.Context, pkg protocol.PackageName) error
	// Without are actions that the registry does not serve, of those that Run tests:
	// ReadTarball, SetDistTag, RemoveDistTag, Deprecate, Unpublish, UnpublishAll, WriteOwners,
	// Star, Search, ListPackages, ListOrgPackages. Run tests that it refuses them. An action
	// that is neither served nor named here fails, and is in no other case.
	Without []protocol.Action
}

// serves reports whether the registry must serve the action.
func (reg Registry) serves(a protocol.Action) bool { return !slices.Contains(reg.Without, a) }

// Run tests the registry that open returns, a new one for each case.
func Run(t *testing.T, open func(t *testing.T) Registry) {
	tryAll(open(t), t.Logf, func(name string, fn func(tb, func() Registry)) bool {
		return t.Run(name, func(t *testing.T) { fn(t, func() Registry { return open(t) }) })
	})
}

// tryAll runs the cases that apply to reg, each with run, which reports whether it passed.
func tryAll(reg Registry, logf func(format string, args ...any), run func(name string, fn func(t tb, open func() Registry)) bool) {
	absent := slices.Clone(reg.Without) // a case requests them
	for _, c := range cases {
		if c.missing != nil {
			if field := c.missing(reg); field != "" {
				logf("not tested: %s: Registry.%s is not set", c.name, field)
				continue
			}
		}
		if slices.ContainsFunc(c.needs, func(a protocol.Action) bool { return slices.Contains(absent, a) }) {
			continue
		}
		x := new(rig)
		if !run(c.name, func(t tb, open func() Registry) { c.try(t, x, open) }) && c.first {
			return
		}
		absent = append(absent, x.absent...)
	}
}

// tb is the part of testing.T that cases use, so that the tests of this package can see them
// fail.
type tb interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// A testCase is one rule for hosts.
type testCase struct {
	name  string
	needs []protocol.Action
	run   func(t tb, x *rig)
	// first is true of a rule without which no other case passes, or ends.
	first bool
	// missing returns the optional field that the case needs and reg lacks. Nil: none.
	missing func(reg Registry) string
}

// try runs the case on the registry that open returns.
func (c testCase) try(t tb, x *rig, open func() Registry) {
	defer x.report(t)
	defer x.caught("open, Remove or ChangePassword", nil)
	x.setUp(t, open())
	c.run(t, x)
}

var cases = []testCase{
	{name: "the creators may create", run: creatorsMayCreate, first: true},
	{name: "nothing that facts need is held while a body is read", run: publishJudged, first: true},
	{name: "what is not served is named", run: served},
	{name: "another password ends sessions", run: passwordChanged, missing: func(reg Registry) string {
		if reg.ChangePassword == nil {
			return "ChangePassword"
		}
		return ""
	}},
	{name: "a password is written onto the one that was checked", run: passwordPrepared, missing: func(reg Registry) string {
		switch {
		case passwordsOf(reg) == nil:
			return "Users, as host.Passwords,"
		case reg.ChangePassword == nil:
			return "ChangePassword"
		}
		return ""
	}},
	{name: "a profile is changed when it is written", run: profilePrepared, missing: func(reg Registry) string {
		if profilesOf(reg) == nil {
			return "Users, as host.Profiles,"
		}
		return ""
	}},
	{name: "two creators race for one name", run: creatorsRace},
	{name: "a creation is not overtaken", run: creatorOvertaken},
	{name: "a publish waits for the end of its body", run: publishCutShort},
	{name: "a publisher does not say where tarballs are", run: tarballElsewhere},
	{name: "a version is published once", run: publishedTwice},
	{name: "a publish leaves the visibility of a package that is there", run: visibilityKept},
	{name: "a trusted publisher publishes and owns nothing", run: trustedPublish},
	{name: "a pending trusted publisher creates the package of its user", run: trustedCreate},
	{name: "npmauth is told of each new package", run: othersPending},
	{name: "a version belongs to the package that was authorized", run: replacedUnder(protocol.Publish)},
	{name: "a tag belongs to the package that was authorized", needs: []protocol.Action{protocol.SetDistTag}, run: replacedUnder(protocol.SetDistTag)},
	{name: "a tag is taken from the package that was authorized", needs: []protocol.Action{protocol.RemoveDistTag}, run: replacedUnder(protocol.RemoveDistTag)},
	{name: "a deprecation belongs to the package that was authorized", needs: []protocol.Action{protocol.Deprecate}, run: replacedUnder(protocol.Deprecate)},
	{name: "a version is taken from the package that was authorized", needs: []protocol.Action{protocol.Unpublish}, run: replacedUnder(protocol.Unpublish)},
	{name: "a package is taken away that was authorized", needs: []protocol.Action{protocol.UnpublishAll}, run: replacedUnder(protocol.UnpublishAll)},
	{name: "owners are of the package that was authorized", needs: []protocol.Action{protocol.WriteOwners}, run: replacedUnder(protocol.WriteOwners)},
	{name: "a staged version is not published", run: stagedUnpublished, missing: noStaging},
	{name: "a staged tarball is the one that was sent", run: stagedTarball, missing: noStaging},
	{name: "what is approved is what was staged", run: approvedAsStaged, missing: noStaging},
	{name: "who approves a version does not say which", run: approvedByRequest, missing: noStaging},
	{name: "a staged version is published once", run: approvedTwice, missing: noStaging},
	{name: "a published version is not staged over", run: stagedOver, missing: noStaging},
	{name: "a rejected version is forgotten", run: rejected, missing: noStaging},
	{name: "staged versions are apart", run: stagedApart, missing: noStaging},
	{name: "a first version that is staged makes a package of who staged it", run: stagedFirst, missing: noStaging},
	{name: "an approval does not overtake a creation", run: approvalOvertaken, missing: noStaging},
	{name: "an approval belongs to the package that was authorized", run: replacedUnder(protocol.ApproveStaged), missing: noStaging},
	{name: "an approval leaves the visibility of a package that is there", run: approvalKeepsVisibility, missing: noStaging},
	{name: "an approver does not take the place of a trusted publisher", run: trustedStage, missing: noStaging},
	{name: "facts have the evidence of the newest version", run: evidenceOfNewest, missing: func(reg Registry) string {
		if !reg.Evidence {
			return "Evidence"
		}
		return noStaging(reg)
	}},
	{name: "a tarball that is compared is the one that was asked for", run: comparedAsKept, missing: noTarballs},
	{name: "a tarball that is not there is said not to be", run: comparedAbsent, missing: noTarballs},
	{name: "a deprecation changes nothing else", needs: []protocol.Action{protocol.Deprecate}, run: deprecateAlone},
	{name: "an unpublish changes nothing else", needs: []protocol.Action{protocol.Unpublish}, run: unpublishAlone},
	{name: "a star changes nothing else", needs: []protocol.Action{protocol.Star}, run: starAlone},
	{name: "a change is made from the document that there is", run: revisionsMatter, missing: func(reg Registry) string {
		if reg.Documents == nil {
			return "Documents"
		}
		return ""
	}},
	{name: "what was published meanwhile is not taken away", needs: []protocol.Action{protocol.UnpublishAll}, run: removedMeanwhile},
	{name: "what was published meanwhile stays", needs: []protocol.Action{protocol.Deprecate}, run: publishedMeanwhile},
	{name: "who was added meanwhile stays", needs: []protocol.Action{protocol.Deprecate, protocol.WriteOwners}, run: ownerMeanwhile},
	{name: "who was removed writes no more", needs: []protocol.Action{protocol.WriteOwners}, run: ownerRemoved},
	{name: "private packages are hidden", run: hidden},
	{name: "private packages are hidden in lists of an organization", needs: []protocol.Action{protocol.ListOrgPackages}, run: hiddenInOrg, missing: func(reg Registry) string {
		switch {
		case reg.Orgs == nil:
			return "Orgs"
		case reg.Private.IsZero():
			return "Private"
		}
		return ""
	}},
	{name: "an organization exists without a user, too", run: existsForNobody, missing: func(reg Registry) string {
		switch {
		case reg.Orgs == nil:
			return "Orgs"
		case reg.Private.IsZero():
			return "Private"
		}
		return ""
	}},
	{name: "a list of organizations is true", run: membershipsAgree, missing: func(reg Registry) string {
		switch all, _ := reg.orgs(); {
		case all == nil:
			return "Orgs as host.Memberships"
		case reg.Private.IsZero():
			return "Private"
		}
		return ""
	}},
	{name: "the rule of an organization is changed when it is written", run: ruleIsWritten, missing: func(reg Registry) string {
		switch _, rules := reg.orgs(); {
		case rules == nil:
			return "Orgs as host.FactorRules"
		case reg.Private.IsZero():
			return "Private"
		}
		return ""
	}},
	{name: "the scope of a user's own name is theirs", run: scopesAreTheirs, missing: func(reg Registry) string {
		if reg.userScopes() == nil {
			return "Orgs as host.UserScopes"
		}
		return ""
	}},
	{name: "what is not served is refused", run: notServed},
}
