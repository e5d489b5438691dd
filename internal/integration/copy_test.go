package integration_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

// A store is moved from one engine to each of the others, in parts: the process dies after each
// commit. A session from before is dead there, and the second factor is good (ST-20, ST-05).
func TestStoreIsMoved(t *testing.T) {
	ctx := t.Context()
	source := engines[0].make(t)
	from, err := integration.OpenLibrary(source)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, from.Close()) })
	require.NoError(t, from.Ready(ctx))
	factor, err := from.Enrol(ctx, "alice")
	require.NoError(t, err)
	signIn := func(l *integration.Library) credential.Secret {
		secret, _, err := l.Sessions().SignIn(ctx, session.SignIn{
			Name: "alice", Password: credential.NewSecret(integration.Password), OTP: credential.NewSecret(factor.Recovery[0]), Via: "test",
		})
		require.NoError(t, err)
		factor.Recovery = factor.Recovery[1:]
		return secret
	}
	before := signIn(from)
	_, err = from.Sessions().Verify(ctx, before)
	require.NoError(t, err)
	for i := range 100 { // several commits' worth
		require.NoError(t, from.Subjects().Disable(ctx, audit.Actor{}, accountOf(i)))
	}
	rows := snapshot(t, from.Store)

	eachEngine(t, func(t *testing.T, at string) {
		node, err := integration.OpenLibrary(at)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, node.Close()) })
		runs := 0
		for {
			runs++
			dying, die := context.WithCancel(ctx)
			to := storetest.NewFaulty(node.Store, storetest.Fault{On: storetest.Commits, Nth: 2, After: true, Do: die, Err: context.Canceled})
			subjects, err := subject.New(subject.Config{Store: to})
			require.NoError(t, err)
			err = subjects.CopyFrom(dying, audit.Actor{}, from.Store, nil)
			die()
			if err == nil || errors.Is(err, store.ErrNotEmpty) {
				break // the last run died after the last commit, or had only one to make
			}
			require.ErrorIs(t, err, context.Canceled)
		}
		assert.Greater(t, runs, 2)

		require.NoError(t, node.Ready(ctx))
		moved := snapshot(t, node.Store)
		assert.NotEqual(t, rows[subject.EveryoneKey()], moved[subject.EveryoneKey()])
		moved[subject.EveryoneKey()] = rows[subject.EveryoneKey()]
		assert.Equal(t, rows, moved)
		_, err = node.Sessions().Verify(ctx, before)
		assert.ErrorIs(t, err, session.ErrNoSession)
		_, err = node.Sessions().Verify(ctx, signIn(node))
		assert.NoError(t, err)
		sub, err := node.Subjects().Get(ctx, accountOf(7))
		require.NoError(t, err)
		assert.True(t, sub.Disabled)
	})
}

func accountOf(i int) protocol.UserID { return protocol.UserID(fmt.Sprint("user-", i)) }

// snapshot returns what s has, without revisions.
func snapshot(t *testing.T, s store.Reader) map[string]string {
	t.Helper()
	all, after := map[string]string{}, ""
	for {
		items, err := s.List(t.Context(), "", after, store.MaxLimit)
		require.NoError(t, err)
		for _, it := range items {
			after = it.Key
			all[it.Key] = fmt.Sprintf("%q until %s", it.Value, it.Expires.Format(time.RFC3339Nano))
		}
		if len(items) < store.MaxLimit {
			return all
		}
	}
}
