// Package policy is the policy of a company: npm's rules and five of its own.
package policy

import (
	"net/netip"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A Company is what its policy depends on.
type Company struct {
	Scope     string            // of its own packages, without @
	CI        netip.Prefix      // the addresses of its CI's machines
	Zone      *time.Location    // whose weekend it is
	Protected map[string]string // patterns of package names, as path.Match reads them, and the group that publishes each
}

// Policy returns npm's rules and the company's.
func (c Company) Policy() *policy.Policy {
	return policy.NPM().With(c.weekendFreeze(), c.onlyCI(), c.protectedNames(), majorsNeedTwo(), prereleasesAreNotLatest())
}

// publishes are the actions that change what others install next.
var publishes = []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.RemoveDistTag}

// Versions by their form. What follows a plus sign is only a build's.
var (
	major      = regexp.MustCompile(`^[1-9]\d*\.0\.0(\+|$)`)
	prerelease = regexp.MustCompile(`^[\d.]+-`)
)

func (c Company) weekendFreeze() policy.Rule {
	return policy.Rule{
		ID:       "weekend-freeze",
		Doc:      "Nothing is published from Friday at three until Monday, by the clock of the company's time zone.",
		Sentence: "Nothing is published here over the weekend.",
		Remedy:   "Come back on Monday.",
		Actions:  publishes,
		Judge: func(r *policy.Request) policy.Verdict {
			now, day := r.Now.In(c.Zone), r.Now.In(c.Zone).Weekday()
			return forbid(day == time.Saturday || day == time.Sunday || day == time.Friday && now.Hour() >= 15)
		},
	}
}

// onlyCI takes a trusted publisher for CI wherever it runs, and a token from CI's machines that bypasses the second factor.
func (c Company) onlyCI() policy.Rule {
	return policy.Rule{
		ID:       "only-ci",
		Doc:      "Packages of the company's scope are published by its CI alone.",
		Sentence: "Packages of this scope are published by CI.",
		Remedy:   "Merge your change and let the release workflow publish it.",
		Actions:  publishes,
		Judge: func(r *policy.Request) policy.Verdict {
			isCI := r.Kind() == policy.KindPublisher || r.Bypasses() && c.CI.Contains(r.Addr.Unmap())
			return forbid(r.Operation.Package.Scope == c.Scope && !isCI)
		},
	}
}

// protectedNames is about any scope, any case of the letters, and names that no package has yet.
func (c Company) protectedNames() policy.Rule {
	return policy.Rule{
		ID:       "protected-name",
		Doc:      "Packages whose names match a protected pattern are published by the pattern's group.",
		Sentence: "Packages of this name are published by a group that you are not in.",
		Remedy:   "Ask a member of that group or choose another name.",
		Actions:  publishes,
		Judge: func(r *policy.Request) policy.Verdict {
			for pattern, group := range c.Protected {
				matches, err := path.Match(pattern, strings.ToLower(r.Operation.Package.Name))
				if (matches || err != nil) && !r.Account.InGroup(group) {
					return policy.Forbid
				}
			}
			return policy.Silent
		},
	}
}

// majorsNeedTwo goes by a label that the host gives to packages with two maintainers.
func majorsNeedTwo() policy.Rule {
	return policy.Rule{
		ID:       "majors-need-two",
		Doc:      "A major version is published of packages that have two maintainers.",
		Sentence: "A package with one maintainer gets no major version.",
		Remedy:   "Find a second maintainer with npm owner add or publish a prerelease.",
		Actions:  []protocol.Action{protocol.Publish},
		Judge: func(r *policy.Request) policy.Verdict {
			// Change is nil until the body is read. Then the rule is asked again.
			return forbid(r.Change != nil && major.MatchString(r.Change.Version) && !r.Package.HasLabel("two-maintainers"))
		},
	}
}

func prereleasesAreNotLatest() policy.Rule {
	return policy.Rule{
		ID:       "prerelease-is-not-latest",
		Doc:      "The dist-tag latest names no prerelease: when it is published, later, and when the version that it named is unpublished.",
		Sentence: "A prerelease cannot be the version that is installed by default.",
		Remedy:   "Publish it with --tag next.",
		Actions:  []protocol.Action{protocol.Publish, protocol.SetDistTag, protocol.Unpublish},
		Judge: func(r *policy.Request) policy.Verdict {
			return forbid(r.Change != nil && prerelease.MatchString(r.Change.Tags["latest"]))
		},
	}
}

func forbid(when bool) policy.Verdict {
	if when {
		return policy.Forbid
	}
	return policy.Silent
}
