package policytest

import (
	"cmp"
	"errors"
	"strings"

	"github.com/npmauth/npmauth/protocol"
)

// Own lists the values that a rule of your own depends on and NPM's rules do not, so that [Boxes]
// does not vary them. Its box has every combination of them, each with a few of the credentials,
// accounts and packages of Boxes.
//
// The lists of one Own multiply. So write one Own for each rule, or for the few that depend on the
// same values: the boxes stay small, and a snapshot has one part for each rule. All values but
// Actions are percent-encoded as in a line of a table.
type Own struct {
	Actions  []string // those of the rules, such as publish. Required: the box has no others
	Versions []string // of publish and set-dist-tag; the box also has a body that was not read
	Tags     []string // of publish, set-dist-tag and remove-dist-tag
	Names    []string // of a token; the box also has a token without a name
	Groups   []string // of the account, one at a time; the box also has an account in none
	Labels   []string // of the package, one at a time; the box also has a package without labels
	Evidence []string // of the newest version, one at a time; the box also has a package without
	Packages []string // names of packages; empty: @acme/widget
	Times    []string // in the form of RFC 3339; the box also has Noon
	Addrs    []string // of the client; the box also has Here
}

// Box returns the combinations: anonymous requests, a session, a token that bypasses the second
// factor and a publisher, with and without a proof, on a package that the user administers and on
// one that the user may create; for actions on an organization, in one that the user owns. It
// panics if Actions is empty.
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
		for _, is := range besides(name+"=public:rwa", ":evidence=", o.Evidence) {
			b.Packages = append(b.Packages, besides(is, ":label=", o.Labels)...)
		}
		b.Packages = append(b.Packages, besides(name+"=absent:create", ":label=", o.Labels)...)
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
