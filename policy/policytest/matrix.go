package policytest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// A Box is every combination of its words, which are words of a table's lines. A word that is not
// described in the package documentation makes the functions that take the box panic.
//
// Accounts are not combined with anonymous and with publishers, Packages only with actions on a package or a staged version, and Orgs only
// with actions on an organization: with grant-team those that have a package after a plus, with the
// others those that have none. An empty list of any of these, and of Proofs, means one hyphen.
type Box struct {
	Actions     []string // empty means all, some of them with words after slashes; if Orgs is empty, those on organizations are left out
	Credentials []string // required
	Accounts    []string
	Packages    []string
	Orgs        []string
	Proofs      []string
	Settings    []string // now=… and from=…; a hyphen and an empty list mean Noon and Here
}

// Boxes returns the boxes for NPM's rules: all actions with a live credential of each kind, each
// second-factor mode and each proof, on a package in each state and in an organization in each
// role; then with narrowed grants, with expired credentials and other addresses, with the
// states of an account, where only security keys count, and where only trusted publishers may publish.
func Boxes() []Box {
	return []Box{{
		Credentials: []string{
			"anonymous", "session",
			"token(rw:all)", "token(rw:all)+bypass", "token(rw:@acme)+bypass", "token(rw:@acme/widget)", "token(rw:@acme/widget)+bypass",
			"token(ro:all)", "token(ro:all)+bypass", "token(ro:all,rw:@acme/other)+bypass", "token(stage:all)+bypass",
			"token(rw:other)+bypass", "token(rw:org=acme)+bypass", "token()+bypass",
			"publisher(rw[publish+stage]:@acme/widget)", "foreign(rw:all)",
		},
		Accounts: []string{"off", "auth-only", "auth-and-writes"},
		Packages: inWidget(
			"absent", "absent:create", "public", "public:r", "public:rw", "public:rwa", "public:rwa:mfa", "public:rwa:none",
			"private", "private:r", "private:wa", "private:rwa", "private:rwa:mfa",
		),
		Proofs: []string{"-", "totp", "recovery", "web", "key"},
	}, {
		Actions: actionWords(protocol.Action.OfOrg),
		Credentials: []string{
			"anonymous", "session", "token(ro:org=acme)", "token(rw:org=acme)", "token(rw:org=acme)+bypass", "token(rw:all,rw:org=other)",
			"publisher(rw:@acme/widget)", "foreign(rw:all)",
		},
		Accounts: []string{"off", "auth-only"},
		Orgs: []string{
			"org=acme:absent", "org=acme:absent:own", "org=acme:none", "org=acme:member", "org=acme:admin", "org=acme:owner", "org=acme:none:own",
			"org=acme:absent+@acme/widget=public:rwa", "org=acme:member+@acme/widget=public:rwa",
			"org=acme:admin+@acme/widget=absent", "org=acme:admin+@acme/widget=private", "org=acme:admin+@acme/widget=public:rw",
			"org=acme:admin+@acme/widget=private:rwa", "org=acme:owner+@acme/widget=public:rwa:mfa",
		},
		Proofs: []string{"-", "totp", "recovery", "web", "key"},
	}, {
		Actions: actionWords(func(a protocol.Action) bool { return a.OfPackage() && a.Write() }),
		Credentials: []string{
			"token(rw[publish]:@acme)+bypass", "token(rw[publish+create]:@acme)", "token(rw[create]:all)+bypass",
			"token(rw[dist-tag+deprecate]:@acme/widget)+bypass", "token(rw[unpublish]:@acme,rw[dist-tag]:@acme/widget)+bypass",
			"token(rw[stage]:@acme)+bypass",
			"publisher(rw[stage]:@acme/widget)", "publisher(rw[publish+dist-tag+stage]:@acme/widget)", "publisher(rw[publish+stage]:@acme/other)",
			"publisher(rw[publish+stage]:@acme/widget)+package=p-2", "publisher(rw[publish+stage]:@acme/widget)+package=",
		},
		Accounts: []string{"auth-and-writes"},
		Packages: inWidget("absent:create", "public:rwa", "private"),
	}, {
		Actions: actionWords(protocol.Action.OfPackage),
		Credentials: []string{
			"publisher(rw[publish]:@acme/widget)+creates=@acme/widget+owner=u-alice", "publisher(rw:all)+creates=@acme/other+owner=u-alice",
			"publisher(rw[publish]:@acme/widget)+creates=@acme/widget", "publisher(rw[publish]:@acme/widget)+creates=@acme/widget+owner=u-alice+package=p-1",
			"session+creates=@acme/widget+owner=u-alice",
		},
		Accounts: []string{"auth-and-writes"},
		Packages: inWidget("absent", "absent:create", "absent:create:stage-only", "absent:create:publishers-only", "absent:create:requires-factor", "public:rwa", "private:rwa"),
	}, {
		Credentials: []string{
			"unknown", "session+expired", "token(rw:all)+bypass+expired", "token(rw:all)+bypass+cidr=198.51.100.0/24", "foreign(ro:all)+expires=none",
		},
		Accounts: []string{"auth-only"},
		Packages: inWidget("absent:create", "public:rw", "private"),
		Orgs:     []string{"org=acme:owner", "org=acme:owner+@acme/widget=public:rwa"},
	}, {
		Credentials: []string{"session", "token(rw:all,rw:org=acme)", "token(rw:all)+bypass"},
		Accounts:    []string{"unknown", "auth-only,disabled", "auth-only,other", "auth-only,cidr=198.51.100.0/24"},
		Packages:    inWidget("public:rw"),
		Orgs:        []string{"org=acme:owner", "org=acme:owner+@acme/widget=public:rwa"},
	}, {
		Credentials: []string{"session", "token(rw:@acme,rw:org=acme)", "token(rw:@acme,rw:org=acme)+bypass"},
		Accounts: []string{
			"off,service", "auth-only,factor-required", "auth-only,high-impact", "auth-only,recovered",
			"auth-only,high-impact,recovered", "auth-only,high-impact,recovered=2026-03-01T12:00:00Z", // to the second long enough ago
		},
		Packages: inWidget("public:rwa"),
		Orgs:     []string{"org=acme:owner", "org=acme:owner+@acme/widget=public:rwa"},
	}, {
		Actions:     actionWords(func(a protocol.Action) bool { return a.OfPackage() || a.OfOrg() }),
		Credentials: []string{"session", "token(rw:@acme,rw:org=acme)", "token(rw:@acme,rw:org=acme)+bypass"},
		Accounts:    []string{"off", "off,service", "auth-only"},
		Packages: inWidget(
			"absent:create:requires-factor", "public:r:requires-factor", "public:rwa:requires-factor", "private:requires-factor", "private:rwa:requires-factor",
		),
		Orgs: []string{
			"org=acme:none:requires-factor", "org=acme:owner:requires-factor",
			"org=acme:owner:requires-factor+@acme/widget=public:rwa", "org=acme:owner+@acme/widget=private:rwa:requires-factor",
			"org=acme:owner+@acme/widget=private:requires-factor",
		},
	}, {
		Credentials: []string{"session", "token(rw:@acme,rw:org=acme)", "token(rw:@acme,rw:org=acme)+bypass", "token(ro:@acme)", "publisher(rw:@acme/widget)"},
		Accounts: []string{
			"off", "off,service", "auth-only", "auth-only,keys", "auth-only,keys,keys-only", "auth-only,keys-only",
			"auth-and-writes", "auth-and-writes,keys", "auth-and-writes,keys,keys-only",
		},
		Packages: inWidget(
			"absent:keys-only", "absent:create:keys-only", "public:r:keys-only", "public:rwa", "public:rwa:keys-only", "public:rwa:mfa:keys-only",
			"public:rwa:none", "public:rwa:none:keys-only", "private:wa:keys-only",
		),
		Orgs: []string{
			"org=acme:owner", "org=acme:none:keys-only", "org=acme:member:keys-only", "org=acme:owner:keys-only",
			"org=acme:owner+@acme/widget=private:wa:keys-only", "org=acme:owner+@acme/widget=public:rwa:keys-only",
		},
		Proofs: []string{"-", "totp", "recovery", "web", "key"},
	}, {
		Actions: []string{"publish", "stage", "read-staged", "approve-staged", "reject-staged"},
		Credentials: []string{
			"session", "token(rw:@acme)", "token(rw:@acme)+bypass", "token(stage:@acme)", "token(stage:@acme/widget)", "token(rw[publish]:@acme)", "token(rw[stage]:@acme)", "token(rw[stage+create]:@acme)",
			"publisher(rw[stage]:@acme/widget)",
		},
		Accounts: []string{"off", "off,service", "auth-only", "auth-only,keys,keys-only", "auth-only,high-impact,recovered"},
		Packages: inWidget(
			"absent:create", "absent:create:stage-only", "public:r", "public:rw", "public:rw:mfa", "public:rw:none", "public:rw:stage-only", "public:rw:keys-only",
			"public:rw:other-approver:stager=u-alice", "public:rw:other-approver:stager=u-bob", "private:rw:approvals=2:stager=u-alice:approved-by=u-bob", "public:rw:requires-factor", "private",
			"public:rw:publishers-only", "public:rw:publishers-only:stager=u-alice",
		),
		Proofs: []string{"-", "totp", "recovery", "key"},
	}, {
		Actions:     actionWords(func(a protocol.Action) bool { return a.OfPackage() && a.Write() }),
		Credentials: []string{"session", "token(rw:@acme)", "token(rw:@acme)+bypass", "token(ro:@acme)", "publisher(rw[publish+stage]:@acme/widget)", "foreign(rw:all)"},
		Accounts:    []string{"off,service", "auth-only"},
		Packages: inWidget(
			"absent:publishers-only", "absent:create:publishers-only", "public:r:publishers-only", "public:rw:publishers-only", "public:rwa:publishers-only",
			"private:wa:publishers-only", "private:rwa:requires-factor:publishers-only",
		),
		Proofs: []string{"-", "totp"},
	}, {
		Actions:     []string{"read-packument", "publish"},
		Credentials: []string{"session"},
		Accounts:    []string{"auth-only"},
		Packages:    []string{"-"},
	}}
}

