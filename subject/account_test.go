package subject_test

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// All that restricts an account reaches the policy.
func TestAccount(t *testing.T) {
	ctx, st := t.Context(), store.NewMemory()
	m, err := subject.New(subject.Config{Store: st})
	require.NoError(t, err)
	ranges := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	require.NoError(t, m.Disable(ctx, audit.Actor{}, "u1"))
	require.NoError(t, m.SetCIDRs(ctx, audit.Actor{}, "u1", ranges))
	require.NoError(t, m.SetHighImpact(ctx, audit.Actor{}, "u1", true))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	require.NoError(t, store.Transact(ctx, st, func(tx *store.Tx) error {
		if err := subject.Recover(ctx, tx, "u1", now); err != nil {
			return err
		}
		if err := subject.SetTwoFactor(ctx, tx, "u1", protocol.AuthAndWrites); err != nil {
			return err
		}
		return subject.SetKeys(ctx, tx, "u1", true, true)
	}))
	sub, err := m.Get(ctx, "u1")
	require.NoError(t, err)
	got := sub.Account("jane")
	assert.Equal(t, policy.Account{
		ID: "u1", Name: "jane", Disabled: true, TwoFactor: protocol.AuthAndWrites, Keys: true, KeysOnly: true, CIDRs: ranges, HighImpact: true, Recovered: now,
	}, got)
	fields := reflect.ValueOf(got)
	for i := range fields.NumField() {
		switch name := fields.Type().Field(i).Name; name {
		case "Service", "FactorRequired", "Groups": // which only the host knows
		default:
			assert.False(t, fields.Field(i).IsZero(), "%s is recorded, and is not here", name)
		}
	}
}
