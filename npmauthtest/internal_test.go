package npmauthtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
)

// oneCreator is a host in which only one of the two may take a name.
type oneCreator struct{ rig **rig }

func (p oneCreator) Facts(_ context.Context, _ policy.PackageName, user policy.UserID) (policy.Facts, error) {
	return policy.Facts{MayCreate: user == (*p.rig).Creators[0]}, nil
}

var _ npmauth.Packages = oneCreator{}

// A creator who is refused reaches no host, and the other must not wait for them.
func TestRaceWithoutASecondCreator(t *testing.T) {
	var x *rig
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	x = newRig(t, Registry{Handler: handler, Packages: oneCreator{&x}})
	status, reached := x.race(t.Context())
	assert.Equal(t, [2]int{200, 403}, status)
	assert.Equal(t, [2]bool{true, false}, reached)
}

// open returns a shop as a registry under test.
func open(t *testing.T, careless string, without ...policy.Action) Registry {
	s, users := newShop(careless), new(twoUsers)
	reg := Registry{
		Handler: s, Packages: s, Documents: s, Private: policy.PackageName{Scope: "acme", Name: "hidden"}, Without: without,
		Users: users, Creators: [2]policy.UserID{"u-1", "u-2"}, ChangePassword: users.change(careless),
	}
	s.names = func(id policy.UserID) string {
		u, err := reg.Users.User(t.Context(), id)
		require.NoError(t, err)
		return u.Name
	}
	return reg
}

func TestHostThatKeepsItsSide(t *testing.T) {
	Host(t, func(t *testing.T) Registry { return open(t, "") })
}

// A host that serves less says so, and Host believes it only after asking.
func TestHostThatServesLess(t *testing.T) {
	less := []policy.Action{policy.SetDistTag, policy.RemoveDistTag, policy.Deprecate, policy.Unpublish, policy.UnpublishAll, policy.WriteOwners, policy.Star, policy.Search, policy.ListPackages}
	Host(t, func(t *testing.T) Registry {
		reg := open(t, "", less...)
		s := reg.Handler.(*shop)
		reg.Documents, reg.ChangePassword = nil, nil
		reg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if op, _ := npmauth.OperationFrom(r.Context()); reg.serves(op.Action) {
				s.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(http.StatusNotFound)
		})
		reg.Remove = func(_ context.Context, pkg policy.PackageName) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.goods, pkg)
			return nil
		}
		return reg
	})
	failures := failuresOf(t, "what is not served is refused", func() Registry { return open(t, "", policy.Star) })
	assert.Contains(t, failures, "star is said not to be served")
}

// recorder is a tb that keeps a failure to itself.
type recorder struct {
	tb
	mu       sync.Mutex
	failures string // guarded by mu
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures += fmt.Sprintf(format, args...) + "\n"
}

func (r *recorder) FailNow() { runtime.Goexit() } // always after Errorf

// failuresOf runs the case of this name on what open returns, and returns what it
// complained of.
func failuresOf(t *testing.T, name string, open func() Registry) string {
	t.Helper()
	for _, c := range cases {
		if c.name != name {
			continue
		}
		reg := open()
		for _, a := range c.needs {
			require.True(t, reg.serves(a))
		}
		r := &recorder{tb: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.run(r, newRig(r, reg)) //nolint:testifylint // r ends the goroutine that it is called in
		}()
		<-done
		return r.failures
	}
	t.Fatalf("no case %q", name)
	return ""
}

// A host that waits for itself is told so, in one line, and holds up nobody for longer.
func TestHostThatHoldsOn(t *testing.T) {
	for careless, want := range map[string]string{
		"reads in a transaction":      "Packages.Facts waits for is held",
		"reads under a lock":          "Packages.Facts waits for is held",
		"reads one publish at a time": "other publishes wait for is held",
	} {
		t.Run(careless, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *shop
				failures := failuresOf(t, "nothing that facts need is held while a body is read", func() Registry {
					reg := open(t, careless)
					s = reg.Handler.(*shop)
					return reg
				})
				assert.Contains(t, failures, want)
				s.leave()
			})
		})
	}
}

// Every case rejects a host that is careless in what it is about, and no other
// carelessness goes unnoticed.
func TestCarelessHosts(t *testing.T) {
	rejects := map[string][]string{
		"ignores PackageID": {
			"two creators race for one name", "a creation is not overtaken", "a version belongs to the package that was judged",
			"a tag belongs to the package that was judged", "a tag is taken from the package that was judged", "a deprecation belongs to the package that was judged",
			"a version is taken from the package that was judged", "a package is taken away that was judged", "owners are of the package that was judged",
		},
		"stores the body": {
			"a deprecation changes nothing else", "an unpublish changes nothing else", "a star changes nothing else",
			"what was published meanwhile stays", "who was added meanwhile stays",
		},
		"reads no end":        {"a publish waits for the end of its body"},
		"believes addresses":  {"a publisher does not say where tarballs are"},
		"publishes over":      {"a version is published once"},
		"keeps tarballs":      {"an unpublish changes nothing else"},
		"takes others' stars": {"a star changes nothing else"},
		"remembers owners":    {"who was removed writes no more"},
		"lists all":           {"private packages are hidden"},
		"keeps sessions":      {"another password ends sessions"},
	}
	named := map[string]bool{
		"what is not served is refused":                        true, // see TestHostThatServesLess
		"nothing that facts need is held while a body is read": true, // see TestHostThatHoldsOn
	}
	for careless, names := range rejects {
		t.Run(careless, func(t *testing.T) {
			for _, name := range names {
				named[name] = true
				assert.NotEmpty(t, failuresOf(t, name, func() Registry { return open(t, careless) }), "%q lets a host pass that %s", name, careless)
			}
		})
	}
	for _, c := range cases {
		assert.True(t, named[c.name], "no host fails in %q", c.name)
	}
}
