// Package policy is the policy of a company: npm's rules and three of its own, tested as
// its people read them.
package policy

import (
	"net/netip"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Policy returns the company's policy. The machines of its CI have addresses in ci, and
// its own packages the scope.
func Policy(scope string, ci netip.Prefix) *policy.Policy {
	return policy.NPM().With(freezeOnFridays(time.UTC), onlyCI(scope, ci), majorsAreStaged())
}

// publishes are what changes what others install.
var publishes = []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag}

// freezeOnFridays refuses what would have to be mended on a Saturday.
func freezeOnFridays(where *time.Location) policy.Rule {
	return policy.Rule{
		ID:       "freeze-on-fridays",
		Doc:      "Nothing changes on a Friday, as the calendar has it where the company is.",
		Sentence: "Nothing is published here on a Friday.",
		Remedy:   "Come back on Monday.",
		Actions:  publishes,
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Now.In(where).Weekday() == time.Friday {
				return policy.Forbid
			}
			return policy.Silent
		},
	}
}

// onlyCI refuses people in the company's scope. A trusted publisher's credential was
// minted for a workflow and is CI's wherever that runs. A token must bypass the second
// factor, since nobody is there to show one, and come from CI's addresses, whether or
// not it has a list of its own.
func onlyCI(scope string, ci netip.Prefix) policy.Rule {
	return policy.Rule{
		ID:       "only-ci",
		Doc:      "Packages of the company's scope are published by its CI alone.",
		Sentence: "Packages of this scope are published by CI.",
		Remedy:   "Merge your change and let the release workflow publish it.",
		Actions:  publishes,
		Judge: func(r *policy.Request) policy.Verdict {
			switch {
			case r.Operation.Package.Scope != scope, r.Kind() == policy.KindPublisher:
				return policy.Silent
			case r.Bypasses() && ci.Contains(r.Addr.Unmap()):
				return policy.Silent
			default:
				return policy.Forbid
			}
		},
	}
}

// majorsAreStaged refuses to one alone what takes two: whoever stages a major version
// needs another maintainer, who approves it.
func majorsAreStaged() policy.Rule {
	return policy.Rule{
		ID:       "majors-are-staged",
		Doc:      "A major version takes two maintainers.",
		Sentence: "A major version is not published by one alone.",
		Remedy:   "Run npm stage publish and have another maintainer approve it.",
		Actions:  []protocol.Action{protocol.Publish},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Change == nil { // asked again when the body was read
				return policy.Silent
			}
			if _, minor, _ := strings.Cut(r.Change.Version, "."); minor != "" && !strings.HasPrefix(minor, "0.0") {
				return policy.Silent
			}
			return policy.Forbid
		},
	}
}
