package hosttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
)

// oneCreator is a host in which only one of the two may take a name.
type oneCreator struct{ rig **rig }

func (p oneCreator) Facts(_ context.Context, _ protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	return policy.Facts{MayCreate: user == (*p.rig).Creators[0]}, nil
}

var _ host.Packages = oneCreator{}

// A creator who is refused reaches no host, and the other must not wait for them.
func TestRaceWithoutASecondCreator(t *testing.T) {
	var x *rig
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	x = new(rig)
	x.setUp(t, Registry{Handler: handler, Packages: oneCreator{&x}})
	status, reached := x.race(t.Context())
	assert.Equal(t, [2]int{200, 403}, status)
	assert.Equal(t, [2]bool{true, false}, reached)
}

// open returns a shop as a registry under test.
func open(t *testing.T, careless string, without ...protocol.Action) Registry {
	s, users := newShop(careless), &twoUsers{careless: careless}
	reg := Registry{
		Handler: s, Packages: s, Documents: s, Orgs: s, Private: protocol.PackageName{Scope: "acme", Name: "hidden"}, Without: without,
		Users: users, Creators: [2]protocol.UserID{"u-1", "u-2"}, ChangePassword: users.change(careless), Staging: true, Evidence: true,
	}
	s.names = func(id protocol.UserID) string {
		u, err := reg.Users.User(t.Context(), id)
		require.NoError(t, err)
		return u.Name
	}
	return reg
}

func TestHostThatKeepsItsSide(t *testing.T) {
	Run(t, func(t *testing.T) Registry { return open(t, "") })
}

// A host that serves less says so, and Host believes it only after asking.
func TestHostThatServesLess(t *testing.T) {
	less := []protocol.Action{protocol.SetDistTag, protocol.RemoveDistTag, protocol.Deprecate, protocol.Unpublish, protocol.UnpublishAll, protocol.WriteOwners, protocol.Star, protocol.Search, protocol.ListPackages, protocol.ListOrgPackages}
	Run(t, func(t *testing.T) Registry {
		reg := open(t, "", less...)
		s := reg.Handler.(*shop)
		reg.Documents, reg.ChangePassword = nil, nil
		reg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if op, _ := host.OperationFrom(r.Context()); reg.serves(op.Action) {
				s.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(http.StatusNotFound)
		})
		reg.Remove = func(_ context.Context, pkg protocol.PackageName) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.goods, pkg)
			return nil
		}
		return reg
	})
	failures := failuresOf(t, "what is not served is refused", func() Registry { return open(t, "", protocol.Star) })
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
		r := &recorder{tb: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.try(r, new(rig), func() Registry {
				reg := open()
				for _, a := range c.needs {
					assert.True(t, reg.serves(a))
				}
				return reg
			})
		}()
		<-done
		return r.failures
	}
	t.Fatalf("no case %q", name)
	return ""
}

