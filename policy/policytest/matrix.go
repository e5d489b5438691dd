package policytest

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/npmauth/npmauth/policy"
)

// A Box is every combination of its words, which are those of a table's lines. One that
// is not a word of the grammar makes the functions that take the box panic.
//
// Accounts are not combined with anonymous, nor Packages with the actions that are
// about none. An empty list of them, and of Proofs, is one of a hyphen.
type Box struct {
	Actions     []string // empty: all, create-token also with /write and /bypass
	Credentials []string // required
	Accounts    []string
	Packages    []string
	Proofs      []string
	Settings    []string // now=… and from=…; empty: what a table begins with
}

// Boxes returns the matrix of decisions: all actions, first by live credentials of each
// kind, second-factor mode and proof, on a package in each state; then what ends
// them.
func Boxes() []Box {
	return []Box{{
		Credentials: []string{
			"anonymous", "session",
			"token(rw:all)", "token(rw:all)+bypass", "token(rw:@acme)+bypass", "token(rw:@acme/widget)", "token(rw:@acme/widget)+bypass",
			"token(ro:all)", "token(ro:all)+bypass", "token(ro:all,rw:@acme/other)+bypass", "token(stage:all)+bypass",
			"token(rw:other)+bypass", "token(rw:org=acme)+bypass", "token()+bypass",
			"publisher(rw:@acme/widget)", "foreign(rw:all)",
		},
		Accounts: []string{"off", "auth-only", "auth-and-writes"},
		Packages: inWidget(
			"absent", "absent:create", "public", "public:r", "public:rw", "public:rw:mfa",
			"private", "private:r", "private:w", "private:rw", "private:rw:mfa",
		),
		Proofs: []string{"-", "totp", "recovery", "web"},
	}, {
		Credentials: []string{
			"unknown", "session+expired", "token(rw:all)+bypass+expired", "token(rw:all)+bypass+cidr=198.51.100.0/24", "foreign(ro:all)+expires=none",
		},
		Accounts: []string{"auth-only"},
		Packages: inWidget("absent:create", "public:rw", "private"),
	}, {
		Credentials: []string{"session", "token(rw:all)+bypass"},
		Accounts:    []string{"unknown", "auth-only,disabled", "auth-only,older", "auth-only,other"},
		Packages:    inWidget("public:rw"),
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
	words := []string{"unknown"}
	for _, a := range policy.Actions() {
		words = append(words, a.String())
		if a == policy.CreateToken {
			words = append(words, "create-token/write", "create-token/bypass")
		}
	}
	return words
}

// dims are the words of a box from the outermost to the innermost.
type dims [5][]string

func (b Box) dims(ofPackage bool) dims {
	d := dims{b.Credentials, b.Accounts, b.Packages, b.Proofs, b.Settings}
	if len(b.Credentials) == 0 {
		must(errors.New("no credentials"))
	}
	if !ofPackage {
		d[2] = nil
	}
	for i := 1; i < 4; i++ {
		if len(d[i]) == 0 {
			d[i] = []string{"-"}
		}
	}
	if len(d[4]) == 0 {
		d[4] = []string{""}
	}
	return d
}

// all yields the requests of the combinations, in the order of an odometer, for an
// action that readOperation has read already.
func (d dims) all(action policy.Request) iter.Seq[policy.Request] {
	return func(yield func(policy.Request) bool) {
		for _, credential := range d[0] {
			for _, account := range d[1] {
				if credential == "anonymous" {
					account = "-"
				}
				for _, settings := range d[4] {
					// What does not depend on the package is read once.
					words := append([]string{credential, account, action.Operation.Action.String(), "-", "-"}, strings.Fields(settings)...)
					who, err := newReader().request(words)
					must(err)
					who.Operation, who.NewToken = action.Operation, action.NewToken
					for _, pkg := range d[2] {
						r := who
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

// action returns the request of an action's word, and whether it is about a package.
func action(word string) (policy.Request, bool) {
	var r policy.Request
	must(readOperation(&r, word))
	return r, r.Operation.Action.OfPackage()
}

// requests yields all requests of the boxes.
func requests(boxes []Box) iter.Seq[policy.Request] {
	return func(yield func(policy.Request) bool) {
		for _, b := range boxes {
			for _, word := range b.actions() {
				r, ofPackage := action(word)
				for r := range b.dims(ofPackage).all(r) {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}
