package policytest

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/protocol"
)

// Own is what a rule of a host's own looks at and NPM's do not, so that [Boxes] does not vary it. Its
// box has every combination of its words, and of what Boxes varies only a little.
//
// The words of one Own multiply, the boxes of several add up. So give each rule, or the few that
// look at each other's subjects, one with what it looks at: the boxes stay small, and a
// snapshot of them reads rule by rule. All words but the Actions are percent-encoded where those of a line are.
type Own struct {
	Actions  []string // that the rules are about, such as publish. Required: no others are in the box
	Versions []string // of a publish and of a tag that is set; besides them a body that was not read
	Tags     []string // of the same, and of one that is removed
	Names    []string // of a token; besides them one that has none
	Groups   []string // of the account, each alone; besides them one in none
	Labels   []string // of the package, each alone; besides them one that has none
	Packages []string // names of packages; empty: @acme/widget
	Times    []string // in the form of RFC 3339; besides them Noon
	Addrs    []string // of the client; besides them Here
}

// Box returns the combinations: of the anonymous, a session, a token that bypasses the second factor and a
// publisher, with and without a proof, on a package that its user administers and one that the user may
// create, and with an action about one in an organization that the user owns. It panics if there are no Actions.
func (o Own) Box() Box {
	if len(o.Actions) == 0 {
		must(errors.New("an Own without Actions"))
	}
	b := Box{
		Credentials: append([]string{"anonymous", "session", "publisher(rw:all)"}, besides("token(rw:all,rw:org=acme)+bypass", "+name=", o.Names)...),
		Accounts:    besides("auth-only", ",group=", o.Groups),
		Proofs:      []string{"-", "totp"},
	}
	ofOrg := false
	for _, word := range o.Actions {
		b.Actions = append(b.Actions, o.changes(word)...)
		ofOrg = ofOrg || action(word).Operation.Action.OfOrg()
	}
	names := o.Packages
	if len(names) == 0 {
		names = []string{"@acme/widget"}
	}
	for _, name := range names {
		b.Packages = slices.Concat(b.Packages, besides(name+"=public:rwa", ":label=", o.Labels), besides(name+"=absent:create", ":label=", o.Labels))
	}
	if ofOrg {
		b.Orgs = append(besides("org=acme:owner", "+", b.Packages), "org=acme:absent")
	}
	for _, at := range besides("", "now=", o.Times) {
		for _, from := range besides("", "from=", o.Addrs) {
			b.Settings = append(b.Settings, cmp.Or(strings.TrimSpace(at+" "+from), "-"))
		}
	}
	if len(b.Settings) == 1 {
		b.Settings = nil // which is the same, and no column of a snapshot
	}
	return b
}

// changes returns the action's word with all that it may change.
func (o Own) changes(word string) []string {
	switch action(word).Operation.Action {
	case protocol.Publish:
		published := besides(word, "/version=", o.Versions)
		for _, p := range published[1:] {
			published = append(published, besides(p, "/tag=", o.Tags)[1:]...)
		}
		return published
	case protocol.SetDistTag:
		set := besides(word, "/tag=", o.Tags)
		for _, s := range set[1:] {
			set = append(set, besides(s, "/version=", o.Versions)[1:]...)
		}
		return set
	case protocol.RemoveDistTag:
		return besides(word, "/tag=", o.Tags)
	}
	return []string{word}
}

// besides returns the word, and with each of the values after it.
func besides(word, sign string, values []string) []string {
	words := []string{word}
	for _, v := range values {
		words = append(words, word+sign+v)
	}
	return words
}