func inWidget(facts ...string) []string {
	for i := range facts {
		facts[i] = "@acme/widget=" + facts[i]
	}
	return facts
}

func (b Box) actions() []string {
	if len(b.Actions) > 0 {
		return b.Actions
	}
	return append([]string{"unknown"}, actionWords(func(a protocol.Action) bool { return !a.OfOrg() || len(b.Orgs) > 0 })...)
}

// actionWords returns the words of the actions of which it holds, each alone and with each of its
// extras.
func actionWords(holds func(protocol.Action) bool) (words []string) {
	for _, a := range actionsOf(holds) {
		words = append(words, a.String())
		for _, e := range extras {
			if slices.Contains(e.actions, a) {
				words = append(words, a.String()+"/"+e.word)
			}
		}
	}
	return words
}

// dims are the words of a box from the outermost to the innermost.
type dims [5][]string

func (b Box) dims(a protocol.Action) dims {
	d := dims{b.Credentials, b.Accounts, b.about(a), b.Proofs, b.Settings}
	if len(b.Credentials) == 0 {
		must(errors.New("no credentials"))
	}
	for i := 1; i < 4; i++ {
		if len(d[i]) == 0 {
			d[i] = []string{"-"}
		}
	}
	if len(d[4]) == 0 {
		d[4] = []string{""} // which is no column of a snapshot
	}
	return d
}