// A host that waits for itself is told so, in one line, and holds up nobody for longer.
func TestHostThatHoldsOn(t *testing.T) {
	const body, tarball = "nothing that facts need is held while a body is read", "a tarball that is compared is the one that was asked for"
	for careless, want := range map[string][2]string{
		"reads in a transaction":      {body, "Packages.Facts waits for is held"},
		"reads under a lock":          {body, "Packages.Facts waits for is held"},
		"reads one publish at a time": {body, "other publishes wait for is held"},
		"opens one at a time":         {tarball, "StagedTarball of a version waits for another reader of the same tarball"},
	} {
		t.Run(careless, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *shop
				failures := failuresOf(t, want[0], func() Registry {
					reg := open(t, careless)
					s = reg.Handler.(*shop)
					return reg
				})
				assert.Contains(t, failures, want[1])
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
			"two creators race for one name", "a creation is not overtaken", "a version belongs to the package that was authorized",
			"a tag belongs to the package that was authorized", "a tag is taken from the package that was authorized", "a deprecation belongs to the package that was authorized",
			"a version is taken from the package that was authorized", "a package is taken away that was authorized", "owners are of the package that was authorized",
			"an approval does not overtake a creation", "an approval belongs to the package that was authorized",
		},
		"stores the body": {
			"a deprecation changes nothing else", "an unpublish changes nothing else", "a star changes nothing else",
			"what was published meanwhile stays", "who was added meanwhile stays",
		},
		"reads no end":                       {"a publish waits for the end of its body"},
		"believes addresses":                 {"a publisher does not say where tarballs are", "what is approved is what was staged"},
		"publishes over":                     {"a version is published once", "a staged version is published once", "a published version is not staged over"},
		"applies access":                     {"a publish leaves the visibility of a package that is there", "an approval leaves the visibility of a package that is there"},
		"keeps tarballs":                     {"an unpublish changes nothing else"},
		"takes others' stars":                {"a star changes nothing else"},
		"remembers owners":                   {"who was removed writes no more"},
		"lets nobody create":                 {"the creators may create"},
		"takes no stars":                     {"what is not served is named"},
		"writes over passwords":              {"a password is written onto the one that was checked"},
		"writes at once":                     {"a password is written onto the one that was checked", "a profile is changed when it is written"},
		"believes addresses of people":       {"a profile is changed when it is written"},
		"forgets addresses":                  {"a profile is changed when it is written"},
		"hides revisions":                    {"a change is made from the document that there is"},
		"removes any revision":               {"what was published meanwhile is not taken away"},
		"lists all":                          {"private packages are hidden"},
		"lists what users may read":          {"private packages are hidden", "private packages are hidden in lists of an organization"},
		"hides organizations":                {"an organization exists without a user, too"},
		"lists organizations of others":      {"a list of organizations is true"},
		"lets everybody into a user's scope": {"the scope of a user's own name is theirs"},
		"gives all one scope":                {"the scope of a user's own name is theirs"},
		"gives a scope to nobody":            {"the scope of a user's own name is theirs"},
		"sets a rule at once":                {"the rule of an organization is changed when it is written"},
		"sets a rule of any":                 {"the rule of an organization is changed when it is written"},
		"forgets the rule of packages":       {"the rule of an organization is changed when it is written"},
		"wants users":                        {"a trusted publisher publishes and owns nothing", "a pending trusted publisher creates the package of its user"},
		"tells nobody":                       {"a pending trusted publisher creates the package of its user", "npmauth is told of each new package"},
		"tells of people":                    {"a pending trusted publisher creates the package of its user"},
		"tells of publishers":                {"npmauth is told of each new package"},
		"creates for the second":             {"a pending trusted publisher creates the package of its user"},
		"thanks who publishes":               {"a trusted publisher publishes and owns nothing"},
		"names users":                        {"a trusted publisher publishes and owns nothing"},
		"names owners":                       {"a trusted publisher publishes and owns nothing"},
		"publishes what is staged":           {"a staged version is not published"},
		"tags what is staged":                {"a staged version is not published"},
		"serves what is staged":              {"a staged version is not published", "a tarball that is not there is said not to be"},
		"compares any version":               {"a tarball that is compared is the one that was asked for"},
		"compares with the newest":           {"a tarball that is compared is the one that was asked for"},
		"cuts tarballs":                      {"a tarball that is compared is the one that was asked for"},
		"breaks tarballs off":                {"a tarball that is compared is the one that was asked for"},
		"has one reader of each":             {"a tarball that is compared is the one that was asked for"},
		"panics in tarballs":                 {"a tarball that is compared is the one that was asked for"},
		"compares with any package":          {"a tarball that is not there is said not to be"},
		"calls absence a failure":            {"a tarball that is not there is said not to be"},
		"calls absence nothing":              {"a tarball that is not there is said not to be"},
		"makes room for what is staged":      {"a staged version is not published"},
		"packs anew":                         {"a staged tarball is the one that was sent"},
		"publishes other bytes":              {"what is approved is what was staged"},
		"tags the latest":                    {"what is approved is what was staged"},
		"believes queries":                   {"who approves a version does not say which"},
		"believes bodies":                    {"who approves a version does not say which"},
		"keeps no evidence":                  {"facts have the evidence of the newest version"},
		"goes by numbers":                    {"facts have the evidence of the newest version"},
		"keeps what is approved":             {"a staged version is published once", "a tarball that is not there is said not to be"},
		"approves once more":                 {"a staged version is published once"},
		"keeps what is rejected":             {"a rejected version is forgotten", "a tarball that is not there is said not to be"},
		"keeps one of each package":          {"staged versions are apart"},
		"publishes all that is staged":       {"staged versions are apart"},
		"gives it to who approves":           {"a first version that is staged makes a package of who staged it"},
		"names who approves":                 {"a first version that is staged makes a package of who staged it", "an approver does not take the place of a trusted publisher"},
		"names who staged as the approver":   {"a first version that is staged makes a package of who staged it", "an approver does not take the place of a trusted publisher"},
		"opens what is staged":               {"a first version that is staged makes a package of who staged it"},
		"forgets the evidence":               {"an approver does not take the place of a trusted publisher"},
		"thanks who approves":                {"an approver does not take the place of a trusted publisher"},
		"keeps sessions":                     {"another password ends sessions"},
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

// A panic of the registry fails the case that it comes in, says where it was, and leaves
// the others to run.
func TestHostThatPanics(t *testing.T) {
	for careless, want := range map[string]string{
		"panics":          "Handler, at PUT /npmauth-host-test, panicked: boom",
		"panics in Facts": "Packages.Facts panicked: boom",
	} {
		for _, name := range []string{"two creators race for one name", "a creation is not overtaken", "a publish waits for the end of its body", "private packages are hidden"} {
			failures := failuresOf(t, name, func() Registry {
				reg := open(t, careless)
				reg.Private = protocol.PackageName{}
				return reg
			})
			assert.Contains(t, failures, want)
			assert.Contains(t, failures, "shop_test.go:", "the stack")
		}
	}
	reg := open(t, "", protocol.UnpublishAll)
	failures := failuresOf(t, "a version belongs to the package that was authorized", func() Registry {
		reg.Remove = func(context.Context, protocol.PackageName) error { panic("boom") }
		return reg
	})
	assert.Contains(t, failures, "Remove or ChangePassword panicked: boom")
	failures = failuresOf(t, "a version is published once", func() Registry { panic("boom") })
	assert.Contains(t, failures, "panicked: boom")

	// What net/http takes for the end of a request is no panic, and no success.
	failures = failuresOf(t, "a version is published once", func() Registry { return open(t, "aborts") })
	assert.Contains(t, failures, "was answered 502")
	assert.NotContains(t, failures, "panicked")
}

// A registry may be served below a path, and say where its tarballs are.
func TestHostBelowAPath(t *testing.T) {
	below := func(t *testing.T) Registry {
		reg := open(t, "")
		reg.BaseURL = "https://registry.example:8443/npm/"
		s := reg.Handler.(*shop)
		s.base = reg.BaseURL
		reg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "registry.example:8443", r.Host)
			assert.NotNil(t, r.TLS)
			assert.True(t, strings.HasPrefix(r.URL.Path, "/npm/"), r.URL.Path)
			assert.Equal(t, r.URL.RequestURI(), r.RequestURI)
			s.ServeHTTP(w, r)
		})
		return reg
	}
	Run(t, below)
	failures := failuresOf(t, "a version is published once", func() Registry {
		reg := open(t, "") // which says that its tarballs are elsewhere
		reg.BaseURL = "https://registry.example:8443/npm/"
		return reg
	})
	assert.Contains(t, failures, "dist.tarball http://registry.example/npmauth-host-test/-/npmauth-host-test-1.0.0.tgz is not below Registry.BaseURL https://registry.example:8443/npm/")
	failures = failuresOf(t, "a version is published once", func() Registry {
		reg := open(t, "")
		reg.BaseURL = "registry.example"
		return reg
	})
	assert.Contains(t, failures, "Config.BaseURL")
}

