package token

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// MaxList is how many tokens [Manager.List] returns at most.
const MaxList = store.MaxLimit

// ErrCursor means that ListOptions.After is not a cursor that [Manager.List] has returned.
var ErrCursor = errors.New("token: unknown cursor")

// ListOptions say which tokens [Manager.List] returns. The zero value is the newest.
type ListOptions struct {
	// After is the cursor that an earlier page returned; "" begins with the newest token.
	After string
	// Offset is how many tokens are skipped first, for clients that count pages. They are read:
	// a page far behind costs a request for each [MaxList] before it. Negative is 0.
	Offset int
	// Limit is how many tokens are returned at most. Anything but 1 to MaxList means MaxList.
	Limit int
}

// List returns the user's live tokens, newest first, how many there are in all, and the cursor
// of the next page, "" at the end. A page is two requests to the store, and reads no more
// tokens than it shows, except those that have expired since the store was last swept. With
// After, tokens that are created or revoked meanwhile do not shift the pages. The tokens of a
// disabled account are listed: they work once the account is enabled.
func (m *Manager) List(ctx context.Context, user protocol.UserID, o ListOptions) (page []Token, next string, total int, err error) {
	page, next, total, err = m.list(ctx, user, o)
	switch {
	case err == nil:
		return page, next, total, nil
	case errors.Is(err, ErrCursor):
		return nil, "", 0, err
	}
	return nil, "", 0, fmt.Errorf("token: list: %w", err)
}

func (m *Manager) list(ctx context.Context, user protocol.UserID, o ListOptions) (page []Token, next string, all int, err error) {
	skip := max(o.Offset, 0)
	limit := o.Limit
	if limit < 1 || limit > MaxList {
		limit = MaxList
	}
	if !isCursor(o.After) {
		return nil, "", 0, ErrCursor
	}
	if !can(user) {
		return nil, "", 0, nil
	}
	items, err := m.store.Get(ctx, ReadsOf(user, "")...)
	if err != nil {
		return nil, "", 0, err
	}
	sub, err := subject.Decode(user, items[:2])
	if err != nil {
		return nil, "", 0, err
	}
	now, current := m.now(), sub.Numbers(policy.KindToken)
	if all, err = total(items[2], current, now); err != nil || skip >= all {
		return nil, "", all, err
	}
	next = o.After
	for want := skip + limit; want > 0; {
		var rows []*record
		rows, next, err = m.rows(ctx, user, current, next, min(want, store.MaxLimit))
		if err != nil {
			return nil, "", 0, err
		}
		for _, r := range rows {
			switch {
			case r.expired(now):
				continue
			case skip > 0:
				skip--
			default:
				page = append(page, r.token())
			}
			want--
		}
		if next == "" {
			break
		}
	}
	if o.After == "" && max(o.Offset, 0)+len(page) >= all {
		next = "" // the last page was full
	}
	return page, next, all, nil
}

// rows returns a page of the list of a user's tokens of these numbers, newest first, expired ones
// too.
func (m *Manager) rows(ctx context.Context, user protocol.UserID, current subject.Numbers, after string, limit int) (page []*record, next string, err error) {
	page, next, err = listed.List(ctx, m.store, groupOf(user, current), after, limit)
	for _, r := range page {
		if r.User != user || subject.Numbers(r.Numbers) != current {
			return nil, "", errors.New("a row of the list is under another's key")
		}
	}
	return page, next, err
}

// isCursor reports whether text has the form of a cursor: the place of a token, which need not
// exist any more.
func isCursor(text string) bool {
	if text == "" {
		return true
	}
	order, id, ok := strings.Cut(text, "/")
	_, err := strconv.ParseUint(order, 16, 63)
	return ok && err == nil && len(order) == orderSize && isID(id)
}

// Of yields the user's live tokens, newest first, those of a disabled account too. It reads them
// a page at a time: one that is created meanwhile may be missing, none that was there before and
// lives on is. An error ends the sequence.
func (m *Manager) Of(ctx context.Context, user protocol.UserID) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if err := m.of(ctx, user, yield); err != nil {
			yield(Token{}, fmt.Errorf("token: list: %w", err))
		}
	}
}

// of does not stop at the number of tokens, as list does: that was read before the rows, and of
// more tokens by then the oldest would be missing.
func (m *Manager) of(ctx context.Context, user protocol.UserID, yield func(Token, error) bool) error {
	if !can(user) {
		return nil
	}
	sub, err := subject.Get(ctx, m.store, user)
	if err != nil {
		return err
	}
	for after := ""; ; {
		page, next, err := m.rows(ctx, user, sub.Numbers(policy.KindToken), after, store.MaxLimit)
		if err != nil {
			return err
		}
		now := m.now()
		for _, r := range page {
			if !r.expired(now) && !yield(r.token(), nil) {
				return nil
			}
		}
		if after = next; next == "" {
			return nil
		}
	}
}

// All yields every live token of all users whose account is not disabled, in no particular
// order. It reads them a page at a time: a token that is created or revoked meanwhile may be
// missing or not. An error ends the sequence.
func (m *Manager) All(ctx context.Context) iter.Seq2[Token, error] {
	return m.every(ctx, (*record).alive)
}

// Unrevoked is [Manager.All] with the tokens of disabled accounts, which work once the account
// is enabled.
func (m *Manager) Unrevoked(ctx context.Context) iter.Seq2[Token, error] {
	return m.every(ctx, func(r *record, sub subject.Subject) bool { return !r.revoked(sub) })
}

// every yields the tokens that have not expired and for which is returns true.
func (m *Manager) every(ctx context.Context, is func(*record, subject.Subject) bool) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		err := m.pages(ctx, func(page []*record, of map[protocol.UserID]subject.Subject) error {
			now := m.now()
			for _, r := range page {
				if is(r, of[r.User]) && !r.expired(now) && !yield(r.token(), nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Token{}, fmt.Errorf("token: list all: %w", err))
		}
	}
}

// errStop ends pages when the caller wants no more.
var errStop = errors.New("stop")
