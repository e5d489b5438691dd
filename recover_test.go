package npmauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
)

// A panicking store panics when it is told to.
type panicking struct {
	store.Store
	on bool
}

func (p *panicking) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	if p.on {
		panic("looking up " + keys[0])
	}
	return p.Store.Get(ctx, keys...)
}

// ST-17: a panic of the store or of the host is a refusal like every other error, and
// what it quotes reaches no client.
func TestPanicIsARefusal(t *testing.T) {
	st := &panicking{Store: store.NewMemory()}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store, cfg.Fresh, cfg.HostFresh = st, -1, -1 })
	alice := w.person("alice")
	w.enrol("alice", protocol.AuthOnly)
	s := w.login("alice")
	w.host.add("plain", false, alice)

	st.on = true
	for _, c := range []call{
		{method: "GET", path: "/-/whoami", bearer: s},
		{method: "GET", path: "/plain", bearer: s},
		{method: "DELETE", path: "/-/package/plain/dist-tags/old", bearer: s},
		{method: "POST", path: "/-/npm/v1/tokens", bearer: s, body: map[string]any{"name": "x", "password": password, "packages_all": true, "packages_and_scopes_permission": "read-only"}},
	} {
		a := w.do(c)
		assert.Equal(t, http.StatusServiceUnavailable, a.Code, "%s %s", c.method, c.path)
		assert.NotEmpty(t, a.text("error"))
		assert.NotContains(t, a.Body.String(), "looking up")
	}
	assert.Equal(t, http.StatusServiceUnavailable, w.publish("plain", "1.0.0", s, w.code("alice")).Code)
	st.on = false
	require.Equal(t, 200, whoami(w, s), "nothing is left locked")

	w.host.boom = true
	assert.Equal(t, http.StatusServiceUnavailable, w.do(call{method: "GET", path: "/plain", bearer: s}).Code)
	assert.Equal(t, http.StatusServiceUnavailable, w.publish("plain", "1.0.0", s, w.code("alice")).Code)
	w.host.boom = false
	assert.Empty(t, w.host.written())
}

// How a handler ends a request is between it and the server.
func TestPanicOfTheHandlerIsItsOwn(t *testing.T) {
	w := newWorld(t)
	for _, x := range []any{http.ErrAbortHandler, "boom"} {
		w.host.add("plain", false, "")
		h := w.auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(x) }))
		assert.PanicsWithValue(t, x, func() { w.send(h, call{method: "GET", path: "/plain"}) })
	}
}
