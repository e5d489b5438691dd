package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Expiring reports whether a live token expires within Limits.TokenWarning of the time at, so
// that its user should be warned. A token that lives for less than twice that is expiring for
// the second half of its life. No credential, nil, expires.
func (m *Manager) Expiring(c *policy.Credential, at time.Time) bool {
	return c != nil && m.expiring(c.Created, c.Expires, at)
}

func (m *Manager) expiring(created, expires, at time.Time) bool {
	before := min(m.limits().TokenWarning, expires.Sub(created)/2)
	return at.Before(expires) && !at.Before(expires.Add(-before))
}

// A warning marks a token whose user was warned.
type warning struct {
	ID      string    `json:"id"` // the token's
	Expires time.Time `json:"expires"`
}

var warnings = store.NewTable("token-expiring", 1, func(w *warning) string { return w.ID }).
	Expiring(func(w *warning) time.Time { return w.Expires })

// Warn calls fn for every token that is expiring, once in the token's life, however many
// processes call Warn and however often. It omits tokens that were rotated, whose end is meant,
// and those of an account that is disabled until the account is enabled. The warning is lost if the process dies before fn has sent it, or if
// the store does not say whether the mark was written.
//
// It reads all tokens, a page at a time: once a day is often enough. An index by the day on
// which tokens end would spare that, and would cost every creation a row and every store that
// has tokens already a [store.Table.Reindex]. After an error, call it once more: it continues.
func (m *Manager) Warn(ctx context.Context, fn func(Token)) error {
	if fn == nil {
		return errors.New("token: warn: a function is required")
	}
	err := m.pages(ctx, func(page []*record, of map[protocol.UserID]subject.Subject) error {
		return m.warnOf(ctx, page, of, fn)
	})
	if err != nil {
		return fmt.Errorf("token: warn: %w", err)
	}
	return nil
}

// warnOf warns about the tokens of a page.
func (m *Manager) warnOf(ctx context.Context, page []*record, of map[protocol.UserID]subject.Subject, fn func(Token)) error {
	var due []*record
	var keys []string
	now := m.now()
	for _, r := range page {
		if r.ReplacedBy == "" && r.alive(of[r.User]) && m.expiring(timeOf(r.Created), timeOf(r.Expires), now) {
			due, keys = append(due, r), append(keys, warnings.Key(r.id()))
		}
	}
	if len(due) == 0 {
		return nil
	}
	marks, err := m.store.Get(ctx, keys...)
	if err != nil {
		return err
	}
	for i, r := range due {
		if marks[i].Exists() {
			continue
		}
		switch t, err := m.mark(ctx, r.User, r.id()); {
		case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrNotFound):
			// Another process marked it first, or it was revoked.
		case err != nil:
			return err
		default:
			fn(t)
		}
	}
	return nil
}

// mark marks the user's token with this ID, unless it is dead or marked.
func (m *Manager) mark(ctx context.Context, user protocol.UserID, id string) (t Token, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		r, err := m.get(ctx, tx, user, id)
		if err != nil {
			return err
		}
		t = r.token()
		return warnings.Insert(ctx, tx, &warning{ID: id, Expires: t.Expires})
	})
	return t, err
}
