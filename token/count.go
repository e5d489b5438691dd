package token

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// ends is the row that holds a user to Limits.Tokens. Lists in a transaction
// cannot: a token may appear behind them. It keeps when each token of the user
// ends, so that expired ones cease to count without anyone writing it.
type ends struct {
	User policy.UserID `json:"user"`
	Ends []int64       `json:"ends"` // microseconds since 1970
}

var counts = store.NewTable("token-count", 1, func(e *ends) string { return string(e.User) }).
	Expiring(func(e *ends) time.Time {
		if len(e.Ends) == 0 {
			return time.Time{}
		}
		return time.UnixMicro(slices.Max(e.Ends))
	})

// count makes room for a token that ends at expires, or returns [ErrTooMany].
func (m *Manager) count(ctx context.Context, tx *store.Tx, user policy.UserID, now, expires time.Time) error {
	_, err := counts.Upsert(ctx, tx, string(user), func(e *ends, _ bool) error {
		e.User = user
		e.Ends = slices.DeleteFunc(e.Ends, func(end int64) bool { return end <= now.UnixMicro() })
		if len(e.Ends) >= m.limits.Tokens {
			return ErrTooMany
		}
		e.Ends = append(e.Ends, expires.UnixMicro())
		return nil
	})
	return err
}

// uncount gives back the room of a token that ended at expires.
func uncount(ctx context.Context, tx *store.Tx, user policy.UserID, expires time.Time) error {
	e, err := counts.Get(ctx, tx, string(user))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	i := slices.Index(e.Ends, expires.UnixMicro())
	if i < 0 {
		return nil // expired, and no longer counted
	}
	if len(e.Ends) == 1 {
		return counts.Delete(ctx, tx, string(user))
	}
	_, err = counts.Update(ctx, tx, string(user), func(e *ends) error {
		e.Ends = slices.Delete(e.Ends, i, i+1)
		return nil
	})
	return err
}
