package twofactor_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// keysOf returns the keys of a store with this prefix, which are readable in a sealed store.
func keysOf(t *testing.T, s store.Store, prefix string) (keys []string) {
	t.Helper()
	items, err := s.List(t.Context(), prefix, "", store.MaxLimit)
	require.NoError(t, err)
	for _, it := range items {
		keys = append(keys, it.Key)
	}
	return keys
}

// digestOf hashes parts without a secret.
func digestOf(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(p))), p...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// AU-06: one code for one use leaves another key in each store: the keys alone do not suffice to try
// codes.
func TestKeysDoNotTellACode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		_, err := k.Begin(t.Context(), alice, login, a.wrong(1)) // the server's key is there
		require.NoError(t, err)

		other := store.NewMemory() // with the same factors and another server's key
		items, err := k.store.List(t.Context(), "", "", store.MaxLimit)
		require.NoError(t, err)
		for _, it := range items {
			if !strings.HasPrefix(it.Key, "serverkey/") {
				_, err := other.Commit(t.Context(), store.Op{Key: it.Key, At: store.Absent, Action: store.Put, Value: it.Value, Expires: it.Expires})
				require.NoError(t, err)
			}
		}
		code := a.code()
		left := map[string]bool{}
		for _, s := range []store.Store{k.store, other} {
			nodes := []*twofactor.Manager{
				k.node(func(c *twofactor.Config) { c.Store = s }),
				k.node(func(c *twofactor.Config) { c.Store = s }),
			}
			for _, m := range nodes { // the second by the reuse that the first one left
				_, err := m.Prove(t.Context(), alice, publish(widget), code)
				require.NoError(t, err)
			}
			found := keysOf(t, s, "twofactor-grant")
			require.Len(t, found, 1)
			left[found[0]] = true
			public := digestOf(string(alice), session, code.Reveal())
			for _, key := range keysOf(t, s, "") {
				assert.NotContains(t, key, public)
			}
		}
		assert.Len(t, left, 2, "one key in both stores")
	})
}

// The digits of a page are not in the keys as a digest either.
func TestKeysDoNotTellTypedDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		c, err := k.Challenge(t.Context(), newChallenge(publish(widget)))
		require.NoError(t, err)
		typed, err := k.approve(c.PageID, alice, a.code())
		require.NoError(t, err)
		_, err = k.node().Prove(t.Context(), alice, publish(widget), typed)
		require.NoError(t, err)
		keys := keysOf(t, k.store, "twofactor")
		require.Greater(t, len(keys), 3)
		for _, key := range keys {
			assert.NotContains(t, key, credential.Sum(typed).String())
			assert.NotContains(t, key, digestOf(typed.Reveal()))
			assert.NotContains(t, key, digestOf(string(alice), session, typed.Reveal()))
		}
	})
}

// keyReads counts how often the server's key is read.
type keyReads struct {
	store.Store
	n int
}

func (s *keyReads) Get(ctx context.Context, keys ...string) ([]store.Item, error) {
	for _, k := range keys {
		if strings.HasPrefix(k, "serverkey/") {
			s.n++
		}
	}
	return s.Store.Get(ctx, keys...)
}

// The server's key costs a node one read, and none for values that prove nothing.
func TestServerKeyIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a := k.enrol(alice)
		time.Sleep(time.Minute)
		_, err := k.Prove(t.Context(), alice, publish(plain), a.code())
		require.NoError(t, err)
		reads := &keyReads{Store: k.store}
		m := k.node(func(c *twofactor.Config) { c.Store = reads })
		_, err = m.Prove(t.Context(), alice, publish(widget), secretOf("no code"))
		require.ErrorIs(t, err, twofactor.ErrWrong)
		assert.Zero(t, reads.n)
		for range 3 {
			time.Sleep(time.Minute)
			_, err = m.Prove(t.Context(), alice, publish(widget), a.code())
			require.NoError(t, err)
		}
		assert.Equal(t, 1, reads.n)
	})
}
