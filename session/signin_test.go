package session_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		in := jane("111111")
		in.Via, in.Client = "couch", session.Client{
			Addr:      netip.MustParseAddr("::ffff:192.0.2.7"),
			UserAgent: "npm/\x1b[2Jé" + strings.Repeat("x", 200),
		}
		time.Sleep(time.Nanosecond)
		secret, s, err := d.SignIn(t.Context(), in)
		require.NoError(t, err)

		digest, ok := credential.Parse(secret.Reveal())
		require.True(t, ok)
		assert.True(t, strings.HasPrefix(secret.Reveal(), "npms_"))
		assert.Equal(t, digest, s.Digest)
		assert.Equal(t, policy.UserID("u-jane"), s.User)
		assert.Equal(t, "jane", s.Name)
		assert.Equal(t, "couch", s.Via)
		assert.Equal(t, netip.MustParseAddr("192.0.2.7"), s.Addr)
		assert.LessOrEqual(t, len(s.UserAgent), 120)
		assert.True(t, strings.HasPrefix(s.UserAgent, "npm/?[2J?xxx"), "%q", s.UserAgent)
		assert.Equal(t, time.Now().UTC().Truncate(time.Microsecond), s.Created)
		assert.Equal(t, 2*time.Hour, s.Expires.Sub(s.Created))

		// What the store holds is the digest, and the factor was spent for it.
		all := dump(t, d.store)
		assert.NotContains(t, all, strings.TrimPrefix(secret.Reveal(), "npms_"))
		assert.NotContains(t, all, "correct horse")
		items, err := d.store.Get(t.Context(), "test-code/111111")
		require.NoError(t, err)
		assert.Equal(t, s.ID, string(items[0].Value))
		assert.Equal(t, []string{"login done"}, d.kinds())
		assert.Equal(t, s.ID, d.last(t).Credential)
	})
}

// EN-01, EN-03: nobody learns what was wrong, and the second factor is not asked
// for before the password was right.
func TestSignInRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		in      session.SignIn
		want    error
		factors int
		event   string
		reason  string
	}{
		"unknown user":       {session.SignIn{Name: "eve", Password: credential.NewSecret("x"), OTP: credential.NewSecret("111111")}, session.ErrDenied, 0, "login denied", "password"},
		"wrong password":     {session.SignIn{Name: "jane", Password: credential.NewSecret("x"), OTP: credential.NewSecret("111111")}, session.ErrDenied, 0, "login denied", "password"},
		"no password":        {session.SignIn{Name: "jane"}, session.ErrDenied, 0, "login denied", "password"},
		"nothing at all":     {session.SignIn{}, session.ErrDenied, 0, "login denied", "password"},
		"no factor":          {session.SignIn{Name: "jane", Password: credential.NewSecret("correct horse")}, session.ErrFactorRequired, 1, "login challenged", "factor"},
		"wrong factor":       {jane("222222"), session.ErrFactorRequired, 1, "login denied", "factor"},
		"users are down":     {session.SignIn{Name: "broken", Password: credential.NewSecret("x")}, nil, 0, "login failed", "error"},
		"user without an ID": {session.SignIn{Name: "nobody", Password: credential.NewSecret("x")}, nil, 0, "login failed", "error"},
		"ID is not UTF-8":    {session.SignIn{Name: "mangled", Password: credential.NewSecret("x")}, nil, 0, "login failed", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			secret, s, err := d.SignIn(t.Context(), tt.in)
			require.Error(t, err)
			if tt.want != nil {
				assert.ErrorIs(t, err, tt.want)
			} else {
				assert.NotErrorIs(t, err, session.ErrDenied)
				assert.NotErrorIs(t, err, session.ErrFactorRequired)
			}
			assert.True(t, secret.IsZero())
			assert.Zero(t, s)
			assert.Equal(t, tt.factors, d.factors)
			assert.Empty(t, keys(t, d.store, ""))
			assert.Equal(t, []string{tt.event}, d.kinds())
			assert.Equal(t, tt.reason, d.last(t).Reason())
			assert.NotContains(t, d.last(t).Detail, "name", "a password typed in the wrong place")

			// The same sentence for everybody who is refused before the factor.
			if errors.Is(err, session.ErrDenied) {
				assert.EqualError(t, err, "session: sign in: session: wrong user name or password")
			}
		})
	}
}

func TestSignInWithoutFactor(t *testing.T) {
	d := open(t)
	_, s, err := d.SignIn(t.Context(), session.SignIn{Name: "joe", Password: credential.NewSecret("correct horse")})
	require.NoError(t, err)
	assert.Equal(t, policy.UserID("u-joe"), s.User)
	assert.False(t, s.Addr.IsValid())
}

// One code opens one session, however many ask at once.
func TestSignInSpendsTheFactorOnce(t *testing.T) {
	d := open(t)
	var opened atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, _, err := d.SignIn(t.Context(), jane("111111"))
			if err == nil {
				opened.Add(1)
			} else {
				assert.ErrorIs(t, err, session.ErrFactorRequired)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, opened.Load())
	assert.Len(t, keys(t, d.store, "session/"), 1)
}

// A sign-in whose commit fails gives no secret and leaves the code unspent.
func TestSignInCommitFails(t *testing.T) {
	d := open(t)
	d.store.before = errors.New("disk full")
	secret, _, err := d.SignIn(t.Context(), jane("111111"))
	require.Error(t, err)
	assert.True(t, secret.IsZero())
	assert.Empty(t, keys(t, d.store, ""))
	assert.Equal(t, []string{"login failed"}, d.kinds())

	_, _, err = d.SignIn(t.Context(), jane("111111"))
	assert.NoError(t, err)

	// Where nobody knows what became of it, the secret is lost with the answer.
	d.store.after = store.ErrUnknown
	secret, _, err = d.SignIn(t.Context(), jane("122222"))
	assert.ErrorIs(t, err, store.ErrUnknown)
	assert.True(t, secret.IsZero())
}

// A session counts from before its owner was checked: whatever ends all sessions
// of the account during the check ends this one too.
func TestSignInCountsFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		d.slow = 3 * time.Second
		began := time.Now().UTC()
		_, s, err := d.SignIn(t.Context(), jane("111111"))
		require.NoError(t, err)
		assert.Equal(t, began, s.Created)
		assert.Equal(t, began.Add(2*time.Hour), s.Expires)
	})
}

func TestSignInCancelled(t *testing.T) {
	d := open(t, func(c *session.Config) {
		c.CheckPassword = func(ctx context.Context, _ string, _ credential.Secret) (session.User, error) {
			return session.User{}, ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := d.SignIn(ctx, jane("111111"))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, audit.Failed, d.last(t).Outcome)
}