// about returns what the action is combined with.
func (b Box) about(a protocol.Action) []string {
	if ofPackage(a) {
		return b.Packages
	}
	return slices.DeleteFunc(slices.Clone(b.Orgs), func(word string) bool {
		return !a.OfOrg() || strings.Contains(word, "+") != (a == protocol.GrantTeam)
	})
}

// all yields the requests of the combinations, in the order of an odometer, for an
// action that readOperation has read already.
func (d dims) all(action policy.Request) iter.Seq[policy.Request] {
	return func(yield func(policy.Request) bool) {
		for _, credential := range d[0] {
			for _, account := range d[1] {
				if credential == "anonymous" || strings.HasPrefix(credential, "publisher(") {
					account = "-"
				}
				for _, settings := range d[4] {
					// What does not depend on the package is read once.
					words := append([]string{credential, account, action.Operation.Action.String(), "-", "-"}, strings.Fields(strings.TrimPrefix(settings, "-"))...)
					who, err := newReader().request(words)
					must(err)
					for _, pkg := range d[2] {
						r := action
						r.Credential, r.Account, r.Now, r.Addr = who.Credential, who.Account, who.Now, who.Addr
						must(readPackage(&r, pkg))
						for _, proof := range d[3] {
							r.Proof = policy.NoProof
							must(readProof(&r, proof))
							if !yield(r) {
								return
							}
						}
					}
				}
			}
		}
	}
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("policytest: box: %v", err))
	}
}

// action returns the request of an action's word.
func action(word string) policy.Request {
	var r policy.Request
	must(readOperation(&r, word))
	return r
}

// Requests yields every request of boxes, or of [Boxes] if there are none, to test a property of
// all decisions of a policy. Anonymous requests and those of publishers are yielded once for each account. The caller may
// change a request, but not what its pointers and slices refer to.
func Requests(boxes ...Box) iter.Seq[policy.Request] {
	if len(boxes) == 0 {
		boxes = Boxes()
	}
	return requests(boxes, []policy.Rule{{}})
}

// requests yields all requests of the boxes that one of the rules is about.
func requests(boxes []Box, rules []policy.Rule) iter.Seq[policy.Request] {
	return func(yield func(policy.Request) bool) {
		for _, b := range boxes {
			for _, word := range b.actions() {
				r := action(word)
				a := r.Operation.Action
				if !slices.ContainsFunc(rules, func(rule policy.Rule) bool { return len(rule.Actions) == 0 || slices.Contains(rule.Actions, a) }) {
					continue
				}
				for r := range b.dims(a).all(r) {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}
