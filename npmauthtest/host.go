// Package npmauthtest proves that a host keeps its side of the contract with
// npmauth. A registry calls [Host] from a test of its own:
//
//	func TestHost(t *testing.T) {
//		npmauthtest.Host(t, func(t *testing.T) npmauthtest.Registry {
//			db := newDatabase(t)
//			return npmauthtest.Registry{Handler: registry.New(db), Packages: packages{db}}
//		})
//	}
//
// npmauth decides about a request before the host writes, and another request
// may come in between. So each decision is handed over with what it rests on,
// [npmauth.Operation], and the host must make its write conditional on that. Host
// forces such races and fails a registry in which the wrong side wins.
package npmauthtest

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
)

// A Registry is a fresh and empty host under test.
type Registry struct {
	// Handler is the registry's, not wrapped by npmauth. Required.
	Handler http.Handler
	// Packages is its table of packages. Required.
	Packages npmauth.Packages
	// Users is its table of people; nil where it leaves them to npmauth.
	Users npmauth.Users
	// Creators are two of Users who may create Package. Needed where Users is set.
	Creators [2]policy.UserID
	// Package is a name that both creators may create, and that does not exist.
	// The zero name means npmauth-host-test.
	Package policy.PackageName
}

// Host tests the registry that open returns, a new one for each case.
func Host(t *testing.T, open func(t *testing.T) Registry) {
	t.Run("two creators race for one name", func(t *testing.T) { creatorsRace(t, newRig(t, open(t))) })
	t.Run("a creation is not overtaken", func(t *testing.T) { creatorOvertaken(t, newRig(t, open(t))) })
}

// A rig is a registry behind npmauth, with two people who may publish.
type rig struct {
	Registry
	auth   *npmauth.Auth
	tokens [2]string
	// between runs in each request after npmauth let it through.
	between func(who int)
	handler http.Handler
}

func newRig(t *testing.T, reg Registry) *rig {
	t.Helper()
	require.NotNil(t, reg.Handler, "Registry.Handler is required")
	require.NotNil(t, reg.Packages, "Registry.Packages is required")
	if reg.Package.IsZero() {
		reg.Package = policy.PackageName{Name: "npmauth-host-test"}
	}
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: "http://registry.example/", Store: store.NewMemory(), Packages: reg.Packages, Users: reg.Users,
	})
	require.NoError(t, err)
	x := &rig{Registry: reg, auth: auth, between: func(int) {}}
	if reg.Users == nil {
		for i, name := range []string{"npmauth-first", "npmauth-second"} {
			u, err := auth.People().Create(t.Context(), account.NewUser{Name: name, Password: credential.NewSecret("correct horse battery"), AnyPassword: true})
			require.NoError(t, err)
			x.Creators[i] = u.ID
		}
	}
	for i, id := range x.Creators {
		require.NotEmpty(t, id, "Registry.Creators is needed where Users is set")
		secret, _, err := auth.Tokens().Create(t.Context(), token.Spec{
			User: id, Name: "host test", Bypass: true,
			Grants: []policy.Grant{{Target: policy.AllPackages, Permission: policy.ReadWrite}},
		}, nil)
		require.NoError(t, err)
		x.tokens[i] = secret.Reveal()
	}
	x.handler = auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := npmauth.IdentityFrom(r.Context()); ok && r.Method == http.MethodPut {
			for i := range x.Creators {
				if x.Creators[i] == id.User {
					x.between(i)
				}
			}
		}
		reg.Handler.ServeHTTP(w, r)
	}))
	return x
}

// publish sends the publish of one of the two and returns its status.
func (x *rig) publish(ctx context.Context, who int, version string) int {
	r := httptest.NewRequestWithContext(ctx, http.MethodPut, "/"+url.PathEscape(x.Package.String()), bytes.NewReader(PublishBody(x.Package, version)))
	r.Header.Set("Authorization", "Bearer "+x.tokens[who])
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	x.handler.ServeHTTP(w, r)
	return w.Code
}

// settled checks that one creator owns the package and the other has no part in it.
func (x *rig) settled(t *testing.T, winner int) {
	t.Helper()
	won, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[winner])
	require.NoError(t, err)
	lost, err := x.Packages.Facts(t.Context(), x.Package, x.Creators[1-winner])
	require.NoError(t, err)
	assert.NotEmpty(t, won.ID, "the package exists")
	assert.NotZero(t, won.Rights&policy.RightWrite, "its creator may write it")
	assert.Zero(t, lost.Rights&(policy.RightWrite|policy.RightAdmin), "who lost the race has no part in it")
}

func success(status int) bool { return status >= 200 && status < 300 }

// race publishes for both at once: each that reaches the host waits there for the
// other, unless the other was refused before. It returns the statuses, and who
// reached the host.
func (x *rig) race(ctx context.Context) (status [2]int, reached [2]bool) {
	var settled [2]sync.Once
	var both, done sync.WaitGroup
	both.Add(2)
	x.between = func(who int) {
		reached[who] = true
		settled[who].Do(both.Done)
		both.Wait()
	}
	for who := range status {
		done.Go(func() {
			status[who] = x.publish(ctx, who, "1.0.0")
			settled[who].Do(both.Done)
		})
	}
	done.Wait()
	return status, reached
}

// creatorsRace lets both through while the package does not exist, and then both
// write at once.
func creatorsRace(t *testing.T, x *rig) {
	status, reached := x.race(t.Context())
	require.Equal(t, [2]bool{true, true}, reached, "Facts must let both creators create the package, the statuses are %v", status)
	require.NotEqual(t, success(status[0]), success(status[1]), "exactly one of two creators must succeed, the statuses are %v", status)
	winner := 0
	if success(status[1]) {
		winner = 1
	}
	x.settled(t, winner)
}

// creatorOvertaken lets the second through while the package does not exist, and
// the first create it before the second writes another version.
func creatorOvertaken(t *testing.T, x *rig) {
	x.between = func(who int) {
		if who == 1 {
			assert.True(t, success(x.publish(t.Context(), 0, "1.0.0")), "the first creator publishes undisturbed")
		}
	}
	status := x.publish(t.Context(), 1, "1.0.1")
	assert.False(t, success(status), "who was allowed to create must not write to what another created meanwhile, the status is %d", status)
	x.settled(t, 0)
}
