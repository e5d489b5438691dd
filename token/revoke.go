package token

import (
	"context"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Revoke is [Manager.RevokeTx] in a commit of its own.
func (m *Manager) Revoke(ctx context.Context, by audit.Actor, user protocol.UserID, id, reason string) error {
	return outward("revoke", store.Transact(ctx, m.store, func(tx *store.Tx) error {
		return m.revoke(ctx, tx, by, user, id, reason)
	}))
}

// RevokeTx revokes, in the caller's commit, the user's token with exactly this ID: a prefix of
// an ID is no ID. A token that is not the user's, or is dead, is [ErrNotFound]. The reason is a
// word for the event, "" for none.
func (m *Manager) RevokeTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, id, reason string) error {
	return outward("revoke", m.revoke(ctx, tx, by, user, id, reason))
}

func (m *Manager) revoke(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID, id, reason string) error {
	r, sub, err := m.open(ctx, tx, user, id)
	if err != nil {
		return err
	}
	if err := m.recount(ctx, tx, sub, m.now(), []int64{r.Expires}, nil); err != nil {
		return err
	}
	if err := m.remove(ctx, tx, id); err != nil {
		return err
	}
	return m.tell(ctx, tx, by, ended(r, reason))
}

// open reads, in one Get, all that a change of the user's token with this ID depends on.
func (m *Manager) open(ctx context.Context, tx *store.Tx, user protocol.UserID, id string) (*record, subject.Subject, error) {
	if !isID(id) || !can(user) {
		return nil, subject.Subject{}, store.ErrNotFound
	}
	items, err := tx.Get(ctx, ReadsOf(user, id)...)
	if err != nil {
		return nil, subject.Subject{}, err
	}
	sub, err := subject.Decode(user, items[:2])
	if err != nil {
		return nil, subject.Subject{}, err
	}
	r, err := m.owned(items[3], sub)
	return r, sub, err
}

// remove deletes a token, which tx has read, and its last use.
func (m *Manager) remove(ctx context.Context, tx *store.Tx, id string) error {
	tx.Delete(usedPrefix + id)
	tx.After(func(o store.Outcome) {
		if o.Result != store.Refused {
			m.used.drop(id)
		}
	})
	return tokens.Delete(ctx, tx, id)
}

// End is [Manager.EndTx] in a commit of its own.
func (m *Manager) End(ctx context.Context, by audit.Actor, id, reason string) error {
	return outward("end", store.Transact(ctx, m.store, func(tx *store.Tx) error {
		return m.end(ctx, tx, by, id, reason)
	}))
}

// EndTx is [Manager.RevokeTx] for the token with this ID, whoever its user is: for an operator,
// for a token that was reported as leaked, and for one that presented too many wrong codes.
func (m *Manager) EndTx(ctx context.Context, tx *store.Tx, by audit.Actor, id, reason string) error {
	return outward("end", m.end(ctx, tx, by, id, reason))
}

func (m *Manager) end(ctx context.Context, tx *store.Tx, by audit.Actor, id, reason string) error {
	if !isID(id) {
		return store.ErrNotFound
	}
	r, err := tokens.Get(ctx, tx, id)
	if err != nil {
		return err
	}
	return m.revoke(ctx, tx, by, r.User, id, reason)
}

// RevokeAll is [Manager.RevokeAllTx] in a commit of its own. An error that wraps
// [store.ErrUnknown] means that the tokens may be revoked: repeat the call.
func (m *Manager) RevokeAll(ctx context.Context, by audit.Actor, user protocol.UserID) error {
	return outward("revoke all", store.Transact(ctx, m.store, func(tx *store.Tx) error {
		return m.revokeAll(ctx, tx, by, user)
	}))
}

// RevokeAllTx revokes, in the caller's commit, all tokens of the user and no session. It is one
// write of the user's subject, however many tokens there are: a token that is created at the
// same time is either dead or was created after. [Manager.Sweep] deletes the records later.
func (m *Manager) RevokeAllTx(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID) error {
	return outward("revoke all", m.revokeAll(ctx, tx, by, user))
}

func (m *Manager) revokeAll(ctx context.Context, tx *store.Tx, by audit.Actor, user protocol.UserID) error {
	if _, err := subject.Revoke(ctx, tx, user, subject.Tokens, m.now()); err != nil {
		return err
	}
	return m.tell(ctx, tx, by, audit.Event{Type: audit.TokenRevoked, User: user, Reasons: []string{"all"}})
}
