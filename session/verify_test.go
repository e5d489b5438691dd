package session_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		secret, s := signIn(t, d, "111111")
		time.Sleep(time.Until(s.Expires) - time.Microsecond)
		got, err := d.Verify(t.Context(), secret)
		require.NoError(t, err)
		assert.Equal(t, s, got)
		time.Sleep(time.Microsecond)
		assert.False(t, alive(t, d, secret), "at expiry")
	})
}

// TK-02: every wrong secret gets the same error.
func TestVerifyRefuses(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	good, _ := signIn(t, d, "111111")
	text := good.Reveal()
	reads, _ := d.store.counts()
	for _, secret := range []string{"", text[1:], text + "0", text[:len(text)-1], "npms_", "Bearer " + text} {
		_, err := d.Verify(ctx, credential.NewSecret(secret))
		assert.EqualError(t, err, "session: no such session", secret)
	}
	after, _ := d.store.counts()
	assert.Equal(t, reads, after, "what has not the shape is not looked up")
	_, err := d.Verify(ctx, credential.New(credential.PrefixSession))
	assert.EqualError(t, err, "session: no such session")
	require.True(t, alive(t, d, good))

	d.gone["u-jane"] = true
	_, err = d.Verify(ctx, good)
	assert.EqualError(t, err, "session: no such session", "the host does not know her any more")
	d.gone["u-jane"] = false
	require.NoError(t, d.subjects.Disable(ctx, operator, "u-jane"))
	_, err = d.Verify(ctx, good)
	assert.EqualError(t, err, "session: no such session")
	require.NoError(t, d.subjects.Enable(ctx, operator, "u-jane"))
	require.True(t, alive(t, d, good))
	require.NoError(t, d.subjects.EndSessions(ctx, operator, "u-jane"))
	_, err = d.Verify(ctx, good)
	assert.EqualError(t, err, "session: no such session")
}

// An outage is an error of its own, and never a session.
func TestVerifyDuringOutage(t *testing.T) {
	faulty := storetest.NewFaulty(store.NewMemory())
	d := openOn(t, &counting{Store: faulty})
	secret, _ := signIn(t, d, "111111")
	for n := 1; n <= 2; n++ {
		faulty.Inject(storetest.Fault{On: storetest.Gets, Nth: n})
		s, err := d.Verify(t.Context(), secret)
		assert.ErrorIs(t, err, storetest.ErrFault)
		assert.NotErrorIs(t, err, session.ErrNoSession)
		assert.Zero(t, s)
		faulty.Mend()
	}
	d.broken = assert.AnError
	_, err := d.Verify(t.Context(), secret)
	assert.ErrorIs(t, err, assert.AnError)
	assert.NotErrorIs(t, err, session.ErrNoSession)
}

// A session that survives a revocation while it is verified is alive before, during and after.
func TestVerifyWhileItIsKept(t *testing.T) {
	faulty := storetest.NewFaulty(store.NewMemory())
	d := openOn(t, &counting{Store: faulty})
	secret, s := signIn(t, d, "111111")
	faulty.Inject(storetest.Fault{On: storetest.Gets, After: true, Do: func() {
		require.NoError(t, changePassword(t, d, operator, s.ID))
	}})
	assert.True(t, alive(t, d, secret))
	assert.True(t, faulty.Struck())

	faulty.Inject(storetest.Fault{On: storetest.Gets, After: true, Do: func() {
		require.NoError(t, d.End(t.Context(), operator, "u-jane", s.ID))
	}})
	assert.False(t, alive(t, d, secret), "ended in between")
}

// Authenticate is the whole check, and what a policy takes.
func TestAuthenticate(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	secret, s := signIn(t, d, "111111")
	cred, sub, err := d.Authenticate(ctx, d.store, secret, netip.Addr{})
	require.NoError(t, err)
	assert.Equal(t, &policy.Credential{ID: s.ID, Kind: policy.KindSession, User: s.User, Created: s.Created, Expires: s.Expires}, cred)
	assert.Equal(t, s.User, sub.ID)

	require.NoError(t, d.subjects.SetCIDRs(ctx, operator, "u-jane", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}))
	_, _, err = d.Authenticate(ctx, d.store, secret, netip.MustParseAddr("192.0.2.1"))
	require.NoError(t, err)
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("198.51.100.1")} {
		cred, sub, err = d.Authenticate(ctx, d.store, secret, addr)
		assert.ErrorIs(t, err, subject.ErrAddress)
		assert.Nil(t, cred)
		assert.Zero(t, sub)
	}
	cred, sub, err = d.Authenticate(ctx, d.store, credential.New(credential.PrefixSession), netip.Addr{})
	assert.ErrorIs(t, err, subject.ErrNoCredential)
	assert.Nil(t, cred)
	assert.Zero(t, sub)
}

// A commit on behalf of a session happens only if the session is alive then.
func TestAuthenticateInTx(t *testing.T) {
	ctx := t.Context()
	d := open(t)
	secret, s := signIn(t, d, "111111")
	commit := func(meanwhile func()) error {
		return store.Transact(ctx, d.store, func(tx *store.Tx) error {
			cred, _, err := d.Authenticate(ctx, tx, secret, netip.Addr{})
			if err != nil {
				return err
			}
			assert.Equal(t, s.ID, cred.ID)
			meanwhile()
			tx.Put("done/on-behalf", nil, time.Time{})
			return nil
		})
	}
	require.NoError(t, commit(func() {}))
	runs := 0
	err := commit(func() {
		runs++
		require.NoError(t, d.subjects.EndSessions(ctx, operator, "u-jane"))
	})
	assert.ErrorIs(t, err, subject.ErrNoCredential)
	assert.Equal(t, 1, runs, "the second run finds that it was revoked")
}
