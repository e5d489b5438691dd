package token

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// count is the row that enforces Limits.Tokens for a user, and says how many tokens there are
// without reading them. A list in a transaction cannot: a token may be created behind its
// cursor. The row keeps when each token of the user ends, so that expired ones cease to count
// without a write, and the revocation numbers that they were created under: under others, none
// is alive.
type count struct {
	User    protocol.UserID `json:"user"`
	Numbers subject.Numbers `json:"numbers,omitzero"`
	Ends    []int64         `json:"ends"` // microseconds since 1970
}

// Counts of schema 1 are of tokens that are dead.
var counts = store.NewTable("token-count", 2, func(c *count) string { return string(c.User) }).Since(2).
	Expiring(func(c *count) time.Time {
		if len(c.Ends) == 0 {
			return time.Time{}
		}
		return timeOf(slices.Max(c.Ends))
	})

// live removes what no longer counts.
func (c *count) live(n subject.Numbers, now time.Time) {
	if c.Numbers != n {
		c.Numbers, c.Ends = n, nil
	}
	c.Ends = slices.DeleteFunc(c.Ends, func(end int64) bool { return end <= now.UnixMicro() })
}

// total returns how many live tokens the count in it has.
func total(it store.Item, n subject.Numbers, now time.Time) (int, error) {
	c, err := counts.Decode(it)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	c.live(n, now)
	return len(c.Ends), nil
}

// recount removes the tokens that end at the instants ended from the count, and adds those that
// end at made, or returns [ErrTooMany].
func (m *Manager) recount(ctx context.Context, tx *store.Tx, sub subject.Subject, now time.Time, ended, made []int64) error {
	none := false
	_, err := counts.Upsert(ctx, tx, string(sub.ID), func(c *count, _ bool) error {
		c.User = sub.ID
		c.live(sub.Numbers(policy.KindToken), now)
		for _, end := range ended {
			if i := slices.Index(c.Ends, end); i >= 0 {
				c.Ends = slices.Delete(c.Ends, i, i+1)
			}
		}
		c.Ends = append(c.Ends, made...)
		if len(made) > 0 && len(c.Ends) > m.limits().Tokens {
			return ErrTooMany
		}
		none = len(c.Ends) == 0
		return nil
	})
	if err == nil && none {
		tx.Delete(counts.Key(string(sub.ID)))
	}
	return err
}
