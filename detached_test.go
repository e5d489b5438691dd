package npmauth_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/store"
)

// leaving is a store whose client goes away while a commit is on its way.
type leaving struct {
	store.Store
	leave func() // nil: nobody does
}

func (l *leaving) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if l.leave != nil {
		l.leave()
		if err := ctx.Err(); err != nil {
			return 0, store.ErrUnknown
		}
	}
	return l.Store.Commit(ctx, ops...)
}

// A revocation is carried out although the client hangs up on it.
func TestClientGoesAway(t *testing.T) {
	var st *leaving
	w := newWorld(t, func(cfg *npmauth.Config) {
		st = &leaving{Store: cfg.Store}
		cfg.Store = st
	})
	w.person("alice")
	s := w.login("alice")
	require.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)

	ctx, cancel := context.WithCancel(t.Context())
	st.leave = cancel
	r := httptest.NewRequestWithContext(ctx, "DELETE", "/-/user/token/"+s, nil)
	r.Header.Set("Authorization", "Bearer "+s)
	w.handler.ServeHTTP(httptest.NewRecorder(), r)
	require.Error(t, ctx.Err(), "the client left during the commit")
	st.leave = nil
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
}
