package npmauth_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// listing makes the registry one that searches: what it does with the context of each
// request that it is handed is fn.
func (w *world) listing(fn func(ctx context.Context)) {
	w.handler = w.auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fn(r.Context()) }))
}

// readable searches as bearer and returns which packages may be shown.
func (w *world) readable(bearer string, names ...string) (shown []string, err error) {
	w.t.Helper()
	reached := false
	w.listing(func(ctx context.Context) {
		reached = true
		for _, name := range names {
			pkg, parseErr := protocol.ParsePackageName(name)
			require.NoError(w.t, parseErr)
			may, askErr := host.Readable(ctx, pkg)
			if askErr != nil {
				err = askErr
				assert.False(w.t, may)
			}
			if may {
				shown = append(shown, name)
			}
		}
	})
	a := w.do(call{method: "GET", path: "/-/v1/search?text=x", bearer: bearer})
	require.True(w.t, reached, "%d %s", a.Code, a.Body)
	return shown, err
}

// A list shows a credential what it could read, and no more than its user may.
func TestReadable(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	w.person("bob")
	w.host.add("open", false, "")
	w.host.add("@alice/one", true, alice)
	w.host.add("@alice/two", true, alice)
	w.host.add("@other/secret", true, "u-somebody")
	all := []string{"open", "@alice/one", "@alice/two", "@other/secret", "absent"}
	one := protocol.PackageName{Scope: "alice", Name: "one"}
	narrow := func(user string, g protocol.Grant) string {
		secret, _ := w.token(user, token.Spec{Grants: []protocol.Grant{g}})
		return secret
	}
	for name, tt := range map[string]struct {
		bearer string
		want   []string
	}{
		"anonymous":           {"", []string{"open"}},
		"a session":           {w.login("alice"), []string{"open", "@alice/one", "@alice/two"}},
		"a token for all":     {narrow("alice", grantAll(protocol.ReadOnly)[0]), []string{"open", "@alice/one", "@alice/two"}},
		"a token for one":     {narrow("alice", protocol.Grant{Target: protocol.OnePackage, Package: one, Permission: protocol.ReadWrite}), []string{"open", "@alice/one"}},
		"a token for a scope": {narrow("alice", protocol.Grant{Target: protocol.OneScope, Scope: "other", Permission: protocol.ReadOnly}), []string{"open"}},
		"another user's":      {narrow("bob", protocol.Grant{Target: protocol.OnePackage, Package: one, Permission: protocol.ReadOnly}), []string{"open"}},
		"another's session":   {w.login("bob"), []string{"open"}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time from what is remembered
				got, err := w.readable(tt.bearer, all...)
				require.NoError(t, err)
				assert.Equal(t, tt.want, got)
			}
		})
	}
	assert.Empty(t, w.events.all[len(w.events.all)-1].Reasons, "what a list leaves out is no event")
}

// The rights are those that the user has now, and the rules those of the policy in use.
func TestReadableFollowsRightsAndPolicy(t *testing.T) {
	frozen := policy.Rule{
		ID: "frozen", Doc: "Nothing is read.", Sentence: "Nothing is read.", Actions: []protocol.Action{protocol.ReadPackument},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Operation.Package.Name == "frozen" {
				return policy.NeedProof
			}
			return policy.Silent
		},
	}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Policy = policy.NPM().With(frozen) })
	alice := w.person("alice")
	w.host.add("frozen", false, "")
	w.host.add("@alice/one", true, alice)
	s := w.login("alice")
	got, err := w.readable(s, "frozen", "@alice/one")
	require.NoError(t, err)
	assert.Equal(t, []string{"@alice/one"}, got, "a second factor that is wanted is not shown in a list")

	w.host.add("@alice/one", true, "u-somebody")
	w.clock.Add(5 * time.Second) // HostFresh
	got, err = w.readable(s, "@alice/one")
	require.NoError(t, err)
	assert.Empty(t, got, "a right that was taken away")
}

// A list of what was read lately asks the host nothing.
func TestReadableIsCheap(t *testing.T) {
	w := newWorld(t)
	alice := w.person("alice")
	for _, name := range []string{"a", "b", "c"} {
		w.host.add(name, true, alice)
	}
	s := w.login("alice")
	for range 3 {
		got, err := w.readable(s, "a", "b", "c", "a")
		require.NoError(t, err)
		assert.Len(t, got, 4)
	}
	assert.Equal(t, 3, w.host.facts)
}

// Whatever goes wrong, nothing is shown.
func TestReadableFailsClosed(t *testing.T) {
	w := newWorld(t, func(cfg *npmauth.Config) {
		cfg.Public = func(r *http.Request) bool { return r.URL.Path == "/front" }
	})
	w.host.add("open", false, "")
	open := protocol.PackageName{Name: "open"}
	may, err := host.Readable(t.Context(), open)
	assert.ErrorContains(t, err, "guard")
	assert.False(t, may)

	asked := false
	w.listing(func(ctx context.Context) {
		asked = true
		may, err = host.Readable(ctx, open)
	})
	require.Equal(t, 200, w.do(call{method: "GET", path: "/front"}).Code)
	require.True(t, asked)
	assert.Error(t, err, "a route that is none of npm's")
	assert.False(t, may)

	w.host.fail = assert.AnError
	_, err = w.readable("", "open")
	assert.ErrorIs(t, err, assert.AnError)
	w.host.fail, w.host.boom = nil, true
	_, err = w.readable("", "open")
	assert.Error(t, err)
	w.host.boom = false
	got, err := w.readable("", "open")
	require.NoError(t, err)
	assert.Equal(t, []string{"open"}, got)
}
