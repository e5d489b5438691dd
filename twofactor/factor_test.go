package twofactor_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// A status is read as the reader has it: a commit on its way, or the store for nil.
func TestStatusOfAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		ctx := t.Context()
		s, err := k.Status(ctx, nil, alice)
		require.NoError(t, err)
		assert.Zero(t, s)
		k.enrol(alice)
		enrolled := twofactor.Status{Enabled: true, RecoveryLeft: 5}
		s, err = k.Status(ctx, nil, alice)
		require.NoError(t, err)
		assert.Equal(t, enrolled, s)
		require.NoError(t, store.Transact(ctx, k.store, func(tx *store.Tx) error {
			if err := k.Disable(ctx, tx, alice); err != nil {
				return err
			}
			for r, want := range map[store.Reader]twofactor.Status{tx: {}, nil: enrolled} {
				s, err := k.Status(ctx, r, alice)
				require.NoError(t, err)
				assert.Equal(t, want, s)
			}
			return nil
		}))
	})
}
