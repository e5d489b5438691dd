package token

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// MaxList is how many tokens [Manager.List] returns at most.
const MaxList = 100

// List returns the user's live tokens, newest first, from the offset-th on, and
// how many there are in all. A negative offset is 0, and a limit that is not 1 to
// [MaxList] is MaxList. Tokens made or ended between two pages move the rest.
func (m *Manager) List(ctx context.Context, user policy.UserID, offset, limit int) (page []Token, total int, err error) {
	if limit < 1 || limit > MaxList {
		limit = MaxList
	}
	now := m.now()
	var all []Token
	// The index is ordered by digest. All of a user's tokens, of which there are a
	// bounded number, must be read for the total anyway.
	for after := ""; ; {
		records, next, err := byUser.List(ctx, m.store, string(user), after, store.MaxLimit)
		if err != nil {
			return nil, 0, fmt.Errorf("token: list: %w", err)
		}
		for _, r := range records {
			if now.Before(r.Expires) {
				all = append(all, Token(*r))
			}
		}
		if next == "" {
			break
		}
		after = next
	}
	slices.SortFunc(all, func(a, b Token) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	from := min(max(offset, 0), len(all))
	return all[from:min(from+limit, len(all))], len(all), nil
}

// All yields every live token of everybody, in no order that means something. It reads
// them a page at a time: one made or ended meanwhile may be missing or not. After an error
// there is nothing more.
func (m *Manager) All(ctx context.Context) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		for after := ""; ; {
			page, err := tokens.List(ctx, m.store, after, store.MaxLimit)
			if err != nil {
				yield(Token{}, fmt.Errorf("token: list all: %w", err))
				return
			}
			now := m.now()
			for _, r := range page {
				if now.Before(r.Expires) && !yield(Token(*r), nil) {
					return
				}
			}
			if len(page) < store.MaxLimit {
				return
			}
			after = page[len(page)-1].Digest.String()
		}
	}
}
