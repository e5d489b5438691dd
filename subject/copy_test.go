package subject_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
)

// A copy ends every credential, also where no number of all accounts was ever drawn, and a
// bearer of the host's own. All else of an account is as it was.
func TestCopyFrom(t *testing.T) {
	for name, prepare := range map[string]func(context.Context, *store.Tx) error{
		"no number yet": func(context.Context, *store.Tx) error { return nil },
		"begun":         subject.Begin,
		"revoked":       func(ctx context.Context, tx *store.Tx) error { return subject.RevokeEveryone(ctx, tx, noon) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, from, to := t.Context(), store.NewMemory(), store.Seal(store.NewMemory(), store.Key{1})
			require.NoError(t, store.Transact(ctx, from, func(tx *store.Tx) error { return prepare(ctx, tx) }))
			old := newManager(t, from)
			require.NoError(t, old.Disable(ctx, operator, "u1"))
			require.NoError(t, old.SetCIDRs(ctx, operator, "u1", someRanges))
			require.NoError(t, old.RevokeAll(ctx, operator, "u2"))
			before := bearers(get(t, from, "u2"))
			require.Len(t, alive(get(t, from, "u2"), before), 2)

			var events []audit.Event
			recorder := audit.NewRecorder(audit.RecorderConfig{Sink: audit.Func(func(_ context.Context, e audit.Event) { events = append(events, e) })})
			m, err := subject.New(subject.Config{Store: to, Events: recorder, Now: func() time.Time { return noon.Add(time.Hour) }})
			require.NoError(t, err)
			require.NoError(t, m.CopyFrom(ctx, operator, from, nil))
			assert.True(t, slices.ContainsFunc(events, func(e audit.Event) bool { return e.Type == audit.AllRevoked && e.Outcome == audit.Done }))

			assert.Len(t, alive(get(t, from, "u2"), before), 2, "the source stays as it was")
			after := get(t, to, "u2")
			assert.Empty(t, alive(after, before))
			assert.False(t, after.AliveSince(noon.Add(time.Hour)))
			assert.Len(t, alive(after, bearers(after)), 2, "those that are created in it")
			assert.Equal(t, []string{"everyone"}, moved(get(t, from, "u2"), after))
			assert.True(t, get(t, to, "u1").Disabled)
			assert.Equal(t, someRanges, get(t, to, "u1").CIDRs)
		})
	}
}

// While the copy is not finished, wherever it stopped, there is no subject to go by.
func TestCopyFromInPart(t *testing.T) {
	ctx, from := t.Context(), store.NewMemory()
	require.NoError(t, newManager(t, from).RevokeAll(ctx, operator, "u1"))
	bs := bearers(get(t, from, "u1"))
	for n := 1; ; n++ {
		engine := store.NewMemory()
		faulty := storetest.NewFaulty(engine, storetest.Fault{On: storetest.Commits, Nth: n})
		err := newManager(t, faulty).CopyFrom(ctx, operator, from, nil)
		if !faulty.Struck() {
			require.NoError(t, err)
			require.Equal(t, 4, n, "the mark, the rows, the end")
			return
		}
		require.ErrorIs(t, err, storetest.ErrFault)
		if n > 1 {
			_, err = subject.Get(ctx, engine, "u1")
			require.ErrorIs(t, err, store.ErrUnfinished)
			items, err := engine.Get(ctx, subject.EveryoneKey())
			require.NoError(t, err)
			require.ErrorIs(t, subject.CheckEveryone(items[0]), store.ErrUnfinished)
			require.ErrorIs(t, newManager(t, engine).RevokeEveryone(ctx, operator), store.ErrUnfinished, "nor does this end it")
			require.ErrorIs(t, store.Transact(ctx, engine, func(tx *store.Tx) error { return subject.Begin(ctx, tx) }), store.ErrUnfinished)
		}
		require.NoError(t, newManager(t, engine).CopyFrom(ctx, operator, from, nil))
		require.Empty(t, alive(get(t, engine, "u1"), bs))
	}
}

func TestCheckEveryone(t *testing.T) {
	assert.NoError(t, subject.CheckEveryone(store.Item{Key: subject.EveryoneKey()}), "of a store that is new")
	assert.ErrorIs(t, subject.CheckEveryone(store.Item{Key: subject.EveryoneKey(), Revision: 1, Value: bytes.Repeat([]byte("x"), 9)}), store.ErrSchema)
	assert.True(t, subject.IsEveryone(subject.EveryoneKey()))
}

// The number is that of every subject, and no row that cannot be read has one.
func TestEveryoneNumber(t *testing.T) {
	ctx, s := t.Context(), store.NewMemory()
	row := func() store.Item {
		items, err := s.Get(ctx, subject.EveryoneKey())
		require.NoError(t, err)
		return items[0]
	}
	n, err := subject.EveryoneNumber(row())
	require.NoError(t, err, "of a store that is new")
	assert.Zero(t, n)

	seen := map[uint64]bool{0: true}
	for range 3 {
		require.NoError(t, newManager(t, s).RevokeEveryone(ctx, operator))
		n, err = subject.EveryoneNumber(row())
		require.NoError(t, err)
		assert.False(t, seen[n], "each revocation draws another")
		seen[n] = true
		assert.Equal(t, n, get(t, s, "u1").Numbers(policy.KindToken).Everyone)
	}
	require.NoError(t, newManager(t, s).Disable(ctx, operator, "u1"))
	same, err := subject.EveryoneNumber(row())
	require.NoError(t, err)
	assert.Equal(t, n, same, "what is done to one account is not done to all")

	_, err = subject.EveryoneNumber(store.Item{Key: subject.EveryoneKey(), Revision: 1, Value: []byte("x")})
	assert.ErrorIs(t, err, store.ErrSchema)
	_, err = subject.EveryoneNumber(store.Item{Key: subject.Key("u1")})
	assert.Error(t, err, "an absent row of something else is no zero")
	_, err = subject.EveryoneNumber(store.Item{})
	assert.Error(t, err)
}
