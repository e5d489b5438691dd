// Package policy is the policy of a company: npm's rules and three of its own.
package policy

import (
	"net/netip"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// Policy returns the company's policy. ci are the IP addresses of its CI's machines, and scope
// is the scope of its own packages.
func Policy(scope string, ci netip.Prefix) *policy.Policy {
	return policy.NPM().With(freezeOnFridays(time.UTC), onlyCI(scope, ci), majorsAreStaged())
}

// publishes are the actions that change what others install.
var publishes = []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag}

// freezeOnFridays refuses publishes that would have to be repaired on a Saturday.
func freezeOnFridays(where *time.Location) policy.Rule {
	return policy.Rule{
		ID:       "freeze-on-fridays",
		Doc:      "Nothing is published on a Friday, by the calendar of the company's time zone.",
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

// onlyCI refuses people in the company's scope. A trusted publisher's credential belongs to a
// workflow and counts as CI's wherever that runs. A token must bypass the second factor, since
// CI cannot prove one, and come from CI's IP addresses, whether or not it has CIDR ranges of
// its own.
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

// majorsAreStaged refuses a major version from one person alone: it must be staged, and another
// maintainer must approve it.
func majorsAreStaged() policy.Rule {
	return policy.Rule{
		ID:       "majors-are-staged",
		Doc:      "A major version takes two maintainers.",
		Sentence: "A major version needs the approval of another maintainer.",
		Remedy:   "Run npm stage publish and have another maintainer approve it.",
		Actions:  []protocol.Action{protocol.Publish},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Change == nil { // decided once more when the body was read
				return policy.Silent
			}
			if _, minor, _ := strings.Cut(r.Change.Version, "."); minor != "" && !strings.HasPrefix(minor, "0.0") {
				return policy.Silent
			}
			return policy.Forbid
		},
	}
}
