package token_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/storetest"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
)

func TestExpiring(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	const day = token.Day
	m := manager(t, store.NewMemory())
	for name, tt := range map[string]struct{ life, first time.Duration }{
		"ninety days":   {90 * day, 83 * day},
		"fifteen days":  {15 * day, 8 * day},
		"fourteen days": {14 * day, 7 * day},
		"a week":        {7 * day, 84 * time.Hour},
		"a day":         {day, 12 * time.Hour},
	} {
		c := &policy.Credential{Created: start, Expires: start.Add(tt.life)}
		assert.False(t, m.Expiring(c, start), name)
		assert.False(t, m.Expiring(c, start.Add(tt.first-1)), name)
		assert.True(t, m.Expiring(c, start.Add(tt.first)), name)
		assert.True(t, m.Expiring(c, c.Expires.Add(-1)), name)
		assert.False(t, m.Expiring(c, c.Expires), "%s: it is over", name)
	}
}

// Each token is warned of once, by one of several processes, in pages of many.
func TestWarn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, s := t.Context(), store.NewMemory()
		managers := []*token.Manager{manager(t, s), manager(t, s), manager(t, s)}
		want := map[string]token.Token{}
		for i := range 130 {
			days := 10
			if i%2 == 0 {
				days = 30
			}
			_, tok := create(t, managers[0], token.Spec{Days: days})
			if days == 10 {
				want[tok.ID] = tok
			}
		}
		_, revoked := create(t, managers[0], token.Spec{Days: 10})
		require.NoError(t, managers[0].End(ctx, operator, revoked.ID, ""))

		_, rotated := create(t, managers[0], token.Spec{Days: 30})
		_, fresh, err := rotate(managers[0], token.Rotation{ID: rotated.ID, Grace: token.MaxGrace})
		require.NoError(t, err, "the old one ends soon, and is meant to")
		require.NoError(t, managers[0].End(ctx, operator, fresh.ID, ""))

		_, revoked = create(t, managers[0], token.Spec{User: "bob", Days: 10})
		require.NoError(t, managers[0].RevokeAll(ctx, operator, "bob"))

		var mu sync.Mutex
		told := map[string][]token.Token{}
		warn := func() {
			var group sync.WaitGroup
			for _, m := range managers {
				group.Go(func() {
					assert.NoError(t, m.Warn(ctx, func(tok token.Token) {
						mu.Lock()
						defer mu.Unlock()
						told[tok.ID] = append(told[tok.ID], tok)
					}))
				})
			}
			group.Wait()
		}
		warn()
		assert.Empty(t, told, "none is near its end")
		time.Sleep(5 * token.Day)
		warn()
		warn()
		assert.Len(t, told, len(want))
		for id, tok := range want {
			assert.Equal(t, []token.Token{tok}, told[id])
		}
		time.Sleep(5 * token.Day)
		warn()
		assert.Len(t, told, len(want), "those are over, and the others have time")
		time.Sleep(13 * token.Day)
		warn()
		assert.Len(t, told, 130)

		// The mark of the warning is deleted with the token.
		for _, it := range dump(t, s) {
			assert.Equal(t, it.Key == subject.Key("bob"), it.Expires.IsZero(), it.Key)
		}
	})
}

func TestWarnGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, s := t.Context(), storetest.NewFaulty(store.NewMemory())
		m := manager(t, s)
		for range 3 {
			create(t, m, token.Spec{Days: 2})
		}
		time.Sleep(token.Day)
		told := 0
		count := func(token.Token) { told++ }
		s.Inject(storetest.Fault{On: storetest.Commits, Nth: 2, Err: context.DeadlineExceeded})
		require.ErrorIs(t, m.Warn(ctx, count), context.DeadlineExceeded)
		assert.Equal(t, 1, told)
		require.NoError(t, m.Warn(ctx, count))
		assert.Equal(t, 3, told)
	})
}
