package token

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/store"
)

// Get returns the user's token with this ID, or [ErrNotFound].
func (m *Manager) Get(ctx context.Context, user policy.UserID, id string) (Token, error) {
	r, err := owned(user)(byID.Get(ctx, m.store, id))
	if err != nil {
		return Token{}, outward("look up", err)
	}
	return Token(*r), nil
}

// Find returns the ID of the user's token whose secret has this digest, or
// [ErrNotFound].
func (m *Manager) Find(ctx context.Context, user policy.UserID, d credential.Digest) (id string, err error) {
	r, err := owned(user)(tokens.Get(ctx, m.store, d.String()))
	if err != nil {
		return "", outward("look up", err)
	}
	return r.ID, nil
}

// outward makes an absent record ErrNotFound, whatever the reason, and says what
// was tried when something else failed.
func outward(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return ErrNotFound
	}
	return fmt.Errorf("token: %s: %w", what, err)
}

// Revoke ends the user's token with this ID, all of it and exactly it: a
// beginning of an ID is no ID. A token that is not the user's is [ErrNotFound].
func (m *Manager) Revoke(ctx context.Context, user policy.UserID, id string) error {
	return m.end(ctx, func(tx *store.Tx) (*record, error) { return owned(user)(byID.Get(ctx, tx, id)) })
}

// RevokeDigest ends the user's token whose secret has this digest. A token that is
// not the user's is [ErrNotFound].
func (m *Manager) RevokeDigest(ctx context.Context, user policy.UserID, d credential.Digest) error {
	return m.end(ctx, func(tx *store.Tx) (*record, error) { return owned(user)(tokens.Get(ctx, tx, d.String())) })
}

// End ends the token with this ID, whoever has it: for an operator, and for a
// token that has guessed too many codes.
func (m *Manager) End(ctx context.Context, id string) error {
	return m.end(ctx, func(tx *store.Tx) (*record, error) { return byID.Get(ctx, tx, id) })
}

// revokeBatch is how many tokens one Commit ends: each takes four ops, and their count
// one.
const revokeBatch = (store.MaxOps - 1) / 4

// RevokeAll ends every token that the user had when it was called, and returns the IDs of
// those that it ended, also together with an error. It is as many commits as it needs:
// after an error some are left, and to call it again goes on with them. A token that is
// made meanwhile is ended or not, and nothing in between. Without any it does nothing.
func (m *Manager) RevokeAll(ctx context.Context, user policy.UserID) (ended []string, err error) {
	for after := ""; ; {
		records, next, err := byUser.List(ctx, m.store, string(user), after, store.MaxLimit)
		if err != nil {
			return ended, outward("revoke all", err)
		}
		for some := range slices.Chunk(records, revokeBatch) {
			ids, err := m.endSome(ctx, user, some)
			if err != nil {
				return ended, outward("revoke all", err)
			}
			ended = append(ended, ids...)
		}
		if next == "" {
			return ended, nil
		}
		after = next
	}
}

// endSome ends those of some that are still there, all or none of them.
func (m *Manager) endSome(ctx context.Context, user policy.UserID, some []*record) (ended []string, err error) {
	err = store.Transact(ctx, m.store, func(tx *store.Tx) error {
		ended = nil
		for _, r := range some {
			r, err := owned(user)(tokens.Get(ctx, tx, r.Digest.String()))
			if errors.Is(err, store.ErrNotFound) {
				continue // ended by somebody else
			}
			if err != nil {
				return err
			}
			if err := remove(ctx, tx, r); err != nil {
				return err
			}
			ended = append(ended, r.ID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ended {
		m.used.drop(id)
	}
	return ended, nil
}

// remove takes away a token, which tx has read, and all that belongs to it.
func remove(ctx context.Context, tx *store.Tx, r *record) error {
	tx.Delete(usedPrefix + r.ID)
	if err := uncount(ctx, tx, r.User, r.Expires); err != nil {
		return err
	}
	return tokens.Delete(ctx, tx, r.Digest.String())
}

// owned turns a token of somebody else into none.
func owned(user policy.UserID) func(*record, error) (*record, error) {
	return func(r *record, err error) (*record, error) {
		if err != nil {
			return nil, err
		}
		if user == "" || r.User != user {
			return nil, store.ErrNotFound
		}
		return r, nil
	}
}

func (m *Manager) end(ctx context.Context, find func(*store.Tx) (*record, error)) error {
	var ended *record
	err := store.Transact(ctx, m.store, func(tx *store.Tx) error {
		r, err := find(tx)
		if err != nil {
			return err
		}
		ended = r
		return remove(ctx, tx, r)
	})
	if err != nil {
		return outward("revoke", err)
	}
	m.used.drop(ended.ID)
	return nil
}