// What a Registry lacks is said in a line that can be put there.
func TestWhatIsMissing(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		open     func() Registry
		line     string
	}{
		{"Handler", "the creators may create", func() Registry { return Registry{} }, "Handler: registry,"},
		{"Packages", "the creators may create", func() Registry { return Registry{Handler: newShop("")} }, "Packages: packages,"},
		{"Creators", "the creators may create", func() Registry {
			reg := open(t, "")
			reg.Creators = [2]protocol.UserID{}
			return reg
		}, `Creators: [2]protocol.UserID{"…", "…"},`},
		{"Users", "the creators may create", func() Registry {
			reg := open(t, "")
			reg.Packages, reg.Users = knows{reg.Packages}, nil
			return reg
		}, `Users: users, Creators: [2]protocol.UserID{"…", "…"},`},
		{"Package", "the creators may create", func() Registry { return open(t, "lets nobody create") }, `Package: protocol.PackageName{Scope: "…", Name: "npmauth-host-test"},`},
		{"Private", "the creators may create", func() Registry {
			reg := open(t, "")
			reg.Packages = scopeless{reg.Packages}
			return reg
		}, `Private: protocol.PackageName{Scope: "…", Name: "npmauth-host-test"},`},
		{"no Private", "private packages are hidden", func() Registry {
			reg := open(t, "all is private")
			reg.Private = protocol.PackageName{}
			return reg
		}, `Private: protocol.PackageName{Scope: "…", Name: "npmauth-host-test"},`},
		{"Without", "what is not served is named", func() Registry { return open(t, "takes no stars") }, "Without: []protocol.Action{protocol.Star},"},
		{"more of Without", "what is not served is named", func() Registry { return open(t, "takes no stars", protocol.ListPackages, protocol.ReadTarball) },
			"Without: []protocol.Action{protocol.ReadTarball, protocol.Star, protocol.ListPackages},"},
		{"UnpublishAll and Remove", "what is not served is named", func() Registry { return open(t, "unpublishes nothing") },
			"Without: []protocol.Action{protocol.UnpublishAll}, Remove: func(ctx context.Context, pkg protocol.PackageName) error { return remove(ctx, pkg) },"},
		{"Remove", "a version belongs to the package that was authorized", func() Registry { return open(t, "", protocol.UnpublishAll) },
			"Remove: func(ctx context.Context, pkg protocol.PackageName) error { return remove(ctx, pkg) },"},
		{"Documents", "what is not served is named", func() Registry {
			reg := open(t, "")
			reg.Documents = nil
			return reg
		}, "Documents: documents,"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := strings.Split(failuresOf(t, tt.in, tt.open), "\n")
			for i := range lines {
				lines[i] = strings.TrimSpace(lines[i])
			}
			assert.Contains(t, lines, tt.line, "a line of its own")
		})
	}
}

