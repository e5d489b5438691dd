package npmauth_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// A reset that failed halfway is finished by the next one.
func TestResetTwoFactorFinishes(t *testing.T) {
	st := &flakyStore{Store: store.NewMemory()}
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	alice := w.person("alice")
	w.enrol("alice", policy.AuthOnly)
	s := w.login("alice")
	st.fail = 2 // the factor is gone by then
	require.ErrorIs(t, w.auth.ResetTwoFactor(t.Context(), alice), context.DeadlineExceeded)
	require.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
	require.ErrorIs(t, w.auth.ResetTwoFactor(t.Context(), alice), twofactor.ErrNoFactor)
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
}

// A flakyStore fails one commit.
type flakyStore struct {
	store.Store
	fail int // which commit from now; 0: none
}

func (f *flakyStore) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if f.fail > 0 {
		if f.fail--; f.fail == 0 {
			return 0, context.DeadlineExceeded
		}
	}
	return f.Store.Commit(ctx, ops...)
}
