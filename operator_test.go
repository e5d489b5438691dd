package npmauth_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

// A reset that failed halfway is finished by the next one.
func TestResetTwoFactorFinishes(t *testing.T) {
	st := storetest.NewFaulty(store.NewMemory())
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = st })
	alice := w.person("alice")
	w.enrol("alice", policy.AuthOnly)
	s := w.login("alice")
	// The factor is gone by then.
	st.Inject(storetest.Fault{On: storetest.Commits, Nth: 2, Err: context.DeadlineExceeded})
	require.ErrorIs(t, w.auth.ResetTwoFactor(t.Context(), alice), context.DeadlineExceeded)
	require.Equal(t, 200, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
	require.ErrorIs(t, w.auth.ResetTwoFactor(t.Context(), alice), twofactor.ErrNoFactor)
	assert.Equal(t, 401, w.do(call{method: "GET", path: "/-/whoami", bearer: s}).Code)
}

// ST-20: what was revoked after a backup was made stays revoked when it is put back.
func TestRestored(t *testing.T) {
	ctx, m := t.Context(), store.NewMemory()
	w := newWorld(t, func(cfg *npmauth.Config) { cfg.Store = m })
	alice := w.person("alice")
	bearer, tok := w.token("alice", token.Spec{Grants: grantAll(policy.ReadOnly)})
	s := w.login("alice")
	backup, err := m.List(ctx, "", "", store.MaxLimit)
	require.NoError(t, err)
	require.NoError(t, w.auth.Tokens().Revoke(ctx, alice, tok.ID))
	require.Equal(t, 401, whoami(w, bearer))

	for _, it := range backup {
		_, err := w.store.Commit(ctx, store.Op{Key: it.Key, At: store.Any, Action: store.Put, Value: it.Value, Expires: it.Expires})
		require.NoError(t, err)
	}
	w.clock.Add(time.Hour)
	require.Equal(t, 200, whoami(w, bearer), "this is why")
	require.NoError(t, w.auth.Restored(ctx))
	assert.Equal(t, 401, whoami(w, bearer))
	assert.Equal(t, 401, whoami(w, s))
	assert.True(t, w.events.has(audit.AllRevoked))
	w.clock.Add(time.Second)
	assert.Equal(t, 200, whoami(w, w.login("alice")))
}