// knows is a host that lets those create whom it knows.
type knows struct{ host.Packages }

func (p knows) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	if !strings.HasPrefix(string(user), "u-") {
		return policy.Facts{}, nil
	}
	return p.Packages.Facts(ctx, pkg, user)
}

// scopeless is a host in which nobody creates a package of a scope.
type scopeless struct{ host.Packages }

func (p scopeless) Facts(ctx context.Context, pkg protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	if pkg.Scope != "" {
		return policy.Facts{}, nil
	}
	return p.Packages.Facts(ctx, pkg, user)
}

// What is not served and not said so is complained of once, and is in no other case.
func TestWhatIsNotServedFailsOnce(t *testing.T) {
	var ran, failed []string
	tryAll(open(t, "takes no stars"), t.Logf, func(name string, fn func(tb, func() Registry)) bool {
		ran = append(ran, name)
		r, done := &recorder{tb: t}, make(chan struct{})
		go func() {
			defer close(done)
			fn(r, func() Registry { return open(t, "takes no stars") })
		}()
		<-done
		if r.failures != "" {
			failed = append(failed, name)
		}
		return r.failures == ""
	})
	assert.Equal(t, []string{"what is not served is named"}, failed)
	assert.NotContains(t, ran, "a star changes nothing else")
	assert.Len(t, ran, len(cases)-1)

	ran = nil
	tryAll(open(t, "lets nobody create"), t.Logf, func(name string, _ func(tb, func() Registry)) bool {
		ran = append(ran, name)
		return false
	})
	assert.Equal(t, []string{"the creators may create"}, ran, "no other case would pass")
}
