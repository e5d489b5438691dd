package token_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

// AU-47: one call is the whole check.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := store.NewMemory()
		m := manager(t, s)
		subjects, err := subject.New(subject.Config{Store: s})
		require.NoError(t, err)
		inside, outside := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.7")
		ranges := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		secret, tok := create(t, m, token.Spec{Name: "ci", CIDRs: ranges, Days: 1})
		got, err := m.Verify(ctx, secret, inside)
		require.NoError(t, err)
		assert.Equal(t, tok, got)
		for _, addr := range []netip.Addr{outside, {}} {
			_, err = m.Verify(ctx, secret, addr)
			assert.ErrorIs(t, err, token.ErrAddress, "the token's ranges")
		}

		free, _ := create(t, m, token.Spec{Name: "free", Days: 2})
		_, err = m.Verify(ctx, free, netip.Addr{})
		require.NoError(t, err)
		require.NoError(t, subjects.SetCIDRs(ctx, audit.Actor{}, "alice", ranges))
		_, err = m.Verify(ctx, free, outside)
		assert.ErrorIs(t, err, token.ErrAddress, "the account's ranges")
		_, err = m.Verify(ctx, free, inside)
		require.NoError(t, err)

		fails := func(secret credential.Secret, why string) {
			t.Helper()
			got, err := m.Verify(ctx, secret, inside)
			assert.Equal(t, token.ErrNotFound, err, why)
			assert.Zero(t, got, why)
		}
		text := secret.Reveal()
		for _, wrong := range []string{"", text[1:], text + "0", text[:len(text)-1], "Bearer " + text, credential.New(credential.PrefixToken).Reveal()} {
			fails(credential.NewSecret(wrong), wrong)
		}
		require.NoError(t, subjects.Disable(ctx, audit.Actor{}, "alice"))
		fails(secret, "disabled")
		require.NoError(t, subjects.Enable(ctx, audit.Actor{}, "alice"))
		_, err = m.Verify(ctx, secret, inside)
		require.NoError(t, err)
		time.Sleep(time.Until(tok.Expires) - time.Microsecond)
		_, err = m.Verify(ctx, secret, inside)
		require.NoError(t, err)
		time.Sleep(time.Microsecond)
		fails(secret, "expired")
		_, err = m.Verify(ctx, free, inside)
		require.NoError(t, err)
		require.NoError(t, subjects.RevokeTokens(ctx, audit.Actor{}, "alice"))
		fails(free, "revoked with all others")
		other, kept := create(t, m, token.Spec{Name: "other"})
		require.NoError(t, m.Revoke(ctx, audit.Actor{}, "alice", kept.ID, ""))
		fails(other, "revoked")
	})
}

// An outage is no answer about the token.
func TestVerifyFails(t *testing.T) {
	faulty := storetest.NewFaulty(store.NewMemory())
	m := manager(t, faulty)
	secret, _ := create(t, m, token.Spec{Name: "ci"})
	for n := range 2 {
		faulty.Inject(storetest.Fault{On: storetest.Gets, Nth: n + 1})
		_, err := m.Verify(t.Context(), secret, netip.Addr{})
		require.Error(t, err)
		assert.NotErrorIs(t, err, token.ErrNotFound)
	}
}

// A commit on behalf of a token happens only if the token is alive then.
func TestAuthenticate(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	m := manager(t, s)
	secret, tok := create(t, m, token.Spec{Name: "ci"})
	commit := func(meanwhile func()) error {
		return store.Transact(ctx, s, func(tx *store.Tx) error {
			cred, sub, err := m.Authenticate(ctx, tx, secret, netip.Addr{})
			if err != nil {
				assert.Nil(t, cred)
				assert.Zero(t, sub)
				return err
			}
			assert.Equal(t, tok.Credential(), cred)
			assert.Equal(t, tok.User, sub.ID)
			meanwhile()
			tx.Put("done/on-behalf", nil, time.Time{})
			return nil
		})
	}
	require.NoError(t, commit(func() {}))
	runs := 0
	err := commit(func() {
		runs++
		require.NoError(t, m.RevokeAll(ctx, audit.Actor{}, tok.User))
	})
	assert.ErrorIs(t, err, subject.ErrNoCredential)
	assert.Equal(t, 1, runs, "the second run finds that it was revoked")

	narrow, _ := create(t, m, token.Spec{Name: "narrow", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	_, _, err = m.Authenticate(ctx, s, narrow, netip.MustParseAddr("192.0.2.7"))
	require.NoError(t, err)
	cred, sub, err := m.Authenticate(ctx, s, narrow, netip.Addr{})
	assert.ErrorIs(t, err, subject.ErrAddress)
	assert.Nil(t, cred)
	assert.Zero(t, sub)
}
